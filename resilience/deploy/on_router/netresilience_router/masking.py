"""Texts without their passwords: nothing else may leave the router."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

MASK = "********"

_FRR_PASSWORD = re.compile(r"^(\s*neighbor \S+ password )(\S.*)$", re.MULTILINE)
_BIRD_PASSWORD = re.compile(r'^(.*?\bpassword ")([^"\n]*)(")', re.MULTILINE)


def mask(text: str) -> str:
    """Hide every password of a text."""
    return _BIRD_PASSWORD.sub(r"\1" + MASK + r"\3", _FRR_PASSWORD.sub(r"\1" + MASK, text))


def masked_diff(before: str, after: str, name: str) -> str:
    """Return a unified diff without passwords; that one has changed is said, not what it was or is."""
    if before == after:
        return ""
    known = dict(_passwords(before))

    def hide(match: re.Match[str]) -> str:
        same = known.get(match[1], match[2]) == match[2]
        return match[1] + MASK + ("" if same else " (changed)") + (match[3] if match.lastindex == 3 else "")

    new = _BIRD_PASSWORD.sub(hide, _FRR_PASSWORD.sub(hide, after))
    lines = difflib.unified_diff(mask(before).splitlines(), new.splitlines(), name, name, lineterm="")
    return "\n".join(lines)


def _passwords(text: str) -> Iterator[tuple[str, str]]:
    for pattern in (_FRR_PASSWORD, _BIRD_PASSWORD):
        for match in pattern.finditer(text):
            yield match[1], match[2]
