"""Addresses, kernel settings and the packet filter."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from resilience.model.network import Platform
from resilience.model.plan import InterfaceKind, OspfInterface, Plan, Segment, SourceFilter
from resilience.render import render_configs
from tests.support.render_plans import FAST, an_address, make_the_plan, strictly, text_of, with_ends, with_node


def chain(text: str, name: str) -> str:
    """Return the body of a chain of the packet filter."""
    found = re.search(rf"  chain {name} {{\n(.*?)\n  }}", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_addresses_are_set_again_without_harm(plan: Plan) -> None:
    """`replace` everywhere; IPv6 without duplicate detection, which would delay every start by seconds."""
    text = text_of(plan, "gw", "addresses.batch")
    commands = [line for line in text.splitlines() if not line.startswith("#")]
    assert "address replace 10.255.0.1/32 dev lo" in commands
    assert "link set dev up-alpha mtu 1500 up" in commands
    assert "address replace 2001:db8:a::2/64 dev up-alpha nodad" in commands
    assert all(line.startswith(("link set ", "address replace ", "route replace ")) for line in commands)


def test_a_host_uses_all_its_gateways(plan: Plan) -> None:
    """One default route over every router, with the host's own address as its source."""
    text = text_of(plan, "service-web", "addresses.batch")
    assert (
        "route replace 0.0.0.0/0 src 198.51.100.80 nexthop via 10.192.0.0 dev o-one nexthop via 10.192.0.2 dev o-two\n"
    ) in text


def test_only_routers_forward(plan: Plan) -> None:
    """A host must not become a way through."""
    assert "net.ipv6.conf.all.forwarding = 1" in text_of(plan, "gw", "sysctl.conf")
    assert "forwarding" not in text_of(plan, "service-web", "sysctl.conf")


@pytest.mark.parametrize("node", ["gw", "service-web", "provider-alpha"])
@pytest.mark.parametrize(
    "setting",
    [
        "net.ipv4.conf.all.ignore_routes_with_linkdown = 1",
        "net.ipv4.conf.default.ignore_routes_with_linkdown = 1",
        "net.ipv6.conf.all.ignore_routes_with_linkdown = 1",
        "net.ipv6.conf.default.ignore_routes_with_linkdown = 1",
        "net.ipv4.conf.all.rp_filter = 0",
        "net.ipv6.conf.all.keep_addr_on_down = 1",
        "net.ipv4.fib_multipath_hash_policy = 1",
        "net.ipv6.fib_multipath_hash_policy = 1",
    ],
)
def test_kernel_settings(plan: Plan, node: str, setting: str) -> None:
    """What failover rests on holds on every node."""
    assert f"\n{setting}\n" in text_of(plan, node, "sysctl.conf")


def test_networkd_keeps_foreign_routes(plan: Plan) -> None:
    """Without that, systemd would remove what FRR or BIRD put into the kernel."""
    assert "ManageForeignRoutes=no" in text_of(plan, "gw", "networkd/netresilience.conf")
    text = text_of(plan, "gw", "networkd/50-up-alpha.network")
    assert "Address=192.0.2.2/30\nAddress=2001:db8:a::2/64\n" in text
    assert "Priority=32767\nTable=253\n" in text_of(plan, "gw", "networkd/50-lo.network")


def test_a_vlan_is_made_on_its_port(plan: Plan) -> None:
    """The port carries it, the interface of the plan has the addresses."""
    interface = replace(plan.nodes["gw"].interfaces[0], vlan=100, port="ether1")
    plan = with_node(plan, "gw", interfaces=(interface,))
    assert "Kind=vlan\nMTUBytes=1500\n\n[VLAN]\nId=100\n" in text_of(plan, "gw", "networkd/50-up-alpha.netdev")
    assert "[Match]\nName=ether1\n\n[Network]\nVLAN=up-alpha\n" in text_of(plan, "gw", "networkd/40-ether1.network")


def test_only_our_routers_have_a_packet_filter(plan: Plan) -> None:
    """The outside is as it is."""
    configs = render_configs(plan)
    assert [node for node, files in configs.items() if any(f.path == "nftables.conf" for f in files)] == ["gw"]


def test_the_filter_is_replaced_in_one_transaction(plan: Plan) -> None:
    """There is no moment without protection, and the second load works like the first."""
    text = text_of(plan, "gw", "nftables.conf")
    assert "\ntable inet netresilience\ndelete table inet netresilience\ntable inet netresilience {\n" in text
    assert "flush ruleset" not in text


def test_forwarded_packets_are_not_tracked(plan: Plan) -> None:
    """Their answers may come back another way; no rule about connections touches them."""
    text = text_of(plan, "gw", "nftables.conf")
    assert "fib daddr type != local notrack" in chain(text, "prerouting")
    assert "hook forward" not in text
    assert text.count("ct state") == 1
    assert "ct state" in chain(text, "protect")


def test_our_own_sources_do_not_come_from_outside(plan: Plan) -> None:
    """What claims to be us and comes through an uplink is spoofed."""
    text = text_of(plan, "gw", "nftables.conf")
    assert "198.51.100.0/24" in text
    assert "ip saddr @ours4 counter drop" in chain(text, "from_0")
    assert "ip6 saddr @ours6 counter drop" in chain(text, "from_0")


def test_a_circuit_numbered_from_our_space_keeps_working(plan: Plan) -> None:
    """The neighbour's own address is let through before our space is refused."""
    interface = replace(plan.nodes["gw"].interfaces[0], addresses=(an_address("198.51.100.1/30"),))
    body = chain(text_of(with_node(plan, "gw", interfaces=(interface,)), "gw", "nftables.conf"), "from_0")
    assert body.index("ip saddr { 198.51.100.0/30 } return") < body.index("@ours4")


