"""Where the bundles of a network are made. An inventory carries it by reference: its configurations are in no data.

Nornir logs the parameters of tasks and shows the data of hosts; so neither ever holds a file of a router, only this
object, which shows nothing but the network's name.
"""

from __future__ import annotations

import getpass
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from resilience.deploy.bundles import Label, make_bundles
from resilience.deploy.driver import Bundle
from resilience.deploy.secrets import SecretResolver, make_resolver
from resilience.intent import read_intent
from resilience.model.network import Network
from resilience.model.plan import Plan
from resilience.plan import Numbers, make_plan, read_numbers

DATA_KEY: Final = "resilience"
"""Under which the defaults of an inventory hold the workshop."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workshop:
    """A network, its plan, and what makes bundles of them."""

    folder: Path
    network: Network = field(repr=False)
    plan: Plan = field(repr=False)
    numbers: Numbers = field(repr=False)
    secrets: SecretResolver = field(repr=False)

    def __repr__(self) -> str:
        return f"<network {self.network.name}>"

    def replan(self, draining: tuple[str, ...]) -> Plan:
        """Return the network's plan with elements draining."""
        plan, _ = make_plan(self.network, self.numbers, draining=draining)
        return plan

    def bundle(self, router: str, label: Label) -> Bundle:
        """Return what one router is to run, passwords resolved."""
        return make_bundles(self.plan, self.replan, [router], label, self.secrets)[router]


def open_workshop(path: Path) -> Workshop:
    """Read and plan a network.

    Raises:
        IntentError: the intent is not valid.
        NumbersError: its lock file is damaged.
    """
    folder = path if path.is_dir() else path.parent
    network = read_intent(path)
    plan, numbers = make_plan(network, read_numbers(folder))
    return Workshop(folder=folder, network=network, plan=plan, numbers=numbers, secrets=make_resolver(folder))


def name_account() -> str:
    """Return who deploys, as somebody else is to read it: `account@machine`."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in a container
        account = "somebody"
    return f"{account}@{platform.node() or 'localhost'}"
