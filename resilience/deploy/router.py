"""What a deployment asks of a router beyond changing it: who it is, what it sees, and to step out of the traffic's way.

`Driver` changes a router; `Router` is a driver that can also be looked at. Everything here is a question, but for
draining, which a loss of power undoes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from resilience.deploy.driver import Bundle, Change, Driver, Pending
from resilience.errors import RouterError
from resilience.model.deployment import DriftedFile

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who a router is and how it stands, in one cheap answer."""

    program: int
    """Version of the program on the router."""
    router: str
    platform: str
    daemon_version: str
    boot_id: str = ""
    confirmed: str | None = None
    """The change that it starts with; None: nothing was ever deployed here."""
    confirmed_sha256: str = ""
    pending: Pending | None = None
    free_bytes: int = 0
    can_drain: bool = False
    """The confirmed change came with a drained form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Who a router is and, in the same answer, what a bundle would do to it, or why it refuses that."""

    hello: Hello
    change: Change | None = None
    refusal: RouterError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSession:
    """A BGP session as its router sees it."""

    neighbor: str
    family: int
    up: bool
    received: int = 0
    """Prefixes that are accepted from the neighbour."""
    sent: int = 0
    """Prefixes that are announced to it."""
    uptime_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenBfd:
    """A BFD session as its router sees it."""

    neighbor: str
    up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a router's daemons say about the network around it."""

    sessions: tuple[SeenSession, ...] = ()
    bfd: tuple[SeenBfd, ...] = ()
    ospf_neighbors: int = 0
    routes: Mapping[int, int] = field(default_factory=dict)
    """Family to the number of routes in the kernel's main table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a router runs against what it should run: its start-up files or, while a change is applied, that change."""

    same: bool
    differences: tuple[DriftedFile, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each start-up file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A question that a router asks the network: does this address answer?"""

    id: str
    source: str
    target: str
    port: int | None = None
    """TCP; None: an ICMP echo."""


class Router(Driver, Protocol):
    """A driver that can also be looked at. Every method raises `RouterError` as a driver's does."""

    def hello(self) -> Hello:
        """Say who it is. A router that answers to another name raises `wrong-router`."""

    def survey(self, bundle: Bundle) -> Survey:
        """Say who it is and what a bundle would do, over one command. What it refuses is in the answer."""

    def observe(self) -> Observation:
        """Say what its daemons see."""

    def check(self) -> Check:
        """Compare what runs with what should."""

    def probe(self, probes: Iterable[Probe]) -> Mapping[str, bool]:
        """Ask addresses for an answer, at most 64; say of each id whether one came."""

    def drain(self, change: str, *, deadline_s: int) -> bool:
        """Run the drained form of the confirmed change, before `change`, which is staged, is applied.

        It ends with the change, however that ends, and by itself at the deadline when nothing follows. An empty change:
        until `undrain` or the next start.
        """

    def undrain(self, change: str) -> bool:
        """Give the applied change its ordinary form, or the confirmed one where nothing is applied."""

    def hang_up(self) -> None:
        """Close the connection; the next question opens another one. Never raises."""


class Fleet(Protocol):
    """The routers of an inventory, worked on side by side by a bounded number of workers."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every router of the inventory."""

    def in_lab(self, name: str) -> bool:
        """Say whether the inventory calls a router part of a lab (`data: {lab: true}`)."""

    def each(self, names: Iterable[str], work: Callable[[str, Router], T]) -> Mapping[str, T | RouterError]:
        """Do the same work at every named router, and return what came of each, by name, in the order asked for.

        A `RouterError` of one is its result and stops nobody else; anything else that is raised is raised here.
        """

    def close(self) -> None:
        """Close every session."""
