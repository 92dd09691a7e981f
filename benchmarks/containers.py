"""The same fifty FRR routers in network namespaces and in containers that containerlab starts, side by side.

Both run zebra, bgpd and staticd of the same version with the same configurations, and both are waited for in the same
way: until every session and route stands. Containers start twice: by the small program of our own export, and by
`frrinit.sh` and watchfrr, as FRR's own images start their daemons. What is missing here is named; Docker is a daemon of
our own where none runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.figure import Figure
from benchmarks.floor import start_bare_daemons_s
from benchmarks.plans import ring_plan
from resilience.errors import EnvironmentLacks
from resilience.lab.clab.backend import ClabLab
from resilience.lab.clab.topology import NODE_PROGRAM
from resilience.lab.kept import KeptLab
from resilience.lab.opening import make_lab
from resilience.lab.ready import wait_ready
from resilience.model.configs import ConfigFile
from resilience.render import render_configs
from tests.support.engine import running_engine, what_is_missing

_ROUTERS = 50
_READY_LIMIT_S = 300
_FIRST_UPDATES_S = 1.0
"""So long bgpd holds the first updates of a session back."""
_PER_HOP_S = 0.05
"""So long bgpd collects prefixes before it chooses among their paths."""
_PAUSES_S = _FIRST_UPDATES_S + _ROUTERS / 2 * _PER_HOP_S
_PART = 0.25
_MAIN = 'main "$@"'
_AS_IMAGES_DO = """\
start_frr() {
    [ -e "$files/frr.conf" ] || return 0
    copy_for frr frr.conf daemons vtysh.conf
    install -d -o frr -g frrvty -m 755 /run/frr
    said="$(/usr/lib/frr/frrinit.sh start 2>&1)" || fail "frrinit.sh: $said"
}

"""


class _WatchedLab(ClabLab):
    """Containers whose daemons FRR's own scripts start and watch."""

    def _make_files(self, name: str) -> tuple[ConfigFile, ...]:
        return tuple(
            replace(file, text=file.text.replace(_MAIN, _AS_IMAGES_DO + _MAIN)) if file.path == NODE_PROGRAM else file
            for file in super()._make_files(name)
        )


def measure() -> Iterator[Figure]:
    """Bring the ring up in each way, and down again."""
    missing = what_is_missing()
    if missing:
        raise EnvironmentLacks(missing)
    plan = ring_plan(_ROUTERS)
    configs = render_configs(plan)
    floor = start_bare_daemons_s(_ROUTERS)
    with running_engine() as engine:
        os.environ.update(engine.variables)
        ours, ours_down = _bring_up(make_lab(plan, configs))
        theirs, theirs_down = _bring_up(make_lab(plan, configs, backend="containerlab"))
        watched, _ = _bring_up(_WatchedLab(plan, configs))
    yield Figure(what=f"{_ROUTERS} FRR routers up and converged, network namespaces", value=ours, unit="s")
    yield Figure(what="and down again", value=ours_down, unit="s")
    yield Figure(what=f"the same {_ROUTERS} as containers by containerlab", value=theirs, unit="s")
    yield Figure(what="and down again", value=theirs_down, unit="s")
    yield Figure(what="the same, daemons started by FRR's frrinit.sh and watchfrr", value=watched, unit="s")
    yield Figure(
        what=f"the {_ROUTERS * 3} daemons alone: bare, without configuration",
        value=floor,
        unit="s",
        note=f"and {_PAUSES_S:.2f} s of bgpd's own pauses: first updates after 1 s, 50 ms at each of 25 hops",
    )
    quarter = theirs * _PART
    yield Figure(
        what="network namespaces as a part of containerlab's time",
        value=ours / theirs,
        unit="",
        at_most=_PART,
        note=f"a quarter would be {quarter:.1f} s; daemons and pauses alone take {floor + _PAUSES_S:.1f} s"
        if floor + _PAUSES_S > quarter
        else "",
    )
    yield Figure(what="and of containerlab's with frrinit.sh and watchfrr", value=ours / watched, unit="")


def _bring_up(lab: KeptLab) -> tuple[float, float]:
    """Return the seconds until a lab has converged, and until nothing of it is left."""
    start = time.perf_counter()
    try:
        lab.start()
        wait_ready(lab, limit_s=_READY_LIMIT_S)
        up = time.perf_counter()
    finally:
        lab.stop()
    return up - start, time.perf_counter() - up
