"""`resilience render`: configurations, one folder a router."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resilience.cli.common import JsonOption, Loaded, NetworkArgument, load, say
from resilience.errors import ExitCode, UnknownName

if TYPE_CHECKING:
    from resilience.model.plan import Plan
    from resilience.render import Changes


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("render")(render)


def render(
    path: NetworkArgument,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write.", show_default=False)],
    node: Annotated[
        list[str] | None,
        typer.Option("--node", metavar="NAME", help="Only this one; may be repeated, and may be of the outside."),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that were changed by hand.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what each router runs: routing daemon, addresses, packet filter, kernel settings.

    Only files that this command wrote are replaced or removed. With --diff the exit code is 4 when something differs.

    Example: resilience render inventories/dual-homed -o build/dual-homed
    """
    from resilience.plan import LOCK_NAME, write_numbers
    from resilience.render import diff_configs, render_configs, write_configs

    loaded = load(path)
    nodes = _chosen(loaded.plan, node)
    configs = render_configs(loaded.plan, nodes=nodes)
    if diff:
        _show_diff(diff_configs(configs, output, partial=bool(node)), as_json=as_json)
        return
    # Numbers first: a configuration whose numbers nobody remembers would change under its routers.
    if write_numbers(loaded.folder, loaded.numbers):
        say(f"{loaded.folder / LOCK_NAME}: written; keep it under version control")
    changes = write_configs(configs, output, partial=bool(node), force=force)
    _show_changes(loaded, nodes, changes, output, as_json=as_json)


def _chosen(plan: Plan, names: list[str] | None) -> list[str]:
    if not names:
        return [router.name for router in plan.routers()]
    for name in names:
        if name not in plan.nodes:
            near = difflib.get_close_matches(name, plan.nodes, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "`resilience show NET addresses` lists all nodes"
            raise UnknownName(f"no node is called {name!r}", hint=hint)
    return names


def _show_diff(text: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"schema": "resilience/render-diff@1", "differs": bool(text), "diff": text}, indent=2))
    else:
        typer.echo(text, nl=False)
    if text:
        raise typer.Exit(ExitCode.FAILED)


def _show_changes(loaded: Loaded, nodes: list[str], changes: Changes, output: Path, *, as_json: bool) -> None:
    missing = {name: loaded.plan.nodes[name].not_deployable for name in nodes}
    missing = {name: reasons for name, reasons in missing.items() if reasons}
    if as_json:
        document = {
            "schema": "resilience/render@1",
            "directory": str(output),
            "nodes": nodes,
            "added": changes.added,
            "changed": changes.changed,
            "removed": changes.removed,
            "unchanged": changes.unchanged,
            "not_deployable": missing,
        }
        typer.echo(json.dumps(document, indent=2))
        return
    for sign, paths in (("+", changes.added), ("~", changes.changed), ("-", changes.removed)):
        for name in paths:
            typer.echo(f"{sign} {name}")
    typer.echo(
        f"{output}: {len(nodes)} nodes, {len(changes.added)} files new, {len(changes.changed)} changed, "
        f"{len(changes.removed)} removed, {len(changes.unchanged)} as they were"
    )
    for name, reasons in missing.items():
        say(f"{name}: NOT DEPLOYABLE, for labs only: {'; '.join(reasons)}")
