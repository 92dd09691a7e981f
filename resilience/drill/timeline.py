"""What kernels and routing daemons did during a drill, on the clock of the measurement.

Nothing is polled: kernels announce changes over netlink, BIRD echoes its debugging messages to whoever is connected,
FRR writes them to its log with microseconds. What is kept are the steps that explain an outage: carrier, session,
route learned or withdrawn, route in the kernel, and of routes only those that a measured flow uses.
"""

from __future__ import annotations

import re
import selectors
import socket
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from resilience.drill.daemon_events import PREFIX, Names, Step, tell_bird_line, tell_frr_line
from resilience.drill.kernel_events import GROUPS, is_route_change, read_messages, tell_message
from resilience.errors import LabError
from resilience.lab.control import connect_unix
from resilience.lab.daemons import open_frr
from resilience.lab.netlink import Netlink, link_indexes
from resilience.lab.netns import enter_namespace
from resilience.lab.seam import Daemon, Lab
from resilience.model.journal import Event
from resilience.model.network import IPAddress, IPNetwork

MOST_EVENTS = 60
_MOST_RECORDED = 50_000
_LOG_BYTES = 4 << 20
_TEXT_CHARACTERS = 160
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 8 << 20
_NS_IN_MS = 1_000_000
_FRR_DEBUG = {
    "bgpd": ("debug bgp neighbor-events", "debug bgp zebra", "debug bgp updates in"),
    "bfdd": ("debug bfd peer",),
    "ospfd": (),
    "ospf6d": (),
}
_FRR_LOG = "{daemon}.drill.log"
"""A log of our own: the one that the daemon was started with has neither microseconds nor debugging messages."""
_FRR_LINE = re.compile(r"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d+) \w+: (?:\[[A-Z0-9-]+\] )?(?:\[[^\]]*\] )?(.*)$")
_GROUP_NS = 10_000_000
"""Steps of one kind on one node within this time are one step for several prefixes."""
_PREFIXES_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Raw:
    at_ns: int
    node: str
    source: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """A step, where and when."""

    at_ns: int
    node: str
    source: str
    step: Step


@dataclass(frozen=True, slots=True)
class _Log:
    node: str
    daemon: str
    path: Path
    start: int


