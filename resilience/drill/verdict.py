"""Measured, promised and predicted become a verdict. Nothing here reads a clock or a lab.

A verdict is only given when it is certain: an outage that lies closer to its limit than the resolution could be on
either side of it, and is `unknown`, as is everything that the analysis predicted otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from resilience.model.journal import FlowResult, Prediction, Recovery, Stream, TcpWait, Verdict, Way
from resilience.model.units import show_duration

RECOVERY_LIMIT_MS = 180_000
"""Where no limit is promised, traffic has to be back by then."""
TCP_RETRANSMISSION_MS = 200
"""The shortest time after which Linux sends a lost segment again: a user who waited less lost none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one flow went through. UDP flows have streams, TCP flows a wait."""

    forward: Stream | None = None
    back: Stream | None = None
    tcp: TcpWait | None = None
    resolution_ms: float
    answers: bool = False
    """The return stream answers the forward one (anycast): while that is out, nothing is known of the return."""
    excess_ms: float = 0.0
    """How much of a user's wait may be the service's own slowness: the network's part is at least that much less."""

    @property
    def outage_ms(self) -> float:
        """The worse direction's outage; of a TCP flow how long a user waited."""
        if self.tcp is not None:
            return self.tcp.wait_ms
        return max((stream.outage_ms for stream in self.streams()), default=0.0)

    @property
    def lost(self) -> int:
        """Packets or attempts that were lost."""
        return self.tcp.failed if self.tcp is not None else sum(stream.lost for stream in self.streams())

    @property
    def censored(self) -> bool:
        """Measuring ended before traffic came back."""
        return self.tcp.censored if self.tcp is not None else any(stream.censored for stream in self.streams())

    @property
    def silent(self) -> bool:
        """Nothing was sent in the forward direction: nothing is known."""
        if self.tcp is not None:
            return self.tcp.attempts == 0
        return self.forward is None or self.forward.sent == 0

    def streams(self) -> tuple[Stream, ...]:
        """Return the directions that were measured."""
        return tuple(stream for stream in (self.forward, self.back) if stream is not None)

    def worse_way(self) -> Way:
        """Return the direction that was out for longer."""
        forward = self.forward.outage_ms if self.forward else 0.0
        back = self.back.outage_ms if self.back else 0.0
        return Way.RETURN if back > forward else Way.FORWARD


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and why, in words for people."""

    verdict: Verdict
    reason: str


def judge_outage(measured: Measured, limit_ms: int | None) -> Judgement:
    """Hold what was measured against what was promised."""
    if measured.silent:
        return Judgement(Verdict.UNKNOWN, "nothing was sent")
    if limit_ms == 0:
        return _judge_nothing_lost(measured)
    if not measured.lost and measured.tcp is None:
        return Judgement(Verdict.PASS, "no packet lost")
    return _judge_limit(measured, RECOVERY_LIMIT_MS if limit_ms is None else limit_ms)


def _judge_limit(measured: Measured, limit: int) -> Judgement:
    at_least = "≥ " if measured.censored else ""
    outage = f"{_way_words(measured)} {at_least}{show_duration(measured.outage_ms)}"
    if measured.outage_ms - measured.resolution_ms - measured.excess_ms > limit:
        return Judgement(Verdict.FAIL, f"{outage}, more than {show_duration(limit)}")
    if measured.censored:
        return Judgement(Verdict.UNKNOWN, f"{outage}, and measuring ended before it was over")
    if measured.outage_ms + measured.resolution_ms > limit:
        return Judgement(
            Verdict.UNKNOWN,
            f"{outage}, too close to {show_duration(limit)} to tell with a resolution of "
            f"{show_duration(measured.resolution_ms)}{_excess_words(measured)}",
        )
    return Judgement(Verdict.PASS, f"{outage}, within {show_duration(limit)}")


def _excess_words(measured: Measured) -> str:
    if measured.excess_ms < measured.resolution_ms:
        return ""
    return f" and a service that took up to {show_duration(measured.excess_ms)} at its own host"


def _judge_nothing_lost(measured: Measured) -> Judgement:
    """`within: 0s`: no packet may be lost."""
    if measured.tcp is not None:
        if measured.tcp.failed or measured.tcp.wait_ms >= TCP_RETRANSMISSION_MS + measured.excess_ms:
            return Judgement(Verdict.FAIL, f"a user waited {show_duration(measured.tcp.wait_ms)}, none was promised to")
        return Judgement(Verdict.PASS, "no user had to wait")
    if measured.lost:
        return Judgement(Verdict.FAIL, f"{measured.lost} packets lost, none was promised to be")
    return Judgement(Verdict.PASS, "no packet lost")


def _way_words(measured: Measured) -> str:
    return "a user waited" if measured.tcp is not None else f"{measured.worse_way()} out for"


def compare(measured: Measured, predictions: Sequence[Prediction]) -> str:
    """Return where a flow's measurement contradicts what was predicted for it; empty when it does not."""
    if measured.silent:
        return ""
    by_way = {prediction.direction: prediction for prediction in predictions}
    if measured.tcp is not None:
        return _compare_wait(measured, tuple(by_way.values()))
    for way, stream in ((Way.FORWARD, measured.forward), (Way.RETURN, measured.back)):
        prediction = by_way.get(way)
        if stream is not None and prediction is not None and stream.sent:
            only_upper = measured.answers and way is Way.RETURN
            words = _compare_stream(stream, prediction, measured.resolution_ms, only_upper=only_upper)
            if words:
                return f"{way}: {words}"
    return ""


