"""Labs: a plan on real routing daemons, in network namespaces of this machine.

::

    with open_lab(plan, render_configs(plan)) as lab:      # started, converged; always taken away
        print(lab.run("gw", ["vtysh", "-c", "show bgp summary"]).stdout)

A keeper lives in this room, too, and starts with every lab: so that it need not load what only whoever starts a lab
needs (the whole model, YAML), each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resilience.lab.opening import open_lab
    from resilience.lab.seam import Completed, Daemon, Lab, LabStatus, NodeStatus, Progress

__all__ = ["Completed", "Daemon", "Lab", "LabStatus", "NodeStatus", "Progress", "open_lab"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module("resilience.lab.opening" if name == "open_lab" else "resilience.lab.seam")
    return getattr(module, name)
