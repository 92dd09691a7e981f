"""A lab that runs nothing and answers from a script: for tests of what stands on top of `Lab`.

::

    lab = ScriptedLab(plan, answers={("gw", "ip route"): Completed(exit_code=0, stdout="...", stderr="")})
    ...
    assert ("run", "gw", "ip route") in lab.calls
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from resilience.errors import LabError, UnknownName
from resilience.lab.seam import Completed, Daemon, LabStatus, NodeStatus, Progress
from resilience.model.plan import Plan

BACKEND: Final = "scripted"
_NOTHING: Final = Completed(exit_code=0, stdout="", stderr="")


class ScriptedLab:
    """Fulfils `Lab` without root, daemons or namespaces. Every call is noted in `calls`.

    `answers` maps (node, command line) to what the command gives; others succeed and say nothing. `daemons` maps nodes
    to what they run. Every node's namespace is the one that the test itself runs in.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        name: str = "scripted",
        answers: Mapping[tuple[str, str], Completed] | None = None,
        daemons: Mapping[str, tuple[Daemon, ...]] | None = None,
    ) -> None:
        self._plan = plan
        self._name = name
        self._answers = dict(answers or {})
        self._daemons = dict(daemons or {})
        self._running = False
        self.calls: list[tuple[str, ...]] = []

    @property
    def plan(self) -> Plan:
        """The network that would run here."""
        return self._plan

    @property
    def name(self) -> str:
        """What this lab is called."""
        return self._name

    @property
    def backend(self) -> str:
        """`scripted`."""
        return BACKEND

    def start(
        self, *, nodes: Collection[str] | None = None, cold: bool = True, progress: Progress | None = None
    ) -> None:
        """Note the call, and report every node as started."""
        started = tuple(self._plan.nodes if nodes is None else nodes)
        self.calls.append(("start", *(() if nodes is None else (*started, "cold" if cold else "warm"))))
        self._running = True
        for number, node in enumerate(started):
            self._require(node)
            if progress is not None:
                progress("nodes", number + 1, len(started))

    def stop(self) -> None:
        """Note the call."""
        self.calls.append(("stop",))
        self._running = False

    def status(self) -> LabStatus:
        """Say what would run."""
        return LabStatus(
            name=self._name,
            network=self._plan.network.name,
            backend=BACKEND,
            running=self._running,
            nodes=tuple(NodeStatus(node=node, daemons=self.daemons(node)) for node in self._plan.nodes),
        )

    def namespace(self, node: str) -> Path:
        """Return the caller's own namespace."""
        self._require(node)
        return Path("/proc/self/ns/net")

    def run(self, node: str, argv: Sequence[str], *, timeout_s: float = 30, stdin: str = "") -> Completed:
        """Note the command and return the scripted answer."""
        del timeout_s
        self._require(node)
        if not self._running:
            raise LabError("the lab was not started")
        line = " ".join(argv)
        self.calls.append(("run", node, line, *((stdin,) if stdin else ())))
        return self._answers.get((node, line), _NOTHING)

    def daemons(self, node: str) -> tuple[Daemon, ...]:
        """Return the scripted daemons."""
        self._require(node)
        return self._daemons.get(node, ())

    def _require(self, node: str) -> None:
        if node not in self._plan.nodes:
            raise UnknownName(f"no node is called {node}", hint=f"nodes: {', '.join(self._plan.nodes)}")
