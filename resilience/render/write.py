"""Configurations to a folder, without ever destroying what somebody else wrote there.

A manifest in the folder remembers what was written and its hash. From it follows what may be replaced or removed: a
file that is not in it belongs to somebody else; a file that differs from its hash was changed by hand.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path

from resilience.errors import ExistingFiles, ResilienceError
from resilience.model.configs import ConfigFile, Configs

MANIFEST = ".netresilience-manifest.json"
_SCHEMA = "resilience/manifest@1"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]*")
_HASH = re.compile(r"[0-9a-f]{64}")
_SHOWN = 8
"""How many paths an error names."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths relative to the folder, sorted: what writing did to each."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]

    @property
    def any(self) -> bool:
        """Anything differs from before."""
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class _Survey:
    """What the folder holds, beside what it should hold."""

    wanted: Mapping[str, ConfigFile]
    known: Mapping[str, str]
    """The manifest: path to hash."""
    current: Mapping[str, str | None]
    """Path to the text on disk; None: no such file."""
    stale: tuple[str, ...]
    """Written once, no longer wanted."""

    def changes(self) -> Changes:
        return Changes(
            added=tuple(path for path in self.wanted if self.current[path] is None),
            changed=tuple(path for path, file in self.wanted.items() if self.current[path] not in {None, file.text}),
            removed=tuple(path for path in self.stale if self.current[path] is not None),
            unchanged=tuple(path for path, file in self.wanted.items() if self.current[path] == file.text),
        )

    def foreign(self) -> list[str]:
        """Return files in the way that this tool never wrote."""
        return [path for path in self.changes().changed if path not in self.known]

    def edited(self) -> list[str]:
        """Return files that it wrote and somebody has changed since."""
        changes = self.changes()
        candidates = sorted((*changes.changed, *changes.removed))
        return [path for path in candidates if path in self.known and _hash(self.current[path]) != self.known[path]]


def write_configs(configs: Configs, directory: Path, *, partial: bool = False, force: bool = False) -> Changes:
    """Write one folder a node; remove what was written before and is no longer wanted.

    Args:
        configs: what to write.
        directory: where; made when it is missing.
        partial: `configs` holds some nodes only; leave the folders of others alone.
        force: overwrite and remove files that were changed by hand. Files of others are never touched.

    Raises:
        ExistingFiles: a file in the way was not written by this tool, or was changed since. Nothing has been written.
    """
    return _apply(_survey(_by_path(configs), directory, configs if partial else None), directory, force=force)


def write_files(files: Iterable[ConfigFile], directory: Path, *, force: bool = False) -> Changes:
    """Write files whose paths are relative to the folder itself; the rest is as in `write_configs`."""
    return _apply(_survey({_checked(file.path): file for file in files}, directory, None), directory, force=force)


def _apply(survey: _Survey, directory: Path, *, force: bool) -> Changes:
    _refuse(survey, directory, force=force)
    try:
        changes = survey.changes()
        for path in (*changes.added, *changes.changed):
            _write(directory / path, survey.wanted[path].text, survey.wanted[path].mode)
        for path in changes.removed:
            _remove(directory, path)
        kept = {path: digest for path, digest in survey.known.items() if path not in survey.stale}
        hashes = kept | {path: _hash(file.text) for path, file in survey.wanted.items()}
        if hashes != dict(survey.known):
            document = {"schema": _SCHEMA, "files": dict(sorted(hashes.items()))}
            _write(directory / MANIFEST, json.dumps(document, indent=1) + "\n", 0o644)
    except OSError as error:
        raise ExistingFiles(f"{error.filename or directory}: cannot be written: {error.strerror}") from error
    return changes


