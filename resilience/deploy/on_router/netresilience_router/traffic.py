"""Traffic away from a router and back."""

from __future__ import annotations

from .changes import NATIVE_GRACE_S
from .machine import Doc
from .pending import own_pending, remaining_s
from .process import start_guard
from .refused import Refused
from .settlement import Settlement


class Traffic:
    """Traffic led away from a router, and back, by the drained form of what it runs."""

    def __init__(self, settlement: Settlement) -> None:
        self.settlement = settlement
        self.router = settlement.router
        self.machine = settlement.machine
        self.daemon = settlement.router.daemon
        self.store = settlement.store

    def drain(self, change: str, deadline_s: int) -> Doc:
        """Run the drained form of what is confirmed, until `undrain` or the next start.

        For a change that is staged it lasts until that is applied and settled, or given up, or until the deadline.
        """
        with self.store.locked():
            state = self.settlement.settle()
            pending, confirmed = state["pending"], state["confirmed"] or {}
            if pending and (pending["change"] != change or pending["phase"] != "staged"):
                own_pending(state, change, ("staged",))
            folder = self.store.folder / "history" / str(confirmed.get("change")) / "drained"
            if not folder.is_dir():
                return {"drained": False}
            if self.router.drift(state).parts:
                raise Refused("failed", "what runs is not what the router starts with")
            until = self.machine.clock() + deadline_s if change else None
            state.update(drained=True, drained_for=change, drained_until=until)
            self.store.write(state)
            self.daemon.load(folder, self.store.get(folder), None)
        if change:
            start_guard(change)
        return {"drained": True}

    def undrain(self, change: str) -> Doc:
        """Give what runs its ordinary form."""
        with self.store.locked():
            state = self.settlement.settle()
            pending = state["pending"]
            if pending and pending["phase"] == "applied":
                own_pending(state, change, ("applied",))
                if pending["drained"]:
                    folder = self.store.staged(change)
                    left = int(remaining_s(self.machine, pending) or 0)
                    self.daemon.load(folder, self.store.get(folder), left + NATIVE_GRACE_S)
                    pending["drained"] = False
                    self.store.write(state)
            elif state["drained"]:
                self.settlement.undrain(state)
        return {"drained": False}
