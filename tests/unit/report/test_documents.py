"""Journals and findings as Markdown and JUnit, and tables as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from resilience.model.findings import Findings
from resilience.model.journal import Journal
from resilience.report.junit import write_junit
from resilience.report.markdown import write_findings, write_journal
from resilience.report.tables import Table, table_to_jsonable, write_csv
from resilience.report.text import escape_csv, escape_markdown, show_safely


def test_markdown_findings_are_one_table_row_each(findings: Findings) -> None:
    """A `|` in a name does not open a column."""
    rows = [line for line in write_findings(findings).splitlines() if line.startswith("|")]

    assert len(rows) == 2 + len(findings.findings)
    assert {row.replace("\\|", "").count("|") for row in rows} == {7}


def test_markdown_shows_hostile_text_as_text(findings: Findings) -> None:
    """No HTML and no escape sequence passes."""
    text = write_findings(findings)

    assert "<script>" not in text
    assert "\x1b" not in text


def test_markdown_journal_names_every_drill_with_its_verdict(journal: Journal) -> None:
    """One heading for each drill."""
    headings = [line for line in write_journal(journal).splitlines() if line.startswith("## ")]

    assert headings == ["## uplink a: pass", "## uplink b: fail", "## provider \\<b\\>: unknown", "## Skipped"]


def test_junit_counts_a_failure_and_an_error(journal: Journal) -> None:
    """`unknown` is an error: no CI system may take it for a pass."""
    suite = ET.fromstring(write_junit(journal)).find("testsuite")  # noqa: S314 - our own text

    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    failure = suite.find("testcase[@name='uplink b']/failure")
    assert failure is not None
    assert failure.get("message") == "return was out for longer than 3 s"


def test_junit_carries_the_evidence(journal: Journal) -> None:
    """What was measured, predicted and seen stands in the failure's text."""
    failure = ET.fromstring(write_junit(journal)).find(".//failure")  # noqa: S314 - our own text

    assert failure is not None
    assert "return ≥ 7.0 s" in (failure.text or "")
    assert "BFD detection at gw: 200-300 ms" in (failure.text or "")
    assert "1004.0 ms gw: carrier lost" in (failure.text or "")


TABLE = Table("t", ("name", "family", "bfd_runs", "members"), (("a", 4, True, ("x", "y")), ("=1+1", 6, False, ())))


def test_csv_has_a_header_and_plain_cells() -> None:
    """Lists are joined, truth is yes or no, and nothing is a formula for a spreadsheet."""
    assert list(csv.reader(io.StringIO(write_csv(TABLE)))) == [
        ["name", "family", "bfd_runs", "members"],
        ["a", "4", "yes", "x, y"],
        ["'=1+1", "6", "no", ""],
    ]


def test_json_keeps_the_types() -> None:
    """Numbers, truth and lists stay what they are."""
    document = json.loads(json.dumps(table_to_jsonable("net", TABLE)))

    assert document["schema"] == "resilience/show@1"
    assert document["rows"][0] == {"name": "a", "family": 4, "bfd_runs": True, "members": ["x", "y"]}


@given(st.text())
def test_no_text_moves_a_cursor_or_breaks_a_line(text: str) -> None:
    """Whatever comes in, one printable line goes out."""
    safe = show_safely(text)

    assert all(character.isprintable() or character.isspace() for character in safe if ord(character) < 0x80)
    assert len(safe.splitlines()) <= 1
    assert len(escape_markdown(text).splitlines()) <= 1


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_csv_cells_never_start_a_formula_and_numbers_stay_numbers(text: str, number: float) -> None:
    """A negative number is no formula."""
    assert escape_csv(str(number)) == str(number)
    assert not escape_csv(text).startswith(("=", "@", "\t"))
