"""Breaking things on purpose: armed first, then fired within a millisecond and without forking, always healable.

::

    armed = arm(lab, plan, element.faults)      # opens sockets in the nodes, builds the messages
    try:
        fired = armed.fire()                    # acts; says when, on the monotonic clock
        ...
    finally:
        armed.heal()                            # idempotent

Where a fault acts. Loss of carrier takes the *outside's* end of a cable down: the router under test keeps its
interface up and sees NO-CARRIER. Between two routers of the network itself, it is the second end of the cable. Silent
loss drops there too, in both directions unless a side is given, in a table of its own that no router's firewall knows
of. A session is closed by the outside's daemon.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, Protocol, Self

from resilience.errors import ResilienceError, UnknownName, UsageError
from resilience.lab.charges import (
    Carrier,
    Crash,
    Grey,
    Process,
    Session,
    SessionAct,
    Silence,
)
from resilience.lab.seam import Lab
from resilience.model.plan import Element, Fault, FaultKind, Node, Plan, Role, SessionEnd


class Side(StrEnum):
    """Which packets a silent fault loses, as the network's own router sees it."""

    BOTH = "both"
    OUT = "out"
    """What it sends."""
    IN = "in"
    """What is sent to it."""


class Charge(Protocol):
    """A fault made ready. `revive`: nodes that healing starts again, and whether as after a loss of power."""

    revive: tuple[tuple[str, bool], ...]

    def prepare(self) -> None:
        """Open sockets and build messages."""

    def fire(self) -> None:
        """Act; no forking, no waiting."""

    def confirm(self) -> None:
        """Read what the kernel or the daemon answered."""

    def heal(self) -> None:
        """Undo; harmless when nothing was done."""

    def close(self) -> None:
        """Let go of what `prepare` opened."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A fault that was done: right before (`at_ns`) and right after (`done_ns`) it, on `time.monotonic_ns`."""

    fault: Fault
    side: Side
    at_ns: int
    done_ns: int


