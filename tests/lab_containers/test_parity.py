"""The same drills on containers as in network namespaces: the same verdicts, and outages of the same order.

`make test-all` tries every drill of every example instead of those that stand for the rest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from resilience.model.journal import Verdict
from tests.support.effort import EVERYTHING
from tests.support.engine import Engine

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3_600 if EVERYTHING else 600)]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES: Final = {
    "dual-homed": ("uplink fibre", "provider alpha"),
    "silent-provider": ("silent uplink fibre",),
    "bamako-isp": ("router bko1", "maintenance uplink dakar"),
    "national-isp": ("link cap1-cap2",),
}
"""Cables, a crash, silence with a hold timer, draining; a country to see that size makes no difference."""

PARTS: Final = {name: 7 if EVERYTHING and name == "national-isp" else 1 for name in EXAMPLES}
"""Into how many tests the failures of an example are dealt: one that fails after an hour and a half tells little."""

BACK_ENDS = ("netns", "containerlab")
ATTEMPTS = 3
"""A difference between the two shows every time; what else a machine had to do at that moment, and where in its tick of
a second BIRD's OSPF was, does not. So the drills that differ are tried again on both, and differ only where no outage
that one has seen is of the order of any that the other has; those of which one could not tell are tried again, too.
Pass beside fail is never excused."""
FACTOR = 3.0
SLACK_MS = 150.0
"""Outages of one drill differ from run to run on one back end, too. A hold timer of 9 s ends a session 6 to 9 s after
the fault, as the last message had just come or was about to be sent, and daemons choose in steps of their own: a factor
of three. Where an outage is a few milliseconds, what a shared machine does meanwhile is more than that: the slack."""


@dataclass(frozen=True)
class Outcome:
    """What a back end said of one drill."""

    verdict: Verdict
    worst_ms: float
    reason: str = ""
    earlier_ms: tuple[float, ...] = ()
    """The worst outages of the attempts before this one."""

    @property
    def seen_ms(self) -> tuple[float, ...]:
        """The worst outage of every attempt."""
        return (*self.earlier_ms, self.worst_ms)

    def after(self, former: Outcome) -> Outcome:
        """Return what this attempt says beside the outages of the former ones."""
        return replace(self, earlier_ms=former.seen_ms)


Drill = tuple[str, str]
"""A failure and its objective."""
Results = Mapping[Drill, Outcome]
Run = Callable[[str, Collection[str]], Results]
"""Drills failures on a back end."""


def test_every_example_is_compared() -> None:
    """A new example joins the table."""
    assert set(EXAMPLES) == {path.parent.name for path in (ROOT / "inventories").glob("*/network.yaml")}


@pytest.mark.parametrize(("example", "part"), [(name, part) for name, parts in PARTS.items() for part in range(parts)])
def test_both_back_ends_agree(example: str, part: int, engine: Engine, tmp_path: Path) -> None:
    """Verdict by verdict, and the worst outage of each drill."""
    assert engine.variables

    def run(backend: str, names: Collection[str]) -> Results:
        return drill(example, backend, names, tmp_path / backend)

    names = failures(example)[part :: PARTS[example]] if EVERYTHING else EXAMPLES[example]
    assert compare(run, names) == []


def failures(example: str) -> list[str]:
    """Return the failures that an example's drills try."""
    argv = [sys.executable, "-m", "resilience", "drill", str(ROOT / "inventories" / example), "--list", "--json"]
    listed = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return list(dict.fromkeys(one["name"] for one in listed["drills"]))


def drill(example: str, backend: str, names: Collection[str], folder: Path) -> Results:
    """Drill an example and return what became of each drill; what the command tells meanwhile can be followed there."""
    folder.mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "resilience", "drill", str(ROOT / "inventories" / example), *names]
    told = folder / "told.txt"
    with told.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            [*argv, "--json", "--backend", backend],
            stdout=subprocess.PIPE,
            stderr=stream,
            env={**os.environ, "RESILIENCE_RUN": str(folder / "run")},
            text=True,
            check=False,
        )
    assert done.returncode in {0, 3, 4}, told.read_text(encoding="utf-8")[-4_000:]
    journal = json.loads(done.stdout)
    assert journal["backend"] == backend
    return {
        (one["name"], one["objective"]): Outcome(
            Verdict(one["verdict"]), max((float(flow["outage_ms"]) for flow in one["flows"]), default=0), one["reason"]
        )
        for one in journal["drills"]
    }


# --- comparing -------------------------------------------------------------------------------------------------------


