"""Plan to configurations: what each router runs, as files.

::

    configs = render_configs(plan)
    changes = write_configs(configs, Path("build"))
"""

from resilience.render.configs import render_configs
from resilience.render.secret import ResolveSecret

__all__ = ["ResolveSecret", "render_configs"]
