"""What a plan holds for a small network with everything in it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from resilience.analysis.route import prefix_in_list
from resilience.errors import UsageError
from resilience.model.network import Bfd, Objective, Peer, Platform, Provider, Router, Uplink
from resilience.model.plan import (
    FLOATING_TABLE,
    FaultKind,
    Plan,
    Provenance,
    Role,
    RouteUse,
    SessionKind,
    SourceFilter,
)
from resilience.model.policy import Direction, Policy
from resilience.plan import make_plan
from resilience.plan.policies import bogon_as_list, bogon_list
from tests.support.plan_networks import named, small_network


@pytest.fixture
def plan() -> Plan:
    """Return the plan of the small network."""
    return make_plan(small_network())[0]


def policy(plan: Plan, node: str, name: str) -> Policy:
    """Return a policy of a node."""
    return next(p for p in plan.nodes[node].policies if p.name == name)


def test_every_cable_has_two_ends_that_know_it(plan: Plan) -> None:
    """Each end of each segment is an interface that names the segment."""
    for name, segment in plan.segments.items():
        for node, interface in segment.ends:
            assert plan.nodes[node].interface(interface).segment == name


def test_both_ends_of_a_cable_share_their_networks(plan: Plan) -> None:
    """Wherever both ends have an address of a family, they can speak to each other."""
    for segment in plan.segments.values():
        near, far = (plan.nodes[node].interface(name) for node, name in segment.ends)
        for family in (4, 6):
            first, second = near.address(family), far.address(family)
            if first is not None and second is not None:
                assert first.interface.network == second.interface.network
                assert first.ip != second.ip


def test_a_site_has_one_number(plan: Plan) -> None:
    """Every session of a router tags routes with the same site."""
    tags = {
        tag
        for made in plan.nodes["r1"].policies
        for term in made.terms
        for tag in term.add_large_communities
        if tag[1] == 2
    }
    assert len(tags) == 1


def test_no_interface_name_is_longer_than_the_kernel_takes(plan: Plan) -> None:
    """Linux takes fifteen characters."""
    assert all(len(i.name) <= 15 for node in plan.nodes.values() for i in node.interfaces)


def test_both_ends_of_a_session_share_a_network_and_timers_that_fit(plan: Plan) -> None:
    """Ends of a session over a cable are neighbours; BFD and passwords are the same at both."""
    for session in plan.sessions:
        near, far = session.ends
        assert near.address.version == far.address.version == session.family
        assert near.bfd == far.bfd
        assert near.password == far.password
        if near.interface is not None:
            address = plan.nodes[near.node].interface(near.interface).address(session.family)
            assert address is not None
            assert far.address in address.interface.network


def test_whoever_states_gtsm_has_it_at_both_ends() -> None:
    """A customer, a peer and a route server too; nobody who did not state it."""
    network = small_network()
    exchange = network.exchanges["ix"]
    server = replace(exchange.route_servers[0], ttl_security=True)
    peers = {"friend": Peer(name="friend", asn=64510, ttl_security=True), "other": Peer(name="other", asn=64512)}
    exchange = replace(exchange, route_servers=(server,), peers=peers)
    bank = replace(network.customers["bank"], ttl_security=True)
    changed = replace(network, exchanges={"ix": exchange}, customers={**network.customers, "bank": bank})
    secured = {
        session.element
        for session in make_plan(changed)[0].sessions
        for near, far in [session.ends]
        if near.ttl_security and far.ttl_security
    }
    assert secured == {"customer bank", "peer ix-friend", "route-server ix-rs1"}


def test_every_policy_that_a_session_names_exists(plan: Plan) -> None:
    """And every list that a policy names."""
    for session in plan.sessions:
        for end in session.ends:
            node = plan.nodes[end.node]
            names = {p.name: p for p in node.policies}
            lists = {made.name for made in node.prefix_lists} | {made.name for made in node.as_lists}
            for wanted, direction in ((end.import_policy, Direction.IMPORT), (end.export_policy, Direction.EXPORT)):
                if wanted is not None:
                    assert names[wanted].direction is direction
                    for term in names[wanted].terms:
                        assert {term.match.prefixes, term.match.as_path_has} - {None} <= lists


def test_every_ebgp_session_of_ours_has_a_policy_each_way(plan: Plan) -> None:
    """Nothing is accepted or announced without a policy (RFC 8212)."""
    ours = [s.ends[0] for s in plan.sessions if s.kind not in {SessionKind.IBGP, SessionKind.OUTSIDE}]
    assert ours
    assert all(end.import_policy and end.export_policy and end.maximum_prefixes for end in ours)


def test_rank_decides_preference_and_prepends(plan: Plan) -> None:
    """Rank 1 has preference 200 and no prepend, the next one 190 and one."""
    first = [policy(plan, "r1", f"{way}_a_ipv4").terms[-1] for way in ("import", "export")]
    second = [policy(plan, "r2", f"{way}_b_ipv4").terms[-1] for way in ("import", "export")]

    assert [term.local_preference for term in (first[0], second[0])] == [200, 190]
    assert [term.prepend for term in (first[1], second[1])] == [0, 1]


def test_a_declared_community_goes_with_the_prepends() -> None:
    """Where the provider has a community for lower preference, we send it; prepends leave one stable outcome."""
    network = small_network()
    beta = replace(network.providers["beta"], communities={"lower-preference": "64497:70"})
    plan, _ = make_plan(replace(network, providers={**network.providers, "beta": beta}))

    term = policy(plan, "r2", "export_b_ipv4").terms[-1]
    assert (term.prepend, term.add_communities) == (1, ((64497, 70),))


def test_what_another_party_assigns_is_listed_as_missing(plan: Plan) -> None:
    """A stated family is not listed, the other one is, and the session says that its numbers are for labs."""
    assigned = {s.name: s.assigned for s in plan.sessions}
    assert assigned["a-ipv4"] is Provenance.STATED
    assert assigned["a-ipv6"] is Provenance.LAB
    assert [m.what for m in plan.missing if m.subject == "uplink a"] == ["our IPv6 address"]
    assert any("uplink a" in reason for reason in plan.nodes["r1"].not_deployable)


def test_the_only_other_host_of_a_circuit_is_the_neighbor(plan: Plan) -> None:
    """192.0.2.2/30 has one neighbor: 192.0.2.1."""
    session = next(s for s in plan.sessions if s.name == "a-ipv4")
    assert session.ends[1].address == ip_address("192.0.2.1")


def test_every_border_router_anchors_our_prefixes(plan: Plan) -> None:
    """Both routers have sessions with the outside, so both discard what nothing more specific wants."""
    for name in ("r1", "r2"):
        anchors = {s.prefix for s in plan.nodes[name].statics if s.use is RouteUse.ANCHOR}
        assert anchors == set(plan.network.prefixes)


def test_a_floating_route_leads_to_the_second_uplink_of_an_frr_router() -> None:
    """Only where there are two uplinks on one FRR router."""
    network = small_network()
    extra = Uplink(name="c", router="r1", provider="beta", rank=3)
    plan, _ = make_plan(replace(network, uplinks={**network.uplinks, "c": extra}))

    floating = [s for s in plan.nodes["r1"].statics if s.use is RouteUse.FLOATING]
    assert {s.next_hops[0].interface for s in floating} == {"up-c"}
    assert {s.table for s in floating} == {FLOATING_TABLE}
    assert not [s for s in plan.nodes["r2"].statics if s.use is RouteUse.FLOATING]


def test_source_filters_are_strict_and_loose_where_multihomed(plan: Plan) -> None:
    """BCP 38 at the single-homed customer, BCP 84 at the multi-homed one."""
    assert plan.nodes["r2"].interface("cu-clinic").source_filter is SourceFilter.STRICT
    assert plan.nodes["r1"].interface("cu-bank").source_filter is SourceFilter.LOOSE
    assert ip_network("198.51.100.64/29") in plan.nodes["r2"].interface("cu-clinic").source_prefixes


def test_bogons_spare_exactly_what_somebody_was_given() -> None:
    """The given prefix passes; its covering, its neighbours and every other bogon do not."""
    given = ip_network("198.19.7.0/24")
    bogons = bogon_list(4, [given])

    def refused(text: str) -> bool:
        return prefix_in_list(bogons, ip_network(text))

    assert not refused("198.19.7.0/24")
    assert refused("198.19.6.0/24")
    assert refused("198.18.0.0/15")
    assert refused("198.19.0.0/16")
    assert refused("10.1.0.0/16")


def test_bogon_as_numbers_spare_exactly_the_given_ones() -> None:
    """64500 passes, 64499 and 64501 do not."""
    ranges = bogon_as_list([64500]).ranges
    assert [any(low <= asn <= high for low, high in ranges) for asn in (64499, 64500, 64501)] == [True, False, True]


def test_small_networks_mesh_and_large_ones_reflect() -> None:
    """Nine routers have two reflectors at two sites, and no session between clients."""
    network = small_network()
    more = [Router(name=f"x{i}", site=f"s{i}") for i in range(7)]
    plan, _ = make_plan(replace(network, routers={**network.routers, **named(*more)}))

    reflectors = {n.name for n in plan.routers() if n.cluster_id is not None}
    assert len(reflectors) == 2
    for session in plan.sessions:
        if session.kind is SessionKind.IBGP:
            assert {end.node for end in session.ends} & reflectors
    assert not [n for n in make_plan(network)[0].routers() if n.cluster_id is not None]


def test_draining_an_uplink_lowers_it_both_ways() -> None:
    """Lowest preference in; graceful shutdown and prepends out (RFC 8326)."""
    plan, _ = make_plan(small_network(), draining=["uplink a"])

    imported, exported = (policy(plan, "r1", f"{way}_a_ipv4").terms[-1] for way in ("import", "export"))
    assert imported.local_preference == 0
    assert (65535, 0) in exported.add_communities
    assert exported.prepend == 3


def test_a_draining_router_takes_its_default_route_back_from_a_customer_with_another() -> None:
    """The multi-homed customer moves to its other router before anything is taken down."""
    plan, _ = make_plan(small_network(), draining=["router r1"])

    ends = {s.ends[0].node: s.ends[0].default_originate for s in plan.sessions if s.name.startswith("bank-")}
    assert ends == {"r1": False, "r2": True}


def test_draining_a_router_drains_its_sessions_and_its_igp() -> None:
    """And says so to its own AS with the lowest preference."""
    plan, _ = make_plan(small_network(), draining=["router r1"])

    assert plan.nodes["r1"].draining
    assert policy(plan, "r1", "drain_ibgp_ipv4").terms[0].local_preference == 0
    assert not plan.nodes["r2"].draining


def test_elements_say_what_their_failure_does(plan: Plan) -> None:
    """A site crashes all that stands there; an exchange cuts every cable of its switch."""
    site = plan.elements["site west"]
    assert {f.target for f in site.faults} == {"r2", "user-west", "service-money-west"}
    exchange = plan.elements["exchange ix"]
    assert all(fault.kind is FaultKind.CARRIER for fault in exchange.faults)
    assert {f.target for f in exchange.faults} == {
        name for name, s in plan.segments.items() if "exchange-ix" in {end[0] for end in s.ends}
    }


def test_a_failure_that_holds_an_end_is_left_out_and_listed(plan: Plan) -> None:
    """The only router of a user's site holds the user; another uplink does not."""
    trials = {trial.failure.name: trial for trial in plan.objectives[0].trials}
    assert any("user-east" in flow for flow in trials["router r1"].left_out)
    assert not trials["uplink a"].left_out


