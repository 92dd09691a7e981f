"""In which order routers are changed: one of those that stand in for each other at a time, the least important first.

A wave is changed side by side and verified before the next begins. Three rules make it:

* the first wave is one router, the canary: the one with the least behind it;
* routers that do the same for somebody (the same site, service, customer, exchange; uplinks; route reflection) are in
  different waves, so that while one is changed the others are there;
* a wave must not cut the network where none of its routers would alone.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from resilience.model.plan import InterfaceKind, Plan, SessionKind


@dataclass(frozen=True, slots=True)
class WaveRouter:
    """A router, its wave counted from 1, and why it is there."""

    router: str
    wave: int
    because: str


def make_waves(plan: Plan, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the named routers in waves. The same plan and names, in whatever order, give the same waves."""
    waves: dict[int, list[str]] = {}
    for placed in plan_waves(plan, names):
        waves.setdefault(placed.wave, []).append(placed.router)
    return tuple(tuple(waves[number]) for number in sorted(waves))


def plan_waves(plan: Plan, names: Iterable[str]) -> tuple[WaveRouter, ...]:
    """Return the named routers by wave, each with why it is there."""
    wanted = set(names)
    weights = {name: _Weight.of(plan, name) for name in wanted}
    queue = sorted(wanted, key=lambda name: (weights[name].key, name))
    if not queue:
        return ()
    canary, *others = queue
    planner = _Planner(plan)
    placed = [WaveRouter(canary, 1, f"the canary: {weights[canary]}"), *map(planner.place, others)]
    return tuple(sorted(placed, key=lambda one: (one.wave, one.router)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weight:
    """What hangs on a router."""

    flows: int
    customers: int
    sessions: int
    links: int

    @classmethod
    def of(cls, plan: Plan, name: str) -> _Weight:
        behind = _behind(plan, name)
        flows = {
            flow.name
            for objective in plan.objectives
            for flow in objective.flows
            if behind & {*flow.source.nodes, *flow.target.nodes}
        }
        outside = [one for one in plan.neighbors(name) if one.session.kind is not SessionKind.IBGP]
        links = [one for one in plan.nodes[name].interfaces if one.kind is InterfaceKind.LINK]
        customers = len(behind & plan.network.customers.keys())
        return cls(flows=len(flows), customers=customers, sessions=len(outside), links=len(links))

    @property
    def key(self) -> tuple[int, int, int, int]:
        return self.flows, self.customers, self.sessions, self.links

    def __str__(self) -> str:
        return f"{self.flows} promised flows and {self.customers} customers are right behind it"


def _behind(plan: Plan, name: str) -> set[str]:
    """Return the nodes, not ours, that a cable connects with a router."""
    near = {plan.other_end(name, interface.name)[0] for interface in plan.nodes[name].interfaces}
    return {node for node in near if not plan.nodes[node].managed}


class _Planner:
    """Gives routers to waves, the first that can take each. Wave 1 is the canary's alone."""

    def __init__(self, plan: Plan) -> None:
        self._duties = _find_duties(plan)
        self._cables = _find_cables(plan)
        self._waves: list[list[str]] = []

    def place(self, name: str) -> WaveRouter:
        because = "nothing that earlier waves change stands in for it"
        for number, wave in enumerate(self._waves, start=2):
            hindrance = self._hindrance(name, wave)
            if not hindrance:
                wave.append(name)
                return WaveRouter(name, number, because)
            because = f"not with wave {number}: {hindrance}"
        self._waves.append([name])
        return WaveRouter(name, len(self._waves) + 1, because)

    def _hindrance(self, name: str, wave: list[str]) -> str:
        """Say why a router cannot be changed together with a wave; empty: it can."""
        for other in wave:
            shared = [duty for duty in self._duties.get(name, ()) if duty in self._duties.get(other, ())]
            if shared:
                return f"{other} stands in for it ({shared[0]})"
        together = self._cuts({*wave, name})
        if together > self._cuts(set(wave)) + self._cuts({name}):
            return f"without {', '.join(wave)} as well the network would fall apart"
        return ""

    def _cuts(self, without: set[str]) -> int:
        """Return into how many more parts our routers fall without some of them."""
        left = self._cables.keys() - without
        return _count_parts(self._cables, left) - _count_parts(self._cables, self._cables.keys())


def _find_cables(plan: Plan) -> Mapping[str, frozenset[str]]:
    """Return for each router of ours which others its links lead to."""
    ours = {node.name for node in plan.routers()}
    cables: dict[str, set[str]] = {name: set() for name in sorted(ours)}
    for segment in plan.segments.values():
        (near, _), (far, _) = segment.ends
        if near in ours and far in ours:
            cables[near].add(far)
            cables[far].add(near)
    return {name: frozenset(others) for name, others in cables.items()}


def _count_parts(cables: Mapping[str, frozenset[str]], names: Iterable[str]) -> int:
    unseen, parts = set(names), 0
    while unseen:
        parts += 1
        queue = deque([unseen.pop()])
        while queue:
            near = cables[queue.popleft()] & unseen
            unseen -= near
            queue.extend(near)
    return parts


def _find_duties(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Return what each router does that another one does as well, most telling first."""
    found: dict[str, list[str]] = {}
    for name, duty in _all_duties(plan):
        if duty not in found.setdefault(name, []):
            found[name].append(duty)
    how_many = Counter(duty for duties in found.values() for duty in duties)
    return {name: tuple(duty for duty in duties if how_many[duty] > 1) for name, duties in found.items()}


def _all_duties(plan: Plan) -> Iterator[tuple[str, str]]:
    network = plan.network
    for uplink in network.uplinks.values():
        yield uplink.router, "uplinks"
    for exchange in network.exchanges.values():
        for port in exchange.ports:
            yield port.router, f"exchange {exchange.name}"
    for node in plan.routers():
        behind = _behind(plan, node.name)
        yield from ((node.name, f"service {service}") for service in _services(plan, behind))
        yield from ((node.name, f"customer {one}") for one in network.customers if one in behind)
        if any(neighbor.local.route_reflector_client for neighbor in plan.neighbors(node.name)):
            yield node.name, "route reflection"
        if node.site is not None:
            yield node.name, f"site {node.site}"


def _services(plan: Plan, nodes: set[str]) -> Iterator[str]:
    for node in sorted(nodes):
        for listener in plan.nodes[node].listeners:
            yield listener.service
