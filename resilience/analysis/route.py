"""A BGP route as one router holds it, and what a policy makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from resilience.model.network import IPNetwork
from resilience.model.plan import Node
from resilience.model.policy import Community, LargeCommunity, Match, Policy, PrefixList, PrefixRule, Relation, Term

NO_EXPORT: Community = (65535, 65281)
"""RFC 1997: not to another AS; both daemons obey it without being told."""
NO_ADVERTISE: Community = (65535, 65282)
DEFAULT_LOCAL_PREFERENCE = 100
LOCAL = -1
"""`Route.learned` of a route that this router itself puts into BGP."""


@dataclass(eq=False, frozen=True)
class Destination:
    """A prefix of one world. There is one object for each, so that looking it up costs nothing."""

    prefix: IPNetwork


class Route(NamedTuple):
    """A path to a prefix with its attributes."""

    destination: Destination
    path: tuple[int, ...] = ()
    local_preference: int = DEFAULT_LOCAL_PREFERENCE
    metric: int = 0
    communities: frozenset[Community] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()
    next_hop: int | None = None
    """The address as a number: numbers are quicker to look up."""
    learned: int = LOCAL
    """Number of the session end that it came in through."""
    internal: bool = False
    """Learned by iBGP."""
    originator: int = 0
    """Router id of who brought it into the AS, for iBGP, or of the neighbour."""
    clusters: tuple[int, ...] = ()
    only_to_customer: int | None = None
    """RFC 9234."""
    discard: bool = False


def originate(node: Node, destination: Destination, own: bool) -> Route:
    """Return the route of one of a node's own prefixes, tagged as every renderer tags it."""
    relation = Relation.OWN if own else Relation.INTERNAL
    return Route(
        destination=destination,
        large_communities=frozenset({(node.asn or 0, 1, int(relation))}),
        originator=int(node.router_id or 0),
    )


class PolicyBook:
    """The policies and lists of one node, ready to be asked. Answers about lists are remembered by prefix."""

    def __init__(self, node: Node) -> None:
        self._asn = node.asn or 0
        self._policies = {policy.name: policy for policy in node.policies}
        self._prefix_lists = {made.name: made for made in node.prefix_lists}
        self._as_lists = {made.name: made for made in node.as_lists}
        self._in_list: dict[tuple[str, Destination], bool] = {}

    def policy(self, name: str | None) -> Policy | None:
        """Return a policy by name; None stands for no policy at all."""
        return None if name is None else self._policies[name]

    def apply(self, policy: Policy | None, route: Route) -> tuple[Route, Term | None] | None:
        """Return the route as the policy lets it through with the deciding term; None: rejected."""
        if policy is None:
            return route, None
        for term in policy.terms:
            if self._matches(term.match, route):
                return (self._act(term, route), term) if term.accept else None
        return None

    def _matches(self, match: Match, route: Route) -> bool:
        return (
            (match.prefixes is None or self._listed(match.prefixes, route.destination))
            and (match.as_path_has is None or self._path_has(match.as_path_has, route))
            and (not match.communities or not route.communities.isdisjoint(match.communities))
            and (not match.large_communities or not route.large_communities.isdisjoint(match.large_communities))
            and (match.not_first_as is None or route.path[:1] != (match.not_first_as,))
            and (match.path_longer_than is None or len(route.path) > match.path_longer_than)
            and (match.next_hop_outside is None or not _inside(match.next_hop_outside, route.next_hop))
            and not match.path_has_set  # nobody in a plan aggregates
            and not match.rpki_invalid  # nothing in a plan is signed wrongly
        )

    def _listed(self, name: str, destination: Destination) -> bool:
        key = (name, destination)
        if key not in self._in_list:
            self._in_list[key] = prefix_in_list(self._prefix_lists[name], destination.prefix)
        return self._in_list[key]

    def _path_has(self, name: str, route: Route) -> bool:
        return any(low <= asn <= high for asn in route.path for low, high in self._as_lists[name].ranges)

    def _act(self, term: Term, route: Route) -> Route:
        large = route.large_communities
        if term.strip_own:
            large = frozenset(community for community in large if community[0] != self._asn)
        return route._replace(
            large_communities=large.union(term.add_large_communities),
            communities=route.communities.union(term.add_communities),
            local_preference=route.local_preference if term.local_preference is None else term.local_preference,
            metric=route.metric if term.metric is None else term.metric,
            discard=route.discard or term.discard,
        )


def _inside(network: IPNetwork, address: int | None) -> bool:
    first = int(network.network_address)
    return address is not None and first <= address <= int(network.broadcast_address)


def prefix_in_list(made: PrefixList, prefix: IPNetwork) -> bool:
    """Say whether any rule of a prefix list holds the prefix, and no exception does."""
    if prefix.version != made.family:
        return False
    return _in_rules(made.rules, prefix) and not _in_rules(made.exceptions, prefix)


def _in_rules(rules: tuple[PrefixRule, ...], prefix: IPNetwork) -> bool:
    length, first = prefix.prefixlen, int(prefix.network_address)
    for rule in rules:
        if rule.low <= length <= rule.high and rule.prefix.prefixlen <= length:
            shift = rule.prefix.max_prefixlen - rule.prefix.prefixlen
            if first >> shift == int(rule.prefix.network_address) >> shift:
                return True
    return False
