"""Somebody else's running lab as a lab of ours: a container is a namespace, too. Nothing of ours is put into it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from resilience.attach.kernel import Fact, give_back, read_facts
from resilience.attach.processes import find_daemons
from resilience.attach.survey import Place, look_at
from resilience.errors import LabError, UnknownName, UsageError
from resilience.lab.clab.engine import Engine
from resilience.lab.inside import run_inside
from resilience.lab.seam import Completed, Daemon, LabStatus, NodeStatus, Progress
from resilience.lab.state import Process
from resilience.model.plan import Plan

RESTART_FROM: Final = (0, 75)
"""The first containerlab that starts a node anew without losing its cables."""
_RESTART_LIMIT_S: Final = 300
_BOOT_LIMIT_S: Final = 30.0
"""A node that was started anew has said again by then what it says by itself."""
_POLL_S: Final = 0.2
_OURS: Final = frozenset({"ip", "nft", "tc"})
"""Programs that see a node's network and nothing else of it: this machine's own are used."""
_NAMED: Final = 5


class AttachedLab:
    """A running lab of containerlab that is not ours. Made of what was found; `facts`: what its kernels must keep."""

    def __init__(
        self, plan: Plan, engine: Engine, file: Path, places: Mapping[str, Place], facts: Mapping[str, frozenset[Fact]]
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._file = file
        self._places = dict(places)
        self._facts = facts
        self._restarted: set[str] = set()

    @property
    def plan(self) -> Plan:
        """What of the lab drills need to know."""
        return self._plan

    @property
    def name(self) -> str:
        """What containerlab calls it."""
        return self._plan.network.name

    @property
    def backend(self) -> str:
        """What kind of lab this is."""
        return "attached"

    def start(
        self, *, nodes: Collection[str] | None = None, cold: bool = True, progress: Progress | None = None
    ) -> None:
        """Start nodes anew, which containerlab does; the lab itself is somebody else's to start."""
        if nodes is None or not cold:
            raise UsageError("somebody else's lab is not started here", hint="`containerlab deploy` does that")
        for done, node in enumerate(nodes, 1):
            self._restart(node)
            if progress is not None:
                progress("nodes", done, len(nodes))

    def stop(self) -> None:
        """Leave: the lab goes on."""

    def status(self) -> LabStatus:
        """Say what runs."""
        nodes = tuple(NodeStatus(node=name, daemons=self.daemons(name)) for name in self._places)
        return LabStatus(name=self.name, network=self.name, backend=self.backend, running=True, nodes=nodes)

    def namespace(self, node: str) -> Path:
        """Return the path of a node's network namespace, for setns(2)."""
        return self._place(node).network

    def run(self, node: str, argv: Sequence[str], *, timeout_s: float = 30, stdin: str = "") -> Completed:
        """Run a command in a node: `ip`, `nft` and `tc` are this machine's own, in the node's network."""
        place = self._place(node)
        if argv[0] in _OURS:
            return run_inside(node, place.network, None, argv, timeout_s=timeout_s, stdin=stdin)
        docker = [self._engine.docker, "exec", "--interactive", place.container.name, *argv]
        done = self._engine.run(docker, stdin=stdin, timeout_s=timeout_s)
        return Completed(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def daemons(self, node: str) -> tuple[Daemon, ...]:
        """Return the routing daemons that a node runs. None has a log: how they log is not ours to change."""
        return () if "|" in node else find_daemons(self._place(node).container.pid)

    def restore(self, node: str) -> None:
        """Give a node back what its kernel forgot when one of its interfaces went down."""
        place = self._place(node)
        give_back(node, place.network, self._facts.get(node, frozenset()))

    def missing(self) -> tuple[str, ...]:
        """Give every node back what it lacks; return what could not be given, in words."""
        found = []
        for node in self._facts:
            self._await_boot(node)
            self.restore(node)
            lacking = self._facts[node] - read_facts(node, self.namespace(node))
            found += [f"{node}: {fact}" for fact in sorted(lacking)]
        return (*found[:_NAMED], f"and {len(found) - _NAMED} more") if len(found) > _NAMED else tuple(found)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _place(self, node: str) -> Place:
        if node not in self._places:
            raise UnknownName(f"no node is called {node}", hint=f"nodes: {', '.join(self._places)}")
        place = self._places[node]
        if Process.of(place.container.pid) is None:
            raise LabError(f"the container of {node} has ended", hint=f"`docker logs {place.container.name}` says why")
        return place

    def _restart(self, node: str) -> None:
        argv = [self._engine.containerlab, "restart", "-t", str(self._file), "-n", node]
        done = self._engine.run(argv, timeout_s=_RESTART_LIMIT_S)
        if done.returncode != 0:
            # Its cables are still down: whatever it is, it must not stay so.
            self.restore(node)
            said = (done.stderr or done.stdout).strip().splitlines()
            raise LabError(f"containerlab could not start {node} anew: {said[-1] if said else 'it does not say why'}")
        container = self._engine.containers(self.name).get(node)
        if container is None or not container.pid:
            raise LabError(f"{node} does not run after it was started anew", hint=f"`docker logs` of {node} says why")
        self._places[node] = look_at(node, container)
        self._restarted.add(node)

    def _await_boot(self, node: str) -> None:
        """Wait until a node that was started anew has what it had, or will not by itself."""
        deadline = time.monotonic() + _BOOT_LIMIT_S
        while node in self._restarted and self._facts[node] - read_facts(node, self.namespace(node)):
            if time.monotonic() > deadline:
                return
            time.sleep(_POLL_S)
