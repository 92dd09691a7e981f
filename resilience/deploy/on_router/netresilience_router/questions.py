"""What a router is asked."""

from __future__ import annotations

import hashlib

from .bird import Bird
from .machine import Doc
from .masking import mask
from .pending import public
from .settlement import Settlement

PROGRAM = 1
"""Version of what this program understands."""


class Questions:
    """What a router says of itself; only what was left unfinished is settled for it."""

    def __init__(self, settlement: Settlement) -> None:
        self.settlement = settlement
        self.router = settlement.router
        self.machine = settlement.machine
        self.daemon = settlement.router.daemon
        self.store = settlement.store

    def hello(self) -> Doc:
        """Say who this is and how it stands."""
        with self.store.locked():
            state = self.settlement.settle()
        confirmed = state["confirmed"] or {}
        kept = self.store.folder / "history" / str(confirmed.get("change")) / "drained"
        return {
            "program": PROGRAM,
            "router": self.router.name,
            "platform": self.daemon.platform,
            "daemon_version": self.daemon.version(),
            "boot_id": self.machine.boot_id(),
            "confirmed": confirmed.get("change"),
            "confirmed_sha256": confirmed.get("sha256", ""),
            "pending": public(self.machine, state["pending"]),
            "free_bytes": self.store.free_bytes(),
            "can_drain": kept.is_dir(),
        }

    def pending(self) -> Doc:
        """Return the change that is not settled."""
        with self.store.locked():
            return {"pending": public(self.machine, self.settlement.settle()["pending"])}

    def read(self) -> Doc:
        """Return the start-up files, without passwords."""
        return {"files": {name: mask(text) for name, text in self.router.startup().items()}}

    def check(self) -> Doc:
        """Compare what runs with what should."""
        with self.store.locked():
            state = self.settlement.settle()
        pending, files = state["pending"], self.router.startup()
        if pending and pending["phase"] == "applied":
            folder = self.store.staged(pending["change"])
            wanted = self.store.get(folder / "drained" if pending["drained"] else folder)
            bird = isinstance(self.daemon, Bird)
            found = self.router.differences(wanted, folder, {}, daemon=not bird)
        else:
            drift = self.router.drift(state)
            files, found = drift.files, drift.parts
            self.settlement.remember(drift)
        return {
            "same": not found,
            "differences": [{**item, "side": "running"} for item in found],
            "files": {
                name: hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
                for name, text in files.items()
            },
        }

    def observe(self) -> Doc:
        """Return what the daemons see, and how many routes the kernel has."""
        counts = {f: self.machine.run(["ip", "-" + f, "route", "show"]).out.count("\n") for f in ("4", "6")}
        return {**self.daemon.observe(), "routes": counts}
