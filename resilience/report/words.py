"""Sentences and figures that every form of a report shares, so that terminal and Markdown cannot disagree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from resilience.model.findings import Findings, Severity
from resilience.model.journal import DrillResult, FaultRecord, Journal, Prediction, Stream, Verdict
from resilience.model.units import show_duration


def show_stream(stream: Stream | None) -> str:
    """Write one direction's outage: `0`, `123 ms`, or with `≥` where measuring ended before traffic came back."""
    if stream is None:
        return ""
    if not stream.lost:
        return "0"
    return f"{'≥ ' if stream.censored else ''}{show_duration(stream.outage_ms)}"


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
    """Give the terms of the predictions for flows that did not pass."""
    troubled = {flow.flow for flow in drill.flows if flow.verdict is not Verdict.PASS}
    for prediction in drill.predicted:
        if prediction.flow in troubled and prediction.because:
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
