"""The journal of a drill: what was promised, predicted, done and measured, with enough evidence to argue from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

JOURNAL_SCHEMA = "resilience/journal@1"


class Verdict(StrEnum):
    """`unknown` is never `pass`."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Way(StrEnum):
    """A direction of a flow."""

    FORWARD = "forward"
    RETURN = "return"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One direction of a flow as measured (RFC 6412 loss-derived time; RFC 4737 reordering)."""

    sent: int
    lost: int
    duplicated: int = 0
    reordered: int = 0
    outage_ms: float
    """The sum of the gaps that lost packets leave between the send times of those that arrived."""
    longest_gap_ms: float
    censored: bool = False
    """Measuring ended before traffic came back: the outage is at least this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpWait:
    """How long a user waits: from the start of the first attempt that met the fault to the first complete answer."""

    wait_ms: float
    attempts: int
    failed: int
    censored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowResult:
    """A flow's measurement and verdict."""

    flow: str
    source: str
    target: str
    family: int
    protocol: str
    limit_ms: int | None
    forward: Stream | None
    back: Stream | None
    """Written as `return` in JSON."""
    tcp: TcpWait | None
    outage_ms: float
    """The worse direction."""
    resolution_ms: float
    """The widest gap between two sends: nothing shorter can be seen."""
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What analysis expects of one direction of one flow."""

    flow: str
    direction: Way
    reachable: bool
    """After convergence."""
    low_ms: float
    high_ms: float
    """Bounds of the outage; infinity when not reachable."""
    because: tuple[str, ...]
    """The terms of the sum, such as `BFD detection at bko1: 200-300 ms`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecord:
    """What was done, on the journal's clock."""

    element: str
    kind: str
    side: str
    at_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A step of the control plane. `source`: kernel, frr, bird, drill."""

    at_ms: float
    node: str
    source: str
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Whether the network came back to what it was after the fault was healed."""

    ok: bool
    after_ms: float
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillResult:
    """One failure, tried."""

    name: str
    objective: str
    hypothesis: str
    faults: tuple[FaultRecord, ...]
    flows: tuple[FlowResult, ...]
    left_out: tuple[str, ...]
    predicted: tuple[Prediction, ...]
    agrees: bool
    timeline: tuple[Event, ...]
    recovered: Recovery | None
    verdict: Verdict
    reason: str
    repetition: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRecord:
    """The lab in which it was tried."""

    nodes: int
    ready_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The run without a fault; any loss in it makes every verdict `unknown`."""

    flows: tuple[FlowResult, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A whole run of drills."""

    schema: str = JOURNAL_SCHEMA
    tool_version: str
    network: str
    input_sha256: str
    started_at: str
    """RFC 3339; the only wall-clock time, everything else is from one monotonic clock."""
    backend: str
    lab: LabRecord
    control: Control
    drills: tuple[DrillResult, ...]
    skipped: tuple[str, ...] = ()
    """Drills that were not run, each with its reason."""
    verdict: Verdict
