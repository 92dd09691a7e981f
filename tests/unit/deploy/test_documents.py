"""Dry runs, drift and the proof: documents from what routers answered, and how people see them."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from resilience.deploy.documents import make_diff, make_drift, reverse_diff
from resilience.deploy.driver import Change, FileDiff
from resilience.deploy.evidence import read_proof
from resilience.deploy.survey import Surveyed
from resilience.errors import RouterError, RouterTrouble, UsageError
from resilience.intent import read_intent
from resilience.model.document import to_jsonable
from resilience.report.deployment import show_diff, show_drift
from resilience.report.schemas import make_schema
from resilience.report.terminal import make_console

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIFF = "--- start-up\n+++ new\n@@ -1,2 +1,3 @@\n one\n-two\n+zwei\n+drei\n"
BACK = "--- new\n+++ start-up\n@@ -1,3 +1,2 @@\n one\n-zwei\n-drei\n+two\n"


def test_a_diff_is_read_backwards() -> None:
    """Drift goes from what should be to what is, a dry run the other way."""
    assert reverse_diff(DIFF).splitlines()[2:] == BACK.splitlines()[2:]
    assert reverse_diff(reverse_diff(DIFF)) == DIFF


def hold_to_schema(document: object, name: str) -> None:
    """Check a document against the schema that is published of it."""
    schema = make_schema(name)
    assert isinstance(schema, dict)
    jsonschema.validate(to_jsonable(document), schema)


def answers() -> dict[str, Surveyed]:
    """Return one router with everything and one that is out of reach."""
    change = Change(
        router="bko1",
        files=(FileDiff(file="frr.conf", diff=DIFF),),
        running="Lines To Add\nneighbor 192.0.2.1 shutdown\n",
        restarts=("ospfd",),
        resets=("192.0.2.1",),
        drift=(FileDiff(file="nftables.conf", diff="+evil \x1b[2J\n"),),
    )
    return {
        "bko1": Surveyed(router="bko1", change=change),
        "bko2": Surveyed(
            router="bko2",
            error=RouterError(RouterTrouble.UNREACHABLE, "no route to host", hint="is it on?\n\x1b[1mdry?"),
        ),
    }


def test_a_dry_run_follows_its_schema_and_is_shown_without_harm(checkout: Path) -> None:
    """What a router says reaches no terminal unescaped."""
    network = read_intent(checkout / "inventories" / "bamako-isp")
    diff = make_diff(network, ((), ("bko1",), ("bko2",)), answers(), tool="0.1.0", at=NOW)
    out = io.StringIO()

    hold_to_schema(diff, "resilience/deployment-diff@1")
    show_diff(diff, make_console(out))

    shown = out.getvalue()
    assert "bko1, wave 1: would change" in shown
    assert "+zwei" in shown
    assert "restarts: ospfd" in shown
    assert "unreachable: no route to host" in shown
    assert "    hint: is it on?\n    \\x1b[1mdry?\n" in shown
    assert "\x1b" not in shown
    assert shown.splitlines()[-1] == "bamako-isp: 2 routers, 1 would change; 1 cannot be deployed to now"


def test_drift_follows_its_schema_and_says_which_side(checkout: Path) -> None:
    """What a router starts with, and what it runs."""
    network = read_intent(checkout / "inventories" / "bamako-isp")
    drift = make_drift(network, answers(), tool="0.1.0", at=NOW)
    out = io.StringIO()

    hold_to_schema(drift, "resilience/drift@1")
    show_drift(drift, make_console(out))

    assert [(one.file, one.side) for one in drift.routers[0].differences] == [
        ("frr.conf", "start-up"),
        ("nftables.conf", "running"),
    ]
    assert drift.routers[1].same is None
    assert "-zwei" in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "bamako-isp: 2 routers, 0 as they should be, 1 not, 1 unknown"


def journal(path: Path, **fields: object) -> Path:
    """Write a journal."""
    path.write_text(
        json.dumps({"schema": "resilience/journal@1", "input_sha256": "a" * 64, "verdict": "pass"} | fields),
        encoding="utf-8",
    )
    return path


def test_the_journal_of_a_passed_drill_of_this_intent_is_a_proof(tmp_path: Path) -> None:
    """The record holds its digest, so that it can be found again."""
    path = journal(tmp_path / "journal.json")

    proof = read_proof(path, "a" * 64)

    assert proof.journal_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert proof.verdict == "pass"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"verdict": "fail"}, "proves nothing: its verdict is 'fail'"),
        ({"verdict": "unknown"}, "proves nothing: its verdict is 'unknown'"),
        ({"input_sha256": "b" * 64}, "of another intent"),
        ({"schema": "resilience/findings@1"}, "not the journal of a drill"),
    ],
)
def test_any_other_journal_is_none(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    """Failed, of something else, or no journal."""
    with pytest.raises(UsageError, match=message):
        read_proof(journal(tmp_path / "journal.json", **fields), "a" * 64)
