"""Plan to configurations: what each router runs, as files.

::

    configs = render_configs(plan)
    print(diff_configs(configs, folder))
    changes = write_configs(configs, folder)
"""

from resilience.render.configs import render_configs
from resilience.render.program import router_program
from resilience.render.secret import ResolveSecret
from resilience.render.write import Changes, diff_configs, write_configs, write_files

__all__ = [
    "Changes",
    "ResolveSecret",
    "diff_configs",
    "render_configs",
    "router_program",
    "write_configs",
    "write_files",
]
