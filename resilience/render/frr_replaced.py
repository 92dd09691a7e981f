"""What raw lines of FRR replace is taken out of the file, and said there.

Two statements for one thing would be well for a start: the later one holds. But frr-reload.py compares a file with what
runs line by line, would find the earlier one missing each time, and bring it back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from resilience.render.raw import BEGIN, END

_LISTS = frozenset({"route-map", "prefix-list", "filter-list", "distribute-list", "unsuppress-map"})
"""What a neighbour has one of in each direction."""
_SUBJECTS = frozenset({"timers", "capability", "bfd"})
"""What has several statements, told apart by their next word."""
_TRAILING = re.compile(r"[\d.:/]+")


@dataclass(frozen=True, slots=True)
class _Statement:
    """A line with the sections that it stands in."""

    number: int
    context: tuple[str, ...]
    words: tuple[str, ...]
    raw: bool


def take_out_replaced(text: str) -> str:
    """Return a configuration in which what raw lines say otherwise later on is a comment."""
    lines = text.split("\n")
    statements = list(_statements(lines))
    for mine in statements:
        if not mine.raw:
            continue
        for other in statements:
            if not other.raw and other.number < mine.number and _replaces(mine, other):
                line = lines[other.number]
                indent = line[: len(line) - len(line.lstrip())]
                lines[other.number] = f"{indent}! replaced by raw lines below: {' '.join(other.words)}"
    return "\n".join(lines)


def _statements(lines: list[str]) -> Iterator[_Statement]:
    """Yield the lines that are neither comments nor the heads of sections."""
    code = [(number, line) for number, line in enumerate(lines) if line.strip() and line.strip()[0] not in "!#"]
    marked = _marked(lines)
    stack: list[tuple[int, str]] = []
    for place, (number, line) in enumerate(code):
        indent = len(line) - len(line.lstrip())
        while stack and stack[-1][0] >= indent:
            stack.pop()
        following = code[place + 1][1] if place + 1 < len(code) else ""
        opens = len(following) - len(following.lstrip()) > indent or (following == "exit" and not indent)
        if opens:
            stack.append((indent, " ".join(line.split())))
        elif not line.strip().startswith("exit"):
            yield _Statement(number, tuple(head for _, head in stack), tuple(line.split()), number in marked)


def _marked(lines: list[str]) -> set[int]:
    """Return the numbers of the lines between the marks."""
    found: set[int] = set()
    inside = False
    for number, line in enumerate(lines):
        inside = (inside or BEGIN in line) and END not in line
        if inside:
            found.add(number)
    return found


def _replaces(mine: _Statement, other: _Statement) -> bool:
    if mine.context != other.context:
        return False
    if mine.words[0] == "no":
        gone = mine.words[1:]
        return other.words[: len(gone)] == gone
    return _key(mine.words) == _key(other.words)


def _key(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a statement is about, without what it says of it."""
    if words[0] == "neighbor" and len(words) > 2:
        return (*words[:2], *_key_of_neighbor(words[2:]))
    if words[0] == "description":
        return words[:1]
    end = len(words)
    while end > 1 and _TRAILING.fullmatch(words[end - 1]):
        end -= 1
    return words[:end]


def _key_of_neighbor(words: tuple[str, ...]) -> tuple[str, ...]:
    if words[0] in _LISTS:
        return (words[0], words[-1])
    if words[0] in _SUBJECTS:
        return (words[0], *(word for word in words[1:2] if not _TRAILING.fullmatch(word)))
    return words[:1]
