"""The machine under the program: where its files are, how its programs run, its clock."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .masking import mask
from .refused import Refused
from .scripts import run_script

Files = dict[str, str]
"""File name to text."""
Doc = dict[str, Any]
"""A JSON object."""

POLL_S = 0.05
START_LIMIT_S = 10
"""Within this a guard must have armed itself, or it never will; a daemon must answer."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
"""All that programs see of it."""


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
                env=ENVIRONMENT,
                check=False,
            )
        except FileNotFoundError as error:
            raise Refused("old", f"{argv[0]} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise _late(argv[0], timeout_s) from error
        return Done(done.returncode, done.stdout, done.stderr)

    def run_script(self, argv: Sequence[str], timeout_s: float = 120) -> Done:
        """Run a program that may be written in Python, faster than `run` if it is.

        For questions only: one that does not end well is asked once more, as any other program.
        """
        try:
            done = run_script(argv, ENVIRONMENT, timeout_s)
        except TimeoutError as error:
            raise _late(argv[0], timeout_s) from error
        if done is None or done[0] != 0:
            return self.run(argv, timeout_s=timeout_s)
        return Done(*done)

    def boot_id(self) -> str:
        """Return what changes with every start of the kernel, and of a lab's node with its namespace."""
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        with contextlib.suppress(OSError):
            return kernel + ":" + self.boot_mark.read_text(encoding="ascii").strip()
        return kernel

    def clock(self) -> float:
        """Return seconds since the start, sleep included: no jump of the wall clock moves it."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def _late(program: str, timeout_s: float) -> Refused:
    return Refused("failed", f"{program} did not end in {timeout_s:.0f} s")


@contextlib.contextmanager
def in_memory(text: str) -> Iterator[str]:
    """Yield a path under which other programs of root can read a text, whatever room the disk has."""
    with os.fdopen(os.memfd_create("text"), "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"
