"""`resilience prepare`: what a new router needs before its first deployment."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resilience.cli.common import JsonOption

if TYPE_CHECKING:
    from resilience.model.configs import ConfigFile

PROGRAM = "netresilience-router"
"""What the program is called on a router."""
_MODES = {"netresilience-boot.service": 0o644, "netresilience.sudoers": 0o440, "README.md": 0o644}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prepare")(prepare)


def prepare(
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that were changed by hand.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what a new router needs once: the program that changes it, its boot unit, one line of sudoers.

    The README beside them says how to install them; playbooks/prepare-router.yml does it with Ansible.

    Example: resilience prepare -o build/router
    """
    from resilience.render import write_files

    changes = write_files(router_files(), output, force=force)
    if as_json:
        document = {"directory": str(output), "added": changes.added, "changed": changes.changed}
        typer.echo(json.dumps({**document, "unchanged": changes.unchanged}, indent=2))
        return
    for sign, paths in (("+", changes.added), ("~", changes.changed), ("-", changes.removed)):
        for name in paths:
            typer.echo(f"{sign} {name}")
    typer.echo(f"{output}: copy it to the router and follow its README.md")


def router_files() -> tuple[ConfigFile, ...]:
    """Return the files as they are copied to a router."""
    from resilience.model.configs import ConfigFile
    from resilience.render import router_program

    folder = files("resilience.deploy") / "on_router"
    program = ConfigFile(PROGRAM, router_program().decode("utf-8", "surrogateescape"), 0o755)
    texts = (ConfigFile(name, (folder / name).read_text(encoding="utf-8"), mode) for name, mode in _MODES.items())
    return (program, *texts)
