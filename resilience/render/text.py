"""Turn what comes from names and people into text that no daemon can misread.

Configurations are not escaped by the template engine, so every text passes one of these functions first.
"""

from __future__ import annotations

import re
from hashlib import sha256

from resilience.errors import ResilienceError

_NOT_PRINTABLE = re.compile(r"[^ -~]+")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ._:/,()+-]+")
_NOT_SYMBOL = re.compile(r"[^A-Za-z0-9_]")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
_SYMBOL_LENGTH = 63
_RAW_WIDTH = 200
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,200}")


def comment(text: str) -> str:
    """Return text for a comment: one line of printable ASCII, so that it can never end the comment."""
    return _NOT_PRINTABLE.sub(" ", text).strip()[:400]


def raw_line(text: str) -> str:
    """Return a raw line unchanged; one that is no single line of printable ASCII is a defect of the plan."""
    if _NOT_PRINTABLE.search(text) or len(text) > _RAW_WIDTH:
        raise ResilienceError("a raw line that no configuration can hold")
    return text


def description(text: str) -> str:
    """Return text for a description: letters, digits and harmless punctuation, at most 80 characters."""
    return _NOT_PLAIN.sub(" ", text).strip()[:80]


def symbol(*parts: str) -> str:
    """Return a BIRD symbol. The prefix keeps it apart from every keyword; `-` is no letter there.

    BIRD takes 63 characters; a longer one keeps its beginning and ends in a hash of the whole.
    """
    name = "b_" + _NOT_SYMBOL.sub("_", "_".join(parts))
    if len(name) <= _SYMBOL_LENGTH:
        return name
    return f"{name[: _SYMBOL_LENGTH - 11]}_{sha256(name.encode()).hexdigest()[:10]}"


def identifier(name: str) -> str:
    """Return a name of a policy or list unchanged; a name that is none is a defect of the plan."""
    if _IDENTIFIER.fullmatch(name) is None:
        raise ResilienceError(f"not a name that configurations can hold: {name!r}")
    return name


def interface_name(name: str) -> str:
    """Return an interface's name unchanged; one that would need quoting is a defect of the plan."""
    if _INTERFACE.fullmatch(name) is None:
        raise ResilienceError(f"not an interface name: {name!r}")
    return name


def seconds(value_ms: int) -> int:
    """Return whole seconds, rounded up, one at least: the daemons' BGP timers know nothing finer."""
    return max(1, -(-value_ms // 1000))
