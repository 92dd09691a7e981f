"""What commands that reach routers share: options, the fleet, the bundles, what a trouble means to the shell."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resilience.cli.common import Loaded, load, say
from resilience.errors import ExitCode, ResilienceError, RouterTrouble, UsageError

if TYPE_CHECKING:
    from resilience.deploy.bundles import Label
    from resilience.deploy.engine import Wares
    from resilience.deploy.router import Fleet
    from resilience.model.network import SecretRef
    from resilience.model.plan import Plan
    from resilience.render import ResolveSecret

OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="ROUTER", help="Only this router; may be given again.", show_default=False),
]
InventoryOption = Annotated[
    Path | None,
    typer.Option(
        "--inventory",
        metavar="FILE",
        help="How routers are logged in to; default: hosts.yaml beside the intent.",
        show_default=False,
    ),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, max=200, help="How many routers are worked on at a time.")
]
NOT_REACHED = frozenset(
    {
        RouterTrouble.UNREACHABLE,
        RouterTrouble.LOGIN,
        RouterTrouble.HOST_KEY,
        RouterTrouble.WRONG_ROUTER,
        RouterTrouble.NO_PROGRAM,
        RouterTrouble.SUDO,
    }
)
"""Troubles with which a router could not even be asked."""


@dataclass(frozen=True, slots=True)
class Reach:
    """A network that was read, and its routers."""

    loaded: Loaded
    fleet: Fleet
    workers: int

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.loaded.plan


@contextmanager
def reaching(net: Path, inventory: Path | None, workers: int) -> Iterator[Reach]:
    """Read a network and its inventory; every session that was opened is closed at the end."""
    from resilience.deploy.fleet import open_fleet

    loaded = load(net)
    fleet = open_fleet(loaded.folder, loaded.plan, hosts=inventory, workers=workers)
    try:
        yield Reach(loaded, fleet, workers)
    finally:
        fleet.close()


def prepare(reach: Reach, names: Sequence[str], label: Label, *, strict: bool) -> Wares:
    """Return what routers are to run. Not `strict`: a secret that cannot be had stays a reference, and that is said."""
    from resilience.deploy.orders import make_wares
    from resilience.deploy.secrets import make_resolver
    from resilience.plan import make_plan

    def replan(elements: tuple[str, ...]) -> Plan:
        return make_plan(reach.loaded.network, reach.loaded.numbers, draining=elements)[0]

    resolve = make_resolver(reach.loaded.folder)
    return make_wares(reach.plan, replan, names, label, resolve if strict else _leniently(resolve))


def _leniently(resolve: ResolveSecret) -> ResolveSecret:
    said: set[str] = set()

    def resolve_or_leave(reference: SecretRef) -> str | None:
        try:
            return resolve(reference)
        except ResilienceError as error:
            if error.message not in said:
                said.add(error.message)
                say(f"{error.message}; shown as changed")
            return None

    return resolve_or_leave


def who() -> str:
    """Return who deploys, as somebody else is to read it."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):
        account = str(os.getuid())
    return f"{account}@{socket.gethostname()}"


def parse_seconds(text: str, option: str) -> float:
    """Return the seconds of a duration such as `60s` or `3m`."""
    from resilience.model.units import parse_duration_ms

    try:
        return parse_duration_ms(text) / 1000
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from None


def exit_code_of(kinds: Iterable[str]) -> ExitCode:
    """Return what troubles mean to the shell: some router could not be asked, or one refused."""
    found = [RouterTrouble(kind) for kind in kinds if kind]
    if not found:
        return ExitCode.HOLDS
    return ExitCode.UNKNOWN if any(kind in NOT_REACHED for kind in found) else ExitCode.FAILED
