"""Trying many scenarios, several labs at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import version
from types import FrameType
from typing import NoReturn

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
    attempts: Iterable[tuple[Scenario, Platform]],
    *,
    jobs: int,
    tell: Callable[[Cell], None] = lambda _cell: None,
) -> Proof:
    """Try scenarios on platforms, `jobs` at a time; `tell` hears of each cell as soon as it is known.

    Raises:
        EnvironmentLacks: labs cannot run here.
    """
    started = time.monotonic()
    wanted = [(scenario.name, platform) for scenario, platform in attempts]
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
    """Give processes to try scenarios in; when the caller leaves early, each takes its lab away and ends."""
    # Processes, since a lab's keeper dies with the thread that started it; spawned, since this one may have threads.
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(max_workers=jobs, mp_context=context, initializer=_clean_up_on_signals)
    try:
        yield pool
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _clean_up_on_signals() -> None:
    """Let a process leave through every `finally`, so that no lab stays behind."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def _try_by_name(name: str, platform: Platform) -> Cell:
    """Run in a process of its own: scenarios are found by name there, since their functions cannot be sent."""
    return try_scenario(choose([name])[0], platform)
