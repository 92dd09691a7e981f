"""A whole run of drills on one lab: control run, every failure, the journal."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Protocol

from resilience.analysis import Damage, damage_of_failure, flow_paths, predict
from resilience.drill.derive import FLOWS_AT_ONCE, Derived, Drill, Run, WayOf, derive_drills
from resilience.drill.drain import Drain
from resilience.drill.experiment import STEADY_LIMIT_S, Experimenter, Observation
from resilience.drill.explain import explain
from resilience.drill.measure import POLL_S, Measurement
from resilience.drill.state import Observer
from resilience.drill.streams import IN_FLIGHT_NS
from resilience.drill.verdict import (
    Judgement,
    Measured,
    compare,
    distrust,
    judge_control,
    judge_drill,
    judge_flow,
    judge_outage,
    judge_run,
)
from resilience.errors import LabError
from resilience.lab.seam import Lab
from resilience.model.journal import (
    Control,
    DrillResult,
    FlowResult,
    Journal,
    LabRecord,
    Prediction,
    Verdict,
)
from resilience.model.plan import Failure, FailureKind, Flow, Plan, Trial

CONTROL_NS = 1_000_000_000
"""Without a fault, not one packet may be lost for so long."""
CONTROL_STEADY_NS = 500_000_000


class Watcher(Protocol):
    """Who is told how it goes."""

    def begin(self, run: Run, number: int, total: int) -> None:
        """A failure is about to be tried."""

    def step(self, text: str) -> None:
        """What happens right now."""

    def end(self, result: DrillResult) -> None:
        """A drill has its verdict."""

    def control(self, control: Control) -> None:
        """The control run has ended."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run drills."""

    repeat: int = 1
    ready_s: float = 0.0
    """How long the lab took to converge, or until it was seen to be at rest, for the journal."""
    predicts: bool = True
    """Hold what is measured against a prediction; somebody else's lab has no intent to make one of."""


def derive(plan: Plan, names: Sequence[str] = ()) -> Derived:
    """Return the drills of a plan, with flows that take equal ways told apart by the analysis."""
    return derive_drills(plan, names, lambda trial: _way_of(plan, trial))


def _way_of(plan: Plan, trial: Trial) -> WayOf:
    damage = damage_of_failure(plan, trial.failure)

    def way(flow: Flow) -> Hashable:
        return _inner_ways(plan, flow, None), _inner_ways(plan, flow, damage)

    return way


def _inner_ways(plan: Plan, flow: Flow, damage: Damage | None) -> Hashable:
    """Return the ways between the routers of a flow's ends: two hosts behind one router share everything beyond it."""
    paths = flow_paths(plan, flow, damage)
    return tuple(tuple((leg.nodes[1:-1], leg.end) for leg in legs) for legs in (paths.forward, paths.back))


