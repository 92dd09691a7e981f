"""The shell of the command: help, version, errors, exit codes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
import typer

from resilience.cli import app as shell
from resilience.errors import CouldNotTell, ExitCode, IntentError, UnknownName


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process, as people do."""
    return subprocess.run(
        [sys.executable, "-m", "resilience", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80", **environment},
    )


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """An app of the same kind with nothing in it yet; `shell.run` runs it."""
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    monkeypatch.setattr(shell, "app", app)
    monkeypatch.setattr(shell, "_let_signals_clean_up", lambda: None)
    monkeypatch.delenv(shell.DEBUG, raising=False)
    return app


def test_help_fits_one_screen_and_ends_in_an_example() -> None:
    """24 lines of 80 characters."""
    lines = call("--help").stdout.splitlines()

    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[-1].strip().startswith("Example:")


def test_help_needs_none_of_the_heavy_rooms() -> None:
    """Help is asked often, on slow machines: it must not load what only work needs."""
    script = (
        "import sys; from resilience.cli.app import run; run(['--help']);"
        "print([m for m in ('pydantic', 'rustworkx', 'jinja2', 'yaml', 'pyroute2', 'numpy') if m in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert shown.splitlines()[-1] == "[]"


def test_version_is_one_line() -> None:
    """Name and number."""
    assert re.fullmatch(r"resilience \d+\.\d+\.\d+\n", call("--version").stdout)


def test_no_command_at_all_shows_the_help() -> None:
    """Somebody who types only the name wants to know what there is."""
    answer = call()

    assert "Commands:" in answer.stdout + answer.stderr
    assert answer.returncode == ExitCode.USAGE


def test_an_unknown_command_is_a_usage_error() -> None:
    """Exit code 2, and stdout stays empty."""
    answer = call("no-such-thing")

    assert answer.returncode == ExitCode.USAGE
    assert answer.stdout == ""
    assert "no-such-thing" in answer.stderr


def test_an_error_becomes_a_sentence_a_hint_and_its_own_exit_code(
    failing: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, nothing on stdout."""

    @failing.command()
    def fail() -> None:
        raise UnknownName("there is no uplink 'dakkar'", hint="did you mean dakar?")

    assert shell.run(["fail"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: there is no uplink 'dakkar'\nhint: did you mean dakar?\n"


def test_could_not_tell_is_exit_code_3(failing: typer.Typer) -> None:
    """A measurement that cannot be trusted is neither a pass nor a failure."""

    @failing.command()
    def fail() -> None:
        raise CouldNotTell("the control run lost packets")

    assert shell.run(["fail"]) == ExitCode.UNKNOWN


def test_problems_of_an_intent_are_shown_as_they_are(failing: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    """Each begins with file and line already, so that editors can jump there."""

    @failing.command()
    def fail() -> None:
        raise IntentError(("network.yaml:1:1: one", "network.yaml:2:1: two"))

    assert shell.run(["fail"]) == ExitCode.USAGE
    assert capsys.readouterr().err == "network.yaml:1:1: one\nnetwork.yaml:2:1: two\n"


def test_a_defect_of_ours_is_one_line_that_says_how_to_see_more(
    failing: typer.Typer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback only for those who ask for it."""

    @failing.command()
    def fail() -> None:
        raise ZeroDivisionError("oh")

    assert shell.run(["fail"]) == ExitCode.INTERNAL
    quiet = capsys.readouterr().err
    monkeypatch.setenv(shell.DEBUG, "1")
    shell.run(["fail"])

    assert quiet == "error: internal error: ZeroDivisionError: oh\nhint: RESILIENCE_DEBUG=1 shows where it happened\n"
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_cleans_up_and_leaves_with_130(failing: typer.Typer) -> None:
    """Ctrl-C passes through every `finally`."""
    cleaned = []

    @failing.command()
    def wait() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            cleaned.append("lab")

    assert shell.run(["wait"]) == shell.INTERRUPTED
    assert cleaned == ["lab"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_cleans_up(number: signal.Signals) -> None:
    """A lab stays behind neither when its terminal closes nor when a service manager ends the command."""
    script = (
        "import os, signal; from resilience.cli import app\n"
        "app._let_signals_clean_up()\n"
        "try:\n"
        f"    os.kill(os.getpid(), {int(number)}); signal.pause()\n"
        "finally:\n"
        "    print('cleaned up')\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.stdout == "cleaned up\n"
    assert done.returncode == 128 + number


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """`resilience ... | head -1` says nothing on stderr."""
    command = f"{sys.executable} -m resilience --help | true"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
