"""What every lab has in common that hangs on a process of its own: a folder, an owner, and staying or going."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar, NoReturn, Self

from resilience.errors import LabError
from resilience.lab.asking import ask_keeper, await_built, start_keeper
from resilience.lab.seam import Completed, Daemon, LabStatus, NodeStatus, Progress
from resilience.lab.spec import LabSpec
from resilience.lab.state import LabFolder, remove, remove_leftovers, reserve
from resilience.lab.survey import fingerprint, make_spec
from resilience.model.configs import Configs
from resilience.model.plan import Plan


class KeptLab(ABC):
    """A lab on this machine. Make one to start it, or attach to one that another command keeps up."""

    BACKEND: ClassVar[str]
    KEEPER: ClassVar[str]
    """The module that is run as this lab's keeper."""

    def __init__(self, plan: Plan, configs: Configs, *, name: str | None = None, source: str = "") -> None:
        self._plan = plan
        self._configs = configs
        self._wanted_name = name
        self._source = source
        self._folder: LabFolder | None = None
        self._owner: socket.socket | None = None

    @classmethod
    def attach(cls, folder: LabFolder, plan: Plan) -> Self:
        """Return the lab that is kept in a folder; LabError when it is gone or was built from another plan."""
        state = folder.read()
        if state.keeper is None or not state.keeper.alive():
            raise LabError(f"lab {state.name} does not run any more", hint="`resilience lab list` shows what does")
        if state.plan_sha256 != fingerprint(plan):
            raise LabError(f"lab {state.name} was built from another plan", hint="take it down and up again")
        lab = cls(plan, {}, name=state.name, source=state.source)
        lab._folder = folder
        lab._read_running()
        return lab

    @property
    def plan(self) -> Plan:
        """The network that runs here."""
        return self._plan

    @property
    def name(self) -> str:
        """What this lab is called on this machine."""
        return self._wanted_name if self._folder is None else self._folder.path.name  # type: ignore[return-value]

    @property
    def backend(self) -> str:
        """What kind of lab this is."""
        return self.BACKEND

    @property
    def folder(self) -> LabFolder:
        """Where the lab's files are; LabError before it was started."""
        if self._folder is None:
            raise LabError("the lab was not started")
        return self._folder

    def start(
        self, *, nodes: Collection[str] | None = None, cold: bool = True, progress: Progress | None = None
    ) -> None:
        """Bring the lab up; with `nodes`, start those again: cold as after a loss of power, else only dead daemons."""
        if nodes is not None:
            self._start_again(nodes, progress, cold=cold)
            return
        spec = self._make_spec()
        self._check_environment(spec)
        remove_leftovers()
        self._folder = reserve(
            self._wanted_name,
            network=self._plan.network.name,
            source=self._source,
            plan_sha256=fingerprint(self._plan),
        )
        try:
            self._write_files(spec)
            self._owner, events = start_keeper(self.KEEPER, self._folder)
            await_built(self._folder, events, progress)
            self._read_running()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Take everything away; safe to call twice."""
        folder, self._folder = self._folder, None
        if self._owner is not None:
            self._owner.close()
            self._owner = None
        if folder is not None and folder.path.exists():
            remove(folder)

    def keep(self) -> None:
        """Let the lab outlive this process; `resilience lab down` ends it."""
        if self._owner is None:
            raise LabError("only the process that started a lab can let go of it")
        ask_keeper(self._owner, {"do": "keep"})
        self.folder.update(kept=True)
        self._owner.close()
        self._owner = None

    def is_kept(self) -> bool:
        """Say whether the lab outlives this process."""
        return self._folder is not None and self._folder.read().kept

    def status(self) -> LabStatus:
        """Say what runs."""
        names = self._node_names() if self._folder is not None else ()
        nodes = tuple(NodeStatus(node=name, daemons=self.daemons(name)) for name in names)
        return LabStatus(
            name=self.name,
            network=self._plan.network.name,
            backend=self.BACKEND,
            running=bool(nodes),
            nodes=nodes,
        )

    @abstractmethod
    def namespace(self, node: str) -> Path:
        """Return the path of a node's network namespace, for setns(2)."""

    @abstractmethod
    def run(self, node: str, argv: Sequence[str], *, timeout_s: float = 30, stdin: str = "") -> Completed:
        """Run a command in a node, as root, and wait for it."""

    @abstractmethod
    def daemons(self, node: str) -> tuple[Daemon, ...]:
        """Return the processes that a node runs."""

    @abstractmethod
    def become(self, node: str, argv: Sequence[str]) -> NoReturn:
        """Turn the calling process into a command in a node: its terminal, its exit code."""

    # --- what kinds of lab differ in ----------------------------------------------------------------------------------

    def _make_spec(self) -> LabSpec:
        return make_spec(self._plan, self._configs)

    @abstractmethod
    def _check_environment(self, spec: LabSpec) -> None:
        """Say what this machine lacks before anything is touched."""

    @abstractmethod
    def _write_files(self, spec: LabSpec) -> None:
        """Write into the lab's folder what its keeper needs."""

    @abstractmethod
    def _read_running(self) -> None:
        """Read what the keeper has built."""

    @abstractmethod
    def _start_again(self, nodes: Collection[str], progress: Progress | None, *, cold: bool) -> None:
        """Start nodes again."""

    @abstractmethod
    def _node_names(self) -> Sequence[str]:
        """Return the nodes that run here."""
