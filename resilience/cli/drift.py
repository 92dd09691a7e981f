"""`resilience drift`: what routers run and start with, against what they should."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import typer

from resilience.cli.common import JsonOption, NetworkArgument, say
from resilience.cli.reaching import (
    InventoryOption,
    OnlyOption,
    Reach,
    WorkersOption,
    exit_code_of,
    prepare,
    reaching,
    who,
)
from resilience.errors import ExitCode

if TYPE_CHECKING:
    from resilience.model.deployment import Drift


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("drift")(drift)


def drift(
    net: NetworkArgument,
    only: OnlyOption = None,
    inventory: InventoryOption = None,
    workers: WorkersOption = 20,
    as_json: JsonOption = False,
) -> None:
    """Compare what routers run, and what they start with, with what they should. Changes nothing.

    Exit code 0: everything is as it should be. 4: a router differs. 3: a router could not be asked.

    Example: resilience drift inventories/dual-homed --only edge1
    """
    with reaching(net, inventory, workers) as reach:
        found = _ask(reach, only or ())
    _show(found, as_json=as_json)
    raise typer.Exit(_exit_code(found))


def _ask(reach: Reach, only: list[str] | tuple[str, ...]) -> Drift:
    from resilience.deploy.bundles import Label
    from resilience.deploy.documents import make_drift
    from resilience.deploy.orders import choose_routers
    from resilience.deploy.survey import compare

    names = choose_routers(reach.plan, only, reach.fleet)
    wares = prepare(reach, names, Label(change="drift", who=who()), strict=False)
    say(f"asking {len(names)} router{'' if len(names) == 1 else 's'}")
    answers = compare(reach.fleet, wares.bundles)
    return make_drift(reach.loaded.network, answers, tool=version("netresilience"), at=datetime.now(UTC))


def _show(found: Drift, *, as_json: bool) -> None:
    from resilience.model.document import write_json
    from resilience.report.deployment import show_drift
    from resilience.report.terminal import make_console

    if as_json:
        sys.stdout.write(write_json(found))
    else:
        show_drift(found, make_console())


def _exit_code(found: Drift) -> ExitCode:
    if any(router.same is False for router in found.routers):
        return ExitCode.FAILED
    return exit_code_of(router.kind for router in found.routers)
