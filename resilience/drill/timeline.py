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
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from types import TracebackType
from typing import Self

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
_FRR_TIMES = ("configure terminal", "log timestamp precision 6", "end")
_FRR_LINE = re.compile(r"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d+) \w+: (?:\[[A-Z0-9-]+\] )?(?:\[[^\]]*\] )?(.*)$")
_FRR_STEPS = re.compile(
    r"ADJCHANGE|AdjChg|withdrawn|rcvd UPDATE.*IPv|Tx route|state-change|went from Established|Hold.?[Tt]imer"
    r"|interface down"
)
_BIRD_STEPS = re.compile(
    r"(?:> |< )(?:added|removed|replaced|withdraw)|state changed|State changed|session (?:closed|established|from)"
    r"|Connection (?:lost|closed)|BGP session|Error|BFD|Received:|Neighbor .* changed state"
)
_PREFIX = re.compile(r"(?<![\w.:])([0-9a-fA-F.:]+/\d{1,3})(?![\w/])")


@dataclass(frozen=True, slots=True)
class _Raw:
    at_ns: int
    node: str
    source: str
    payload: bytes


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
        self._names: dict[str, dict[int, str]] = {}
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
                self._names[node] = {index: name for name, index in link_indexes(netlink).items()}
            listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
            listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            listener.bind((0, GROUPS))
        self._add(listener, node, "kernel")

    def _listen_to_daemon(self, node: str, daemon: Daemon) -> None:
        """A daemon that cannot be listened to leaves a hole in the timeline, and no more than that."""
        with suppress(LabError, OSError):
            if daemon.name == "bird" and daemon.control is not None:
                connection = connect_unix(daemon.control)
                connection.sendall(b"debug all { states, routes }\necho all 1048576\n")
                self._add(connection, node, "bird")
            elif daemon.name in _FRR_DEBUG and daemon.log is not None:
                with open_frr(self._lab, node, daemon.name) as control:
                    for command in (*_FRR_TIMES, *_FRR_DEBUG[daemon.name]):
                        control.command(command)
                self._logs.append(_Log(node, daemon.name, daemon.log, _size(daemon.log)))

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
        found = [*self._kernel_events(), *self._bird_events(), *self._frr_events()]
        in_time = sorted((one for one in found if zero_ns <= one[0] <= end_ns), key=lambda one: one[0])
        events: dict[tuple[str, str, str], Event] = {}
        for at_ns, node, source, text in in_time:
            short = text if len(text) <= _TEXT_CHARACTERS else f"{text[:_TEXT_CHARACTERS]}…"
            events.setdefault(
                (node, source, short),
                Event(at_ms=(at_ns - zero_ns) / _NS_IN_MS, node=node, source=source, event=short),
            )
        return tuple(events.values())[:MOST_EVENTS]

    def _concerns(self, prefix: IPNetwork) -> bool:
        return any(address in prefix for address in self._addresses if address.version == prefix.version)

    def _mentions_other_routes_only(self, text: str) -> bool:
        prefixes = [prefix for match in _PREFIX.finditer(text) if (prefix := _parse_prefix(match[1])) is not None]
        return bool(prefixes) and not any(map(self._concerns, prefixes))

    def _kernel_events(self) -> Iterator[tuple[int, str, str, str]]:
        for raw in self._raw:
            if raw.source != "kernel":
                continue
            for kind, body in read_messages(raw.payload):
                event = tell_message(kind, body, self._names[raw.node])
                if event is not None and (event.prefix is None or self._concerns(event.prefix)):
                    yield raw.at_ns, raw.node, "kernel", event.text

    def _bird_events(self) -> Iterator[tuple[int, str, str, str]]:
        rest: dict[str, bytes] = {}
        for raw in self._raw:
            if raw.source != "bird":
                continue
            if not raw.payload:
                yield raw.at_ns, raw.node, "bird", "routing daemon has ended"
                continue
            *lines, rest[raw.node] = (rest.get(raw.node, b"") + raw.payload).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace")
                if text.startswith("+") and self._is_step(text, _BIRD_STEPS):
                    yield raw.at_ns, raw.node, "bird", text[1:].strip()

    def _frr_events(self) -> Iterator[tuple[int, str, str, str]]:
        for log in self._logs:
            for line in _read_from(log.path, log.start):
                match = _FRR_LINE.match(line)
                if match is not None and self._is_step(match[2], _FRR_STEPS):
                    wall_ns = int(datetime.strptime(match[1], "%Y/%m/%d %H:%M:%S.%f").timestamp() * 1e6) * 1_000  # noqa: DTZ007 - FRR logs local time
                    yield wall_ns - self._wall_minus_monotonic_ns, log.node, "frr", f"{log.daemon}: {match[2].strip()}"

    def _is_step(self, text: str, steps: re.Pattern[str]) -> bool:
        return steps.search(text) is not None and not self._mentions_other_routes_only(text)


def _parse_prefix(text: str) -> IPNetwork | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


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
