"""What a drill should measure: each flow and direction reachable or not, and bounds of the outage with their terms."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from resilience.analysis import constants
from resilience.analysis.clock import START, Cause, Clock, Pace
from resilience.analysis.constants import Bounds
from resilience.analysis.course import Course, Moment
from resilience.analysis.damage import Damage, damage_of_failure, faults_of_failure
from resilience.analysis.forwarding import Leg, Packet, paths_of, trace
from resilience.analysis.world import World, world_of
from resilience.model.journal import Prediction, Way
from resilience.model.plan import Failure, FailureKind, FaultKind, Flow, Plan
from resilience.model.units import show_duration


class Outage(NamedTuple):
    """How long nothing arrives, and the event that ends it."""

    took_ms: float
    ended_by: Cause | None


class Answer(NamedTuple):
    """The prediction of one direction, before it bears a flow's name."""

    reachable: bool
    low_ms: float
    high_ms: float
    because: tuple[str, ...]


class Courses(NamedTuple):
    """The same failure at both paces."""

    fastest: Course
    slowest: Course


def predict(
    plan: Plan, failure: Failure, flows: Iterable[Flow], *, drained: Plan | None = None
) -> tuple[Prediction, ...]:
    """Return what to expect of each flow in each direction when a failure happens.

    Args:
        plan: the network as it runs.
        failure: what fails.
        flows: whose traffic is watched.
        drained: for maintenance, the same network with the elements draining, in which it is settled when they go down.
            Without it the elements are taken down as they are.
    """
    before, world = world_of(plan), world_of(drained if drained is not None else plan)
    damage = damage_of_failure(plan, failure)
    courses = _courses(world, plan, failure, damage)
    answers: dict[tuple[object, ...], Answer] = {}
    found = []
    for flow in flows:
        for way in Way:
            key = (flow.source, flow.target, way)
            if key not in answers:
                answer = _answer(courses, flow, way)
                moved = drained is not None and failure.kind is FailureKind.MAINTENANCE
                answers[key] = _drained(before, world, flow, way, answer) if moved else answer
            found.append(Prediction(flow=flow.name, direction=way, **answers[key]._asdict()))
    return tuple(found)


def _courses(world: World, plan: Plan, failure: Failure, damage: Damage) -> Courses:
    """Begin with what is uncertain about the failure itself: several faults, processes that die one by one."""
    faults = faults_of_failure(plan, failure)
    terms: list[tuple[Bounds, str]] = []
    if len(faults) > 1:
        terms.append((constants.AT_ONCE, f"{len(faults)} faults one after the other"))
    if any(fault.kind is FaultKind.CRASH for fault in faults):
        terms.append((constants.CRASH, "losing power"))
    made = []
    for pace in (Pace.FASTEST, Pace.SLOWEST):
        clock, first = Clock(pace), START
        for bounds, text in terms:
            first = clock.after(first, bounds, text)
        made.append(Course(world, damage, pace, first=first))
    return Courses(*made)


def _answer(courses: Courses, flow: Flow, way: Way) -> Answer:
    before = paths_of(courses.slowest.world.whole, flow)
    usual = before.forward if way is Way.FORWARD else before.back
    if not any(leg.delivered for leg in usual):
        return Answer(reachable=False, low_ms=math.inf, high_ms=math.inf, because=("no way even before the failure",))
    if _is_untouched(courses.slowest, flow, way, usual):
        return _unbroken(courses.slowest, flow, way, usual)
    fast, slow = _measure(courses.fastest, flow, way), _measure(courses.slowest, flow, way)
    if math.isinf(slow.took_ms):
        return _unreachable(courses.slowest, flow, way, fast)
    if slow.ended_by is None:
        return _unbroken(courses.slowest, flow, way, usual)
    return _bounded(fast, slow)


def _is_untouched(course: Course, flow: Flow, way: Way, usual: tuple[Leg, ...]) -> bool:
    """Say whether nothing on a direction's way ever changes, so that there is nothing to add up."""
    after = paths_of(course.settled, flow)
    if usual != (after.forward if way is Way.FORWARD else after.back):
        return False
    nodes = {node for leg in usual for node in leg.nodes}
    target = flow.target.address if way is Way.FORWARD else flow.source.address
    return all(nodes.isdisjoint(course.changes(prefix)) for prefix in course.world.covering(target))


def _measure(course: Course, flow: Flow, way: Way) -> Outage:
    """Add up the time in which a direction is out: for the fastest pace of its luckiest leg, else of its unluckiest."""
    enough = any if course.clock.pace is Pace.FASTEST else all
    total, since, ended_by = 0.0, None, None
    answering = _answering(course.world, flow)
    moments = course.moments((flow.source.address, flow.target.address))
    if not moments or moments[0][0] > 0:
        moments.insert(0, (0.0, {}))
    for at_ms, causes in moments:
        answering = _still_answering(Moment(course, at_ms), flow, answering)
        legs = _legs(Moment(course, at_ms), flow, way, answering)
        works = enough(leg.delivered for leg in legs)
        if works and since is not None:
            total, since, ended_by = total + at_ms - since, None, _on_the_way(causes, legs)
        elif not works and since is None:
            since = at_ms
    return Outage(math.inf if since is not None else total, ended_by)


