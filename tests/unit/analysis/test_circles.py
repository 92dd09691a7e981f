"""Micro-loops: whatever order routers change in, a loop that it makes is foreseen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations

import pytest

from resilience.analysis import predict
from resilience.analysis.circles import last_circle
from resilience.analysis.clock import Pace
from resilience.analysis.constants import BIRD
from resilience.analysis.course import Course, Moment
from resilience.analysis.damage import damage_of_failure
from resilience.analysis.forwarding import End, steps_at, trace
from resilience.analysis.igp import Igp
from resilience.analysis.paths import packet_of
from resilience.analysis.promises import _faster
from resilience.analysis.propagation import Selected
from resilience.analysis.route import Destination
from resilience.analysis.world import world_of
from resilience.model.journal import Way
from resilience.model.network import Accept, Link, Network, Platform, Provider, Router, Site, Uplink
from resilience.model.plan import Failure, FailureKind, Flow, Plan
from tests.support.analysis_networks import ANY_ONE, AT, PREFIXES, plan_of

NAMES = ("r1", "r2", "r3", "r4", "r5")


def plan_with(platforms: Mapping[str, Platform], ends: Sequence[tuple[str, str]], *uplinks: Uplink) -> Plan:
    """Return a plan of routers in sites of their own, links between them, and uplinks to two providers."""
    return plan_of(
        Network(
            name="circles",
            file="network.yaml",
            asn=64500,
            prefixes=PREFIXES,
            sites={name: Site(name=name) for name in platforms},
            routers={
                name: Router(name=name, site=name, platform=platform, at=AT) for name, platform in platforms.items()
            },
            links={"-".join(two): Link(name="-".join(two), ends=two, capacity_bps=10**10, at=AT) for two in ends},
            providers={
                "alpha": Provider(name="alpha", asn=64496, at=AT),
                "beta": Provider(name="beta", asn=64497, at=AT),
            },
            uplinks={uplink.name: uplink for uplink in uplinks},
            objectives=(ANY_ONE,),
        )
    )


@cache
def ring() -> Plan:
    """Five routers in a circle, every second one on BIRD; the way out is at r1, the second best at r3."""
    platforms = {name: (Platform.FRR, Platform.BIRD)[number % 2] for number, name in enumerate(NAMES)}
    west = Uplink(name="west", router="r1", provider="alpha", rank=1, at=AT)
    east = Uplink(name="east", router="r3", provider="beta", rank=2, at=AT)
    return plan_with(platforms, list(zip(NAMES, (*NAMES[1:], NAMES[0]), strict=True)), west, east)


def failure(element: str) -> Failure:
    """Return the failure of one element."""
    return Failure(name=element, kind=FailureKind.NATURAL, elements=(element,))


def course_of(element: str) -> Course:
    """Return how a failure unfolds at the slowest."""
    return Course(world_of(ring()), damage_of_failure(ring(), failure(element)), Pace.SLOWEST)


def flows() -> Iterator[Flow]:
    """Yield the flows of the ring's promise."""
    for planned in ring().objectives:
        yield from planned.flows


class Mixed:
    """The network when some routers have changed for good and the others not at all."""

    def __init__(self, course: Course, changed: frozenset[str]) -> None:
        self.world = course.world
        self.damage = course.damage
        self.cables = course.cables
        self._course = course
        self._changed = changed

    def _at_ms(self, node: str) -> float:
        return float("inf") if node in self._changed else 0.0

    def igp_of(self, node: str) -> Igp:
        """Return OSPF as a node follows it."""
        return self._course.igp_at(self._at_ms(node), node)

    def selected(self, node: str, destination: Destination) -> Selected:
        """Return the routes that a node follows."""
        return self._course.selected_at(self._at_ms(node), node, destination)


def loops(course: Course, flow: Flow, way: Way) -> bool:
    """Say whether packets go round for some choice of routers that have changed already."""
    starts = flow.source.nodes if way is Way.FORWARD else flow.target.nodes
    choices = (frozenset(chosen) for size in range(len(NAMES)) for chosen in combinations(NAMES, size))
    return any(
        leg.end is End.LOOP
        for changed in choices
        for start in starts
        for leg in trace(Mixed(course, changed), start, packet_of(flow, way))
    )


