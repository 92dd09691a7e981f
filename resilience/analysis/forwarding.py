"""Packets: what a kernel does with one, and the ways it can take through the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from resilience.analysis.damage import Damage
from resilience.analysis.igp import Igp
from resilience.analysis.propagation import Selected
from resilience.analysis.route import LOCAL, Destination, Route
from resilience.analysis.wires import Cables, Hop
from resilience.analysis.world import World
from resilience.model.network import IPAddress
from resilience.model.plan import MAIN_TABLE, Interface, SourceFilter, StaticRoute

_MOST_LEGS = 64
_MOST_HOPS = 40


class View(Protocol):
    """What kernels follow at one moment."""

    world: World
    damage: Damage
    cables: Cables

    def igp_of(self, node: str) -> Igp:
        """Return OSPF as a node's kernel follows it."""

    def selected(self, node: str, destination: Destination) -> Selected:
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


Steps = tuple[Hop, ...] | End
Sweep = Mapping[str, Steps]
"""Every node that a packet can come to, with what happens to it there. Two equal sweeps are the same ways."""


def sweep(view: View, starts: tuple[str, ...], packet: Packet) -> Sweep:
    """Return what happens to a packet at every node that it can come to, each node looked at once."""
    found: dict[str, Steps] = {}
    queue = [(start, True) for start in starts]
    while queue:
        node, first = queue.pop()
        if node in found:
            continue
        steps = found[node] = steps_at(view, node, packet, first=first)
        queue += [(there, False) for there in onward(view, node, steps, packet)]
    return found


def arrives(view: View, starts: tuple[str, ...], packet: Packet, swept: Sweep) -> tuple[bool, bool]:
    """Return whether some way of a sweep ends at the target, and whether all do. A loop never arrives."""
    answers: dict[str, tuple[bool, bool] | None] = {}
    told = [_arrives_from(view, start, packet, swept, answers) for start in starts]
    return any(some for some, _ in told), all(every for _, every in told)


def _arrives_from(
    view: View, node: str, packet: Packet, swept: Sweep, answers: dict[str, tuple[bool, bool] | None]
) -> tuple[bool, bool]:
    if node in answers:
        return answers[node] or (False, False)  # None: still being answered, so this is a loop
    answers[node] = None
    steps = swept[node]
    if isinstance(steps, End):
        answer = (steps is End.DELIVERED,) * 2
    else:
        told = [
            _arrives_from(view, hop.node, packet, swept, answers)
            if _crossing(view, node, hop, packet) is None
            else (False, False)
            for hop in steps
        ]
        answer = (any(some for some, _ in told), all(every for _, every in told))
    answers[node] = answer
    return answer


def delivered_at(swept: Sweep) -> tuple[str, ...]:
    """Return the nodes at which a packet arrives."""
    return tuple(node for node, steps in swept.items() if steps is End.DELIVERED)


def trace(view: View, node: str, packet: Packet) -> tuple[Leg, ...]:
    """Follow a packet from a node to its target through every next hop of equal cost, each way by itself."""
    legs: list[Leg] = []
    stack: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((node,), ())]
    while stack and len(legs) < _MOST_LEGS:
        nodes, segments = stack.pop()
        steps = steps_at(view, nodes[-1], packet, first=len(nodes) == 1)
        if isinstance(steps, End):
            legs.append(Leg(nodes, segments, steps))
            continue
        for hop in reversed(steps):
            crossed = view.world.wires.segments((nodes[-1], hop.interface), (hop.node, hop.far_interface))
            taken, further = (*nodes, hop.node), (*segments, *crossed)
            end = _crossing(view, nodes[-1], hop, packet)
            if end is None and (hop.node in nodes or len(nodes) >= _MOST_HOPS):
                end = End.LOOP
            if end is None:
                stack.append((taken, further))
            else:
                legs.append(Leg(taken, further, end))
    return tuple(legs)


def steps_at(view: View, node: str, packet: Packet, *, first: bool) -> Steps:
    """Return what a node does with a packet; `first`: the packet is its own."""
    if node in view.damage.dead:
        return End.DEAD
    if packet.target in view.world.addresses[node]:
        return End.DELIVERED
    if node in view.damage.grey and not first:
        return End.LOST
    return look_up(view, node, packet.target)


def onward(view: View, node: str, steps: Steps, packet: Packet) -> tuple[str, ...]:
    """Return the nodes that a packet gets to by these steps; none where it ends here or on the cable."""
    if isinstance(steps, End):
        return ()
    return tuple(hop.node for hop in steps if _crossing(view, node, hop, packet) is None)


