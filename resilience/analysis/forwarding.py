"""Packets: what a kernel does with one, and the ways it can take through the network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

from resilience.analysis.damage import Damage
from resilience.analysis.igp import Igp
from resilience.analysis.propagation import Selected
from resilience.analysis.route import LOCAL, Route
from resilience.analysis.wires import Hop
from resilience.analysis.world import Situation, World, world_of
from resilience.model.network import IPAddress, IPNetwork
from resilience.model.plan import MAIN_TABLE, Endpoint, Flow, Interface, Plan, SourceFilter, StaticRoute

_MOST_LEGS = 64
_MOST_HOPS = 40


class View(Protocol):
    """What kernels follow at one moment."""

    world: World
    damage: Damage

    def igp_of(self, node: str) -> Igp:
        """Return OSPF as a node's kernel follows it."""

    def selected(self, node: str, prefix: IPNetwork) -> Selected:
        """Return the BGP routes of a prefix that a node's kernel follows."""


class End(StrEnum):
    """How a packet's way ends."""

    DELIVERED = "delivered"
    NO_ROUTE = "no route"
    DISCARDED = "discarded"
    LOOP = "loop"
    LOST = "lost"
    """Sent into a silent cable or a node that forwards nothing."""
    FILTERED = "filtered"
    """Dropped by the anti-spoofing of an interface."""
    DEAD = "dead"
    """The sender itself has no power."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One way that a packet can take."""

    nodes: tuple[str, ...]
    segments: tuple[str, ...]
    end: End

    @property
    def delivered(self) -> bool:
        """It arrives."""
        return self.end is End.DELIVERED


class Packet(NamedTuple):
    """Whence and whither."""

    source: IPAddress
    target: IPAddress


@dataclass(frozen=True, slots=True)
class FlowPaths:
    """Both directions of a flow, each with every leg of equal cost."""

    forward: tuple[Leg, ...]
    back: tuple[Leg, ...]

    @property
    def reachable(self) -> bool:
        """Every leg of both directions arrives."""
        return all(leg.delivered for leg in (*self.forward, *self.back))


def trace(view: View, node: str, packet: Packet) -> tuple[Leg, ...]:
    """Follow a packet from a node to its target through every next hop of equal cost."""
    if node in view.damage.dead:
        return (Leg((node,), (), End.DEAD),)
    legs: list[Leg] = []
    stack: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((node,), ())]
    while stack and len(legs) < _MOST_LEGS:
        nodes, segments = stack.pop()
        steps = _steps(view, nodes, packet)
        if isinstance(steps, End):
            legs.append(Leg(nodes, segments, steps))
            continue
        for hop in reversed(steps):
            crossed = view.world.wires.segments((nodes[-1], hop.interface), (hop.node, hop.far_interface))
            taken, further = (*nodes, hop.node), (*segments, *crossed)
            end = _crossing(view, nodes, hop, packet)
            if end is None:
                stack.append((taken, further))
            else:
                legs.append(Leg(taken, further, end))
    return tuple(legs)


def _steps(view: View, nodes: tuple[str, ...], packet: Packet) -> tuple[Hop, ...] | End:
    here = nodes[-1]
    if packet.target in view.world.addresses[here]:
        return End.DELIVERED
    if here in view.damage.grey and len(nodes) > 1:
        return End.LOST
    return look_up(view, here, packet.target)


def _crossing(view: View, nodes: tuple[str, ...], hop: Hop, packet: Packet) -> End | None:
    """Return how a packet ends on its way to the next node; None: it gets there."""
    here, there = (nodes[-1], hop.interface), (hop.node, hop.far_interface)
    if not view.world.wires.passes(view.damage, here, there):
        return End.LOST
    if hop.node in nodes or len(nodes) >= _MOST_HOPS:
        return End.LOOP
    if not _source_allowed(view, hop.node, view.world.wires.interfaces[there], packet.source):
        return End.FILTERED
    return None


def _source_allowed(view: View, node: str, interface: Interface, source: IPAddress) -> bool:
    if interface.source_filter is SourceFilter.STRICT:
        return any(source.version == p.version and source in p for p in interface.source_prefixes)
    if interface.source_filter is SourceFilter.LOOSE:
        return not isinstance(look_up(view, node, source), End)
    return True


def look_up(view: View, node: str, target: IPAddress) -> tuple[Hop, ...] | End:
    """Return the next hops of a kernel's longest match that has a next hop with carrier, or how the packet ends."""
    for entry in _entries(view.world, node, target):
        found = _follow(view, node, entry, target)
        if found is not None:
            return found
    return End.NO_ROUTE


class _Entry(NamedTuple):
    """A place in the kernel's tables, in the order in which they are asked."""

    order: tuple[int, int, int]
    interface: str | None = None
    static: StaticRoute | None = None
    bgp: IPNetwork | None = None


