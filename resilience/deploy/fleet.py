"""The routers of a network over SSH, worked on side by side by Nornir's workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from resilience.deploy.router import Router
from resilience.errors import EnvironmentLacks, RouterError, UnknownName, UsageError
from resilience.model.plan import Plan

if TYPE_CHECKING:
    from nornir.core import Nornir
    from nornir.core.inventory import Host
    from nornir.core.task import Result, Task

T = TypeVar("T")
INSTALL = "pip install 'netresilience[deploy]'"


class SshFleet:
    """The hosts of an inventory as routers. `close` ends their sessions."""

    def __init__(self, nornir: Nornir) -> None:
        from resilience.deploy.linux_driver import make_driver  # noqa: PLC0415 - needs Nornir and netmiko
        from resilience.deploy.transport import SshTransport  # noqa: PLC0415

        self._nornir = nornir
        self._routers: dict[str, Router] = {
            name: make_driver(name, host["platform"], SshTransport(host, nornir.config))
            for name, host in nornir.inventory.hosts.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Every router of the inventory."""
        return tuple(self._routers)

    def in_lab(self, name: str) -> bool:
        """Say whether the inventory calls a router part of a lab (`data: {lab: true}`)."""
        return self._nornir.inventory.hosts[name].get("lab") is True

    def each(self, names: Iterable[str], work: Callable[[str, Router], T]) -> Mapping[str, T | RouterError]:
        """Do the same work at every named router; what anything but a `RouterError` raises is raised here."""
        wanted = tuple(dict.fromkeys(names))
        unknown = [name for name in wanted if name not in self._routers]
        if unknown:
            raise UnknownName(f"the inventory has no router {', '.join(unknown)}")
        if not wanted:
            return {}
        answers: dict[str, T | RouterError] = {}
        raised: list[BaseException] = []

        def do(task: Task) -> Result | None:
            # Nothing escapes into Nornir: it would log the traceback and leave the host out of every later run.
            name = task.host.name
            try:
                answers[name] = work(name, self._routers[name])
            except RouterError as error:
                answers[name] = error
            except BaseException as error:  # noqa: BLE001 - raised again where the caller is
                raised.append(error)
            return None

        self._nornir.filter(filter_func=_is_one_of(wanted)).run(task=do, name="deploy")
        if raised:
            raise raised[0]
        return {name: answers[name] for name in wanted}

    def close(self) -> None:
        """End every session."""
        for router in self._routers.values():
            router.hang_up()


def _is_one_of(names: tuple[str, ...]) -> Callable[[Host], bool]:
    wanted = frozenset(names)
    return lambda host: host.name in wanted


def open_fleet(folder: Path, plan: Plan, *, hosts: Path | None = None, workers: int = 20) -> SshFleet:
    """Return the routers of a network. Nobody is logged in to yet.

    Args:
        folder: where `network.yaml` and Nornir's own files stand.
        plan: the network's plan.
        hosts: another file of hosts; its groups and defaults stand beside it.
        workers: how many routers are worked on at once.

    Raises:
        EnvironmentLacks: Nornir or netmiko is not installed.
        IntentError: one of Nornir's files is not valid.
        UsageError: the network has no router.
    """
    need_nornir()
    if not plan.routers():
        raise UsageError("the network has no router: nothing can be deployed")
    return SshFleet(make_nornir(folder, plan, hosts=hosts, workers=workers))


def need_nornir() -> None:
    """Raise EnvironmentLacks where what deploying needs is not installed."""
    try:
        import netmiko  # noqa: F401, PLC0415
        import nornir  # noqa: F401, PLC0415
    except ImportError as error:
        raise EnvironmentLacks(f"deploying needs {error.name}, which is not installed", hint=INSTALL) from None


def make_nornir(folder: Path, plan: Plan, *, hosts: Path | None = None, workers: int = 20) -> Nornir:
    """Return a Nornir of a network's routers that writes no log of its own."""
    from nornir.core import Nornir  # noqa: PLC0415
    from nornir.core.configuration import Config  # noqa: PLC0415
    from nornir.core.state import GlobalState  # noqa: PLC0415
    from nornir.plugins.runners import ThreadedRunner  # noqa: PLC0415

    from resilience.deploy.inventory import find_files, make_inventory  # noqa: PLC0415

    return Nornir(
        inventory=make_inventory(plan, folder, find_files(folder, hosts)),
        runner=ThreadedRunner(num_workers=workers),
        config=Config(),
        data=GlobalState(),
    )
