"""A journal as JUnit XML, the form that CI systems read: one test suite an objective, one test case a drill."""

from __future__ import annotations

from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from resilience.model.journal import DrillResult, Journal, Verdict
from resilience.report.text import show_safely
from resilience.report.words import show_bounds, show_stream, tell_worst_predictions


def write_junit(journal: Journal) -> str:
    """Return the journal as JUnit XML: `fail` is a failure, `unknown` an error, so that no CI takes it for a pass."""
    root = Element("testsuites", name=show_safely(journal.network))
    for objective, drills in groupby(journal.drills, key=lambda drill: drill.objective):
        _add_suite(root, objective, tuple(drills))
    if journal.control.verdict is not Verdict.PASS:
        _add_control(root)
    indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{tostring(root, encoding='unicode')}\n"


def _add_suite(root: Element, objective: str, drills: tuple[DrillResult, ...]) -> None:
    suite = SubElement(
        root,
        "testsuite",
        name=show_safely(objective),
        tests=str(len(drills)),
        failures=str(sum(drill.verdict is Verdict.FAIL for drill in drills)),
        errors=str(sum(drill.verdict is Verdict.UNKNOWN for drill in drills)),
    )
    for drill in drills:
        _add_case(suite, drill)


def _add_case(suite: Element, drill: DrillResult) -> None:
    name = drill.name if drill.repetition == 1 else f"{drill.name} (run {drill.repetition})"
    case = SubElement(suite, "testcase", name=show_safely(name), classname=show_safely(drill.objective))
    if drill.verdict is not Verdict.PASS:
        tag = "failure" if drill.verdict is Verdict.FAIL else "error"
        SubElement(case, tag, message=show_safely(drill.reason)).text = "\n".join(map(show_safely, _evidence(drill)))


def _evidence(drill: DrillResult) -> list[str]:
    measured = [
        f"{flow.flow}: forward {show_stream(flow.forward)}, return {show_stream(flow.back)}: {flow.reason}"
        for flow in drill.flows
        if flow.verdict is not Verdict.PASS
    ]
    bounds = [f"predicted {item.flow} {item.direction}: {show_bounds(item)}" for item in drill.predicted]
    steps = [f"{event.at_ms:.1f} ms {event.node}: {event.event}" for event in drill.timeline]
    return [*measured, *bounds, *tell_worst_predictions(drill), *steps]


def _add_control(root: Element) -> None:
    suite = SubElement(root, "testsuite", name="control run without a fault", tests="1", failures="0", errors="1")
    case = SubElement(suite, "testcase", name="control", classname="control run without a fault")
    SubElement(case, "error", message="packets were lost without a fault: no verdict of this run can be trusted")