def test_a_strict_customer_sends_only_its_own_sources(plan: Plan) -> None:
    """Its prefixes, the cable itself, neighbour discovery; overlaps are merged, since nftables refuses them."""
    interface = strictly(plan.nodes["gw"].interfaces[0], "198.51.100.64/29", "198.51.100.64/30", "2001:db8:6400:1::/64")
    body = chain(text_of(with_node(plan, "gw", interfaces=(interface,)), "gw", "nftables.conf"), "from_0")
    assert "ip saddr { 192.0.2.0/30, 198.51.100.64/29 } return" in body
    assert "ip6 saddr { 2001:db8:a::/64, 2001:db8:6400:1::/64 } return" in body
    assert "ip6 saddr { ::, fe80::/10 } return" in body
    assert body.endswith("counter drop")


def test_a_multihomed_customer_sends_any_source_that_has_a_route(plan: Plan) -> None:
    """Loose, since its packets may carry another provider's addresses."""
    interface = replace(plan.nodes["gw"].interfaces[0], kind=InterfaceKind.CUSTOMER, source_filter=SourceFilter.LOOSE)
    body = chain(text_of(with_node(plan, "gw", interfaces=(interface,)), "gw", "nftables.conf"), "from_0")
    assert body.endswith("fib saddr oif missing counter drop")


def test_an_exchange_sends_us_packets_for_our_own_and_our_customers_only(plan: Plan) -> None:
    """Who has no prefixes of a family there gets none of that family; a router without a port filters nothing."""
    interface = replace(plan.nodes["gw"].interfaces[0], kind=InterfaceKind.PORT)
    port = with_node(plan, "gw", interfaces=(interface,))
    only4 = replace(port, network=replace(port.network, prefixes=port.network.prefixes[:1]))
    assert [p.version for p in only4.network.prefixes] == [4]
    body = chain(text_of(only4, "gw", "nftables.conf"), "forward")
    assert 'iifname { "up-alpha" } ip daddr != @reachable4 counter drop' in body
    assert 'iifname { "up-alpha" } meta nfproto ipv6 counter drop' in body
    assert "chain forward" not in text_of(plan, "gw", "nftables.conf")


def test_a_multihomed_customer_keeps_what_it_has_of_our_prefixes(plan: Plan) -> None:
    """And may use no other address of ours."""
    interface = replace(strictly(plan.nodes["gw"].interfaces[0], "198.51.100.64/29"), source_filter=SourceFilter.LOOSE)
    body = chain(text_of(with_node(plan, "gw", interfaces=(interface,)), "gw", "nftables.conf"), "from_0")
    assert body.index("198.51.100.64/29 } return") < body.index("@ours4 counter drop")


def test_bgp_is_for_configured_neighbours_only(plan: Plan) -> None:
    """By interface and both addresses, in both directions of opening; a neighbour opens no more than a few a second."""
    text = text_of(plan, "gw", "nftables.conf")
    assert '"up-alpha" . 192.0.2.1 . 192.0.2.2, "up-beta" . 192.0.2.5 . 192.0.2.6' in text
    rules = [line for line in chain(text, "protect").splitlines() if "179" in line]
    assert len(rules) == 6
    assert all(" @bgp" in rule for rule in rules)
    assert [rule for rule in rules if "limit rate over 5/second" in rule] == [rules[0], rules[3]]


def test_bfd_comes_from_neighbours_over_one_cable(plan: Plan) -> None:
    """TTL 255 cannot come from farther away (RFC 5881)."""
    text = text_of(with_ends(plan, "alpha-ipv4", {"bfd": FAST}, {"bfd": FAST}), "gw", "nftables.conf")
    rules = [line.strip() for line in chain(text, "protect").splitlines() if "3784" in line]
    assert rules == ["udp dport 3784 ip ttl 255 iifname . ip saddr . ip daddr @bfd4 accept"]


def test_ospf_and_login_only_over_links_of_ours(plan: Plan) -> None:
    """Neither uplinks nor customers can speak the IGP or reach the management plane."""
    first, second = plan.nodes["gw"].interfaces
    link = replace(first, kind=InterfaceKind.LINK, ospf=OspfInterface(cost=1), bfd=FAST)
    far = plan.nodes["provider-alpha"].interfaces[0].name
    cable = Segment(name=link.segment, ends=(("gw", link.name), ("provider-alpha", far)))
    cabled = replace(plan, segments={link.segment: cable})
    text = text_of(with_node(cabled, "gw", interfaces=(link, second), ospf=True), "gw", "nftables.conf")
    body = chain(text, "protect")
    assert 'iifname { "up-alpha" } meta l4proto 89 accept' in body
    assert 'iifname { "up-alpha" } tcp dport 22 ip saddr @loopbacks4 accept' in body
    assert "tcp dport 22 iifname . ip saddr @login4 accept" in body
    assert 'elements = { "up-alpha" . 192.0.2.1 }' in text
    assert 'iifname { "up-alpha" } udp dport 3784 ip6 hoplimit 255 accept' in body
    assert body.endswith("counter drop")


def test_interfaces_unknown_to_the_plan_are_left_alone(plan: Plan) -> None:
    """A management port keeps working: nobody locks themselves out."""
    body = chain(text_of(plan, "gw", "nftables.conf"), "input")
    assert "policy accept" in body
    assert 'iifname { "up-alpha", "up-beta" } jump protect' in body


def test_the_filter_is_the_same_on_both_platforms() -> None:
    """Protection does not depend on the routing daemon."""
    first, second = (text_of(make_the_plan(platform), "gw", "nftables.conf") for platform in Platform)
    assert first == second
