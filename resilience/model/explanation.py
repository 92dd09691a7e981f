"""What `resilience check --explain` says: a session's protections and policies, in words with their sources."""

from __future__ import annotations

from dataclasses import dataclass

from resilience.model.network import Platform
from resilience.model.plan import SessionKind
from resilience.model.policy import Direction

EXPLANATION_SCHEMA = "resilience/explanation@1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One thing that holds, in a sentence."""

    subject: str
    """What it is about, such as `failure detection`; each at most once in its list."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One term of a policy. The first rule whose conditions all hold decides."""

    number: int
    name: str
    """The term's name, as it stands in `resilience show NET policy` and in the router's files."""
    accept: bool
    conditions: tuple[str, ...]
    """All must hold; none: every route."""
    actions: tuple[str, ...]
    """What is changed on a route that is accepted."""
    why: str
    """The reason and its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedList:
    """A list that conditions name, written out."""

    name: str
    entries: tuple[str, ...]
    exceptions: tuple[str, ...] = ()
    """What the list would hold but for these: numbers that this very plan gives to somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtering:
    """What passes in one direction."""

    direction: Direction
    policy: str | None
    """The policy's name; null: there is none."""
    summary: str
    rules: tuple[Rule, ...]
    notes: tuple[Statement, ...] = ()
    """What is sent or changed beside the policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExplanation:
    """A session as one of its ends is configured."""

    session: str
    family: int
    kind: SessionKind
    element: str
    """The element whose loss ends the session; empty for sessions inside the network."""
    node: str
    platform: Platform | None
    neighbor: str
    """The node at the other end."""
    about: tuple[Statement, ...]
    """Who with whom, how a failure is noticed, how the session is protected."""
    imports: Filtering
    exports: Filtering
    packets: tuple[Statement, ...]
    """What the packet filter does where the session's packets come in (BCP 38), and who reaches the router itself."""
    limits: tuple[Statement, ...]
    """What the router's platform cannot do for this session."""
    raw: tuple[Statement, ...] = ()
    """Raw lines of the intent that may undo what is said above."""
    lists: tuple[NamedList, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that goes in and out of the sessions of a name, and why."""

    schema: str = EXPLANATION_SCHEMA
    network: str
    tool_version: str
    input_sha256: str
    name: str
    """The session or the element that was meant, with its kind: `uplink dakar`."""
    sessions: tuple[SessionExplanation, ...]
