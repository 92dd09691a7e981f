"""Checks of the objectives themselves: which promise falls by what, which one takes too long, and what would help."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from resilience.analysis import constants
from resilience.analysis.damage import damage_of_failure
from resilience.analysis.forwarding import End, Leg
from resilience.analysis.paths import legs_of
from resilience.analysis.predict import look, predict, settled_after_ms
from resilience.analysis.subject import Found, Subject, join, place
from resilience.analysis.world import Situation
from resilience.model.findings import Severity
from resilience.model.journal import Prediction
from resilience.model.network import Position
from resilience.model.plan import Element, ElementKind, Failure, FailureKind, Flow, Plan, PlannedObjective, Trial
from resilience.model.units import show_duration
from resilience.plan import make_plan

_TOO_SHORT_TO_TELL_MS = round(constants.REROUTED.high_ms)
"""Less than this is what any change of a way may cost; a drill tells it, not a check."""


class Fall(NamedTuple):
    """A flow that does not come back, and the way on which it is lost."""

    flow: Flow
    leg: Leg


def find_never_kept(subject: Subject) -> Iterator[Found]:
    """Name promises that do not even hold while everything works."""
    for planned in subject.plan.objectives:
        falls = _falls(subject.world.whole, planned.flows)
        if falls:
            yield Found(
                planned.objective.name,
                f"`{planned.objective.name}` does not hold even while everything works: {_lost(falls)}",
                _remedy_of_leg(falls[0].leg),
                _at(planned),
                tuple(fall.flow.name for fall in falls),
            )


def find_falls(subject: Subject) -> Iterator[Found]:
    """Name each failure that an objective does not survive."""
    for planned in subject.plan.objectives:
        flows = {flow.name: flow for flow in planned.flows}
        broken = {fall.flow.name for fall in _falls(subject.world.whole, planned.flows)}
        for trial in planned.trials:
            situation = subject.world.settle(damage_of_failure(subject.plan, trial.failure))
            falls = _falls(situation, [flows[name] for name in trial.flows if name not in broken])
            if falls:
                yield _say_fall(subject, planned, trial, situation, falls)


def _falls(situation: Situation, flows: Iterable[Flow]) -> list[Fall]:
    found = []
    for flow in flows:
        for way, here in look(situation, flow).items():
            if not here.every:
                legs = legs_of(situation, flow, way)
                found.append(Fall(flow, next((leg for leg in legs if not leg.delivered), legs[0])))
                break
    return found


def _say_fall(
    subject: Subject, planned: PlannedObjective, trial: Trial, situation: Situation, falls: list[Fall]
) -> Found:
    names = join(_who(falls), 4)
    return Found(
        planned.objective.name,
        f"`{planned.objective.name}` falls when {_failing(trial.failure)}: "
        f"{len(falls)} of {len(trial.flows)} flows are lost ({names}): {_lost(falls)}",
        _remedy(subject, trial.failure, situation, falls),
        _at(planned),
        tuple(fall.flow.name for fall in falls),
    )


def _who(falls: list[Fall]) -> list[str]:
    return list(dict.fromkeys(fall.flow.source.label for fall in falls))


def _failing(failure: Failure) -> str:
    if failure.kind is FailureKind.SILENT:
        return f"{join(failure.elements)} fails silently"
    if failure.kind is FailureKind.MAINTENANCE:
        return f"{join(failure.elements)} is taken down for maintenance"
    return f"{join(failure.elements, 3)} {'fails' if len(failure.elements) == 1 else 'fail at once'}"


_WORDS = {
    End.NO_ROUTE: "no route at {here}",
    End.DISCARDED: "{here} still announces the prefix but no longer reaches its part of it, and discards",
    End.LOOP: "packets go round in a loop: {way}",
    End.LOST: "{before} goes on sending to {here}, where packets vanish",
    End.FILTERED: "the anti-spoofing of {here} drops it: it comes in where its source is not expected",
    End.DEAD: "{here} has no power",
}


def _lost(falls: list[Fall]) -> str:
    """Say where the first of them is lost."""
    leg = falls[0].leg
    before = leg.nodes[-2] if len(leg.nodes) > 1 else leg.nodes[-1]
    return _WORDS[leg.end].format(here=leg.nodes[-1], before=before, way=" > ".join(leg.nodes))


_LEG_REMEDIES = {
    End.LOOP: "routers disagree about the way out: let every router on the way know the same exits "
    "(multipath on one router only, a full mesh instead of reflectors, or ranks that differ)",
    End.FILTERED: "connect the customer so that its traffic comes in where its prefixes are declared",
}


def _remedy_of_leg(leg: Leg) -> str:
    return _LEG_REMEDIES.get(leg.end, f"look at the way {' > '.join(leg.nodes)}")


def _remedy(subject: Subject, failure: Failure, situation: Situation, falls: list[Fall]) -> str:
    leg = falls[0].leg
    if leg.end in _LEG_REMEDIES:
        return _LEG_REMEDIES[leg.end]
    if failure.kind is FailureKind.SILENT and situation.damage.grey:
        return (
            f"no routing protocol sees that {join(sorted(situation.damage.grey))} forwards nothing while its sessions "
            "stand: watch from end to end and drain the uplink when it happens"
        )
    parts = subject.halves(situation)
    if len(parts) > 1:
        return (
            f"a second link between {join(parts[0], 3)} and {join(parts[1], 3)} that does not share {_short(failure)}"
        )
    return _remedy_of_elements(subject, failure)


def _short(failure: Failure) -> str:
    return join([name.partition(" ")[2] or name for name in failure.elements], 3)


def _remedy_of_elements(subject: Subject, failure: Failure) -> str:
    elements = [subject.plan.elements[name] for name in failure.elements if name in subject.plan.elements]
    uplinks = {e.short for e in elements if e.kind is ElementKind.UPLINK}
    uplinks |= {u.name for u in subject.network.uplinks.values() if f"provider {u.provider}" in failure.elements}
    uplinks |= {name for e in elements if e.kind is ElementKind.RISK for name in subject.taken_by.get(e.short, ())}
    if uplinks and uplinks == set(subject.network.uplinks):
        if all(element.international for element in elements):
            return (
                "what must work then has to be reached inside the country: an exchange, or a copy of the service here"
            )
        return f"another uplink that does not share {_short(failure)}: {join(sorted(uplinks))} all leave through it"
    kind = _kind(elements)
    remedy = "another way around {what}" if kind is None else _REMEDIES.get(kind, "another way around {what}")
    return remedy.format(what=_short(failure))


def _kind(elements: list[Element]) -> ElementKind | None:
    kinds = {element.kind for element in elements}
    return kinds.pop() if len(kinds) == 1 else None


_REMEDIES = {
    ElementKind.LINK: "a second link that does not share a way with {what}",
    ElementKind.ROUTER: "connect what hangs on {what} to a second router",
    ElementKind.SITE: "connect what hangs on {what} to a second site",
    ElementKind.UPLINK: "a second uplink, at another provider, that shares no risk with {what}",
    ElementKind.PROVIDER: "an uplink to a second provider that shares no risk with {what}",
    ElementKind.PORT: "a second port at the exchange, on another router, or an uplink that reaches its members",
    ElementKind.EXCHANGE: "an uplink, or a second exchange, that reaches the members of {what}",
    ElementKind.ROUTE_SERVER: "the exchange's second route server, or bilateral sessions with those who matter",
    ElementKind.PEER: "route servers beside the bilateral session {what}",
    ElementKind.RISK: "a connection that does not share {what}",
}


def find_late(subject: Subject) -> Iterator[Found]:
    """Name failures that an objective survives, but later than it promises."""
    for planned in subject.plan.objectives:
        if planned.objective.within_ms is None:
            continue
        limit = max(planned.objective.within_ms, _TOO_SHORT_TO_TELL_MS)
        late: dict[str, list[tuple[Trial, list[Prediction]]]] = {}
        for trial in planned.trials:
            slow = [p for p in _predictions(subject, planned, trial, limit) if limit < p.high_ms < math.inf]
            if slow:
                worst = max(slow, key=lambda p: (p.low_ms > limit, p.high_ms, p.low_ms))
                late.setdefault(_culprit(worst), []).append((trial, sorted(slow, key=lambda p: p is not worst)))
        for group in late.values():
            yield _say_late(planned, planned.objective.within_ms, group)


def _predictions(subject: Subject, planned: PlannedObjective, trial: Trial, limit: int) -> tuple[Prediction, ...]:
    """Predict where it matters: not where even the slowest course has settled in time."""
    flows = [flow for flow in planned.flows if flow.name in set(trial.flows)]
    drained: Plan | None = None
    if trial.failure.kind is FailureKind.MAINTENANCE:
        drained = make_plan(subject.network, subject.numbers, draining=trial.failure.elements)[0]
    elif settled_after_ms(subject.plan, trial.failure, flows) <= limit:
        return ()
    return predict(subject.plan, trial.failure, flows, drained=drained)


def _culprit(prediction: Prediction) -> str:
    """Return the step that takes longest: failures that wait for the same one are told together."""
    return max(prediction.because, key=_longest, default="")


def _longest(term: str) -> float:
    """Read the upper bound back from a term's end, `...: LOW-HIGH ms`."""
    _, _, bounds = term.rpartition(": ")
    high = bounds.removesuffix(" ms").rpartition("-")[2]
    return float(high) if high.replace(".", "", 1).isdigit() else 0.0


