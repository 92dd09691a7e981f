"""News travelling through BGP, event by event: for one prefix, from one settled state to the next.

The same machine finds the settled state (time stands still) and the way there (each step takes its time).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol

from resilience.analysis.bgp import Speakers, choose, usable_routes
from resilience.analysis.clock import Cause, Clock, Pace
from resilience.analysis.constants import daemon_of
from resilience.analysis.route import LOCAL, Destination, Route

_DECISIONS_BEFORE_GIVING_UP = 200
"""By one router for one prefix: beyond that its policies have no settled state, or too far a one."""

Selected = tuple[Route, ...]


@dataclass(slots=True)
class PrefixState:
    """What every router holds of one prefix."""

    destination: Destination
    candidates: dict[str, dict[int, Selected]] = field(default_factory=dict)
    """Node to (number of the session end, what came in there: one route, several with add-path)."""
    selected: dict[str, Selected] = field(default_factory=dict)
    sent: dict[int, Selected] = field(default_factory=dict)
    """Number of the sending end to what the other end was told."""
    settled: bool = True
    """False: gave up; the network may oscillate."""

    def copy(self) -> PrefixState:
        """Return a copy that can change on its own."""
        candidates = {node: dict(routes) for node, routes in self.candidates.items()}
        return PrefixState(self.destination, candidates, dict(self.selected), dict(self.sent), self.settled)


class Kind(IntEnum):
    """What happens to a router, in the order in which things of one instant happen."""

    LOST = 0
    """A session ended; subject: number of the end that noticed."""
    LOCAL = 1
    """The router's own origination came or went."""
    TURN = 2
    """The IGP's view changed."""
    NEWS = 3
    """A message arrived; subject: number of the receiving end."""
    DECIDE = 4


class Change(NamedTuple):
    """A router's kernel follows another route from this event on."""

    node: str
    selected: Selected
    cause: Cause


class Conditions(Protocol):
    """What propagation has to know of the world while it runs."""

    clock: Clock

    def resolve_at(self, at_ms: float, node: str, next_hop: int) -> int | None:
        """Return the distance of a next hop as a router sees it at a moment."""

    def works(self, end: int) -> bool:
        """Say whether messages still get through a session."""

    def is_mute(self, node: str) -> bool:
        """Say whether a router's daemon is gone."""


class Event(NamedTuple):
    """Something that happens to a router by itself, before BGP reacts."""

    kind: Kind
    cause: Cause
    node: str
    end: int = LOCAL
    routes: Selected = ()
    """What the end holds from now on; empty: nothing."""


class Propagation:
    """One run for one prefix."""

    def __init__(self, speakers: Speakers, state: PrefixState, conditions: Conditions) -> None:
        self.state = state
        self.changes: list[Change] = []
        self._speakers = speakers
        self._conditions = conditions
        self._clock = conditions.clock
        self._timed = conditions.clock.pace is not Pace.INSTANT
        self._heap: list[tuple[float, int, int, Event]] = []
        self._count = 0
        self._waiting: dict[str, Cause] = {}
        self._gone: set[int] = set()
        self._arrival: dict[int, float] = {}
        self._decisions: dict[str, int] = {}
        self._told: dict[str, tuple[Selected, Selected]] = {}

    def run(self, events: Iterable[Event]) -> None:
        """Let things happen until nothing more follows."""
        for event in events:
            self._push(event)
        while self._heap and self.state.settled:
            event = heapq.heappop(self._heap)[3]
            if not self._conditions.is_mute(event.node):
                self._happen(event)

    def _push(self, event: Event) -> None:
        self._count += 1
        heapq.heappush(self._heap, (event.cause.at_ms, event.kind, self._count, event))

    def _happen(self, event: Event) -> None:
        if event.kind is Kind.DECIDE:
            self._decide(event.node, self._waiting.pop(event.node))
            return
        routes = self.state.candidates.setdefault(event.node, {})
        if event.kind is Kind.LOST:
            self._gone.add(event.end)
            self.state.sent.pop(event.end, None)
            if routes.pop(event.end, None) is None:
                return
        elif event.kind is Kind.NEWS and event.end in self._gone:
            return
        elif event.kind in {Kind.NEWS, Kind.LOCAL}:
            if event.routes:
                routes[event.end] = event.routes
            else:
                routes.pop(event.end, None)
        self._touch(event.node, event.cause)

    def _touch(self, node: str, cause: Cause) -> None:
        """Let a router decide soon; what comes in until then is decided in one go."""
        if node not in self._waiting:
            decided = cause
            if self._timed:
                bounds = daemon_of(self._speakers.nodes[node].platform).decide
                decided = self._clock.after(cause, bounds, f"{node} chooses again")
            self._waiting[node] = decided
            self._push(Event(Kind.DECIDE, decided, node))

    def _decide(self, node: str, cause: Cause) -> None:
        self._decisions[node] = self._decisions.get(node, 0) + 1
        if self._decisions[node] > _DECISIONS_BEFORE_GIVING_UP:
            self.state.settled = False
            return
        here = self._speakers.nodes[node]
        known = (route for routes in self.state.candidates.get(node, {}).values() for route in routes)
        usable = usable_routes(known, lambda hop: self._conditions.resolve_at(cause.at_ms, node, hop))
        selected = choose(usable, here.multipath)
        before = self.state.selected.get(node, ())
        if selected != before:
            self.state.selected[node] = selected
            if self._timed and kernel_route(selected) != kernel_route(before):
                installed = self._clock.after(cause, daemon_of(here.platform).install, f"kernel route on {node}")
                self.changes.append(Change(node, selected, installed))
        told = (selected[:1], tuple(route for route, _ in usable))
        if self._told.get(node) != told:
            self._told[node] = told
            self._tell(node, selected[0] if selected else None, told[1], cause)

    def _tell(self, node: str, best: Route | None, usable: Selected, cause: Cause) -> None:
        """Send the best route through every session, and every usable one where the end adds paths (RFC 7911)."""
        destination = self.state.destination
        for end in self._speakers.of_node.get((node, destination.prefix.version), ()):
            if end.number in self._gone:
                continue
            wanted = usable if end.local.add_path and usable else (best,)
            passed = (self._speakers.passed(end.number, route, destination) for route in wanted)
            routes = tuple(dict.fromkeys(route for route in passed if route is not None))
            if routes == self.state.sent.get(end.number, ()):
                continue
            if routes:
                self.state.sent[end.number] = routes
            else:
                self.state.sent.pop(end.number)
            if self._conditions.works(end.number):
                self._push(Event(Kind.NEWS, self._arrive(end.number, node, cause), end.remote.node, end.other, routes))

    def _arrive(self, end: int, node: str, cause: Cause) -> Cause:
        """Return the arrival of a message; those of one session never overtake each other."""
        if not self._timed:
            return cause
        there = self._speakers.ends[end].remote.node
        bounds = daemon_of(self._speakers.nodes[node].platform).tell
        arrival = self._clock.after(cause, bounds, f"{node} tells {there}")
        at_ms = max(arrival.at_ms, self._arrival.get(end, 0.0))
        self._arrival[end] = at_ms
        return arrival._replace(at_ms=at_ms)


def kernel_route(selected: Selected) -> tuple[object, ...]:
    """Return what of a selection reaches the kernel: nothing for what stands there as a static route anyway."""
    if not selected or selected[0].learned == LOCAL:
        return ()
    return (selected[0].discard, *dict.fromkeys(route.next_hop for route in selected))
