"""What we are about to break in somebody else's lab, written down before, so that anybody can heal it after us.

One process at a time drills a lab. Should it be killed, its watchdog heals; should that be killed as well, the next
drill of the lab does so before anything else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from resilience.attach.kernel import Fact
from resilience.attach.lab import AttachedLab
from resilience.attach.survey import Place, look_at
from resilience.errors import LabError, ResilienceError, UsageError
from resilience.lab.charges import Grey, Silence
from resilience.lab.charges import Process as DaemonCharge
from resilience.lab.clab.engine import Engine
from resilience.lab.faults import outside_end
from resilience.lab.state import Process, end_process, run_folder, write_atomically
from resilience.model.network import Network
from resilience.model.plan import FailureKind, Fault, FaultKind, Node, Plan, Role

_FOLDER: Final = ".attached"
"""Hidden: what lies beside it are labs of our own."""
_WATCHDOG: Final = "resilience.attach.watchdog"
_HEAL_LIMIT_S: Final = 120.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """One thing that may be broken: `interface` is empty for what happens to a node."""

    kind: str
    node: str
    interface: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Who drills a lab, what it may have broken, and what everybody had before."""

    lab: str
    file: str
    engine: Mapping[str, Any]
    owner: Process
    touched: tuple[Touched, ...]
    facts: Mapping[str, frozenset[Fact]]

    def write(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        document = {
            "lab": self.lab,
            "file": self.file,
            "engine": self.engine,
            "owner": asdict(self.owner),
            "touched": [asdict(one) for one in self.touched],
            "facts": {node: [asdict(fact) for fact in sorted(facts)] for node, facts in self.facts.items()},
        }
        write_atomically(path, json.dumps(document, indent=1))

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read what `write` wrote; LabError when it is damaged."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                lab=data["lab"],
                file=data["file"],
                engine=data["engine"],
                owner=Process(**data["owner"]),
                touched=tuple(Touched(**one) for one in data["touched"]),
                facts={node: frozenset(Fact(**fact) for fact in facts) for node, facts in data["facts"].items()},
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            hint = "look at the lab: something in it may still be broken; then remove the file"
            raise LabError(f"{path} is damaged: {error}", hint=hint) from error


def record_path(lab: str) -> Path:
    """Return where the record of a lab lies while somebody drills it."""
    return run_folder() / _FOLDER / f"{lab}.json"


def touched_by(plan: Plan) -> tuple[Touched, ...]:
    """Return everything that the drills of a plan may break."""
    found: dict[Touched, None] = {}
    for fault in _faults(plan):
        if fault.target in plan.segments:
            node, interface = outside_end(plan, fault.target)
            found[Touched(kind=str(fault.kind), node=node, interface=interface)] = None
        else:
            found[Touched(kind=str(fault.kind), node=fault.target)] = None
    return tuple(found)


def _faults(plan: Plan) -> Iterator[Fault]:
    for planned in plan.objectives:
        for trial in planned.trials:
            for name in trial.failure.elements:
                element = plan.elements[name]
                yield from element.silent_faults if trial.failure.kind is FailureKind.SILENT else element.faults


class Held:
    """A lab that this process drills: written down, watched over, given back."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._path = record_path(record.lab)
        self._lifeline = -1
        self._watchdog: subprocess.Popen[bytes] | None = None

    def take(self) -> None:
        """Write down what may be broken and start the watchdog. Call `heal_leftovers` before."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # Made alone first: of two that begin at once, one finds the other's.
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except FileExistsError as error:
            raise _busy(self._record.lab) from error
        try:
            self._record.write(self._path)
            self._watch()
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise

    def _watch(self) -> None:
        watching, self._lifeline = os.pipe()
        try:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-m", _WATCHDOG, str(self._path), str(watching)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[watching],
                start_new_session=True,
            )
        finally:
            os.close(watching)

    def let_go(self, *, healed: bool) -> None:
        """End the watchdog. What was not healed stays written down: the watchdog, or the next drill, tries again."""
        if healed:
            self._path.unlink(missing_ok=True)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        if self._watchdog is not None:
            with suppress(subprocess.TimeoutExpired):
                self._watchdog.wait(_HEAL_LIMIT_S)
            self._watchdog = None


