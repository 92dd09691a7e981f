"""Measuring streams: UDP at a steady rate, both directions of every flow, one clock.

The sockets are opened by this process inside the namespaces of both ends and handed to `pump.py`. Each direction is
sent on its own: that the forward way works says nothing about the way back. An anycast target is different: who
answers is decided by routing, so every node of it listens, and the one that got a packet answers it. Its return
stream therefore exists only where forward packets arrived, and is judged only there.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from resilience.drill import pump
from resilience.drill.loss import Record
from resilience.errors import CouldNotTell
from resilience.lab.netns import socket_in
from resilience.model.journal import Way
from resilience.model.network import IPAddress
from resilience.model.plan import Flow

STREAM_PORT = 50_123
"""An ordinary high port; packets carry eight bytes."""
IN_FLIGHT_NS = 50_000_000
"""A packet that was sent this long ago has arrived or is lost: labs have no delay, only busy processors."""
_FULL_RATE_STREAMS = 40
_INTERVAL_NS = 500_000
_SLOW_INTERVAL_NS = 10_000_000
_NS_A_STREAM = 20_000
_NS_A_STREAM_OF_MANY = 33_000
"""A packet takes 10 us of a processor through six namespaces, 20 us through ten; large plans have the longer ways."""
_BUFFER_BYTES = 8 << 20
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_START_TIMEOUT_S = 10

End = tuple[str, IPAddress]
"""A node and the address that it uses."""
StreamKey = tuple[Flow, Way]


def choose_interval_ns(streams: int) -> int:
    """Return the time between two packets of a stream: 0.5 ms for a few, 0.8 ms for 40 streams, 2.6 ms for 80."""
    each = _NS_A_STREAM if streams <= _FULL_RATE_STREAMS else _NS_A_STREAM_OF_MANY
    return max(_INTERVAL_NS, each * streams)


@dataclass(slots=True)
class _Layout:
    """Who sends what to whom: ends in the order of their sockets, streams in the order of their numbers."""

    ends: dict[End, int] = field(default_factory=dict)
    streams: dict[StreamKey, int] = field(default_factory=dict)
    targets: dict[End, list[tuple[int, str, int]]] = field(default_factory=dict)
    answers: dict[int, dict[str, object]] = field(default_factory=dict)

    def add(self, flow: Flow) -> None:
        """Add both directions of a flow."""
        source = (flow.source.nodes[0], flow.source.address)
        targets = [(node, flow.target.address) for node in flow.target.nodes]
        for end in (source, *targets):
            self.ends.setdefault(end, len(self.ends))
        forward = self._number(flow, Way.FORWARD)
        self.targets.setdefault(source, []).append((forward, str(flow.target.address), STREAM_PORT))
        back = self._number(flow, Way.RETURN)
        if len(targets) == 1:
            self.targets.setdefault(targets[0], []).append((back, str(flow.source.address), STREAM_PORT))
        else:
            self.answers[forward] = {
                "stream": back,
                "row": len(self.answers),
                "address": str(flow.source.address),
                "port": STREAM_PORT,
            }

    def _number(self, flow: Flow, way: Way) -> int:
        number = len(self.streams)
        self.streams[flow, way] = number
        return number

    def row(self, number: int) -> int:
        """Return in which row of send times a stream's are."""
        for row, targets in enumerate(self.targets.values()):
            if any(stream == number for stream, _address, _port in targets):
                return row
        for answer in self.answers.values():
            if answer["stream"] == number:
                return len(self.targets) + int(str(answer["row"]))
        raise KeyError(number)


