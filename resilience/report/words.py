"""Sentences and figures that every form of a report shares, so that terminal and Markdown cannot disagree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from resilience.model.findings import Findings, Severity
from resilience.model.journal import DrillResult, FaultRecord, Journal, Prediction, Stream, TcpWait, Verdict, Way
from resilience.model.units import show_duration


def show_stream(stream: Stream | None) -> str:
    """Write one direction's outage: `0`, `123 ms`, or with `≥` where measuring ended before traffic came back."""
    if stream is None:
        return ""
    if not stream.lost:
        return "0"
    return f"{'≥ ' if stream.censored else ''}{show_duration(stream.outage_ms)}"


def show_wait(wait: TcpWait | None) -> str:
    """Write how long a user waited; empty for flows without users."""
    if wait is None:
        return ""
    return f"{'≥ ' if wait.censored else ''}{show_duration(wait.wait_ms)}"


def show_worst(drill: DrillResult) -> str:
    """Write the longest outage of a drill and its direction, or how long a user waited."""
    if not drill.flows:
        return ""
    worst = max(drill.flows, key=lambda flow: flow.outage_ms)
    if worst.tcp is not None:
        return f"{show_wait(worst.tcp)}, user waits"
    streams = [(stream, way) for stream, way in ((worst.forward, Way.FORWARD), (worst.back, Way.RETURN)) if stream]
    stream, way = max(streams, key=lambda pair: pair[0].outage_ms, default=(None, Way.FORWARD))
    return f"{show_stream(stream)}, {way}" if stream is not None and stream.lost else "0"


def show_bounds(prediction: Prediction | None) -> str:
    """Write what was predicted: `200-300 ms`, or that nothing comes back."""
    if prediction is None:
        return ""
    if not prediction.reachable or math.isinf(prediction.high_ms):
        return "unreachable"
    if prediction.high_ms == 0:
        return "0"
    return f"{prediction.low_ms:.0f}-{prediction.high_ms:.0f} ms"


def show_failure_time(fault: FaultRecord) -> str:
    """Write what was done and when."""
    side = f" ({fault.side})" if fault.side else ""
    return f"{fault.kind} {fault.element}{side} at {fault.at_ms:.1f} ms"


def tell_worst_predictions(drill: DrillResult) -> Iterator[str]:
    """Give the terms of the predictions for flows that did not pass, the same terms once."""
    troubled = {flow.flow for flow in drill.flows if flow.verdict is not Verdict.PASS}
    told: set[tuple[str, ...]] = set()
    for prediction in drill.predicted:
        if prediction.flow in troubled and prediction.because and prediction.because not in told:
            told.add(prediction.because)
            yield f"{prediction.flow} {prediction.direction}: {' + '.join(prediction.because)}"


def summarise_findings(findings: Findings) -> str:
    """Write how many findings there are of each severity, and whether the network could be deployed."""
    counts = Counter(finding.severity for finding in findings.findings)
    words = ", ".join(_count(counts[severity], severity) for severity in Severity)
    deployable = "nothing is missing for deployment" if findings.deployable else "not deployable yet"
    return f"{findings.network}: {words}; {deployable}"


def summarise_drills(journal: Journal) -> str:
    """Write how many drills there are of each verdict."""
    counts = Counter(drill.verdict for drill in journal.drills)
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict)
    return f"{_count(len(journal.drills), 'drill')} ({words})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