class Timeline:
    """Records from entering the context to leaving it; `events` then tells what was important."""

    def __init__(self, lab: Lab, nodes: Collection[str], addresses: Collection[IPAddress]) -> None:
        self._lab = lab
        self._nodes = tuple(nodes)
        self._addresses = tuple(addresses)
        self._raw: list[_Raw] = []
        self._logs: list[_Log] = []
        self._interfaces: dict[str, dict[int, str]] = {}
        self._names = Names(lab.plan)
        self._selector = selectors.EpollSelector()
        self._sockets: list[socket.socket] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._record, name="timeline", daemon=True)
        self._wall_minus_monotonic_ns = 0
        self.last_route_change_ns = 0

    def __enter__(self) -> Self:
        self._wall_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()
        for node in self._nodes:
            self._listen_to_kernel(node)
            for daemon in self._lab.daemons(node):
                if daemon.running:
                    self._listen_to_daemon(node, daemon)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Record no more; safe to call twice."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for item in self._sockets:
            item.close()
        self._sockets = []
        self._selector.close()

    # --- listening ----------------------------------------------------------------------------------------------------

    def _listen_to_kernel(self, node: str) -> None:
        with enter_namespace(self._lab.namespace(node)):
            with Netlink() as netlink:
                self._interfaces[node] = {index: name for name, index in link_indexes(netlink).items()}
            listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
            listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            listener.bind((0, GROUPS))
        self._add(listener, node, "kernel")

    def _listen_to_daemon(self, node: str, daemon: Daemon) -> None:
        """A daemon that cannot be listened to leaves a hole in the timeline, and no more than that."""
        with suppress(LabError, OSError):
            if daemon.log is None:
                return
            if daemon.name == "bird" and daemon.control is not None:
                connection = connect_unix(daemon.control)
                self._add(connection, node, "bird")
                connection.sendall(b"debug all { states, routes }\necho all 65536\n")
            elif daemon.name in _FRR_DEBUG:
                path = daemon.log.with_name(_FRR_LOG.format(daemon=daemon.name))
                self._logs.append(_Log(node, daemon.name, path, _size(path)))
                self._start_frr_log(node, daemon.name)

    def _start_frr_log(self, node: str, daemon: str) -> None:
        log = f"/run/frr/{_FRR_LOG.format(daemon=daemon)}"
        configuration = ("configure terminal", f"log file {log} debugging", "log timestamp precision 6", "end")
        with open_frr(self._lab, node, daemon) as control:
            for command in (*configuration, *_FRR_DEBUG[daemon]):
                control.command(command)

    def resume(self) -> None:
        """Listen again to routers that were given another configuration: it has taken our log away."""
        for log in self._logs:
            with suppress(LabError, OSError):
                self._start_frr_log(log.node, log.daemon)

    def _add(self, listener: socket.socket, node: str, source: str) -> None:
        listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._sockets.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, (node, source))

    def _record(self) -> None:
        while not self._ended.is_set():
            for key, _events in self._selector.select(0.1):
                node, source = key.data
                self._take(key.fileobj, node, source)

    def _take(self, listener: object, node: str, source: str) -> None:
        if not isinstance(listener, socket.socket):
            return
        try:
            data = listener.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b"" if source == "bird" else b"\0"
        now = time.monotonic_ns()
        if not data:
            self._selector.unregister(listener)
            self._raw.append(_Raw(now, node, source, b""))
            return
        if source == "kernel" and is_route_change(data):
            self.last_route_change_ns = now
        if len(self._raw) < _MOST_RECORDED:
            self._raw.append(_Raw(now, node, source, data))

    # --- telling ------------------------------------------------------------------------------------------------------

    def events(self, zero_ns: int, end_ns: int) -> tuple[Event, ...]:
        """Return the important steps between two times, the first being the zero of `at_ms`."""
        self.stop()
        found = [*self._kernel_steps(), *self._bird_steps(), *self._frr_steps()]
        found = [one for one in found if zero_ns <= one.at_ns <= end_ns and self._concerns(one.step.prefix)]
        found.sort(key=lambda one: one.at_ns)
        groups = group_steps(found)
        return tuple(
            Event(at_ms=(one.at_ns - zero_ns) / _NS_IN_MS, node=one.node, source=one.source, event=text)
            for one, text in groups[:MOST_EVENTS]
        )

    def _concerns(self, prefix: IPNetwork | None) -> bool:
        if prefix is None:
            return True
        return any(address in prefix for address in self._addresses if address.version == prefix.version)

    def _kernel_steps(self) -> Iterator[Seen]:
        for raw in self._raw:
            if raw.source == "kernel":
                for kind, body in read_messages(raw.payload):
                    step = tell_message(kind, body, self._interfaces[raw.node])
                    if step is not None:
                        yield Seen(raw.at_ns, raw.node, "kernel", step)

    def _bird_steps(self) -> Iterator[Seen]:
        rest: dict[str, bytes] = {}
        for raw in self._raw:
            if raw.source != "bird":
                continue
            if not raw.payload:
                yield Seen(raw.at_ns, raw.node, "bird", Step("routing daemon has ended"))
                continue
            *lines, rest[raw.node] = (rest.get(raw.node, b"") + raw.payload).split(b"\n")
            for line in lines:
                # BIRD marks what it echoes with a plus.
                step = tell_bird_line(line[1:].decode(errors="replace"), self._names) if line[:1] == b"+" else None
                if step is not None:
                    yield Seen(raw.at_ns, raw.node, "bird", step)

    def _frr_steps(self) -> Iterator[Seen]:
        for log in self._logs:
            for line in _read_from(log.path, log.start):
                match = _FRR_LINE.match(line)
                step = tell_frr_line(log.node, match[2], self._names) if match is not None else None
                if match is not None and step is not None:
                    yield Seen(_wall_ns(match[1]) - self._wall_minus_monotonic_ns, log.node, "frr", step)


def _wall_ns(text: str) -> int:
    """Return the time of a line of FRR's log, which is local time."""
    parsed = datetime.strptime(text, "%Y/%m/%d %H:%M:%S.%f").astimezone()
    return int(parsed.timestamp() * 1e6) * 1_000


def group_steps(found: Sequence[Seen]) -> list[tuple[Seen, str]]:
    """Return steps in the order of time, each said once, with all prefixes to which it happened at that time."""
    groups: dict[tuple[str, str, str], list[list[Seen]]] = {}
    for one in found:
        kin = groups.setdefault((one.node, one.source, one.step.text), [])
        if kin and one.at_ns - kin[-1][0].at_ns <= _GROUP_NS:
            kin[-1].append(one)
        else:
            kin.append([one])
    firsts = [(group[0], _tell_group(group)) for kin in groups.values() for group in kin]
    return sorted(firsts, key=lambda pair: pair[0].at_ns)


def _tell_group(group: Sequence[Seen]) -> str:
    text = group[0].step.text
    prefixes = list(dict.fromkeys(str(one.step.prefix) for one in group if one.step.prefix is not None))
    if prefixes:
        more = len(prefixes) - _PREFIXES_NAMED
        named = ", ".join(prefixes[:_PREFIXES_NAMED]) + (f" and {more} more" if more > 0 else "")
        text = text.replace(PREFIX, named)
    return text if len(text) <= _TEXT_CHARACTERS else f"{text[:_TEXT_CHARACTERS]}…"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read_from(path: Path, start: int) -> list[str]:
    """Return the lines that were written to a log since; at most its first megabytes."""
    try:
        with path.open("rb") as file:
            file.seek(start if start <= _size(path) else 0)
            return file.read(_LOG_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return []
