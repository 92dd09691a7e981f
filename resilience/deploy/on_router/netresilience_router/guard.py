"""The dead man's switch."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import signal
import time
from pathlib import Path

from .changes import Changes
from .files import read_text
from .machine import POLL_S, START_LIMIT_S
from .masking import mask
from .process import leave
from .refused import Refused

_NUMBER_BYTES = 4
_RECALCULATE_EVERY_S = 5.0
_RECALCULATE_FOR_S = 25.0
"""Neighbours are back by then: OSPF's dead interval, and as long again for BIRD's own pauses."""


class Guard:
    """What an applied change hangs on, until somebody confirms it."""

    def __init__(self, changes: Changes, change: str) -> None:
        self.changes = changes
        self.settlement = changes.settlement
        self.machine = changes.machine
        self.store = changes.store
        self.change = change
        self._shared = mmap.mmap(-1, _NUMBER_BYTES)

    @property
    def worker(self) -> int:
        """The process that applies the change, 0 when there is none. The overseer knows it when the guard is killed."""
        return int.from_bytes(self._shared[:], "little")

    @worker.setter
    def worker(self, number: int) -> None:
        self._shared[:] = number.to_bytes(_NUMBER_BYTES, "little")

    def oversee(self) -> None:
        """Be two processes: one that guards, and one that only waits for it to die."""
        handle = os.open(self.store.folder / "guard", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + START_LIMIT_S / 2
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Refused("busy", "another guard is at work") from None
                time.sleep(POLL_S)
        child = os.fork()
        if child == 0:
            leave(self.guard)
        _pid, status = os.waitpid(child, 0)
        os.close(handle)
        if status != 0:
            self._stop_worker()
            with self.store.locked():
                self.settlement.settle()
        self._bring_routes_back()

    def guard(self) -> None:
        """Apply, then wait for the confirmation, the deadline, or somebody who gives up."""
        while self._is_only_drained():
            time.sleep(POLL_S)
        with self.store.locked():
            state = self.store.read()
            pending = state["pending"]
            if not pending or pending["change"] != self.change or pending["phase"] != "applying" or pending["armed"]:
                return
            pending["armed"] = True
            self.store.write(state)
        reason_file = self.store.folder / "reason"
        with contextlib.suppress(FileNotFoundError):
            reason_file.unlink()
        worker = os.fork()
        if worker == 0:
            os.setsid()
            leave(lambda: self._work(reason_file))
        self.worker = worker
        again = time.monotonic() + _RECALCULATE_EVERY_S
        while self._watch(reason_file):
            time.sleep(POLL_S)
            if not self.worker and time.monotonic() > again:
                again = self._recalculate()

    def _recalculate(self) -> float:
        """Let the daemon calculate its routes again; returns when to do that the next time."""
        with contextlib.suppress(Refused, OSError):
            self.changes.router.daemon.recalculate()
        return time.monotonic() + _RECALCULATE_EVERY_S

    def _bring_routes_back(self) -> None:
        """Go on with that for a while: neighbours that the change has cut off return at their own pace."""
        if not self.changes.router.daemon.forgets_routes:
            return
        end = time.monotonic() + _RECALCULATE_FOR_S
        again = time.monotonic()
        while time.monotonic() < end and not self.store.guard_lives():
            if time.monotonic() >= again:
                again = self._recalculate()
            time.sleep(POLL_S)

    def _is_only_drained(self) -> bool:
        """Say whether the router is drained for the change and waits for it; too long, and it is undrained."""
        state = self.store.read()
        pending, until = state["pending"], state.get("drained_until")
        if not (state["drained"] and state.get("drained_for") == self.change and until):
            return False
        if pending and (pending["change"] != self.change or pending["phase"] != "staged"):
            return False
        if self.machine.clock() < until:
            return True
        with self.store.locked():
            state = self.store.read()
            if state["drained"] and (not state["pending"] or state["pending"]["phase"] == "staged"):
                self.settlement.undrain(state)
        return False

    def _work(self, reason_file: Path) -> None:
        try:
            self.changes.work(self.change)
        except (Refused, OSError) as error:
            with contextlib.suppress(OSError):
                reason_file.write_text(mask(str(error)), encoding="utf-8")
            raise

    def _watch(self, reason_file: Path) -> bool:
        """Look once; False: there is nothing to guard any more."""
        pending = self.store.read()["pending"]
        if not pending or pending["change"] != self.change:
            return False
        if pending["phase"] == "confirming":
            return True
        if pending.get("abandon"):
            return self._back(str(pending["abandon"]))
        if self.machine.clock() >= pending["deadline"]:
            done = "it was not confirmed" if pending["phase"] == "applied" else "it did not run"
            return self._back("{} within {} s".format(done, pending["deadline_s"]))
        if self.worker:
            return self._reap(reason_file)
        return True

    def _reap(self, reason_file: Path) -> bool:
        pid, status = os.waitpid(self.worker, os.WNOHANG)
        if pid == 0:
            return True
        self.worker = 0
        if status != 0:
            return self._back(read_text(reason_file) or "the process that applied it died")
        with self.store.locked():
            state = self.store.read()
            if state["pending"] and state["pending"]["phase"] == "applying":
                state["pending"]["phase"] = "applied"
                self.store.write(state)
        return True

    def _stop_worker(self) -> None:
        """End the worker, and wait until it is gone: two must not load at the same time."""
        if not self.worker:
            return
        for end in (os.kill, os.killpg):
            with contextlib.suppress(ProcessLookupError):
                end(self.worker, signal.SIGKILL)
        try:
            os.waitpid(self.worker, 0)
        except ChildProcessError:  # a killed guard's: it holds the guard's lock for as long as it lives
            deadline = time.monotonic() + START_LIMIT_S
            while self.store.guard_lives() and time.monotonic() < deadline:
                time.sleep(POLL_S)
        self.worker = 0

    def _back(self, reason: str) -> bool:
        """Restore, unless a confirmation was faster."""
        self._stop_worker()
        with self.store.locked():
            state = self.store.read()
            pending = state["pending"]
            if (
                pending
                and pending["change"] == self.change
                and pending["phase"] in ("applying", "applied", "restoring")
            ):
                self.settlement.restore(state, reason)
                return False
        return True