@pytest.mark.parametrize("element", ["link r1-r2", "link r5-r1", "link r2-r3", "uplink west", "router r2", "router r5"])
def test_every_loop_of_half_told_routers_is_foreseen(element: str) -> None:
    """Every set of routers that changed before the others is tried."""
    course = course_of(element)
    for flow in flows():
        for way in Way:
            starts = flow.source.nodes if way is Way.FORWARD else flow.target.nodes
            if loops(course, flow, way):
                assert last_circle(course, starts, packet_of(flow, way)) is not None, f"{flow.name} {way}"


def test_neighbours_that_learn_at_different_times_send_packets_back() -> None:
    """r2 turns to r3, which still sends half of its packets to r2: until r3 on FRR has calculated as well."""
    course = course_of("link r1-r2")
    flow = next(flow for flow in flows() if flow.name == "user-r2 to internet-1 ipv4 udp")

    assert loops(course, flow, Way.FORWARD)
    circle = last_circle(course, flow.source.nodes, packet_of(flow, Way.FORWARD))
    assert circle is not None
    assert circle.nodes == ("r2", "r3")


def test_a_failure_that_one_router_answers_alone_makes_no_circle() -> None:
    """Nobody but r3 ever used r3's own uplink: nothing changes anywhere."""
    course = course_of("uplink east")
    assert not any(last_circle(course, flow.source.nodes, packet_of(flow, Way.FORWARD)) for flow in flows())


def test_a_prediction_leaves_time_for_circles_and_says_between_whom() -> None:
    """r3 has another way as soon as bgpd has chosen it; its neighbours on BIRD may send everything back for longer."""
    flow = next(flow for flow in flows() if flow.name == "user-r3 to internet-1 ipv4 udp")
    found = next(p for p in predict(ring(), failure("router r1"), [flow]) if p.direction is Way.FORWARD)
    highs = [float(term.rpartition("-")[2].removesuffix(" ms")) for term in found.because]

    assert "go round between r2, r3, r4, r5 (RFC 5715)" in found.because[-1]
    assert sum(highs) == found.high_ms > 2 * BIRD.originate_lsa.high_ms


@cache
def stub() -> Plan:
    """Three routers in a triangle and one behind it; all of a provider at `out`, a mere default at `far`."""
    ends = [("here", "out"), ("beside", "out"), ("beside", "here"), ("far", "here")]
    platforms = dict.fromkeys(("here", "out", "beside", "far"), Platform.FRR)
    wide = Uplink(name="wide", router="out", provider="alpha", rank=1, at=AT)
    thin = Uplink(name="thin", router="far", provider="beta", rank=1, accept=Accept.DEFAULT, at=AT)
    return plan_with(platforms, ends, wide, thin)


def test_a_kernel_that_has_another_way_at_once_may_be_told_of_the_lost_one_again() -> None:
    """Its own link to `out` is gone, and the default leads to `far`; until `beside` says so too, `out` seems near."""
    course = Course(world_of(stub()), damage_of_failure(stub(), failure("router out")), Pace.SLOWEST)
    flows = (flow for planned in stub().objectives for flow in planned.flows)
    flow = next(flow for flow in flows if flow.name == "user-here to internet-1 ipv4 udp")
    packet = packet_of(flow, Way.FORWARD)

    assert steps_at(course.world.whole, "here", packet, first=False) != steps_at(
        Moment(course, 0), "here", packet, first=False
    )
    circle = last_circle(course, flow.source.nodes, packet)
    assert circle is not None
    assert {"beside", "here"} <= set(circle.nodes)


def test_the_remedy_for_a_circle_is_a_quicker_neighbour() -> None:
    """Where a circle is what takes longest, the routers that take long are named by their platform."""
    term = "routers change one after the other, and packets may go round between r2, r3 (RFC 5715): 0-860 ms"
    assert "FRR on the routers next to it" in _faster(term)