def _on_the_way(causes: dict[str, Cause], legs: list[Leg]) -> Cause:
    """Of all kernels that changed at this moment, return what moved one that the packet passes."""
    passed = [causes[node] for leg in legs for node in leg.nodes if node in causes]
    return passed[0] if passed else next(iter(causes.values()))


def _answering(world: World, flow: Flow) -> tuple[str, ...]:
    """Return the nodes of the target that forward traffic reaches while the network is whole."""
    return tuple(dict.fromkeys(leg.nodes[-1] for leg in paths_of(world.whole, flow).forward if leg.delivered))


def _still_answering(moment: Moment, flow: Flow, answering: tuple[str, ...]) -> tuple[str, ...]:
    if len(flow.target.nodes) == 1:
        return flow.target.nodes
    reached = tuple(dict.fromkeys(leg.nodes[-1] for leg in _forward(moment, flow) if leg.delivered))
    return reached or answering


def _forward(moment: Moment, flow: Flow) -> list[Leg]:
    packet = Packet(flow.source.address, flow.target.address)
    return [leg for node in flow.source.nodes for leg in trace(moment, node, packet)]


def _legs(moment: Moment, flow: Flow, way: Way, answering: tuple[str, ...]) -> list[Leg]:
    if way is Way.FORWARD:
        return _forward(moment, flow)
    packet = Packet(flow.target.address, flow.source.address)
    return [leg for node in answering for leg in trace(moment, node, packet)]


def _unreachable(course: Course, flow: Flow, way: Way, fast: Outage) -> Answer:
    paths = paths_of(course.settled, flow)
    legs = paths.forward if way is Way.FORWARD else paths.back
    broken = next((leg for leg in legs if not leg.delivered), None)
    reason = "never settles: the network may oscillate"
    if broken is not None:
        reason = f"after convergence: {broken.end} at {_place(broken)} on the way {' > '.join(broken.nodes)}"
    if not math.isinf(fast.took_ms):
        lucky = "the flow may use an equal leg that still works"
        return Answer(reachable=True, low_ms=fast.took_ms, high_ms=math.inf, because=(lucky, reason))
    return Answer(reachable=False, low_ms=math.inf, high_ms=math.inf, because=(reason,))


def _place(leg: Leg) -> str:
    """Name where a packet is lost: between two nodes, or at one."""
    if leg.end in {"lost", "filtered"} and len(leg.nodes) > 1:
        return f"{leg.nodes[-2]} towards {leg.nodes[-1]}"
    return leg.nodes[-1]


def _unbroken(course: Course, flow: Flow, way: Way, usual: tuple[Leg, ...]) -> Answer:
    """Answer for a direction that never stops working: its way does not change, or a kernel had the next one ready."""
    paths = paths_of(course.settled, flow)
    after = paths.forward if way is Way.FORWARD else paths.back
    touched = {segment for leg in usual for segment in leg.segments} & course.damage.cut
    dead = {node for leg in usual for node in leg.nodes} & course.damage.dead
    first = START
    if touched or dead:
        first, where = course.first, ", ".join(sorted(touched | dead))
        bounds, text = constants.KERNEL_CARRIER, f"a kernel skips {where} at once: its next route stood ready"
    elif {leg.nodes for leg in after} != {leg.nodes for leg in usual}:
        bounds, text = constants.REROUTED, "the way changes while the old one still works"
    else:
        bounds, text = constants.UNTOUCHED, "the way does not change"
    return _sum(course.clock.after(first, bounds, text).steps())


def _sum(steps: tuple[Cause, ...]) -> Answer:
    """Answer with the sum of steps that follow each other."""
    low, high = sum(step.low_ms for step in steps), sum(step.high_ms for step in steps)
    because = tuple(_term(step.text, step.low_ms, step.high_ms) for step in steps)
    return Answer(reachable=True, low_ms=low, high_ms=high, because=because)


def _bounded(fast: Outage, slow: Outage) -> Answer:
    """Answer with the bounds of both paces and the steps that the slower one waited for."""
    steps = slow.ended_by.steps() if slow.ended_by is not None else ()
    because = [_term(step.text, step.low_ms, step.high_ms) for step in steps]
    low, high = sum(step.low_ms for step in steps), sum(step.high_ms for step in steps)
    if abs(fast.took_ms - low) > 0.5:
        because.append(
            f"at best {show_duration(fast.took_ms)}: another way may work sooner, or an equal leg still works"
        )
    if abs(slow.took_ms - high) > 0.5:
        because.append(f"in all at most {show_duration(slow.took_ms)}, not counting the time in which packets arrive")
    low = min(fast.took_ms, slow.took_ms)
    return Answer(reachable=True, low_ms=low, high_ms=slow.took_ms, because=tuple(because))


def _drained(before: World, world: World, flow: Flow, way: Way, answer: Answer) -> Answer:
    """Add what draining itself does to a direction."""
    usual, moved = (
        paths.forward if way is Way.FORWARD else paths.back
        for paths in (paths_of(before.whole, flow), paths_of(world.whole, flow))
    )
    if {leg.nodes for leg in usual} == {leg.nodes for leg in moved}:
        return answer
    bounds = constants.REROUTED
    drain = _term("draining moves traffic while the old way still works", bounds.low_ms, bounds.high_ms)
    return Answer(answer.reachable, answer.low_ms, answer.high_ms + bounds.high_ms, (drain, *answer.because))


def _term(text: str, low_ms: float, high_ms: float) -> str:
    return f"{text}: {low_ms:g}-{high_ms:g} ms"
