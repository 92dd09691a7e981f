"""`resilience check` from the command line: what it prints, and what its exit code says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resilience.cli import app as shell
from resilience.errors import ExitCode


def test_a_network_that_holds_is_zero_although_there_are_warnings(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Findings go to stdout with position, remedy and rule."""
    code = shell.run(["check", str(checkout / "inventories" / "dual-homed")])
    shown = " ".join(capsys.readouterr().out.split())

    assert code == ExitCode.HOLDS
    assert "warning: site gw has a single router" in shown
    assert "remedy:" in shown
    assert "dual-homed: 0 errors" in shown


def test_a_promise_that_is_predicted_to_fall_is_four(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The document names the schema, the rule and the flows that fall."""
    code = shell.run(["check", str(checkout / "inventories" / "silent-provider"), "--json"])
    document = json.loads(capsys.readouterr().out)

    assert code == ExitCode.FAILED
    assert document["schema"] == "resilience/findings@1"
    assert document["findings"][0]["rule"] == "objective-falls"
    assert document["findings"][0]["flows"]


def test_an_invalid_intent_is_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its problems come before any finding."""
    (tmp_path / "network.yaml").write_text("network: x\nrouterz: {}\n", encoding="utf-8")
    code = shell.run(["check", str(tmp_path)])
    written = capsys.readouterr()

    assert code == ExitCode.USAGE
    assert not written.out
    assert "routerz" in written.err
