"""Where packets go in a plan, whole and broken."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from resilience.analysis import Damage, damage_of_failure, flow_paths
from resilience.analysis.damage import damage_of_elements, damage_of_faults
from resilience.analysis.forwarding import End
from resilience.analysis.world import World, world_of
from resilience.intent import read_intent
from resilience.model.network import Platform
from resilience.model.plan import Failure, FailureKind, Fault, FaultKind, Flow, Plan
from resilience.plan import make_plan
from tests.support.analysis_networks import dual_homed, plan_of, two_sites


@cache
def business() -> Plan:
    """One router, two providers."""
    return plan_of(dual_homed())


@cache
def provider() -> Plan:
    """Two sites, two uplinks, an exchange."""
    return plan_of(two_sites())


def flow(plan: Plan, name: str) -> Flow:
    """Return a flow by name."""
    return next(f for planned in plan.objectives for f in planned.flows if f.name == name)


def test_traffic_uses_the_first_rank_in_both_directions() -> None:
    """Prepends and local preference, both families."""
    for family in (4, 6):
        paths = flow_paths(business(), flow(business(), f"user-gw to internet-1 ipv{family} udp"))

        assert [leg.nodes for leg in paths.forward] == [("user-gw", "gw", "provider-alpha", "transit-1", "internet-1")]
        assert [leg.nodes for leg in paths.back] == [("internet-1", "transit-1", "provider-alpha", "gw", "user-gw")]
        assert paths.forward[0].segments[1] == "uplink-alpha-fibre"


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("element", ["uplink alpha-fibre", "provider alpha"])
def test_the_second_rank_takes_over(platform: Platform, element: str) -> None:
    """Whether the cable or the whole provider fails, on both platforms."""
    plan = plan_of(dual_homed(platform))
    paths = flow_paths(plan, flow(plan, "user-gw to internet-2 ipv4 udp"), damage_of_elements(plan, [element]))

    assert paths.reachable
    assert all("provider-beta" in leg.nodes for leg in (*paths.forward, *paths.back))


def test_silence_ends_sessions_and_leaves_carrier() -> None:
    """After convergence all traffic uses the other uplink."""
    down = Damage(silent=frozenset({"uplink-alpha-fibre"}))
    paths = flow_paths(business(), flow(business(), "user-gw to internet-1 ipv4 udp"), down)

    assert paths.reachable
    assert "provider-beta" in paths.forward[0].nodes


def test_nobody_routes_around_a_grey_provider() -> None:
    """Its sessions stand, so both directions go on into it."""
    down = Damage(grey=frozenset({"provider-alpha"}))
    paths = flow_paths(business(), flow(business(), "user-gw to internet-1 ipv4 udp"), down)

    assert [leg.end for leg in (*paths.forward, *paths.back)] == [End.LOST, End.LOST]


def test_both_uplinks_down_leaves_no_route() -> None:
    """Neither main table nor floating routes have a way with carrier."""
    down = Damage(cut=frozenset({"uplink-alpha-fibre", "uplink-beta-radio"}))
    paths = flow_paths(business(), flow(business(), "user-gw to internet-1 ipv4 udp"), down)

    assert paths.forward[0].end is End.NO_ROUTE
    assert paths.forward[0].nodes == ("user-gw", "gw")


def test_a_cut_off_border_router_discards_what_it_attracts() -> None:
    """Both halves still announce the prefix; what comes in at the wrong one dies at its anchor."""
    paths = flow_paths(
        provider(),
        flow(provider(), "user-south to internet-1 ipv4 udp"),
        damage_of_elements(provider(), ["link n1-s1"]),
    )

    assert paths.forward[0].delivered
    assert [(leg.nodes[-1], leg.end) for leg in paths.back] == [("n1", End.DISCARDED)]


def test_an_anycast_service_is_reached_at_the_nearest_site_and_at_the_other_one_after_a_crash() -> None:
    """The return direction starts where forward traffic arrived."""
    dns = flow(provider(), "peer-mlix-university to dns ipv4 udp")
    whole, broken = (
        flow_paths(provider(), dns),
        flow_paths(provider(), dns, Damage(dead=frozenset({"service-dns-north"}))),
    )

    assert whole.forward[0].nodes[-1] == whole.back[0].nodes[0] == "service-dns-north"
    assert broken.forward[0].nodes[-1] == broken.back[0].nodes[0] == "service-dns-south"
    assert broken.reachable


def test_exchange_members_use_the_exchange_until_its_switch_fails() -> None:
    """A way through an exchange is preferred to any provider; without it the Internet is the way."""
    money = flow(provider(), "peer-mlix-university to money ipv4 udp")
    whole = flow_paths(provider(), money)
    broken = flow_paths(provider(), money, damage_of_elements(provider(), ["exchange mlix"]))

    assert (
        whole.forward[0].segments[1:3] == ("peer-mlix-university", "port-mlix-n1") or len(whole.forward[0].nodes) == 5
    )
    assert "provider-alpha" not in whole.forward[0].nodes
    assert broken.reachable
    assert any(node.startswith("provider-") for node in broken.forward[0].nodes)


def test_losing_route_servers_leaves_the_bilateral_session() -> None:
    """A killed route server forwards nothing anyway; its routes go, the peer's own stay."""
    money = flow(provider(), "peer-mlix-university to money ipv4 udp")
    down = damage_of_elements(provider(), ["route-server mlix-rs1", "route-server mlix-rs2"])

    assert flow_paths(provider(), money, down).forward == flow_paths(provider(), money).forward


