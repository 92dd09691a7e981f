"""The keeper of a lab: the process on which everything of the lab hangs, so that nothing can stay behind.

It is process 1 of a process namespace of its own: when it ends, however it ends, the kernel ends every daemon of the
lab, and with the last process go the namespaces, the cables in them and the mounts. It ends when it is told to, and
when the process that started it closes its socket (which a killed process does too), unless it was told to stay.

Run as `python -m resilience.lab.keeper FOLDER DESCRIPTOR`; `answers.py` says what it answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import asdict
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NoReturn

from resilience.errors import LabError
from resilience.lab.answers import become_keeper
from resilience.lab.boot import Booted, boot, revive
from resilience.lab.children import CHILDREN
from resilience.lab.logins import prepare_logins
from resilience.lab.netns import CLONE_NEWNS, CLONE_NEWPID, MS_PRIVATE, MS_REC, mount
from resilience.lab.serving import NOTHING, start_services
from resilience.lab.spec import LabSpec
from resilience.lab.state import LabFolder, Process, write_atomically
from resilience.lab.wiring import lay_cables, make_namespaces

_BOOTING: Final = max(4, 2 * (os.cpu_count() or 1))
"""How many nodes start at the same time: enough to use every core while some wait."""

_GOODBYE_LIMIT_S: Final = 10.0

CRASH_LOGS = "/var/tmp/frr"  # noqa: S108 - FRR's own choice, which no option changes


def _hide_crash_logs() -> None:
    """Give FRR's crash logs a private, empty file system that goes with the lab.

    FRR makes this folder at its first start on a system and keeps it. Everybody may write beside it, so what stands
    there under its name is not believed: a link would lead the mount elsewhere.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(CRASH_LOGS, 0o755)  # noqa: PTH102 - beside os.lstat, which must not follow links
    if not stat.S_ISDIR(os.lstat(CRASH_LOGS).st_mode):
        raise LabError(f"{CRASH_LOGS} is not a folder", hint="remove it: FRR keeps its crash logs there")
    mount("none", CRASH_LOGS, "tmpfs")


class Keeper:
    """Builds a lab and answers for it."""

    def __init__(self, folder: LabFolder) -> None:
        self._folder = folder
        self._kept = False
        self._lock = threading.Lock()
        self._nodes: dict[str, Booted] = {}
        self._base_mounts = -1
        self._lifeline = NOTHING
        self._spec = LabSpec.from_document(json.loads(folder.build.read_text(encoding="utf-8")))

    def build(self, progress: Callable[[str, int, int], None]) -> None:
        """Make namespaces and cables, then start every node."""
        try:
            mount("none", "/", flags=MS_REC | MS_PRIVATE)
        except OSError as error:
            hint = "in a plain chroot it is not; pivot_root into a mounted folder instead, or use a container"
            raise LabError(
                "the root folder is not a mount point, so a lab's mounts cannot be private", hint=hint
            ) from error
        _hide_crash_logs()
        if os.path.exists("/dev/log"):  # noqa: PTH110 - a dangling link must count as absent
            mount("/dev/null", "/dev/log", flags=1 << 12)
        if any(node.ssh for node in self._spec.nodes):
            prepare_logins(self._folder)
            threading.Thread(target=CHILDREN.bury_orphans, args=(self._daemons,), daemon=True).start()
        self._base_mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        progress("namespaces", 0, len(self._spec.nodes))
        namespaces = make_namespaces(self._spec.nodes)
        progress("cables", 0, len(self._spec.cables))
        lay_cables(self._spec, namespaces)
        for spec, network in zip(self._spec.nodes, namespaces, strict=True):
            self._nodes[spec.name] = Booted(spec, self._folder.node(spec.name), network)
        self._lifeline = start_services(self._folder, self._spec.listeners, namespaces)
        self.start(self._nodes, progress)

    def start(self, names: Iterable[str], progress: Callable[[str, int, int], None], *, cold: bool = True) -> None:
        """Start nodes from their start-up files, or only their dead daemons; nodes that take longest go first."""
        with self._lock:
            nodes = sorted((self._nodes[name] for name in names), key=lambda node: -len(node.spec.programs))
            for node in nodes:
                _bury_daemons(node, kill=cold)
            act = boot if cold else revive
            _in_threads([partial(act, node, self._base_mounts) for node in nodes], progress)
            self._write_running()

    def restart(self, names: Iterable[str], progress: Callable[[str, int, int], None]) -> None:
        """End nodes' daemons as an init system does, which lets them say goodbye, and start those that files name."""
        with self._lock:
            nodes = [self._nodes[name] for name in names]
            for node in nodes:
                _dismiss_daemons(node)
            _in_threads([partial(revive, node, self._base_mounts) for node in nodes], progress)
            self._write_running()

    def _daemons(self) -> set[int]:
        return {pid for node in list(self._nodes.values()) for pid in list(node.pids.values())}

    def keep(self) -> None:
        """Stay when the owner goes."""
        self._kept = True

    def owner_left(self) -> None:
        """End unless told to stay: what nobody owns must not run."""
        if not self._kept:
            end()

    def _write_running(self) -> None:
        nodes = {
            name: {
                "network": node.network,
                "mounts": node.mounts,
                "ssh": node.spec.ssh,
                "daemons": {daemon: _describe(pid) for daemon, pid in node.pids.items()},
            }
            for name, node in self._nodes.items()
        }
        write_atomically(self._folder.running, json.dumps({"nodes": nodes}))


