"""Results as Markdown: for tickets, merge requests and archives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from resilience.model.explanation import Explanation
from resilience.model.findings import Finding, Findings
from resilience.model.journal import DrillResult, FlowResult, Journal, Prediction, Verdict, Way
from resilience.report.text import escape_markdown
from resilience.report.told import CLOSING, Story, ToldPart, ToldRule, Variants, counts_lists, tell
from resilience.report.words import (
    show_bounds,
    show_failure_time,
    show_stream,
    show_wait,
    summarise_drills,
    summarise_findings,
    tell_worst_predictions,
)


def write_findings(findings: Findings) -> str:
    """Return findings as a Markdown document."""
    rows = map(_finding_row, findings.findings)
    return _join(
        (
            f"# Findings: {escape_markdown(findings.network)}",
            "",
            escape_markdown(summarise_findings(findings)) + ".",
            "",
            *_table(("severity", "subject", "message", "remedy", "rule", "where"), rows),
        )
    )


def _finding_row(finding: Finding) -> tuple[object, ...]:
    where = finding.at if finding.at and finding.at.line else ""
    return finding.severity, finding.subject, finding.message, finding.remedy, finding.rule, where


def write_explanation(explanation: Explanation) -> str:
    """Return an explanation as a Markdown document."""
    closing = ("", escape_markdown(CLOSING)) if counts_lists(explanation) else ()
    stories = (line for story in tell(explanation) for line in _story_lines(story))
    title = f"# {escape_markdown(explanation.name)} in {escape_markdown(explanation.network)}"
    return _join((title, *stories, *closing))


def _story_lines(story: Story) -> Iterator[str]:
    yield from ("", f"## {escape_markdown(story.title)}")
    for part in story.parts:
        yield from ("", f"### {escape_markdown(part.heading)}", "")
        yield from _part_lines(part)


def _part_lines(part: ToldPart) -> Iterator[str]:
    if part.lead:
        yield f"{_variants(part.lead)}."
    if part.rules:
        yield from ("", _row(("", "", "rule", "when", "then", "because")), _row("---" for _ in range(6)))
        yield from map(_rule_row, part.rules)
        yield ""
    yield from (f"- **{escape_markdown(subject)}**: {_variants(told)}" for subject, told in part.statements)


def _rule_row(rule: ToldRule) -> str:
    verdict = "accept" if rule.accept else "**refuse**"
    words = (_variants(told) for told in (rule.when, rule.then, rule.why))
    return _row((str(rule.number), verdict, escape_markdown(rule.name), *words))


def _variants(texts: Variants) -> str:
    return "<br>".join(map(escape_markdown, texts))


def write_journal(journal: Journal) -> str:
    """Return a journal as a Markdown document."""
    return _join(
        (
            f"# Drills: {escape_markdown(journal.network)}",
            "",
            f"Verdict: **{journal.verdict}**. {escape_markdown(summarise_drills(journal))}. "
            f"{journal.lab.nodes} nodes, converged after {journal.lab.ready_s:.1f} s. "
            f"Control run without a fault: {journal.control.verdict}. "
            f"Started {escape_markdown(journal.started_at)}, resilience {escape_markdown(journal.tool_version)}, "
            f"input {journal.input_sha256[:12]}.",
            *(line for drill in journal.drills for line in _drill_lines(drill)),
            *_skipped_lines(journal),
        )
    )


def _skipped_lines(journal: Journal) -> Iterator[str]:
    if journal.skipped:
        yield from ("", "## Skipped", "")
        yield from (f"- {escape_markdown(reason)}" for reason in journal.skipped)


def _drill_lines(drill: DrillResult) -> Iterator[str]:
    repetition = f" (run {drill.repetition})" if drill.repetition > 1 else ""
    yield from ("", f"## {escape_markdown(drill.name)}{repetition}: {drill.verdict}", "")
    yield f"Hypothesis: {escape_markdown(drill.hypothesis)}."
    if drill.reason:
        yield f"Because: {escape_markdown(drill.reason)}."
    yield from (f"\n- {escape_markdown(show_failure_time(fault))}" for fault in drill.faults)
    yield ""
    by_way = {(item.flow, item.direction): item for item in drill.predicted}
    columns = ("flow", "forward", "predicted", "return", "predicted", "user waits", "verdict")
    yield from _table(columns, (_flow_row(flow, by_way) for flow in drill.flows))
    if drill.verdict is not Verdict.PASS:
        yield ""
        yield from (f"- predicted {escape_markdown(term)}" for term in tell_worst_predictions(drill))
        yield from (
            f"- {event.at_ms:.1f} ms {escape_markdown(event.node)}: {escape_markdown(event.event)}"
            for event in drill.timeline
        )


def _flow_row(flow: FlowResult, by_way: dict[tuple[str, Way], Prediction]) -> tuple[object, ...]:
    return (
        flow.flow,
        show_stream(flow.forward),
        show_bounds(by_way.get((flow.flow, Way.FORWARD))),
        show_stream(flow.back),
        show_bounds(by_way.get((flow.flow, Way.RETURN))),
        show_wait(flow.tcp),
        flow.verdict,
    )


def _table(columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    yield _row(columns)
    yield _row("---" for _ in columns)
    yield from (_row(map(escape_markdown, row)) for row in rows)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _join(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
