"""Labs: a plan on real routing daemons, in network namespaces of this machine.

::

    with open_lab(plan, render_configs(plan)) as lab:      # started, converged; always taken away
        print(lab.run("gw", ["vtysh", "-c", "show bgp summary"]).stdout)
"""

from __future__ import annotations

from resilience.lab.opening import open_lab
from resilience.lab.seam import Completed, Daemon, Lab, LabStatus, NodeStatus, Progress

__all__ = ["Completed", "Daemon", "Lab", "LabStatus", "NodeStatus", "Progress", "open_lab"]
