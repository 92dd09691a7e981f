"""The same fifty FRR routers in network namespaces and in containers that containerlab starts, side by side.

Both run zebra, bgpd and staticd of the same version with the same configurations, and both are waited for in the same
way: until every session and route stands. What is missing here is named; Docker is a daemon of our own where none runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.plans import ring_plan
from resilience.errors import EnvironmentLacks
from resilience.lab import open_lab
from resilience.model.configs import Configs
from resilience.model.plan import Plan
from resilience.render import render_configs
from tests.support.engine import running_engine, what_is_missing

_ROUTERS = 50
_READY_LIMIT_S = 300


def measure() -> Iterator[Figure]:
    """Bring the ring up on both, and down again."""
    missing = what_is_missing()
    if missing:
        raise EnvironmentLacks(missing)
    plan = ring_plan(_ROUTERS)
    configs = render_configs(plan)
    with running_engine() as engine:
        os.environ.update(engine.variables)
        ours, ours_down = _bring_up(plan, configs, "netns")
        theirs, theirs_down = _bring_up(plan, configs, "containerlab")
    yield Figure(what=f"{_ROUTERS} FRR routers up and converged, network namespaces", value=ours, unit="s")
    yield Figure(what="and down again", value=ours_down, unit="s")
    yield Figure(what=f"the same {_ROUTERS} as containers by containerlab", value=theirs, unit="s")
    yield Figure(what="and down again", value=theirs_down, unit="s")
    yield Figure(what="network namespaces as a part of containerlab's time", value=ours / theirs, unit="", at_most=0.25)


def _bring_up(plan: Plan, configs: Configs, backend: str) -> tuple[float, float]:
    """Return the seconds until a lab has converged, and until nothing of it is left."""
    start = time.perf_counter()
    with open_lab(plan, configs, backend=backend, ready_limit_s=_READY_LIMIT_S):
        up = time.perf_counter()
    return up - start, time.perf_counter() - up