def _crossing(view: View, node: str, hop: Hop, packet: Packet) -> End | None:
    """Return how a packet ends between two nodes; None: it gets to the next one."""
    there = (hop.node, hop.far_interface)
    if not view.cables.passes((node, hop.interface), there):
        return End.LOST
    interface = view.world.wires.interfaces[there]
    if interface.source_filter is SourceFilter.NONE or _source_allowed(view, hop.node, interface, packet.source):
        return None
    return End.FILTERED


def _source_allowed(view: View, node: str, interface: Interface, source: IPAddress) -> bool:
    if interface.source_filter is SourceFilter.STRICT:
        return any(source.version == p.version and source in p for p in interface.source_prefixes)
    return not isinstance(look_up(view, node, source), End)


def look_up(view: View, node: str, target: IPAddress) -> Steps:
    """Return the next hops of a kernel's longest match that has a next hop with carrier, or how the packet ends."""
    number = int(target)
    made = view.world.tables
    key = (node, number)
    if key not in made:
        made[key] = _make_entries(view.world, node, target)
    entries: tuple[Entry, ...] = made[key]
    for entry in entries:
        found = entry.follow(view, node, number)
        if found is not None:
            return found
    return End.NO_ROUTE


class Entry(Protocol):
    """A place in a kernel's tables."""

    def follow(self, view: View, node: str, target: int) -> Steps | None:
        """Return what it does with a packet; None: it is not there, or all its next hops are down."""


def _make_entries(world: World, node: str, target: IPAddress) -> tuple[Entry, ...]:
    """List what could match: main table by length, connected before static before OSPF before BGP; then floating."""
    entries: list[tuple[tuple[int, int, int], Entry]] = [
        ((0, -network.prefixlen, 0), _Connected(interface, world.wires.owner(node, interface, target)))
        for network, interface in world.networks[node]
        if network.version == target.version and target in network
    ]
    for route in world.plan.nodes[node].statics:
        if route.prefix.version == target.version and target in route.prefix:
            late = 0 if route.table == MAIN_TABLE else 1
            entries.append(((late, -route.prefix.prefixlen, 1), _Static(route, _hops_of(world, node, route))))
    if int(target) in world.igp_map.owners:
        entries.append(((0, -target.max_prefixlen, 2), _Ospf()))
    entries += [((0, -held.prefix.prefixlen, 3), _Bgp(held)) for held in world.covering(target)]
    return tuple(entry for _, entry in sorted(entries, key=lambda item: item[0]))


def _hops_of(world: World, node: str, route: StaticRoute) -> tuple[Hop, ...]:
    owners = (world.wires.owner(node, hop.interface, hop.address) for hop in route.next_hops)
    return tuple(owner for owner in owners if owner is not None)


def _alive(view: View, node: str, hops: tuple[Hop, ...]) -> tuple[Hop, ...] | None:
    return tuple(hop for hop in hops if view.cables.has_carrier((node, hop.interface))) or None


@dataclass(frozen=True, slots=True)
class _Connected:
    interface: str
    owner: Hop | None

    def follow(self, view: View, node: str, target: int) -> Steps | None:
        del target
        if not view.cables.has_carrier((node, self.interface)):
            return None
        return End.NO_ROUTE if self.owner is None else (self.owner,)


@dataclass(frozen=True, slots=True)
class _Static:
    route: StaticRoute
    hops: tuple[Hop, ...]

    def follow(self, view: View, node: str, target: int) -> Steps | None:
        del target
        return _alive(view, node, self.hops) if self.route.next_hops else End.DISCARDED


class _Ospf:
    @staticmethod
    def follow(view: View, node: str, target: int) -> Steps | None:
        route = view.igp_of(node).route_to(node, target)
        return None if route is None else _alive(view, node, route.hops)


@dataclass(frozen=True, slots=True)
class _Bgp:
    destination: Destination

    def follow(self, view: View, node: str, target: int) -> Steps | None:
        del target
        selected = view.selected(node, self.destination)
        if not selected or selected[0].learned == LOCAL:
            return None
        if selected[0].discard:
            return End.DISCARDED
        if len(selected) == 1:
            return _resolved(view, node, selected[0]) or None
        return tuple(dict.fromkeys(hop for route in selected for hop in _resolved(view, node, route))) or None


def _resolved(view: View, node: str, route: Route) -> tuple[Hop, ...]:
    """Return the first steps towards a BGP next hop: its owner on a connected network, else as OSPF goes."""
    if route.next_hop is None:
        return ()
    near = view.world.near(node, route.next_hop)
    if near is None:
        return _Ospf.follow(view, node, route.next_hop) or ()  # type: ignore[return-value]
    interface, owner = near
    return (owner,) if owner is not None and view.cables.has_carrier((node, interface)) else ()
