"""What a drill file means on a lab: who measures from which address, which end of a cable acts, what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from resilience.attach.drill_file import read_drill_file
from resilience.attach.planning import plan_drills
from resilience.attach.record import Touched, touched_by
from resilience.lab.faults import outside_end
from resilience.model.plan import FailureKind, FaultKind, Plan
from tests.support.attached import FOUND, RING


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where drill files of a test lie."""
    return tmp_path


def plan_of(folder: Path, fail: str, flows: str = "{from: r1, to: r3}") -> Plan:
    """Return the plan of some failures in the ring."""
    path = folder / "drills.yaml"
    path.write_text(f"flows: [{flows}]\nfail: [{fail}]\nwithin: 1s\n", encoding="utf-8")
    return plan_drills(RING, FOUND, read_drill_file(path), can_restart=True)


def test_flows_use_loopbacks_unless_told(folder: Path) -> None:
    """An address of a cable would go with the cable, and one of the management network says nothing."""
    (promise,) = plan_of(folder, "node r2", "{from: r1, to: r3}, {from: r1, to: r3, address: 10.0.14.2}").objectives

    assert [(flow.name, str(flow.source.address), str(flow.target.address)) for flow in promise.flows] == [
        ("r1-r3 10.0.0.1-10.0.0.3", "10.0.0.1", "10.0.0.3"),
        ("r1-r3 10.0.0.1-10.0.14.2", "10.0.0.1", "10.0.14.2"),
    ]


@pytest.mark.parametrize(
    ("written", "acting"),
    [
        ("link r1:eth1-r2:eth1", ("r2", "eth1")),
        ("link r2:eth1-r1:eth1", ("r1", "eth1")),
        ("link r1:eth1", ("r1", "eth1")),
        ("link r1-r2", ("r2", "eth1")),
        ("link r2-r1", ("r1", "eth1")),
        ("link r2:eth2-r3:eth2", ("r3", "eth2")),
        ("link r3:eth5-lan:r3", ("r3", "eth5")),
    ],
)
def test_the_end_that_is_named_last_acts(written: str, acting: tuple[str, str], folder: Path) -> None:
    """Except where it stands in the network of this machine: nothing is ever broken there."""
    plan = plan_of(folder, written)
    (segment,) = plan.segments

    assert outside_end(plan, segment) == acting


def test_a_failure_does_what_its_word_says(folder: Path) -> None:
    """Cables at the node itself, so that its neighbours lose carrier; silence, power and a stopped process."""
    plan = plan_of(folder, "node r2, silent node r2, power r2, silent link r1-r2")

    assert {fault.kind for fault in plan.elements["node r2"].faults} == {FaultKind.CARRIER}
    assert [outside_end(plan, fault.target)[0] for fault in plan.elements["node r2"].faults] == ["r2", "r2"]
    assert {fault.kind for fault in plan.elements["node r2"].silent_faults} == {FaultKind.GREY}
    assert {fault.kind for fault in plan.elements["power r2"].faults} == {FaultKind.CRASH}
    kinds = [planned.trials[0].failure.kind for planned in plan.objectives]
    assert kinds == [FailureKind.NATURAL, FailureKind.SILENT, FailureKind.NATURAL, FailureKind.SILENT]
    assert set(touched_by(plan)) == {
        Touched(kind="carrier", node="r2", interface="eth1"),
        Touched(kind="carrier", node="r2", interface="eth2"),
        Touched(kind="grey", node="r2"),
        Touched(kind="crash", node="r2"),
        Touched(kind="silent", node="r2", interface="eth1"),
    }


def test_flows_that_end_in_what_fails_are_left_out(folder: Path) -> None:
    """At the node that is cut off, and at an address of the cable that is pulled."""
    plan = plan_of(
        folder,
        "node r2, link r1:eth3-r3:eth3, silent node r2",
        "{from: r1, to: r2}, {from: r1, to: r3}, {from: r1, to: r3, address: 10.0.13.2}",
    )
    left_out = [planned.trials[0].left_out for planned in plan.objectives]

    assert left_out == [("r1-r2-ipv4",), ("r1-r3 10.0.0.1-10.0.13.2",), ()]


def test_several_things_fail_at_once(folder: Path) -> None:
    """A list in the list is one failure."""
    (planned,) = plan_of(folder, "[link r1-r2, node r2]").objectives

    assert planned.trials[0].failure.name == "link r1:eth1-r2:eth1 and node r2"
    assert planned.trials[0].failure.elements == ("link r1:eth1-r2:eth1", "node r2")
