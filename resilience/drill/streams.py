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
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
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
_NS_A_STREAM_OF_MANY = 27_000
"""A packet takes 10 us of a processor through six namespaces, 20 us through ten; large plans have the longer ways."""
_BUFFER_BYTES = 8 << 20
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_START_TIMEOUT_S = 10

End = tuple[str, IPAddress]
"""A node and the address that it uses."""
StreamKey = tuple[Flow, Way]


def choose_interval_ns(streams: int) -> int:
    """Return the time between two packets of a stream: 0.5 ms for a few, 0.8 ms for 40 streams, 2.2 ms for 80."""
    each = _NS_A_STREAM if streams <= _FULL_RATE_STREAMS else _NS_A_STREAM_OF_MANY
    return max(_INTERVAL_NS, each * streams)


@dataclass(slots=True)
class _Layout:
    """Who sends what to whom: ends in the order of their sockets, streams in the order of their numbers.

    Each lane has streams of its own between the same sockets: what a stream is called here is its number in the first
    lane, those of the next lane follow.
    """

    ends: dict[End, int] = field(default_factory=dict)
    streams: dict[StreamKey, int] = field(default_factory=dict)
    targets: dict[End, list[tuple[int, str, int]]] = field(default_factory=dict)
    answers: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Stream that is answered: the stream that answers, and where to."""

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
            self.answers[forward] = (back, str(flow.source.address))

    def _number(self, flow: Flow, way: Way) -> int:
        number = len(self.streams)
        self.streams[flow, way] = number
        return number

    @property
    def rows(self) -> int:
        """How many rows of send times a lane has: one a sender, and one for each stream of answers."""
        return len(self.targets) + len(self.answers)

    def row(self, number: int, lane: int) -> int:
        """Return in which row of send times a stream's are."""
        for row, targets in enumerate(self.targets.values()):
            if any(stream == number for stream, _address, _port in targets):
                return lane * self.rows + row
        answering = [stream for stream, _address in self.answers.values()]
        return lane * self.rows + len(self.targets) + answering.index(number)

    def senders(self, descriptors: Sequence[int], lane: int) -> list[tuple[int, list[tuple[int, str, int]]]]:
        """Return each socket that sends with the streams of a lane."""
        shift = lane * len(self.streams)
        return [
            (descriptors[self.ends[end]], [(stream + shift, address, port) for stream, address, port in targets])
            for end, targets in self.targets.items()
        ]

    def answerers(self, lanes: int) -> dict[int, dict[str, object]]:
        """Return for each stream that is answered with what, in all lanes."""
        return {
            forward + lane * len(self.streams): {
                "stream": back + lane * len(self.streams),
                "row": self.row(back, lane),
                "address": address,
                "port": STREAM_PORT,
            }
            for lane in range(lanes)
            for forward, (back, address) in self.answers.items()
        }


