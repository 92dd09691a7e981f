"""What drills should measure: bounds that follow the plan's timers, with their terms."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from resilience.analysis import predict
from resilience.analysis.clock import START, Clock, Pace
from resilience.analysis.constants import BIRD, FRR, Bounds
from resilience.analysis.damage import damage_of_faults
from resilience.analysis.paths import look_both_ways
from resilience.analysis.predict import look, settled_after_ms
from resilience.analysis.world import World
from resilience.model.journal import Prediction, Way
from resilience.model.network import Bfd, Network, Platform
from resilience.model.plan import Failure, FailureKind, Flow, Plan
from resilience.plan import make_plan
from tests.support.analysis_networks import dual_homed, plan_of, two_sites, with_bfd

INTERNET = "user-gw to internet-1 ipv4 udp"


def fail(element: str, kind: FailureKind = FailureKind.NATURAL) -> Failure:
    """Return the failure of one element."""
    return Failure(name=element, kind=kind, elements=(element,))


def flow(plan: Plan, name: str) -> Flow:
    """Return a flow by name."""
    return next(f for planned in plan.objectives for f in planned.flows if f.name == name)


def both_ways(plan: Plan, failure: Failure, name: str = INTERNET, drained: Plan | None = None) -> dict[Way, Prediction]:
    """Return the predictions of one flow."""
    return {p.direction: p for p in predict(plan, failure, [flow(plan, name)], drained=drained)}


def with_holds(seconds: dict[str, int]) -> Network:
    """Return the business with providers that hold sessions for so long."""
    network = dual_homed(Platform.BIRD)
    providers = {n: replace(p, hold_ms=seconds.get(n, 180) * 1_000) for n, p in network.providers.items()}
    return replace(network, providers=providers)


@cache
def every_prediction() -> tuple[Prediction, ...]:
    """Everything that is predicted for the two sites, silent failures too."""
    plan = plan_of(two_sites())
    return tuple(_predict_all(plan))


def _predict_all(plan: Plan) -> Iterator[Prediction]:
    for planned in plan.objectives:
        flows = {f.name: f for f in planned.flows}
        for trial in planned.trials:
            yield from predict(plan, trial.failure, [flows[name] for name in trial.flows])
    for element in plan.elements.values():
        if element.silent_faults:
            yield from predict(plan, fail(element.name, FailureKind.SILENT), planned.flows)


def test_bounds_are_ordered_and_explained() -> None:
    """Low never exceeds high, and every prediction says why."""
    for prediction in every_prediction():
        assert 0 <= prediction.low_ms <= prediction.high_ms
        assert prediction.because
        assert prediction.reachable or math.isinf(prediction.high_ms)


def test_no_answer_is_constant() -> None:
    """Failures, directions and ways differ, and so do the bounds."""
    assert len({(p.low_ms, p.high_ms) for p in every_prediction()}) > 10


def test_terms_add_up_to_the_bounds_where_one_chain_of_steps_decides() -> None:
    """`noticed by gw: 0-15 ms` + ... is what stands as the high bound."""
    plan = plan_of(dual_homed(Platform.BIRD))
    found = both_ways(plan, fail("uplink alpha-fibre"))[Way.FORWARD]
    highs = [float(term.rpartition("-")[2].removesuffix(" ms")) for term in found.because]

    assert sum(highs) == found.high_ms == BIRD.notice.high_ms + BIRD.decide.high_ms + BIRD.install.high_ms


def test_what_the_failure_does_not_touch_loses_nothing() -> None:
    """The second rank carries nothing while the first one works."""
    for found in both_ways(plan_of(dual_homed()), fail("uplink beta-radio")).values():
        assert (found.low_ms, found.high_ms) == (0, 0)


def test_a_floating_route_makes_frr_as_quick_as_its_kernel() -> None:
    """Without waiting for bgpd's queue; BIRD needs none and has to choose again."""
    found = both_ways(plan_of(dual_homed(Platform.FRR)), fail("uplink alpha-fibre"))[Way.FORWARD]

    assert found.high_ms < FRR.decide.low_ms
    assert "stood ready" in found.because[-1]


def test_news_across_ibgp_takes_two_turns_of_frr_s_queue() -> None:
    """The border router decides, tells the other one, and needs its answer."""
    plan = plan_of(two_sites())
    found = both_ways(plan, fail("uplink west"), "user-north to internet-1 ipv4 udp")[Way.FORWARD]

    assert 2 * FRR.decide.low_ms <= found.low_ms <= found.high_ms <= 300
    assert [term.partition(":")[0] for term in found.because if "tells" in term] == ["n1 tells s1", "s1 tells n1"]


def test_each_direction_of_a_silent_failure_waits_for_the_timers_of_its_own_sender() -> None:
    """Forward for ours, return for the provider's; both hold times are the smaller one of the two ends."""
    plan = plan_of(with_holds({"alpha": 9}))
    found = both_ways(plan, fail("uplink alpha-fibre", FailureKind.SILENT))

    assert "hold timer of 9.0 s at gw" in found[Way.FORWARD].because[0]
    assert "hold timer of 9.0 s at provider-alpha" in found[Way.RETURN].because[0]
    assert 3_000 < found[Way.RETURN].low_ms < 9_000 < found[Way.RETURN].high_ms < 9_200


