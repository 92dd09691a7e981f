"""Prefixes that come in and should not."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from resilience.proof.announce import Announcement, RouteAttack
from resilience.proof.crossroads import (
    CROSSROADS,
    CUSTOMER,
    GOOD,
    PEER,
    PROVIDER,
    ROUTE_SERVER,
    STRANGER,
    and_also,
    both,
    condition_guard,
    path_from,
    route_scenario,
    term_guard,
    wrong_prefixes,
)
from resilience.proof.scenario import Scenario

_OWN: Final = ("31.41.0.0/20", "2001:db8:6400::/40")
_DECLARED: Final = r"customer_bank_[46]"
_PEER_DECLARED: Final = CROSSROADS.replace(
    "university: {asn: 64510,", 'university: {asn: 64510, prefixes: [31.40.16.0/22, "2a02:bc0::/32"],'
)


_LEAKED: Final = tuple(
    Announcement(prefix, path)
    for prefixes, path in (
        (("31.45.0.0/16", "31.46.32.0/20"), (STRANGER, 1_000_002)),
        (("31.47.4.0/24", "2a02:be0::/32"), (1_000_003, 1_000_004, STRANGER)),
        (("2a02:be1::/32", "2a02:be2::/48"), (1_000_003, 1_000_005)),
    )
    for prefix in prefixes
)
"""Other people's prefixes, as the attacker's own providers told it; no path has a network that betrays the leak."""


def _hijacked(attacker: str, part: int) -> RouteAttack:
    """Parts of the customer's prefix, beside the prefix itself: that may be the customer's other way."""
    attack = wrong_prefixes(attacker, f"31.42.{part}.0/24", f"2a02:bd0:{part}::/48")
    whole = (Announcement(prefix, path_from(attacker)) for prefix in GOOD[CUSTOMER])
    return replace(attack, good=(*attack.good, *whole))


SCENARIOS: Final[tuple[Scenario, ...]] = (
    route_scenario(
        "bogon-prefixes",
        wrong_prefixes(PROVIDER, "10.20.0.0/16", "100.64.0.0/16", "192.168.0.0/16", "fd00:20::/32", "2002:c612::/32"),
        wrong_prefixes(PEER, "172.20.0.0/16", "240.0.0.0/8", "fd00:30::/32", "3ffe:1::/32"),
        wrong_prefixes(ROUTE_SERVER, "169.254.0.0/16", "fc00:40::/32", "5f00::/16"),
        protection="filter for bogon prefixes",
        attack_title="a provider, a peer and a route server announce private and reserved prefixes",
        sources=("RFC 7454 section 6.1.1", "RFC 6890", "MANRS action 1"),
        guard=term_guard("bogons"),
    ),
    route_scenario(
        "prefix-length",
        wrong_prefixes(PROVIDER, "31.48.0.0/25", "32.0.0.0/7", "2a02:bf0::/49", "2a04::/15"),
        wrong_prefixes(PEER, "31.48.1.1/32", "34.0.0.0/7", "2a02:bf1::1/128", "2a06::/15"),
        wrong_prefixes(ROUTE_SERVER, "31.48.2.0/28", "36.0.0.0/6", "2a02:bf2::/64", "2a08::/14"),
        protection="filter for prefixes that are too long or too short",
        attack_title="a provider, a peer and a route server announce single hosts and parts of the whole Internet",
        sources=("RFC 7454 section 6.1.3",),
        guard=term_guard("length"),
    ),
    route_scenario(
        "default-route",
        wrong_prefixes(PROVIDER, "0.0.0.0/0", "::/0", in_kernel=False),
        wrong_prefixes(PEER, "0.0.0.0/0", "::/0", in_kernel=False),
        wrong_prefixes(ROUTE_SERVER, "0.0.0.0/0", "::/0", in_kernel=False),
        # Preferred to all others, so it is theirs that the kernel would take.
        wrong_prefixes(CUSTOMER, "0.0.0.0/0", "::/0"),
        protection="no default route from those who should not give one",
        attack_title="a provider of a full table, a peer, a route server and a customer announce a default route",
        sources=("RFC 7454 section 6.1.6",),
        guard=both(term_guard("length"), condition_guard(_DECLARED)),
    ),
    route_scenario(
        "own-prefix",
        *(
            # Exactly ours lose to our own in the kernel; a part of ours wins.
            and_also(
                wrong_prefixes(attacker, *_OWN, in_kernel=False),
                *wrong_prefixes(attacker, f"31.41.{part}.0/24", f"2001:db8:64{part:02}::/48").bad,
            )
            for part, attacker in enumerate((PROVIDER, PEER, ROUTE_SERVER, CUSTOMER), 1)
        ),
        protection="no prefix of our own, nor a part of one, from anybody outside",
        attack_title="a provider, a peer, a route server and a customer announce our own prefixes, and parts of them",
        sources=("RFC 7454 section 6.1.4", "MANRS action 1"),
        guard=both(term_guard("ours"), condition_guard(_DECLARED)),
    ),
    route_scenario(
        "customer-prefix-hijack",
        *(_hijacked(attacker, part) for part, attacker in enumerate((PROVIDER, PEER, ROUTE_SERVER), 1)),
        protection="no part of a customer's prefix from others; the prefix itself may come, the customer's other way",
        attack_title="a provider, a peer and a route server announce parts of a customer's prefix",
        sources=("RFC 7454 section 6.1.4",),
        guard=term_guard("inside_customers"),
    ),
    route_scenario(
        "exchange-lan-hijack",
        wrong_prefixes(PROVIDER, "31.43.3.0/24", "2a02:bdb:0:0:8000::/65"),
        wrong_prefixes(PEER, "31.43.1.0/24", "2a02:bdb:0:0:4000::/66"),
        wrong_prefixes(ROUTE_SERVER, "31.43.2.0/24", "2a02:bdb:0:0:2000::/67"),
        protection="no route to the LAN of an exchange that our router is on",
        attack_title="a provider, a peer and a route server announce parts of the exchange's LAN",
        sources=("RFC 7454 section 6.1.5",),
        # Parts of an IPv6 LAN are also longer than what anybody takes from outside.
        guard=term_guard("exchange_lans", "length"),
    ),
    route_scenario(
        "customer-full-table",
        and_also(wrong_prefixes(CUSTOMER), *_LEAKED),
        protection="a customer announces what it declared",
        attack_title="a customer announces the full table of its other provider",
        sources=("RFC 7454 section 6.2.2", "RFC 7908 section 3.1", "MANRS action 1"),
        guard=condition_guard(_DECLARED),
    ),
    route_scenario(
        "peer-full-table",
        and_also(wrong_prefixes(PEER), *_LEAKED),
        protection="a peer announces what it declared, where it declared anything",
        attack_title="a peer announces the full table of its provider",
        sources=("RFC 7454 section 6.2.1", "RFC 7908 section 3.4", "MANRS action 1"),
        guard=condition_guard("peer_mlix_university_[46]"),
        intent=_PEER_DECLARED,
    ),
)
