"""The record of a deployment on disk: `NET/deployments/ID.json`, written before and after every step.

Each write replaces the whole file and reaches the disk before anything else is done, so that whoever finds it after a
crash, on this machine or another, knows what may have happened to which router.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from resilience.deploy.reading import Misshapen, read_value
from resilience.errors import EnvironmentLacks, UnknownName, UsageError
from resilience.model.deployment import DEPLOYMENT_SCHEMA, Deployment
from resilience.model.document import write_json

FOLDER = "deployments"
"""Beside the intent of a network."""
UNDO = "-undo"
"""What is added to a deployment's id to name the change that takes it back."""
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
_MOST_BYTES = 16 * 2**20
_UNREADABLE = "nothing was done; bring the file back, or name another deployment"


def make_id(now: datetime) -> str:
    """Return the id of a deployment that begins now: it sorts by time, and two engineers never get the same one."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


class Records:
    """The deployments of one network, each a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, deployment_id: str) -> Path:
        """Return where a deployment's record lies."""
        if not _ID.fullmatch(deployment_id):
            raise UnknownName(
                f"{deployment_id!r} is no id of a deployment", hint="such as 20260102-030405-a1b2c3; --status shows it"
            )
        return self.folder / f"{deployment_id}.json"

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all records, oldest first."""
        if not self.folder.is_dir():
            return ()
        return tuple(sorted(path.stem for path in self.folder.glob("*.json") if _ID.fullmatch(path.stem)))

    def newest(self) -> str:
        """Return the id of the deployment that began last."""
        found = self.ids()
        if not found:
            raise UnknownName(f"{self.folder}: no deployment was ever recorded here", hint="--records names the folder")
        return found[-1]

    def read(self, deployment_id: str) -> Deployment:
        """Return a record; one clear error where the file is missing, damaged or of something else."""
        path = self.path(deployment_id)
        deployment = _parse(path, _read_text(path, self.ids()))
        if deployment.id != deployment_id:
            raise UsageError(f"{path}: the record of another deployment, {deployment.id!r}", hint=_UNREADABLE)
        return deployment

    def write(self, deployment: Deployment) -> None:
        """Replace a record in one step; on return it is on the disk."""
        path = self.path(deployment.id)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _replace(path, write_json(deployment))
        except OSError as error:
            raise EnvironmentLacks(
                f"{path}: the record cannot be written: {error.strerror}",
                hint="a deployment that nobody could take up again is not begun; --records names another folder",
            ) from error

    def keep(self, deployment_id: str, kind: str, data: bytes) -> Path:
        """Write what belongs to a deployment beside its record, and return where."""
        path = self.path(deployment_id).with_suffix(f".{kind}.json")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _replace(path, data.decode())
        except OSError as error:
            raise EnvironmentLacks(f"{path}: cannot be written: {error.strerror}") from error
        return path

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep every other process on this machine from deploying the same network, until this one is done or dead."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise EnvironmentLacks(f"{self.folder}: cannot be opened: {error.strerror}") from error
        try:
            _lock(handle, self.folder)
            yield
        finally:
            os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"{folder}: another process on this machine is deploying this network",
            hint="--status shows which deployment, who and since when",
        ) from None


def _read_text(path: Path, known: tuple[str, ...]) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        hint = f"the last one is {known[-1]}" if known else "no deployment was ever recorded there"
        raise UnknownName(f"{path}: no such record", hint=hint) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", hint=_UNREADABLE) from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path}: longer than any record of a deployment", hint=_UNREADABLE)
    return data.decode("utf-8", errors="replace")


def _parse(path: Path, text: str) -> Deployment:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, json.JSONDecodeError) else "not JSON"
        raise UsageError(f"{path}: damaged: {reason}", hint=_UNREADABLE) from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != DEPLOYMENT_SCHEMA:
        raise UsageError(f"{path}: not a record of a deployment: its schema is {schema!r}", hint=_UNREADABLE)
    try:
        return read_value(Deployment, document)
    except Misshapen as error:
        raise UsageError(f"{path}: damaged: {error}", hint=_UNREADABLE) from None


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader, or a loss of power, finds the old or the new one and never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
