"""Large labs: fifty FRR routers, and five hundred networks on BIRD with ten FRR routers.

The fifty form a ring of ASes and run zebra, bgpd and staticd, as the peers' own examples do. A second row brings up
fifty routers of one network as it is rendered: OSPF for both families and BFD too, and every filter.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.plans import country_plan, ring_plan
from benchmarks.topologies import write_network
from resilience.intent import read_intent
from resilience.lab import Lab, open_lab
from resilience.model.plan import Plan
from resilience.plan import make_plan
from resilience.render import render_configs


def measure() -> Iterator[Figure]:
    """Bring the labs up, one after the other."""
    yield from _measure_ring()
    yield from _measure_country()
    yield from _measure_rendered()


def _measure_ring() -> Iterator[Figure]:
    seconds, megabytes = _bring_up(ring_plan(50))
    yield Figure(what="50 FRR routers up and converged", value=seconds, unit="s", at_most=9.0)
    average = sum(megabytes.values()) / len(megabytes)
    yield Figure(what="memory of one of them, all its daemons", value=average, unit="MB", at_most=35.0)


def _measure_country() -> Iterator[Figure]:
    seconds, megabytes = _bring_up(country_plan(500, 10))
    yield Figure(what="500 networks on BIRD and 10 FRR routers", value=seconds, unit="s", at_most=30.0)
    yield Figure(what="memory of all their daemons", value=sum(megabytes.values()) / 1_000, unit="GB", at_most=3.0)


def _measure_rendered() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_network(Path(scratch) / "fifty", routers=50, links=75)
        plan = make_plan(read_intent(folder))[0]
    seconds, megabytes = _bring_up(plan)
    ours = [size for node, size in megabytes.items() if plan.nodes[node].managed]
    what = f"50 routers of one network with OSPF and BFD, {len(plan.nodes) - len(ours)} nodes around them"
    yield Figure(what=what, value=seconds, unit="s")
    yield Figure(what="memory of one of them, all its daemons", value=sum(ours) / len(ours), unit="MB")


def _bring_up(plan: Plan) -> tuple[float, dict[str, float]]:
    """Return the seconds until a plan's lab has converged, and the memory of each node."""
    configs = render_configs(plan)
    start = time.perf_counter()
    with open_lab(plan, configs, ready_limit_s=300) as lab:
        seconds = time.perf_counter() - start
        return seconds, _memory_mb(lab)


def _memory_mb(lab: Lab) -> dict[str, float]:
    """Return each node's memory: proportional set sizes, so that pages shared by daemons are counted once."""
    return {
        status.node: sum(_proportional_mb(daemon.pid) for daemon in status.daemons)
        for status in lab.status().nodes
        if status.daemons
    }


def _proportional_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    size = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(size[1]) / 1_000 if size else 0.0
