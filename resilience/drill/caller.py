"""The process that uses services as people do: connect, ask, wait for the whole answer, and check it.

Started like `pump.py` as a program of its own. It starts an attempt of every flow at a steady pace, whatever became
of those before it, as a crowd of users does. Into the shared memory it writes for each flow and attempt when it
started and when its answer was complete, or, with `FAILED` set, when it was known to have failed.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import heapq
import json
import mmap
import os
import selectors
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any

STOP, PACE = 0, 1
HEADER_WORDS = 8
FAILED = 1 << 63
_PATIENCE_NS = 3_000_000_000
"""After this an attempt has failed; people reload the page."""
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_DNS_HEADER = struct.Struct("!HHHHHH")
_SOA, _IN = 6, 1
_IN_PROGRESS = frozenset({0, errno.EINPROGRESS})


class Dialogue:
    """What is asked, and when the answer is complete. `None` from `check`: not yet; False: it is wrong."""

    def __init__(self, kind: str, zone: str, number: int) -> None:
        self.datagram = kind in {"udp", "dns"}
        self._kind = kind
        self._number = number
        self.question = self._make_question(zone)

    def _make_question(self, zone: str) -> bytes:
        if self._kind == "http":
            return b"GET / HTTP/1.0\r\nHost: drill.invalid\r\nConnection: close\r\n\r\n"
        if self._kind == "dns":
            return self._make_query(zone)
        return b"resilience drill %016x\n" % self._number

    def _make_query(self, zone: str) -> bytes:
        labels = b"".join(bytes([len(label)]) + label.encode() for label in zone.strip(".").split(".") if label)
        header = _DNS_HEADER.pack(self._number & 0xFFFF, 0, 1, 0, 0, 0)
        return header + labels + b"\0" + struct.pack("!HH", _SOA, _IN)

    def check(self, answer: bytes, ended: bool) -> bool | None:
        """Return whether the answer is right, once that can be said."""
        if self._kind == "http":
            return _check_http(answer) if ended else None
        if self._kind == "dns":
            return _check_dns(answer, self._number & 0xFFFF)
        if len(answer) < len(self.question):
            return False if ended else None
        return answer == self.question


def _check_http(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if not separator or not body or lines[0].split()[1:2] != [b"200"]:
        return False
    for line in lines[1:]:
        name, _colon, value = line.partition(b":")
        if name.lower() == b"content-length":
            return value.strip() == str(len(body)).encode()
    return True


def _check_dns(answer: bytes, number: int) -> bool:
    if len(answer) < _DNS_HEADER.size:
        return False
    found, flags, _questions, answers, _authority, _additional = _DNS_HEADER.unpack_from(answer)
    return found == number and bool(flags & 0x8000) and flags & 0xF == 0 and answers > 0


class Attempt:
    """One user's try."""

    def __init__(self, flow: Flow, number: int) -> None:
        self.flow = flow
        self.number = number
        self.dialogue = Dialogue(flow.kind, flow.zone, number)
        self.answer = b""
        self.asked = False
        self.done = False
        self.socket: socket.socket | None = None


class Flow:
    """Who asks whom for what, and where the times of its attempts are kept."""

    def __init__(self, spec: dict[str, Any], started: memoryview, ended: memoryview) -> None:
        self.kind: str = spec["kind"]
        self.zone: str = spec["zone"]
        self.namespace: int = spec["namespace"]
        self.source: str = spec["source"]
        self.target: tuple[str, int] = (spec["target"], spec["port"])
        self.family = socket.AF_INET6 if ":" in self.source else socket.AF_INET
        self.started = started
        self.ended = ended
        self.attempts = 0


