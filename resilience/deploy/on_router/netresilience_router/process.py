"""This program as a process: its own file, how it starts its guard, how a child of it ends."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from .refused import Refused

_SYSTEMD = Path("/run/systemd/system")
"""It is there where systemd runs the machine: sd_booted(3)."""


def own_file() -> Path:
    """Return the one file that this program is on a router: the archive from which this module was read."""
    return Path(os.path.realpath(Path(__file__).parents[1]))


def check_trusted(path: Path) -> None:
    """Refuse to run without root, and to run as root what somebody else could have written."""
    if os.geteuid() != 0:
        raise Refused("sudo", "this program needs root: `sudo netresilience-router ...`")
    if not path.is_file():
        raise Refused(
            "failed", f"{path} is no single file, as it is installed; somebody else may have written a part of it"
        )
    for part in (path, *path.parents):
        found = part.stat()
        others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_uid != 0 or (others and not sticky):
            raise Refused("failed", f"{part} can be written by others than root")


def start_guard(change: str) -> None:
    """Start the guard where nothing that ends this session reaches it."""
    # -I, as on the program's first line: neither a variable nor a folder may slip a module in.
    argv = [sys.executable, "-I", str(own_file()), "watch", change]
    if _SYSTEMD.is_dir():
        # A session's processes may be killed with it (KillUserProcesses); those of a unit are not. And nobody who stops
        # the unit kills guard and overseer in one moment.
        unit = [f"--unit=netresilience-{change}", "--property=KillMode=process"]
        argv = ["systemd-run", "--quiet", "--collect", *unit, *argv]
    with Path(os.devnull).open("r+b") as null:
        subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True, cwd="/")


def to_stay(argv: Sequence[str]) -> list[str]:
    """Return how a program is run whose children stay: systemd would end them with the unit of the guard."""
    return [*(["systemd-run", "--scope", "--quiet", "--collect", "--"] if _SYSTEMD.is_dir() else []), *argv]


def leave(action: Callable[[], None]) -> NoReturn:
    """Do something in a forked process and end it, without running anything of its parent's."""
    code = 1
    try:
        action()
        code = 0
    finally:
        os._exit(code)
