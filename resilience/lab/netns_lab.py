"""The default back end: a lab in network namespaces of this machine, with the distribution's own FRR and BIRD."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from resilience.errors import EnvironmentLacks, LabError, UnknownName, UsageError
from resilience.lab.access import check_logins, write_access
from resilience.lab.asking import ask_keeper, call_keeper
from resilience.lab.inside import enter_node, run_inside
from resilience.lab.kept import KeptLab
from resilience.lab.logins import processes_in
from resilience.lab.seam import Completed, Daemon, Progress
from resilience.lab.spec import LabSpec
from resilience.lab.state import Process
from resilience.lab.survey import make_spec
from resilience.model.configs import Configs
from resilience.model.plan import Plan

_PROGRAMS: Final = {"zebra": "/usr/lib/frr/zebra", "bird": "bird", "ip": "ip", "nft": "nft"}
_PACKAGES: Final = {"zebra": "frr", "bird": "bird2", "ip": "iproute2", "nft": "nftables"}


class NetnsLab(KeptLab):
    """A lab in network namespaces."""

    BACKEND = "netns"
    KEEPER = "resilience.lab.keeper"

    _nodes: Mapping[str, Any] = {}

    def __init__(
        self, plan: Plan, configs: Configs, *, name: str | None = None, source: str = "", ssh: bool = False
    ) -> None:
        super().__init__(plan, configs, name=name, source=source)
        self._ssh = ssh

    def namespace(self, node: str) -> Path:
        """Return the path of a node's network namespace, for setns(2)."""
        return self._descriptor(self._node(node)["network"])

    def mounts(self, node: str) -> Path | None:
        """Return the path of a node's mount namespace; None: it has none of its own."""
        number = self._node(node)["mounts"]
        return None if number is None else self._descriptor(number)

    def run(self, node: str, argv: Sequence[str], *, timeout_s: float = 30, stdin: str = "") -> Completed:
        """Run a command in a node, as root, and wait for it."""
        places = (self.namespace(node), self.mounts(node))
        return run_inside(node, *places, argv, timeout_s=timeout_s, stdin=stdin, processes=self._processes(node))

    def become(self, node: str, argv: Sequence[str]) -> NoReturn:
        """Turn the calling process into a command in a node: its terminal, its exit code."""
        processes = self._processes(node)
        enter_node(self.namespace(node), self.mounts(node), processes)
        program = shutil.which(argv[0], path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
        if program is None:
            raise UsageError(f"there is no program {argv[0]}")
        sys.stdout.flush()
        if processes is not None:
            _pass_on(program, argv)
        os.execv(program, list(argv))  # noqa: S606 - becoming the command is the point

    def daemons(self, node: str) -> tuple[Daemon, ...]:
        """Return the processes that a node runs."""
        if self._node(node)["ssh"]:
            self._read_running()  # a router that is logged in to restarts its daemons by itself
        run = self.folder.node(node) / "run"
        return tuple(
            Daemon(
                name=name,
                pid=process["pid"],
                running=Process(**process).alive(),
                control=run / ("bird/bird.ctl" if name == "bird" else f"frr/{name}.vty"),
                log=run / ("bird/bird.log" if name == "bird" else f"frr/{name}.log"),
            )
            for name, process in self._node(node)["daemons"].items()
        )

    def processes(self, node: str) -> tuple[int, ...]:
        """Return the number of every process of a router: daemons and, where it can be logged in to, all others."""
        mounts = self.mounts(node)
        if mounts is None or not self._node(node)["ssh"]:
            return tuple(daemon.pid for daemon in self.daemons(node) if daemon.running)
        return tuple(pid for pid, _ in processes_in(mounts.stat().st_ino))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _node(self, node: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = self._nodes[node]
        except KeyError:
            raise UnknownName(f"no node is called {node}", hint=f"nodes: {', '.join(self._nodes)}") from None
        return found

    def _descriptor(self, number: int) -> Path:
        keeper = self.folder.read().keeper
        if keeper is None or not keeper.alive():
            raise LabError(f"lab {self.name} does not run any more")
        return Path(f"/proc/{keeper.pid}/fd/{number}")

    def _processes(self, node: str) -> Path | None:
        """Return the namespace of processes of a node that can be logged in to, which sees no others."""
        keeper = self.folder.read().keeper
        return Path(f"/proc/{keeper.pid}/ns/pid") if keeper is not None and self._node(node)["ssh"] else None

    def _make_spec(self) -> LabSpec:
        return make_spec(self._plan, self._configs, ssh=self._ssh)

    def _write_files(self, spec: LabSpec) -> None:
        for node in spec.nodes:
            files = self.folder.node(node.name) / "files"
            files.mkdir(mode=0o750, parents=True)
            for file in self._configs.get(node.name, ()):
                path = files / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(file.text, encoding="utf-8")
                path.chmod(file.mode)
                _give_to_daemon(path, node.programs[0].name if node.programs else "")
        if self._ssh:
            write_access(self.folder, spec, self._plan)
        self.folder.build.write_text(json.dumps(spec.as_document()), encoding="utf-8")

    def _check_environment(self, spec: LabSpec) -> None:
        check_environment(spec)

    def _start_again(self, nodes: Collection[str], progress: Progress | None, *, cold: bool) -> None:
        with call_keeper(self.folder) as connection:
            ask_keeper(connection, {"do": "start", "nodes": list(nodes), "cold": cold}, progress)
        self._read_running()

    def _read_running(self) -> None:
        self._nodes = json.loads(self.folder.running.read_text(encoding="utf-8"))["nodes"]

    def _node_names(self) -> Sequence[str]:
        return tuple(self._nodes)


def check_environment(spec: LabSpec) -> None:
    """Say what this machine lacks before anything is touched."""
    if os.geteuid() != 0:
        raise EnvironmentLacks("a lab in network namespaces needs root", hint="run the same command with sudo")
    wanted = {"ip"} | {"nft" for node in spec.nodes if "nftables.conf" in node.files}
    wanted |= {"bird" if program.name == "bird" else "zebra" for node in spec.nodes for program in node.programs}
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = sorted(_PACKAGES[name] for name in wanted if shutil.which(_PROGRAMS[name], path=path) is None)
    if missing:
        raise EnvironmentLacks(
            f"this machine lacks {', '.join(missing)}", hint=f"on Debian: apt-get install {' '.join(missing)}"
        )
    if any(node.ssh for node in spec.nodes):
        check_logins(path)


def _pass_on(program: str, argv: Sequence[str]) -> NoReturn:
    """Run a program in the namespace of processes that was entered, which only a new process is in; end as it ends."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    child = os.fork()
    if not child:
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execv(program, list(argv))  # noqa: S606 - becoming the command is the point
        finally:
            os._exit(126)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


def _give_to_daemon(path: Path, program: str) -> None:
    """Let the daemon's user read its own files, and nobody else."""
    if program:
        user = "bird" if program == "bird" else "frr"
        shutil.chown(path, user, user)