def _say_late(planned: PlannedObjective, limit: int, group: list[tuple[Trial, list[Prediction]]]) -> Found:
    worst = group[0][1][0]
    flows = tuple(dict.fromkeys(p.flow for _, slow in group for p in slow))
    surely = any(p.low_ms > limit for _, slow in group for p in slow)
    names = join([_failing(trial.failure) for trial, _ in group], 4)
    return Found(
        planned.objective.name,
        f"`{planned.objective.name}` promises {show_duration(limit)}, but when {names}, "
        f"{worst.flow} ({worst.direction}) {'is' if surely else 'may be'} out for "
        f"{show_duration(worst.low_ms)} to {show_duration(worst.high_ms)}: "
        f"{_culprit(worst)}",
        _faster(_culprit(worst)),
        _at(planned),
        flows,
        Severity.ERROR if surely else Severity.WARNING,
    )


def _faster(culprit: str) -> str:
    if "hold timer" in culprit:
        where = culprit.partition(" at ")[2].partition(":")[0]
        return f"agree on BFD with {where} (`bfd: true` when they have it too), or on a shorter hold time"
    if "BFD" in culprit:
        return "a shorter BFD interval, where both ends can keep it"
    if "OSPF" in culprit or "LSA" in culprit or "go round" in culprit:
        return "OSPF on BIRD works in ticks of one second: FRR on the routers next to it reacts within 0.2 s"
    return "an equal way that is in use already, or another way out on the same router"


def _at(planned: PlannedObjective) -> Position | None:
    return planned.objective.at if planned.objective.at.line else None


def find_oscillation(subject: Subject) -> Iterator[Found]:
    """Name failures after which routing never comes to rest. Runs late: it judges what other checks worked out."""
    remedy = "preferences form a circle: compare the import policies of those who prefer each other's routes"
    for destination in subject.world.originators:
        if not subject.world.whole.state(destination).settled:
            message = f"routers never agree on the way to {destination.prefix} (BGP oscillation)"
            yield Found(subject.network.name, message, remedy)
    for element in subject.plan.elements.values():
        situation = subject.fall_of(element)
        if subject.world.whole.settled and not situation.settled:
            message = f"when {element.name} fails, routers may go on changing their minds (BGP oscillation)"
            yield Found(element.name, message, remedy, place(element))
