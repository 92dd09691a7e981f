"""Which failures wait until OSPF is at rest, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any, cast

import pytest

from resilience.drill import state
from resilience.drill.experiment import takes_adjacencies
from resilience.drill.state import Observer, wait_until_at_rest
from resilience.errors import NotReady
from resilience.model.plan import Fault, FaultKind, Plan
from tests.support.lab_networks import SMALL, TINY, plan_from


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Two routers, a link between them, an uplink at each."""
    return plan_from(SMALL, tmp_path_factory.mktemp("small"))[0]


@pytest.mark.parametrize(
    ("kind", "target", "waits"),
    [
        (FaultKind.CARRIER, "link-r1-r2", True),
        (FaultKind.SILENT, "link-r1-r2", True),
        (FaultKind.CRASH, "r1", True),
        (FaultKind.CARRIER, "uplink-west", False),
        (FaultKind.KILL, "rs-mlix-1", False),
        (FaultKind.CRASH, "provider-alpha", False),
        (FaultKind.DOWN, "uplink-west-ipv4", False),
    ],
)
def test_only_what_ends_an_adjacency_waits(plan: Plan, kind: FaultKind, target: str, waits: bool) -> None:
    """An uplink's session is no business of OSPF's; before the first failure everything has just started."""
    assert takes_adjacencies(plan, Fault(kind, target), first=False) is waits
    assert takes_adjacencies(plan, Fault(kind, target), first=True)


def test_one_router_alone_never_waits(tmp_path: Path) -> None:
    """It has nobody to speak OSPF with."""
    tiny, _ = plan_from(TINY, tmp_path)
    assert not takes_adjacencies(tiny, Fault(FaultKind.CRASH, "gw"), first=True)


# --- how long --------------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now_s: float = 1_000.0

    def monotonic(self) -> float:
        """Stand in for time.monotonic."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Stand in for time.sleep."""
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the time as waiting sees it."""
    clock = Clock()
    monkeypatch.setattr(state, "time", clock)
    return clock


Watch = Callable[[Iterator[object]], Observer]


@pytest.fixture
def watch(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Return how to make an observer that finds one route, with the next of these values at each look."""

    def make(values: Iterator[object]) -> Observer:
        monkeypatch.setattr(Observer, "_facts", lambda _observer: {"gw route": str(next(values))})
        return Observer(cast("Any", None), plan)

    return make


def _wait(observer: Observer, clock: Clock) -> float:
    began_s = clock.now_s
    wait_until_at_rest(observer, lambda _step: None)
    return clock.now_s - began_s


def test_rest_is_five_seconds_without_a_change(clock: Clock, watch: Watch) -> None:
    """A change begins the time anew."""
    assert _wait(watch(repeat(1)), clock) == 5.0
    assert _wait(watch(chain(repeat(1, 12), repeat(2))), clock) == 8.0


def test_rest_that_has_been_seen_counts(clock: Clock, watch: Watch) -> None:
    """A recovery ends with routers that have not changed for a while: waiting for the same once more helps nobody."""
    observer = watch(repeat(1))
    observer.look()
    clock.sleep(3)
    assert _wait(observer, clock) == 2.0
    assert _wait(observer, clock) == 0.0


def test_what_was_seen_before_a_fault_does_not_count(clock: Clock, watch: Watch) -> None:
    """Healed and all as before: it may have changed twice meanwhile."""
    observer = watch(repeat(1))
    observer.look()
    clock.sleep(60)
    observer.forget()
    assert _wait(observer, clock) == 5.0


def test_a_lab_that_never_rests_is_told(clock: Clock, watch: Watch) -> None:
    """With what changes."""
    with pytest.raises(NotReady, match=r"does not come to rest in 120 s: gw route: 4\d\d, now 4\d\d"):
        _wait(watch(count()), clock)
