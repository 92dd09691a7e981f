"""The routing daemons inside somebody else's container, found by their names from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from resilience.lab.seam import Daemon
from resilience.model.network import Platform

FRR: Final = ("zebra", "bgpd", "ospfd", "ospf6d", "isisd", "ripd", "ripngd", "staticd", "bfdd")
BIRD: Final = "bird"
_FRR_SOCKETS: Final = ("run/frr/{}.vty", "var/run/frr/{}.vty")
_BIRD_SOCKETS: Final = (
    "run/bird/bird.ctl",
    "run/bird.ctl",
    "var/run/bird/bird.ctl",
    "var/run/bird.ctl",
    "usr/local/var/run/bird.ctl",
    "usr/local/var/run/bird/bird.ctl",
)
_MOST_LINKS: Final = 20


def find_daemons(first_process: int) -> tuple[Daemon, ...]:
    """Return the routing daemons in the process namespace of a container's first process.

    A container that shares the process namespace of this machine has none: its processes cannot be told from others.
    """
    space = _space(first_process)
    if space in {0, _space(os.getpid()), _space(1)}:
        return ()
    root = Path(f"/proc/{first_process}/root")
    found: dict[str, Daemon] = {}
    for pid, name in _named(space):
        if name not in found:
            found[name] = Daemon(name=name, pid=pid, running=True, control=_control(root, name))
    return tuple(found[name] for name in (*FRR, BIRD) if name in found)


def platform_of(daemons: tuple[Daemon, ...]) -> Platform | None:
    """Return which routing software a node runs, where we can talk to it."""
    names = {daemon.name for daemon in daemons if daemon.control is not None}
    if "zebra" in names:
        return Platform.FRR
    return Platform.BIRD if BIRD in names else None


def _space(pid: int) -> int:
    """Return the number of the process namespace of a process; 0: it has gone, or is not ours to see."""
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino
    except OSError:
        return 0


def _named(space: int) -> Iterator[tuple[int, str]]:
    """Yield number and name of each daemon in a namespace, oldest first."""
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):  # noqa: PTH208 - names are enough
        if _space(pid) == space:
            with suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
                if name == BIRD or name in FRR:
                    yield pid, name


def _control(root: Path, name: str) -> Path | None:
    candidates = _BIRD_SOCKETS if name == BIRD else [path.format(name) for path in _FRR_SOCKETS]
    found = (resolve_inside(root, path) for path in candidates)
    return next((path for path in found if path is not None and path.is_socket()), None)


def resolve_inside(root: Path, path: str) -> Path | None:
    """Return a path below a container's root, its symbolic links followed as they are meant there: never out of it."""
    waiting = path.split("/")
    made: list[str] = []
    links = 0
    while waiting:
        part = waiting.pop(0)
        if part in {"", "."}:
            continue
        if part == "..":
            made = made[:-1]
            continue
        here = root.joinpath(*made, part)
        try:
            target = str(here.readlink()) if here.is_symlink() else None
        except OSError:
            return None
        if target is None:
            made.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            return None
        made = [] if target.startswith("/") else made
        waiting = [*target.split("/"), *waiting]
    return root.joinpath(*made)
