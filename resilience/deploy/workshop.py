"""Where the bundles of a network are made. An inventory carries it by reference: its configurations are in no data.

Nornir logs the parameters of tasks and shows the data of hosts; so neither ever holds a file of a router, only this
object, which shows nothing but the network's name.
"""

from __future__ import annotations

import getpass
import platform
import threading
from pathlib import Path
from typing import Final

from resilience.deploy.bundles import Label, make_bundles
from resilience.deploy.driver import Bundle
from resilience.deploy.secrets import make_resolver
from resilience.intent import read_intent
from resilience.model.network import Network
from resilience.model.plan import Plan
from resilience.plan import Numbers, make_plan, read_numbers

DATA_KEY: Final = "resilience"
"""Under which the defaults of an inventory hold the workshop."""


class Workshop:
    """A network, its plan, and what makes bundles of them. Used by all threads of a run."""

    def __init__(self, folder: Path, network: Network, plan: Plan, numbers: Numbers) -> None:
        self.folder = folder
        self.plan = plan
        self._network = network
        self._numbers = numbers
        self._resolve = make_resolver(folder)
        self._lock = threading.Lock()
        self._draining: Plan | None = None

    def __repr__(self) -> str:
        return f"<network {self._network.name}>"

    def bundle(self, router: str, label: Label) -> Bundle:
        """Return what one router is to run, passwords resolved.

        Raises:
            UsageError: a password cannot be had.
        """
        return make_bundles(self.plan, self._replan, [router], label, self._resolve)[router]

    def _replan(self, _elements: tuple[str, ...]) -> Plan:
        """Return the plan with every router draining, made once: how one drains does not depend on the others."""
        with self._lock:
            if self._draining is None:
                elements = tuple(f"router {node.name}" for node in self.plan.routers())
                self._draining, _ = make_plan(self._network, self._numbers, draining=elements)
            return self._draining


def open_workshop(path: Path) -> Workshop:
    """Read and plan a network.

    Raises:
        IntentError: the intent is not valid.
        NumbersError: its lock file is damaged.
    """
    folder = path if path.is_dir() else path.parent
    network = read_intent(path)
    plan, numbers = make_plan(network, read_numbers(folder))
    return Workshop(folder, network, plan, numbers)


def name_account() -> str:
    """Return who deploys, as somebody else is to read it: `account@machine`."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in a container
        account = "somebody"
    return f"{account}@{platform.node() or 'localhost'}"
