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
REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|(?:file|vault):[!-~](?:[ -~]{0,190}[!-~])?")
"""What says where a secret is kept; anything else beside a secret's key may be the secret."""
KEYS_OF_SECRETS = r"pass(?:word|wd|phrase)?s?|pasword|passwort|secret|mot_?de_?passe|md5(?:_?key)?|auth_?key|key"
"""Keys beside which people write secrets, as a regular expression."""
_SECRET = re.compile(
    rf"""(?ix) (?<![\w-]) (?: {KEYS_OF_SECRETS} ) ["']? \s* : \s*
        (?! ["']? (?: env:[a-z_][a-z0-9_]* | (?:file|vault):[^\s,}}"'#]+ ) ["']? \s* (?: [,}}\#] | $ ) )
        (?= [^\s,}}] )"""
)
_WIDTH = 100
_NEAR = 1_000
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


def order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return every problem once, in the order of the file."""
    return tuple(sorted(set(problems), key=lambda one: (one.position, one.rule, one.message)))


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
        """Return the part of a line around a column, and where the column is in it."""
        if not 0 <= line < len(self.lines):
            return "", 0
        whole = self.lines[line]
        start = max(0, column - _WIDTH // 2) if len(whole) > _WIDTH else 0
        cut = self._secret_at(line, start)
        text = whole if cut >= len(whole) else whole[:cut] + HIDDEN
        column, start = min(column, len(text)), min(start, len(text))
        before, after = escape(text[start:column]), escape(text[column : start + _WIDTH])
        lead = "..." if start else ""
        return f"{lead}{before}{after}".rstrip(), len(lead) + len(before)

    def _secret_at(self, line: int, start: int) -> int:
        """Return the column from which a line may hold a secret; its length if it holds none near `start`."""
        text = self.lines[line]
        cut = len(text)
        for first, column, last, end in self.secrets:
            if first <= line < last or (line == last and (end > 0 or first == last)):
                cut = min(cut, column if line == first else len(text) - len(text.lstrip()))
        match = _SECRET.search(text, max(0, start - _NEAR), start + _WIDTH)
        return cut if match is None else min(cut, match.end())


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
    found = difflib.get_close_matches(name.lower(), [one for one in known if one.isascii() and one.isprintable()], n=1)
    return found[0] if found else None


def join_names(names: Iterable[str], most: int = 8, last: str = "or") -> str:
    """Return names as a sentence lists them, cut where a list would be too long to read."""
    listed = [escape(name[:_SHOWN]) for name in names]
    if len(listed) > most:
        return f"{', '.join(listed[:most])} and {len(listed) - most} more"
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} {last} {listed[-1]}"
