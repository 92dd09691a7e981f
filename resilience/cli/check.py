"""`resilience check`: is the intent valid and safe, what would break, and what a session lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from resilience.cli.common import JsonOption, MarkdownOption, NetworkArgument, load
from resilience.errors import ExitCode

if TYPE_CHECKING:
    from resilience.model.explanation import Explanation
    from resilience.model.findings import Findings

_EXAMPLES = (
    "\b\nExamples: resilience check inventories/bamako-isp\n"
    "          resilience check inventories/bamako-isp --explain dakar"
)
ExplainOption = Annotated[
    str | None,
    typer.Option(
        "--explain",
        metavar="NAME",
        help="Say instead what goes in and out of a session, or of each session of an element, and why.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(epilog=_EXAMPLES)(check)


def check(
    net: NetworkArgument,
    *,
    name: ExplainOption = None,
    as_json: JsonOption = False,
    as_markdown: MarkdownOption = False,
) -> None:
    """Is the intent valid and safe? What is a single point of failure?

    Exit codes: 0 every objective is predicted to hold, 2 the intent is not valid, 4 an objective falls.
    With --explain: 0, or 2 where no session bears the name.
    """
    loaded = load(net)
    if name is not None:
        from resilience.analysis.explain import explain

        _show_explanation(explain(loaded.plan, name), as_json=as_json, as_markdown=as_markdown)
        return
    from resilience.analysis import analyse

    findings = analyse(loaded.plan, loaded.numbers)
    _show(findings, as_json=as_json, as_markdown=as_markdown)
    raise typer.Exit(_exit_code(findings))


def _show(findings: Findings, *, as_json: bool, as_markdown: bool) -> None:
    from resilience.model.document import write_json
    from resilience.report.markdown import write_findings
    from resilience.report.terminal import make_console, show_findings

    if as_json:
        typer.echo(write_json(findings), nl=False)
    elif as_markdown:
        typer.echo(write_findings(findings), nl=False)
    else:
        show_findings(findings, make_console())


def _show_explanation(explanation: Explanation, *, as_json: bool, as_markdown: bool) -> None:
    from resilience.model.document import write_json
    from resilience.report.markdown import write_explanation
    from resilience.report.terminal import make_console, show_explanation

    if as_json:
        typer.echo(write_json(explanation), nl=False)
    elif as_markdown:
        typer.echo(write_explanation(explanation), nl=False)
    else:
        show_explanation(explanation, make_console())


def _exit_code(findings: Findings) -> ExitCode:
    from resilience.model.findings import Severity

    wrong = any(finding.severity is Severity.ERROR for finding in findings.findings)
    return ExitCode.FAILED if wrong else ExitCode.HOLDS
