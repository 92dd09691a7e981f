"""Processes that somebody started in a node by hand, such as a daemon: they are no children of the lab's keeper."""

from __future__ import annotations

from pathlib import Path


def find_guests(keeper: int) -> tuple[int, ...]:
    """Return the processes in the networks that a keeper holds which do not end with it."""
    held = (_link(file) for file in _list(Path(f"/proc/{keeper}/fd")))
    # Never those of the machine itself, nor of whoever asks.
    known = {_namespace(pid, "net") for pid in ("1", "self", str(keeper))}
    networks = {link for link in held if link.startswith("net:[")} - known
    its_own = _namespace(str(keeper), "pid")
    pids = [path.name for path in _list(Path("/proc")) if path.name.isdigit()]
    return tuple(int(pid) for pid in pids if _namespace(pid, "net") in networks and _namespace(pid, "pid") != its_own)


def _namespace(pid: str, kind: str) -> str:
    return _link(Path(f"/proc/{pid}/ns/{kind}"))


def _link(path: Path) -> str:
    """Return what a link says; empty where it is gone."""
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
