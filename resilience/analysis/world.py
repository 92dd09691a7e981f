"""A plan as one machine: cables, OSPF, BGP and kernels; and the settled state of it under any damage."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_network

from resilience.analysis.bgp import Speakers
from resilience.analysis.clock import START, Clock, Pace
from resilience.analysis.damage import NOTHING, Damage
from resilience.analysis.igp import Adjacency, Igp, IgpMap
from resilience.analysis.propagation import Event, Kind, PrefixState, Propagation, Selected
from resilience.analysis.route import Route, originate
from resilience.analysis.wires import Wires
from resilience.model.network import IPAddress, IPNetwork
from resilience.model.plan import Node, Plan, StaticRoute

_SITUATIONS_KEPT = 512


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
        self._igps: dict[frozenset[Adjacency], Igp] = {}
        self._situations: dict[Damage, Situation] = {}
        self._covering: dict[IPAddress, tuple[IPNetwork, ...]] = {}
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

    def covering(self, address: IPAddress) -> tuple[IPNetwork, ...]:
        """Return every prefix in BGP that holds an address, longest first."""
        if address not in self._covering:
            held = [p for p in self.originators if p.version == address.version and address in p]
            self._covering[address] = tuple(sorted(held, key=lambda p: -p.prefixlen))
        return self._covering[address]


class Situation:
    """The settled state under some damage. Each prefix is worked out when it is first asked for."""

    def __init__(self, world: World, damage: Damage) -> None:
        self.world = world
        self.damage = damage
        self.clock = Clock(Pace.INSTANT)
        self.igp = world.igp(damage)
        self._states: dict[IPNetwork, PrefixState] = {}
        self._works: dict[int, bool] = {}
        self._resolved: dict[tuple[str, IPAddress], int | None] = {}
        self._broken: tuple[int, ...] | None = None

    # What propagation asks

    def resolve_at(self, at_ms: float, node: str, next_hop: IPAddress) -> int | None:
        """Return the distance of a next hop; time does not matter in a settled state."""
        del at_ms
        key = (node, next_hop)
        if key not in self._resolved:
            self._resolved[key] = resolve(self.world, self.damage, self.igp, node, next_hop)
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
        return self.world.wires.passes(self.damage, (near.node, near.interface), (far.node, far.interface))

    # What forwarding asks

    def igp_of(self, node: str) -> Igp:
        """Return OSPF as a node's kernel follows it."""
        return self.world.whole.igp if node in self.damage.mute else self.igp

    def selected(self, node: str, prefix: IPNetwork) -> Selected:
        """Return the BGP routes that a node's kernel follows; a kernel without its daemon keeps what it had."""
        situation = self.world.whole if node in self.damage.mute and self.damage else self
        return situation.state(prefix).selected.get(node, ())

    def state(self, prefix: IPNetwork) -> PrefixState:
        """Return what every router holds of a prefix."""
        if prefix not in self._states:
            self._states[prefix] = self._settle(prefix) if self.damage else self._begin(prefix)
        return self._states[prefix]

    @property
    def settled(self) -> bool:
        """False: some prefix that was asked for never came to rest."""
        return all(state.settled for state in self._states.values())

    def _begin(self, prefix: IPNetwork) -> PrefixState:
        state = PrefixState(prefix)
        events = [Event(Kind.LOCAL, START, route_node, route=route) for route_node, route in self.originated(prefix)]
        if prefix.prefixlen == 0:
            givers = {end.local.node: None for end in self.world.speakers.ends if end.local.default_originate}
            events += [Event(Kind.TURN, START, node) for node in givers]
        Propagation(self.world.speakers, state, self).run(events)
        return state

    def _settle(self, prefix: IPNetwork) -> PrefixState:
        base = self.world.whole.state(prefix)
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
        events += self.lost_originations(base.prefix)
        if self.igp is not self.world.whole.igp:
            events += [Event(Kind.TURN, START, node) for node in self.world.igp_map.routers if node in base.candidates]
        return events

    def broken_ends(self) -> tuple[int, ...]:
        """Return the session ends that worked while the network was whole and do not work now."""
        if self._broken is None:
            whole = self.world.whole
            ends = range(len(self.world.speakers.ends))
            self._broken = tuple(end for end in ends if whole.works(end) and not self.works(end))
        return self._broken

    def originated(self, prefix: IPNetwork) -> list[tuple[str, Route]]:
        """Return who puts a prefix into BGP while its static route stands."""
        found = []
        for name, own in self.world.originators.get(prefix, ()):
            node = self.world.plan.nodes[name]
            if name not in self.damage.mute and self._stands(node, prefix):
                found.append((name, originate(node, prefix, own)))
        return found

    def lost_originations(self, prefix: IPNetwork) -> list[Event]:
        """Return the originations that fell with their static route, on routers that still work."""
        now = {name for name, _ in self.originated(prefix)}
        gone = [name for name, _ in self.world.originators.get(prefix, ()) if name not in now]
        return [Event(Kind.LOCAL, START, name) for name in gone if name not in self.damage.mute]

    def _stands(self, node: Node, prefix: IPNetwork) -> bool:
        statics = [route for route in node.statics if route.prefix == prefix]
        return not statics or any(self._has_way(node.name, route) for route in statics)

    def _has_way(self, node: str, route: StaticRoute) -> bool:
        carriers = (self.world.wires.has_carrier(self.damage, (node, hop.interface)) for hop in route.next_hops)
        return not route.next_hops or any(carriers)


def resolve(world: World, damage: Damage, igp: Igp, node: str, next_hop: IPAddress) -> int | None:
    """Return the distance of a BGP next hop: 0 on a connected network with carrier, else OSPF's."""
    for network, interface in world.networks[node]:
        if network.version == next_hop.version and next_hop in network:
            if world.wires.has_carrier(damage, (node, interface)):
                return 0
            break
    route = igp.route_to(node, next_hop)
    return None if route is None else route.distance


def _connected(node: Node) -> tuple[tuple[IPNetwork, str], ...]:
    return tuple((a.interface.network, i.name) for i in node.interfaces for a in i.addresses)


def _addresses(node: Node) -> frozenset[IPAddress]:
    on_cables = (a.ip for i in node.interfaces for a in i.addresses)
    return frozenset([*(a.ip for a in node.loopbacks), *on_cables])


def _originators(plan: Plan) -> dict[IPNetwork, list[tuple[str, bool]]]:
    found: dict[IPNetwork, list[tuple[str, bool]]] = {}
    for node in plan.nodes.values():
        for origination in node.originations:
            found.setdefault(origination.prefix, []).append((node.name, origination.own))
    for session in plan.sessions:
        if any(end.default_originate for end in session.ends):
            found.setdefault(ip_network("0.0.0.0/0" if session.family == 4 else "::/0"), [])
    return found


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
