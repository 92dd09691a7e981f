"""The record of a deployment: who put what on which router, how far it came, and why it ended as it did.

It lies on disk and is written before and after every step, so that any machine that has it can go on. It holds no
configurations and no secrets; what a router really runs is always asked of the router.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEPLOYMENT_SCHEMA = "resilience/deployment@1"
DRIFT_SCHEMA = "resilience/drift@1"
DEPLOYMENT_DIFF_SCHEMA = "resilience/deployment-diff@1"


class Step(StrEnum):
    """How far one router has come. A step is written down when it begins; `confirmed` and later ones when they hold."""

    PLANNED = "planned"
    STAGING = "staging"
    STAGED = "staged"
    DRAINING = "draining"
    APPLYING = "applying"
    APPLIED = "applied"
    VERIFIED = "verified"
    CONFIRMING = "confirming"
    CONFIRMED = "confirmed"
    """It runs the new configuration, and starts with it."""
    UNCHANGED = "unchanged"
    """It ran what it should already; nothing was touched."""
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"
    """It runs the former configuration, and starts with it."""
    UNKNOWN = "unknown"
    """It could not be asked: old or new, whole in either case; `--status` asks again."""


class DeploymentState(StrEnum):
    """How a whole deployment stands."""

    RUNNING = "running"
    """Begun and not ended: by a process that works on it, or one that died (`--resume`, `--rollback`)."""
    DONE = "done"
    ROLLED_BACK = "rolled-back"
    """A wave failed and every router of it runs the former configuration; earlier waves keep the new one."""
    FAILED = "failed"
    """Some router's state is not what it should be; `reason` and the routers say which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The drill of the new configurations that came before."""

    journal_sha256: str
    input_sha256: str
    """Of the intent that was drilled; equal to the deployment's."""
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedRouter:
    """One router of a deployment."""

    router: str
    platform: str
    wave: int
    """Counted from 1; a wave begins when the one before is confirmed. 0: nothing has to be done to it."""
    step: Step
    files_sha256: str
    """Of the files that it is to run, passwords as references."""
    restarts: tuple[str, ...] = ()
    resets: tuple[str, ...] = ()
    drained: bool = False
    kind: str = ""
    """What kind of error stopped it, such as `unreachable`; empty: none did."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentEvent:
    """Something that happened, in the order of happening."""

    at: str
    """UTC, ISO 8601."""
    router: str
    """Empty: the whole deployment."""
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment of one network to its routers."""

    schema: str = DEPLOYMENT_SCHEMA
    id: str
    """Also the change id on every router."""
    tool: str
    network: str
    input_sha256: str
    who: str
    started: str
    """UTC, ISO 8601."""
    ended: str = ""
    deadline_s: int
    proof: Proof | None
    without_proof: str = ""
    """Why nothing was drilled before, in the words of whoever decided so."""
    state: DeploymentState
    reason: str = ""
    routers: tuple[DeployedRouter, ...]
    events: tuple[DeploymentEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftedFile:
    """One file or part of a router that is not what it should be."""

    file: str
    side: str
    """`start-up`: what it starts with; `running`: what it runs."""
    diff: str
    """Unified diff from what should be to what is; secrets are masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDifference:
    """What a deployment would change in one file."""

    file: str
    diff: str
    """Unified diff from what the router starts with to what it is to run; secrets are masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterDifference:
    """What a deployment would do to one router, asked of the router itself."""

    router: str
    platform: str
    wave: int
    """In which it would be deployed; 0: nothing has to be done to it."""
    same: bool | None
    """Nothing would change; null: could not tell."""
    files: tuple[FileDifference, ...] = ()
    running: str = ""
    """What the daemon says that it would delete and add; empty where a platform cannot say."""
    restarts: tuple[str, ...] = ()
    resets: tuple[str, ...] = ()
    """Sessions that would be reset, by their neighbour's address."""
    drift: tuple[DriftedFile, ...] = ()
    """What was changed by hand: it runs, and the router does not start with it."""
    kind: str = ""
    """What kind of trouble forbids a deployment now, such as `busy`; empty: none."""
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentDiff:
    """A dry run: what a deployment would do to each router, and what stands in its way."""

    schema: str = DEPLOYMENT_DIFF_SCHEMA
    tool: str
    network: str
    input_sha256: str
    at: str
    """UTC, ISO 8601."""
    routers: tuple[RouterDifference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterDrift:
    """One router compared with what it should run."""

    router: str
    same: bool | None
    """None: could not tell, see `reason`."""
    differences: tuple[DriftedFile, ...] = ()
    pending: str = ""
    """Whose change is applied there and not settled, and since when; it may be all of the difference."""
    kind: str = ""
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A network compared with its routers."""

    schema: str = DRIFT_SCHEMA
    tool: str
    network: str
    input_sha256: str
    at: str
    routers: tuple[RouterDrift, ...]
