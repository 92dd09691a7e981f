"""Opening a lab for as long as a context lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from resilience.errors import UsageError
from resilience.lab.netns_lab import NetnsLab
from resilience.lab.ready import wait_ready
from resilience.lab.seam import Lab, Progress
from resilience.model.configs import Configs
from resilience.model.plan import Plan

BACKENDS: Final = ("netns",)


@contextmanager
def open_lab(
    plan: Plan,
    configs: Configs,
    *,
    backend: str = "netns",
    name: str | None = None,
    progress: Progress | None = None,
    ready_limit_s: float | None = None,
) -> Iterator[Lab]:
    """Start a lab, wait until it has converged, and take it away at the end, whatever happens in between."""
    if backend not in BACKENDS:
        raise UsageError(f"no lab back end is called {backend}", hint=f"there is {', '.join(BACKENDS)}")
    lab = NetnsLab(plan, configs, name=name)
    try:
        lab.start(progress=progress)
        wait_ready(lab, limit_s=ready_limit_s, progress=progress)
        yield lab
    finally:
        lab.stop()