class Drills:
    """The drills of a plan on a running lab."""

    def __init__(self, lab: Lab, plan: Plan, drain: Drain, watcher: Watcher, settings: Settings) -> None:
        self._lab = lab
        self._plan = plan
        self._drain = drain
        self._watcher = watcher
        self._settings = settings
        self._dead: frozenset[Flow] = frozenset()
        self._drained_plans: dict[Failure, Plan] = {}

    def run(self, derived: Derived) -> Journal:
        """Run the control and every drill, and return what there is to say of them."""
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        flows = tuple(dict.fromkeys(flow for run in derived.runs for flow in run.flows))
        control, noisy = self._control(flows)
        self._watcher.control(control)
        results = tuple(self._all(derived.runs, noisy=noisy))
        return Journal(
            tool_version=version("netresilience"),
            network=self._plan.network.name,
            input_sha256=self._plan.network.digest,
            started_at=started_at,
            backend=self._lab.backend,
            lab=LabRecord(nodes=len(self._plan.nodes), ready_s=round(self._settings.ready_s, 3)),
            control=control,
            drills=results,
            skipped=derived.skipped,
            verdict=judge_run((result.verdict for result in results), control.verdict),
        )

    # --- without a fault

    def _control(self, flows: Sequence[Flow]) -> tuple[Control, bool]:
        """Measure without a fault; also say whether packets were lost of flows that work.

        A flow that never works cannot be drilled, and makes the verdict unknown. A flow that works and loses packets
        shows that nothing here can be trusted.
        """
        results: list[FlowResult] = []
        noisy = False
        for start in range(0, len(flows), FLOWS_AT_ONCE):
            part, disturbed = self._control_part(flows[start : start + FLOWS_AT_ONCE])
            if disturbed:
                # Once more: what is left of a lab's start is no noise of measuring, and noise will show again.
                part, disturbed = self._control_part(flows[start : start + FLOWS_AT_ONCE])
            results += part
            noisy = noisy or disturbed
        return Control(flows=tuple(results), verdict=judge_control(results)), noisy

    def _control_part(self, flows: Sequence[Flow]) -> tuple[list[FlowResult], bool]:
        with Measurement(self._lab, self._plan, flows, longest_s=60) as traffic:
            self._watcher.step(f"control run without a fault, {len(flows)} flows")
            dead = frozenset(traffic.wait_until_steady(CONTROL_STEADY_NS, STEADY_LIMIT_S))
            measured = self._listen(traffic)
        self._dead |= dead
        judged = {flow: judge_outage(what, 0) for flow, what in measured.items()}
        disturbed = any(flow not in dead and one.verdict is not Verdict.PASS for flow, one in judged.items())
        return [_flow_result(flow, measured[flow], 0, one) for flow, one in judged.items()], disturbed

    @staticmethod
    def _listen(traffic: Measurement) -> Mapping[Flow, Measured]:
        start_ns = time.monotonic_ns()
        end_ns = start_ns + CONTROL_NS
        while time.monotonic_ns() < end_ns + IN_FLIGHT_NS:
            time.sleep(POLL_S)
        traffic.stop()
        return {flow: traffic.read(flow, start_ns, end_ns) for flow in traffic.flows}

    # --- with faults

    def _all(self, runs: Sequence[Run], *, noisy: bool) -> Iterator[DrillResult]:
        with Observer(self._lab, self._plan) as observer:
            experimenter = Experimenter(self._lab, self._plan, observer, self._drain, self._watcher.step)
            for number, run in enumerate(runs, 1):
                for repetition in range(1, self._settings.repeat + 1):
                    self._watcher.begin(run, number, len(runs))
                    for result in self._one(experimenter, run, repetition, noisy=noisy):
                        self._watcher.end(result)
                        yield result

    def _one(self, experimenter: Experimenter, run: Run, repetition: int, *, noisy: bool) -> Iterator[DrillResult]:
        alive = [flow for flow in run.flows if flow not in self._dead]
        predictions = self._predict(run)
        if alive:
            try:
                seen = experimenter.run(run, alive, predictions)
            except LabError as error:
                experimenter.state = None
                seen = Observation(trouble=f"the lab failed: {error}")
        else:
            seen = Observation(trouble="none of its flows works even without a fault")
        for drill in run.drills:
            yield self._judge(drill, seen, predictions, repetition, noisy=noisy)

    def _predict(self, run: Run) -> Mapping[Flow, Sequence[Prediction]]:
        flows = run.flows
        if not self._settings.predicts:
            return dict.fromkeys(flows, ())
        drained = self._drained_plan(run.failure) if run.failure.kind is FailureKind.MAINTENANCE else None
        found: dict[Flow, list[Prediction]] = {flow: [] for flow in flows}
        by_name = {flow.name: flow for flow in flows}
        for prediction in predict(self._plan, run.failure, flows, drained=drained):
            found[by_name[prediction.flow]].append(prediction)
        return found

    def _drained_plan(self, failure: Failure) -> Plan:
        if failure not in self._drained_plans:
            self._drained_plans[failure] = self._drain.replan(failure.elements)[0]
        return self._drained_plans[failure]

    def _judge(
        self,
        drill: Drill,
        seen: Observation,
        predictions: Mapping[Flow, Sequence[Prediction]],
        repetition: int,
        *,
        noisy: bool,
    ) -> DrillResult:
        results, contradictions = [], []
        for flow in drill.flows:
            measured = seen.measured.get(flow)
            if measured is None:
                results.append(_unmeasured(flow, drill.objective.within_ms, seen.trouble))
                continue
            judged = judge_flow(measured, drill.objective.within_ms, predictions[flow])
            contradictions += [compare(measured, predictions[flow])]
            results.append(self._explained(drill, flow, measured, judged))
        if noisy:
            results = [distrust(result) for result in results]
        agrees = not any(contradictions) and not seen.trouble
        judged = judge_drill(results, seen.recovery, agrees=agrees or bool(seen.trouble))
        reason = "; ".join(part for part in (seen.trouble, "" if seen.trouble else judged.reason, seen.note) if part)
        return DrillResult(
            name=drill.failure.name,
            objective=drill.objective.name,
            hypothesis=drill.hypothesis,
            faults=seen.faults,
            flows=tuple(results),
            left_out=drill.trial.left_out,
            predicted=tuple(prediction for flow in drill.flows for prediction in predictions[flow]),
            agrees=agrees,
            timeline=seen.timeline,
            recovered=seen.recovery,
            verdict=judged.verdict,
            reason=reason,
            repetition=repetition,
        )

    def _explained(self, drill: Drill, flow: Flow, measured: Measured, judged: Judgement) -> FlowResult:
        why = explain(self._plan, drill.failure, measured)
        if why:
            judged = Judgement(judged.verdict, f"{judged.reason}: {why}")
        return _flow_result(flow, measured, drill.objective.within_ms, judged)


def _flow_result(flow: Flow, measured: Measured, limit_ms: int | None, judged: Judgement) -> FlowResult:
    return FlowResult(
        flow=flow.name,
        source=flow.source.label,
        target=flow.target.label,
        family=flow.family,
        protocol=str(flow.protocol),
        limit_ms=limit_ms,
        forward=measured.forward,
        back=measured.back,
        tcp=measured.tcp,
        outage_ms=measured.outage_ms,
        resolution_ms=measured.resolution_ms,
        verdict=judged.verdict,
        reason=judged.reason,
    )


def _unmeasured(flow: Flow, limit_ms: int | None, trouble: str) -> FlowResult:
    reason = trouble or "does not work even without a fault"
    nothing = Measured(resolution_ms=float("inf"))
    return _flow_result(flow, nothing, limit_ms, Judgement(Verdict.UNKNOWN, reason))
