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


def test_explain_says_what_a_session_lets_through(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No finding is made: a network whose promises fall can still be explained."""
    code = shell.run(["check", str(checkout / "inventories" / "silent-provider"), "--explain", "gw"])
    shown = capsys.readouterr().out

    assert code == ExitCode.HOLDS
    assert "(RFC 7454 section 6.1.4)" in shown
    assert "objective" not in shown


@pytest.mark.parametrize("form", ["--json", "--markdown"])
def test_explain_has_forms_for_programs_and_tickets(
    form: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The document bears its schema's name; Markdown begins with what was asked for."""
    code = shell.run(["check", str(checkout / "inventories" / "bamako-isp"), "--explain", "dakar", form])
    shown = capsys.readouterr().out

    assert code == ExitCode.HOLDS
    if form == "--json":
        assert json.loads(shown)["schema"] == "resilience/explanation@1"
    else:
        assert shown.startswith("# uplink dakar in bamako-isp\n")


def test_a_name_without_sessions_is_two(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One message with the nearest names, nothing on stdout, and control characters stay text."""
    code = shell.run(["check", str(checkout / "inventories" / "bamako-isp"), "--explain", "dakra\x1b[31m"])
    written = capsys.readouterr()

    assert code == ExitCode.USAGE
    assert not written.out
    assert "did you mean" in written.err
    assert "\x1b" not in written.err
