"""The guard as real processes: whichever of them is killed, nothing is left running that nobody confirmed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from resilience.deploy.on_router.netresilience_router import changes as changes_module
from resilience.deploy.on_router.netresilience_router import guard as guard_module
from resilience.deploy.on_router.netresilience_router.guard import Guard
from resilience.deploy.on_router.netresilience_router.machine import Done
from resilience.deploy.on_router.netresilience_router.process import leave
from resilience.deploy.on_router.netresilience_router.refused import Refused
from tests.support.on_router import NEW, OLD, FakeMachine, Process, bundle, make_machine

LIMIT_S = 30.0
"""A test that has waited so long has failed."""


class SlowMachine(FakeMachine):
    """A router on which frr-reload.py waits for a file before it loads the new configuration."""

    @property
    def gate(self) -> Path:
        """What it waits for."""
        return self.root / "gate"

    def run(self, argv: Sequence[str], stdin: str = "", timeout_s: float = 120) -> Done:
        """Say in files who is at work."""
        if "--reload" in argv and "staged" in argv[-1]:
            (self.root / "at-work").write_text(f"{os.getppid()} {os.getpid()}", encoding="ascii")
            wait_for(self.gate.exists)
        return super().run(argv, stdin, timeout_s)


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowMachine:
    """A router with a change that is about to be applied."""
    make_machine(tmp_path)
    machine = SlowMachine(tmp_path)
    process = Process(machine)
    process.changes.stage(bundle())
    monkeypatch.setattr(changes_module, "start_guard", lambda _change: None)
    monkeypatch.setattr(process.changes, "follow", lambda *_arguments: {})
    process.changes.apply("c1", 60, drained=False)
    return machine


@pytest.fixture
def overseer(slow: SlowMachine) -> Iterator[int]:
    """The process id of the first of its guard's processes."""
    pid = os.fork()
    if pid == 0:
        leave(Guard(Process(slow).changes, "c1").oversee)
    yield pid
    slow.gate.touch()
    if not has_ended(pid):
        os.kill(pid, signal.SIGKILL)
    reap(pid)


def has_ended(pid: int) -> bool:
    """Say whether a process is no more, or waits for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def reap(pid: int) -> int:
    """Wait until a child of ours has ended; return its exit code, or 0 when that was done before."""
    wait_for(lambda: has_ended(pid))
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0


def at_work(machine: FakeMachine) -> tuple[int, int]:
    """Return the guard and its worker, once it works."""
    file = machine.root / "at-work"
    wait_for(lambda: file.exists() and " " in file.read_text(encoding="ascii"))
    guard, worker = file.read_text(encoding="ascii").split()
    return int(guard), int(worker)


def phase(machine: FakeMachine) -> str:
    """Return where the change stands, as the file says it."""
    state = Process(machine).store.read()
    return str((state["pending"] or state["last"])["phase"])


def check_is_back(machine: FakeMachine, reason: str) -> None:
    """See that what ran before runs."""
    assert machine.running.read_text(encoding="utf-8") == OLD["frr.conf"]
    assert Process(machine).store.read()["last"] == {"change": "c1", "phase": "restored", "reason": reason}


def test_a_guard_applies_and_waits_for_the_confirmation(slow: SlowMachine, overseer: int) -> None:
    """Then all of its processes end."""
    at_work(slow)
    slow.gate.touch()
    wait_for(lambda: phase(slow) == "applied")
    assert slow.running.read_text(encoding="utf-8") == NEW["frr.conf"]

    Process(slow).changes.confirm("c1")

    assert reap(overseer) == 0
    assert Process(slow).router.startup() == NEW
    assert not Process(slow).store.guard_lives()


def test_a_killed_worker_is_noticed_by_its_guard(slow: SlowMachine, overseer: int) -> None:
    """It goes back at once."""
    os.kill(at_work(slow)[1], signal.SIGKILL)

    assert reap(overseer) == 0
    check_is_back(slow, "the process that applied it died")


def test_a_guard_killed_while_it_applies_is_noticed_by_its_overseer(slow: SlowMachine, overseer: int) -> None:
    """The worker must not go on alone: it would load what nobody takes back."""
    guard, worker = at_work(slow)
    os.kill(guard, signal.SIGKILL)

    assert reap(overseer) == 0

    check_is_back(slow, "the guard of the change was killed")
    slow.gate.touch()
    wait_for(lambda: has_ended(worker))
    assert slow.running.read_text(encoding="utf-8") == OLD["frr.conf"]


def test_a_guard_killed_while_it_waits_is_noticed_by_its_overseer(slow: SlowMachine, overseer: int) -> None:
    """Its worker has ended before; whoever has its number now is left alone."""
    guard, _worker = at_work(slow)
    slow.gate.touch()
    wait_for(lambda: phase(slow) == "applied")
    os.kill(guard, signal.SIGKILL)

    assert reap(overseer) == 0

    check_is_back(slow, "the guard of the change was killed")


def test_a_killed_overseer_leaves_a_guard_that_does_its_work(slow: SlowMachine, overseer: int) -> None:
    """Until somebody gives the change up."""
    at_work(slow)
    os.kill(overseer, signal.SIGKILL)
    assert reap(overseer) == -signal.SIGKILL
    slow.gate.touch()
    wait_for(lambda: phase(slow) == "applied")

    assert Process(slow).changes.rollback("c1", None)["phase"] == "restored"

    check_is_back(slow, "rolled back on request")
    wait_for(lambda: not Process(slow).store.guard_lives())


def test_a_daemon_that_forgets_routes_is_reminded_after_a_change_came_back(
    slow: SlowMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as neighbours need to return, with nobody kept from changing the router; once it refuses, again."""
    monkeypatch.setattr(guard_module, "_RECALCULATE_EVERY_S", 0.01)
    monkeypatch.setattr(guard_module, "_RECALCULATE_FOR_S", 0.3)
    changes = Process(slow).changes
    daemon, store, reminded = changes.router.daemon, changes.store, list[bool]()

    def recalculate() -> None:
        reminded.append(store.guard_lives())
        if len(reminded) == 1:
            raise Refused("failed", "BIRD does not run")

    monkeypatch.setattr(daemon, "forgets_routes", True)
    monkeypatch.setattr(daemon, "recalculate", recalculate)
    with store.locked():
        store.write({**store.read(), "pending": None})
    Guard(changes, "c1").oversee()

    assert len(reminded) > 1
    assert not any(reminded)
