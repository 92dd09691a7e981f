"""What import policies protect: the order of their terms, and the lists that are made for them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import pytest

from resilience.analysis.route import prefix_in_list
from resilience.model.network import Accept
from resilience.model.policy import Policy
from resilience.plan import make_plan
from resilience.plan.policies import (
    Surroundings,
    customer_import,
    inside_list,
    peer_import,
    provider_import,
    route_server_import,
)
from tests.support.plan_networks import small_network

EVERYTHING = Surroundings(rpki=True, customers=frozenset({4}), exchanges=True)
NOTHING = Surroundings(rpki=False, customers=frozenset(), exchanges=False)
LAN = ip_network("203.0.113.0/24")


def imports(around: Surroundings, family: int = 4) -> dict[str, Policy]:
    """Return the import policy of each kind of neighbour."""
    common: dict[str, Any] = {"asn": 64500, "site": 1, "around": around, "draining": False}
    return {
        "provider": provider_import("p", family, neighbor_as=64496, accept=Accept.FULL, preference=200, **common),
        "peer": peer_import("p", family, neighbor_as=64510, prefixes=None, **common),
        "route server": route_server_import("p", family, lan=LAN, **common),
        "customer": customer_import("p", family, neighbor_as=64511, prefixes="own", blackhole="inside", **common),
    }


def names(policy: Policy) -> list[str]:
    """Return the names of a policy's terms."""
    return [term.name for term in policy.terms]


def test_what_a_network_lacks_makes_no_term() -> None:
    """No validator, no customers, no exchange: no term that asks for them."""
    for policy in imports(NOTHING).values():
        assert not {"rpki", "inside_customers", "exchange_lans"} & set(names(policy))
    assert "inside_customers" not in names(imports(EVERYTHING, 6)["provider"])


@pytest.mark.parametrize("who", ["provider", "peer", "route server"])
def test_everybody_but_customers_is_filtered_alike(who: str) -> None:
    """Customers are filtered to what they declared, which holds all of this and more."""
    found = names(imports(EVERYTHING)[who])
    assert {"bogons", "length", "ours", "inside_customers", "exchange_lans", "bogon_as", "long_path", "rpki"} < {*found}
    assert ("leak" in found) is (who != "provider")


def test_a_blackhole_is_judged_before_the_rpki_is_asked() -> None:
    """What is to be dropped is longer than any authorisation allows; everything else of a customer must be valid."""
    found = names(imports(EVERYTHING)["customer"])
    assert found.index("leak") < found.index("blackhole") < found.index("rpki") < found.index("graceful_shutdown")


def test_packets_go_to_the_neighbour_or_into_the_lan() -> None:
    """Only a route server may name others, and only members of its LAN."""
    for who, policy in imports(EVERYTHING).items():
        kept = [term for term in policy.terms if term.accept and not term.discard]
        assert all(term.next_hop_peer is (who != "route server") for term in kept)
    (elsewhere,) = [t for t in imports(EVERYTHING)["route server"].terms if t.match.next_hop_outside is not None]
    assert (elsewhere.match.next_hop_outside, elsewhere.accept) == (LAN, False)


@pytest.mark.parametrize(
    ("prefix", "listed"),
    [
        ("192.0.2.0/24", False),
        ("192.0.2.0/25", True),
        ("192.0.2.128/25", False),
        ("192.0.2.129/32", True),
        ("198.51.100.1/32", False),
        ("203.0.113.0/24", False),
    ],
)
def test_parts_of_prefixes_that_are_not_declared_themselves(prefix: str, *, listed: bool) -> None:
    """A declared part is as good as the whole; a single address has no parts."""
    declared = [ip_network(text) for text in ("192.0.2.0/24", "192.0.2.128/25", "198.51.100.1/32", "2001:db8::/32")]
    assert prefix_in_list(inside_list("inside", 4, declared), ip_network(prefix)) is listed


def test_the_lists_hold_what_the_network_has() -> None:
    """The exchange's LAN of each family with all its parts, and the parts of the customer's prefixes."""
    plan = make_plan(small_network())[0]
    router = next(
        node for node in plan.nodes.values() if any(made.name == "exchange_lans_4" for made in node.prefix_lists)
    )
    lists = {made.name: made for made in router.prefix_lists}
    ports: list[IPv4Network | IPv6Network] = [
        address.interface.network
        for interface in router.interfaces
        if interface.kind == "port"
        for address in interface.addresses
    ]
    assert {network.version for network in ports} == {4, 6}
    for network in ports:
        made = lists[f"exchange_lans_{network.version}"]
        assert prefix_in_list(made, network)
        assert prefix_in_list(made, ip_network(f"{network.network_address}/{network.prefixlen + 1}"))
        assert not prefix_in_list(made, network.supernet())