class Streams:
    """The streams of some flows, from entering the context to leaving it."""

    def __init__(self, namespace: Callable[[str], Path], flows: Sequence[Flow], *, longest_s: float) -> None:
        self._namespace = namespace
        self._layout = _Layout()
        for flow in flows:
            self._layout.add(flow)
        self._processors = sorted(os.sched_getaffinity(0))[: pump.MOST_LANES]
        self._lanes = len(self._processors)
        self.interval_ns = choose_interval_ns(len(self._layout.streams))
        self.pace_ns = self.interval_ns
        rounds = int(longest_s * 1e9 / (self.interval_ns * self._lanes)) + 64
        self._capacity = rounds // 8 * 8
        self._stack = ExitStack()
        self._processes: list[subprocess.Popen[bytes]] = []

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
        rows, streams = self._layout.rows * self._lanes, len(self._layout.streams) * self._lanes
        self._sections = pump.layout(rows, streams, self._capacity)
        memory = os.memfd_create("resilience-streams")
        stack.callback(os.close, memory)
        os.ftruncate(memory, self._sections.size)
        self._memory = memoryview(mmap.mmap(memory, self._sections.size))
        self._header = self._memory[: pump.HEADER_WORDS * 8].cast("Q")
        self._set_pace(self.interval_ns)
        stack.callback(self.stop)
        # The lane that receives comes last, and is ready before anything arrives: sockets hold what comes meanwhile.
        for lane in reversed(range(self._lanes)):
            self._run([item.fileno() for item in sockets], memory, lane)

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

    def _run(self, descriptors: list[int], memory: int, lane: int) -> None:
        spec = {
            "lane": lane,
            "lanes": self._lanes,
            "processor": self._processors[lane] if self._lanes > 1 else None,
            "capacity": self._capacity,
            "rows": self._layout.rows * self._lanes,
            "first_row": self._layout.rows * lane,
            "streams": len(self._layout.streams) * self._lanes,
            "senders": self._layout.senders(descriptors, lane),
            "receivers": [] if lane else descriptors,
            "answers": {} if lane else self._layout.answerers(self._lanes),
            "memory": memory,
        }
        self._processes.append(start_helper(pump.__file__, spec, [*descriptors, memory]))

    def stop(self) -> None:
        """Stop sending and wait for the last packets; what was recorded stays readable."""
        self._header[pump.STOP] = 1
        processes, self._processes = self._processes, []
        for process in processes:
            stop_helper(process)

    def check_alive(self) -> None:
        """CouldNotTell when a process that sends has died."""
        if not self._processes or any(process.poll() is not None for process in self._processes):
            raise CouldNotTell("the process that sends the measuring streams has ended early")

    def slow_down(self) -> None:
        """Send less from now on: enough to see whether flows work, and the processors belong to the daemons."""
        self._set_pace(max(_SLOW_INTERVAL_NS, self.interval_ns))

    def _set_pace(self, interval_ns: int) -> None:
        self.pace_ns = interval_ns
        self._header[pump.INTERVAL] = interval_ns * self._lanes

    def settled_rounds(self) -> tuple[int, ...]:
        """Return of each lane the first round whose packets may still be on their way."""
        in_flight = 1 + IN_FLIGHT_NS // (self.pace_ns * self._lanes)
        return tuple(max(0, int(self._header[pump.DRAINED + lane]) - in_flight) for lane in range(self._lanes))

    def is_losing(self, key: StreamKey, quiet_ns: int) -> bool:
        """Say whether a stream lost a packet during the last `quiet_ns`, or has not been sent for so long."""
        rounds = quiet_ns // (self.pace_ns * self._lanes)
        return any(self._lost(key, lane, end - rounds, end) for lane, end in enumerate(self.settled_rounds()))

    def _lost(self, key: StreamKey, lane: int, since: int, end: int) -> bool:
        if since < 0:
            return True
        start = self._sections.arrived[self._layout.streams[key] + lane * len(self._layout.streams)]
        return b"\0" in bytes(self._memory[start + since : start + end])

    def record(self, key: StreamKey) -> Record:
        """Return everything that was sent of a stream so far, and what arrived of it."""
        answers = key[1] is Way.RETURN and len(key[0].target.nodes) > 1
        lanes = [self._record_lane(self._layout.streams[key], lane) for lane in range(self._lanes)]
        packets = lanes[0] if self._lanes == 1 else sorted(chain.from_iterable(lanes))
        return Record(
            self.interval_ns,
            [number for _sent, number, _arrived in packets],
            [sent for sent, _number, _arrived in packets],
            bytes(arrived for _sent, _number, arrived in packets),
            answers,
        )

    def _record_lane(self, number: int, lane: int) -> list[tuple[int, int, int]]:
        """Return (when sent, place among the rounds of all lanes, how often arrived) of each packet of a lane."""
        count = int(self._header[pump.ROUNDS + lane])
        start = self._sections.times[self._layout.row(number, lane)]
        times = self._memory[start : start + 8 * count].cast("Q").tolist()
        first = self._sections.arrived[number + lane * len(self._layout.streams)]
        arrived = bytes(self._memory[first : first + count])
        places = range(lane, lane + self._lanes * count, self._lanes)
        return [packet for packet in zip(times, places, arrived, strict=True) if packet[0]]


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
