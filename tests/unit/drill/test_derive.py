"""Every failure of every objective becomes a drill; those of one failure share one run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resilience.drill.derive import MOST_FLOWS, choose_flows, derive_drills
from resilience.drill.run import derive
from resilience.errors import UnknownName
from resilience.model.network import Objective
from resilience.model.plan import Flow, Plan, Trial
from resilience.plan import make_plan
from tests.support.plan_networks import small_network

INTERNET = Objective(keep="internet", whom="customers", during=("any-one-failure",), within_ms=3000)
SILENT = Objective(keep="internet", whom="bank", during=("any-one-silent-failure",), within_ms=1000)
MONEY = Objective(keep="money", whom="bank", during=("any-one-failure", "maintenance"), within_ms=None)


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan with three objectives."""
    return make_plan(small_network(objectives=(INTERNET, SILENT, MONEY)))[0]


def by_itself(_trial: Trial) -> object:
    """Take every flow for one of a kind."""

    def way(flow: Flow) -> object:
        return flow.name

    return way


def names(plan: Plan, *wanted: str) -> list[str]:
    """Return the failures that some names select, in order."""
    return [run.failure.name for run in derive_drills(plan, wanted, by_itself).runs]  # type: ignore[arg-type]


def test_every_trial_becomes_a_drill_or_is_listed_as_skipped(plan: Plan) -> None:
    """Failures of a class are never sampled, and what nothing could keep is said."""
    derived = derive_drills(plan, (), by_itself)  # type: ignore[arg-type]

    trials = [trial for planned in plan.objectives for trial in planned.trials]
    drills = [drill for run in derived.runs for drill in run.drills]
    assert {id(drill.trial) for drill in drills} == {id(trial) for trial in trials if trial.flows}
    assert len(derived.skipped) == sum(not trial.flows for trial in trials)
    assert all("nothing could keep that promise" in reason for reason in derived.skipped)


def test_a_failure_that_two_objectives_name_happens_once_and_is_judged_twice(plan: Plan) -> None:
    """Each objective keeps its own flows and limit."""
    (run,) = derive_drills(plan, ("uplink a",), by_itself).runs  # type: ignore[arg-type]

    assert [drill.objective for drill in run.drills] == [INTERNET, MONEY]
    assert len(run.flows) == len({*run.drills[0].flows, *run.drills[1].flows})
    assert run.limits(run.drills[0].flows[0]) == (3000,)
    assert run.limits(run.drills[1].flows[0]) == (None,)


@pytest.mark.parametrize(
    ("name", "selected"),
    [
        ("uplink a", ["uplink a"]),
        ("silent uplink a", ["silent uplink a"]),
        ("maintenance router r1", ["maintenance router r1"]),
        ("a", ["uplink a", "silent uplink a", "maintenance uplink a"]),
    ],
)
def test_a_name_selects_what_bears_it_most_exactly(plan: Plan, name: str, selected: list[str]) -> None:
    """A failure before an objective before an element."""
    assert names(plan, name) == selected


def test_an_objective_selects_all_of_its_drills(plan: Plan) -> None:
    """By its sentence, or by what it keeps."""
    assert names(plan, SILENT.name) == [run for run in names(plan) if run.startswith("silent")]
    ends_of_money = {"router r2", "site west"}
    kept = {run for run in names(plan) if not run.startswith("silent")} - ends_of_money
    assert set(names(plan, "keep money")) == kept


def test_an_unknown_name_is_an_error_with_the_nearest_names(plan: Plan) -> None:
    """A typo must not run nothing and call it a pass."""
    with pytest.raises(UnknownName) as caught:
        names(plan, "uplnk a")

    assert "uplink a" in caught.value.hint


def test_up_to_twenty_flows_are_all_measured(plan: Plan) -> None:
    """Equal ways or not."""
    flow = plan.objectives[0].flows[0]
    flows = [replace(flow, name=f"flow {number}") for number in range(MOST_FLOWS + 1)]

    assert len(choose_flows(flows[:-1], lambda _flow: "same")) == MOST_FLOWS
    assert choose_flows(flows, lambda _flow: "same") == (flows[0],)
    assert len(choose_flows(flows, lambda flow: flow.name)) == MOST_FLOWS + 1


def test_beyond_twenty_flows_the_number_left_out_is_said() -> None:
    """Flows between hosts that hang on the same routers share their ways; the hypothesis counts the others."""
    services = small_network().services
    crowd = {f"s{number}": replace(services["money"], name=f"s{number}") for number in range(8)}
    objectives = tuple(
        Objective(keep=name, whom="everyone", during=("uplink a",), within_ms=1000) for name in ("s0", "internet")
    )
    crowd["s0"] = replace(crowd["s0"], needs=tuple(name for name in crowd if name != "s0"))
    plan = make_plan(small_network(services=crowd, objectives=objectives))[0]

    drills = [drill for run in derive(plan).runs for drill in run.drills if drill.objective.keep == "s0"]

    assert drills
    for drill in drills:
        assert len(drill.flows) + drill.alike == len(drill.trial.flows) > MOST_FLOWS
        assert drill.alike > 0
        assert f"{drill.alike} flows" in drill.hypothesis


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("uplink a", "internet for customers: when uplink a fails, traffic is back within 3.0 s"),
        ("silent uplink a", "internet for bank: when uplink a fails silently, traffic is back within 1.0 s"),
        ("maintenance uplink a", "money for bank: when uplink a is drained and taken down, traffic comes back"),
    ],
)
def test_the_hypothesis_is_a_sentence(plan: Plan, name: str, sentence: str) -> None:
    """What is promised about which failure."""
    (run,) = derive_drills(plan, (name,), by_itself).runs  # type: ignore[arg-type]

    assert run.drills[0].hypothesis == sentence
