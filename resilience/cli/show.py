"""`resilience show`: the plan as tables."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
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
    HOSTS = "hosts"


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
    inventory: Annotated[
        Path | None,
        typer.Option(
            "--inventory",
            metavar="FILE",
            help="For hosts: who logs in how, as Nornir's file of hosts (containerlab writes one) says.",
            show_default=False,
        ),
    ] = None,
    outside: Annotated[bool, typer.Option("--outside", help="With the nodes of the outside world.")] = False,
) -> None:
    """Show the plan as tables: addresses, sessions, policy, cabling, elements, flows, hosts.

    Example: resilience show inventories/dual-homed sessions
    """
    from resilience.report.tables import count_parts, make_table

    if (what is What.HOSTS) is not (inventory is not None):
        raise UsageError("hosts and --inventory FILE belong together", hint="the plan itself knows no logins")
    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other", hint="choose one of them")
    plan = load(path).plan
    if what is None and as_json:
        _print_plan(plan)
        return
    if inventory is not None:
        table = _hosts(plan, inventory, outside=outside)
    else:
        table = count_parts(plan) if what is None else make_table(plan, what, outside=outside)
    _print_table(plan, table, as_csv, as_json)


def _hosts(plan: Plan, inventory: Path, *, outside: bool) -> Table:
    from resilience.intent.hosts import read_hosts
    from resilience.report.tables import make_hosts_table

    return make_hosts_table(plan, read_hosts(inventory), outside=outside)


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
