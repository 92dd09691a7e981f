"""A steady stream of packets both ways between two hosts, to count what is lost while something else happens."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from resilience.errors import LabError
from resilience.model.network import IPAddress
from resilience.proof.packets import loopback, open_socket
from resilience.proof.scene import POLL_S, Scene

PACE_S: Final = 0.01
"""Time between two packets of a lane: no shorter outage can be seen for sure."""
_PORT: Final = 40_001
_FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_NUMBER: Final = struct.Struct("!I")


@dataclass(slots=True)
class _Lane:
    """One way of one family."""

    family: int
    way: str
    sender: socket.socket
    receiver: socket.socket
    target: IPAddress
    arrived: set[int] = field(default_factory=set)

    @property
    def name(self) -> str:
        return f"IPv{self.family} packets {self.way}"

    def send(self, number: int) -> None:
        # A host without a way out right now: that packet is lost, as any other.
        with suppress(OSError):
            self.sender.sendto(_NUMBER.pack(number), (str(self.target), _PORT))

    def read(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.arrived.add(_NUMBER.unpack(self.receiver.recv(_NUMBER.size))[0])


class Stream:
    """Packets between a host of the network and one outside, from entering the context to leaving it."""

    def __init__(self, scene: Scene, inside: str, outside: str, families: Iterable[int]) -> None:
        self._scene = scene
        self._ends = (inside, outside)
        self._families = tuple(families)
        self._stack = ExitStack()
        self._lanes: list[_Lane] = []
        self._sent = 0
        self._stop = Event()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for family in self._families:
                near, far = (self._open(stack, node, family) for node in self._ends)
                addresses = [loopback(self._scene, node, family) for node in self._ends]
                self._lanes.append(_Lane(family, "out of the network", near, far, addresses[1]))
                self._lanes.append(_Lane(family, "into the network", far, near, addresses[0]))
            thread = Thread(target=self._run, daemon=True)
            stack.callback(thread.join)
            stack.callback(self._stop.set)
            thread.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _open(self, stack: ExitStack, node: str, family: int) -> socket.socket:
        made = stack.enter_context(open_socket(self._scene, node, _FAMILY[family], socket.SOCK_DGRAM))
        made.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        made.bind((str(loopback(self._scene, node, family)), _PORT))
        return made

    def _run(self) -> None:
        while not self._stop.wait(PACE_S):
            for lane in self._lanes:
                lane.send(self._sent)
            self._sent += 1
            for lane in self._lanes:
                lane.read()

    def await_flow(self, limit_s: float) -> int:
        """Wait until a packet that is sent from now on has arrived on every lane; return the last number before it.

        Raises:
            LabError: a lane does not work again.
        """
        mark = self._sent
        deadline = time.monotonic() + limit_s
        while dead := [lane.name for lane in self._lanes if max(lane.arrived, default=-1) <= mark]:
            if time.monotonic() > deadline:
                raise LabError(f"{', '.join(dead)} do not flow")
            time.sleep(POLL_S)
        return mark

    def advance(self, packets: int) -> None:
        """Wait until so many more packets have been sent on every lane."""
        wanted = self._sent + packets
        while self._sent < wanted:
            time.sleep(POLL_S)

    def lost(self, since: int, until: int) -> dict[str, int]:
        """Return how many packets of each lane that were sent between two numbers never arrived."""
        return {lane.name: len(set(range(since, until)) - lane.arrived) for lane in self._lanes}