@pytest.mark.parametrize(("interval", "multiplier"), [(100, 3), (300, 3), (1000, 5)])
def test_bfd_bounds_follow_its_interval_and_multiplier(interval: int, multiplier: int) -> None:
    """From multiplier - 1 intervals, since the last packet may be one old, to multiplier intervals and the reaction."""
    plan = plan_of(with_bfd(dual_homed(Platform.BIRD), Bfd(interval_ms=interval, multiplier=multiplier)))
    for found in both_ways(plan, fail("uplink alpha-fibre", FailureKind.SILENT)).values():
        assert found.low_ms == (multiplier - 1) * interval
        assert multiplier * interval < found.high_ms <= multiplier * interval + 100
        assert "BFD detection" in found.because[0]


def test_a_grey_provider_is_never_recovered_from() -> None:
    """Its sessions stand: no protocol notices."""
    for found in both_ways(plan_of(dual_homed()), fail("provider alpha", FailureKind.SILENT)).values():
        assert not found.reachable
        assert math.isinf(found.low_ms)
        assert "provider-alpha" in found.because[0]


def test_a_partition_is_predicted_where_it_hurts() -> None:
    """Forward traffic of the cut-off site leaves by its own uplink; what returns comes in on the wrong side."""
    found = both_ways(plan_of(two_sites()), fail("link n1-s1"), "user-south to internet-1 ipv4 udp")

    assert found[Way.FORWARD].reachable
    assert not found[Way.RETURN].reachable
    assert "discarded at n1" in found[Way.RETURN].because[0]


def test_members_of_an_exchange_do_not_see_our_port_fall() -> None:
    """The switch keeps their carrier: they wait for their hold time, we do not."""
    found = both_ways(plan_of(two_sites()), fail("port mlix-n1"), "peer-mlix-university to dns ipv4 udp")

    assert found[Way.RETURN].high_ms < 1_000
    assert "hold timer" in found[Way.FORWARD].because[0]
    assert "peer-mlix-university" in found[Way.FORWARD].because[0]


def test_losing_one_of_two_route_servers_costs_nothing() -> None:
    """The other one says the same."""
    for found in both_ways(
        plan_of(two_sites()), fail("route-server mlix-rs1"), "peer-mlix-university to dns ipv4 udp"
    ).values():
        assert found.high_ms == 0


def test_several_faults_begin_within_their_spread() -> None:
    """A provider's cables fail one after the other; that is one of the terms."""
    found = both_ways(plan_of(dual_homed()), fail("provider alpha"))[Way.RETURN]

    assert "faults one after the other" in found.because[0]


def test_maintenance_of_a_drained_uplink_loses_nothing() -> None:
    """Once drained nothing crosses it; undrained, taking it down is an outage like any other."""
    network = dual_homed(Platform.BIRD)
    providers = {n: replace(p, honours=frozenset({"gshut"})) for n, p in network.providers.items()}
    network = replace(network, providers=providers)
    plan, numbers = make_plan(network)
    failure = fail("uplink alpha-fibre", FailureKind.MAINTENANCE)
    drained = make_plan(network, numbers, draining=failure.elements)[0]
    with_drain, without = both_ways(plan, failure, drained=drained), both_ways(plan, failure)

    for way in Way:
        assert with_drain[way].low_ms == 0
        assert with_drain[way].high_ms < without[way].high_ms
        assert "draining" in with_drain[way].because[0]


def test_no_outage_outlasts_the_last_change() -> None:
    """The cheap bound that checks use covers every finite prediction."""
    plan = plan_of(two_sites())
    for planned in plan.objectives:
        flows = {f.name: f for f in planned.flows}
        for trial in planned.trials:
            chosen = [flows[name] for name in trial.flows]
            latest = settled_after_ms(plan, trial.failure, chosen)
            highs = [p.high_ms for p in predict(plan, trial.failure, chosen) if not math.isinf(p.high_ms)]
            assert max(highs, default=0) <= latest


def test_looking_only_where_a_failure_concerns_a_flow_sees_the_same() -> None:
    """What is taken over from the whole network equals what looking afresh finds."""
    plan = plan_of(two_sites())
    world = World(plan)
    flows = [flow for planned in plan.objectives for flow in planned.flows]
    for name, element in plan.elements.items():
        for faults in (element.faults, element.silent_faults):
            situation = world.settle(damage_of_faults(faults))
            for one in flows:
                seen, fresh = look(situation, one), look_both_ways(situation, one)
                assert {w: (h.some, h.every) for w, h in seen.items()} == {
                    w: (h.some, h.every) for w, h in fresh.items()
                }, f"{name}: {one.name}"
                assert all(seen[way].swept == fresh[way].swept for way in Way), f"{name}: {one.name}"


def test_a_clock_counts_only_at_its_own_pace() -> None:
    """Fastest takes the low bounds, slowest the high ones, and an instant nothing."""
    step = Bounds(2, 5, "a test")
    ends = {pace: Clock(pace).after(Clock(pace).after(START, step, "a"), step, "b") for pace in Pace}

    assert {pace: end.at_ms for pace, end in ends.items()} == {Pace.INSTANT: 0, Pace.FASTEST: 4, Pace.SLOWEST: 10}
    assert [cause.text for cause in ends[Pace.SLOWEST].steps()] == ["a", "b"]