class Armed:
    """Faults that wait to be fired together. A context manager that heals."""

    def __init__(self, lab: Lab, faults: tuple[Fault, ...], side: Side, charges: tuple[Charge, ...]) -> None:
        self._lab = lab
        self._faults = faults
        self._side = side
        self._charges = charges

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What will be, or was, done."""
        return self._faults

    def fire(self) -> tuple[Fired, ...]:
        """Do every fault, one right after the other; LabError when one did not act."""
        times = []
        for charge in self._charges:
            before = time.monotonic_ns()
            charge.fire()
            times.append((before, time.monotonic_ns()))
        for charge in self._charges:
            charge.confirm()
        return tuple(
            Fired(fault, self._side, before, after) for fault, (before, after) in zip(self._faults, times, strict=True)
        )

    def close(self) -> None:
        """Let go of sockets without healing: somebody else will."""
        for charge in self._charges:
            charge.close()

    def heal(self) -> None:
        """Undo every fault, also those that were not fired or healed before; try all, then raise the first error."""
        failed: ResilienceError | None = None
        for charge in self._charges:
            try:
                charge.heal()
            except ResilienceError as error:
                failed = failed or error
            finally:
                charge.close()
        revive = dict(sorted(pair for charge in self._charges for pair in charge.revive))
        for cold in (True, False):
            nodes = [node for node, how in revive.items() if how is cold]
            if nodes:
                self._lab.start(nodes=nodes, cold=cold)
        if failed is not None:
            raise failed


def arm(lab: Lab, plan: Plan, faults: Iterable[Fault], *, side: Side = Side.BOTH) -> Armed:
    """Make faults ready to be fired together; LabError when one cannot be."""
    wanted = tuple(dict.fromkeys(faults))
    armed = Armed(lab, wanted, side, tuple(_make_charge(lab, plan, fault, side) for fault in wanted))
    try:
        for charge in armed._charges:  # noqa: SLF001 - our own class
            charge.prepare()
    except BaseException:
        armed.close()
        raise
    return armed


def heal(lab: Lab, plan: Plan, faults: Iterable[Fault], *, side: Side = Side.BOTH) -> None:
    """Undo faults that were fired earlier, by another process perhaps."""
    wanted = tuple(dict.fromkeys(faults))
    Armed(lab, wanted, side, tuple(_make_charge(lab, plan, fault, side) for fault in wanted)).heal()


def faults_of(plan: Plan, element: Element, kind: FaultKind | None = None) -> tuple[Fault, ...]:
    """Return what failing an element does; with a kind, that kind done to the things that the element stands for."""
    if kind is None:
        return element.faults
    if kind is FaultKind.SILENT and element.silent_faults:
        return element.silent_faults
    natural = {*element.faults, *element.silent_faults}
    chosen = tuple(fault for fault in (*element.faults, *element.silent_faults) if fault.kind is kind)
    if chosen:
        return tuple(dict.fromkeys(chosen))
    targets = dict.fromkeys(fault.target for fault in natural)
    fitting = tuple(sorted(Fault(kind, target) for target in targets if _fits(plan, kind, target)))
    if not fitting:
        kinds = sorted({str(fault.kind) for fault in natural})
        raise UsageError(f"{element.name} cannot fail by {kind}", hint=f"it can by: {', '.join(kinds) or 'nothing'}")
    return fitting


def _fits(plan: Plan, kind: FaultKind, target: str) -> bool:
    if kind in _OF_SEGMENTS:
        return target in plan.segments
    if kind in _OF_SESSIONS:
        return any(session.name == target for session in plan.sessions)
    return target in plan.nodes and (kind in {FaultKind.CRASH, FaultKind.GREY} or bool(plan.nodes[target].platform))


_OF_SEGMENTS: Final = frozenset({FaultKind.CARRIER, FaultKind.SILENT})
_OF_SESSIONS: Final = frozenset({FaultKind.RESET, FaultKind.DOWN})


def outside_end(plan: Plan, segment: str) -> tuple[str, str]:
    """Return (node, interface) of the end of a cable at which faults act: a switch, else the outside, else the second.

    A host comes after routers: its routes are made by hand, and a daemon brings its own back by itself.
    """
    if segment not in plan.segments:
        raise UnknownName(f"no cable is called {segment}")
    first, second = plan.segments[segment].ends
    return min((second, first), key=lambda end: _strangeness(plan.nodes[end[0]]))


def _strangeness(node: Node) -> int:
    if node.role is Role.SWITCH:
        return 0
    if node.managed:
        return 3
    return 2 if node.role is Role.HOST else 1


def _make_charge(lab: Lab, plan: Plan, fault: Fault, side: Side) -> Charge:
    if side is not Side.BOTH and fault.kind is not FaultKind.SILENT:
        raise UsageError(f"{fault.kind} has no side", hint="only silent loss can hit one direction")
    if fault.kind in _OF_SEGMENTS:
        node, interface = outside_end(plan, fault.target)
        if fault.kind is FaultKind.CARRIER:
            return Carrier(lab, plan.nodes[node], interface)
        return Silence(lab, node, interface, entering=side is not Side.IN, leaving=side is not Side.OUT)
    if fault.kind in _OF_SESSIONS:
        acting, other = _session_ends(plan, fault.target)
        act = SessionAct.RESET if fault.kind is FaultKind.RESET else SessionAct.DOWN
        return Session(lab, acting, other, act)
    return _make_node_charge(lab, plan, fault)


def _make_node_charge(lab: Lab, plan: Plan, fault: Fault) -> Charge:
    if fault.target not in plan.nodes:
        raise UnknownName(f"no node is called {fault.target}")
    node = plan.nodes[fault.target]
    if fault.kind is FaultKind.CRASH:
        return Crash(lab, node)
    if fault.kind is FaultKind.GREY:
        if node.role is Role.SWITCH:
            raise UsageError(f"{node.name} is a switch", hint="a switch fails silently cable by cable")
        return Grey(lab, node.name)
    return Process(lab, node, stop=fault.kind is FaultKind.FREEZE)


def _session_ends(plan: Plan, name: str) -> tuple[SessionEnd, SessionEnd]:
    """Return the end whose daemon closes a session, and the other: the outside acts, else the second end."""
    for session in plan.sessions:
        if session.name == name:
            first, second = session.ends
            if plan.nodes[second.node].managed and not plan.nodes[first.node].managed:
                return first, second
            return second, first
    raise UnknownName(f"no session is called {name}")
