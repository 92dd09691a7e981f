"""The process that sends and receives the measuring streams: nothing else may make it late.

It is started as a program of its own (`python -I -S pump.py`), so that it imports little, inherits open sockets of
many network namespaces, and shares no interpreter lock with anybody. What it does is written
into memory that its parent maps too, while it happens:

* a header of 64-bit words: stop request, time between rounds, and for each lane rounds sent and rounds drained;
* for each sender the CLOCK_MONOTONIC time of each round (0: not sent);
* for each stream one byte a round: how often that packet arrived, plus `LATE` when a later one came before it.

There are two such processes where there are two processors, each bound to its own: lanes that send in turn. A kernel
that is busy for some milliseconds on one processor (it does not let even punctual processes in) then makes one lane
late, and not both. Only the first lane receives.

A packet carries eight bytes: its stream and its round. One `sendmmsg` a socket and round sends to all its
destinations; `recvmmsg` takes up to 64 packets at once. With one call a packet Python would need two cores.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import mmap
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

MOST_LANES = 2
STOP, INTERVAL, ROUNDS, DRAINED = 0, 1, 2, 2 + MOST_LANES
HEADER_WORDS = 8
BATCH = 64
LATE = 0x80
_MOST_COUNTED = LATE - 1
_MSG_DONTWAIT = 0x40
_NOT_SENT = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.EINTR, errno.ENOMEM})
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_PR_SET_TIMERSLACK = 29
_LAST_PACKETS_S = 0.05
_DRAIN_EVERY = 4
"""Rounds between two looks at the receivers where nothing has to be answered."""


class Iovec(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Msghdr(ctypes.Structure):
    """`struct msghdr`."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Mmsghdr(ctypes.Structure):
    """`struct mmsghdr`."""

    _fields_ = (("header", Msghdr), ("length", ctypes.c_uint32))


def pack_address(address: str, port: int) -> bytes:
    """Return `struct sockaddr_in` or `sockaddr_in6`."""
    if ":" in address:
        return (
            socket.AF_INET6.to_bytes(2, sys.byteorder)
            + port.to_bytes(2, "big")
            + bytes(4)
            + socket.inet_pton(socket.AF_INET6, address)
            + bytes(4)
        )
    return (
        socket.AF_INET.to_bytes(2, sys.byteorder)
        + port.to_bytes(2, "big")
        + socket.inet_pton(socket.AF_INET, address)
        + bytes(8)
    )


class Sender:
    """A socket and everybody it sends to in each round."""

    def __init__(self, libc: Any, fd: int, targets: list[tuple[int, str, int]], round_word: ctypes.c_uint32) -> None:
        self._fd = fd
        self._call = libc.sendmmsg
        self._count = len(targets)
        self._names = [ctypes.create_string_buffer(packed, len(packed)) for packed in map(_packed, targets)]
        self._ids = (ctypes.c_uint32 * self._count)(*(stream for stream, _address, _port in targets))
        self._vectors = (Iovec * (2 * self._count))()
        self._messages = (Mmsghdr * self._count)()
        for index, name in enumerate(self._names):
            self._vectors[2 * index] = Iovec(ctypes.addressof(self._ids) + 4 * index, 4)
            self._vectors[2 * index + 1] = Iovec(ctypes.addressof(round_word), 4)
            header = self._messages[index].header
            header.name = ctypes.addressof(name)
            header.namelen = len(name)
            header.iov = ctypes.addressof(self._vectors) + 2 * index * ctypes.sizeof(Iovec)
            header.iovlen = 2
        self._start = ctypes.addressof(self._messages)

    def send(self) -> bool:
        """Send one packet to each target; False when the host itself could not send."""
        sent = self._call(self._fd, self._start, self._count, _MSG_DONTWAIT)
        return bool(sent == self._count) or self._send_rest(max(sent, 0))

    def _send_rest(self, done: int) -> bool:
        """Go on behind a packet that could not be sent: a route that is gone must not silence other targets."""
        while done < self._count:
            start = self._start + done * ctypes.sizeof(Mmsghdr)
            sent = self._call(self._fd, start, self._count - done, _MSG_DONTWAIT)
            if sent > 0:
                done += sent
            elif ctypes.get_errno() in _NOT_SENT:
                return False
            else:
                done += 1
        return True


def _packed(target: tuple[int, str, int]) -> bytes:
    return pack_address(target[1], target[2])


class Receiver:
    """A socket that is emptied in batches."""

    def __init__(self, libc: Any, fd: int) -> None:
        self._fd = fd
        self._call = libc.recvmmsg
        self._words = (ctypes.c_uint32 * (2 * BATCH))()
        self._vectors = (Iovec * BATCH)()
        self._messages = (Mmsghdr * BATCH)()
        for index in range(BATCH):
            self._vectors[index] = Iovec(ctypes.addressof(self._words) + 8 * index, 8)
            self._messages[index].header.iov = ctypes.addressof(self._vectors) + index * ctypes.sizeof(Iovec)
            self._messages[index].header.iovlen = 1
        self._start = ctypes.addressof(self._messages)

    def drain(self, take: Callable[[int, int], None]) -> None:
        """Hand every waiting packet's stream and round to `take`."""
        count = BATCH
        while count == BATCH:
            count = self._call(self._fd, self._start, BATCH, _MSG_DONTWAIT, None)
            if count > 0:
                words = self._words[: 2 * count]
                for stream, number in zip(words[::2], words[1::2], strict=True):
                    take(stream, number)


