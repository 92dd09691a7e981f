"""The seam of deployment: what a platform must be able to do to a router, in six methods.

One change is all files of one router: routing daemon, addresses, packet filter, kernel settings. It is named by an id,
staged, applied under a deadline, and confirmed; without a confirmation the router itself goes back to what it ran
before. `docs/explanation/confirm.md` draws the states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Confirmation(StrEnum):
    """Who restores the former configuration when nobody confirms."""

    ROUTER = "router"
    """The router does, whatever becomes of the session and of whoever deploys."""
    SESSION = "session"
    """It lasts as long as the session that applied the change."""
    NONE = "none"
    """Nobody does: what is applied stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a driver can do on its platform."""

    platform: str
    replace: bool = True
    """The whole configuration becomes what was staged, whatever stood there before."""
    confirmation: Confirmation = Confirmation.ROUTER
    shortest_deadline_s: int = 5
    longest_deadline_s: int = 86_400
    revert_reboots: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """All files of one router by their names in its folder. Never shown: daemons' files hold session passwords."""

    change: str
    """Id of the change: lower-case letters, digits and `-`, at most 64."""
    router: str
    """The name that the router must answer to."""
    network: str
    who: str
    """Who deploys, as somebody else is to read it: `account@machine`."""
    platform: str
    """`frr` or `bird`."""
    files: Mapping[str, str] = field(repr=False)
    drained: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The daemon's file once more, with the router draining: what `drain` loads. Empty: it cannot be drained."""
    take_over: bool = False
    """What was changed by hand, so that it runs and is not in the start-up files, is what to go back to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """What changes in one file, as unified diff; secrets are masked."""

    file: str
    diff: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a bundle would do to a router."""

    router: str
    files: tuple[FileDiff, ...] = ()
    """Start-up files against the bundle, only those that differ."""
    running: str = ""
    """What the daemon itself says that it would delete and add; empty where a platform cannot say."""
    restarts: tuple[str, ...] = ()
    """Daemons that have to start anew."""
    resets: tuple[str, ...] = ()
    """Sessions that would be reset, by their neighbour's address."""
    drift: tuple[FileDiff, ...] = ()
    """What runs against the start-up files: somebody's change by hand."""

    @property
    def empty(self) -> bool:
        """Say whether nothing would change."""
        return not (self.files or self.running or self.restarts or self.drift)


class Phase(StrEnum):
    """Where a change stands on its router."""

    STAGED = "staged"
    """It lies there and was checked; nothing runs it."""
    APPLYING = "applying"
    APPLIED = "applied"
    """It runs and waits for its confirmation; the start-up files are the former ones."""
    CONFIRMING = "confirming"
    """Decided: it stays. The start-up files are being replaced, and are completed after a loss of power."""
    CONFIRMED = "confirmed"
    RESTORING = "restoring"
    """Decided: it goes."""
    RESTORED = "restored"
    """The former configuration runs again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A change that a router knows of and that is not settled."""

    change: str
    phase: Phase
    who: str
    since: str
    """When it was staged, UTC by the router's clock, ISO 8601."""
    remaining_s: float | None = None
    """Until the router restores; None where no deadline runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a router says after it was told to apply, confirm or roll back."""

    change: str
    phase: Phase
    reason: str = ""
    """Why it is not what was asked for."""
    remaining_s: float | None = None


class Driver(Protocol):
    """One router of one platform. Every method raises `RouterError`, whose `kind` says what is wrong with it."""

    @property
    def capabilities(self) -> Capabilities:
        """What this driver can do."""

    def diff(self, bundle: Bundle) -> Change:
        """Say what would change. Leaves nothing behind."""

    def stage(self, bundle: Bundle) -> Change:
        """Put a bundle on the router and check it there with the router's own programs.

        Refused (`kind`): `busy` somebody else's change is not settled; `invalid` a daemon does not take a line;
        `space`; `wrong-router`; `old` a program on it is older than the configuration needs.
        """

    def apply(self, change: str, *, deadline_s: int, drained: bool = False) -> Outcome:
        """Run a staged change, its deadline counted from now; with `drained`, in the form that attracts no traffic.

        Returns once it runs (`applied`), or once the router went back by itself (`restored`, with the reason).
        """

    def confirm(self, change: str) -> Outcome:
        """Keep a change that was applied: start-up files become those that run. `expired` when it is too late."""

    def roll_back(self, change: str) -> Outcome:
        """Give up a change: staged files are taken away, and what ran before an applied change runs again.

        What a confirmed change had replaced runs again as change `ID-undo`, which waits for its own confirmation: going
        back may cut somebody off as well.
        """

    def pending(self) -> Pending | None:
        """Return the change that is not settled, by the router's own word."""
