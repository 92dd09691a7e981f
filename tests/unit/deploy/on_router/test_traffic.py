"""A router that is drained: by hand until somebody undrains it, for a change only as long as that change lives."""

from __future__ import annotations

import pytest

from resilience.deploy.on_router.netresilience_router import traffic as traffic_module
from resilience.deploy.on_router.netresilience_router.boot import boot
from resilience.deploy.on_router.netresilience_router.guard import Guard
from resilience.deploy.on_router.netresilience_router.traffic import Traffic
from tests.support.on_router import NEW, FakeGuard, FakeMachine, Process, bundle

DRAINED = {"frr.conf": NEW["frr.conf"] + " bgp graceful-shutdown\n"}


@pytest.fixture
def guards(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the changes for which a guard was started when the router was drained."""
    names: list[str] = []
    monkeypatch.setattr(traffic_module, "start_guard", names.append)
    return names


@pytest.fixture
def ready(process: Process, guard: FakeGuard) -> Traffic:
    """A router whose first change is confirmed, so that it has a drained form, and whose second one is staged."""
    process.changes.stage(bundle("c1", drained=DRAINED))
    process.changes.apply("c1", 60, drained=False)
    process.changes.confirm("c1")
    guard.kill()
    process.changes.stage(bundle("c2", drained=DRAINED))
    return Traffic(process.settlement)


def runs_drained(machine: FakeMachine) -> bool:
    """Say whether the daemon runs the drained form."""
    return "graceful-shutdown" in machine.running.read_text(encoding="utf-8")


def test_draining_for_a_change_starts_its_guard(ready: Traffic, guards: list[str], machine: FakeMachine) -> None:
    """By hand nobody guards: whoever drains for maintenance wants it to stay."""
    assert ready.drain("c2", 60) == {"drained": True}
    assert runs_drained(machine)
    assert guards == ["c2"]


def test_a_change_given_up_before_it_ran_undrains(
    ready: Traffic, guards: list[str], process: Process, machine: FakeMachine
) -> None:
    """Whoever gives it up need not think of it."""
    ready.drain("c2", 60)
    process.changes.rollback("c2", None)

    assert guards
    assert not runs_drained(machine)
    assert process.store.read()["drained"] is False


def test_a_drained_router_that_nobody_comes_back_to_undrains_itself(
    ready: Traffic, guards: list[str], process: Process, machine: FakeMachine
) -> None:
    """By its guard at the deadline, not before; and by whoever asks it next where the guard was killed."""
    ready.drain("c2", 60)
    guard = Guard(process.changes, "c2")
    machine.now += 59
    assert guard._is_only_drained()
    assert runs_drained(machine)
    machine.now += 1
    assert not guard._is_only_drained()
    assert not runs_drained(machine)

    ready.drain("c2", 60)
    machine.now += 59
    assert process.settle()["drained"] is True
    machine.now += 1
    assert process.settle()["drained"] is False
    assert not runs_drained(machine)
    assert guards == ["c2", "c2"]


def test_an_applied_change_that_goes_takes_the_draining_with_it(
    ready: Traffic, guards: list[str], process: Process, machine: FakeMachine
) -> None:
    """What runs then is what ran before the deployment came."""
    ready.drain("c2", 60)
    process.changes.apply("c2", 60, drained=True)
    assert runs_drained(machine)
    with process.store.locked():
        process.settlement.restore(process.store.read(), "nobody confirmed")

    assert guards
    assert not runs_drained(machine)
    assert process.store.read()["drained"] is False
    assert process.questions.check()["same"]


def test_a_router_drained_by_hand_stays_drained_when_a_change_goes(
    ready: Traffic, guards: list[str], process: Process, machine: FakeMachine
) -> None:
    """Somebody works on the power there; that a deployment failed says nothing about it."""
    process.changes.rollback("c2", None)
    ready.drain("", 60)
    process.changes.stage(bundle("c2", drained=DRAINED))
    process.changes.apply("c2", 60, drained=False)
    with process.store.locked():
        process.settlement.restore(process.store.read(), "nobody confirmed")

    assert guards == []
    assert runs_drained(machine)
    assert process.store.read()["drained"] is True
    assert ready.undrain("") == {"drained": False}
    assert not runs_drained(machine)


def test_a_start_ends_draining_without_a_word_to_daemons_that_do_not_run_yet(
    ready: Traffic, guards: list[str], process: Process, machine: FakeMachine
) -> None:
    """They start from their start-up files, which are the ordinary ones."""
    ready.drain("c2", 60)
    process.changes.apply("c2", 60, drained=True)
    machine.started = "second"
    machine.ran.clear()

    boot(Process(machine).settlement)

    assert guards
    assert not [line for line in machine.ran if "frr-reload" in line or "systemctl" in line]
    assert process.store.read()["drained"] is False
