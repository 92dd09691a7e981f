"""The scripted twin, and what stands on the seam, tried on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from resilience.errors import EnvironmentLacks, LabError, UnknownName, UsageError
from resilience.lab import Completed, Lab
from resilience.lab.impair import delay, lose, throttle
from resilience.lab.netns_lab import NetnsLab
from resilience.lab.scripted import ScriptedLab
from resilience.model.plan import Plan
from tests.support.lab_networks import TINY, plan_from


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A small plan."""
    return plan_from(TINY, tmp_path_factory.mktemp("tiny"))[0]


def test_both_back_ends_fulfil_the_seam(plan: Plan) -> None:
    """In six methods, and what they are called."""
    methods = {name for name in vars(Lab) if not name.startswith("_") and callable(vars(Lab)[name])}

    assert methods == {"start", "stop", "status", "namespace", "run", "daemons"}
    assert isinstance(ScriptedLab(plan), Lab)
    assert isinstance(NetnsLab(plan, {}), Lab)


def test_it_answers_from_its_script_and_remembers_what_was_asked(plan: Plan) -> None:
    """What is not scripted succeeds in silence."""
    answer = Completed(exit_code=1, stdout="x", stderr="")
    lab = ScriptedLab(plan, answers={("gw", "ip route"): answer})
    lab.start()

    assert lab.run("gw", ["ip", "route"]) == answer
    assert lab.run("gw", ["true"]).exit_code == 0
    assert lab.calls == [("start",), ("run", "gw", "ip route"), ("run", "gw", "true")]
    assert lab.status().running


def test_it_is_as_strict_as_a_real_one(plan: Plan) -> None:
    """An unknown node, and a command before the start, are errors."""
    lab = ScriptedLab(plan)
    with pytest.raises(LabError):
        lab.run("gw", ["true"])
    with pytest.raises(UnknownName):
        lab.namespace("nobody")


def test_a_slow_cable_is_shaped_at_both_ends(plan: Plan) -> None:
    """With a burst of ten milliseconds."""
    lab = ScriptedLab(plan)
    lab.start()
    throttle(lab, plan, "uplink-fibre", 10_000_000)

    lines = [call[2] for call in lab.calls if call[0] == "run"]
    assert len(lines) == 2
    assert all("tbf rate 10000000bit burst 12500b" in line for line in lines)


def test_what_cannot_be_is_refused(plan: Plan) -> None:
    """A loss of 0 or 101 percent, a rate below a packet a second, a delay where there is no netem."""
    node, interface = plan.segments["uplink-fibre"].ends[0]
    line = f"tc qdisc replace dev {interface} root netem delay 30ms"
    lab = ScriptedLab(plan, answers={(node, line): Completed(exit_code=2, stdout="", stderr="Unknown qdisc")})
    lab.start()
    for percent in (0, 101):
        with pytest.raises(UsageError):
            lose(lab, plan, "uplink-fibre", percent)
    with pytest.raises(UsageError):
        throttle(lab, plan, "uplink-fibre", 100)
    with pytest.raises(EnvironmentLacks):
        delay(lab, plan, "uplink-fibre", 30)


def test_a_lab_that_was_not_started_says_so(plan: Plan, tmp_path: Path) -> None:
    """Its folder does not exist yet."""
    del tmp_path
    with pytest.raises(LabError, match="not started"):
        _ = NetnsLab(plan, {}).folder