def compare(run: Run, names: Collection[str]) -> list[str]:
    """Return what the back ends disagree about, or could not tell, however often they are asked.

    Where there is much to ask, both are asked at once the first time: a lab mostly waits. What they do to each other is
    not seen the next time.
    """
    with ThreadPoolExecutor(len(BACK_ENDS) if EVERYTHING else 1) as pool:
        first = pool.map(lambda backend: dict(run(backend, names)), BACK_ENDS)
        found = dict(zip(BACK_ENDS, first, strict=True))
    for _ in range(ATTEMPTS - 1):
        plain, contained = (found[backend] for backend in BACK_ENDS)
        assert plain.keys() == contained.keys()
        again = {drill for drill in plain if is_open(plain[drill], contained[drill])}
        if not again:
            break
        for backend in BACK_ENDS:
            results = run(backend, sorted({failure for failure, _ in again}))
            found[backend].update({drill: results[drill].after(found[backend][drill]) for drill in again})
    return list(differences(*(found[backend] for backend in BACK_ENDS)))


def is_open(plain: Outcome, contained: Outcome) -> bool:
    """Say whether another attempt could tell more: one does not know, or only the outages differ."""
    if Verdict.UNKNOWN in {plain.verdict, contained.verdict}:
        return True
    return plain.verdict is contained.verdict and not alike(plain, contained)


def differences(plain: Results, contained: Results) -> Iterator[str]:
    """Say of each drill what is not the same, or not known."""
    for drill, one in plain.items():
        other = contained[drill]
        known = one.verdict is other.verdict is not Verdict.UNKNOWN
        if not known or not alike(one, other):
            yield f"{' of '.join(drill)}: {one} in namespaces, {other} in containers"


def alike(plain: Outcome, contained: Outcome) -> bool:
    """Say whether some outage that one back end has seen is of the order of one that the other has."""
    return any(same_order(first, second) for first, second in product(plain.seen_ms, contained.seen_ms))


def same_order(first_ms: float, second_ms: float) -> bool:
    """Say whether two outages are of the same order."""
    return max(first_ms, second_ms) <= FACTOR * min(first_ms, second_ms) + SLACK_MS


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [(0, 3, True), (2, 140, True), (0, 400, False), (6_100, 8_900, True), (300, 9_000, False)],
)
def test_the_tolerance_tells_orders_apart(first: float, second: float, same: bool) -> None:
    """Milliseconds from BFD, BFD from a hold timer."""
    assert same_order(first, second) is same
    assert same_order(second, first) is same


@pytest.mark.parametrize(
    ("contained", "runs", "agree"),
    [
        ([Outcome(Verdict.PASS, 20)], 1, True),
        ([Outcome(Verdict.PASS, 900), Outcome(Verdict.PASS, 20)], 2, True),
        ([Outcome(Verdict.UNKNOWN, 0), Outcome(Verdict.PASS, 20)], 2, True),
        ([Outcome(Verdict.PASS, 900)] * ATTEMPTS, ATTEMPTS, False),
        ([Outcome(Verdict.PASS, 900), Outcome(Verdict.FAIL, 900)], 2, False),
        ([Outcome(Verdict.UNKNOWN, 20)] * ATTEMPTS, ATTEMPTS, False),
        ([Outcome(Verdict.FAIL, 20)], 1, False),
        ([Outcome(Verdict.FAIL, 900)], 1, False),
    ],
)
def test_only_a_difference_that_persists_is_one(contained: list[Outcome], runs: int, agree: bool) -> None:
    """What one attempt shows is tried again by name, on both; that one passes and the other fails is not."""
    asked: list[tuple[str, tuple[str, ...]]] = []
    told = iter(contained)

    def run(backend: str, names: Collection[str]) -> Results:
        asked.append((backend, tuple(names)))
        other = {("link b", "o"): Outcome(Verdict.PASS, 5)} if "link b" in names else {}
        return {("link a", "o"): Outcome(Verdict.PASS, 10) if backend == "netns" else next(told), **other}

    assert (compare(run, ["link a", "link b"]) == []) is agree
    assert sorted(asked[:2]) == sorted((backend, ("link a", "link b")) for backend in BACK_ENDS)
    assert asked[2:] == [(backend, ("link a",)) for backend in BACK_ENDS] * (runs - 1)


def test_outages_are_compared_over_all_attempts() -> None:
    """Both go through the same ticks, not at the same time: 0.9 s here and there, only not in the same attempt."""
    plain, contained = iter((900.0, 20.0)), iter((20.0, 900.0))

    def run(backend: str, _names: Collection[str]) -> Results:
        return {("link a", "o"): Outcome(Verdict.PASS, next(plain if backend == "netns" else contained))}

    assert compare(run, ["link a"]) == []
