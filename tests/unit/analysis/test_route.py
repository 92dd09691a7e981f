"""Policies and preferences: what a session lets through, and which route a router takes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from resilience.analysis.bgp import choose, usable_routes
from resilience.analysis.route import LOCAL, Destination, PolicyBook, Route, originate, prefix_in_list
from resilience.model.plan import Node, Role
from resilience.model.policy import AsList, Direction, Match, Policy, PrefixList, PrefixRule, Term

TO = Destination(ip_network("198.51.100.0/24"))
FAR, FARTHER = int(ip_address("192.0.2.1")), int(ip_address("192.0.2.2"))
ROUTER = Node(name="r", role=Role.ROUTER, asn=64500, router_id=ip_address("10.0.0.1"), multipath=4)


def take(
    candidates: list[Route], distances: dict[int, int | None] | None = None, multipath: int = 4
) -> tuple[Route, ...]:
    """Choose, while every next hop is equally far except those given."""
    return choose(usable_routes(candidates, lambda hop: (distances or {}).get(hop, 10)), multipath)


def route(**changes: object) -> Route:
    """Return an ordinary route learned from a neighbour, with changes."""
    plain = Route(TO, path=(64496, 64497), next_hop=FAR, learned=1, originator=1)
    return plain._replace(**changes)  # type: ignore[arg-type]


BETTER = {
    "higher local preference beats a shorter path": (route(local_preference=200), route(path=(64496,))),
    "shorter path beats lower metric": (route(path=(64496,), metric=9), route()),
    "lower metric of the same neighbour": (route(metric=1), route(metric=2)),
    "learned outside beats learned inside": (route(), route(internal=True)),
    "nearer exit": (route(internal=True), route(internal=True, next_hop=FARTHER)),
    "lower router id": (route(originator=1), route(originator=2)),
    "fewer reflectors": (route(internal=True), route(internal=True, clusters=(7,))),
    "own before learned": (route(learned=LOCAL, next_hop=None), route(local_preference=999)),
}


@pytest.mark.parametrize(("better", "worse"), BETTER.values(), ids=BETTER)
def test_the_better_route_wins_whatever_the_order(better: Route, worse: Route) -> None:
    """RFC 4271 section 9.1.2.2, in the order in which both daemons go through it."""
    assert take([better, worse], {FARTHER: 20})[0] == better
    assert take([worse, better], {FARTHER: 20})[0] == better


def test_metrics_of_different_neighbours_are_not_compared() -> None:
    """RFC 4271 section 9.1.2.2 c: only among routes of the same neighbouring AS."""
    low_metric, low_id = route(path=(64498, 64497), metric=1, originator=2), route(metric=5, originator=1)

    assert take([low_metric, low_id])[0] == low_id


def test_routes_whose_next_hop_cannot_be_reached_do_not_count() -> None:
    """However good they look; and without any other there is no route."""
    lost, poor = route(local_preference=999, next_hop=FARTHER), route(local_preference=1)

    assert take([lost, poor], {FARTHER: None}) == (poor,)
    assert take([lost], {FARTHER: None}) == ()


def test_equal_routes_share_load_up_to_the_routers_limit() -> None:
    """Equal in all but the router id; a router without multipath takes one."""
    equal = [route(originator=index, learned=index) for index in range(1, 7)]

    assert take(equal) == tuple(equal[:4])
    assert take(equal, multipath=1) == (equal[0],)


@pytest.mark.parametrize(
    ("prefix", "listed"),
    [
        ("198.51.100.0/24", True),
        ("198.51.100.0/26", True),
        ("198.51.100.64/26", True),
        ("198.51.100.0/23", False),
        ("198.51.100.0/27", False),
        ("198.51.101.0/24", False),
        ("2001:db8::/32", False),
    ],
)
def test_prefix_rules_bound_the_length_inside_their_prefix(prefix: str, listed: bool) -> None:
    """`198.51.100.0/24{24,26}`."""
    made = PrefixList("l", 4, (PrefixRule(ip_network("198.51.100.0/24"), 24, 26),))

    assert prefix_in_list(made, ip_network(prefix)) is listed


def book(*terms: Term) -> tuple[PolicyBook, Policy]:
    """Return a node's policies with one of them."""
    policy = Policy(name="p", family=4, direction=Direction.IMPORT, terms=terms)
    lists = (PrefixList("ours", 4, (PrefixRule(TO.prefix, 24, 24),)),)
    node = Node(
        name="r",
        role=Role.ROUTER,
        asn=64500,
        policies=(policy,),
        prefix_lists=lists,
        as_lists=(AsList("bad", ((1, 9),)),),
    )
    return PolicyBook(node), policy


def test_the_first_term_that_matches_decides_and_none_means_reject() -> None:
    """RFC 8212: what nobody allows is denied."""
    books, policy = book(
        Term(name="bad", match=Match(as_path_has="bad"), accept=False),
        Term(name="ours", match=Match(prefixes="ours"), accept=True, local_preference=300),
        Term(name="never", match=Match(prefixes="ours"), accept=True, local_preference=1),
    )

    assert books.apply(policy, route(path=(64496, 5))) is None
    accepted = books.apply(policy, route())
    assert accepted is not None
    assert accepted[0].local_preference == 300
    assert books.apply(policy, route(destination=Destination(ip_network("203.0.113.0/24")))) is None


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        (Match(communities=((65535, 0),)), True),
        (Match(communities=((65535, 1),)), False),
        (Match(large_communities=((64500, 1, 4),)), True),
        (Match(not_first_as=64496), False),
        (Match(not_first_as=64497), True),
        (Match(path_longer_than=1), True),
        (Match(path_longer_than=2), False),
        (Match(next_hop_outside=ip_network("192.0.2.0/24")), False),
        (Match(next_hop_outside=ip_network("203.0.113.0/24")), True),
        (Match(path_has_set=True), False),
        (Match(rpki_invalid=True), False),
        (Match(prefixes="ours", path_longer_than=2), False),
    ],
)
def test_all_given_conditions_must_hold(match: Match, fits: bool) -> None:
    """None given matches every route."""
    books, policy = book(Term(name="t", match=match, accept=True))
    marked = route(
        communities=frozenset({(65535, 0)}),
        large_communities=frozenset({(64500, 1, 4)}),
        next_hop=int(ip_address("192.0.2.1")),
    )

    assert (books.apply(policy, marked) is not None) is fits


def test_our_communities_are_stripped_before_new_ones_are_added() -> None:
    """An imitation from outside never survives, and nobody else's is touched."""
    books, policy = book(Term(name="t", accept=True, strip_own=True, add_large_communities=((64500, 1, 1),)))
    marked = route(large_communities=frozenset({(64500, 1, 5), (64499, 1, 5)}))
    accepted = books.apply(policy, marked)

    assert accepted is not None
    assert accepted[0].large_communities == {(64500, 1, 1), (64499, 1, 5)}


def test_originations_carry_what_they_are() -> None:
    """Own prefixes may leave, parts of them may not: exports tell them apart by the tag."""
    assert originate(ROUTER, TO, own=True).large_communities == {(64500, 1, 5)}
    assert originate(ROUTER, TO, own=False).large_communities == {(64500, 1, 6)}