class _Tables:
    """What every view of one world shares: worked out once, by node and address as a number (numbers hash faster)."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, int], list[_Entry]] = {}
        self.connected: dict[tuple[str, int], tuple[str, Hop | None] | None] = {}
        self.paths: WeakKeyDictionary[Situation, dict[tuple[Endpoint, Endpoint], FlowPaths]] = WeakKeyDictionary()


_TABLES: WeakKeyDictionary[World, _Tables] = WeakKeyDictionary()
"""They live as long as their world."""


def _tables(world: World) -> _Tables:
    tables = _TABLES.get(world)
    if tables is None:
        tables = _TABLES[world] = _Tables()
    return tables


def _entries(world: World, node: str, target: IPAddress) -> list[_Entry]:
    """List what could match: main table by length, connected before static before OSPF before BGP; then floating."""
    made = _tables(world).entries
    key = (node, int(target))
    if key not in made:
        made[key] = _make_entries(world, node, target)
    return made[key]


def _make_entries(world: World, node: str, target: IPAddress) -> list[_Entry]:
    entries = [
        _Entry((0, -network.prefixlen, 0), interface=interface)
        for network, interface in world.networks[node]
        if network.version == target.version and target in network
    ]
    for route in world.plan.nodes[node].statics:
        if route.prefix.version == target.version and target in route.prefix:
            late = 0 if route.table == MAIN_TABLE else 1
            entries.append(_Entry((late, -route.prefix.prefixlen, 1), static=route))
    if target in world.igp_map.owners:
        entries.append(_Entry((0, -target.max_prefixlen, 2)))
    entries += [_Entry((0, -prefix.prefixlen, 3), bgp=prefix) for prefix in world.covering(target)]
    return sorted(entries, key=lambda entry: entry.order)


def _follow(view: View, node: str, entry: _Entry, target: IPAddress) -> tuple[Hop, ...] | End | None:
    """Return what one entry does with a packet; None: it is not there, or all its next hops are down."""
    if entry.interface is not None:
        return _on_link(view, node, entry.interface, target)
    if entry.static is not None:
        return _follow_static(view, node, entry.static)
    if entry.bgp is not None:
        return _follow_bgp(view, node, view.selected(node, entry.bgp))
    return _follow_igp(view, node, target)


def _on_link(view: View, node: str, interface: str, target: IPAddress) -> tuple[Hop, ...] | End | None:
    if not view.world.wires.has_carrier(view.damage, (node, interface)):
        return None
    hop = view.world.wires.owner(node, interface, target)
    return (hop,) if hop is not None else End.NO_ROUTE


def _follow_static(view: View, node: str, route: StaticRoute) -> tuple[Hop, ...] | End | None:
    if not route.next_hops:
        return End.DISCARDED
    hops = [
        hop
        for next_hop in route.next_hops
        if (hop := _towards(view, node, next_hop.interface, next_hop.address)) is not None
    ]
    return tuple(hops) or None


def _towards(view: View, node: str, interface: str, address: IPAddress) -> Hop | None:
    if not view.world.wires.has_carrier(view.damage, (node, interface)):
        return None
    return view.world.wires.owner(node, interface, address)


def _follow_igp(view: View, node: str, address: IPAddress) -> tuple[Hop, ...] | None:
    route = view.igp_of(node).route_to(node, address)
    if route is None:
        return None
    alive = (hop for hop in route.hops if view.world.wires.has_carrier(view.damage, (node, hop.interface)))
    return tuple(alive) or None


def _follow_bgp(view: View, node: str, selected: Selected) -> tuple[Hop, ...] | End | None:
    if not selected or selected[0].learned == LOCAL:
        return None
    if selected[0].discard:
        return End.DISCARDED
    hops = dict.fromkeys(hop for route in selected for hop in _resolved(view, node, route))
    return tuple(hops) or None


def _resolved(view: View, node: str, route: Route) -> tuple[Hop, ...]:
    """Return the first steps towards a BGP next hop: its owner on a connected network, else as OSPF goes."""
    if route.next_hop is None:
        return ()
    made = _tables(view.world).connected
    key = (node, int(route.next_hop))
    if key not in made:
        made[key] = _on_connected(view.world, node, route.next_hop)
    found = made[key]
    if found is None:
        return _follow_igp(view, node, route.next_hop) or ()
    interface, hop = found
    alive = hop is not None and view.world.wires.has_carrier(view.damage, (node, interface))
    return (hop,) if hop is not None and alive else ()


def _on_connected(world: World, node: str, address: IPAddress) -> tuple[str, Hop | None] | None:
    for network, interface in world.networks[node]:
        if network.version == address.version and address in network:
            return interface, world.wires.owner(node, interface, address)
    return None


def paths_of(situation: Situation, flow: Flow) -> FlowPaths:
    """Return the ways of a flow there, and back from wherever it arrived (else from every node that could answer)."""
    made = _tables(situation.world).paths.setdefault(situation, {})
    key = (flow.source, flow.target)
    if key not in made:
        made[key] = _trace_both_ways(situation, flow)
    return made[key]


def _trace_both_ways(view: View, flow: Flow) -> FlowPaths:
    there = Packet(flow.source.address, flow.target.address)
    forward = tuple(leg for node in flow.source.nodes for leg in trace(view, node, there))
    answering = tuple(dict.fromkeys(leg.nodes[-1] for leg in forward if leg.delivered)) or flow.target.nodes
    back = tuple(leg for node in answering for leg in trace(view, node, Packet(there.target, there.source)))
    return FlowPaths(forward, back)


def flow_paths(plan: Plan, flow: Flow, down: Damage | None = None) -> FlowPaths:
    """Return the ways that a flow takes once the network has settled with `down` broken.

    Example: `flow_paths(plan, flow) == flow_paths(plan, other)` tells whether two flows share their ways.
    """
    world = world_of(plan)
    return paths_of(world.settle(down) if down is not None else world.whole, flow)
