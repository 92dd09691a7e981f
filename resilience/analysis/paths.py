"""The ways of flows: there, and back from wherever they arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from resilience.analysis.damage import Damage
from resilience.analysis.forwarding import End, Leg, Packet, Sweep, View, arrives, delivered_at, sweep, trace
from resilience.analysis.propagation import kernel_route
from resilience.analysis.route import Destination
from resilience.analysis.world import Situation, world_of
from resilience.model.journal import Way
from resilience.model.plan import Flow, Plan


@dataclass(frozen=True, slots=True)
class FlowPaths:
    """Both directions of a flow, each with every leg of equal cost."""

    forward: tuple[Leg, ...]
    back: tuple[Leg, ...]

    @property
    def reachable(self) -> bool:
        """Every leg of both directions arrives."""
        return all(leg.delivered for leg in (*self.forward, *self.back))


class Passage(NamedTuple):
    """One direction of a flow at one moment."""

    swept: Sweep
    some: bool
    """At least one of its equal legs arrives."""
    every: bool
    """All of them do."""


def packet_of(flow: Flow, way: Way) -> Packet:
    """Return a packet of one direction."""
    ends = (flow.source.address, flow.target.address)
    return Packet(*ends) if way is Way.FORWARD else Packet(*ends[::-1])


def passage(view: View, starts: tuple[str, ...], packet: Packet) -> Passage:
    """Look how a packet fares from any of some nodes."""
    swept = sweep(view, starts, packet)
    return Passage(swept, *arrives(view, starts, packet, swept))


def answering(view: View, flow: Flow, usual: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the nodes of the target that forward traffic arrives at; nowhere: the usual ones, else all."""
    if len(flow.target.nodes) == 1:
        return flow.target.nodes
    reached = delivered_at(sweep(view, flow.source.nodes, packet_of(flow, Way.FORWARD)))
    return reached or usual or flow.target.nodes


def look_both_ways(view: View, flow: Flow) -> dict[Way, Passage]:
    """Look how both directions of a flow fare."""
    starts = {Way.FORWARD: flow.source.nodes, Way.RETURN: answering(view, flow)}
    return {way: passage(view, nodes, packet_of(flow, way)) for way, nodes in starts.items()}


def stays_as_it_was(situation: Situation, flow: Flow, swept: Sweep) -> bool:
    """Say whether no node of a sweep does anything else than while the network was whole."""
    if not _is_whole(situation, swept):
        return False
    ends = (flow.source.address, flow.target.address)
    destinations = dict.fromkeys(d for address in ends for d in situation.world.covering(address))
    return all(swept.keys().isdisjoint(_concerned(situation, destination)) for destination in destinations)


def _is_whole(situation: Situation, swept: Sweep) -> bool:
    """Say whether every node and every step of a sweep still works."""
    damage, blocked = situation.damage, situation.cables.blocked
    if not (damage.dead | damage.grey).isdisjoint(swept):
        return False
    return not any(
        (node, hop.interface) in blocked or (hop.node, hop.far_interface) in blocked
        for node, steps in swept.items()
        if not isinstance(steps, End)
        for hop in steps
    )


def _concerned(situation: Situation, destination: Destination) -> frozenset[str]:
    """Return the nodes that forward to a prefix otherwise than while the network was whole."""
    found: frozenset[str] = situation.remember(destination, lambda: _find_concerned(situation, destination))
    return found


def _find_concerned(situation: Situation, destination: Destination) -> frozenset[str]:
    state, base = situation.state(destination), situation.world.whole.state(destination)
    nodes = () if state is base else {**base.selected, **state.selected}
    concerned = {
        node
        for node in nodes
        if kernel_route(state.selected.get(node, ())) != kernel_route(base.selected.get(node, ()))
    }
    if situation.igp is not situation.world.whole.igp:
        now, before = situation.igp, situation.world.whole.igp
        for node in situation.world.igp_map.routers:
            hops = (route.next_hop for route in state.selected.get(node, ()) if route.next_hop is not None)
            if any(now.route_to(node, hop) != before.route_to(node, hop) for hop in hops):
                concerned.add(node)
    return frozenset(concerned - situation.damage.mute)


def legs_of(view: View, flow: Flow, way: Way) -> tuple[Leg, ...]:
    """Return every way of one direction."""
    starts = flow.source.nodes if way is Way.FORWARD else answering(view, flow)
    return tuple(leg for node in starts for leg in trace(view, node, packet_of(flow, way)))


def flow_paths(plan: Plan, flow: Flow, down: Damage | None = None) -> FlowPaths:
    """Return the ways that a flow takes once the network has settled with `down` broken.

    Example: `flow_paths(plan, flow) == flow_paths(plan, other)` tells whether two flows share their ways.
    """
    world = world_of(plan)
    view = world.settle(down) if down is not None else world.whole
    return FlowPaths(legs_of(view, flow, Way.FORWARD), legs_of(view, flow, Way.RETURN))
