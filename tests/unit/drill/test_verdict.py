"""Verdicts are certain or `unknown`; `unknown` is never `pass`."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from resilience.drill.verdict import (
    Measured,
    compare,
    is_certain,
    judge_control,
    judge_drill,
    judge_flow,
    judge_outage,
    judge_run,
    predicted_end_ms,
)
from resilience.model.journal import FlowResult, Prediction, Recovery, Stream, TcpWait, Verdict, Way

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN


def stream(outage_ms: float = 0, *, lost: int | None = None, censored: bool = False, sent: int = 1000) -> Stream:
    """Return a direction that was out for a while, one packet a millisecond."""
    count = round(outage_ms) if lost is None else lost
    return Stream(sent=sent, lost=count, outage_ms=outage_ms, longest_gap_ms=outage_ms, censored=censored)


def udp(forward: float = 0, back: float = 0, *, censored: bool = False, resolution_ms: float = 1) -> Measured:
    """Return a measured flow of two directions."""
    return Measured(
        forward=stream(forward, censored=censored), back=stream(back), tcp=None, resolution_ms=resolution_ms
    )


def tcp(wait_ms: float, *, failed: int = 0, censored: bool = False, attempts: int = 50) -> Measured:
    """Return a measured service."""
    return Measured(tcp=TcpWait(wait_ms=wait_ms, attempts=attempts, failed=failed, censored=censored), resolution_ms=20)


def predict(low: float, high: float, way: Way = Way.FORWARD, *, reachable: bool = True) -> Prediction:
    """Return a prediction for one direction."""
    return Prediction(flow="f", direction=way, reachable=reachable, low_ms=low, high_ms=high, because=())


def flow(verdict: Verdict, outage_ms: float = 0) -> FlowResult:
    """Return a judged flow."""
    return FlowResult(
        flow="f",
        source="a",
        target="b",
        family=4,
        protocol="udp",
        limit_ms=1000,
        forward=stream(outage_ms),
        back=stream(),
        tcp=None,
        outage_ms=outage_ms,
        resolution_ms=1,
        verdict=verdict,
        reason="because",
    )


@pytest.mark.parametrize(
    ("measured", "limit_ms", "expected"),
    [
        (udp(), 1000, PASS),
        (udp(300), 1000, PASS),
        (udp(0, 300), 1000, PASS),
        (udp(1300), 1000, FAIL),
        (udp(0, 1300), 1000, FAIL),
        (udp(1000.5), 1000, UNKNOWN),
        (udp(999.5), 1000, UNKNOWN),
        (udp(960, resolution_ms=50), 1000, UNKNOWN),
        (udp(800, censored=True), 1000, UNKNOWN),
        (udp(1300, censored=True), 1000, FAIL),
        (udp(resolution_ms=50), 1000, PASS),
        (udp(), 0, PASS),
        (udp(resolution_ms=50), 0, PASS),
        (udp(1), 0, FAIL),
        (udp(0, 1), 0, FAIL),
        (udp(170_000), None, PASS),
        (udp(170_000, censored=True), None, UNKNOWN),
        (udp(181_000, censored=True), None, FAIL),
        (Measured(forward=stream(sent=0), back=stream(), resolution_ms=inf), 1000, UNKNOWN),
        (Measured(resolution_ms=1), 1000, UNKNOWN),
        (tcp(30), 1000, PASS),
        (tcp(1500, failed=3), 1000, FAIL),
        (tcp(500, censored=True), 1000, UNKNOWN),
        (tcp(30), 0, PASS),
        (tcp(30, failed=1), 0, FAIL),
        (tcp(1020), 0, FAIL),
        (tcp(0, attempts=0), 1000, UNKNOWN),
    ],
)
def test_what_was_measured_is_held_against_the_limit(
    measured: Measured, limit_ms: int | None, expected: Verdict
) -> None:
    """The worse direction counts; what lies closer to the limit than the resolution cannot be told."""
    assert judge_outage(measured, limit_ms).verdict is expected


@pytest.mark.parametrize(
    ("wait_ms", "excess_ms", "expected"),
    [(600, 850, PASS), (1100, 850, UNKNOWN), (1100, 10, FAIL), (2500, 850, FAIL)],
)
def test_a_slow_service_is_not_the_networks_fault(wait_ms: float, excess_ms: float, expected: Verdict) -> None:
    """What the service took at its own host can only have made a user's wait longer."""
    assert judge_outage(replace(tcp(wait_ms), excess_ms=excess_ms), 1000).verdict is expected


def test_duplicates_are_no_loss() -> None:
    """A packet that came twice came."""
    twice = Stream(sent=10, lost=0, duplicated=5, reordered=2, outage_ms=0, longest_gap_ms=0)

    assert judge_outage(Measured(forward=twice, back=twice, resolution_ms=1), 0).verdict is PASS


def test_the_reason_names_the_worse_direction() -> None:
    """Return traffic is where most failovers hide their seconds."""
    assert judge_outage(udp(10, 9000), 1000).reason.startswith("return out for")
    assert judge_outage(udp(9000, 10), 1000).reason.startswith("forward out for")


