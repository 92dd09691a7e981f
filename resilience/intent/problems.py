"""What is wrong in an intent, said so that people can mend it: where, what, what would be right, and the line itself.

Names and values come from outside: they are shown escaped, cut to a length, and never where they may be secrets.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from resilience.model.network import Position

_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_SECRET = re.compile(
    r"""(?ix) (?<![\w-]) (?: pass(?:word|wd|phrase)?s? | pasword | passwort | secret | mot_?de_?passe | md5(?:_?key)? |
        auth_?key | key ) ["']? \s* : \s* (?! ["']? (?:env|file|vault): ) (?= [^\s,}] )"""
)
_WIDTH = 100
_SHOWN = 48
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"})
HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `rule` is a name in `RULES`; `line` is the offending line, safe to show."""

    rule: str
    position: Position
    message: str
    hint: str = ""
    line: str = ""
    caret: int = 0
    """The column of the caret in `line`, from 0."""

    def __str__(self) -> str:
        shown = [f"{self.position}: {self.message}"]
        if self.line:
            number = str(self.position.line)
            shown.append(f"  {number} | {self.line}")
            shown.append(f"  {' ' * len(number)} | {' ' * self.caret}^")
        if self.hint:
            shown.append(f"  {self.hint}")
        return "\n".join(shown)


@dataclass(slots=True)
class Source:
    """The text of an intent, and which parts of it must not be shown."""

    file: str
    text: str = ""
    lines: list[str] = field(default_factory=list)
    secrets: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Line and column of start and end of each literal secret, from 0."""

    def __post_init__(self) -> None:
        self.lines = _LINE_BREAK.split(self.text)

    def problem(self, rule: str, line: int, column: int, message: str, hint: str = "") -> Problem:
        """Make a problem at a line and column that count from 0."""
        shown, caret = self._excerpt(line, column)
        return Problem(rule, Position(self.file, line + 1, column + 1), message, hint, shown, caret)

    def _excerpt(self, line: int, column: int) -> tuple[str, int]:
        if not 0 <= line < len(self.lines):
            return "", 0
        text = self._without_secrets(line)
        column = min(column, len(text))
        start = max(0, column - _WIDTH // 2) if len(text) > _WIDTH else 0
        before, after = escape(text[start:column]), escape(text[column : start + _WIDTH])
        lead = "..." if start else ""
        return f"{lead}{before}{after}".rstrip(), len(lead) + len(before)

    def _without_secrets(self, line: int) -> str:
        text = self.lines[line]
        cut = len(text)
        for first, column, last, end in self.secrets:
            if first <= line < last or (line == last and (end > 0 or first == last)):
                cut = min(cut, column if line == first else len(text) - len(text.lstrip()))
        match = _SECRET.search(text)
        if match is not None:
            cut = min(cut, match.end())
        return text if cut == len(text) else text[:cut] + HIDDEN


def escape(text: str) -> str:
    """Return text for one line of a terminal: what is invisible or would move the cursor is written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape", "backslashreplace").decode()
        if unicodedata.category(character) in _INVISIBLE
        else character
        for character in text
    )


def show(value: object) -> str:
    """Return a value as a message quotes it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    cut = f"{escape(text[:_SHOWN])}..." if len(text) > _SHOWN else escape(text)
    return f"'{cut}'"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that somebody most probably meant."""
    if not isinstance(name, str) or len(name) > _SHOWN:
        return None
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def join_names(names: Iterable[str], most: int = 8, last: str = "or") -> str:
    """Return names as a sentence lists them, cut where a list would be too long to read."""
    listed = [escape(name[:_SHOWN]) for name in names]
    if len(listed) > most:
        return f"{', '.join(listed[:most])} and {len(listed) - most} more"
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} {last} {listed[-1]}"
