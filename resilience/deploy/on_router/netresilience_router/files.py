"""Files on the disk: replaced whole or not at all, read, and told apart."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
from pathlib import Path

from .machine import Files


def write_file(path: Path, text: str, mode: int, owner: str = "root") -> None:
    """Replace a file: whole or not at all, also when power fails."""
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            own(stream.fileno(), mode, owner)
            os.fsync(stream.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def own(handle: int, mode: int, owner: str) -> None:
    """Give a file its owner and permissions."""
    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(owner)
        if os.geteuid() == 0:
            os.fchown(handle, entry.pw_uid, entry.pw_gid)
    os.fchmod(handle, mode)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_text(path: Path) -> str | None:
    """Return a file's text, None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


def digest(files: Files) -> str:
    """Return one SHA-256 of several files."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(b"%s\0%s\0" % (name.encode(), files[name].encode("utf-8", "surrogateescape")))
    return whole.hexdigest()
