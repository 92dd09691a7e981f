"""What is remembered: the folder of changes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from .files import read_text, write_file
from .machine import POLL_S, Doc, Files, Machine
from .refused import Refused

KEPT = 5
"""Confirmed changes that are kept to go back to."""
RESERVE_BYTES = 256 * 1024
LOCK_LIMIT_S = 60
_KEYS = {"confirmed", "pending", "noted", "drained"}


class Store:
    """The folder of changes: who is at work, what is staged, what ran before, what was confirmed."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.folder = machine.state
        self.file = self.folder / "state.json"
        self._reserve = self.folder / "reserve"

    def prepare(self) -> None:
        """Make the folders; others may pass through, to files that are theirs to read, and list nothing."""
        for path in (self.folder, self.folder / "staged", self.folder / "history", self.folder / "former"):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o711)  # whatever the umask is: BIRD opens its staged file as its own user
        self._refill()

    def _refill(self) -> None:
        """Hold some space back, so that the way back can be written down on a full disk."""
        if not self._reserve.exists():
            with contextlib.suppress(OSError):
                self._reserve.write_bytes(b"\0" * RESERVE_BYTES)

    @contextlib.contextmanager
    def locked(self, limit_s: float = LOCK_LIMIT_S) -> Iterator[None]:
        """Be the only one who changes the state."""
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + limit_s
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Refused("busy", "another command has worked on this router for a minute") from None
                    time.sleep(POLL_S)
            yield
        finally:
            os.close(handle)

    def read(self) -> Doc:
        """Return the state."""
        text = read_text(self.file)
        if text is None:
            return {"confirmed": None, "pending": None, "noted": {}, "drained": False}
        try:
            state = json.loads(text)
        except ValueError as error:
            raise Refused("failed", f"{self.file} is damaged: {error}") from error
        if not isinstance(state, dict) or not state.keys() >= _KEYS:
            raise Refused("failed", f"{self.file} is damaged: it is no state")
        return dict(state)

    def write(self, state: Doc) -> None:
        """Write the state down; on a full disk the space that was held back is given up for it."""
        text = json.dumps(state, indent=1, sort_keys=True) + "\n"
        try:
            write_file(self.file, text, 0o600)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            with contextlib.suppress(OSError):
                self._reserve.unlink()
            write_file(self.file, text, 0o600)

    def staged(self, change: str) -> Path:
        """Return where a change's files lie."""
        return self.folder / "staged" / change

    def put(self, folder: Path, files: Files, owner: str) -> None:
        """Write files that only root and the daemon that reads them can open."""
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder.chmod(0o711)
        for name, text in files.items():
            write_file(folder / name, text, 0o600, owner if name in ("frr.conf", "bird.conf") else "root")

    def get(self, folder: Path) -> Files:
        """Return the files of a folder."""
        found = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_file() and not path.name.startswith(".") and path.suffix != ".json":
                found[path.name] = path.read_text(encoding="utf-8", errors="surrogateescape")
        return found

    def forget(self, folder: Path) -> None:
        """Take a folder away."""
        shutil.rmtree(folder, ignore_errors=True)

    def thin_out(self, *needed: str) -> None:
        """Keep the last confirmed changes only, and those that are needed: the clock may have been wrong."""
        folders = sorted((self.folder / "history").iterdir(), key=lambda path: path.stat().st_mtime)
        for path in folders[:-KEPT]:
            if path.name not in needed:
                self.forget(path)

    def guard_lives(self) -> bool:
        """Say whether somebody holds the guard's lock."""
        handle = os.open(self.folder / "guard", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def free_bytes(self) -> int:
        """Return what is left where changes are kept."""
        found = os.statvfs(self.folder if self.folder.exists() else self.machine.root)
        return found.f_bavail * found.f_frsize
