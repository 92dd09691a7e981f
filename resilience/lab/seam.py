"""The seam of labs: what a back end must do, in six methods. Faults, readiness and measurement stand on top of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from resilience.model.plan import Plan

Progress = Callable[[str, int, int], None]
"""Called with a step's name, how many parts of it are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A process that a node runs. `control` is its control socket, reachable from outside the node.

    Without a `log`, how it logs is not ours to change.
    """

    name: str
    pid: int
    running: bool
    control: Path | None = None
    log: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What of a node runs."""

    node: str
    daemons: tuple[Daemon, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStatus:
    """What of a lab runs."""

    name: str
    network: str
    backend: str
    running: bool
    nodes: tuple[NodeStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that ran in a node."""

    exit_code: int
    stdout: str
    stderr: str


@runtime_checkable
class Guest(Protocol):
    """A lab that is somebody else's: what its nodes lose must be given back, and its processes are not ours to kill."""

    def restore(self, node: str) -> None:
        """Give a node back what its kernel forgot when one of its interfaces went down."""


@runtime_checkable
class Inhabited(Protocol):
    """A lab in which more than the daemons runs: whoever logged in, and what they left behind."""

    def processes(self, node: str) -> tuple[int, ...]:
        """Return the number of every process of a node."""


@runtime_checkable
class Lab(Protocol):
    """A running network of a plan. A drill takes one, so that a type checker refuses a drill on production."""

    @property
    def plan(self) -> Plan:
        """The network that runs here."""

    @property
    def name(self) -> str:
        """What this lab is called on this machine."""

    @property
    def backend(self) -> str:
        """What kind of lab this is, such as `netns`."""

    def start(
        self, *, nodes: Collection[str] | None = None, cold: bool = True, progress: Progress | None = None
    ) -> None:
        """Bring the lab up; with `nodes`, start those again.

        Cold: from their start-up files, as after a loss of power. Else only the daemons that have died.
        """

    def stop(self) -> None:
        """Take everything away; safe to call twice."""

    def status(self) -> LabStatus:
        """Say what runs."""

    def namespace(self, node: str) -> Path:
        """Return the path of a node's network namespace, for setns(2)."""

    def run(self, node: str, argv: Sequence[str], *, timeout_s: float = 30, stdin: str = "") -> Completed:
        """Run a command in a node and wait for it."""

    def daemons(self, node: str) -> tuple[Daemon, ...]:
        """Return the processes that a node runs."""
