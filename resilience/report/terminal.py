"""Results for people at a terminal. Colours only repeat what the words say."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from resilience.model.explanation import Explanation
from resilience.model.findings import Finding, Findings, Severity
from resilience.model.journal import DrillResult, Event, FlowResult, Journal, Prediction, Verdict, Way
from resilience.report.tables import Table, show_cell
from resilience.report.text import show_safely
from resilience.report.told import CLOSING, Story, ToldPart, ToldRule, Variants, counts_lists, tell
from resilience.report.words import (
    show_bounds,
    show_failure_time,
    show_stream,
    show_wait,
    show_worst,
    summarise_drills,
    summarise_findings,
    tell_worst_predictions,
)

_STYLES = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.NOTE: "cyan",
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.UNKNOWN: "bold yellow",
}
_STEPS_SHOWN = 30
_PLAIN_WIDTH = 1_000_000
"""Where no terminal sets a width, lines are as long as they are: programs like `grep` read them."""


def make_console(file: TextIO | None = None) -> Console:
    """Return a console on stdout or `file`: coloured (but for NO_COLOR) and fitted on a terminal, plain elsewhere."""
    out = file or sys.stdout
    width = None if out.isatty() else _PLAIN_WIDTH
    return Console(file=out, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def show_table(table: Table, console: Console) -> None:
    """Show a table of a plan."""
    grid = _grid(table.headings())
    for row in table.rows:
        grid.add_row(*(_text(show_cell(cell)) for cell in row))
    _print_grid(grid, console)


def show_findings(findings: Findings, console: Console) -> None:
    """Show what analysis found, worst first, and what to do about it."""
    for finding in findings.findings:
        _show_finding(finding, console)
    console.print(_text(summarise_findings(findings)))


def _show_finding(finding: Finding, console: Console) -> None:
    where = f"{finding.at}: " if finding.at and finding.at.line else ""
    line = Text.assemble(_text(where), (str(finding.severity), _STYLES[finding.severity]), ": ", _text(finding.message))
    line.append(f" [{show_safely(finding.rule)}]", "dim")
    console.print(line)
    if finding.remedy:
        console.print(Text.assemble("    remedy: ", _text(finding.remedy)))


def show_explanation(explanation: Explanation, console: Console) -> None:
    """Show what goes in and out of each session, and why."""
    for number, story in enumerate(tell(explanation)):
        if number:
            console.print()
        _show_story(story, console)
    if counts_lists(explanation):
        console.print()
        console.print(_text(CLOSING))


def _show_story(story: Story, console: Console) -> None:
    console.print(Text(show_safely(story.title), "bold"))
    for part in story.parts:
        console.print()
        console.print(Text(show_safely(part.heading), "bold"))
        for line in part.lead:
            console.print(_text(line))
        _print_grid(_story_grid(part), console)


def _story_grid(part: ToldPart) -> RichTable:
    grid = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for rule in part.rules:
        verdict = ("accept", "green") if rule.accept else ("refuse", "bold red")
        grid.add_row(Text.assemble(f"{rule.number:>4} ", verdict, " ", _text(rule.name)), _lines(*_rule_lines(rule)))
    for subject, told in part.statements:
        grid.add_row(_text(f"  {subject}"), _lines(*told))
    return grid


def _rule_lines(rule: ToldRule) -> Variants:
    why = tuple(f"because: {text}" for text in rule.why)
    return *rule.when, *(f"then: {text}" for text in rule.then), *why


def _lines(*texts: str) -> Text:
    return Text("\n").join(map(_text, texts))


def show_journal(journal: Journal, console: Console) -> None:
    """Show a whole run: each drill with its evidence, then the summary."""
    for drill in journal.drills:
        show_drill(drill, console)
    console.print()
    show_summary(journal, console)


def show_summary(journal: Journal, console: Console) -> None:
    """Show a run on one screen: a line for each drill, and the verdict as the last word."""
    console.print(_text(f"{journal.network}: {journal.lab.nodes} nodes, converged after {journal.lab.ready_s:.1f} s"))
    console.print(Text.assemble("control run without a fault: ", _verdict(journal.control.verdict)))
    for skipped in journal.skipped:
        console.print(_text(f"skipped: {skipped}"))
    grid = _grid(("drill", "objective", "worst outage", "verdict"))
    for drill in journal.drills:
        grid.add_row(_text(drill.name), _text(drill.objective), _text(show_worst(drill)), _verdict(drill.verdict))
    if journal.drills:
        _print_grid(grid, console)
    console.print(Text.assemble(_text(summarise_drills(journal)), ": ", _verdict(journal.verdict)))


def show_drill(drill: DrillResult, console: Console) -> None:
    """Show one drill: what was promised, what was done, what each flow lost, what had been predicted, the verdict."""
    console.print()
    repetition = f" (run {drill.repetition})" if drill.repetition > 1 else ""
    console.print(Text.assemble(_verdict(drill.verdict), " ", (show_safely(drill.name) + repetition, "bold")))
    console.print(_text(f"  hypothesis  {drill.hypothesis}"))
    for fault in drill.faults:
        console.print(_text(f"  fault       {show_failure_time(fault)}"))
    if drill.flows:
        _print_grid(_flow_grid(drill.flows, drill.predicted), console)
    for line in _closing_lines(drill):
        console.print(_text(line))


def _closing_lines(drill: DrillResult) -> Iterable[str]:
    if drill.reason:
        yield f"  because     {drill.reason}"
    if not drill.agrees:
        yield "  prediction  does not agree with the measurement: one of them has a defect"
    for term in tell_worst_predictions(drill) if drill.verdict is not Verdict.PASS else ():
        yield f"  predicted   {term}"
    if drill.verdict is not Verdict.PASS:
        yield from _timeline_lines(drill.timeline)
    if drill.recovered is not None and not drill.recovered.ok:
        yield f"  recovery    not complete: {'; '.join(drill.recovered.differences)}"
    for flow in drill.left_out:
        yield f"  left out    {flow}: the failing element holds an end of it"


def _timeline_lines(events: tuple[Event, ...]) -> Iterable[str]:
    """Show the first steps of the control plane; in large networks there are thousands."""
    for event in events[:_STEPS_SHOWN]:
        yield f"  {event.at_ms:>9.1f} ms  {event.node} ({event.source}): {event.event}"
    if len(events) > _STEPS_SHOWN:
        yield f"  {'':>9}     and {len(events) - _STEPS_SHOWN} later steps, which the journal holds (--json)"


def _flow_grid(flows: tuple[FlowResult, ...], predicted: tuple[Prediction, ...]) -> RichTable:
    by_way = {(item.flow, item.direction): item for item in predicted}
    waits = any(flow.tcp for flow in flows)
    wait_heading = ("user waits",) if waits else ()
    grid = _grid(("  flow", "forward", "predicted", "return", "predicted", *wait_heading, "verdict"))
    for flow in flows:
        wait = (_text(show_wait(flow.tcp)),) if waits else ()
        grid.add_row(
            _text(f"  {flow.flow}"),
            _text(show_stream(flow.forward)),
            _text(show_bounds(by_way.get((flow.flow, Way.FORWARD)))),
            _text(show_stream(flow.back)),
            _text(show_bounds(by_way.get((flow.flow, Way.RETURN)))),
            *wait,
            _verdict(flow.verdict),
        )
    return grid


def _grid(headings: tuple[str, ...]) -> RichTable:
    grid = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        grid.add_column(heading, overflow="fold")
    return grid


def _print_grid(grid: RichTable, console: Console) -> None:
    """Print a grid without the spaces that fill its last column: they would travel into every file and diff."""
    with console.capture() as captured:
        console.print(grid)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _text(text: str) -> Text:
    return Text(show_safely(text))


def _verdict(verdict: Verdict) -> Text:
    return Text(verdict, _STYLES[verdict])
