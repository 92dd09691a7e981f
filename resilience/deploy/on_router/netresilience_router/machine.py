"""The machine under the program: where its files are, how its programs run, its clock."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .masking import mask
from .refused import Refused

Files = dict[str, str]
"""File name to text."""
Doc = dict[str, Any]
"""A JSON object."""

POLL_S = 0.05
START_LIMIT_S = 10
"""Within this a guard must have armed itself, or it never will; a daemon must answer."""


class Done:
    """A program that ran."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def words(self) -> str:
        """Return the end of what it said, without passwords: half of one is none that could be recognized."""
        return mask(self.err.strip() or self.out.strip() or f"exit code {self.code}")[-2000:]


class Machine:
    """Paths and programs of the router. Another root is for tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.state = root / "var/lib/netresilience"
        self.linux = root / "etc/netresilience"
        self.description = self.linux / "router.json"
        self.boot_mark = root / "run/netresilience-boot"
        self.proc_sys = Path("/proc/sys")

    def run(self, argv: Sequence[str], stdin: str = "", timeout_s: float = 120) -> Done:
        """Run a program to its end; what cannot run is Refused."""
        try:
            done = subprocess.run(
                list(argv),
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"},
                check=False,
            )
        except FileNotFoundError as error:
            raise Refused("old", f"{argv[0]} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise Refused("failed", f"{argv[0]} did not end in {timeout_s:.0f} s") from error
        return Done(done.returncode, done.stdout, done.stderr)

    def boot_id(self) -> str:
        """Return what changes with every start of the kernel, and of a lab's node with its namespace."""
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        with contextlib.suppress(OSError):
            return kernel + ":" + self.boot_mark.read_text(encoding="ascii").strip()
        return kernel

    def clock(self) -> float:
        """Return seconds since the start, sleep included: no jump of the wall clock moves it."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