def test_a_spoofed_source_is_dropped_at_the_customers_edge() -> None:
    """BCP 38: what comes from a static customer must bear its addresses."""
    clinic = flow(provider(), "clinic to internet-1 ipv4 udp")
    forged = replace(
        clinic, source=replace(clinic.source, address=flow(provider(), "bank to internet-1 ipv4 udp").source.address)
    )

    assert flow_paths(provider(), forged).forward[0].end is End.FILTERED


def test_a_killed_daemon_leaves_its_kernel_forwarding() -> None:
    """Neighbours withdraw at once, and the kernel of the dead router keeps what it had."""
    world = world_of(business())
    situation = world.settle(Damage(killed=frozenset({"gw"})))
    internet = world.covering(flow(business(), "user-gw to internet-1 ipv4 udp").target.address)[0]
    ours = world.covering(flow(business(), "user-gw to internet-1 ipv4 udp").source.address)[-1]

    assert situation.selected("gw", internet) == world.whole.selected("gw", internet) != ()
    assert situation.selected("provider-alpha", ours) != world.whole.selected("provider-alpha", ours)


def test_the_settled_state_does_not_depend_on_what_was_asked_before() -> None:
    """Two worlds that are asked in different orders agree on every route of every router."""
    damages = [damage_of_elements(provider(), [name]) for name in provider().elements]
    forwards, backwards = World(provider()), World(provider())
    first = [_selected(forwards, damage) for damage in damages]
    second = [_selected(backwards, damage) for damage in reversed(damages)]

    assert first == second[::-1]


def _selected(world: World, damage: Damage) -> dict[str, object]:
    situation = world.settle(damage)
    return {
        str(d.prefix): {n: tuple(r[1:] for r in s) for n, s in situation.state(d).selected.items() if s}
        for d in world.originators
    }


def test_every_failure_of_the_examples_settles() -> None:
    """No policy that the planner makes lets routers go on changing their minds."""
    world = world_of(provider())
    for name in provider().elements:
        situation = world.settle(damage_of_elements(provider(), [name]))
        for destination in world.originators:
            situation.state(destination)
        assert situation.settled, name


def test_faults_become_damage_by_kind() -> None:
    """Each kind has its own place, and a session that is only reset is no damage."""
    damage = damage_of_faults(
        [
            Fault(FaultKind.CARRIER, "a"),
            Fault(FaultKind.SILENT, "b"),
            Fault(FaultKind.CRASH, "c"),
            Fault(FaultKind.GREY, "d"),
            Fault(FaultKind.KILL, "e"),
            Fault(FaultKind.FREEZE, "f"),
            Fault(FaultKind.DOWN, "g"),
            Fault(FaultKind.RESET, "h"),
        ]
    )
    sets = (damage.cut, damage.silent, damage.dead, damage.grey, damage.killed, damage.frozen, damage.closed)

    assert sets == tuple(frozenset({letter}) for letter in "abcdefg")
    assert damage.mute == {"c", "e", "f"}
    assert not damage_of_faults([Fault(FaultKind.RESET, "h")])


def test_a_silent_failure_uses_the_silent_faults_of_its_elements() -> None:
    """A provider turns grey; its cables keep working."""
    failure = Failure(name="silent provider alpha", kind=FailureKind.SILENT, elements=("provider alpha",))

    assert damage_of_failure(business(), failure) == Damage(grey=frozenset({"provider-alpha"}))


@pytest.mark.parametrize("example", ["two sites", "national-isp"])
def test_settling_after_a_failure_ends_where_a_fresh_start_ends(checkout: Path, example: str) -> None:
    """Only routers that something concerns are woken: none that had to be is left out."""
    plan = provider() if example == "two sites" else make_plan(read_intent(checkout / "inventories" / example))[0]
    world = World(plan)
    for name in list(plan.elements)[:: 1 if example == "two sites" else 9]:
        situation = world.settle(damage_of_elements(plan, [name]))
        for destination in list(world.originators)[:: 1 if example == "two sites" else 5]:
            woken = situation.state(destination).selected
            fresh = situation._begin(destination).selected
            mute = situation.damage.mute
            different = {n for n in {*woken, *fresh} - mute if set(woken.get(n, ())) != set(fresh.get(n, ()))}
            assert not different, f"{name}, {destination.prefix}"
