"""What is broken on purpose in a lab that is kept up, written down, so that any later command can heal it."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass
from typing import Final

from resilience.errors import LabError, UnknownName, UsageError
from resilience.lab.faults import Fired, Side, arm, faults_of, heal
from resilience.lab.seam import Lab
from resilience.lab.state import LabFolder, write_atomically
from resilience.model.plan import Element, Fault, FaultKind, Plan

NATURAL: Final = "natural"
"""The way in which an element fails when no kind is given."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An element that was made to fail."""

    element: str
    kind: str
    side: str


class Ledger:
    """The faults of one lab."""

    def __init__(self, lab: Lab, plan: Plan, folder: LabFolder) -> None:
        self._lab = lab
        self._plan = plan
        self._path = folder.faults

    def read(self) -> tuple[Broken, ...]:
        """Return what is broken now, oldest first."""
        if not self._path.exists():
            return ()
        try:
            return tuple(Broken(**item) for item in json.loads(self._path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise LabError(f"{self._path} is damaged: {error}", hint="take the lab down and up again") from error

    def fail(self, element: Element, kind: FaultKind | None, side: Side) -> tuple[Fired, ...]:
        """Make an element fail; doing so twice is harmless."""
        entry = Broken(element.name, str(kind or NATURAL), str(side))
        with_this = (*(known for known in self.read() if known != entry), entry)
        armed = arm(self._lab, self._plan, faults_of(self._plan, element, kind), side=side)
        # Written first: a fault that acts must be known to `heal`, whatever happens in between.
        self._write(with_this)
        try:
            return armed.fire()
        except BaseException:
            armed.heal()
            self._write(tuple(known for known in with_this if known != entry))
            raise
        finally:
            armed.close()

    def heal(self, element: Element | None) -> tuple[Broken, ...]:
        """Heal an element, or all; what another broken element needs stays broken. Return what was healed."""
        known = self.read()
        gone = tuple(entry for entry in known if element is None or entry.element == element.name)
        if element is not None and not gone:
            raise UsageError(f"{element.name} is not broken", hint=_list_broken(known))
        rest = tuple(entry for entry in known if entry not in gone)
        still = {(fault, entry.side) for entry in rest for fault in self._faults(entry)}
        for entry in gone:
            wanted = [fault for fault in self._faults(entry) if (fault, entry.side) not in still]
            heal(self._lab, self._plan, wanted, side=Side(entry.side))
        self._write(rest)
        self._break_again(rest)
        return gone

    def _break_again(self, rest: tuple[Broken, ...]) -> None:
        """Fire what stays broken once more: a node that has booted has raised its end of a pulled cable."""
        for entry in rest:
            standing = [fault for fault in self._faults(entry) if fault.kind in _STANDING]
            if standing:
                armed = arm(self._lab, self._plan, standing, side=Side(entry.side))
                armed.fire()
                armed.close()

    def _faults(self, entry: Broken) -> tuple[Fault, ...]:
        kind = None if entry.kind == NATURAL else FaultKind(entry.kind)
        return faults_of(self._plan, find_element(self._plan, entry.element), kind)

    def _write(self, entries: tuple[Broken, ...]) -> None:
        write_atomically(self._path, json.dumps([asdict(entry) for entry in entries], indent=1))


_STANDING: Final = frozenset({FaultKind.CARRIER, FaultKind.SILENT, FaultKind.GREY})


def _list_broken(known: tuple[Broken, ...]) -> str:
    return f"broken now: {', '.join(entry.element for entry in known)}" if known else "nothing is broken now"


def find_element(plan: Plan, name: str) -> Element:
    """Return the element of a name as in the intent: `uplink dakar`, or `dakar` where that is unambiguous."""
    if name in plan.elements:
        return plan.elements[name]
    same = [element for element in plan.elements.values() if element.short == name]
    if len(same) == 1:
        return same[0]
    if same:
        raise UsageError(f"{name} is ambiguous", hint=f"write {' or '.join(element.name for element in same)}")
    names = {element.short: element.name for element in plan.elements.values()} | {one: one for one in plan.elements}
    near = dict.fromkeys(names[close] for close in difflib.get_close_matches(name, names, n=5, cutoff=0.5))
    raise UnknownName(
        f"nothing in this network is called {name}",
        hint=f"did you mean {' or '.join(near)}?" if near else "`resilience show NET elements` lists the names",
    )