@pytest.mark.parametrize(
    ("measured", "prediction", "agrees"),
    [
        (udp(250), predict(200, 300), True),
        (udp(199.5), predict(200, 300), True),
        (udp(150), predict(200, 300), False),
        (udp(350), predict(200, 300), False),
        (udp(), predict(0, 50), True),
        (udp(), predict(200, 300), False),
        (udp(2000, censored=True), predict(inf, inf, reachable=False), True),
        (udp(2000), predict(inf, inf, reachable=False), False),
        (udp(), predict(inf, inf, reachable=False), False),
        (udp(2000, censored=True), predict(60_000, 180_000), True),
        (udp(2000, censored=True), predict(200, 300), False),
        (udp(0, 5000), predict(0, 50, Way.RETURN), False),
        (tcp(1100), predict(800, 1000), True),
        (tcp(2000), predict(200, 300), False),
        (tcp(20), predict(inf, inf, reachable=False), False),
    ],
)
def test_a_measurement_agrees_with_its_prediction_within_the_resolution(
    measured: Measured, prediction: Prediction, agrees: bool
) -> None:
    """Reachable or not must match, and the outage must lie between the bounds; one still out may end in time."""
    assert (compare(measured, (prediction,)) == "") is agrees


def test_an_answering_stream_contradicts_only_what_it_can_see() -> None:
    """While nothing reaches an anycast node, nothing answers: less than predicted is no contradiction, more is."""
    there, back = predict(600, 900), predict(600, 900, Way.RETURN)

    assert compare(replace(udp(700, 0), answers=True), (there, back)) == ""
    assert compare(replace(udp(700, 2000), answers=True), (there, back)) != ""
    assert compare(udp(700, 0), (there, back)) != ""


def test_a_contradicted_prediction_makes_a_good_measurement_unknown() -> None:
    """One of the two has a defect: nobody should rely on either."""
    judged = judge_flow(udp(), 1000, (predict(200, 300),))

    assert judged.verdict is UNKNOWN
    assert "do not agree" in judged.reason


RECOVERED = Recovery(ok=True, after_ms=1200)


@pytest.mark.parametrize(
    ("verdicts", "agrees", "recovery", "expected"),
    [
        ([PASS, PASS], True, RECOVERED, PASS),
        ([PASS, FAIL], True, RECOVERED, FAIL),
        ([UNKNOWN, FAIL], True, RECOVERED, FAIL),
        ([UNKNOWN, PASS], True, RECOVERED, UNKNOWN),
        ([PASS, FAIL], False, RECOVERED, UNKNOWN),
        ([PASS], True, Recovery(ok=False, after_ms=180_000, differences=("gw has no session dakar-ipv4",)), FAIL),
        ([PASS], True, None, UNKNOWN),
        ([], True, RECOVERED, UNKNOWN),
    ],
)
def test_a_drill_passes_only_when_every_flow_does_and_the_network_recovers(
    verdicts: list[Verdict], agrees: bool, recovery: Recovery | None, expected: Verdict
) -> None:
    """One flow out of its limit fails it; a contradiction or nothing measured leaves it open."""
    assert judge_drill([flow(one) for one in verdicts], recovery, agrees=agrees).verdict is expected


def test_a_control_run_that_lost_anything_makes_the_whole_run_unknown() -> None:
    """Never `pass`, whatever the drills say."""
    assert judge_control([flow(PASS), flow(FAIL)]) is UNKNOWN
    assert judge_control([]) is UNKNOWN
    assert judge_control([flow(PASS)]) is PASS
    assert judge_run([PASS, PASS], UNKNOWN) is UNKNOWN


def test_a_run_is_as_good_as_its_worst_drill() -> None:
    """Fail before unknown before pass; no drill proves nothing."""
    assert judge_run([PASS, UNKNOWN, FAIL], PASS) is FAIL
    assert judge_run([PASS, UNKNOWN], PASS) is UNKNOWN
    assert judge_run([PASS], PASS) is PASS
    assert judge_run([], PASS) is UNKNOWN


def test_waiting_ends_early_only_where_nothing_can_be_learned_from_it() -> None:
    """A flow that nobody expects back and that is over its limit is certain; one expected back is waited for."""
    lost_for_good = predict(inf, inf, reachable=False)

    assert is_certain(udp(1300, censored=True), 1000, (lost_for_good,))
    assert not is_certain(udp(900, censored=True), 1000, (lost_for_good,))
    assert not is_certain(udp(1300, censored=True), 1000, (predict(9000, 10_000),))
    assert not is_certain(udp(1300), 1000, (lost_for_good,))


def test_the_last_predicted_end_is_that_of_flows_that_come_back() -> None:
    """Nobody waits for infinity."""
    assert predicted_end_ms((predict(0, 50), predict(200, 900), predict(inf, inf, reachable=False))) == 900
