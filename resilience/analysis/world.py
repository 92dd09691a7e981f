"""A plan as one machine: cables, OSPF, BGP and kernels; and the settled state of it under any damage."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

from resilience.analysis.bgp import Speakers
from resilience.analysis.clock import START, Clock, Pace
from resilience.analysis.damage import NOTHING, Damage
from resilience.analysis.igp import Adjacency, Igp, IgpMap
from resilience.analysis.propagation import Event, Kind, PrefixState, Propagation, Selected
from resilience.analysis.route import Destination, Route, originate
from resilience.analysis.wires import Cables, Hop, Wires
from resilience.model.network import IPAddress, IPNetwork
from resilience.model.plan import Node, Plan, StaticRoute

_SITUATIONS_KEPT = 512
_ALL_OF_IPV4 = 1 << 32
"""Addresses are handled as numbers; no plan uses an IPv6 address below this one."""


class World:
    """Everything about a plan that no damage changes, and the settled states already worked out."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.wires = Wires(plan)
        self.igp_map = IgpMap(plan, self.wires)
        self.speakers = Speakers(plan)
        self.networks = {name: _connected(node) for name, node in plan.nodes.items()}
        self.addresses = {name: _addresses(node) for name, node in plan.nodes.items()}
        self.originators = _originators(plan)
        self._near: dict[tuple[str, int], tuple[str, Hop | None] | None] = {}
        self._igps: dict[frozenset[Adjacency], Igp] = {}
        self._situations: dict[Damage, Situation] = {}
        self._covering: dict[IPAddress, tuple[Destination, ...]] = {}
        self.tables: dict[tuple[str, int], tuple[Any, ...]] = {}
        """What could match an address at a node; kept for `forwarding`."""
        self.whole = Situation(self, NOTHING)
        self._situations[NOTHING] = self.whole

    def settle(self, damage: Damage) -> Situation:
        """Return the settled state of the network under some damage that befell it while it was whole."""
        if damage not in self._situations:
            if len(self._situations) > _SITUATIONS_KEPT:
                self._situations = {NOTHING: self.whole}
            self._situations[damage] = Situation(self, damage)
        return self._situations[damage]

    def igp(self, damage: Damage) -> Igp:
        """Return OSPF's settled state; equal ones are the same object."""
        working = self.igp_map.working(self.wires, damage)
        if working not in self._igps:
            self._igps[working] = Igp(self.igp_map, working)
        return self._igps[working]

    def covering(self, address: IPAddress) -> tuple[Destination, ...]:
        """Return every prefix in BGP that holds an address, longest first."""
        if address not in self._covering:
            same = (d for d in self.originators if d.prefix.version == address.version)
            held = [destination for destination in same if address in destination.prefix]
            self._covering[address] = tuple(sorted(held, key=lambda d: -d.prefix.prefixlen))
        return self._covering[address]

    def near(self, node: str, address: int) -> tuple[str, Hop | None] | None:
        """Return the interface on whose network an address lies, and the step to its owner; None: not connected."""
        key = (node, address)
        if key not in self._near:
            self._near[key] = self._find_near(
                node, IPv4Address(address) if address < _ALL_OF_IPV4 else IPv6Address(address)
            )
        return self._near[key]

    def _find_near(self, node: str, address: IPAddress) -> tuple[str, Hop | None] | None:
        for network, interface in self.networks[node]:
            if network.version == address.version and address in network:
                return interface, self.wires.owner(node, interface, address)
        return None


