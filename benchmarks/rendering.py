"""Rendering a large network, with netlab's `create` of the same routers and links beside it.

Not like for like: netlab also writes an inventory and lab files, and this tool renders the outside world, packet
filters and kernel settings, which netlab does not. The ratio says what a user waits for.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.figure import Figure, best_time_s
from benchmarks.topologies import write_netlab_topology, write_network
from resilience.intent import read_intent
from resilience.plan import make_plan
from resilience.render import render_configs

NETLAB = Path(__file__).resolve().parent.parent / "build/netlab/bin/netlab"
ROUTERS, LINKS = 300, 600


def measure() -> tuple[Figure, ...]:
    """Render 300 routers; compare YAML to configurations with netlab's in the same call."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_network(Path(scratch) / "ours", routers=ROUTERS, links=LINKS)
        network = read_intent(folder)
        plan = make_plan(network)[0]
        render_s = best_time_s(lambda: render_configs(plan))
        whole_s = best_time_s(lambda: render_configs(make_plan(read_intent(folder))[0]))
        peer_s = _time_netlab_s(Path(scratch) / "netlab")
    own = (
        Figure(
            what=f"rendering {ROUTERS} routers (and {len(plan.nodes) - ROUTERS} nodes around them)",
            value=render_s,
            unit="s",
            at_most=2.0,
        ),
        Figure(what=f"YAML to configurations, {ROUTERS} routers", value=whole_s, unit="s"),
    )
    return (*own, *_compare(whole_s, peer_s))


def _compare(whole_s: float, peer_s: float | None) -> tuple[Figure, ...]:
    if peer_s is None:
        return (Figure(what="netlab create, the same routers", value=float("nan"), unit="s", note="not installed"),)
    return (
        Figure(what="netlab create, the same routers and links", value=peer_s, unit="s"),
        Figure(what="times faster than netlab create, YAML to files", value=peer_s / whole_s, unit="x", at_least=10.0),
    )


def _time_netlab_s(folder: Path) -> float | None:
    if not NETLAB.exists():
        return None
    folder.mkdir()
    write_netlab_topology(folder / "topology.yml", routers=ROUTERS, links=LINKS)
    environment = {**os.environ, "PATH": f"{NETLAB.parent}{os.pathsep}{os.environ['PATH']}"}
    return best_time_s(
        lambda: subprocess.run(
            [NETLAB, "create", "topology.yml"], cwd=folder, env=environment, check=True, capture_output=True
        ),
        runs=1,
    )