def _bury_daemons(node: Booted, *, kill: bool) -> None:
    """Forget a node's dead daemons; their parent, whoever started them, is this process. `kill` makes all dead."""
    for name, pid in list(node.pids.items()):
        if kill:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if kill or Process.of(outer_pid(pid)) is None:
            # A process whose first thread is a zombie counts as dead, though others may take a moment to end.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            del node.pids[name]


def _dismiss_daemons(node: Booted) -> None:
    for pid in node.pids.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _GOODBYE_LIMIT_S
    while any(Process.of(outer_pid(pid)) for pid in node.pids.values()) and time.monotonic() < deadline:
        time.sleep(0.02)
    _bury_daemons(node, kill=True)


def _describe(pid: int) -> dict[str, int]:
    """Return a process as `state.Process` holds it; one that is dead already as number 0."""
    process = Process.of(outer_pid(pid))
    return asdict(process or Process(0, 0))


def outer_pid(pid: int) -> int:
    """Return a process's number as the host sees it: /proc is still the host's."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return 0
    try:
        info = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    finally:
        os.close(descriptor)
    return next(int(line.split()[1]) for line in info.splitlines() if line.startswith("Pid:"))


def _in_threads(tasks: list[Callable[[], None]], progress: Callable[[str, int, int], None]) -> None:
    """Run tasks in fresh threads (each leaves its thread in other namespaces); raise the first failure."""
    queue: SimpleQueue[tuple[Callable[[], None], Future[None]] | None] = SimpleQueue()
    futures: list[Future[None]] = []
    for task in tasks:
        futures.append(Future())
        queue.put((task, futures[-1]))
    workers = [threading.Thread(target=_work, args=(queue,), daemon=True) for _ in range(min(_BOOTING, len(tasks)))]
    for worker in workers:
        queue.put(None)
        worker.start()
    for number, future in enumerate(futures):
        future.result()
        progress("nodes", number + 1, len(futures))


def _work(queue: SimpleQueue[tuple[Callable[[], None], Future[None]] | None]) -> None:
    while (item := queue.get()) is not None:
        task, future = item
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            future.set_exception(error)
        else:
            future.set_result(None)


def end() -> NoReturn:
    """End this process at once, and with it everything in its process namespace."""
    os._exit(0)


if __name__ == "__main__":
    # The first process of a process namespace gets no signal that it does not ask for; a machine that shuts down would
    # wait for it.
    signal.signal(signal.SIGTERM, lambda _number, _frame: end())
    become_keeper(sys.argv[1:], Keeper, CLONE_NEWPID | CLONE_NEWNS)
