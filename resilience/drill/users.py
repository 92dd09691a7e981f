"""People who use a service while something fails: how long they wait. `caller.py` makes the attempts.

A lab's services share its processors with everything else, and may be slow where no network is at fault. So somebody
asks at the service's own host too, with no network in between: how slow the service itself was widens what can be seen.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from resilience.drill import caller
from resilience.drill.streams import start_helper, stop_helper
from resilience.errors import CouldNotTell
from resilience.model.journal import TcpWait
from resilience.model.plan import Endpoint, Flow, ListenerKind

_PACE_NS = 20_000_000
_NS_AN_ATTEMPT = 8_000_000
"""Attempts of all flows together stay at 125 a second: daemons and services need the processors too."""
_SLOW_FACTOR = 5
_NS_IN_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to use a service. `end_ns` None: it has neither ended nor failed yet."""

    start_ns: int
    end_ns: int | None
    good: bool


def _at_home(flow: Flow) -> tuple[Flow, ...]:
    """Return who asks at the service's own hosts."""
    return tuple(
        replace(
            flow,
            name=f"{node} to itself {flow.listener}",
            source=Endpoint(label=node, nodes=(node,), address=flow.target.address),
        )
        for node in flow.target.nodes
    )


def choose_pace_ns(flows: int) -> int:
    """Return the time between two attempts of one flow."""
    return max(_PACE_NS, _NS_AN_ATTEMPT * flows)


def measure_wait(attempts: Sequence[Attempt], start_ns: int, end_ns: int) -> TcpWait:
    """Return the longest that a user waited who came between two times and tried again at every pace.

    Each attempt stands for a user. They are served when the first attempt that started with or after theirs has its
    whole answer. Nobody is served before the measuring ends: the wait is at least until then.
    """
    seen = [attempt for attempt in attempts if start_ns <= attempt.start_ns <= end_ns]
    worst, censored = 0, False
    served: int | None = None
    for attempt in reversed(seen):
        if attempt.good and attempt.end_ns is not None and attempt.end_ns <= end_ns:
            served = attempt.end_ns if served is None else min(served, attempt.end_ns)
        wait = (end_ns if served is None else served) - attempt.start_ns
        # The last users of all are still being served when measuring ends: that says nothing.
        if served is not None or _has_failed(seen, attempt):
            worst = max(worst, wait)
            censored = censored or served is None
    failed = sum(attempt.end_ns is not None and not attempt.good for attempt in seen)
    return TcpWait(wait_ms=worst / _NS_IN_MS, attempts=len(seen), failed=failed, censored=censored)


def measure_resolution_ms(attempts: Sequence[Attempt], start_ns: int, end_ns: int) -> float:
    """Return the widest gap between two attempts in a window: an outage between them is seen by nobody."""
    starts = [attempt.start_ns for attempt in attempts if start_ns <= attempt.start_ns <= end_ns]
    gaps = (later - earlier for earlier, later in pairwise(starts))
    return max(gaps, default=end_ns - start_ns) / _NS_IN_MS


def _has_failed(seen: Sequence[Attempt], attempt: Attempt) -> bool:
    """Say whether the service was out for a user: they failed, or waited longer than any good attempt took."""
    if attempt.end_ns is not None and not attempt.good:
        return True
    usual = max((one.end_ns - one.start_ns for one in seen if one.good and one.end_ns is not None), default=0)
    return seen[-1].start_ns - attempt.start_ns > usual


class Users:
    """The users of some flows, from entering the context to leaving it."""

    def __init__(
        self, namespace: Callable[[str], Path], flows: Sequence[Flow], zones: Mapping[Flow, str], *, longest_s: float
    ) -> None:
        self._namespace = namespace
        self._zones = dict(zones)
        self._at_home = {flow: _at_home(flow) for flow in flows}
        for flow, homes in self._at_home.items():
            self._zones |= dict.fromkeys(homes, zones.get(flow, ""))
        self.flows = tuple(dict.fromkeys((*flows, *(home for homes in self._at_home.values() for home in homes))))
        self.pace_ns = choose_pace_ns(len(self.flows))
        self._capacity = int(longest_s * 1e9 / self.pace_ns) + 64
        self._stack = ExitStack()
        self._memory: memoryview | None = None
        self._stop: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        if self.flows:
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
        namespaces: dict[str, int] = {}
        for flow in self.flows:
            node = flow.source.nodes[0]
            if node not in namespaces:
                namespaces[node] = os.open(self._namespace(node), os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, namespaces[node])
        memory = os.memfd_create("resilience-users")
        stack.callback(os.close, memory)
        size = caller.memory_size(len(self.flows), self._capacity)
        os.ftruncate(memory, size)
        self._memory = memoryview(mmap.mmap(memory, size))
        self._set_pace(self.pace_ns)
        spec = {
            "capacity": self._capacity,
            "memory": memory,
            "flows": [self._spec(flow, namespaces) for flow in self.flows],
        }
        process = start_helper(caller.__file__, spec, [*namespaces.values(), memory])

        def stop() -> None:
            self._words(0, caller.HEADER_WORDS)[caller.STOP] = 1
            stop_helper(process)

        self._stop = stop

    def _spec(self, flow: Flow, namespaces: Mapping[str, int]) -> dict[str, object]:
        return {
            "kind": str(flow.listener or ListenerKind.TCP_ECHO),
            "zone": self._zones.get(flow, ""),
            "namespace": namespaces[flow.source.nodes[0]],
            "source": str(flow.source.address),
            "target": str(flow.target.address),
            "port": flow.port,
        }

    def _words(self, start: int, count: int) -> memoryview:
        if self._memory is None:
            raise CouldNotTell("nobody has used the service: measuring has not begun")
        return self._memory[8 * start : 8 * (start + count)].cast("Q")

    def slow_down(self) -> None:
        """Make fewer attempts from now on: enough to see whether services answer."""
        if self._memory is not None:
            self._set_pace(_SLOW_FACTOR * self.pace_ns)

    def _set_pace(self, pace_ns: int) -> None:
        self._words(0, caller.HEADER_WORDS)[caller.PACE] = pace_ns

    def stop(self) -> None:
        """Make no more attempts; what was recorded stays readable."""
        stop, self._stop = self._stop, lambda: None
        stop()

    def slowest_service_ms(self, flow: Flow, start_ns: int, end_ns: int) -> float:
        """Return the longest that a service of a flow took for an answer with no network in between."""
        took = (
            attempt.end_ns - attempt.start_ns
            for home in self._at_home[flow]
            for attempt in self.attempts(home)
            if attempt.good and attempt.end_ns is not None and start_ns <= attempt.end_ns and attempt.start_ns <= end_ns
        )
        return max(took, default=0) / _NS_IN_MS

    def attempts(self, flow: Flow) -> tuple[Attempt, ...]:
        """Return all attempts of a flow so far."""
        index = self.flows.index(flow)
        start = caller.HEADER_WORDS + 2 * index * self._capacity
        started = self._words(start, self._capacity).tolist()
        count = started.index(0) if 0 in started else len(started)
        ended = self._words(start + self._capacity, count).tolist()
        return tuple(
            Attempt(begin, (end & ~caller.FAILED) or None, bool(end) and not end & caller.FAILED)
            for begin, end in zip(started[:count], ended, strict=True)
        )
