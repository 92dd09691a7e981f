"""BGP as the plan's sessions speak it: what an end sends, what the other takes, and which route a router prefers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from resilience.analysis.route import (
    DEFAULT_LOCAL_PREFERENCE,
    LOCAL,
    NO_ADVERTISE,
    NO_EXPORT,
    Destination,
    PolicyBook,
    Route,
)
from resilience.model.network import IPNetwork
from resilience.model.plan import BgpRole, Interface, Neighbor, Node, Plan, Session, SessionEnd

Resolve = Callable[[int], int | None]
"""Next hop to the IGP's distance; None: cannot be reached."""

_UPWARD = frozenset({BgpRole.PROVIDER, BgpRole.PEER, BgpRole.RS_SERVER})
"""What the other end is when a route learned from it carries OTC, or must get it (RFC 9234 section 5)."""
_OTHER_ROLE = {
    BgpRole.PROVIDER: BgpRole.CUSTOMER,
    BgpRole.CUSTOMER: BgpRole.PROVIDER,
    BgpRole.PEER: BgpRole.PEER,
    BgpRole.RS_SERVER: BgpRole.RS_CLIENT,
    BgpRole.RS_CLIENT: BgpRole.RS_SERVER,
}


class End(NamedTuple):
    """One end of a session, numbered; the other end's number differs in the last bit."""

    number: int
    session: Session
    local: SessionEnd
    remote: SessionEnd

    @property
    def other(self) -> int:
        """The number of the other end."""
        return self.number ^ 1

    @property
    def internal(self) -> bool:
        """The session stays inside one AS."""
        return self.local.asn == self.remote.asn


class Speakers:
    """Every BGP speaker of a plan. What a session makes of a route is worked out once and remembered."""

    def __init__(self, plan: Plan) -> None:
        self.nodes = plan.nodes
        self.ends: list[End] = []
        self.of_node: dict[tuple[str, int], list[End]] = {}
        for session in plan.sessions:
            for local, remote in (session.ends, session.ends[::-1]):
                end = End(len(self.ends), session, local, remote)
                self.ends.append(end)
                self.of_node.setdefault((local.node, session.family), []).append(end)
        speaking = {end.local.node for end in self.ends}
        self._books = {name: PolicyBook(plan.nodes[name]) for name in speaking}
        self._passed: dict[tuple[int, Route], Route | None] = {}

    def neighbor(self, end: int) -> Neighbor:
        """Return a session as one of its ends sees it."""
        found = self.ends[end]
        return Neighbor(found.session, found.local, found.remote)

    def passed(self, number: int, best: Route | None, destination: Destination) -> Route | None:
        """Return what the other end of a session holds when this end's best route is `best`; None: nothing."""
        end = self.ends[number]
        if end.local.default_originate and destination.prefix.prefixlen == 0:
            best = Route(destination, originator=_router_id(self.nodes[end.local.node]))
            return self._receive(end, self._announce(end, best, prepend=0, next_hop_self=False))
        if best is None:
            return None
        key = (number, best)
        if key not in self._passed:
            self._passed[key] = self._pass(end, best)
        return self._passed[key]

    def _pass(self, end: End, best: Route) -> Route | None:
        if not self._may_send(end, best):
            return None
        book = self._books[end.local.node]
        verdict = book.apply(book.policy(end.local.export_policy), best)
        if verdict is None or best.discard:
            return None
        route, term = verdict
        if not end.internal and NO_EXPORT in best.communities:
            return None
        sent = self._announce(
            end,
            route,
            prepend=term.prepend if term else 0,
            next_hop_self=term.next_hop_self if term else False,
            metric=term.metric if term else None,
        )
        return self._receive(end, sent)

    def _may_send(self, end: End, best: Route) -> bool:
        if best.learned == end.number or NO_ADVERTISE in best.communities:
            return False
        if end.internal and best.internal:
            source = self.ends[best.learned].local
            return source.route_reflector_client or end.local.route_reflector_client
        other_is = _OTHER_ROLE.get(end.local.role) if end.local.role else None
        return best.only_to_customer is None or other_is not in _UPWARD

    def _announce(
        self, end: End, route: Route, *, prepend: int, next_hop_self: bool, metric: int | None = None
    ) -> Route:
        """Return the route as it leaves: path, next hop and the attributes that do not cross a border."""
        node = self.nodes[end.local.node]
        if end.internal:
            return self._announce_inside(end, node, route, next_hop_self=next_hop_self or end.local.next_hop_self)
        if end.local.route_server:
            return route._replace(internal=False, clusters=())
        third_party = self._third_party(end, route)
        asn = end.local.asn
        otc = route.only_to_customer
        if otc is None and end.local.role in {BgpRole.PROVIDER, BgpRole.PEER, BgpRole.RS_SERVER}:
            otc = asn
        return route._replace(
            path=(asn,) * (prepend + 1) + route.path,
            metric=0 if metric is None else metric,
            local_preference=DEFAULT_LOCAL_PREFERENCE,
            next_hop=route.next_hop if third_party and not next_hop_self else int(end.local.address),
            internal=False,
            originator=_router_id(node),
            clusters=(),
            only_to_customer=otc,
        )

    def _announce_inside(self, end: End, node: Node, route: Route, *, next_hop_self: bool) -> Route:
        reflected = route.internal
        own_hop = route.learned == LOCAL or (next_hop_self and not reflected)
        return route._replace(
            next_hop=int(end.local.address) if own_hop else route.next_hop,
            internal=True,
            originator=route.originator if reflected else _router_id(node),
            clusters=(_cluster(node), *route.clusters) if reflected else (),
        )

    def _third_party(self, end: End, route: Route) -> bool:
        """Say whether the next hop lies on the LAN that both ends share: then it stays (RFC 4271 section 5.1.3)."""
        if route.next_hop is None or end.local.interface is None or route.internal:
            return False
        network = _network_of(self.nodes[end.local.node].interface(end.local.interface), end.session.family)
        if network is None or network.prefixlen >= network.max_prefixlen - 2:
            return False
        return int(network.network_address) <= route.next_hop <= int(network.broadcast_address)

    def _receive(self, end: End, sent: Route) -> Route | None:
        there = self.nodes[end.remote.node]
        if self._is_loop(end, there, sent) or self._is_leak(end, sent):
            return None
        book = self._books[end.remote.node]
        verdict = book.apply(book.policy(end.remote.import_policy), sent._replace(learned=end.other))
        if verdict is None:
            return None
        route, term = verdict
        if term is not None and term.next_hop_peer:
            route = route._replace(next_hop=int(end.local.address))
        if route.only_to_customer is None and end.local.role in _UPWARD and end.remote.role is not None:
            route = route._replace(only_to_customer=end.local.asn)
        return route

    @staticmethod
    def _is_loop(end: End, there: Node, sent: Route) -> bool:
        if end.internal:
            return sent.originator == _router_id(there) or _cluster(there) in sent.clusters
        return end.remote.asn in sent.path

    @staticmethod
    def _is_leak(end: End, sent: Route) -> bool:
        """RFC 9234 section 5: a route with OTC may not come up from a customer, nor sideways with a stranger's OTC."""
        if sent.only_to_customer is None or end.internal or end.remote.role is None:
            return False
        other_is = _OTHER_ROLE[end.remote.role]
        if other_is in {BgpRole.CUSTOMER, BgpRole.RS_CLIENT}:
            return True
        return other_is is BgpRole.PEER and sent.only_to_customer != end.local.asn


