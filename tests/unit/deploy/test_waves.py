"""Waves of a deployment: who stands in for each other is never changed together, and one router goes first."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from resilience.deploy.waves import make_waves, plan_waves
from resilience.intent import read_intent, read_intent_bytes
from resilience.model.plan import Plan
from resilience.plan import make_plan

RING = """
network: ring
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
sites: {hq: {}, east: {}, west: {}, north: {}}
routers:
  hq1: {site: hq}
  hq2: {site: hq}
  east1: {site: east}
  west1: {site: west}
  north1: {site: north}
links:
  - {between: [hq1, hq2]}
  - {between: [hq1, east1]}
  - {between: [hq2, west1]}
  - {between: [east1, north1]}
  - {between: [north1, west1]}
providers: {alpha: {asn: 64496}, beta: {asn: 64497}}
uplinks:
  sea: {router: east1, provider: alpha}
  land: {router: west1, provider: beta, rank: 2}
services:
  portal: {at: [hq, north], tcp: 443}
"""


def plan_of(text: str) -> Plan:
    """Return the plan of an intent."""
    return make_plan(read_intent_bytes(text.encode()))[0]


def names_of(plan: Plan) -> list[str]:
    """Return the routers to deploy to."""
    return [node.name for node in plan.routers()]


def wave_of(plan: Plan) -> dict[str, int]:
    """Return each router's wave."""
    return {one.router: one.wave for one in plan_waves(plan, names_of(plan))}


def test_the_first_wave_is_one_router() -> None:
    """What goes wrong with every configuration goes wrong at one router."""
    assert len(make_waves(plan_of(RING), names_of(plan_of(RING)))[0]) == 1


def test_who_stands_in_for_each_other_is_in_different_waves() -> None:
    """Routers of one site, of a service's sites and with uplinks; each says so."""
    waves = wave_of(plan_of(RING))

    assert waves["hq1"] != waves["hq2"]
    assert waves["east1"] != waves["west1"]
    assert len({waves["hq1"], waves["north1"]}) == 2


def test_a_wave_does_not_cut_a_ring_in_two() -> None:
    """East and hq2 have nothing in common, but without both of them hq1 would be alone."""
    waves = wave_of(plan_of(RING))
    ring = {"hq1": "hq2", "hq2": "west1", "west1": "north1", "north1": "east1", "east1": "hq1"}

    for first, second in (("hq2", "east1"), ("hq1", "west1"), ("hq1", "north1"), ("hq2", "north1")):
        assert ring[first] != second
        assert waves[first] != waves[second]


def test_every_router_says_why_it_is_where_it_is() -> None:
    """People can argue with a wave."""
    placed = {one.router: one.because for one in plan_waves(plan_of(RING), names_of(plan_of(RING)))}

    assert all(placed.values())
    assert any("canary" in because for because in placed.values())
    assert any("stands in for it (" in because for because in placed.values())


def test_one_router_is_one_wave_and_none_is_none() -> None:
    """The smallest networks."""
    plan = plan_of(RING)

    assert make_waves(plan, ["hq1"]) == (("hq1",),)
    assert make_waves(plan, []) == ()


@given(seed=st.integers(), count=st.integers(min_value=1, max_value=20))
def test_waves_do_not_depend_on_the_order_and_hold_every_name_once(seed: int, count: int) -> None:
    """Whoever resumes a deployment elsewhere gets the same waves."""
    names = random.Random(seed).sample(NATIONAL_NAMES, min(count, len(NATIONAL_NAMES)))  # noqa: S311 - no secret
    waves = make_waves(NATIONAL, names)

    assert waves == make_waves(NATIONAL, sorted(names))
    assert sorted(name for wave in waves for name in wave) == sorted(names)
    assert len(waves[0]) == 1


@st.composite
def intents(draw: st.DrawFn) -> str:
    """Draw a connected network of up to nine routers with uplinks, services and customers anywhere."""
    count = draw(st.integers(min_value=2, max_value=9))
    some = st.lists(st.integers(min_value=0, max_value=count - 1), min_size=1, max_size=3, unique=True)
    chords = draw(st.lists(st.tuples(*[st.integers(min_value=0, max_value=count - 1)] * 2), max_size=5))
    tree = [(number, draw(st.integers(min_value=0, max_value=number - 1))) for number in range(1, count)]
    pairs = {(min(pair), max(pair)) for pair in (*tree, *chords) if pair[0] != pair[1]}
    lines = ["network: drawn", "asn: 64500", "prefixes: [198.51.100.0/24]", "routers:"]
    lines += [f"  r{number}: {{}}" for number in range(count)]
    lines += ["links:", *(f"  - {{between: [r{first}, r{second}]}}" for first, second in sorted(pairs))]
    lines += ["providers: {alpha: {asn: 64496}}", "uplinks:"]
    lines += [f"  up{number}: {{router: r{number}, provider: alpha}}" for number in draw(some)]
    at = ", ".join(f"r{number}" for number in draw(some))
    lines += ["services:", f"  web: {{at: [{at}], tcp: 80}}"]
    return "\n".join(lines)


def parts_without(plan: Plan, gone: set[str]) -> int:
    """Count into how many parts a network's own routers fall, by joining what a cable joins."""
    group = {node.name: node.name for node in plan.routers() if node.name not in gone}
    for segment in plan.segments.values():
        (one, _), (other, _) = segment.ends
        if one in group and other in group:
            old, new = group[one], group[other]
            group = {name: new if label == old else label for name, label in group.items()}
    return len(set(group.values()))


@given(text=intents())
def test_no_wave_takes_away_what_its_routers_alone_would_not(text: str) -> None:
    """Uplinks and copies of a service: one at a time. No wave cuts the network where its routers would not."""
    plan = plan_of(text)
    uplinks = {uplink.router for uplink in plan.network.uplinks.values()}
    copies = set(plan.network.services["web"].sites)

    for wave in make_waves(plan, names_of(plan)):
        assert len(uplinks & set(wave)) <= 1
        assert len(copies & set(wave)) <= 1
        alone = sum(parts_without(plan, {name}) - 1 for name in wave)
        assert parts_without(plan, set(wave)) - 1 <= alone


NATIONAL = make_plan(read_intent(Path(__file__).resolve().parents[3] / "inventories/national-isp"))[0]
NATIONAL_NAMES = names_of(NATIONAL)


def test_an_anycast_service_keeps_all_but_one_of_its_copies() -> None:
    """The national example: no wave holds two routers that the same service hangs on."""
    behind: dict[str, set[str]] = {}
    for node in NATIONAL.routers():
        for interface in node.interfaces:
            for listener in NATIONAL.nodes[NATIONAL.other_end(node.name, interface.name)[0]].listeners:
                behind.setdefault(listener.service, set()).add(node.name)

    assert any(len(routers) > 2 for routers in behind.values())
    for wave in make_waves(NATIONAL, NATIONAL_NAMES):
        assert all(len(routers & set(wave)) <= 1 for routers in behind.values())
