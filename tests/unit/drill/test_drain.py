"""Draining touches the routers that it changes, and counts where the element is."""

from __future__ import annotations

import pytest

from resilience.drill.drain import Spot, changed_routers, spots_of
from resilience.drill.explain import explain
from resilience.drill.verdict import Measured
from resilience.model.configs import ConfigFile, Configs
from resilience.model.journal import Stream
from resilience.model.network import Bfd, Provider, Uplink
from resilience.model.plan import Failure, FailureKind, Plan
from resilience.plan import make_plan
from tests.support.plan_networks import named, small_network


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan whose provider beta holds sessions for nine seconds, and runs BFD with nobody."""
    providers = named(Provider(name="alpha", asn=64496, hold_ms=9000), Provider(name="beta", asn=64497, hold_ms=9000))
    uplinks = named(
        Uplink(name="a", router="r1", provider="alpha", rank=1),
        Uplink(name="b", router="r2", provider="beta", rank=2, bfd=Bfd()),
    )
    return make_plan(small_network(providers=providers, uplinks=uplinks))[0]


def test_a_router_is_counted_whole_and_a_cable_at_its_own_end(plan: Plan) -> None:
    """The provider's end is not ours to count at."""
    (uplink,) = spots_of(plan, ("uplink a",))

    assert list(spots_of(plan, ("router r1",))) == [Spot("r1", None)]
    assert uplink.node == "r1"
    assert plan.nodes["r1"].interface(str(uplink.interface)).segment == "uplink-a"
    assert {spot.node for spot in spots_of(plan, ("link r1-r2",))} == {"r1", "r2"}


def configs(**texts: str) -> Configs:
    """Return files of routers: a daemon's, and one of the system."""
    return {node: (ConfigFile("bird.conf", text), ConfigFile("nftables.conf", text)) for node, text in texts.items()}


def test_only_own_routers_whose_daemon_changes_are_reloaded(plan: Plan) -> None:
    """With their daemon's files, and no others."""
    before = configs(r1="one", r2="two")
    before = {**before, "provider-alpha": (ConfigFile("bird.conf", "x"),)}
    after = {**configs(r1="one", r2="drained"), "provider-alpha": (ConfigFile("bird.conf", "y"),)}

    assert changed_routers(plan, before, after) == {"r2": (ConfigFile("bird.conf", "drained"),)}


def out_for(outage_ms: float, *, back: bool, censored: bool = False) -> Measured:
    """Return a flow that was out in one direction."""
    bad = Stream(sent=1, lost=1, outage_ms=outage_ms, longest_gap_ms=outage_ms, censored=censored)
    good = Stream(sent=1, lost=0, outage_ms=0, longest_gap_ms=0)
    return Measured(forward=good if back else bad, back=bad if back else good, resolution_ms=1)


def silent(element: str) -> Failure:
    """Return the silent failure of an element."""
    return Failure(name=f"silent {element}", kind=FailureKind.SILENT, elements=(element,))


def test_an_outage_of_a_hold_time_is_named_with_its_remedy(plan: Plan) -> None:
    """The provider without BFD keeps sending into the dead path."""
    text = explain(plan, silent("uplink a"), out_for(8500, back=True))

    assert "provider-alpha keeps sending" in text
    assert "9.0 s" in text
    assert "BFD" in text


def test_no_hold_time_is_blamed_where_none_was_waited_for(plan: Plan) -> None:
    """A short outage, a session with BFD, a loss of carrier, no outage at all."""
    natural = Failure(name="uplink a", kind=FailureKind.NATURAL, elements=("uplink a",))

    assert explain(plan, silent("uplink a"), out_for(900, back=True)) == ""
    assert explain(plan, silent("uplink b"), out_for(8500, back=True)) == ""
    assert explain(plan, natural, out_for(8500, back=True)) == ""
    assert explain(plan, silent("uplink a"), out_for(0, back=True)) == ""


def test_a_provider_that_forwards_nothing_is_said_to_be_invisible(plan: Plan) -> None:
    """Its sessions and BFD stay up: no timer would end that outage."""
    text = explain(plan, silent("provider alpha"), out_for(7000, back=False, censored=True))

    assert "provider-alpha keeps its sessions and forwards nothing" in text
