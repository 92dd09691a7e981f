"""From YAML to the verdict of every drill, cold: a new process, a new lab, the smallest example."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figure import Figure

EXAMPLE = Path(__file__).resolve().parent.parent / "inventories/dual-homed"


def measure() -> tuple[Figure, ...]:
    """Run the command as a person would: one drill, then all of them."""
    return (
        _time_drills("YAML to drill verdict, cold, one failure", ["uplink fibre"], at_most=10.0),
        _time_drills("YAML to drill verdict, cold, every failure", []),
    )


def _time_drills(what: str, names: list[str], at_most: float | None = None) -> Figure:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "resilience", "drill", str(EXAMPLE), *names, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    journal = json.loads(done.stdout)
    note = f"{len(journal['drills'])} drills, {journal['verdict']}, lab ready after {journal['lab']['ready_s']:.1f} s"
    return Figure(what=what, value=seconds, unit="s", at_most=at_most, note=note)
