"""Trying many scenarios, several labs at a time."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import version

from resilience.errors import UnknownName
from resilience.model.network import Platform
from resilience.model.proof import Cell, Proof, ProofVerdict
from resilience.proof.scenario import Scenario, try_scenario
from resilience.proof.scenarios import SCENARIOS

_WORST_FIRST = (ProofVerdict.FAIL, ProofVerdict.UNKNOWN, ProofVerdict.PASS)


def choose(names: Sequence[str]) -> tuple[Scenario, ...]:
    """Return the scenarios of these names, all where none is given, in the table's order.

    Raises:
        UnknownName: no scenario is called so.
    """
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            near = get_close_matches(name, known) or list(known)
            raise UnknownName(f"no scenario is called {name!r}", hint=f"there is {', '.join(near)}")
    return tuple(scenario for scenario in SCENARIOS if not names or scenario.name in names)


def default_jobs() -> int:
    """Return how many labs run at a time: most of a scenario's time is waiting for daemons' timers."""
    return 2 * len(os.sched_getaffinity(0))


def prove(
    scenarios: Iterable[Scenario],
    platforms: Sequence[Platform],
    *,
    jobs: int,
    tell: Callable[[Cell], None] = lambda _cell: None,
) -> Proof:
    """Try each scenario on each platform; `tell` hears of each cell as soon as it is known."""
    started = time.monotonic()
    wanted = [(scenario.name, platform) for scenario in scenarios for platform in platforms]
    cells: dict[tuple[str, Platform], Cell] = {}
    for cell in _try_all(wanted, jobs):
        cells[cell.scenario, cell.platform] = cell
        tell(cell)
    in_order = tuple(cells[key] for key in wanted)
    return Proof(
        tool_version=version("netresilience"),
        cells=in_order,
        took_s=round(time.monotonic() - started, 1),
        verdict=_worst(in_order),
    )


def _worst(cells: Iterable[Cell]) -> ProofVerdict:
    found = {cell.verdict for cell in cells}
    return next((verdict for verdict in _WORST_FIRST if verdict in found), ProofVerdict.PASS)


def _try_all(wanted: Sequence[tuple[str, Platform]], jobs: int) -> Iterator[Cell]:
    with _pool(jobs) as pool:
        futures = [pool.submit(_try_by_name, name, platform) for name, platform in wanted]
        for future in as_completed(futures):
            yield future.result()


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    # Processes, since a lab's keeper dies with the thread that started it; spawned, since this one may have threads.
    pool = ProcessPoolExecutor(max_workers=jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _try_by_name(name: str, platform: Platform) -> Cell:
    """Run in a process of its own: scenarios are found by name there, since their functions cannot be sent."""
    return try_scenario(choose([name])[0], platform)
