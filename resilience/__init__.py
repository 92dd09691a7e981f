"""Resilient connectivity as code: declare how a network must survive, get its configurations, prove them in a drill.

::

    from pathlib import Path
    import resilience

    network = resilience.read_intent(Path("inventories/dual-homed"))
    plan, numbers = resilience.make_plan(network)
    findings = resilience.analyse(plan)                      # what would break
    configs = resilience.render_configs(plan)                # what each router runs
    with resilience.open_lab(plan, configs) as lab:          # as root: the same files on real daemons
        print(lab.run("gw", ["vtysh", "-c", "show bgp summary"]).stdout)

Everything raises `ResilienceError` or one of its kinds (`resilience.errors`). Importing this module is cheap: each name
is fetched from its room when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resilience.analysis import analyse, predict
    from resilience.errors import ResilienceError
    from resilience.intent import read_intent
    from resilience.lab import open_lab
    from resilience.plan import make_plan
    from resilience.render import render_configs, write_configs

__all__ = [
    "ResilienceError",
    "analyse",
    "make_plan",
    "open_lab",
    "predict",
    "read_intent",
    "render_configs",
    "write_configs",
]

_ROOM_OF = {
    "ResilienceError": "errors",
    "analyse": "analysis",
    "make_plan": "plan",
    "open_lab": "lab",
    "predict": "analysis",
    "read_intent": "intent",
    "render_configs": "render",
    "write_configs": "render",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
