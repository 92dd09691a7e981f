"""What a drill should measure: each flow and direction reachable or not, and bounds of the outage with their terms."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from resilience.analysis import constants
from resilience.analysis.circles import last_circle
from resilience.analysis.clock import START, Cause, Clock, Pace
from resilience.analysis.constants import Bounds
from resilience.analysis.course import Course, Moment
from resilience.analysis.damage import Damage, damage_of_failure, faults_of_failure
from resilience.analysis.forwarding import End, Leg, Steps, sweep
from resilience.analysis.paths import Passage, answering, legs_of, look_both_ways, packet_of, passage, stays_as_it_was
from resilience.analysis.world import Situation, World, world_of
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


def settled_after_ms(plan: Plan, failure: Failure, flows: Iterable[Flow]) -> float:
    """Return when the last kernel has changed what it does with these flows, at the slowest: no outage lasts longer.

    Much cheaper than `predict`, and enough where only a limit matters.
    """
    course = _courses(world_of(plan), plan, failure, damage_of_failure(plan, failure)).slowest
    addresses = dict.fromkeys(address for flow in flows for address in (flow.source.address, flow.target.address))
    moments = course.moments(addresses)
    return max(
        constants.REROUTED.high_ms, course.first.at_ms + constants.KERNEL_CARRIER.high_ms, *(at for at, _ in moments)
    )


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
    usual = look(courses.slowest.world.whole, flow)[way]
    if not usual.some:
        return Answer(reachable=False, low_ms=math.inf, high_ms=math.inf, because=("no way even before the failure",))
    if _is_untouched(courses.slowest, flow, way, usual):
        untouched = constants.UNTOUCHED
        return _sum((Cause(0, "the way does not change", untouched.low_ms, untouched.high_ms, None),))
    fast, slow = _measure(courses.fastest, flow, way), _measure(courses.slowest, flow, way)
    if math.isinf(slow.took_ms):
        return _unreachable(courses.slowest, flow, way, fast)
    answer = _unbroken(courses.slowest, flow, way) if slow.ended_by is None else _bounded(fast, slow)
    return _circling(courses.slowest, flow, way, answer)


def look(situation: Situation, flow: Flow) -> dict[Way, Passage]:
    """Look how both directions of a flow fare in a settled network, once for each pair of ends."""
    key = (flow.source.nodes, flow.target.nodes, flow.source.address, flow.target.address)
    found: dict[Way, Passage] = situation.remember(key, lambda: _look(situation, flow))
    return found


def _look(situation: Situation, flow: Flow) -> dict[Way, Passage]:
    """Look afresh only where the failure concerns some node that the flow comes to."""
    whole = situation.world.whole
    if situation is not whole:
        usual = look(whole, flow)
        if all(stays_as_it_was(situation, flow, here.swept) for here in usual.values()):
            return usual
    return look_both_ways(situation, flow)


def _is_untouched(course: Course, flow: Flow, way: Way, usual: Passage) -> bool:
    """Say whether nothing on a direction's way ever changes, so that there is nothing to add up."""
    after = look(course.settled, flow)[way]
    if not after.every or usual.swept != after.swept:
        return False
    destinations = course.world.covering(packet_of(flow, way).target)
    return all(after.swept.keys().isdisjoint(course.changes(destination)) for destination in destinations)


def _measure(course: Course, flow: Flow, way: Way) -> Outage:
    """Add up the time in which a direction is out: for the fastest pace of its luckiest leg, else of its unluckiest."""
    lucky = course.clock.pace is Pace.FASTEST
    total, since, ended_by = 0.0, None, None
    watched: set[str] | None = None
    back_from = answering(course.world.whole, flow)
    for at_ms, causes in [(0.0, {}), *course.moments((flow.source.address, flow.target.address))]:
        if watched is not None and watched.isdisjoint(causes):
            continue  # nothing changed where the packet goes
        moment = Moment(course, at_ms)
        back_from = answering(moment, flow, back_from)
        here = passage(moment, flow.source.nodes if way is Way.FORWARD else back_from, packet_of(flow, way))
        watched = _watched(moment, flow, here)
        works = here.some if lucky else here.every
        if works and since is not None:
            total, since, ended_by = total + at_ms - since, None, _on_the_way(causes, here)
        elif not works and since is None:
            since = at_ms
    return Outage(math.inf if since is not None else total, ended_by)


def _watched(moment: Moment, flow: Flow, here: Passage) -> set[str]:
    """Return the nodes whose change could change the answer; an anycast target moves with forward traffic."""
    nodes = set(here.swept)
    if len(flow.target.nodes) > 1:
        nodes |= sweep(moment, flow.source.nodes, packet_of(flow, Way.FORWARD)).keys()
    return nodes


def _on_the_way(causes: dict[str, Cause], here: Passage) -> Cause:
    """Of all kernels that changed at this moment, return what moved one that the packet passes."""
    return next((causes[node] for node in here.swept if node in causes), next(iter(causes.values())))


def _unreachable(course: Course, flow: Flow, way: Way, fast: Outage) -> Answer:
    broken = next((leg for leg in legs_of(course.settled, flow, way) if not leg.delivered), None)
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


def _unbroken(course: Course, flow: Flow, way: Way) -> Answer:
    """Answer for a way that changes without ever ceasing to work: a kernel had the next one ready."""
    usual = legs_of(course.world.whole, flow, way)
    hurt = {name for leg in usual for name in (*leg.segments, *leg.nodes)} & (course.damage.cut | course.damage.dead)
    first = START
    if hurt:
        bounds, text = (
            constants.KERNEL_CARRIER,
            f"a kernel skips {', '.join(sorted(hurt))} at once: its next route stood ready",
        )
        first = course.first
    else:
        bounds, text = constants.REROUTED, "the way changes while the old one still works"
    return _sum(course.clock.after(first, bounds, text).steps())


def _circling(course: Course, flow: Flow, way: Way, answer: Answer) -> Answer:
    """Widen an answer by the time in which packets may go round in circles."""
    starts = flow.source.nodes if way is Way.FORWARD else flow.target.nodes
    circle = last_circle(course, starts, packet_of(flow, way))
    if circle is None or circle.ended_by.at_ms <= answer.high_ms:
        return answer
    more = circle.ended_by.at_ms - answer.high_ms
    text = f"routers change one after the other, and packets may go round between {', '.join(circle.nodes)} (RFC 5715)"
    return answer._replace(high_ms=circle.ended_by.at_ms, because=(*answer.because, _term(text, 0, more)))


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
    usual, moved = (look(each.whole, flow)[way].swept for each in (before, world))
    if {node: _nodes(steps) for node, steps in usual.items()} == {node: _nodes(steps) for node, steps in moved.items()}:
        return answer
    bounds = constants.REROUTED
    drain = _term("draining moves traffic while the old way still works", bounds.low_ms, bounds.high_ms)
    return answer._replace(high_ms=answer.high_ms + bounds.high_ms, because=(drain, *answer.because))


def _nodes(steps: Steps) -> tuple[str, ...]:
    return (steps,) if isinstance(steps, End) else tuple(hop.node for hop in steps)


def _term(text: str, low_ms: float, high_ms: float) -> str:
    return f"{text}: {low_ms:g}-{high_ms:g} ms"
