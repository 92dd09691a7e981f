"""A dry run with a diff over SSH: `resilience deploy` as a process of its own, at the desk of a lab of routers.

Half of the routers run FRR, half BIRD, all of them with a real SSH server; what would change is one prefix more of ten
customers. The routers, their daemons and the deploying process share the cores of one machine.
In the same run a plain `nornir_netmiko` reads the same things from the same routers, with as many workers. There is no
NAPALM driver for FRR or BIRD that nornir_napalm could be measured with.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.topologies import write_reachable_network
from resilience.errors import LabError
from resilience.intent import read_intent
from resilience.lab.access import Access
from resilience.lab.netns_lab import NetnsLab
from resilience.lab.ready import wait_ready
from resilience.plan import make_plan, read_numbers
from resilience.render import render_configs
from tests.support.deploy_lab import DESK

_MANY = 100
_FEW = 20
_CUSTOMERS = 10
_WORKERS = 20
_LIMIT_S = 300
_WATCHED = """\
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"seconds": seconds, "peak_mb": used.ru_maxrss / 1000, "cpu_s": used.ru_utime + used.ru_stime,
                  "code": done.returncode, "stdout": done.stdout, "stderr": done.stderr[-2000:]}))
"""
"""Runs a command, and says how long it took and how much memory it had at most."""
_SHELL = r"sed -i 's#^\(netops:.*\):/bin/sh$#\1:/bin/bash#' /etc/passwd"
_AS_AN_ENGINEER = f"{_SHELL} && echo 'netops ALL=(root) NOPASSWD: ALL' >>/etc/sudoers"
"""The plain runbook's account has an ordinary shell and may do everything; in the lab only, and after ours is done."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one process cost. `said`: the JSON that it printed."""

    seconds: float
    peak_mb: float
    cpu_s: float
    said: Any


def measure() -> Iterator[Figure]:
    """Deploy to few routers and to many, dry; read the many the plain way."""
    with _running(_FEW) as (lab, folder):
        few = _dry_run(lab, folder)
    with _running(_MANY) as (lab, folder):
        many = _dry_run(lab, folder)
        plain = _read_plainly(lab)
    changed = sum(bool(router["files"]) for router in many.said["routers"])
    yield Figure(
        what=f"{_MANY} routers, dry run with diff over SSH",
        value=many.seconds,
        unit="s",
        at_most=30.0,
        note=f"{changed} would change; routers share the cores, {many.cpu_s:.1f} s of them were the process's own",
    )
    growth = (many.peak_mb - few.peak_mb) / (_MANY - _FEW)
    yield Figure(what="memory of that process at most", value=many.peak_mb, unit="MB")
    yield Figure(
        what="its growth with each router more", value=growth, unit="MB", note=f"{_FEW} routers: {few.peak_mb:.0f} MB"
    )
    yield Figure(
        what="plain nornir_netmiko reading the same, no check, no diff",
        value=plain.seconds,
        unit="s",
        note=f"{plain.peak_mb:.0f} MB; there is no NAPALM driver for FRR or BIRD to compare with",
    )
    yield Figure(what="dry run with diff as a part of that", value=many.seconds / plain.seconds, unit="")


@contextmanager
def _running(routers: int) -> Iterator[tuple[NetnsLab, Path]]:
    """Yield a lab that has converged, and the folder of an intent that differs from what it runs."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "network"
        _write(folder, routers, prefixes=1)
        plan, _ = make_plan(read_intent(folder), read_numbers(folder))
        lab = NetnsLab(plan, render_configs(plan), source=str(folder), ssh=True)
        try:
            lab.start()
            wait_ready(lab, limit_s=_LIMIT_S)
            _write(folder, routers, prefixes=2)
            yield lab, folder
        finally:
            lab.stop()


def _write(folder: Path, routers: int, *, prefixes: int) -> None:
    write_reachable_network(folder, routers=routers, customers=_CUSTOMERS, prefixes=prefixes)
    subprocess.run([sys.executable, "-m", "resilience", "lock", str(folder)], check=True, capture_output=True)


def _dry_run(lab: NetnsLab, folder: Path) -> Run:
    hosts = str(Access(lab.folder.path).hosts)
    argv = ("deploy", str(folder), "--inventory", hosts, "--workers", str(_WORKERS), "--json")
    return _run_at_desk(lab, [sys.executable, "-m", "resilience", *argv])


def _read_plainly(lab: NetnsLab) -> Run:
    done = lab.run("r0", ["sh", "-c", _AS_AN_ENGINEER])
    if done.exit_code:
        raise LabError(f"the account cannot be changed: {done.stderr.strip()}")
    hosts = str(Access(lab.folder.path).hosts)
    run = _run_at_desk(lab, [sys.executable, "-m", "benchmarks.runbook", hosts, str(_WORKERS)])
    if run.said["routers"] != _MANY:
        raise LabError(f"only {run.said['routers']} of {_MANY} routers answered the plain runbook")
    return run


def _run_at_desk(lab: NetnsLab, argv: Sequence[str]) -> Run:
    done = lab.run(DESK, [sys.executable, "-c", _WATCHED, *argv], timeout_s=_LIMIT_S)
    if done.exit_code:
        raise LabError(f"{' '.join(argv[1:4])}: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    if found["code"]:
        raise LabError(f"{' '.join(argv[1:4])} ended with {found['code']}: {found['stderr']}{found['stdout'][-1000:]}")
    return Run(found["seconds"], found["peak_mb"], found["cpu_s"], json.loads(found["stdout"]))
