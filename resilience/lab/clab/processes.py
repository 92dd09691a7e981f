"""The processes of containers as this machine counts them: inside, they have numbers of their own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from resilience.lab.state import Process

_NOBODY: Final = Process(0, 0)


def find_processes(wanted: Mapping[str, tuple[int, Mapping[str, Path]]]) -> dict[str, dict[str, Process]]:
    """Return, for each node, the processes that its pid files name; one that does not run as number 0.

    `wanted`: node to (its first process, (program, path of its pid file below the node's root)).
    """
    spaces = {name: _space(pid) for name, (pid, _) in wanted.items()}
    numbers = _numbers(space for space in spaces.values() if space)
    return {
        name: {
            program: _process(numbers.get((spaces[name], _read_number(pid, file)), 0), program)
            for program, file in files.items()
        }
        for name, (pid, files) in wanted.items()
    }


def _space(pid: int) -> int:
    """Return the number of the process namespace of a process; 0: it has gone."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino  # noqa: PTH116 - a plain path would say the same in more words
    except OSError:
        return 0


def _numbers(spaces: Iterable[int]) -> dict[tuple[int, int], int]:
    """Return the outer number of every process in some namespaces, by namespace and inner number."""
    wanted = set(spaces)
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - asked often: names are enough
        if name.isdigit() and (space := _space(int(name))) in wanted:
            with suppress(OSError):
                found[space, _inner_number(int(name))] = int(name)
    return found


def _inner_number(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    return next((int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:")), pid)


def _read_number(pid: int, file: Path) -> int:
    with suppress(OSError, ValueError):
        return int(Path(f"/proc/{pid}/root/{file}").read_text(encoding="ascii"))
    return 0


def _process(pid: int, program: str) -> Process:
    """Return a process if it is still the program: a pid file may be older than what has its number now."""
    with suppress(OSError):
        if pid and Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == program:
            return Process.of(pid) or _NOBODY
    return _NOBODY