class Caller:
    """All flows and the loop that serves their attempts."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        self._capacity: int = spec["capacity"]
        flows = spec["flows"]
        whole = memoryview(mmap.mmap(spec["memory"], memory_size(len(flows), self._capacity)))
        self._header = whole[: HEADER_WORDS * 8].cast("Q")
        self._flows = [
            Flow(flow, _row(whole, 2 * index, self._capacity), _row(whole, 2 * index + 1, self._capacity))
            for index, flow in enumerate(flows)
        ]
        self._selector = selectors.EpollSelector()
        self._deadlines: list[tuple[int, int, Attempt]] = []

    def run(self) -> None:
        """Start attempts in turn, evenly spread over each pace, and serve them until the parent asks to stop."""
        due = time.monotonic_ns()
        turn = 0
        while not self._header[STOP]:
            now = time.monotonic_ns()
            if now >= due:
                self._start(self._flows[turn % len(self._flows)], now)
                turn += 1
                pace = self._header[PACE]
                due = max(due + pace // len(self._flows), now - pace)
            self._expire(now)
            wait_s = max(due - time.monotonic_ns(), 0) / 1e9
            for key, _events in self._selector.select(min(wait_s, 0.02)):
                self._serve(key.data)

    def _start(self, flow: Flow, now: int) -> None:
        if flow.attempts >= self._capacity:
            return
        attempt = Attempt(flow, flow.attempts)
        flow.started[attempt.number] = now
        flow.attempts += 1
        try:
            self._connect(attempt)
        except OSError:
            self._finish(attempt, good=False)
            return
        heapq.heappush(self._deadlines, (now + _PATIENCE_NS, id(attempt), attempt))

    def _connect(self, attempt: Attempt) -> None:
        flow = attempt.flow
        if self._libc.setns(flow.namespace, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        kind = socket.SOCK_DGRAM if attempt.dialogue.datagram else socket.SOCK_STREAM
        attempt.socket = opened = socket.socket(flow.family, kind | socket.SOCK_NONBLOCK)
        opened.bind((flow.source, 0))
        if kind == socket.SOCK_STREAM:
            # Closing resets: thousands of attempts must not fill the port range with connections that linger.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        code = opened.connect_ex(flow.target)
        if code not in _IN_PROGRESS:
            raise OSError(code, os.strerror(code))
        self._selector.register(opened, selectors.EVENT_WRITE, attempt)

    def _serve(self, attempt: Attempt) -> None:
        if attempt.socket is None:
            return
        try:
            if attempt.asked:
                self._read(attempt, attempt.socket)
            else:
                self._ask(attempt, attempt.socket)
        except BlockingIOError:
            return
        except OSError:
            self._finish(attempt, good=False)

    def _ask(self, attempt: Attempt, connected: socket.socket) -> None:
        code = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        connected.send(attempt.dialogue.question)
        attempt.asked = True
        self._selector.modify(connected, selectors.EVENT_READ, attempt)

    def _read(self, attempt: Attempt, connected: socket.socket) -> None:
        part = connected.recv(65_536)
        attempt.answer += part
        verdict = attempt.dialogue.check(attempt.answer, ended=not part)
        if verdict is not None or not part:
            self._finish(attempt, good=bool(verdict))

    def _expire(self, now: int) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            attempt = heapq.heappop(self._deadlines)[2]
            if not attempt.done:
                self._finish(attempt, good=False)

    def _finish(self, attempt: Attempt, *, good: bool) -> None:
        attempt.done = True
        attempt.flow.ended[attempt.number] = time.monotonic_ns() | (0 if good else FAILED)
        if attempt.socket is not None:
            with suppress(KeyError, ValueError):
                self._selector.unregister(attempt.socket)
            attempt.socket.close()


def _row(whole: memoryview, index: int, capacity: int) -> memoryview:
    start = HEADER_WORDS * 8 + index * capacity * 8
    return whole[start : start + capacity * 8].cast("Q")


def memory_size(flows: int, capacity: int) -> int:
    """Return how many bytes the shared memory of so many flows and attempts takes."""
    return HEADER_WORDS * 8 + 2 * flows * capacity * 8


def be_punctual() -> None:
    """Run before ordinary processes where that is allowed, behind the streams: users do not share our processors."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    gc.collect()
    gc.freeze()


def main() -> None:
    """Read what to do from standard input, say when it is set up, do it."""
    caller = Caller(json.load(sys.stdin))
    be_punctual()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    caller.run()


if __name__ == "__main__":
    main()
