"""Outages on the examples: the median of ten drills of one failure each, and the worst."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure
from resilience.drill.derive import Derived, Run
from resilience.drill.drain import Drain
from resilience.drill.run import Drills, Settings, derive
from resilience.intent import read_intent
from resilience.lab import open_lab
from resilience.model.configs import Configs
from resilience.model.journal import Control, DrillResult, FlowResult, Journal, Stream
from resilience.model.plan import Plan
from resilience.plan import make_plan
from resilience.render import render_configs

EXAMPLES = Path(__file__).resolve().parent.parent / "inventories"
REPEAT = 10

Pick = Callable[[FlowResult], Iterable[Stream | None]]


def _forward(flow: FlowResult) -> Iterable[Stream | None]:
    return (flow.forward,)


def _return(flow: FlowResult) -> Iterable[Stream | None]:
    return (flow.back,)


def _both(flow: FlowResult) -> Iterable[Stream | None]:
    return flow.forward, flow.back


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One figure: which failure of which example, for which objective's flows, in which direction."""

    what: str
    example: str
    failure: str
    objective: str
    pick: Pick
    at_most: float | None = None
    unit: str = "ms"


_CUSTOMERS = "keep internet for customers"
CASES = (
    Case(
        what="carrier lost, other uplink on the same FRR router",
        example="dual-homed",
        failure="uplink fibre",
        objective=_CUSTOMERS,
        pick=_forward,
        at_most=50,
    ),
    Case(
        what="the same, return direction",
        example="dual-homed",
        failure="uplink fibre",
        objective=_CUSTOMERS,
        pick=_return,
    ),
    Case(
        what="carrier lost, BIRD chooses again",
        example="silent-provider",
        failure="uplink fibre",
        objective=_CUSTOMERS,
        pick=_forward,
        at_most=50,
    ),
    Case(
        what="carrier lost, FRR chooses again across iBGP",
        example="bamako-isp",
        failure="uplink dakar",
        objective=_CUSTOMERS,
        pick=_both,
        at_most=300,
    ),
    Case(
        what="silent, BFD 100 ms x 3, FRR and BIRD",
        example="bamako-isp",
        failure="silent uplink dakar",
        objective="keep internet for clinic",
        pick=_both,
        at_most=400,
    ),
    Case(
        what="maintenance of an uplink, the provider honours gshut",
        example="bamako-isp",
        failure="maintenance uplink dakar",
        objective="keep internet for bank",
        pick=_both,
        at_most=0,
        unit="lost",
    ),
    Case(
        what="silent, provider without BFD that holds 9 s, return",
        example="silent-provider",
        failure="silent uplink fibre",
        objective=_CUSTOMERS,
        pick=_return,
    ),
)


def measure() -> Iterator[Figure]:
    """Run every case; each example's lab is started once."""
    for example in dict.fromkeys(case.example for case in CASES):
        journal = _drill(example)
        yield from (_figure(case, journal) for case in CASES if case.example == example)


def _figure(case: Case, journal: Journal) -> Figure:
    found = [result for result in journal.drills if _is_meant(case, result)]
    values = [_worst(case, result) for result in found]
    return Figure(
        what=f"{case.what}, median",
        value=median(values),
        unit=case.unit,
        at_most=case.at_most,
        note=f"worst {max(values):.1f}, {len(values)} drills, control {journal.control.verdict}",
    )


def _is_meant(case: Case, result: DrillResult) -> bool:
    return result.name == case.failure and result.objective.startswith(case.objective)


def _worst(case: Case, result: DrillResult) -> float:
    streams = [stream for flow in result.flows for stream in case.pick(flow) if stream is not None]
    return max(stream.lost if case.unit == "lost" else stream.outage_ms for stream in streams)


def _drill(example: str) -> Journal:
    """Run the failures of an example's cases ten times on one lab."""
    network = read_intent(EXAMPLES / example)
    plan, numbers = make_plan(network)
    configs = render_configs(plan)

    def replan(elements: tuple[str, ...]) -> tuple[Plan, Configs]:
        drained = make_plan(network, numbers, draining=elements)[0]
        return drained, render_configs(drained)

    started = time.monotonic()
    with open_lab(plan, configs) as lab:
        settings = Settings(repeat=REPEAT, ready_s=time.monotonic() - started)
        drills = Drills(lab, plan, Drain(lab, plan, configs, replan), _Silent(), settings)
        return drills.run(_derive(plan, example))


def _derive(plan: Plan, example: str) -> Derived:
    cases = [case for case in CASES if case.example == example]
    derived = derive(plan, list(dict.fromkeys(case.failure for case in cases)))
    return replace(derived, runs=tuple(_only_meant(derived.runs, cases)))


def _only_meant(runs: tuple[Run, ...], cases: list[Case]) -> Iterator[Run]:
    """Yield the runs that a case names, without the drills of other objectives."""
    for run in runs:
        objectives = tuple(case.objective for case in cases if case.failure == run.failure.name)
        drills = tuple(drill for drill in run.drills if drill.objective.name.startswith(objectives))
        if objectives and drills:
            yield replace(run, drills=drills)


class _Silent:
    """A watcher who says nothing."""

    def begin(self, run: Run, number: int, total: int) -> None:
        """Say nothing."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def end(self, result: DrillResult) -> None:
        """Say nothing."""

    def control(self, control: Control) -> None:
        """Say nothing."""
