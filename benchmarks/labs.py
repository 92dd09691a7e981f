"""Large labs: fifty FRR routers, and five hundred networks on BIRD with ten FRR routers.

The fifty routers run all that a generated router runs: OSPF for both families, BFD, BGP through route reflectors.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.topologies import write_network
from resilience.intent import read_intent
from resilience.lab import Lab, open_lab
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.plan import make_plan
from resilience.render import render_configs


def measure() -> Iterator[Figure]:
    """Bring both labs up, one after the other."""
    with tempfile.TemporaryDirectory() as scratch:
        fifty = write_network(Path(scratch) / "fifty", routers=50, links=75)
        yield from _measure_fifty(fifty)
        country = write_network(Path(scratch) / "country", routers=10, links=15, customers=480)
        yield from _measure_country(country)


def _measure_fifty(folder: Path) -> tuple[Figure, ...]:
    seconds, megabytes, lab_nodes = _bring_up(folder)
    each = [size for node, size in megabytes.items() if lab_nodes.nodes[node].platform is Platform.FRR]
    around = len(lab_nodes.nodes) - len(each)
    return (
        Figure(
            what=f"50 FRR routers up and converged (and {around} nodes around them)",
            value=seconds,
            unit="s",
            at_most=9.0,
        ),
        Figure(what="memory of one of them, all its daemons", value=sum(each) / len(each), unit="MB", at_most=35.0),
    )


def _measure_country(folder: Path) -> tuple[Figure, ...]:
    seconds, megabytes, plan = _bring_up(folder)
    networks = len({node.asn for node in plan.nodes.values() if node.asn and node.platform is Platform.BIRD})
    return (
        Figure(what=f"{networks} networks on BIRD and 10 FRR routers", value=seconds, unit="s", at_most=30.0),
        Figure(what="memory of all their daemons", value=sum(megabytes.values()) / 1_000, unit="GB", at_most=3.0),
    )


def _bring_up(folder: Path) -> tuple[float, dict[str, float], Plan]:
    """Return the seconds until a network's lab has converged, the memory of each node, and the plan."""
    plan = make_plan(read_intent(folder))[0]
    configs = render_configs(plan)
    start = time.perf_counter()
    with open_lab(plan, configs, ready_limit_s=300) as lab:
        seconds = time.perf_counter() - start
        return seconds, _memory_mb(lab), plan


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
