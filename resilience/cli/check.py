"""`resilience check`: is the intent valid and safe, and what would break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from resilience.cli.common import JsonOption, MarkdownOption, NetworkArgument, load
from resilience.errors import ExitCode

if TYPE_CHECKING:
    from resilience.model.findings import Findings


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(epilog="Example: resilience check inventories/bamako-isp")(check)


def check(net: NetworkArgument, *, as_json: JsonOption = False, as_markdown: MarkdownOption = False) -> None:
    """Is the intent valid and safe? What is a single point of failure?

    Exit codes: 0 every objective is predicted to hold, 2 the intent is not valid, 4 an objective falls.
    """
    from resilience.analysis import analyse

    loaded = load(net)
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


def _exit_code(findings: Findings) -> ExitCode:
    from resilience.model.findings import Severity

    wrong = any(finding.severity is Severity.ERROR for finding in findings.findings)
    return ExitCode.FAILED if wrong else ExitCode.HOLDS
