"""Texts without their passwords: nothing else may leave the router."""

from __future__ import annotations

import difflib
import re

MASK = "********"

# Wherever they stand: frr-reload.py and vtysh quote lines after words of their own, such as `no`.
_FRR_PASSWORD = re.compile(
    r"(\bneighbor \S+ password |\bmessage-digest-key \d+ md5 |\bauthentication-key |\bkey-string )(\S.*)$",
    re.MULTILINE,
)
_BIRD_PASSWORD = re.compile(r'(\bpassword\s+")([^"\n]*)(")')


def mask(text: str) -> str:
    """Hide every password of a text."""
    return _BIRD_PASSWORD.sub(r"\1" + MASK + r"\3", _FRR_PASSWORD.sub(r"\1" + MASK, text))


def masked_diff(before: str, after: str, name: str) -> str:
    """Return a unified diff without passwords; that one has changed is said, not what it was or is."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm=""))
    gone = {mask(line[1:]) for line in lines if line.startswith("-")}
    return "\n".join(_masked_line(line, gone) for line in lines)


def _masked_line(line: str, gone: set[str]) -> str:
    hidden = mask(line)
    if line.startswith("+") and MASK in hidden and hidden[1:] in gone:
        return hidden.replace(MASK, MASK + " (changed)", 1)
    return hidden
