"""The command `resilience`: its list of commands, and the one place where errors become words and exit codes.

Command modules are imported for every call, so each of them imports the rooms that it needs inside its command.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
import traceback
from importlib.metadata import version
from types import FrameType
from typing import Annotated, NoReturn

import typer

from resilience.cli import check, deploy, drain, drift, drill, init, lab, lock, prepare, prove, render, schema, show
from resilience.errors import ExitCode, ResilienceError

COMMANDS = (init, check, show, render, lock, lab, drill, drain, prepare, deploy, drift, prove, schema)
"""Each has `register(app)`. The order is the order of the help: the order in which people meet them."""

DEBUG = "RESILIENCE_DEBUG"
"""The environment variable that asks for tracebacks."""
INTERRUPTED = 130
"""128 + SIGINT, as shells say it."""

app = typer.Typer(
    name="resilience",
    help="Declare how your network must survive, prove it in a lab, deploy it.",
    epilog="Example: resilience init my-network && resilience drill my-network",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"resilience {version('netresilience')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _put_examples_last(group: typer.Typer) -> None:
    """Move the last paragraph of each docstring, the example, below the options: the end is what people see."""
    for command in group.registered_commands:
        words = inspect.cleandoc(command.help or (command.callback and command.callback.__doc__) or "")
        text, found, example = words.rpartition("\n\nExample")
        if found:
            command.help = text
            command.epilog = f"\b\nExample{example}"
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _put_examples_last(inner.typer_instance)


for _command in COMMANDS:
    _command.register(app)
_put_examples_last(app)


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; whatever happens, clean-up handlers have run before."""
    _let_signals_clean_up()
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    return code


def main() -> NoReturn:
    """Be the command: run it and leave with its exit code."""
    sys.exit(run())


def _run(arguments: list[str] | None) -> int:
    try:
        typer.main.get_command(app).main(arguments, prog_name="resilience")
    except SystemExit as leaving:
        return _exit_code(leaving)
    except ResilienceError as error:
        _say(error.message, error.hint, error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where everything ends, so that nobody meets a traceback
        _say(f"internal error: {type(error).__name__}: {error}", f"{DEBUG}=1 shows where it happened", error)
        return ExitCode.INTERNAL
    return ExitCode.HOLDS


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None:
        return ExitCode.HOLDS
    return leaving.code if isinstance(leaving.code, int) else ExitCode.INTERNAL


def _say(message: str, hint: str, error: Exception) -> None:
    """Write what went wrong to stderr: a sentence, a way out, and the traceback only for those who ask for it."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error, file=sys.stderr)
    typer.echo(f"error: {message}" if "\n" not in message else message, err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)


def _forget_stdout() -> None:
    """Let the reader go in peace: `resilience show NET | head` is no failure of ours, nor worth a word at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _let_signals_clean_up() -> None:
    """Turn SIGTERM and a closed terminal into an exit through every `finally`, so that no lab stays behind."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, leave)
