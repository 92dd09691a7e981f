"""What each router of a plan should see when all is well: its sessions, and the promises that it can ask after."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from resilience.deploy.router import Probe
from resilience.model.adjacency import adjacencies
from resilience.model.plan import Flow, Neighbor, Node, Plan, SessionKind

MOST_PROBES = 64
"""What a router is asked at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSession:
    """A session that the plan holds, as its router names it."""

    name: str
    neighbor: str
    family: int
    announces: bool
    """Prefixes of our own go to this neighbour."""
    bfd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What one router should see."""

    sessions: tuple[ExpectedSession, ...] = ()
    ospf_neighbors: int = 0
    """Full ones, of both families together."""
    probes: tuple[Probe, ...] = ()
    probes_left_out: int = 0


def expect(plan: Plan, names: Iterable[str]) -> dict[str, Expected]:
    """Return what each of these routers should see.

    An objective's flows are asked after by the router that is nearest to where they begin, towards services and
    customers: what is beyond them belongs to others, and the plan only imagines it.
    """
    wanted = tuple(dict.fromkeys(names))
    probes = _plan_probes(plan, wanted)
    return {
        name: Expected(
            sessions=tuple(_sessions(plan, plan.nodes[name])),
            ospf_neighbors=len(adjacencies(plan, plan.nodes[name])),
            probes=probes[name][:MOST_PROBES],
            probes_left_out=max(0, len(probes[name]) - MOST_PROBES),
        )
        for name in wanted
    }


def _sessions(plan: Plan, node: Node) -> Iterator[ExpectedSession]:
    originates = {origination.prefix.version for origination in node.originations if origination.own}
    for neighbor in plan.neighbors(node.name):
        yield ExpectedSession(
            name=neighbor.session.name,
            neighbor=str(neighbor.remote.address),
            family=neighbor.session.family,
            announces=neighbor.session.kind is not SessionKind.IBGP and neighbor.session.family in originates,
            bfd=_agree_on_bfd(neighbor),
        )


def _agree_on_bfd(neighbor: Neighbor) -> bool:
    return neighbor.local.bfd is not None and neighbor.remote.bfd is not None


def _plan_probes(plan: Plan, names: tuple[str, ...]) -> Mapping[str, tuple[Probe, ...]]:
    found: dict[str, dict[str, Probe]] = {name: {} for name in names}
    cables = _cables(plan)
    near: dict[str, str | None] = {}
    for flow in _flows(plan):
        for source in flow.source.nodes:
            if source not in near:
                near[source] = _nearest(plan, cables, source)
            asked = near[source]
            if asked in found:
                probe = _probe(plan.nodes[asked], flow)
                if probe is not None:
                    found[asked].setdefault(probe.id, probe)
    return {name: tuple(probes.values()) for name, probes in found.items()}


def _flows(plan: Plan) -> Iterator[Flow]:
    reachable = plan.network.services.keys() | plan.network.customers.keys()
    for objective in plan.objectives:
        yield from (flow for flow in objective.flows if flow.target.label in reachable)


def _probe(router: Node, flow: Flow) -> Probe | None:
    loopback = router.loopback(flow.family)
    if loopback is None:
        return None
    asked = f"{flow.target.label} ipv{flow.family} {f'port {flow.port}' if flow.port else 'echo'}"
    return Probe(id=asked, source=str(loopback.ip), target=str(flow.target.address), port=flow.port)


def _cables(plan: Plan) -> Mapping[str, list[str]]:
    cables: dict[str, list[str]] = {}
    for segment in plan.segments.values():
        (near, _), (far, _) = segment.ends
        cables.setdefault(near, []).append(far)
        cables.setdefault(far, []).append(near)
    return cables


def _nearest(plan: Plan, cables: Mapping[str, list[str]], start: str) -> str | None:
    """Return the router of ours that is the fewest cables away."""
    seen, queue = {start}, deque([start])
    while queue:
        here = queue.popleft()
        if plan.nodes[here].managed:
            return here
        for there in cables.get(here, ()):
            if there not in seen:
                seen.add(there)
                queue.append(there)
    return None
