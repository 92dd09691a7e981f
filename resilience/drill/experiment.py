"""One failure, tried: steady state, fault, measurement, healing that always happens, recovery that is checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from resilience.analysis.damage import faults_of_failure
from resilience.drill.derive import Run
from resilience.drill.drain import Drain
from resilience.drill.measure import POLL_S, Measurement
from resilience.drill.state import Observer, State, wait_until_at_rest
from resilience.drill.streams import IN_FLIGHT_NS
from resilience.drill.timeline import Timeline
from resilience.drill.verdict import RECOVERY_LIMIT_MS, Measured, is_certain
from resilience.errors import LabError, NotReady
from resilience.lab.faults import arm
from resilience.lab.seam import Lab
from resilience.model.adjacency import forms_adjacency
from resilience.model.journal import Event, FaultRecord, Prediction, Recovery
from resilience.model.network import IPAddress
from resilience.model.plan import FailureKind, Fault, FaultKind, Flow, Plan

STEADY_NS = 200_000_000
"""Without a loss for this long before a fault; the control run looked for longer."""
STEADY_LIMIT_S = 15.0
QUIET_NS = 1_000_000_000
"""Traffic that has been back for this long is back."""
_ROUTES_QUIET_NS = 500_000_000
_LOOK_EVERY_S = 0.1
_RECOVERED_NS = 300_000_000
_SETTLED_S = 5.0
"""Routers that have not changed for this long, while traffic flows, are as they will be."""
_NS_IN_MS = 1_000_000


class Armed(Protocol):
    """A fault that is ready to happen within a millisecond."""

    def fire(self) -> object:
        """Let it happen."""

    def heal(self) -> object:
        """Undo it; safe to call twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All that was seen of one failure, not yet judged. Times of events count from the moment of the fault."""

    measured: Mapping[Flow, Measured] = field(default_factory=dict)
    faults: tuple[FaultRecord, ...] = ()
    timeline: tuple[Event, ...] = ()
    recovery: Recovery | None = None
    trouble: str = ""
    """Why nothing was tried; empty when it was."""
    note: str = ""


@dataclass(slots=True)
class Experimenter:
    """Tries failures in a lab, one after the other."""

    lab: Lab
    plan: Plan
    observer: Observer
    drain: Drain
    tell: Callable[[str], None]
    state: State | None = None
    """What the network looked like when nothing was broken."""

    def run(self, run: Run, flows: Sequence[Flow], predictions: Mapping[Flow, Sequence[Prediction]]) -> Observation:
        """Try one failure with the traffic of some flows."""
        try:
            self._rest(run)
        except NotReady as error:
            return Observation(trouble=error.message)
        longest_s = longest_ms(run) / 1_000 + 2 * RECOVERY_LIMIT_MS / 1_000
        with Measurement(self.lab, self.plan, flows, longest_s=longest_s) as traffic:
            troubled = traffic.wait_until_steady(STEADY_NS, STEADY_LIMIT_S)
            if troubled:
                names = ", ".join(flow.name for flow in troubled[:3])
                return Observation(
                    trouble=f"no steady state before the fault: {len(troubled)} flows lose packets ({names})"
                )
            if self.state is None:
                self.state = self.observer.look()
            if self.state.silent_daemons():
                names, self.state = ", ".join(self.state.silent_daemons()), None
                return Observation(trouble=f"no steady state before the fault: {names}")
            return self._try(run, traffic, predictions, self.state)

    def _rest(self, run: Run) -> None:
        """Let OSPF come to rest where the failure is one of its own, and before the first.

        A router tells of its links every five seconds at most, and BIRD 2.0 forgets to calculate routes where a link is
        lost and back within them (docs/explanation/failover.md): that is what two failures do, and one was asked for.
        """
        faults = faults_of_failure(self.plan, run.failure)
        if any(takes_adjacencies(self.plan, fault, first=self.state is None) for fault in faults):
            self.state = wait_until_at_rest(self.observer, self.tell)

    def _try(
        self, run: Run, traffic: Measurement, predictions: Mapping[Flow, Sequence[Prediction]], before: State
    ) -> Observation:
        self.observer.forget()
        faults = faults_of_failure(self.plan, run.failure)
        with Timeline(self.lab, involved_nodes(self.plan, faults), endpoint_addresses(traffic.flows)) as timeline:
            armed: Armed = arm(self.lab, self.plan, faults)
            records: list[FaultRecord] = []
            with self._drained(run, records, timeline) as zero_ns:
                fired_ns = time.monotonic_ns()
                start_ns = zero_ns or fired_ns
                try:
                    armed.fire()
                    records += _record_faults(self.plan, run, fired_ns - start_ns)
                    self._watch(run, traffic, timeline, predictions, start_ns, fired_ns)
                    end_ns = time.monotonic_ns() - IN_FLIGHT_NS
                finally:
                    self.tell("healing")
                    traffic.slow_down()
                    heal(armed)
                measured = {flow: traffic.read(flow, start_ns, end_ns) for flow in traffic.flows}
            events = timeline.events(start_ns, end_ns)
        self.tell("waiting for recovery")
        return Observation(
            measured=measured,
            faults=tuple(records),
            timeline=events,
            recovery=self._recover(traffic, before),
            note=self.drain.note if run.failure.kind is FailureKind.MAINTENANCE else "",
        )

    @contextmanager
    def _drained(self, run: Run, records: list[FaultRecord], timeline: Timeline) -> Iterator[int]:
        """Move traffic away first where the failure is maintenance; yields when that began, 0 without."""
        if run.failure.kind is not FailureKind.MAINTENANCE:
            yield 0
            return
        start_ns = time.monotonic_ns()
        try:
            self.tell("draining")
            self.drain.drain(run.failure.elements)
            timeline.resume()
            records += [FaultRecord(element=name, kind="drain", side="", at_ms=0.0) for name in run.failure.elements]
            yield start_ns
        finally:
            self.drain.undrain()

    def _watch(
        self,
        run: Run,
        traffic: Measurement,
        timeline: Timeline,
        predictions: Mapping[Flow, Sequence[Prediction]],
        start_ns: int,
        fired_ns: int,
    ) -> None:
        """Measure until every flow is back for good or has certainly failed, or until the longest time is over."""
        quiet_ns = quiet_time_ns(self.plan)
        deadline_ns = fired_ns + int(longest_ms(run) * _NS_IN_MS)
        look_ns = fired_ns
        while (now := time.monotonic_ns()) < deadline_ns:
            time.sleep(POLL_S)
            self.tell(f"measuring {(now - fired_ns) / 1e9:.1f} s")
            if now - fired_ns < quiet_ns + IN_FLIGHT_NS or now < look_ns:
                continue
            troubled = traffic.troubled(quiet_ns)
            # Reading every packet again gets slower with time, and so do verdicts: look less often.
            look_ns = now + max((now - fired_ns) // 20, int(POLL_S * 1e9))
            if all(self._is_lost(run, traffic, flow, predictions, start_ns, now) for flow in troubled) and (
                now - timeline.last_route_change_ns >= _ROUTES_QUIET_NS
            ):
                return

    @staticmethod
    def _is_lost(
        run: Run,
        traffic: Measurement,
        flow: Flow,
        predictions: Mapping[Flow, Sequence[Prediction]],
        start_ns: int,
        now_ns: int,
    ) -> bool:
        """Say whether a flow has certainly failed for each objective, and nobody expects it back."""
        measured = traffic.read(flow, start_ns, now_ns - IN_FLIGHT_NS)
        return all(is_certain(measured, limit, predictions.get(flow, ())) for limit in run.limits(flow))

    def _recover(self, traffic: Measurement, before: State) -> Recovery:
        """Wait until the routers look as before and every flow works; name what does not after the limit."""
        began = undisturbed_since = time.monotonic()
        while True:
            looked = time.monotonic()
            after = self.observer.look()
            differences = before.differences(after)
            troubled = traffic.troubled(_RECOVERED_NS)
            now = time.monotonic()
            if troubled:
                undisturbed_since = now
            stable_s = now - max(undisturbed_since, self.observer.unchanged_since)
            settled = stable_s > _SETTLED_S and before.is_as_good(after)
            if not troubled and (not differences or settled):
                self.state = after
                return Recovery(ok=True, after_ms=(now - began) * 1_000, differences=differences)
            if (now - began) * 1_000 > RECOVERY_LIMIT_MS:
                self.state = None
                losing = tuple(f"{flow.name} loses packets" for flow in troubled)
                return Recovery(ok=False, after_ms=(now - began) * 1_000, differences=(*differences, *losing))
            self.tell(f"waiting for recovery {now - began:.1f} s: {(*differences, 'traffic')[0]}")
            # Daemons recover on the processors that looking takes its time from.
            time.sleep(max(_LOOK_EVERY_S, 2 * (time.monotonic() - looked)))


def heal(armed: Armed) -> None:
    """Undo a fault; once more where that fails: a node that did not start may start the second time."""
    try:
        armed.heal()
    except LabError:
        armed.heal()


def longest_ms(run: Run) -> float:
    """Return after how long measuring ends at the latest: twice `within` + 1 s, or the time that recovery may take."""
    limits = [drill.objective.within_ms for drill in run.drills]
    return max(RECOVERY_LIMIT_MS if limit is None else 2 * limit + 1_000 for limit in limits)


def quiet_time_ns(plan: Plan) -> int:
    """Return how long traffic must have been back: longer than BFD takes to find what else has died."""
    intervals = [end.bfd.detection_ms for session in plan.sessions for end in session.ends if end.bfd is not None]
    intervals += [
        interface.bfd.detection_ms
        for node in plan.routers()
        for interface in node.interfaces
        if interface.bfd is not None
    ]
    return max(QUIET_NS, int(1.2 * max(intervals, default=0) * _NS_IN_MS))


def involved_nodes(plan: Plan, faults: Sequence[Fault]) -> tuple[str, ...]:
    """Return the own routers, and whoever stands at an end of what fails; not those who lose power themselves."""
    found = dict.fromkeys(router.name for router in plan.routers())
    for fault in faults:
        if fault.target in plan.segments:
            found |= dict.fromkeys(node for node, _interface in plan.segments[fault.target].ends)
        elif fault.target in plan.nodes:
            found |= dict.fromkeys((fault.target, *(neighbor.remote.node for neighbor in plan.neighbors(fault.target))))
    dark = {fault.target for fault in faults if fault.kind is FaultKind.CRASH}
    return tuple(name for name in found if name not in dark and plan.nodes[name].platform is not None)


def takes_adjacencies(plan: Plan, fault: Fault, *, first: bool) -> bool:
    """Say whether a fault ends an adjacency of OSPF; of the first one, whether there are any at all."""
    if first:
        ends = [(node.name, interface.name) for node in plan.routers() for interface in node.interfaces]
    elif fault.target in plan.segments:
        ends = list(plan.segments[fault.target].ends)
    elif fault.target in plan.nodes:
        ends = [(fault.target, interface.name) for interface in plan.nodes[fault.target].interfaces]
    else:
        return False
    return any(forms_adjacency(plan, node, interface) for node, interface in ends)


def endpoint_addresses(flows: Sequence[Flow]) -> tuple[IPAddress, ...]:
    """Return every address that measured traffic goes to, in either direction."""
    return tuple(dict.fromkeys(end.address for flow in flows for end in (flow.source, flow.target)))


def _record_faults(plan: Plan, run: Run, at_ns: int) -> list[FaultRecord]:
    silent = run.failure.kind is FailureKind.SILENT
    records = []
    for name in run.failure.elements:
        element = plan.elements[name]
        faults = element.silent_faults if silent else element.faults
        kinds = " and ".join(dict.fromkeys(str(fault.kind) for fault in faults))
        side = "both ways" if silent else ""
        records.append(FaultRecord(element=name, kind=kinds, side=side, at_ms=at_ns / _NS_IN_MS))
    return records