def _compare_stream(stream: Stream, prediction: Prediction, resolution_ms: float, *, only_upper: bool) -> str:
    if only_upper and not (prediction.reachable and stream.outage_ms > prediction.high_ms + resolution_ms):
        return ""
    if not prediction.reachable:
        return "" if stream.censored else "predicted to stay unreachable, and packets arrived again"
    low, high = prediction.low_ms - resolution_ms, prediction.high_ms + resolution_ms
    if stream.censored:
        # Still out: no contradiction while the predicted end may yet come.
        return "" if stream.outage_ms <= high else _outside(stream.outage_ms, prediction, at_least=True)
    return "" if low <= stream.outage_ms <= high else _outside(stream.outage_ms, prediction)


def _compare_wait(measured: Measured, predictions: tuple[Prediction, ...]) -> str:
    """A user waits while either direction is out, and through retransmissions where segments were lost."""
    if measured.tcp is None or not predictions:
        return ""
    if not all(prediction.reachable for prediction in predictions):
        return "" if measured.tcp.censored else "predicted to stay unreachable, and users were served again"
    worst = max(predictions, key=lambda prediction: prediction.high_ms)
    high = sum(prediction.high_ms for prediction in predictions) + TCP_RETRANSMISSION_MS
    high += measured.resolution_ms + measured.excess_ms
    if measured.tcp.wait_ms > high:
        return f"a user: {_outside(measured.tcp.wait_ms, worst, at_least=measured.tcp.censored)}"
    return ""


def _outside(outage_ms: float, prediction: Prediction, *, at_least: bool = False) -> str:
    bounds = f"{show_duration(prediction.low_ms)} to {show_duration(prediction.high_ms)}"
    return f"measured {'≥ ' if at_least else ''}{show_duration(outage_ms)}, predicted {bounds}"


def judge_flow(measured: Measured, limit_ms: int | None, predictions: Sequence[Prediction]) -> Judgement:
    """Return a flow's verdict. A prediction that does not agree makes it unknown: one of the two has a defect."""
    judged = judge_outage(measured, limit_ms)
    contradiction = compare(measured, predictions)
    if contradiction:
        return Judgement(Verdict.UNKNOWN, f"prediction and measurement do not agree: {contradiction}")
    return judged


def judge_drill(flows: Sequence[FlowResult], recovery: Recovery | None, *, agrees: bool) -> Judgement:
    """Return a drill's verdict from those of its flows and from what came after healing."""
    troubled = [flow for flow in flows if flow.verdict is not Verdict.PASS]
    unknown = [flow for flow in troubled if flow.verdict is Verdict.UNKNOWN]
    failed = [flow for flow in troubled if flow.verdict is Verdict.FAIL]
    if not flows:
        return Judgement(Verdict.UNKNOWN, "no flow was measured")
    if not agrees or (unknown and not failed):
        return Judgement(Verdict.UNKNOWN, _name_worst(unknown or troubled, len(flows)))
    if failed:
        return Judgement(Verdict.FAIL, _name_worst(failed, len(flows)))
    if recovery is None:
        return Judgement(Verdict.UNKNOWN, "whether the network recovered was not checked")
    if not recovery.ok:
        return Judgement(Verdict.FAIL, f"not recovered after healing: {'; '.join(recovery.differences)}")
    return Judgement(Verdict.PASS, _summarise(flows))


def _name_worst(flows: Sequence[FlowResult], total: int) -> str:
    worst = max(flows, key=lambda flow: flow.outage_ms)
    return f"{len(flows)} of {total} flows: {worst.flow}: {worst.reason}"


def _summarise(flows: Sequence[FlowResult]) -> str:
    worst = max(flows, key=lambda flow: flow.outage_ms)
    return f"worst of {len(flows)} flows: {worst.flow}: {worst.reason}"


def judge_control(flows: Iterable[FlowResult]) -> Verdict:
    """Return the verdict of the run without a fault: anything lost, and nothing that follows can be trusted."""
    flows = tuple(flows)
    clean = all(flow.verdict is Verdict.PASS for flow in flows)
    return Verdict.PASS if flows and clean else Verdict.UNKNOWN


def distrust(flow: FlowResult) -> FlowResult:
    """Return a result as it stands when the control run has failed."""
    return replace(flow, verdict=Verdict.UNKNOWN, reason="the control run without a fault lost packets")


def judge_run(verdicts: Iterable[Verdict], control: Verdict) -> Verdict:
    """Return the verdict of a whole run: one failure fails it, no drill at all proves nothing."""
    found = set(verdicts)
    if control is not Verdict.PASS or not found:
        return Verdict.UNKNOWN
    for verdict in (Verdict.FAIL, Verdict.UNKNOWN):
        if verdict in found:
            return verdict
    return Verdict.PASS


def is_certain(measured: Measured, limit_ms: int | None, predictions: Sequence[Prediction]) -> bool:
    """Say whether a flow that is still out has certainly failed, with nothing more to learn from waiting."""
    limit = RECOVERY_LIMIT_MS if limit_ms is None else limit_ms
    if not measured.censored or measured.outage_ms - measured.resolution_ms - measured.excess_ms <= limit:
        return False
    return all(not prediction.reachable for prediction in predictions if _is_out(measured, prediction.direction))


def _is_out(measured: Measured, way: Way) -> bool:
    if measured.tcp is not None:
        return True
    stream = measured.forward if way is Way.FORWARD else measured.back
    return stream is not None and stream.censored


def predicted_end_ms(predictions: Iterable[Prediction]) -> float:
    """Return when the last predicted outage of reachable flows ends."""
    highs = (prediction.high_ms for prediction in predictions if prediction.reachable)
    return max((high for high in highs if math.isfinite(high)), default=0.0)
