"""What is broken, in the words of a plan's faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from resilience.model.plan import Failure, FailureKind, Fault, FaultKind, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Everything that does not work at one moment. Empty: the network as it was built."""

    cut: frozenset[str] = frozenset()
    """Segments without carrier."""
    silent: frozenset[str] = frozenset()
    """Segments on which every packet vanishes while carrier stays."""
    dead: frozenset[str] = frozenset()
    """Nodes without power."""
    grey: frozenset[str] = frozenset()
    """Nodes that keep their sessions and forward nothing."""
    killed: frozenset[str] = frozenset()
    """Nodes whose routing daemon died; their kernel keeps its routes."""
    frozen: frozenset[str] = frozenset()
    """Nodes whose routing daemon stopped without a word."""
    closed: frozenset[str] = frozenset()
    """Sessions that somebody shut."""

    def __bool__(self) -> bool:
        return self != NOTHING

    @property
    def mute(self) -> frozenset[str]:
        """Nodes that take no part in any routing protocol."""
        return self.dead | self.killed | self.frozen


NOTHING = Damage()

_FIELD = {
    FaultKind.CARRIER: "cut",
    FaultKind.SILENT: "silent",
    FaultKind.CRASH: "dead",
    FaultKind.GREY: "grey",
    FaultKind.KILL: "killed",
    FaultKind.FREEZE: "frozen",
    FaultKind.DOWN: "closed",
}


def damage_of_faults(faults: Iterable[Fault]) -> Damage:
    """Return what is broken once all faults have happened. A session that is only reset comes back: no damage."""
    found: dict[str, set[str]] = {}
    for fault in faults:
        if fault.kind in _FIELD:
            found.setdefault(_FIELD[fault.kind], set()).add(fault.target)
    return Damage(**{name: frozenset(targets) for name, targets in found.items()})


def faults_of_failure(plan: Plan, failure: Failure) -> tuple[Fault, ...]:
    """Return every fault of a failure, each once and in a stable order. An element's faults hold its members'."""
    silent = failure.kind is FailureKind.SILENT
    elements = [plan.elements[name] for name in failure.elements if name in plan.elements]
    chosen = (element.silent_faults if silent else element.faults for element in elements)
    return tuple(dict.fromkeys(fault for faults in chosen for fault in faults))


def damage_of_failure(plan: Plan, failure: Failure) -> Damage:
    """Return what is broken once a failure has happened."""
    return damage_of_faults(faults_of_failure(plan, failure))


def damage_of_elements(plan: Plan, names: Iterable[str]) -> Damage:
    """Return what is broken once these elements have failed in their natural way."""
    failure = Failure(name="", kind=FailureKind.NATURAL, elements=tuple(names))
    return damage_of_failure(plan, failure)
