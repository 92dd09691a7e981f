"""`resilience prove`: attack everything that is safe by default, in labs of real daemons."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from resilience.cli.common import JsonOption, MarkdownOption
from resilience.errors import ExitCode
from resilience.model.network import Platform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilience.model.proof import Proof
    from resilience.proof.scenario import Scenario

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="Only these scenarios, as --list shows them.", show_default=False),
]
PlatformOption = Annotated[
    list[Platform] | None,
    typer.Option("--platform", help="Only this platform; may be given again.", show_default=False),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=0, max=64, help="How many labs at a time; 0: two for each processor.")
]
ListOption = Annotated[bool, typer.Option("--list", help="List the scenarios and end.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prove")(prove)


def prove(
    names: NamesArgument = None,
    platform: PlatformOption = None,
    jobs: JobsOption = 0,
    show_list: ListOption = False,
    as_json: JsonOption = False,
    as_markdown: MarkdownOption = False,
) -> None:
    """Attack everything that is safe by default: does each protection stop what it is for, on this machine's daemons?

    Each attack must first be seen to work with the protection's lines taken away, and then not to work with them.

    Exit code 0: every attack was stopped. 4: one was not. 3: could not tell.

    Example: resilience prove bogon-prefixes --platform bird
    """
    from resilience import proof

    scenarios = proof.choose(names or ())
    if show_list:
        _show_list(scenarios, as_json=as_json)
        return
    result = _prove(scenarios, tuple(platform or Platform), jobs)
    _show(result, as_json=as_json, as_markdown=as_markdown)
    raise typer.Exit(_exit_code(result))


def _prove(scenarios: Sequence[Scenario], platforms: Sequence[Platform], jobs: int) -> Proof:
    from resilience import proof
    from resilience.report.proof import show_cell
    from resilience.report.terminal import make_console

    console = make_console(sys.stderr)
    return proof.prove(
        [(scenario, platform) for scenario in scenarios for platform in dict.fromkeys(platforms)],
        jobs=jobs or proof.default_jobs(),
        tell=lambda cell: show_cell(cell, console),
    )


def _show(result: Proof, *, as_json: bool, as_markdown: bool) -> None:
    from resilience.model.document import write_json
    from resilience.report.proof import show_proof, show_summary, write_proof
    from resilience.report.terminal import make_console

    if as_json:
        typer.echo(write_json(result), nl=False)
    elif as_markdown:
        typer.echo(write_proof(result), nl=False)
    else:
        seen_already = sys.stdout.isatty() and sys.stderr.isatty() and len(result.cells) > 1
        (show_summary if seen_already else show_proof)(result, make_console())


def _show_list(scenarios: Sequence[Scenario], *, as_json: bool) -> None:
    from resilience.model.document import write_json

    rows = [{"name": one.name, "protection": one.protection, "attack": one.attack_title} for one in scenarios]
    if as_json:
        typer.echo(write_json({"scenarios": rows}), nl=False)
        return
    for row in rows:
        typer.echo(f"{row['name']}: {row['attack']}")


def _exit_code(result: Proof) -> ExitCode:
    from resilience.model.proof import ProofVerdict

    return {ProofVerdict.FAIL: ExitCode.FAILED, ProofVerdict.UNKNOWN: ExitCode.UNKNOWN}.get(
        result.verdict, ExitCode.HOLDS
    )
