"""Micro-loops (RFC 5715): packets go round in circles while routers learn of a failure one after the other.

A course changes every router at a moment of its own, the slowest one. In life each may change earlier, in any order.
So all that a router does at any time is put beside all that the others do: where that makes a circle, some order of
events may send packets round in it, until the last router of the circle has changed.
"""

from __future__ import annotations

from typing import NamedTuple

import rustworkx as rx

from resilience.analysis.clock import Cause
from resilience.analysis.course import Course, Moment
from resilience.analysis.forwarding import End, Packet, Steps, onward, steps_at


class Circle(NamedTuple):
    """Routers that may send packets round among themselves, and the change that ends it at the latest."""

    nodes: tuple[str, ...]
    ended_by: Cause


def last_circle(course: Course, starts: tuple[str, ...], packet: Packet) -> Circle | None:
    """Return the circle that may last longest on the way of a packet; None: no order of changes makes one."""
    changing = _Changing(course, starts, packet)
    graph: rx.PyDiGraph[str, None] = rx.PyDiGraph()
    numbers: dict[str, int] = {}
    queue = list(starts)
    while queue:
        node = queue.pop()
        if node not in numbers:
            numbers[node] = graph.add_node(node)
            queue += changing.nexts(node)
    for node, number in numbers.items():
        graph.add_edges_from_no_data([(number, numbers[there]) for there in changing.nexts(node)])
    circles = []
    for part in rx.strongly_connected_components(graph):
        nodes = sorted(graph[number] for number in part)
        causes = [cause for node in nodes if (cause := changing.ended_by(node)) is not None]
        if len(nodes) > 1 and causes:
            circles.append(Circle(tuple(nodes), max(causes, key=_time)))
    return max(circles, key=lambda circle: circle.ended_by.at_ms, default=None)


class _Changing:
    """What every node does with a packet over the time of a course."""

    def __init__(self, course: Course, starts: tuple[str, ...], packet: Packet) -> None:
        self._course = course
        self._starts = starts
        self._packet = packet
        self._causes: dict[str, list[Cause]] = {}
        for _, causes in course.moments((packet.target,)):
            for node, cause in causes.items():
                self._causes.setdefault(node, []).append(cause)
        self._seen: dict[str, tuple[tuple[str, ...], Cause | None]] = {}

    def nexts(self, node: str) -> tuple[str, ...]:
        """Return the nodes to which a node may send the packet on, at any time."""
        return self._see(node)[0]

    def ended_by(self, node: str) -> Cause | None:
        """Return the last cause that makes a node do something else with the packet; None: it never does."""
        return self._see(node)[1]

    def _see(self, node: str) -> tuple[tuple[str, ...], Cause | None]:
        if node not in self._seen:
            self._seen[node] = self._look(node)
        return self._seen[node]

    def _look(self, node: str) -> tuple[tuple[str, ...], Cause | None]:
        first = node in self._starts
        view = Moment(self._course, 0.0)
        before = steps_at(view, node, self._packet, first=first)
        found = dict.fromkeys(onward(view, node, before, self._packet))
        causes = self._causes.get(node, [])
        last = causes[-1] if causes and self._falls_back(node, before) else None
        for cause in causes:
            view = Moment(self._course, cause.at_ms)
            steps = steps_at(view, node, self._packet, first=first)
            if steps != before:
                before, last = steps, max(cause, last or cause, key=_time)
                found |= dict.fromkeys(onward(view, node, steps, self._packet))
        if last is not None:
            # News of several lost links comes one by one: what is left of a way meanwhile may lead to any neighbour.
            found |= dict.fromkeys(self._course.detours(node))
        return tuple(found), last

    def _falls_back(self, node: str, at_once: Steps) -> bool:
        """Say whether a kernel is left with a way that it did not use: its daemons may still find the former one again.

        What is left of equal ways stays the best of them, whatever half of the news says.
        """
        usual = steps_at(self._course.world.whole, node, self._packet, first=node in self._starts)
        if isinstance(at_once, End):
            return False
        return isinstance(usual, End) or not set(at_once) <= set(usual)


def _time(cause: Cause) -> float:
    return cause.at_ms
