"""The default back end: a lab in network namespaces of this machine, with the distribution's own FRR and BIRD."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from resilience.errors import EnvironmentLacks, LabError, UnknownName
from resilience.lab.control import connect_unix
from resilience.lab.netns import CLONE_FS, CLONE_NEWNS, set_namespace, unshare
from resilience.lab.seam import Completed, Daemon, LabStatus, NodeStatus, Progress
from resilience.lab.spec import LabSpec
from resilience.lab.state import LabFolder, Process, end_process, remove, remove_leftovers, reserve
from resilience.lab.survey import fingerprint, make_spec
from resilience.model.configs import Configs
from resilience.model.plan import Plan

BACKEND: Final = "netns"
_ANSWER_LIMIT_S: Final = 300.0
_LOG_BYTES: Final = 2_000
_PROGRAMS: Final = {"zebra": "/usr/lib/frr/zebra", "bird": "bird", "ip": "ip", "nft": "nft"}
_PACKAGES: Final = {"zebra": "frr", "bird": "bird2", "ip": "iproute2", "nft": "nftables"}


class NetnsLab:
    """A lab in network namespaces. Make one to start it, or attach to one that another command keeps up."""

    def __init__(self, plan: Plan, configs: Configs, *, name: str | None = None, source: str = "") -> None:
        self._plan = plan
        self._configs = configs
        self._wanted_name = name
        self._source = source
        self._folder: LabFolder | None = None
        self._owner: socket.socket | None = None
        self._nodes: Mapping[str, Any] = {}

    @classmethod
    def attach(cls, folder: LabFolder, plan: Plan) -> NetnsLab:
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
        """`netns`."""
        return BACKEND

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
            with self._call() as connection:
                _send(connection, {"do": "start", "nodes": list(nodes), "cold": cold})
                _await_done(_events(connection), progress)
            self._read_running()
            return
        spec = make_spec(self._plan, self._configs)
        check_environment(spec)
        remove_leftovers()
        self._folder = reserve(
            self._wanted_name,
            network=self._plan.network.name,
            source=self._source,
            plan_sha256=fingerprint(self._plan),
        )
        try:
            self._write_files(spec)
            self._start_keeper(progress)
        except BaseException:
            self.stop()
            raise
        self._read_running()

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
        _send(self._owner, {"do": "keep"})
        _await_done(_events(self._owner), None)
        self.folder.update(kept=True)
        self._owner.close()
        self._owner = None

    def is_kept(self) -> bool:
        """Say whether the lab outlives this process."""
        return self._folder is not None and self._folder.read().kept

    def status(self) -> LabStatus:
        """Say what runs."""
        running = self._folder is not None
        nodes = tuple(NodeStatus(node=name, daemons=self.daemons(name)) for name in self._nodes) if running else ()
        return LabStatus(
            name=self.name,
            network=self._plan.network.name,
            backend=BACKEND,
            running=running and bool(nodes),
            nodes=nodes,
        )

    def namespace(self, node: str) -> Path:
        """Return the path of a node's network namespace, for setns(2)."""
        return self._descriptor(self._node(node)["network"])

    def mounts(self, node: str) -> Path | None:
        """Return the path of a node's mount namespace; None: it has none of its own."""
        number = self._node(node)["mounts"]
        return None if number is None else self._descriptor(number)

    def run(self, node: str, argv: Sequence[str], *, timeout_s: float = 30, stdin: str = "") -> Completed:
        """Run a command in a node, as root, and wait for it."""
        network, mounts = self.namespace(node), self.mounts(node)
        results: list[Completed | BaseException] = []

        def act() -> None:
            try:
                enter_node(network, mounts)
                done = subprocess.run(
                    list(argv),
                    input=stdin,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=timeout_s,
                    check=False,
                )
                results.append(Completed(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr))
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                results.append(error)

        # A thread of its own: it moves into the node for good, and the caller stays where it is.
        thread = threading.Thread(target=act)
        thread.start()
        thread.join()
        if isinstance(results[0], Completed):
            return results[0]
        if isinstance(results[0], (OSError, subprocess.TimeoutExpired)):
            raise LabError(f"{node}: {' '.join(argv)}: {results[0]}") from results[0]
        raise results[0]

    def daemons(self, node: str) -> tuple[Daemon, ...]:
        """Return the processes that a node runs."""
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
        self.folder.build.write_text(json.dumps(spec.as_document()), encoding="utf-8")

    def _start_keeper(self, progress: Progress | None) -> None:
        self._owner, theirs = socket.socketpair()
        self._owner.settimeout(_ANSWER_LIMIT_S)
        with theirs:
            argv = [sys.executable, "-m", "resilience.lab.keeper", str(self.folder.path), str(theirs.fileno())]
            process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        with closing(_events(self._owner)) as events:
            for event in events:
                if event["event"] == "keeper":
                    self.folder.update(keeper=Process.of(event["pid"]))
                    break
            process.wait()
            try:
                _await_done(events, progress)
            except LabError as error:
                raise LabError(error.message or self._last_words(), hint=error.hint) from error

    def _last_words(self) -> str:
        with suppress(OSError):
            return "the lab's keeper died: " + self.folder.log.read_text(encoding="utf-8")[-_LOG_BYTES:].strip()
        return "the lab's keeper died without a word"

    def _call(self) -> socket.socket:
        try:
            return connect_unix(self.folder.control, _ANSWER_LIMIT_S)
        except OSError as error:
            raise LabError(f"the keeper of lab {self.name} does not answer: {error.strerror}") from error

    def _read_running(self) -> None:
        self._nodes = json.loads(self.folder.running.read_text(encoding="utf-8"))["nodes"]


def enter_node(network: Path, mounts: Path | None) -> None:
    """Put the calling thread into a node for good, as a program that is about to run there must be."""
    descriptors = [(os.open(network, os.O_RDONLY | os.O_CLOEXEC), 0)]
    if mounts is not None:
        unshare(CLONE_FS)
        descriptors.append((os.open(mounts, os.O_RDONLY | os.O_CLOEXEC), CLONE_NEWNS))
    for descriptor, kind in descriptors:
        set_namespace(descriptor, kind)
        os.close(descriptor)


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


def _give_to_daemon(path: Path, program: str) -> None:
    """Let the daemon's user read its own files, and nobody else."""
    if program:
        user = "bird" if program == "bird" else "frr"
        shutil.chown(path, user, user)


def _send(connection: socket.socket, request: Mapping[str, Any]) -> None:
    try:
        connection.sendall(json.dumps(request).encode() + b"\n")
    except OSError as error:
        raise LabError(f"the lab's keeper does not listen: {error.strerror}") from error


def _events(connection: socket.socket) -> Generator[dict[str, Any], None, None]:
    with connection.makefile("r", encoding="utf-8") as lines, suppress(ConnectionResetError):
        for line in lines:
            yield json.loads(line)


def _await_done(events: Iterator[dict[str, Any]], progress: Progress | None) -> None:
    """Pass progress on until the keeper is done; LabError with what it said, empty when it died."""
    for event in events:
        match event["event"]:
            case "done":
                return
            case "error":
                raise LabError(event["message"])
            case "progress" if progress is not None:
                progress(event["step"], event["done"], event["total"])
    raise LabError("")


__all__ = ["BACKEND", "NetnsLab", "check_environment", "end_process", "enter_node"]
