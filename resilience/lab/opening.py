"""Opening a lab for as long as a context lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from resilience.errors import UsageError
from resilience.lab.kept import KeptLab
from resilience.lab.netns_lab import NetnsLab
from resilience.lab.ready import wait_ready
from resilience.lab.seam import Lab, Progress
from resilience.lab.state import LabFolder
from resilience.model.configs import Configs
from resilience.model.plan import Plan

if TYPE_CHECKING:
    from resilience.lab.clab.backend import ClabLab

NETNS: Final = "netns"
CONTAINERLAB: Final = "containerlab"
BACKENDS: Final = (NETNS, CONTAINERLAB)


def make_lab(
    plan: Plan,
    configs: Configs,
    *,
    backend: str = NETNS,
    name: str | None = None,
    source: str = "",
    image: str | None = None,
    ssh: bool = False,
) -> KeptLab:
    """Return a lab that is not started yet.

    `image`: what containers are made from; default: our own. `ssh`: its routers can be logged in to.
    """
    if backend not in BACKENDS:
        raise UsageError(f"no lab back end is called {backend}", hint=f"there is {', '.join(BACKENDS)}")
    if ssh and backend != NETNS:
        raise UsageError("only routers of the netns back end can be logged in to", hint=f"`--backend {NETNS}`")
    if backend == CONTAINERLAB:
        return _containers()(plan, configs, name=name, source=source, image=image)
    if image is not None:
        raise UsageError("an image is for containers", hint=f"`--backend {CONTAINERLAB}`")
    return NetnsLab(plan, configs, name=name, source=source, ssh=ssh)


def attach_lab(folder: LabFolder, plan: Plan) -> KeptLab:
    """Return the lab that is kept in a folder; LabError when it is gone or was built from another plan."""
    kind = _containers() if folder.has_containers else NetnsLab
    return kind.attach(folder, plan)


def _containers() -> type[ClabLab]:
    from resilience.lab.clab.backend import ClabLab  # noqa: PLC0415 - keepers load this room, and need no renderer

    return ClabLab


@contextmanager
def open_lab(
    plan: Plan,
    configs: Configs,
    *,
    backend: str = NETNS,
    name: str | None = None,
    image: str | None = None,
    ssh: bool = False,
    progress: Progress | None = None,
    ready_limit_s: float | None = None,
) -> Iterator[Lab]:
    """Start a lab, wait until it has converged, and take it away at the end, whatever happens in between."""
    lab = make_lab(plan, configs, backend=backend, name=name, image=image, ssh=ssh)
    try:
        lab.start(progress=progress)
        wait_ready(lab, limit_s=ready_limit_s, progress=progress)
        yield lab
    finally:
        lab.stop()
