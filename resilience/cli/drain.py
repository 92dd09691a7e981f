"""`resilience drain` and `undrain`: move traffic away from an element of a running lab before work on it, and back."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resilience.cli.common import JsonOption, Loaded, load
from resilience.cli.lab import INTENT, LabArgument, find_lab
from resilience.errors import ExitCode

if TYPE_CHECKING:
    from resilience.drill.drain import Drain
    from resilience.lab.kept import KeptLab
    from resilience.model.configs import Configs
    from resilience.model.plan import Plan

DRAINED = "drained.json"
"""In a lab's folder: the elements that are drained right now."""

ElementsArgument = Annotated[
    list[str], typer.Argument(metavar="ELEMENT...", help="What to work on, such as `uplink fibre`.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("drain")(drain)
    # Whoever needs it has just read the help of `drain`; the list of all commands has to fit a screen.
    app.command("undrain", hidden=True)(undrain)


def drain(net: LabArgument, elements: ElementsArgument, as_json: JsonOption = False) -> None:
    """Move traffic away from elements of a running lab; `undrain` lets it back.

    Says when nothing crosses them any more. Loads the same plan with the elements draining: graceful shutdown and
    prepends towards neighbours, lowest preference here, highest OSPF metric. Exit code 4: traffic still crossed them at
    the end, a neighbour did not follow.

    Example: resilience drain dual-homed "uplink fibre"
    """
    loaded, lab = _attach(net)
    before = _read_drained(lab)
    wanted = _names(loaded.plan, elements)
    after = tuple(dict.fromkeys((*before, *wanted)))
    draining = _make_drain(loaded, lab, before)
    routers = draining.load(after)
    _write_drained(lab, after)
    try:
        draining.wait_until_empty(wanted)
    finally:
        draining.stop_counting()
    _tell(after, routers, draining.note, as_json=as_json)
    if draining.note:
        raise typer.Exit(ExitCode.FAILED)


def undrain(
    net: LabArgument,
    elements: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ELEMENT]...", help="Without: everything that is drained.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Let traffic come back to elements of a running lab.

    Example: resilience undrain dual-homed
    """
    loaded, lab = _attach(net)
    before = _read_drained(lab)
    back = _names(loaded.plan, elements) if elements else before
    after = tuple(element for element in before if element not in back)
    routers = _make_drain(loaded, lab, before).load(after)
    _write_drained(lab, after)
    _tell(after, routers, "", as_json=as_json)


def _make_drain(loaded: Loaded, lab: KeptLab, drained: tuple[str, ...]) -> Drain:
    """Return what drains a lab in which some elements are drained already."""
    from resilience.drill.drain import Drain
    from resilience.plan import make_plan
    from resilience.render import render_configs

    def replan(elements: tuple[str, ...]) -> tuple[Plan, Configs]:
        plan, _numbers = make_plan(loaded.network, loaded.numbers, draining=elements)
        return plan, render_configs(plan)

    return Drain(lab, loaded.plan, replan(drained)[1], replan)


def _attach(net: str) -> tuple[Loaded, KeptLab]:
    """Return a running lab, and the network from which it was built."""
    from resilience.lab.opening import attach_lab

    folder = find_lab(net)
    loaded = load(folder.path / INTENT)
    return loaded, attach_lab(folder, loaded.plan)


def _names(plan: Plan, elements: list[str]) -> tuple[str, ...]:
    from resilience.plan import find_element

    return tuple(find_element(dict(plan.elements), element).name for element in elements)


def _drained_file(lab: KeptLab) -> Path:
    return lab.folder.path / DRAINED


def _read_drained(lab: KeptLab) -> tuple[str, ...]:
    with suppress(FileNotFoundError):
        return tuple(json.loads(_drained_file(lab).read_text(encoding="utf-8")))
    return ()


def _write_drained(lab: KeptLab, elements: tuple[str, ...]) -> None:
    from resilience.lab.state import write_atomically

    write_atomically(_drained_file(lab), json.dumps(elements))


def _tell(drained: tuple[str, ...], routers: tuple[str, ...], note: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"drained": list(drained), "reloaded": list(routers), "note": note}, indent=2))
        return
    typer.echo(f"reloaded: {', '.join(routers) or 'nothing had to change'}")
    typer.echo(f"drained now: {', '.join(drained) or 'nothing'}")
    if note:
        typer.echo(note)
