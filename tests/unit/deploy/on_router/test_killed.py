"""Processes are killed and routers lose power, at every step: what runs is whole, and the state says what it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from resilience.deploy.on_router.netresilience_router.boot import boot
from resilience.deploy.on_router.netresilience_router.refused import Refused
from tests.support.on_router import NEW, OLD, FakeGuard, FakeMachine, Process, bundle, guarded, make_machine

LIMIT = 500
"""More steps than anything has here."""


class Killed(BaseException):
    """The process is no more."""


class Countdown:
    """Lets so many steps on the disk happen, and none after them."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.dead = False

    def wrap(self, action: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same step, counted."""

        def step(*arguments: Any, **options: Any) -> Any:
            self.dead = self.dead or self.left == 0
            if self.dead:
                raise Killed
            self.left -= 1
            return action(*arguments, **options)

        return step


def killed_after(steps: int, monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> bool:
    """Do something that is killed after so many steps; False: it came to its end before that."""
    countdown = Countdown(steps)
    with monkeypatch.context() as patch:
        for owner, name in (
            (os, "fsync"),
            (shutil, "rmtree"),
            (Path, "mkdir"),
            (Path, "rename"),
            (Path, "replace"),
            (Path, "unlink"),
            (Path, "write_text"),
        ):
            patch.setattr(owner, name, countdown.wrap(getattr(owner, name)))
        try:
            action()
        except Killed:
            return True
    return False


def every_kill(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[FakeMachine], Process],
    action: Callable[[Process, FakeGuard], object],
    check: Callable[[FakeMachine], None],
) -> int:
    """Kill an action after none of its steps, one, two and so on to its end; check each time what came of it."""
    for steps in range(LIMIT):
        machine = make_machine(tmp_path / str(steps))
        with guarded(machine, monkeypatch) as guard:
            process = prepare(machine)
            killed = killed_after(steps, monkeypatch, partial(action, process, guard))
            guard.kill()
            check(machine)
        if not killed:
            return steps
    raise AssertionError("it has no end")


def staged(machine: FakeMachine) -> Process:
    """Stage a change."""
    process = Process(machine)
    process.changes.stage(bundle())
    return process


def applied(machine: FakeMachine) -> Process:
    """Bring a change to where it waits for its confirmation."""
    process = staged(machine)
    process.changes.apply("c1", 60, drained=False)
    return process


def check_whole(machine: FakeMachine) -> None:
    """See that a router starts with what it runs, old or new, and says which; and that it takes the next change."""
    process = Process(machine)
    state = process.settle()
    files = NEW if state["confirmed"] else OLD
    assert state["pending"] is None or state["pending"]["phase"] == "staged"
    assert process.router.startup() == files
    assert machine.running.read_text(encoding="utf-8") == files["frr.conf"]
    assert process.questions.check()["same"]
    assert state["last"]["phase"] == ("confirmed" if state["confirmed"] else "restored")
    if state["confirmed"]:
        assert process.store.get(process.store.folder / "history/c1") == NEW
        assert process.store.get(process.store.folder / "history/c1/former") == OLD
    process.changes.stage(bundle("c2"))


def test_a_confirmation_killed_at_any_step_ends_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the decision is written down the old files stay, after it the new ones come: never some of each."""
    ends = set()

    def check(machine: FakeMachine) -> None:
        check_whole(machine)
        ends.add(Process(machine).store.read()["last"]["phase"])

    steps = every_kill(tmp_path, monkeypatch, applied, lambda process, _: process.changes.confirm("c1"), check)

    assert steps > 20
    assert ends == {"confirmed", "restored"}


def test_applying_killed_at_any_step_ends_with_what_ran_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command, before there is a guard, or by the guard's own work."""

    def check(machine: FakeMachine) -> None:
        process = Process(machine)
        process.settle()
        machine.now += 11  # a guard that has not armed itself by then never will
        state = process.settle()
        assert state["confirmed"] is None
        assert state["pending"] is None or state["pending"]["phase"] == "staged"
        assert process.router.startup() == OLD
        assert machine.running.read_text(encoding="utf-8") == OLD["frr.conf"]
        assert process.questions.check()["same"]

    def run(process: Process, _guard: FakeGuard) -> None:
        process.changes.apply("c1", 60, drained=False)

    steps = every_kill(tmp_path, monkeypatch, staged, run, check)

    assert steps > 20


def test_going_back_killed_at_any_step_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever comes next."""

    def go_back(process: Process, guard: FakeGuard) -> None:
        process.machine.now += 61
        assert not guard.look()

    def check(machine: FakeMachine) -> None:
        check_whole(machine)
        assert not Process(machine).store.read()["confirmed"]

    assert every_kill(tmp_path, monkeypatch, applied, go_back, check) > 5


def test_a_killed_guard_is_noticed_by_whoever_comes_next(machine: FakeMachine, guard: FakeGuard) -> None:
    """Without it nobody would take the change back: it is not left running."""
    process = applied(machine)
    guard.kill()

    assert process.settle()["last"] == {
        "change": "c1",
        "phase": "restored",
        "reason": "the guard of the change was killed",
    }
    check_whole(machine)


def test_a_guard_that_has_not_begun_yet_is_given_time(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds; then it is taken for dead."""
    process = staged(machine)
    monkeypatch.setattr(process.changes, "follow", lambda *_: {})
    monkeypatch.setattr("resilience.deploy.on_router.netresilience_router.changes.start_guard", lambda _change: None)
    process.changes.apply("c1", 60, drained=False)

    machine.now += 9
    assert process.settle()["pending"]["phase"] == "applying"
    machine.now += 2
    assert process.settle()["last"]["phase"] == "restored"


@pytest.mark.parametrize("confirmed", [False, True])
def test_after_a_loss_of_power_the_router_runs_what_it_starts_with(
    machine: FakeMachine, guard: FakeGuard, *, confirmed: bool
) -> None:
    """Which is the new only when that was confirmed; the boot unit sets what the daemon does not."""
    process = applied(machine)
    if confirmed:
        process.changes.confirm("c1")
    guard.kill()
    machine.started = "second"
    files = NEW if confirmed else OLD
    machine.running.write_text(process.router.startup()["frr.conf"], encoding="utf-8")
    machine.links.write_text('{"lo": [], "eth0": []}', encoding="utf-8")
    (machine.proc_sys / "net/ipv4/conf/all/forwarding").write_text("0\n", encoding="ascii")

    assert boot(Process(machine).settlement) == {"boot": "done"}

    check_whole(machine)
    assert process.router.startup() == files
    last = process.store.read()["last"]
    assert last["phase"] == ("confirmed" if confirmed else "restored")
    assert confirmed or last["reason"] == "the router was restarted before the confirmation"
    assert machine.boot_mark.exists()


def test_a_router_that_cannot_go_back_restarts_its_daemon(machine: FakeMachine, guard: FakeGuard) -> None:
    """The start-up files are the old ones still: the last resort."""
    process = applied(machine)
    machine.broken = "remote-as 64501"
    guard.kill()

    reason = process.settle()["last"]["reason"]

    assert "then the daemon was restarted from its start-up files, as going back failed" in reason
    assert "systemctl restart frr" in machine.ran
    assert machine.running.read_text(encoding="utf-8") == OLD["frr.conf"]


def test_one_part_that_cannot_go_back_keeps_no_other_from_it(
    machine: FakeMachine, guard: FakeGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that the kernel does not take any more must not cost the router its addresses."""
    process = Process(machine)
    process.changes.stage(bundle())
    process.changes.apply("c1", 60, drained=False)
    assert guard.handle >= 0

    def refuse(_text: str) -> None:
        raise Refused("failed", "no such setting")

    monkeypatch.setattr(process.router.sysctl, "load", refuse)
    with process.store.locked():
        process.settlement.restore(process.store.read(), "nobody confirmed")

    assert machine.addresses_of("eth0") == ["192.0.2.2/31"]
    assert machine.running.read_text(encoding="utf-8") == OLD["frr.conf"]
