"""The life of a change, as it is asked for."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from .bundle import check_bundle, check_space
from .machine import POLL_S, Doc, Files
from .pending import check_free, make_pending, outcome, own_pending, remaining_s
from .process import start_guard
from .refused import Refused, no_space
from .settlement import Settlement
from .store import LOCK_LIMIT_S

DEFAULT_DEADLINE_S = 60
NATIVE_GRACE_S = 30
"""BIRD's own undo comes this much later than ours: it is there for the case that all of ours is killed."""


class Changes:
    """The changes of one router, of which at most one is not settled."""

    def __init__(self, settlement: Settlement) -> None:
        self.settlement = settlement
        self.router = settlement.router
        self.machine = settlement.machine
        self.daemon = settlement.router.daemon
        self.store = settlement.store

    def diff(self, bundle: Doc) -> Doc:
        """Say what a bundle would do; nothing of it stays behind."""
        files = check_bundle(self.router, bundle)
        check_space(self.store, files)
        folder = self.store.folder / f"diff-{os.getpid()}"
        try:
            self.store.put(folder, files, self.daemon.user)
            self.router.check_files(folder, files)
            drift = self.router.drift(self.store.read())
            described = self.router.describe(drift, files, folder)
        except OSError as error:
            raise no_space(error) from error
        finally:
            self.store.forget(folder)
        self.settlement.remember(drift)
        return described

    def stage(self, bundle: Doc) -> Doc:
        """Keep a bundle here, checked, until it is applied or given up."""
        files = check_bundle(self.router, bundle)
        change = bundle["change"]
        with self.store.locked():
            state = self.settlement.settle()
            check_free(state, change)
            check_space(self.store, files)
            folder = self.store.staged(change)
            try:
                self._put(folder, files, bundle.get("drained", {}))
                self.router.check_files(folder, files)
                if bundle.get("drained"):
                    self.daemon.check(folder / "drained")
                described = self.router.describe(self.router.drift(state), files, folder)
                state["pending"] = make_pending(bundle)
                self.store.write(state)
            except OSError as error:
                self.store.forget(folder)
                raise no_space(error) from error
            except BaseException:
                self.store.forget(folder)
                raise
        return described

    def _put(self, folder: Path, files: Files, drained: Files) -> None:
        self.store.forget(folder)
        self.store.put(folder, files, self.daemon.user)
        if drained:
            self.store.put(folder / "drained", {**files, **drained}, self.daemon.user)

    def release(self, change: str, who: str) -> Doc:
        """Forget a change that is only staged."""
        with self.store.locked():
            state = self.settlement.settle()
            pending = state["pending"]
            if not pending or pending["change"] != change:
                raise Refused("nothing-pending", f"no change {change} is staged here")
            if pending["phase"] != "staged":
                raise Refused("busy", "change {} is {}: it settles by itself".format(change, pending["phase"]))
            self.settlement.end(state, "restored", f"released by {who}")
        return {"released": change}

    # --- running it

    def apply(self, change: str, deadline_s: int, *, drained: bool) -> Doc:
        """Run a staged change under a deadline; say what came of it."""
        with self.store.locked():
            state = self.settlement.settle()
            pending = own_pending(state, change, ("staged",))
            if drained and not pending["can_drain"]:
                raise Refused("failed", "the change has no drained form")
            try:
                loads = self._keep_former(state, pending)
                pending.update(
                    phase="applying",
                    loads=loads or drained,
                    deadline_s=deadline_s,
                    deadline=self.machine.clock() + deadline_s,
                    started=self.machine.clock(),
                    boot=self.machine.boot_id(),
                    armed=False,
                    drained=drained,
                )
                self.store.write(state)
            except OSError as error:
                raise no_space(error) from error
        start_guard(change)
        return self.follow(change, ("applied",), deadline_s + LOCK_LIMIT_S)

    def _keep_former(self, state: Doc, pending: Doc) -> bool:
        """Write down what to go back to: the start-up files, and what runs where that differs.

        Returns whether the daemon has to load its file: it runs another one, or one that only it knows. A router that
        was drained for this change goes back to what it ran before that.
        """
        files = self.store.get(self.store.staged(pending["change"]))
        now = self.router.startup()
        drift = self.router.drift(state)
        if drift.by_hand and not pending["take_over"]:
            names = ", ".join(item["file"] for item in drift.by_hand)
            raise Refused(
                "failed",
                f"what runs is not what the router starts with: {names}",
                "`resilience drift` shows it; `--take-over` replaces it and goes back to it if need be",
            )
        runs = dict(now)
        if "sysctl.conf" in files:
            runs["sysctl.conf"] = self.router.sysctl.snapshot(files["sysctl.conf"])
        changed = {item["file"] for item in drift.by_hand}
        runs.update(self.router.snapshots(files, now, changed))
        main = self.daemon.main
        if state["drained"] and state.get("drained_for") != pending["change"]:
            runs[main] = self._drained_text(state)
        former = self.store.folder / "former"
        self.store.forget(former)
        self.store.put(former, {}, "root")
        self.store.put(former / "files", now, self.daemon.user)
        self.store.put(former / "runs", runs, self.daemon.user)
        runs_another = drift.daemon.dead or main in changed or runs.get(main) != files.get(main)
        return bool(state["drained"]) or runs_another

    def _drained_text(self, state: Doc) -> str:
        folder = self.store.folder / "history" / state["confirmed"]["change"] / "drained"
        return Path(folder / self.daemon.main).read_text(encoding="utf-8")

    def work(self, change: str) -> None:
        """Apply a change and read back that it runs: the guard's worker."""
        state = self.store.read()
        pending = state["pending"]
        folder = self.store.staged(change)
        former = self.store.folder / "former" / "runs"
        before = self.store.get(former)
        if pending["loads"]:
            before[self.daemon.main] = ""
        loaded = folder / "drained" if pending["drained"] else folder
        runs = self.store.get(loaded)
        self.router.run_files(before, runs, loaded, int(pending["deadline_s"]) + NATIVE_GRACE_S)
        self.router.read_back(runs, loaded)

    def follow(self, change: str, wanted: Sequence[str], limit_s: float) -> Doc:
        """Wait until a change is where it should be or settled otherwise; say so."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            state = self.store.read()
            pending = state["pending"]
            if not pending or pending["change"] != change:
                last = state.get("last") or {}
                if last.get("change") == change:
                    return {"change": change, "phase": last["phase"], "reason": last["reason"], "remaining_s": None}
                raise Refused("nothing-pending", f"change {change} is not known here any more")
            if pending["phase"] in wanted:
                return outcome(self.machine, pending)
            if not self.store.guard_lives():
                with self.store.locked():
                    self.settlement.settle()
            time.sleep(POLL_S)
        raise Refused("failed", f"change {change} did not settle in {limit_s:.0f} s")

    def confirm(self, change: str) -> Doc:
        """Keep what runs: the last moment at which it could still go is the moment before this is written down."""
        with self.store.locked():
            state = self.settlement.settle()
            confirmed = state["confirmed"] or {}
            if not state["pending"] and confirmed.get("change") == change:
                return {"change": change, "phase": "confirmed", "reason": "", "remaining_s": None}
            pending = own_pending(state, change, ("applied",))
            if pending["drained"]:
                raise Refused("failed", "the change runs drained; undrain it first")
            if remaining_s(self.machine, pending) == 0:
                raise Refused("expired", "the deadline of {} s has passed".format(pending["deadline_s"]))
            try:
                self._prewrite(change)
            except OSError as error:
                raise no_space(error) from error
            if pending["loads"] and not self.daemon.settle():
                pending["abandon"] = "the daemon had gone back by itself, or somebody told it to"
                self.store.write(state)
                raise Refused("expired", pending["abandon"])
            pending["phase"] = "confirming"
            self.store.write(state)
            self.settlement.finish_confirming(state)
        return {"change": change, "phase": "confirmed", "reason": "", "remaining_s": None}

    def _prewrite(self, change: str) -> None:
        """Prove that there is room for the start-up files before the decision."""
        files = self.store.get(self.store.staged(change))
        for folder in {self.router.place(name).parent for name in files}:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            texts = [text for name, text in files.items() if self.router.place(name).parent == folder]
            size = sum(len(text.encode()) + 4096 for text in texts)
            probe = folder / ".netresilience-space"
            try:
                with probe.open("wb") as stream:
                    stream.write(b"\0" * size)
                    stream.flush()
                    os.fsync(stream.fileno())
            finally:
                with contextlib.suppress(OSError):
                    probe.unlink()

    def rollback(self, change: str, deadline_s: int | None) -> Doc:
        """Give up a change, however far it has come."""
        with self.store.locked():
            state = self.settlement.settle()
            undo = self._undo_of(state, change)
            if not undo:
                pending = self._going(state, change)
                if pending is None:
                    return {
                        "change": change,
                        "phase": "restored",
                        "reason": state["last"]["reason"],
                        "remaining_s": None,
                    }
                if pending["phase"] == "staged":
                    self.settlement.end(state, "restored", "given up before it ran")
                    return {
                        "change": change,
                        "phase": "restored",
                        "reason": "given up before it ran",
                        "remaining_s": None,
                    }
                pending["abandon"] = "rolled back on request"
                self.store.write(state)
        if undo:
            return self._run_undo(undo, deadline_s or DEFAULT_DEADLINE_S)
        return self.follow(change, (), LOCK_LIMIT_S)

    def _undo_of(self, state: Doc, change: str) -> str:
        """Return the change that takes a confirmed one back: staged now, or left by somebody who was interrupted."""
        pending = state["pending"]
        if not pending and (state["confirmed"] or {}).get("change") == change:
            return self._stage_undo(state, change)
        undo = _name_undo(change)
        return undo if pending and pending["change"] == undo and pending["phase"] == "staged" else ""

    def _run_undo(self, undo: str, deadline_s: int) -> Doc:
        """Run the way back. Where it cannot begin it does not stay either, or nobody could begin anything else."""
        try:
            return self.apply(undo, deadline_s, drained=False)
        except Refused:
            with self.store.locked():
                state = self.settlement.settle()
                pending = state["pending"]
                if pending and pending["change"] == undo and pending["phase"] == "staged":
                    self.settlement.end(state, "restored", "it could not begin")
            raise

    def _going(self, state: Doc, change: str) -> Doc | None:
        """Return the pending change; None when it has gone already."""
        try:
            return own_pending(state, change, ("staged", "applying", "applied", "restoring"))
        except Refused as refused:
            if refused.kind == "expired":
                return None
            raise

    def _stage_undo(self, state: Doc, change: str) -> str:
        """Stage what a confirmed change had replaced."""
        kept = self.store.folder / "history" / change
        files = self.store.get(kept / "former")
        if self.daemon.main not in files:
            raise Refused("failed", f"what change {change} replaced is not kept here any more")
        undo = _name_undo(change)
        before = self.store.folder / "history" / str((state["confirmed"] or {}).get("before")) / "drained"
        main = self.daemon.main
        drained = self.store.get(before)
        self._put(self.store.staged(undo), files, {main: drained[main]} if main in drained else {})
        state["pending"] = make_pending({"change": undo, "who": f"rollback-of-{change[:40]}", "drained": drained})
        self.store.write(state)
        return undo


def _name_undo(change: str) -> str:
    return f"{change[:59]}-undo"