class Situation:
    """The settled state under some damage. Each prefix is worked out when it is first asked for."""

    def __init__(self, world: World, damage: Damage) -> None:
        self.world = world
        self.damage = damage
        self.clock = Clock(Pace.INSTANT)
        self.igp = world.igp(damage)
        self.cables = world.wires.cables(damage)
        self._states: dict[Destination, PrefixState] = {}
        self._works: dict[int, bool] = {}
        self._resolved: dict[tuple[str, int], int | None] = {}
        self._broken: tuple[int, ...] | None = None
        self._moved: dict[str, set[int]] | None = None
        self._remembered: dict[Hashable, Any] = {}

    # What propagation asks

    def resolve_at(self, at_ms: float, node: str, next_hop: int) -> int | None:
        """Return the distance of a next hop; time does not matter in a settled state."""
        del at_ms
        key = (node, next_hop)
        if key not in self._resolved:
            self._resolved[key] = resolve(self.world, self.cables, self.igp, node, next_hop)
        return self._resolved[key]

    def works(self, end: int) -> bool:
        """Say whether a session is up."""
        number = end >> 1
        if number not in self._works:
            self._works[number] = self._session_works(number)
        return self._works[number]

    def is_mute(self, node: str) -> bool:
        """Say whether a router's daemon is gone."""
        return node in self.damage.mute

    def _session_works(self, number: int) -> bool:
        end = self.world.speakers.ends[2 * number]
        near, far = end.local, end.remote
        mute = self.damage.mute
        if near.node in mute or far.node in mute or end.session.name in self.damage.closed:
            return False
        if near.interface is None or far.interface is None:
            there, back = self.igp.distance(near.node, far.node), self.igp.distance(far.node, near.node)
            return there is not None and back is not None
        return self.cables.passes((near.node, near.interface), (far.node, far.interface))

    # What forwarding asks

    def igp_of(self, node: str) -> Igp:
        """Return OSPF as a node's kernel follows it."""
        return self.world.whole.igp if node in self.damage.mute else self.igp

    def selected(self, node: str, destination: Destination) -> Selected:
        """Return the BGP routes that a node's kernel follows; a kernel without its daemon keeps what it had."""
        situation = self.world.whole if node in self.damage.mute and self.damage else self
        return situation.state(destination).selected.get(node, ())

    def state(self, destination: Destination) -> PrefixState:
        """Return what every router holds of a prefix."""
        if destination not in self._states:
            self._states[destination] = self._settle(destination) if self.damage else self._begin(destination)
        return self._states[destination]

    def remember(self, key: Hashable, work_out: Callable[[], Any]) -> Any:
        """Return what somebody worked out about this state before, or work it out now."""
        if key not in self._remembered:
            self._remembered[key] = work_out()
        return self._remembered[key]

    @property
    def settled(self) -> bool:
        """False: some prefix that was asked for never came to rest."""
        return all(state.settled for state in self._states.values())

    def _begin(self, destination: Destination) -> PrefixState:
        state = PrefixState(destination)
        events = [Event(Kind.LOCAL, START, node, routes=(route,)) for node, route in self.originated(destination)]
        if destination.prefix.prefixlen == 0:
            givers = {end.local.node: None for end in self.world.speakers.ends if end.local.default_originate}
            events += [Event(Kind.TURN, START, node) for node in givers]
        Propagation(self.world.speakers, state, self).run(events)
        return state

    def _settle(self, destination: Destination) -> PrefixState:
        base = self.world.whole.state(destination)
        events = self._disturbances(base)
        if not events:
            return base
        state = base.copy()
        Propagation(self.world.speakers, state, self).run(events)
        for node in self.damage.mute:
            state.selected.pop(node, None)
        return state

    def _disturbances(self, base: PrefixState) -> list[Event]:
        """Return what the damage does to one prefix: lost sessions that carried it, lost originations, a new IGP."""
        events = [
            Event(Kind.LOST, START, self.world.speakers.ends[end].local.node, end=end)
            for end in self.broken_ends()
            if end in base.candidates.get(self.world.speakers.ends[end].local.node, ()) or end in base.sent
        ]
        events += self.lost_originations(base.destination)
        events += [Event(Kind.TURN, START, node) for node in self.turned(base)]
        return events

    def turned(self, base: PrefixState) -> list[str]:
        """Return the routers for which OSPF's new view moves a next hop of some route of a prefix."""
        moved = self._moved_next_hops()
        return [
            node
            for node, hops in moved.items()
            if any(route.next_hop in hops for routes in base.candidates.get(node, {}).values() for route in routes)
        ]

    def _moved_next_hops(self) -> dict[str, set[int]]:
        """Return, for each router, the addresses in OSPF that are no longer as far as they were."""
        if self._moved is None:
            before, now, owners = self.world.whole.igp, self.igp, self.world.igp_map.owners
            routers = [] if now is before else self.world.igp_map.routers
            self._moved = {}
            for node in routers:
                far = {owner for owner in routers if before.distance(node, owner) != now.distance(node, owner)}
                if far:
                    self._moved[node] = {address for address, owner in owners.items() if owner in far}
        return self._moved

    def broken_ends(self) -> tuple[int, ...]:
        """Return the session ends that worked while the network was whole and do not work now."""
        if self._broken is None:
            whole = self.world.whole
            ends = range(len(self.world.speakers.ends))
            self._broken = tuple(end for end in ends if whole.works(end) and not self.works(end))
        return self._broken

    def originated(self, destination: Destination) -> list[tuple[str, Route]]:
        """Return who puts a prefix into BGP while its static route stands."""
        found = []
        for name, own in self.world.originators.get(destination, ()):
            node = self.world.plan.nodes[name]
            if name not in self.damage.mute and self._stands(node, destination.prefix):
                found.append((name, originate(node, destination, own)))
        return found

    def lost_originations(self, destination: Destination) -> list[Event]:
        """Return the originations that fell with their static route, on routers that still work."""
        now = {name for name, _ in self.originated(destination)}
        gone = [name for name, _ in self.world.originators.get(destination, ()) if name not in now]
        return [Event(Kind.LOCAL, START, name) for name in gone if name not in self.damage.mute]

    def _stands(self, node: Node, prefix: IPNetwork) -> bool:
        statics = [route for route in node.statics if route.prefix == prefix]
        return not statics or any(self._has_way(node.name, route) for route in statics)

    def _has_way(self, node: str, route: StaticRoute) -> bool:
        carriers = (self.cables.has_carrier((node, hop.interface)) for hop in route.next_hops)
        return not route.next_hops or any(carriers)


