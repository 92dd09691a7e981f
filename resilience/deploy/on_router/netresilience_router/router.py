"""One router: its files, its daemon, and how what runs is compared and changed."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .bird import Bird
from .daemon import Daemon, Difference
from .files import digest, read_text, write_file
from .frr import Frr
from .kernel import Addresses, Rules, Sysctl
from .machine import Doc, Files, Machine
from .masking import mask, masked_diff
from .packet_filter import PacketFilter
from .refused import Refused
from .sessions import sessions_defined

LINUX_FILES = ("addresses.batch", "rules6.batch", "sysctl.conf", "nftables.conf")

DAEMONS: dict[str, Callable[[Machine], Daemon]] = {"frr": Frr, "bird": Bird}


class Drift(NamedTuple):
    """What runs against the files that a router starts with."""

    files: Files
    parts: list[Doc]
    """{"file", "diff"} for each file that does not hold."""
    daemon: Difference
    """The daemon's part of it."""

    @property
    def by_hand(self) -> list[Doc]:
        """Return the parts that somebody may have changed: nobody loses what a daemon that has died does not run."""
        return [part for part in self.parts if not (self.daemon.dead and part["diff"] == self.daemon.text)]


class Router:
    """One router: its files, its daemon, and the change that it is in."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.description = self._read_description()
        platform = str(self.description.get("platform") or self._installed())
        if platform not in DAEMONS:
            raise Refused("old", "neither FRR nor BIRD is installed here")
        self.daemon = DAEMONS[platform](machine)
        self.name = str(self.description.get("name") or socket.gethostname().partition(".")[0])
        self.sysctl = Sysctl(machine)
        self.addresses = Addresses(machine)
        self.rules = Rules(machine)
        self.filter = PacketFilter(machine)

    def _read_description(self) -> Doc:
        text = read_text(self.machine.description)
        if text is None:
            return {}
        try:
            found = json.loads(text)
        except ValueError as error:
            raise Refused("failed", f"{self.machine.description} is no JSON: {error}") from error
        return dict(found)

    def _installed(self) -> str:
        found = [name for name in DAEMONS if (self.machine.root / "etc" / name / (name + ".conf")).exists()]
        return found[0] if len(found) == 1 else ""

    def place(self, name: str) -> Path:
        """Return where a file is read at a start."""
        return (self.machine.linux if name in LINUX_FILES else self.daemon.folder) / name

    @property
    def file_names(self) -> tuple[str, ...]:
        """Every file that a change of this platform may have."""
        return (*LINUX_FILES, *self.daemon.names)

    def startup(self) -> Files:
        """Return the files that this router starts with."""
        texts = ((name, read_text(self.place(name))) for name in self.file_names)
        return {name: text for name, text in texts if text is not None}

    def install(self, files: Files) -> None:
        """Make files those that this router starts with, each whole or not at all; the sum is repeatable."""
        self.machine.linux.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name in self.file_names:
            if name in files:
                linux = name in LINUX_FILES
                write_file(
                    self.place(name), files[name], 0o644 if linux else 0o640, "root" if linux else self.daemon.user
                )
            elif name != self.daemon.needed:
                with contextlib.suppress(FileNotFoundError):
                    self.place(name).unlink()

    def differences(self, files: Files, folder: Path, noted: Doc, *, daemon: bool = True) -> list[Doc]:
        """Return what runs against some files, part by part, as {"file", "diff"}."""
        answer = self._ask_daemon(files, folder, noted) if daemon else Difference()
        return self._parts(files, answer)

    def _ask_daemon(self, files: Files, folder: Path, noted: Doc) -> Difference:
        return self.daemon.difference(files, folder, noted) if self.daemon.main in files else Difference()

    def _parts(self, files: Files, daemon: Difference) -> list[Doc]:
        parts: list[tuple[str, Callable[[], str]]] = [
            ("sysctl.conf", lambda: self.sysctl.difference(files["sysctl.conf"])),
            ("addresses.batch", lambda: self.addresses.difference(files["addresses.batch"])),
            ("rules6.batch", lambda: self.rules.difference(files["rules6.batch"])),
            ("nftables.conf", lambda: self.filter.difference(files["nftables.conf"])),
            (self.daemon.main, lambda: daemon.text),
        ]
        found = [(name, compare()) for name, compare in parts if name in files]
        return [{"file": name, "diff": mask(diff)} for name, diff in found if diff]

    def drift(self, state: Doc) -> Drift:
        """Return what runs against the start-up files. A drained daemon differs on purpose."""
        files = self.startup()
        answer = Difference() if state["drained"] else self._ask_daemon(files, self.daemon.folder, state["noted"])
        return Drift(files, self._parts(files, answer), answer)

    def describe(self, drift: Drift, files: Files, folder: Path) -> Doc:
        """Return what a change would do to a router that has just been searched for drift."""
        now, main = drift.files, self.daemon.main
        moved = now.get(main) != files.get(main) or drift.daemon.text
        delta = self.daemon.delta(folder, drift.daemon.running) if moved and isinstance(self.daemon, Frr) else ""
        names = [name for name in self.file_names if now.get(name, "") != files.get(name, "")]
        before = sessions_defined(now.get(main, ""), self.daemon.platform)
        after = sessions_defined(files.get(main, ""), self.daemon.platform)
        return {
            "router": self.name,
            "files": [{"file": n, "diff": masked_diff(now.get(n, ""), files.get(n, ""), n)} for n in names],
            "running": mask(delta),
            "restarts": self.daemon.at_next_start(now, files) if "daemons" in names or "envvars" in names else [],
            "resets": sorted(neighbor for neighbor in before if after.get(neighbor) != before[neighbor]),
            "drift": drift.parts,
        }

    def check_files(self, folder: Path, files: Files) -> None:
        """Let the router's own programs read the files."""
        self.daemon.check(folder)
        if "nftables.conf" in files:
            self.filter.check(files["nftables.conf"])
        if "sysctl.conf" in files:
            self.sysctl.check(files["sysctl.conf"])
        if "addresses.batch" in files:
            self.addresses.check(files["addresses.batch"])

    def run_files(self, before: Files, after: Files, folder: Path, timeout_s: int | None) -> None:
        """Go from some files to others on the running system: what is new first, what is gone last."""
        if "sysctl.conf" in after:
            self.sysctl.load(after["sysctl.conf"])
        batch, old_batch = after.get("addresses.batch", ""), before.get("addresses.batch", "")
        if batch and self.addresses.difference(batch):
            self.addresses.make(batch)
        if "rules6.batch" in after:
            self.rules.make(after["rules6.batch"])
        self._run_filter(before.get("nftables.conf", ""), after.get("nftables.conf", ""))
        main = self.daemon.main
        if main in after and (before.get(main) != after[main] or before.get("daemons") != after.get("daemons")):
            self.daemon.load(folder, after, timeout_s)
        self.addresses.break_(old_batch, batch)
        self.rules.break_(before.get("rules6.batch", ""), after.get("rules6.batch", ""))

    def force_linux_files(self, before: Files, after: Files) -> None:
        """Bring in each of the files that no daemon reads, whatever becomes of the others: the last resort."""
        batch = after.get("addresses.batch", "")
        parts: list[Callable[[], None]] = [
            lambda: self.sysctl.load(after.get("sysctl.conf", "")),
            lambda: self.addresses.make(batch),
            lambda: self._run_filter(before.get("nftables.conf", ""), after.get("nftables.conf", "")),
            lambda: self.addresses.break_(before.get("addresses.batch", ""), batch),
            lambda: self.rules.make(after.get("rules6.batch", "")),
            lambda: self.rules.break_(before.get("rules6.batch", ""), after.get("rules6.batch", "")),
        ]
        for part in parts:
            with contextlib.suppress(Refused, OSError):
                part()

    def _run_filter(self, before: str, after: str) -> None:
        gone = (
            [] if before == after else [t for t in self.filter.declared(before) if t not in self.filter.declared(after)]
        )
        if gone or (after and self.filter.difference(after)):
            self.filter.load(after, gone)

    def read_back(self, files: Files, folder: Path) -> None:
        """Refused unless everything runs that should.

        That the daemon took its file was seen when that was loaded: FRR was asked what it lacks, and what BIRD runs
        cannot be read, so that its own word has to do.
        """
        noted = {"files": digest({self.daemon.main: files.get(self.daemon.main, "")}), **self.daemon.note()}
        left = self.differences(files, folder, noted)
        if left:
            raise Refused("failed", "{} does not run as it should: {}".format(left[0]["file"], left[0]["diff"][:500]))

    def snapshots(self, files: Files, now: Files, changed: set[str]) -> Files:
        """Return what runs where no start-up file says it."""
        found: Files = {}
        if "addresses.batch" in files and ("addresses.batch" not in now or "addresses.batch" in changed):
            found["addresses.batch"] = self.addresses.snapshot(
                now.get("addresses.batch", "") + files["addresses.batch"]
            )
        if "rules6.batch" in files and ("rules6.batch" not in now or "rules6.batch" in changed):
            found["rules6.batch"] = self.rules.snapshot(now.get("rules6.batch", "") + files["rules6.batch"])
        if "nftables.conf" in files and ("nftables.conf" not in now or "nftables.conf" in changed):
            found["nftables.conf"] = self.filter.snapshot(self.filter.declared(files["nftables.conf"]))
        text = self.daemon.snapshot() if self.daemon.main in changed else None
        if text is not None:
            found[self.daemon.main] = text
        return found

    def note(self, files: Files) -> Doc:
        """Return what tells drift later; a daemon that does not answer now is compared the long way then."""
        try:
            return {"files": digest({self.daemon.main: files[self.daemon.main]}), **self.daemon.note()}
        except Refused:
            return {}

    def restart(self) -> None:
        """Start the daemon anew from its start-up files: the last resort."""
        service = "frr" if self.daemon.platform == "frr" else "bird"
        argv = self.description.get("restart") or ["systemctl", "restart", service]
        done = self.machine.run([str(word) for word in argv])
        if done.code != 0:
            raise Refused("failed", "{}: {}".format(" ".join(argv), done.words))
