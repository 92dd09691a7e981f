"""`resilience show`: the plan as tables."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from resilience.cli.common import JsonOption, NetworkArgument, load
from resilience.errors import UsageError

if TYPE_CHECKING:
    from resilience.model.plan import Plan
    from resilience.report.tables import Table


class What(StrEnum):
    """The tables."""

    ADDRESSES = "addresses"
    SESSIONS = "sessions"
    POLICY = "policy"
    CABLING = "cabling"
    ELEMENTS = "elements"
    FLOWS = "flows"


_TABLES = "Which table; none: a summary, with --json the whole plan."


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(show)


def show(
    path: NetworkArgument,
    what: Annotated[What | None, typer.Argument(metavar="WHAT", help=_TABLES, show_default=False)] = None,
    *,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: JsonOption = False,
    outside: Annotated[bool, typer.Option("--outside", help="With the nodes of the outside world.")] = False,
) -> None:
    """Show the plan as tables: addresses, sessions, policy, cabling, elements, flows.

    Example: resilience show inventories/dual-homed sessions
    """
    from resilience.report.tables import count_parts, make_table

    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other", hint="choose one of them")
    plan = load(path).plan
    if what is None and as_json:
        _print_plan(plan)
        return
    _print_table(plan, count_parts(plan) if what is None else make_table(plan, what, outside=outside), as_csv, as_json)


def _print_plan(plan: Plan) -> None:
    from resilience.model.document import write_json

    typer.echo(write_json(plan), nl=False)


def _print_table(plan: Plan, table: Table, as_csv: bool, as_json: bool) -> None:
    from resilience.model.document import write_json
    from resilience.report.tables import table_to_jsonable, write_csv
    from resilience.report.terminal import make_console, show_table

    if as_csv:
        typer.echo(write_csv(table), nl=False)
    elif as_json:
        typer.echo(write_json(table_to_jsonable(plan.network.name, table)), nl=False)
    else:
        show_table(table, make_console())