class Pump:
    """The streams, the memory in which they are recorded, and the loop."""

    def __init__(self, spec: dict[str, Any]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        libc.recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        self._lane: int = spec["lane"]
        self._lanes: int = spec["lanes"]
        self._capacity: int = spec["capacity"]
        self._streams: int = spec["streams"]
        self._round = ctypes.c_uint32(0)
        self._senders = [Sender(libc, fd, targets, self._round) for fd, targets in spec["senders"]]
        self._receivers = [(Receiver(libc, fd), fd) for fd in spec["receivers"]]
        self._answers: dict[int, dict[str, Any]] = {int(key): value for key, value in spec["answers"].items()}
        self._map_memory(spec)
        self._highest = [-1] * self._streams

    def _map_memory(self, spec: dict[str, Any]) -> None:
        sections = layout(spec["rows"], self._streams, self._capacity)
        whole = memoryview(mmap.mmap(spec["memory"], sections.size))
        self._header = whole[: HEADER_WORDS * 8].cast("Q")
        self._times = [whole[start : start + 8 * self._capacity].cast("Q") for start in sections.times]
        self._own_times = self._times[spec["first_row"] :]
        self._arrived = [whole[start : start + self._capacity] for start in sections.arrived]

    def _note(self, stream: int, number: int) -> bool:
        """Record one arrival; True for the first of a packet that is ours."""
        if stream >= self._streams or number >= self._capacity:
            return False
        row = self._arrived[stream]
        before = row[number]
        if number > self._highest[stream]:
            self._highest[stream] = number
            row[number] = 1
        elif not before:
            row[number] = LATE + 1
        elif before & _MOST_COUNTED < _MOST_COUNTED:
            row[number] = before + 1
        return not before

    def _taker(self, fd: int) -> Callable[[int, int], None]:
        """Return what to do with a packet that arrived on a socket: note it, and answer where it is an anycast node."""
        outgoing = socket.socket(fileno=os.dup(fd))

        def take(stream: int, number: int) -> None:
            if not self._note(stream, number):
                return
            answer = self._answers.get(stream)
            if answer is None:
                return
            self._times[answer["row"]][number] = time.monotonic_ns()
            payload = answer["stream"].to_bytes(4, sys.byteorder) + number.to_bytes(4, sys.byteorder)
            with suppress(OSError):
                outgoing.sendto(payload, (answer["address"], answer["port"]))

        return take

    def run(self) -> None:
        """Send a round every interval until the parent asks to stop, then wait for what is still on its way."""
        takers = [(receiver, self._taker(fd)) for receiver, fd in self._receivers]
        drain_every = 1 if self._answers else _DRAIN_EVERY
        number = 0
        due = time.monotonic_ns()
        while not self._header[STOP] and number < self._capacity:
            began = time.monotonic_ns()
            self._send_round(number)
            number += 1
            self._header[ROUNDS + self._lane] = number
            if takers and number % drain_every == 0:
                self._drain(takers)
            due = self._wait(due, began)
        if takers:
            time.sleep(_LAST_PACKETS_S)
            self._drain(takers)

    def _send_round(self, number: int) -> None:
        self._round.value = number
        for sender, times in zip(self._senders, self._own_times, strict=False):
            now = time.monotonic_ns()
            if sender.send():
                times[number] = now

    def _drain(self, takers: list[tuple[Receiver, Callable[[int, int], None]]]) -> None:
        sent = [self._header[ROUNDS + lane] for lane in range(self._lanes)]
        for receiver, take in takers:
            receiver.drain(take)
        for lane, count in enumerate(sent):
            self._header[DRAINED + lane] = count

    def _wait(self, due: int, began: int) -> int:
        """Sleep until this lane's next turn, and for as long as the round took at least: daemons need processors too.

        A round that is late moves those after it, for a burst would prove nothing; the resolution tells.
        """
        interval = self._header[INTERVAL]
        now = time.monotonic_ns()
        due = max(due + interval, 2 * now - began)
        due += (self._lane * interval // self._lanes - due) % interval
        time.sleep((due - now) / 1e9)
        return due


class Layout:
    """Where each section of the shared memory starts."""

    def __init__(self, times: list[int], arrived: list[int], size: int) -> None:
        self.times = times
        self.arrived = arrived
        self.size = size


def layout(rows: int, streams: int, capacity: int) -> Layout:
    """Return where everything lies; `capacity` rounds, a multiple of 8."""
    start = HEADER_WORDS * 8
    times = [start + index * 8 * capacity for index in range(rows)]
    start += rows * 8 * capacity
    arrived = [start + index * capacity for index in range(streams)]
    return Layout(times, arrived, start + streams * capacity)


def be_punctual(processor: int | None) -> None:
    """Run before ordinary processes where that is allowed; without it late sends show in the resolution."""
    with suppress(OSError):
        if processor is not None:
            os.sched_setaffinity(0, {processor})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    gc.collect()
    gc.freeze()
    gc.disable()


def main() -> None:
    """Read what to do from standard input, say when it is set up, do it."""
    spec = json.load(sys.stdin)
    pump = Pump(spec)
    be_punctual(spec["processor"])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    pump.run()


if __name__ == "__main__":
    main()
