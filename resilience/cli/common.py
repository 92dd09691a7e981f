"""What several commands share: loading a network, and options that mean the same everywhere."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resilience.model.network import Network
    from resilience.model.plan import Plan
    from resilience.plan import Numbers

NetworkArgument = Annotated[
    Path, typer.Argument(metavar="NET", help="Folder of a network, or its network.yaml.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as a JSON document.")]
BackendOption = Annotated[
    str, typer.Option("--backend", help="What the lab is made of: netns (this machine's own daemons) or containerlab.")
]
ImageOption = Annotated[
    str | None,
    typer.Option(
        "--image", help="Image of the nodes, for containers; default: netresilience/router:1.", show_default=False
    ),
]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print the result as Markdown, for tickets.")]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network that was read and planned."""

    folder: Path
    network: Network
    plan: Plan
    numbers: Numbers
    """Locked numbers and those that planning gave out."""
    numbers_changed: bool
    """Planning gave out numbers that are not in the lock file yet."""


def load(path: Path, *, draining: tuple[str, ...] = ()) -> Loaded:
    """Read and plan a network.

    Raises:
        IntentError: the intent is not valid; holds every problem.
        NumbersError: the lock file is damaged, or a pool is exhausted.
        UsageError: no such folder, or names that clash.
    """
    from resilience.intent import (
        read_intent,
    )
    from resilience.plan import make_plan, read_numbers

    folder = path if path.is_dir() else path.parent
    network = read_intent(path)
    locked = read_numbers(folder)
    plan, numbers = make_plan(network, locked, draining=draining)
    return Loaded(folder, network, plan, numbers, dict(numbers.given) != dict(locked.given))


def say(text: str) -> None:
    """Tell the person at the terminal something that is not the result."""
    sys.stderr.write(text + "\n")
