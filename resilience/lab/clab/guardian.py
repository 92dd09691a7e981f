"""The guardian of a lab of containers: the process that has them started, and takes them away in the end.

Containers hang on Docker and would outlive everybody. So the guardian does what the kernel does for other labs: when it
is asked to end, and when the process that started it is gone however it ended, it takes away containers, cables
and files, unless it was told to stay. Should the guardian itself be killed, the next command finds the lab's folder and
does the same.

containerlab makes both ends of a cable in its own network namespace before it moves them, so a containerlab that is
killed leaves cables lying about. One that can do without the host's network is therefore given a namespace of its own.

Run as `python -m resilience.lab.clab.guardian FOLDER DESCRIPTOR`; `answers.py` says what it answers.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from resilience.errors import LabError
from resilience.lab.answers import Say, become_keeper
from resilience.lab.clab.engine import Container, Engine
from resilience.lab.clab.kinds import Dialect
from resilience.lab.clab.removal import engine_file, remove_containers, topology_file
from resilience.lab.netlink import Netlink, link_indexes
from resilience.lab.netns import CLONE_NEWNET, enter_namespace
from resilience.lab.serving import NOTHING, start_services
from resilience.lab.spec import LabSpec
from resilience.lab.state import LabFolder, write_atomically

STATE: Final = "run/netresilience/state"
"""Where a container says how far it is."""
_READY: Final = "ready"
_READY_LIMIT_S: Final = 120.0
_SILENCE_LIMIT_S: Final = 180.0
"""containerlab says a line for each node and cable; one that says nothing for so long hangs."""
_END_LIMIT_S: Final = 10.0
_POLL_S: Final = 0.05
_LOOK_S: Final = 1.0
_NAMED: Final = 3


class Guardian:
    """Has a lab started by containerlab and answers for it."""

    def __init__(self, folder: LabFolder) -> None:
        self._folder = folder
        self._engine = Engine.read(engine_file(folder.path))
        self._topology = topology_file(folder.path)
        self._spec = LabSpec.from_document(json.loads(folder.build.read_text(encoding="utf-8")))
        self._kept = False
        self._ending = threading.Lock()
        self._deployment: subprocess.Popen[bytes] | None = None
        self._lifeline = NOTHING
        # In a thread of its own: the main one may be in the middle of anything.
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=self.end).start())

    def build(self, progress: Say) -> None:
        """Start the containers and wait until each has come up from its files; nothing is left when that fails."""
        try:
            self._deploy(progress)
            containers = self._find_containers()
            self._wait_until_ready(containers, progress)
            self._check_cables(containers)
            self._start_services(containers)
            self._write_running(containers)
        except BaseException:
            with self._ending:
                self._take_away()
            raise

    def start(self, names: Iterable[str], progress: Say, *, cold: bool = True) -> None:  # noqa: ARG002 - see Keeping
        """Containers are started again from outside, by whoever wants it."""
        raise LabError(f"the guardian starts no nodes: {', '.join(names)}")

    def restart(self, names: Iterable[str], progress: Say) -> None:  # noqa: ARG002 - see Keeping
        """Refuse: containers have an init of their own."""
        raise LabError(f"containers restart their daemons themselves, not {', '.join(names)} from outside")

    def keep(self) -> None:
        """Stay when the owner goes."""
        self._kept = True

    def owner_left(self) -> None:
        """End unless told to stay: what nobody owns must not run."""
        if not self._kept:
            self.end()

    def end(self) -> NoReturn:
        """Take everything away, the lab's folder last, and end."""
        # Never let go of: what comes later waits until the process is gone.
        self._ending.acquire()
        try:
            self._take_away()
            shutil.rmtree(self._folder.path, ignore_errors=True)
        finally:
            os._exit(0)

    def _take_away(self) -> None:
        if self._lifeline != NOTHING:
            os.close(self._lifeline)
            self._lifeline = NOTHING
        deployment = self._deployment
        if deployment is not None and deployment.poll() is None:
            # It lets go of what it is about to ask Docker for.
            deployment.terminate()
            try:
                deployment.wait(_END_LIMIT_S)
            except subprocess.TimeoutExpired:
                deployment.kill()
        remove_containers(self._folder.path)

    # --- containerlab -------------------------------------------------------------------------------------------------

    def _deploy(self, progress: Say) -> None:
        total, done = len(self._spec.nodes) + len(self._spec.cables), 0
        progress("containers and cables", done, total)
        argv = [self._engine.containerlab, "deploy", "-t", str(self._topology)]
        process = subprocess.Popen(
            argv,
            env=self._engine.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._deployment = process
        said: list[str] = []
        for line in _lines(process):
            said.append(line)
            sys.stderr.write(line + "\n")
            if "Creating container" in line or "Created link" in line:
                done += 1
                progress("containers and cables", min(done, total), total)
        if process.wait() != 0:
            raise LabError(f"containerlab could not start the lab: {self._cause(said)}")

    def _cause(self, said: list[str]) -> str:
        """Return why a deployment failed: what a container said that ended, else what containerlab calls an error."""
        with suppress(LabError):
            ended = [one for one in self._containers().values() if not one.pid]
            words = [f"{one.node}: {text}" for one in ended if (text := self._last_words(one))]
            if words:
                return "; ".join(words[:_NAMED])
        return "; ".join(dict.fromkeys(errors_in(said))) or "it does not say why"

    def _last_words(self, container: Container) -> str:
        return read_last_words(self._engine.last_words(container))

    def _containers(self) -> Mapping[str, Container]:
        return self._engine.containers(self._folder.path.name, self._topology)

    def _find_containers(self) -> Mapping[str, Container]:
        containers = self._containers()
        missing = [node.name for node in self._spec.nodes if node.name not in containers]
        if missing:
            raise LabError(f"containerlab has made no container for {', '.join(missing)}")
        return containers

    # --- until it runs ------------------------------------------------------------------------------------------------

    def _wait_until_ready(self, containers: Mapping[str, Container], progress: Say) -> None:
        deadline = time.monotonic() + _READY_LIMIT_S
        look = time.monotonic() + _LOOK_S
        waiting = dict(containers)
        while waiting:
            for name, container in list(waiting.items()):
                if state_of(container) == _READY:
                    del waiting[name]
            progress("nodes", len(containers) - len(waiting), len(containers))
            if time.monotonic() > look:
                self._look_for_the_dead()
                look = time.monotonic() + _LOOK_S
            if time.monotonic() > deadline:
                states = [f"{name}: {state_of(container) or 'starting'}" for name, container in waiting.items()]
                raise LabError(f"not up after {_READY_LIMIT_S:.0f} s: {'; '.join(states[:_NAMED])}")
            if waiting:
                time.sleep(_POLL_S)

    def _look_for_the_dead(self) -> None:
        dead = [one for one in self._containers().values() if not one.pid]
        if dead:
            raise LabError(f"{dead[0].node}: {self._last_words(dead[0]) or 'its container has ended'}")

    def _check_cables(self, containers: Mapping[str, Container]) -> None:
        """Refuse a cable whose two ends have one number: the kernel takes such an end for one without a cable."""
        numbers: dict[str, dict[str, int]] = {}
        for name, container in containers.items():
            with enter_namespace(network_of(container)), Netlink() as netlink:
                numbers[name] = link_indexes(netlink)
        names = [node.name for node in self._spec.nodes]
        for near, far in self._spec.cables:
            ends = [(names[end.node], end.name) for end in (near, far)]
            found = [numbers[node].get(interface) for node, interface in ends]
            if None in found:
                node, interface = ends[found.index(None)]
                raise LabError(f"{node} has no interface {interface}")
            if found[0] == found[1]:
                raise LabError(f"both ends of the cable at {ends[0][0]}:{ends[0][1]} have number {found[0]}")

    def _start_services(self, containers: Mapping[str, Container]) -> None:
        wanted = {listener.node for listener in self._spec.listeners}
        namespaces = [
            os.open(network_of(containers[node.name]), os.O_RDONLY | os.O_CLOEXEC) if number in wanted else NOTHING
            for number, node in enumerate(self._spec.nodes)
        ]
        self._lifeline = start_services(self._folder, self._spec.listeners, namespaces)
        for descriptor in namespaces:
            if descriptor != NOTHING:
                os.close(descriptor)

    def _write_running(self, containers: Mapping[str, Container]) -> None:
        nodes = {name: {"name": one.name, "pid": one.pid} for name, one in containers.items()}
        write_atomically(self._folder.running, json.dumps({"nodes": nodes}))


def network_of(container: Container) -> Path:
    """Return the path of a container's network namespace."""
    return Path(f"/proc/{container.pid}/ns/net")


def state_of(container: Container) -> str:
    """Return how far a container says that it is; empty: it says nothing yet."""
    try:
        return Path(f"/proc/{container.pid}/root/{STATE}").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def read_last_words(text: str) -> str:
    """Return the last line that a container wrote, without the name of the program that brings nodes up."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("netresilience-node: ") if lines else ""


def errors_in(said: Iterable[str]) -> Iterator[str]:
    """Yield what containerlab calls an error: `ERRO text`, `ERRO[0003] text`, `Error: text`; else its last line."""
    last = ""
    found = False
    for line in said:
        match = re.search(r"\bERRO(?:R|\[\d+\])?\s+(?P<text>\S.*)|^Error: (?P<final>.*)", line)
        if match:
            found = True
            yield (match["text"] or match["final"]).strip()
        last = line.strip() or last
    if not found and last:
        yield last


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield what a process writes, line by line; LabError when it hangs."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    rest = b""
    with selectors.DefaultSelector() as selector, process.stdout as stream:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if not selector.select(_SILENCE_LIMIT_S):
                raise LabError(f"containerlab says nothing for {_SILENCE_LIMIT_S:.0f} s")
            data = os.read(stream.fileno(), 1 << 16)
            *lines, rest = (rest + data).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            if not data:
                break
    if rest:
        yield rest.decode(errors="replace")


def _namespaces(arguments: list[str]) -> int:
    """Return which namespaces of its own the guardian of a folder gets: older containerlabs need the host's network."""
    engine = Engine.read(engine_file(Path(arguments[0])))
    return CLONE_NEWNET if engine.dialect is Dialect.STRICT else 0


if __name__ == "__main__":
    make: Callable[[LabFolder], Guardian] = Guardian
    become_keeper(sys.argv[1:], make, _namespaces(sys.argv[1:]))
