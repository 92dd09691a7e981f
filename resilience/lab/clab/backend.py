"""A lab of containers: the exported folder, started by the containerlab on PATH. A container is a namespace, too.

Faults and measurement act on a node's network from outside, with this machine's own tools (`_OURS`), so that an image
needs none. Everything else runs inside the container, with no more privileges than its image was given.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from resilience.errors import LabError, UnknownName, UsageError
from resilience.lab.boot import Booted, BootError, forget_everything, raise_ports
from resilience.lab.clab.engine import Container, Engine, check_image, find_engine
from resilience.lab.clab.guardian import network_of
from resilience.lab.clab.kinds import IMAGE
from resilience.lab.clab.processes import find_processes
from resilience.lab.clab.removal import TOPOLOGY_FOLDER, engine_file
from resilience.lab.clab.topology import NODE_PROGRAM, ExportOptions, make_folder
from resilience.lab.inside import run_inside
from resilience.lab.kept import KeptLab
from resilience.lab.netns import set_namespace
from resilience.lab.seam import Completed, Daemon, Progress
from resilience.lab.spec import LabSpec, NodeSpec
from resilience.lab.state import Process
from resilience.model.configs import ConfigFile, Configs
from resilience.model.plan import Plan
from resilience.render import write_files

_OURS: Final = frozenset({"ip", "nft", "tc", "bridge", "sysctl"})
"""Programs that see a node's network and nothing else of it: this machine's own are used."""
_START_LIMIT_S: Final = 120.0
_END_LIMIT_S: Final = 10.0
_POLL_S: Final = 0.01
_AT_ONCE: Final = max(4, 2 * (os.cpu_count() or 1))


class ClabLab(KeptLab):
    """A lab of containers. `image`: what nodes are made from; default: our own."""

    BACKEND = "containerlab"
    KEEPER = "resilience.lab.clab.guardian"

    def __init__(
        self, plan: Plan, configs: Configs, *, name: str | None = None, source: str = "", image: str | None = None
    ) -> None:
        super().__init__(plan, configs, name=name, source=source)
        self._image = image or IMAGE
        self._engine: Engine | None = None
        self._specs: Mapping[str, NodeSpec] = {}
        self._containers: Mapping[str, Container] = {}
        self._processes: dict[str, dict[str, Process]] = {}

    def namespace(self, node: str) -> Path:
        """Return the path of a node's network namespace, for setns(2)."""
        return network_of(self._container(node))

    def run(self, node: str, argv: Sequence[str], *, timeout_s: float = 30, stdin: str = "") -> Completed:
        """Run a command in a node, as root, and wait for it.

        `ip`, `nft`, `tc`, `bridge` and `sysctl` are this machine's own, in the node's network.
        """
        if argv[0] in _OURS:
            return run_inside(node, self.namespace(node), None, argv, timeout_s=timeout_s, stdin=stdin)
        docker = [self._docker().docker, "exec", "--interactive", self._container(node).name, *argv]
        done = self._docker().run(docker, stdin=stdin, timeout_s=timeout_s)
        return Completed(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def become(self, node: str, argv: Sequence[str]) -> NoReturn:
        """Turn the calling process into a command in a node: its terminal, its exit code."""
        engine, container = self._docker(), self._container(node)
        terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        command = [engine.docker, "exec", "--interactive", *terminal, container.name, *argv]
        sys.stdout.flush()
        os.execve(engine.docker, command, engine.environment())  # noqa: S606 - becoming the command is the point

    def daemons(self, node: str) -> tuple[Daemon, ...]:
        """Return the processes that a node runs."""
        container = self._container(node)
        if not all(process.alive() for process in self._processes.get(node, {}).values()):
            self._find_processes([node])
        root = Path(f"/proc/{container.pid}/root/run")
        return tuple(
            Daemon(
                name=name,
                pid=process.pid,
                running=process.alive(),
                control=root / ("bird/bird.ctl" if name == "bird" else f"frr/{name}.vty"),
                log=root / _folder_of(name) / f"{name}.log",
            )
            for name, process in self._processes[node].items()
        )

    # --- inside -------------------------------------------------------------------------------------------------------

    def _container(self, node: str) -> Container:
        if node not in self._containers:
            raise UnknownName(f"no node is called {node}", hint=f"nodes: {', '.join(self._containers)}")
        container = self._containers[node]
        if Process.of(container.pid) is None:
            raise LabError(f"the container of {node} has ended", hint=f"`docker logs {container.name}` says why")
        return container

    def _docker(self) -> Engine:
        if self._engine is None:
            raise LabError("the lab was not started")
        return self._engine

    def _find_processes(self, nodes: Collection[str]) -> None:
        wanted = {
            name: (
                self._containers[name].pid,
                {
                    one.name: Path("run") / _folder_of(one.name) / f"{one.name}.pid"
                    for one in self._specs[name].programs
                },
            )
            for name in nodes
        }
        self._processes |= find_processes(wanted)

    def _check_environment(self, spec: LabSpec) -> None:  # noqa: ARG002 - what is rendered needs nothing of the host
        self._engine = find_engine()
        check_image(self._engine, self._image, IMAGE)
        if self._wanted_name is not None:
            self._refuse_clash(self._wanted_name)
        self._make_files(self._wanted_name or "lab")

    def _refuse_clash(self, name: str) -> None:
        if self._docker().containers(name):
            raise UsageError(
                f"containerlab already runs a lab named {name}",
                hint=f"`containerlab destroy --name {name}` ends it; `--name OTHER` starts one beside it",
            )

    def _make_files(self, name: str) -> tuple[ConfigFile, ...]:
        options = ExportOptions(name=name, image=self._image, dialect=self._docker().dialect)
        return make_folder(self._plan, self._configs, options)

    def _write_files(self, spec: LabSpec) -> None:
        write_files(self._make_files(self.name), self.folder.path / TOPOLOGY_FOLDER)
        self.folder.build.write_text(json.dumps(spec.as_document()), encoding="utf-8")
        # Last: from now on whoever removes the lab looks for containers of its name.
        self._docker().write(engine_file(self.folder.path))

    def _read_running(self) -> None:
        self._engine = Engine.read(engine_file(self.folder.path))
        nodes = json.loads(self.folder.running.read_text(encoding="utf-8"))["nodes"]
        spec = LabSpec.from_document(json.loads(self.folder.build.read_text(encoding="utf-8")))
        self._specs = {node.name: node for node in spec.nodes}
        self._containers = {name: Container(node=name, **data) for name, data in nodes.items()}
        self._find_processes(tuple(self._containers))

    def _node_names(self) -> Sequence[str]:
        return tuple(self._containers)

    # --- starting nodes again -----------------------------------------------------------------------------------------

    def _start_again(self, nodes: Collection[str], progress: Progress | None, *, cold: bool) -> None:
        act: Callable[[str], None] = self._start_cold if cold else self._revive
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done, _ in enumerate(pool.map(act, nodes), 1):
                if progress is not None:
                    progress("nodes", done, len(nodes))
        self._find_processes(nodes)

    def _start_cold(self, node: str) -> None:
        """Start a node as after a loss of power, in the same container: its cables are the same ones."""
        self._kill_daemons(node)
        spec = self._specs[node]
        if spec.switch:
            _in_network(self.namespace(node), raise_ports, spec)
            return
        _in_network(self.namespace(node), _start_kernel_anew, spec)
        self._run_node_program(node, "again")

    def _revive(self, node: str) -> None:
        if self._specs[node].programs:
            self._run_node_program(node, "revive")

    def _run_node_program(self, node: str, how: str) -> None:
        done = self.run(node, [NODE_PROGRAM, how], timeout_s=_START_LIMIT_S)
        if done.exit_code != 0:
            raise LabError(f"{node}: {done.stderr.strip().removeprefix(f'{NODE_PROGRAM}: ')}")

    def _kill_daemons(self, node: str) -> None:
        running = [Process.of(daemon.pid) for daemon in self.daemons(node) if daemon.running]
        for process in running:
            if process is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + _END_LIMIT_S
        while any(process is not None and process.alive() for process in running):
            if time.monotonic() > deadline:
                raise LabError(f"the daemons of {node} do not die")
            time.sleep(_POLL_S)


def _folder_of(program: str) -> str:
    return "bird" if program == "bird" else "frr"


def _pid_files(spec: NodeSpec) -> dict[str, Path]:
    """Return where each program of a node writes its number, below the node's root."""
    return {one.name: Path("run") / _folder_of(one.name) / f"{one.name}.pid" for one in spec.programs}


def _start_kernel_anew(node: Booted) -> None:
    """Forget what the kernel knows of a node, and raise its cables as containerlab does before a node's start."""
    forget_everything(node)
    raise_ports(node)


def _in_network(network: Path, act: Callable[[Booted], None], spec: NodeSpec) -> None:
    """Do something in a node's network, in a thread of its own: it stays there."""
    failed: list[BaseException] = []

    def enter_and_act() -> None:
        try:
            descriptor = os.open(network, os.O_RDONLY | os.O_CLOEXEC)
            try:
                set_namespace(descriptor)
                act(Booted(spec, Path(), descriptor))
            finally:
                os.close(descriptor)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failed.append(error)

    thread = threading.Thread(target=enter_and_act)
    thread.start()
    thread.join()
    for error in failed:
        if isinstance(error, (BootError, OSError)):
            raise LabError(f"{spec.name}: {error}") from error
        raise error