def diff_configs(configs: Configs, directory: Path, *, partial: bool = False) -> str:
    """Return what writing would change, as a unified diff; empty when nothing would."""
    survey = _survey(_by_path(configs), directory, configs if partial else None)
    changes = survey.changes()
    pieces: list[str] = []
    for path in sorted((*changes.added, *changes.changed, *changes.removed)):
        old, file = survey.current[path], survey.wanted.get(path)
        pieces.extend(
            unified_diff(
                (old or "").splitlines(keepends=True),
                (file.text if file else "").splitlines(keepends=True),
                "/dev/null" if old is None else f"a/{path}",
                "/dev/null" if file is None else f"b/{path}",
            )
        )
    return "".join(piece if piece.endswith("\n") else piece + "\n" for piece in pieces)


def _survey(files: Mapping[str, ConfigFile], directory: Path, only: Container[str] | None) -> _Survey:
    """Look at what is there. `only`: what was written below other folders than these is still wanted."""
    wanted = dict(sorted(files.items()))
    known = _read_manifest(directory)
    stale = tuple(p for p in known if p not in wanted and (only is None or p.partition("/")[0] in only))
    current = {path: _read(directory, path) for path in (*wanted, *stale)}
    return _Survey(wanted, known, current, stale)


def _by_path(configs: Configs) -> dict[str, ConfigFile]:
    return {_checked(f"{node}/{file.path}"): file for node, files in configs.items() for file in files}


def _checked(path: str) -> str:
    """Return a path that stays below its folder, whatever the names in it; anything else is a defect or an attack."""
    if not all(_PART.fullmatch(part) for part in path.split("/")):
        raise ResilienceError(f"not a path that may be written: {path!r}")
    return path


def _read_manifest(directory: Path) -> dict[str, str]:
    path = directory / MANIFEST
    try:
        return _parse_manifest(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, ResilienceError) as error:
        raise ExistingFiles(
            f"{path}: damaged: without it nobody knows which files may be replaced",
            hint="write into an empty folder, or bring the file back",
        ) from error


def _parse_manifest(text: str) -> dict[str, str]:
    """Return path to hash; ValueError for anything that this module did not write."""
    document = json.loads(text)
    files = document.get("files") if isinstance(document, dict) and document.get("schema") == _SCHEMA else None
    if not isinstance(files, dict):
        raise ValueError("another schema")  # noqa: TRY004 - the file's fault, not the caller's
    if not all(isinstance(digest, str) and _HASH.fullmatch(digest) for digest in files.values()):
        raise ValueError("not a hash")
    return {_checked(name): digest for name, digest in sorted(files.items())}


def _read(directory: Path, path: str) -> str | None:
    """Return a file's text, None when there is none. A link would lead out of the folder, so it is refused."""
    place = directory
    for part in path.split("/"):
        place /= part
        if place.is_symlink():
            raise ExistingFiles(f"{place}: a symbolic link; files are written into plain folders only")
    try:
        return place.read_bytes().decode("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ExistingFiles(f"{place}: in the way: {error.strerror}") from error


def _refuse(survey: _Survey, directory: Path, *, force: bool) -> None:
    foreign = survey.foreign()
    if foreign:
        raise ExistingFiles(
            f"{directory}: not written by this tool, so left alone: {_some(foreign)}",
            hint="write into another folder, or move them away",
        )
    edited = survey.edited()
    if edited and not force:
        raise ExistingFiles(
            f"{directory}: changed by hand since they were written: {_some(edited)}",
            hint="--diff shows what would be lost; --force overwrites them",
        )


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more


def _hash(text: str | None) -> str:
    return sha256((text or "").encode("utf-8", errors="surrogateescape")).hexdigest()


def _write(path: Path, text: str, mode: int) -> None:
    """Replace a file in one step: a reader sees the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _remove(directory: Path, path: str) -> None:
    """Remove a file, and the folders that held nothing else."""
    place = directory / path
    place.unlink()
    for folder in place.relative_to(directory).parents:
        if folder != Path() and not any((directory / folder).iterdir()):
            (directory / folder).rmdir()