class Streams:
    """The streams of some flows, from entering the context to leaving it."""

    def __init__(self, namespace: Callable[[str], Path], flows: Sequence[Flow], *, longest_s: float) -> None:
        self._namespace = namespace
        self._layout = _Layout()
        for flow in flows:
            self._layout.add(flow)
        self.interval_ns = choose_interval_ns(len(self._layout.streams))
        self.pace_ns = self.interval_ns
        rounds = int(longest_s * 1e9 / self.interval_ns) + 64
        self._capacity = rounds // 8 * 8
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def keys(self) -> Mapping[StreamKey, int]:
        """Every stream by flow and direction."""
        return self._layout.streams

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        sockets = [stack.enter_context(self._open(end)) for end in self._layout.ends]
        rows = len(self._layout.targets) + len(self._layout.answers)
        self._sections = pump.layout(rows, len(self._layout.streams), self._capacity)
        memory = os.memfd_create("resilience-streams")
        stack.callback(os.close, memory)
        os.ftruncate(memory, self._sections.size)
        self._memory = memoryview(mmap.mmap(memory, self._sections.size))
        self._header = self._memory[: pump.HEADER_WORDS * 8].cast("Q")
        self._set_pace(self.interval_ns)
        self._run(sockets, memory)

    def _open(self, end: End) -> socket.socket:
        node, address = end
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        opened = socket_in(self._namespace(node), family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            opened.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER_BYTES)
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            opened.bind((str(address), STREAM_PORT))
        except OSError as error:
            opened.close()
            raise CouldNotTell(
                f"{node} cannot measure from {address}: {error.strerror}",
                hint=f"is {address} on {node}? try `resilience lab exec NET {node} -- ip address`",
            ) from error
        return opened

    def _run(self, sockets: list[socket.socket], memory: int) -> None:
        descriptors = [item.fileno() for item in sockets]
        spec = {
            "capacity": self._capacity,
            "streams": len(self._layout.streams),
            "senders": [
                (descriptors[self._layout.ends[end]], targets) for end, targets in self._layout.targets.items()
            ],
            "receivers": descriptors,
            "answers": self._layout.answers,
            "memory": memory,
        }
        self._process = start_helper(pump.__file__, spec, [*descriptors, memory])

    def stop(self) -> None:
        """Stop sending and wait for the last packets; what was recorded stays readable."""
        if self._process is None:
            return
        self._header[pump.STOP] = 1
        stop_helper(self._process)
        self._process = None

    def check_alive(self) -> None:
        """CouldNotTell when the process that sends has died."""
        if self._process is None or self._process.poll() is not None:
            raise CouldNotTell("the process that sends the measuring streams has ended early")

    def slow_down(self) -> None:
        """Send less from now on: enough to see whether flows work, and the processors belong to the daemons."""
        self._set_pace(max(_SLOW_INTERVAL_NS, self.interval_ns))

    def _set_pace(self, interval_ns: int) -> None:
        self.pace_ns = interval_ns
        self._header[pump.INTERVAL] = interval_ns

    def settled_round(self) -> int:
        """Return the first round whose packets may still be on their way."""
        return max(0, int(self._header[pump.DRAINED]) - 1 - IN_FLIGHT_NS // self.pace_ns)

    def last_lost_round(self, key: StreamKey, since: int) -> int | None:
        """Return the last settled round from `since` on in which a stream lost its packet; None: none was lost."""
        start = self._sections.arrived[self._layout.streams[key]]
        found = bytes(self._memory[start + since : start + max(since, self.settled_round())]).rfind(b"\0")
        return None if found < 0 else since + found

    def rounds_sent(self) -> int:
        """Return how many rounds have been sent."""
        return int(self._header[pump.ROUNDS])

    def record(self, key: StreamKey) -> Record:
        """Return everything that was sent of a stream so far, and what arrived of it."""
        number = self._layout.streams[key]
        count = self.rounds_sent()
        start = self._sections.times[self._layout.row(number)]
        times = self._memory[start : start + 8 * count].cast("Q").tolist()
        first = self._sections.arrived[number]
        arrived = bytes(self._memory[first : first + count])
        answers = key[1] is Way.RETURN and len(key[0].target.nodes) > 1
        if 0 not in times:
            return Record(self.interval_ns, range(count), times, arrived, answers)
        rounds = [index for index, sent in enumerate(times) if sent]
        return Record(
            self.interval_ns,
            rounds,
            [times[index] for index in rounds],
            bytes(arrived[index] for index in rounds),
            answers,
        )


def start_helper(program: str, spec: object, descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start one of the measuring processes with its task and descriptors; returns once it is set up."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=descriptors,
        start_new_session=True,
    )
    try:
        _hand_over(process, spec)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _hand_over(process: subprocess.Popen[bytes], spec: object) -> None:
    if process.stdin is None or process.stdout is None:
        raise CouldNotTell("a measuring process could not be started")
    with process.stdin as task:
        task.write(json.dumps(spec).encode())
    with process.stdout as answer:
        if answer.readline() != b"ready\n":
            raise CouldNotTell("a measuring process could not be started")


def stop_helper(process: subprocess.Popen[bytes]) -> None:
    """Wait for a measuring process that was asked to stop; end it when it does not."""
    try:
        process.wait(_START_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def monotonic_ns() -> int:
    """Return the one clock of a drill."""
    return time.monotonic_ns()
