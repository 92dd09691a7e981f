"""Graceful restart is on exactly where a router whose daemon died forwards on without losing a packet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from resilience.analysis.predict import settled_after_ms
from resilience.model.network import Bfd, Network, Platform, Uplink
from resilience.model.plan import (
    GRACEFUL_RESTART_S,
    Element,
    ElementKind,
    Failure,
    FailureKind,
    Fault,
    FaultKind,
    GracefulRestart,
    Plan,
    SessionKind,
)
from resilience.plan import make_plan
from resilience.plan.restart import restart_wishes, why_lossy
from tests.support.analysis_networks import dual_homed, two_sites

RESTARTS, HELPS, OFF = GracefulRestart.RESTARTS, GracefulRestart.HELPS, GracefulRestart.OFF


def with_restarts(network: Network, *uplinks: str, **changes: Any) -> Network:
    """Return the network with graceful restart stated for some uplinks."""
    changed: dict[str, Uplink] = {
        name: replace(uplink, graceful_restart=True, **changes) if name in uplinks else uplink
        for name, uplink in network.uplinks.items()
    }
    return replace(network, uplinks=changed)


def with_families(network: Network, *families: int) -> Network:
    """Return the network with prefixes of these families only."""
    return replace(network, prefixes=tuple(p for p in network.prefixes if p.version in families))


def ends_of(plan: Plan, element: str) -> set[tuple[GracefulRestart, GracefulRestart]]:
    """Return what the two ends of an element's sessions do."""
    wanted = [session for session in plan.sessions if session.element == element]
    assert wanted
    return {(s.ends[0].graceful_restart, s.ends[1].graceful_restart) for s in wanted}


def test_nothing_restarts_gracefully_unless_stated() -> None:
    """Not one end of any session, ours or the outside's."""
    for network in (dual_homed(Platform.BIRD), dual_homed(), two_sites()):
        assert {end.graceful_restart for s in make_plan(network)[0].sessions for end in s.ends} == {OFF}


def test_bird_restarts_where_stated_and_only_there() -> None:
    """The neighbour helps and promises nothing itself; the other uplink stays off."""
    plan, _ = make_plan(with_restarts(dual_homed(Platform.BIRD), "alpha-fibre"))

    assert ends_of(plan, "uplink alpha-fibre") == {(RESTARTS, HELPS)}
    assert ends_of(plan, "uplink beta-radio") == {(OFF, OFF)}
    others = [s for s in plan.sessions if s.kind is SessionKind.OUTSIDE]
    assert {end.graceful_restart for session in others for end in session.ends} == {OFF}


@pytest.mark.parametrize("family", [4, 6])
def test_frr_restarts_with_one_family_and_all_neighbours(family: int) -> None:
    """The first that comes back makes zebra forget the others' routes; so all of them must come back in one way."""
    one_family = with_families(dual_homed(Platform.FRR), family)
    whole, _ = make_plan(with_restarts(one_family, "alpha-fibre", "beta-radio"))

    assert ends_of(whole, "uplink alpha-fibre") == ends_of(whole, "uplink beta-radio") == {(RESTARTS, HELPS)}


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (with_restarts(dual_homed(Platform.FRR), "alpha-fibre", "beta-radio"), "both families"),
        (with_restarts(with_families(dual_homed(), 4), "alpha-fibre"), "uplink beta-radio, which has no graceful"),
        (with_restarts(dual_homed(Platform.BIRD), "alpha-fibre", bfd=Bfd()), "BFD"),
        (with_restarts(two_sites(), "east"), "s1 has links inside our network"),
    ],
)
def test_what_would_lose_packets_stays_off_at_both_ends(network: Network, reason: str) -> None:
    """Half a promise is worse than none: the neighbour would send into the router for half a minute."""
    plan, _ = make_plan(network)
    wishes = list(restart_wishes(network))

    assert wishes
    for wish in wishes:
        assert reason in why_lossy(network, wish)
        assert ends_of(plan, wish.element) == {(OFF, OFF)}


def test_every_kind_of_neighbour_may_agree() -> None:
    """Route servers, peers and customers with an AS, each on its own router."""
    network = replace(two_sites(), links={})
    exchange = network.exchanges["mlix"]
    peers = {name: replace(peer, graceful_restart=True) for name, peer in exchange.peers.items()}
    servers = tuple(replace(server, graceful_restart=True) for server in exchange.route_servers)
    customers = {n: replace(c, graceful_restart=c.asn is not None) for n, c in network.customers.items()}
    routers = {name: replace(router, platform=Platform.BIRD) for name, router in network.routers.items()}
    exchanges = {"mlix": replace(exchange, peers=peers, route_servers=servers)}
    plan, _ = make_plan(replace(network, exchanges=exchanges, customers=customers, routers=routers))

    for element in ("route-server mlix-rs1", "peer mlix-university", "customer bank"):
        assert ends_of(plan, element) == {(RESTARTS, HELPS)}


def killed_settles_ms(network: Network) -> float:
    """Return when everything has reacted to the death of our routing daemon."""
    plan, _ = make_plan(network)
    fault = Fault(FaultKind.KILL, "gw")
    daemon = Element(name="daemon gw", kind=ElementKind.ROUTER, short="gw", faults=(fault,))
    plan = replace(plan, elements={**plan.elements, daemon.name: daemon})
    away = Failure(name="away", kind=FailureKind.NATURAL, elements=(daemon.name,))
    flows = [flow for planned in plan.objectives for flow in planned.flows]
    return settled_after_ms(plan, away, flows)


def test_a_daemon_that_stays_away_is_missed_when_the_wait_is_over() -> None:
    """Its neighbours keep the way into the router for as long as they agreed, and let go at once without."""
    off = dual_homed(Platform.BIRD)
    on = with_restarts(off, "alpha-fibre", "beta-radio")

    assert killed_settles_ms(off) < 1_000
    assert GRACEFUL_RESTART_S * 1_000 <= killed_settles_ms(on) < GRACEFUL_RESTART_S * 1_000 + 1_000
