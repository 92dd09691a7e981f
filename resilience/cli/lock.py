"""`resilience lock`: give out numbers and write them down."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from resilience.cli.common import JsonOption, NetworkArgument, load


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lock")(lock)


def lock(
    path: NetworkArgument,
    *,
    prune: Annotated[bool, typer.Option("--prune", help="Forget the numbers of what is no longer declared.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give out numbers (addresses, router ids, AS numbers of labs) and write them to numbers.lock.yaml.

    Example: resilience lock inventories/dual-homed
    """
    from resilience.plan import LOCK_NAME, prune_numbers, read_numbers, write_numbers

    loaded = load(path)
    before = read_numbers(loaded.folder).given
    numbers = prune_numbers(loaded.network, loaded.numbers) if prune else loaded.numbers
    changed = write_numbers(loaded.folder, numbers)
    added = sorted(numbers.given.keys() - before.keys())
    removed = sorted(before.keys() - numbers.given.keys())
    if as_json:
        typer.echo(json.dumps({"file": LOCK_NAME, "changed": changed, "added": added, "removed": removed}, indent=2))
        return
    state = "written" if changed else "unchanged"
    typer.echo(
        f"{loaded.folder / LOCK_NAME}: {state}, {len(numbers.given)} numbers, {len(added)} new, {len(removed)} gone"
    )
