"""How long FRR's daemons take to start when nothing else is asked of them: what no lab of theirs can be faster than.

Each router gets a network of its own, and in it zebra, staticd and bgpd without any configuration, one after the other;
as many routers start at a time as there are cores. Nothing is configured, connected or waited for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from resilience.errors import LabError

DAEMONS = ("zebra", "staticd", "bgpd")
_OPTIONS = {"bgpd": "-n -p 0"}


def start_bare_daemons_s(routers: int) -> float:
    """Return the seconds until the daemons of so many routers have started."""
    with _folder() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        started = time.perf_counter()
        running = list(pool.map(lambda number: _start_router(folder / str(number)), range(routers)))
        seconds = time.perf_counter() - started
        for process in running:
            process.communicate()  # the first process of its namespace ends with its input, the daemons with it
        return seconds


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a folder that FRR's user can enter, in memory where there is such a place, as labs have it."""
    memory = Path("/run")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _start_router(folder: Path) -> subprocess.Popen[str]:
    folder.mkdir()
    shutil.chown(folder, "frr", "frr")
    starts = [
        f"/usr/lib/frr/{name} -d -i {folder}/{name}.pid --vty_socket {folder} -z {folder}/zebra.api"
        f" {_OPTIONS.get(name, '')} >/dev/null 2>&1 || exit 1"
        for name in DAEMONS
    ]
    process = subprocess.Popen(
        ["unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join((*starts, "echo up", "read _"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdout is None or process.stdout.readline() != "up\n":
        raise LabError(f"FRR's daemons do not start in {folder}")
    return process