def test_an_international_cut_leaves_out_only_who_lives_beyond_it(plan: Plan) -> None:
    """Members of the exchange stay in, Internet hosts are listed."""
    trial = plan.objectives[1].trials[0]
    assert all(flow.startswith("internet-") for flow in trial.left_out)
    assert any(flow.startswith("member-ix-1") for flow in trial.flows)


def test_two_failures_are_bounded_and_counted() -> None:
    """No more than 200 pairs are tried, and the class's real size is known."""
    objective = Objective(keep="internet", whom="customers", during=("any-two-failures",), within_ms=None)
    network = small_network(objectives=(objective,))
    more = [Provider(name=f"p{i}", asn=4_200_000_000 + i) for i in range(20)]
    plan, _ = make_plan(replace(network, lab=True, providers={**network.providers, **named(*more)}))

    planned = plan.objectives[0]
    assert len(planned.trials) <= 200
    assert planned.failures_possible > 200


def test_two_elements_that_would_be_one_node_are_refused() -> None:
    """A router called like a node of the outside."""
    network = small_network()
    with pytest.raises(UsageError, match="would be two things"):
        make_plan(replace(network, routers={**network.routers, **named(Router(name="transit-1", site="x"))}))


def test_both_ends_of_a_circuit_agree_on_bfd() -> None:
    """What the intent states for an uplink holds for the provider's end too."""
    network = small_network()
    fast = replace(network.uplinks["a"], bfd=Bfd(100, 3))
    plan, _ = make_plan(replace(network, uplinks={**network.uplinks, "a": fast}))

    for session in plan.sessions:
        if session.element == "uplink a":
            assert [end.bfd for end in session.ends] == [Bfd(100, 3)] * 2


def test_two_circuits_on_one_port_are_two_vlans_of_it() -> None:
    """A stated port with VLANs carries several uplinks, each under a name of its own."""
    network = small_network()
    uplinks = [
        Uplink(name=f"u{vlan}", router="r1", provider="alpha", rank=vlan, interface="ether1", vlan=vlan)
        for vlan in (20, 30)
    ]
    plan, _ = make_plan(replace(network, uplinks=named(*uplinks)))

    ours = [i for i in plan.nodes["r1"].interfaces if i.vlan is not None]
    assert [(i.name, i.port, i.vlan) for i in ours] == [("ether1.20", "ether1", 20), ("ether1.30", "ether1", 30)]


def test_outsiders_run_bird(plan: Plan) -> None:
    """Light enough for a country on a laptop."""
    outsiders = [n for n in plan.nodes.values() if n.asn is not None and not n.managed]
    assert outsiders
    assert {n.platform for n in outsiders} == {Platform.BIRD}
    assert not [n for n in plan.nodes.values() if n.role in {Role.HOST, Role.SWITCH} and n.platform]
