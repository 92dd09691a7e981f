"""What people see at a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from resilience.model.findings import Findings
from resilience.model.journal import Journal
from resilience.report.tables import Table
from resilience.report.terminal import make_console, show_findings, show_journal, show_table


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


def shown(show: object, what: object) -> str:
    """Return what one of the `show_` functions writes where no terminal is."""
    out = io.StringIO()
    assert callable(show)
    show(what, make_console(out))
    return out.getvalue()


def test_each_finding_says_where_how_bad_what_and_what_to_do(findings: Findings) -> None:
    """One line for the finding, one for its remedy."""
    text = shown(show_findings, findings)

    assert (
        "network.yaml:5:1: error: internet is lost when router gw fails [single-point-of-failure]\n"
        "    remedy: give the site a second router\n"
    ) in text


def test_findings_end_in_a_count_and_whether_one_could_deploy(findings: Findings) -> None:
    """The last line is the summary."""
    last = shown(show_findings, findings).splitlines()[-1]

    assert last == "two-ways: 1 error, 1 warning, 1 note; not deployable yet"


def test_hostile_text_reaches_the_terminal_as_text(findings: Findings) -> None:
    """Markup is no markup, escapes are written out, the reading direction stays."""
    text = shown(show_findings, findings)

    assert r"[bold]x[/] \x1b[31m | <script>\u202e" in text
    assert "\x1b" not in text


def test_a_drill_shows_both_directions_the_prediction_and_the_verdict(journal: Journal) -> None:
    """The worse direction is named, and an outage that did not end is a lower bound."""
    text = shown(show_journal, journal)

    assert "fail uplink b" in text
    assert "≥ 7.0 s" in text
    assert "200-300 ms" in text


def test_a_passed_drill_keeps_its_timeline_to_itself(journal: Journal) -> None:
    """Steps of the control plane explain failures; a pass needs none."""
    text = shown(show_journal, journal)

    assert text.count("carrier lost") == 2


def test_a_prediction_that_disagrees_is_said(journal: Journal) -> None:
    """Prediction or measurement has a defect, and the reader learns it."""
    assert "one of them has a defect" in shown(show_journal, journal)


def test_the_last_line_of_a_journal_is_the_verdict(journal: Journal) -> None:
    """Counts first, then one word."""
    assert shown(show_journal, journal).splitlines()[-1] == "3 drills (1 pass, 1 fail, 1 unknown): fail"


def test_colours_are_only_for_terminals(monkeypatch: pytest.MonkeyPatch, findings: Findings) -> None:
    """A terminal gets colours; with NO_COLOR it gets none."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = Terminal()
    show_findings(findings, make_console(coloured))
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    show_findings(findings, make_console(plain))

    assert "\x1b[1;31merror" in coloured.getvalue()
    assert "\x1b[1;31m" not in plain.getvalue()


def test_a_wide_table_is_not_cut_where_a_program_reads_it() -> None:
    """Lines are as long as they are when no terminal sets a width."""
    wide = Table("wide", ("one", "far_two"), (("x" * 300, "y" * 300),))

    assert f"{'x' * 300}  {'y' * 300}" in shown(show_table, wide)


def test_a_narrow_terminal_loses_no_text() -> None:
    """Cells fold instead of ending in dots."""
    out = io.StringIO()
    show_table(Table("t", ("name",), (("abcdefghij",),)), Console(file=out, width=6))

    assert "…" not in out.getvalue()
    assert "".join(out.getvalue().split()) == "nameabcdefghij"
