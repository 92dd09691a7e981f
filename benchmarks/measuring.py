"""The resolution of measurements: the widest pause between two sends, on forty and on eighty one-way streams."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.figure import Figure
from resilience.drill.measure import Measurement
from resilience.intent import read_intent
from resilience.lab import Lab, open_lab
from resilience.model.plan import Flow, Plan, Protocol
from resilience.plan import make_plan
from resilience.render import render_configs

EXAMPLE = Path(__file__).resolve().parent.parent / "inventories/dual-homed"
SECONDS = 5.0
_NS = 1_000_000_000


def measure() -> tuple[Figure, ...]:
    """Measure on one lab: half as many flows as streams, since each flow has two directions."""
    plan = make_plan(read_intent(EXAMPLE))[0]
    with open_lab(plan, render_configs(plan)) as lab:
        return tuple(_measure_streams(lab, plan, streams, limit) for streams, limit in ((40, 2.0), (80, 5.0)))


def _measure_streams(lab: Lab, plan: Plan, streams: int, limit_ms: float) -> Figure:
    flows = _flows(plan, streams // 2)
    with Measurement(lab, plan, flows, longest_s=SECONDS * 4) as traffic:
        traffic.wait_until_steady(_NS, limit_s=SECONDS)
        start_ns = time.monotonic_ns()
        time.sleep(SECONDS)  # the time for which is measured
        end_ns = time.monotonic_ns()
        traffic.stop()
        worst_ms = max(traffic.read(flow, start_ns, end_ns).resolution_ms for flow in flows)
        lost = sum(traffic.read(flow, start_ns, end_ns).lost for flow in flows)
    return Figure(
        what=f"resolution of {streams} one-way streams for {SECONDS:g} s, worst",
        value=worst_ms,
        unit="ms",
        at_most=limit_ms,
        note=f"{lost} lost",
    )


def _flows(plan: Plan, count: int) -> tuple[Flow, ...]:
    """Return that many flows: those of the plan, again and again under new names."""
    udp = [flow for planned in plan.objectives for flow in planned.flows if flow.protocol is Protocol.UDP]
    repeated = itertools.islice(itertools.cycle(udp), count)
    return tuple(replace(flow, name=f"{flow.name} {number}") for number, flow in enumerate(repeated))
