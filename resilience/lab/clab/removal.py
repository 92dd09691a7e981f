"""Taking a lab of containers away, whoever is left to do it: its guardian, or any later command."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from resilience.errors import LabError

if TYPE_CHECKING:
    from resilience.lab.clab.engine import Engine

TOPOLOGY_FOLDER: Final = "containerlab"
"""In a lab's folder: what containerlab is given."""
_ENGINE: Final = "engine.json"
_DESTROY_LIMIT_S: Final = 300
_LATE_S: Final = 10.0
"""A container that Docker was asked for may appear when whoever asked is dead."""
_QUIET_S: Final = 0.3
_POLL_S: Final = 0.1


def engine_file(folder: Path) -> Path:
    """Return where a lab's folder says which engine runs it."""
    return folder / _ENGINE


def topology_file(folder: Path) -> Path:
    """Return the topology file in a lab's folder."""
    return folder / TOPOLOGY_FOLDER / f"{folder.name}.clab.yml"


def holds_containers(folder: Path) -> bool:
    """Say whether the lab in a folder may have containers."""
    return engine_file(folder).exists()


def remove_containers(folder: Path) -> None:
    """Remove every container of the lab in a folder, and what containerlab wrote elsewhere; LabError: some stay."""
    from resilience.lab.clab.engine import Engine  # noqa: PLC0415 - keepers load this module, and need no engine

    engine, topology = Engine.read(engine_file(folder)), topology_file(folder)
    _end_deployments(topology)
    with suppress(LabError):
        engine.run([engine.containerlab, "destroy", "-t", str(topology), "--cleanup"], timeout_s=_DESTROY_LIMIT_S)
    try:
        _remove_late_ones(engine, folder.name, topology)
    finally:
        forget_namespaces(folder.name)


def _remove_late_ones(engine: Engine, lab: str, topology: Path) -> None:
    """Remove what comes up while containerlab is ended, until nothing has for a while."""
    deadline = time.monotonic() + _LATE_S
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _QUIET_S:
        left = engine.containers(lab, topology)
        if left:
            engine.remove(left.values())
            quiet_since = time.monotonic()
            if quiet_since > deadline:
                raise LabError(f"Docker does not remove {', '.join(one.name for one in left.values())}")
        time.sleep(_POLL_S)


def forget_namespaces(lab: str, links: Path = Path("/run/netns")) -> None:
    """Remove containerlab's names of a lab's network namespaces that are gone: it forgets them where Docker was killed.

    A name leads to a process; one whose process lives is left alone.
    """
    for link in links.glob(f"clab-{lab}-*"):
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)


def _end_deployments(topology: Path) -> None:
    """End a containerlab that still works on this very file, because its guardian was killed beside it."""
    for pid in _working_on(topology):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _working_on(topology: Path) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"deploy" in words and os.fsencode(topology) in words:
                yield int(path.parent.name)
