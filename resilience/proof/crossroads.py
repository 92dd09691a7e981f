"""A router with one neighbour of each kind, each of which announces what it should not beside what it may.

Prefixes and addresses look like ordinary ones, since the filters under attack would refuse numbers kept for
documentation; the lab reaches nobody outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from resilience.model.network import Platform
from resilience.proof.announce import SILENT, Announcement, RouteAttack, RouteAttacks
from resilience.proof.guards import Lines, Unavailable, bird_term, frr_term
from resilience.proof.scenario import Group, Scenario

CROSSROADS: Final = """
network: crossroads
asn: 64500
prefixes: [31.41.0.0/20, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
providers:
  alpha: {asn: 64496}
uplinks:
  one: {router: gw, provider: alpha, address: [31.44.0.2/30, "2a02:bda::2/64"], neighbor: [31.44.0.1, "2a02:bda::1"]}
exchanges:
  mlix:
    ports: [{router: gw, address: [31.43.0.10/22, "2a02:bdb::10/64"]}]
    route_servers: [{asn: 64503, address: [31.43.0.1, "2a02:bdb::1"]}]
    peers: {university: {asn: 64510, address: [31.43.0.20, "2a02:bdb::20"]}}
customers:
  bank:
    asn: 64511
    routers: [gw]
    prefixes: [31.42.0.0/22, 31.42.4.0/22, 31.42.8.0/22, "2a02:bd0::/32", "2a02:bd1::/32", "2a02:bd2::/32"]
    send: full
"""

PROVIDER: Final = "provider-alpha"
PEER: Final = "peer-mlix-university"
ROUTE_SERVER: Final = "rs-mlix-1"
CUSTOMER: Final = "customer-bank"
ASN: Final = {PROVIDER: 64496, PEER: 64510, ROUTE_SERVER: 64503, CUSTOMER: 64511}
STRANGER: Final = 1_000_001
"""An AS far away, of no special kind."""

GOOD: Final = {
    PROVIDER: ("31.40.8.0/22", "2a02:bb8::/32"),
    PEER: ("31.40.16.0/22", "2a02:bc0::/32"),
    ROUTE_SERVER: ("31.40.24.0/22", "2a02:bc8::/32"),
    CUSTOMER: ("31.42.0.0/22", "2a02:bd0::/32"),
}
"""What each may announce. The customer has declared its prefixes."""
OTHER: Final = {
    PROVIDER: ("31.40.12.0/22", "2a02:bb9::/32"),
    PEER: ("31.40.20.0/22", "2a02:bc1::/32"),
    ROUTE_SERVER: ("31.40.28.0/22", "2a02:bc9::/32"),
    CUSTOMER: ("31.42.4.0/22", "2a02:bd1::/32"),
}
"""What each might announce too, if nothing else were wrong with it."""

SPARE: Final = ("31.42.8.0/22", "2a02:bd2::/32")
"""What the customer has declared and is silent about."""


def path_from(attacker: str, *path: int) -> tuple[int, ...]:
    """Return what follows the attacker's own AS; a route server has none in the path, so a member stands for it."""
    return (STRANGER, *path) if attacker == ROUTE_SERVER else path


def good_routes(attacker: str) -> tuple[Announcement, ...]:
    """Return what an attacker may announce."""
    return tuple(Announcement(prefix, path_from(attacker)) for prefix in GOOD[attacker])


def wrong_prefixes(attacker: str, *prefixes: str, in_kernel: bool = True) -> RouteAttack:
    """An attacker announces prefixes that nobody should."""
    bad = tuple(Announcement(prefix, path_from(attacker), in_kernel=in_kernel) for prefix in prefixes)
    return RouteAttack(attacker=attacker, bad=bad, good=good_routes(attacker), speech=_speech(attacker))


def wrong_path(attacker: str, *path: int) -> RouteAttack:
    """An attacker announces ordinary prefixes with a path that nobody should have."""
    bad = tuple(Announcement(prefix, path_from(attacker, *path)) for prefix in OTHER[attacker])
    return RouteAttack(attacker=attacker, bad=bad, good=good_routes(attacker), speech=_speech(attacker))


def and_also(first: RouteAttack, *bad: Announcement) -> RouteAttack:
    """Let an attacker announce more than what it announces already."""
    return replace(first, bad=(*first.bad, *bad))


def _speech(attacker: str) -> tuple[Lines, ...]:
    # What they announce by themselves are the very prefixes that they are made to announce, well or badly, here.
    return (SILENT,) if attacker in {CUSTOMER, PEER} else ()


def term_guard(*terms: str, policy: str = r"import_\w+") -> dict[Platform, tuple[Lines, ...]]:
    """Return whole terms as a guard."""
    return {
        Platform.FRR: tuple(frr_term(term, policy=policy) for term in terms),
        Platform.BIRD: tuple(bird_term(term, policy=policy) for term in terms),
    }


def condition_guard(prefix_list: str) -> dict[Platform, tuple[Lines, ...]]:
    """Return the condition that a route's prefix is in a list as a guard; `prefix_list` is an expression."""
    return {
        Platform.FRR: (
            Lines(
                "frr.conf",
                rf"^ match ipv?6? address prefix-list {prefix_list}\n",
                within=r"^route-map import_\S+ permit \d+\n.*?^exit\n",
            ),
        ),
        Platform.BIRD: (
            Lines(
                "bird.conf", rf"net ~ b_prefixes_{prefix_list}\b", "true", within=r"^function b_policy_import_.*?^\}\n"
            ),
        ),
    }


def both(
    first: Mapping[Platform, tuple[Lines, ...]], second: Mapping[Platform, tuple[Lines, ...]]
) -> dict[Platform, tuple[Lines, ...]]:
    """Return a guard of two layers: each would stop the attack by itself."""
    return {platform: (*first[platform], *second[platform]) for platform in first}


def route_scenario(
    name: str,
    *attacks: RouteAttack,
    protection: str,
    attack_title: str,
    sources: tuple[str, ...],
    guard: Mapping[Platform, tuple[Lines, ...] | Unavailable],
    intent: str = CROSSROADS,
) -> Scenario:
    """Return a scenario of neighbours that announce what they should not."""
    course = RouteAttacks(attacks)
    return Scenario(
        name=name,
        group=Group.ROUTES_IN,
        protection=protection,
        attack_title=attack_title,
        sources=sources,
        intent=intent,
        guard=guard,
        harms=course.harms,
        attack=course.attack,
        missing=course.missing,
        hostile=course.hostile,
        again=course.again,
    )
