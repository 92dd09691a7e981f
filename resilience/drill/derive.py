"""From a plan's objectives to drills. Every failure of every objective is tried; none is sampled.

A failure that several objectives name happens once: all their flows are measured together, and each objective gets a
drill of its own out of it with the flows and the limit that it promised. That halves the time of a run, and nothing is
lost by it: an outage is the same whoever asks. Only where there would be more flows than can be measured finely at
once, objectives get their failures separately.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from resilience.errors import UnknownName
from resilience.model.network import Objective
from resilience.model.plan import Failure, FailureKind, Flow, Plan, PlannedObjective, Trial
from resilience.model.units import show_duration

FLOWS_AT_ONCE = 40
"""80 one-way streams: the most for which a resolution of 5 ms is promised."""
MOST_FLOWS = 20
"""Beyond these, one flow of each set that takes the same way."""

WayOf = Callable[[Flow], Hashable]
"""What is equal for flows that take the same way through the plan before and after the failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One failure for one objective. `flows` are measured, `alike` are left out because one of them goes their way."""

    objective: Objective
    trial: Trial
    flows: tuple[Flow, ...]
    alike: int = 0

    @property
    def failure(self) -> Failure:
        """What fails."""
        return self.trial.failure

    @property
    def hypothesis(self) -> str:
        """The promise about this failure, in a sentence."""
        limit = self.objective.within_ms
        if limit is None:
            how = "traffic comes back"
        elif limit == 0:
            how = "no packet is lost"
        else:
            how = f"traffic is back within {show_duration(limit)}"
        sentence = f"{self.objective.keep} for {self.objective.whom}: when {tell_failure(self.failure)}, {how}"
        if self.alike:
            sentence += f" ({self.alike} flows that take the same ways as these {len(self.flows)} are left out)"
        return sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One failure that happens once, and the drills that share it."""

    failure: Failure
    drills: tuple[Drill, ...]

    @property
    def flows(self) -> tuple[Flow, ...]:
        """Every flow of its drills, each once."""
        return tuple(dict.fromkeys(flow for drill in self.drills for flow in drill.flows))

    def limits(self, flow: Flow) -> tuple[int | None, ...]:
        """Return what each objective promises for a flow."""
        return tuple(drill.objective.within_ms for drill in self.drills if flow in drill.flows)


@dataclass(frozen=True, slots=True)
class Derived:
    """What there is to do, and what there is not, with reasons."""

    runs: tuple[Run, ...]
    skipped: tuple[str, ...]


def tell_failure(failure: Failure) -> str:
    """Return what happens, in words that follow `when`."""
    if len(failure.elements) > 2:
        return f"{failure.name} happens ({len(failure.elements)} elements at once)"
    names = " and ".join(failure.elements)
    verb = "fail" if len(failure.elements) > 1 else "fails"
    if failure.kind is FailureKind.SILENT:
        return f"{names} {verb} silently"
    if failure.kind is FailureKind.MAINTENANCE:
        return f"{names} {'are' if len(failure.elements) > 1 else 'is'} drained and taken down"
    return f"{names} {verb}"


def derive_drills(plan: Plan, names: Sequence[str], way_of: Callable[[Trial], WayOf]) -> Derived:
    """Return the runs that a plan's objectives ask for; `names` selects among them."""
    wanted = {id(trial) for trial in _select(plan, names)}
    found: dict[Failure, list[Drill]] = {}
    skipped: list[str] = []
    for planned in plan.objectives:
        for trial in planned.trials:
            if id(trial) not in wanted:
                continue
            if trial.flows:
                found.setdefault(trial.failure, []).append(_make_drill(planned, trial, way_of(trial)))
            else:
                skipped.append(
                    f"{planned.objective.keep} for {planned.objective.whom} when {tell_failure(trial.failure)}: "
                    "every flow has an end in what fails, nothing could keep that promise"
                )
        if not names:
            skipped += _bounded(planned)
    runs = (run for failure, drills in found.items() for run in _share_runs(failure, drills))
    return Derived(tuple(runs), tuple(skipped))


def _share_runs(failure: Failure, drills: Sequence[Drill]) -> Iterator[Run]:
    """Yield runs of drills that share a failure, as many drills in each as can be measured at once."""
    together: list[Drill] = []
    for drill in drills:
        flows = {flow for one in (*together, drill) for flow in one.flows}
        if together and len(flows) > FLOWS_AT_ONCE:
            yield Run(failure=failure, drills=tuple(together))
            together = []
        together.append(drill)
    yield Run(failure=failure, drills=tuple(together))


def _bounded(planned: PlannedObjective) -> list[str]:
    if planned.failures_possible <= len(planned.trials):
        return []
    return [f"{planned.objective.name}: tried {len(planned.trials)} of {planned.failures_possible} failures"]


def _make_drill(planned: PlannedObjective, trial: Trial, way_of: WayOf) -> Drill:
    by_name = {flow.name: flow for flow in planned.flows}
    flows = tuple(by_name[name] for name in trial.flows)
    chosen = choose_flows(flows, way_of)
    return Drill(objective=planned.objective, trial=trial, flows=chosen, alike=len(flows) - len(chosen))


def choose_flows(flows: Sequence[Flow], way_of: WayOf) -> tuple[Flow, ...]:
    """Return all flows up to 20; beyond, the first of each set that takes the same way with the same protocol."""
    if len(flows) <= MOST_FLOWS:
        return tuple(flows)
    first: dict[Hashable, Flow] = {}
    for flow in flows:
        first.setdefault((flow.family, flow.protocol, flow.listener, way_of(flow)), flow)
    return tuple(first.values())


def _select(plan: Plan, names: Sequence[str]) -> Iterable[Trial]:
    """Return the trials that any of the names means; all of them without names. UnknownName for one that means none."""
    trials = [(planned.objective, trial) for planned in plan.objectives for trial in planned.trials]
    if not names:
        return [trial for _objective, trial in trials]
    selected: list[Trial] = []
    for name in names:
        meant = _meant(plan, name, trials)
        if not meant:
            raise _unknown(plan, name)
        selected += meant
    return selected


def _meant(plan: Plan, name: str, trials: Sequence[tuple[Objective, Trial]]) -> list[Trial]:
    """Return the trials of the first kind of thing that bears a name: failure, objective, element, element in short."""
    readings: tuple[Callable[[Objective, Failure], bool], ...] = (
        lambda _objective, failure: name == failure.name,
        lambda objective, _failure: name in {objective.name, f"keep {objective.keep}"},
        lambda _objective, failure: name in failure.elements,
        lambda _objective, failure: any(plan.elements[element].short == name for element in failure.elements),
    )
    for reads in readings:
        meant = [trial for objective, trial in trials if reads(objective, trial.failure)]
        if meant:
            return meant
    return []


def _unknown(plan: Plan, name: str) -> UnknownName:
    known = {
        word
        for planned in plan.objectives
        for trial in planned.trials
        for word in (trial.failure.name, planned.objective.name, f"keep {planned.objective.keep}")
    }
    near = get_close_matches(name, sorted(known), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "`resilience drill NET --list` shows every drill"
    return UnknownName(f"no drill is called {name!r}", hint=hint)