def resolve(world: World, cables: Cables, igp: Igp, node: str, next_hop: int) -> int | None:
    """Return the distance of a BGP next hop: 0 on a connected network with carrier, else OSPF's."""
    near = world.near(node, next_hop)
    if near is not None and cables.has_carrier((node, near[0])):
        return 0
    route = igp.route_to(node, next_hop)
    return None if route is None else route.distance


def _connected(node: Node) -> tuple[tuple[IPNetwork, str], ...]:
    return tuple((a.interface.network, i.name) for i in node.interfaces for a in i.addresses)


def _addresses(node: Node) -> frozenset[IPAddress]:
    on_cables = (a.ip for i in node.interfaces for a in i.addresses)
    return frozenset([*(a.ip for a in node.loopbacks), *on_cables])


def _originators(plan: Plan) -> dict[Destination, list[tuple[str, bool]]]:
    found: dict[IPNetwork, list[tuple[str, bool]]] = {}
    for node in plan.nodes.values():
        for origination in node.originations:
            found.setdefault(origination.prefix, []).append((node.name, origination.own))
    for session in plan.sessions:
        if any(end.default_originate for end in session.ends):
            found.setdefault(ip_network("0.0.0.0/0" if session.family == 4 else "::/0"), [])
    return {Destination(prefix): originators for prefix, originators in found.items()}


class _Same:
    """A plan as a key: plans hold mappings and have no hash, and one plan object never changes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __hash__(self) -> int:
        return id(self.plan)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.plan is other.plan


@lru_cache(maxsize=4)
def _world(same: _Same) -> World:
    return World(same.plan)


def world_of(plan: Plan) -> World:
    """Return the world of a plan; asked twice, it is the same one with all that it already worked out."""
    return _world(_Same(plan))
