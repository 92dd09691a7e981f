"""From two files to a lab that can be drilled, and back to the lab as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from resilience.attach.drill_file import read_drill_file
from resilience.attach.kernel import read_facts
from resilience.attach.lab import RESTART_FROM, AttachedLab
from resilience.attach.planning import plan_drills
from resilience.attach.record import Held, Record, heal, heal_leftovers, touched_by
from resilience.attach.survey import Survey, survey
from resilience.attach.topology import Topology, read_topology
from resilience.errors import LabError
from resilience.lab.clab.engine import UNRELEASED, Engine, find_engine
from resilience.lab.state import Process
from resilience.model.plan import Plan


@dataclass(frozen=True, slots=True)
class Attachment:
    """A running lab and what is to be done with it."""

    engine: Engine
    topology: Topology
    found: Survey
    plan: Plan


def prepare(lab_file: Path, drill_file: Path, tell: Callable[[str], None]) -> Attachment:
    """Read both files and look at the running lab; what a killed drill left broken is healed before.

    Raises:
        IntentError: a file is not valid, or asks for what the lab does not have; holds every problem.
        EnvironmentLacks: no root, no Docker, no containerlab.
        UsageError: the lab does not run, or somebody else drills it.
    """
    topology = read_topology(lab_file)
    drills = read_drill_file(drill_file)
    engine = find_engine()
    healed = heal_leftovers(topology.name)
    if healed:
        tell(healed)
    found = survey(topology, engine)
    can_restart = engine.version >= RESTART_FROM or engine.version == UNRELEASED
    return Attachment(engine, topology, found, plan_drills(topology, found, drills, can_restart=can_restart))


@contextmanager
def attached(attachment: Attachment) -> Iterator[AttachedLab]:
    """Yield the lab for drills; afterwards it is as it was, or LabError says what is not."""
    plan, places = attachment.plan, attachment.found.places
    touched = touched_by(plan)
    facts = {one.node: read_facts(one.node, places[one.node].network) for one in touched}
    record = Record(
        lab=attachment.topology.name,
        file=str(attachment.topology.file),
        engine=asdict(attachment.engine),
        owner=Process.me(),
        touched=touched,
        facts=facts,
    )
    held = Held(record)
    held.take()
    healed = False
    try:
        lab = AttachedLab(plan, attachment.engine, attachment.topology.file, places, facts)
        try:
            yield lab
        except BaseException:
            heal(record)
            healed = True
            raise
        missing = lab.missing()
        healed = True
        if missing:
            raise LabError(f"the lab is not quite as it was: {'; '.join(missing)}", hint="give it back by hand")
    finally:
        held.let_go(healed=healed)
