"""Reading and validating a large intent."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figure import Figure, best_time_s
from benchmarks.topologies import write_network
from resilience.intent import read_intent


def measure() -> tuple[Figure, ...]:
    """Read 300 routers with 600 links."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_network(Path(scratch), routers=300, links=600)
        seconds = best_time_s(lambda: read_intent(folder))
    return (Figure(what="reading and validating 300 routers, 600 links", value=seconds, unit="s", at_most=1.0),)
