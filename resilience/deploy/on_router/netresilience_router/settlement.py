"""How a change ends."""

from __future__ import annotations

import contextlib

from .files import digest
from .machine import START_LIMIT_S, Doc
from .refused import Refused
from .router import Drift, Router
from .store import Store

UNDRAINED = {"drained": False, "drained_for": "", "drained_until": None}


class Settlement:
    """How a change ends, kept or taken back, by whoever comes next: each step may be done again from any point of it.

    The caller of every method holds the store's lock.
    """

    def __init__(self, router: Router, store: Store) -> None:
        self.router = router
        self.machine = router.machine
        self.store = store

    def settle(self) -> Doc:
        """Finish what a killed guard or a loss of power left; returns the state."""
        state = self.store.read()
        pending = state["pending"]
        if not pending or pending["phase"] == "staged":
            if self._is_drained_too_long(state):
                self.undrain(state)
            return state
        if pending["phase"] == "confirming":
            self.finish_confirming(state)
        elif pending["boot"] != self.machine.boot_id():
            # It starts with its start-up files, which are the ordinary ones; no daemon runs yet that could be told.
            state.update(UNDRAINED)
            self.end(state, "restored", "the router was restarted before the confirmation")
        elif not self.store.guard_lives() and (
            pending["armed"] or self.machine.clock() > pending["started"] + START_LIMIT_S
        ):
            self.restore(state, pending.get("abandon") or "the guard of the change was killed")
        return self.store.read()

    def remember(self, drift: Drift) -> None:
        """Note that the router runs what it starts with, if that was just found; this alone takes the lock itself."""
        learned = drift.daemon.note
        if not learned:
            return
        # What cannot be noted is found out again the next time.
        with contextlib.suppress(OSError, Refused), self.store.locked():
            state = self.store.read()
            main = self.router.daemon.main
            same = digest({main: self.router.startup().get(main, "")}) == learned["files"]
            if same and not state["pending"] and not state["drained"]:
                state["noted"] = learned
                self.store.write(state)

    def finish_confirming(self, state: Doc) -> None:
        """Do what a confirmation decided."""
        pending = state["pending"]
        change = pending["change"]
        staged, kept = self.store.staged(change), self.store.folder / "history" / change
        files = self.store.get(staged if staged.exists() else kept)
        self.router.install(files)
        if staged.exists():
            self.store.forget(kept)
            staged.rename(kept)
        former = self.store.folder / "former"
        if (former / "files").is_dir():
            self.store.forget(kept / "former")
            (former / "files").rename(kept / "former")
            self.store.forget(former / "runs")
        before = (state["confirmed"] or {}).get("change")
        state["confirmed"] = {"change": change, "sha256": digest(files), "before": before}
        state["noted"] = self.router.note(files)
        state.update(UNDRAINED)
        state["last"] = {"change": change, "phase": "confirmed", "reason": ""}
        state["pending"] = None
        self.store.write(state)
        self.store.thin_out(change, str(before))

    def restore(self, state: Doc, reason: str) -> None:
        """Run what ran before."""
        pending = state["pending"]
        pending.update(phase="restoring", reason=reason)
        self.store.write(state)
        folder = self.store.staged(pending["change"])
        after = self.store.get(folder / "drained" if pending["drained"] else folder)
        runs = self.store.folder / "former" / "runs"
        before = self.store.get(runs)
        try:
            self.router.run_files({**after, self.router.daemon.main: ""}, before, runs, None)
            self.router.read_back(before, runs)
        except (Refused, OSError) as error:
            reason = f"{reason}; then the daemon was restarted from its start-up files, as going back failed: {error}"
            self.router.force_linux_files(after, before)
            self.router.restart()
        state["noted"] = self.router.note(before) if state["noted"] else {}
        if state.get("drained_for") == pending["change"]:
            state.update(UNDRAINED)
        self.end(state, "restored", reason)

    def end(self, state: Doc, phase: str, reason: str) -> None:
        """Forget a change that is settled."""
        change = state["pending"]["change"]
        state["last"] = {"change": change, "phase": phase, "reason": reason}
        state["pending"] = None
        self.store.write(state)
        self.store.forget(self.store.staged(change))
        self.store.forget(self.store.folder / "former" / "runs")
        if state["drained"] and state.get("drained_for") == change:
            self.undrain(state)

    # --- a router that was drained for a change

    def _is_drained_too_long(self, state: Doc) -> bool:
        until = state.get("drained_until")
        return bool(state["drained"] and until and self.machine.clock() >= until and not self.store.guard_lives())

    def undrain(self, state: Doc) -> None:
        """Give what runs its ordinary form. A daemon that does not take that is started anew, which gives it, too."""
        files = self.router.startup()
        try:
            self.router.daemon.load(self.router.daemon.folder, files, None)
        except Refused:
            with contextlib.suppress(Refused):
                self.router.restart()
        state.update(UNDRAINED, noted=self.router.note(files))
        self.store.write(state)