def usable_routes(candidates: Iterable[Route], resolve: Resolve) -> list[tuple[Route, int]]:
    """Return the routes whose next hop can be reached, each with the IGP's distance to it."""
    usable = []
    for route in candidates:
        distance = 0 if route.learned == LOCAL or route.next_hop is None else resolve(route.next_hop)
        if distance is not None:
            usable.append((route, distance))
    return usable


def choose(usable: list[tuple[Route, int]], multipath: int = 1) -> tuple[Route, ...]:
    """Return the best route of a router first, then those that share its load; empty: there is none.

    What the router itself puts into BGP comes before all that it learns, on both daemons.
    """
    own = next((route for route, _ in usable if route.learned == LOCAL), None)
    if own is not None:
        return (own,)
    if not usable:
        return ()
    ranked = sorted(_without_worse_metrics(usable), key=_order)
    best = _load(ranked[0])
    return tuple(item[0] for item in ranked if _load(item) == best)[: max(multipath, 1)]


def _without_worse_metrics(usable: list[tuple[Route, int]]) -> list[tuple[Route, int]]:
    """Keep the first by preference and length, and of each neighbouring AS only those with its lowest metric."""
    top = min((-route.local_preference, len(route.path)) for route, _ in usable)
    level = [item for item in usable if (-item[0].local_preference, len(item[0].path)) == top]
    lowest: dict[tuple[int, ...], int] = {}
    for route, _ in level:
        first = route.path[:1]
        lowest[first] = min(lowest.get(first, route.metric), route.metric)
    return [item for item in level if item[0].metric == lowest[item[0].path[:1]]]


def _order(item: tuple[Route, int]) -> tuple[bool, int, int, int, int]:
    route, distance = item
    return route.internal, distance, route.originator, len(route.clusters), route.next_hop or 0


def _load(item: tuple[Route, int]) -> tuple[bool, int]:
    return item[0].internal, item[1]


def _router_id(node: Node) -> int:
    return int(node.router_id or 0)


def _cluster(node: Node) -> int:
    return int(node.cluster_id or node.router_id or 0)


def _network_of(interface: Interface, family: int) -> IPNetwork | None:
    address = interface.address(family)
    return address.interface.network if address else None
