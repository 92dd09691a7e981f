"""`numbers.lock.yaml` beside the intent: one number a line, sorted, so that git merges it."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from resilience.errors import NumbersError
from resilience.plan.numbers import Numbers

LOCK_NAME = "numbers.lock.yaml"
_HEADER = "# Numbers given out once and kept. Written by `resilience lock` and `resilience render`; commit it.\n"
_LINE = re.compile(r"([a-z0-9][a-z0-9 .-]*): (\S+)")
_MOST_BYTES = 16_000_000


def read_numbers(folder: Path) -> Numbers:
    """Return the numbers locked beside an intent; none when there is no file.

    Raises:
        NumbersError: a line is damaged, or two lines give the same number (a merge did that); names both lines.
    """
    path = folder / LOCK_NAME
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise NumbersError(f"{path}: larger than {_MOST_BYTES} bytes", hint="this is not a lock file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Numbers()
    except (OSError, UnicodeDecodeError) as error:
        raise NumbersError(f"{path}: cannot be read: {error}") from error
    return _parse(path, text)


def _parse(path: Path, text: str) -> Numbers:
    given: dict[str, str] = {}
    lines: dict[str, int] = {}
    owners: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise NumbersError(
                f"{path}:{number}: not a line of the form `element what: number`",
                hint="undo the edit, or delete the line to have that number given anew",
            )
        key, value = match[1], match[2]
        if key in given:
            raise NumbersError(f"{path}:{number}: {key} stands on line {lines[key]} too", hint="keep one of them")
        if "/" in value and value in owners:
            other = owners[value]
            raise NumbersError(
                f"{path}:{number}: {value} is given to {other} on line {lines[other]} too",
                hint="after a merge, delete the younger of the two lines and run `resilience lock`",
            )
        given[key], lines[key], owners[value] = value, number, key
    return Numbers(given)


def write_numbers(folder: Path, numbers: Numbers) -> bool:
    """Write the lock file atomically; return whether it changed."""
    path = folder / LOCK_NAME
    text = _HEADER + "".join(f"{key}: {value}\n" for key, value in sorted(numbers.given.items()))
    try:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return False
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{LOCK_NAME}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise NumbersError(f"{path}: cannot be written: {error.strerror}") from error
    return True