def _busy(lab: str) -> UsageError:
    return UsageError(f"somebody drills the lab {lab} right now", hint="one after the other: faults would mix")


def heal_leftovers(lab: str) -> str:
    """Heal what a killed drill left in a lab; return what was done, empty: nothing was to do."""
    path = record_path(lab)
    deadline = time.monotonic() + _HEAL_LIMIT_S
    while path.exists() and (watchdog := _watchdog_of(path)) is not None:
        record = _read_or_none(path)
        if record is not None and record.owner.alive():
            raise _busy(lab)
        if time.monotonic() > deadline:
            end_process(watchdog)
        time.sleep(_POLL_S)
    if not path.exists():
        return ""
    record = Record.read(path)
    if record.owner.alive():
        raise _busy(lab)
    heal(record)
    path.unlink(missing_ok=True)
    return f"healed what process {record.owner.pid}, which was killed, had broken in {lab}"


def _read_or_none(path: Path) -> Record | None:
    try:
        return Record.read(path)
    except LabError:
        return None


def _watchdog_of(path: Path) -> Process | None:
    """Return the process that watches over a record."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = entry.read_bytes().split(b"\0")
            if _WATCHDOG.encode() in words and os.fsencode(path) in words:
                return Process.of(int(entry.parent.name))
    return None


def heal(record: Record) -> None:
    """Undo everything that a drill may have broken; LabError with all that could not be undone."""
    engine = Engine(**{**record.engine, "version": tuple(record.engine["version"])})
    _start_stopped(record, engine)
    containers = engine.containers(record.lab)
    nodes = dict.fromkeys((*record.facts, *(one.node for one in record.touched)))
    places: dict[str, Place] = {}
    for node in nodes:
        container = containers.get(node.rpartition("|")[2])
        if container is not None and container.pid:
            places[node] = look_at(node, container)
    # A node that has gone has taken its faults with it.
    facts = {node: facts for node, facts in record.facts.items() if node in places}
    lab = AttachedLab(_bare_plan(record.lab, tuple(places)), engine, Path(record.file), places, facts)
    troubles = []
    for one in record.touched:
        if one.node in places:
            try:
                _heal_one(lab, one)
            except (ResilienceError, OSError) as error:
                troubles.append(f"{one.node}: {error}")
    troubles += lab.missing()
    if troubles:
        raise LabError(f"not all of lab {record.lab} could be healed: {'; '.join(troubles)}")


def _start_stopped(record: Record, engine: Engine) -> None:
    """Start nodes that were stopped in the middle of being started anew."""
    containers = engine.containers(record.lab)
    for one in record.touched:
        container = containers.get(one.node)
        if one.kind == FaultKind.CRASH and container is not None and not container.pid:
            engine.run([engine.containerlab, "start", "-t", record.file, "-n", one.node], timeout_s=_HEAL_LIMIT_S)


def _heal_one(lab: AttachedLab, one: Touched) -> None:
    """Undo one kind of fault where it may be. Cables that are down are among what a kernel is given back."""
    if one.kind == FaultKind.SILENT:
        Silence(lab, one.node, one.interface, entering=True, leaving=True).heal()
    elif one.kind == FaultKind.GREY:
        Grey(lab, one.node).heal()
    elif one.kind == FaultKind.FREEZE:
        DaemonCharge(lab, lab.plan.nodes[one.node], stop=True).heal()


def _bare_plan(lab: str, nodes: tuple[str, ...]) -> Plan:
    return Plan(
        network=Network(name=lab, file="", asn=0, prefixes=(), lab=True),
        nodes={name: Node(name=name, role=Role.ROUTER, managed=True) for name in nodes},
        segments={},
        sessions=(),
        elements={},
        objectives=(),
    )
