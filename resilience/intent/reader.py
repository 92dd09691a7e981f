"""From bytes to plain values with positions: limits come first, then one pass over libyaml's events.

Scalars stay text: what a value means is decided by its key, never by YAML's guesses about `no`, `1:30` or `010`.
Events are used rather than `yaml.compose`, since composing recurses in C: a few megabytes of `[` would end the process.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from resilience.intent.problems import KEYS_OF_SECRETS, REFERENCE, Problem, Source, escape, show
from resilience.model.network import RAW_SECRET, Position

_MEGABYTES = 4
MAXIMUM_BYTES = _MEGABYTES * 1024 * 1024
MAXIMUM_VALUES = 100_000
MAXIMUM_DEPTH = 20
MAXIMUM_PROBLEMS = 100
FILE_NAME = "network.yaml"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = frozenset(
    spelling for word in ("yes", "no", "on", "off") for spelling in (word, word.capitalize(), word.upper())
)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff")
_TAB = re.compile(r"(?m)^ *\t[ \t]*(?=[^\s#])")
_SECRET_KEYS = re.compile(f"(?i){KEYS_OF_SECRETS}")
_DROPPED = "\0dropped"
_RAW = "raw"
_MEANING = {
    "mapping values are not allowed in this context": "a ':' stands where no key can be",
    "did not find expected key": "this is neither a key of the mapping above nor the end of it",
    "could not find expected ':'": "a key without its ':'",
    "did not find expected ',' or ']'": "a list in brackets lacks a ',' or its ']'",
    "did not find expected ',' or '}'": "a mapping in braces lacks a ',' or its '}'",
    "did not find expected '-' indicator": "this is neither an item of the list above nor the end of it",
    "did not find expected <document start>": "the document ends here, and something follows it",
    "found unexpected end of stream": "a quotation mark, bracket or brace is never closed",
    "found character that cannot start any token": "no value starts with this character: put the value in quotes",
    "did not find expected node content": "a value is missing here",
    "block sequence entries are not allowed in this context": "a list item cannot begin here",
    "found unexpected ':'": "a ':' without a space after it",
}


class Quoted(str):
    """A scalar that was written in quotes: text, whatever it looks like."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Genre:
    """What kind of document is read, in the words of messages."""

    noun: str
    begins: str
    """Which keys it begins with."""
    start: str
    """How to get one to start from."""
    where: str
    """How it is named on the command line."""


INTENT = Genre(
    noun="an intent",
    begins="it begins with keys such as `network:`, `asn:` and `routers:`",
    start="`resilience init DIR` makes a network to start from",
    where=f"name a folder with a {FILE_NAME}",
)


class Unreadable(Exception):
    """The file cannot be read on: everything found until then."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = problems


@dataclass(slots=True)
class Spot:
    """Where a value stands, and where its parts do; lines and columns from 0."""

    line: int
    column: int
    size: int = 1
    block: bool = False
    """A text below `|`: its lines are the lines of the file that follow."""
    keys: dict[str, Spot] = field(default_factory=dict)
    parts: dict[str | int, Spot] = field(default_factory=dict)


@dataclass(slots=True)
class Tree:
    """A document: plain values, and where each of them stands."""

    source: Source
    value: Any
    spot: Spot
    problems: list[Problem]
    kept: dict[tuple[str | int, ...], list[int]] = field(default_factory=dict)
    """For lists of which a misshapen item was taken out: where each item that is left stood."""
    cut: set[tuple[str | int, ...]] = field(default_factory=set)
    """The parts that were misshapen and taken out."""

    def was_cut(self, path: tuple[str | int, ...]) -> bool:
        """Whether something at or below a path was misshapen and taken out."""
        return any(cut[: len(path)] == path for cut in self.cut)

    def original(self, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """Return the path of a value as it is written, from its path in what was kept."""
        if not self.kept:
            return path
        made: tuple[str | int, ...] = ()
        for step in path:
            indexes = self.kept.get(made)
            known = indexes is not None and isinstance(step, int) and step < len(indexes)
            made = (*made, indexes[step] if known else step)  # type: ignore[index]
        return made

    def locate(self, path: tuple[str | int, ...], *, key: bool = False) -> Spot:
        """Return the spot of a value, or of the deepest part of its path that is written; `key`: of its key."""
        here = self.spot
        for index, step in enumerate(path):
            last = index == len(path) - 1
            if last and key and isinstance(step, str) and step in here.keys:
                return here.keys[step]
            below = here.parts.get(step)
            if below is not None:
                here = below
            elif step != 0:
                break
        return here

    def problem(
        self, rule: str, path: tuple[str | int, ...], message: str, hint: str = "", *, key: bool = False
    ) -> Problem:
        """Make a problem at a value, or at its key."""
        spot = self.locate(path, key=key)
        return self.source.problem(rule, spot.line, spot.column, message, hint)

    def stated(self, path: tuple[str | int, ...]) -> Any:
        """Return the value as it is written, valid or not; None where nothing is."""
        value, _, whole = self._follow(path)
        return value if whole else None

    def written(self, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """Return the deepest part of a path that is written, as it is written."""
        return self._follow(path)[1]

    def _follow(self, path: tuple[str | int, ...]) -> tuple[Any, tuple[str | int, ...], bool]:
        """Return where a path leads, what of it is written, and whether that is all of it.

        One item may stand without a list around it: it has no index then.
        """
        here: Any = self.value
        made: tuple[str | int, ...] = ()
        for step in path:
            inside = isinstance(here, dict) and step in here
            inside |= isinstance(here, list) and isinstance(step, int) and step < len(here)
            if inside:
                here = here[step]
                made = (*made, step)
            elif step != 0 or isinstance(here, list):
                return here, made, False
        return here, made, True


def read_file(path: Path, genre: Genre = INTENT) -> tuple[str, bytes]:
    """Return the name and bytes of a document's file: the path itself, for an intent also `network.yaml` in it."""
    file = path
    try:
        if genre is INTENT and path.is_dir():
            file = path / FILE_NAME
        return str(file), _read_bytes(file, genre)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name cannot be a file's"
        hint = f"{genre.where}, or the file itself; `resilience init DIR` makes one" if genre is INTENT else genre.where
        problem = Problem("no-file", Position(_show_file(file), 1), f"cannot read the file: {reason}", hint)
        raise Unreadable(problem) from None


def _read_bytes(file: Path, genre: Genre) -> bytes:
    """Return a file's bytes, refusing by its size before a byte is read."""
    nowhere = Position(_show_file(file), 1)
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable(Problem("no-file", nowhere, "this is no regular file", genre.where))
    if found.st_size > MAXIMUM_BYTES:
        message = f"the file has {found.st_size / 1_000_000:.1f} MB; {genre.noun} has at most {_MEGABYTES} MB"
        raise Unreadable(Problem("too-large", nowhere, message, "is this the right file?"))
    with file.open("rb") as stream:
        return stream.read(MAXIMUM_BYTES + 1)


def _show_file(file: Path) -> str:
    return escape(str(file))


def parse(name: str, data: bytes, genre: Genre = INTENT) -> Tree:
    """Return a document's values and positions."""
    source = _decode(name, data, genre)
    tree = _Composer(source, genre).compose()
    if not isinstance(tree.value, dict):
        problem = source.problem(
            "not-a-mapping",
            tree.spot.line,
            tree.spot.column,
            f"{genre.noun} is a mapping, this is {_kind(tree.value)}",
            genre.begins,
        )
        raise Unreadable(*tree.problems, problem)
    return tree


def _kind(value: object) -> str:
    return "text" if isinstance(value, str) else show(value)


def _decode(name: str, data: bytes, genre: Genre) -> Source:
    name = escape(name)
    nowhere = Position(name, 1)
    if len(data) > MAXIMUM_BYTES:
        message = f"the file is larger than {_MEGABYTES} MB"
        raise Unreadable(Problem("too-large", nowhere, message, "is this the right file?"))
    if b"\0" in data:
        raise Unreadable(_binary(name, data, data.index(b"\0"), "the file holds a NUL byte: it is not text"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise Unreadable(_binary(name, data, error.start, message)) from None
    source = Source(name, text)
    _refuse_characters(source)
    if not text.strip():
        raise Unreadable(Problem("empty-file", nowhere, "the file is empty", genre.start))
    return source


def _binary(name: str, data: bytes, at: int, message: str) -> Problem:
    before = data[:at].replace(b"\r\n", b"\n").decode("utf-8", "replace")
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return Problem("not-text", Position(name, line, column), message, "save the file as UTF-8 text")


def _refuse_characters(source: Source) -> None:
    match = _FORBIDDEN.search(source.text)
    if match is not None:
        line, column = _line_column(source, match.start())
        message = f"the character U+{ord(match[0]):04X} may not stand in YAML"
        raise Unreadable(source.problem("not-text", line, column, message, "remove it"))
    tabs = [_line_column(source, found.end() - 1) for found in _first(_TAB.finditer(source.text))]
    if tabs:
        message = "a tab indents this line; YAML is indented with spaces"
        raise Unreadable(
            *(source.problem("yaml-tab", line, column, message, "replace the tab by spaces") for line, column in tabs)
        )


def _first(found: Iterator[re.Match[str]]) -> list[re.Match[str]]:
    return [match for match, _ in zip(found, range(MAXIMUM_PROBLEMS), strict=False)]


def _line_column(source: Source, offset: int) -> tuple[int, int]:
    before = Source(source.file, source.text[:offset]).lines
    return len(before) - 1, len(before[-1])


def _syntax_problem(source: Source, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = str(getattr(error, "problem", None) or "this is not YAML")
    context = getattr(error, "context_mark", None)
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    if line >= len(source.lines):
        line, column = len(source.lines) - 1, len(source.lines[-1])
    if "maximum nesting depth" in said:  # libyaml 0.2.6 and later looks ahead, and gives up before an event is seen
        return source.problem("yaml-depth", line, column, f"values are nested more than {MAXIMUM_DEPTH} deep")
    hint = "quote values that hold ': ', '#', or begin with one of @ ` % & * ! | > [ ] { }"
    if context is not None and not source.lines[line].strip():
        line, column = context.line, context.column
    elif context is not None and context.line != line:
        hint = f"it belongs to what begins at line {context.line + 1}"
    return source.problem(
        "yaml-syntax", line, column, f"not well-formed YAML: {_MEANING.get(said, escape(said))}", hint
    )


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read."""

    value: dict[str, Any] | list[Any]
    spot: Spot
    anchor: str | None
    secret: bool = False
    """Whether it stands under a key beside which people write secrets."""
    key: str | None = None
    key_secret: bool = False


class _Stop(Exception):
    """What was read last makes reading on pointless or dangerous."""


class _Composer:
    """Builds values and spots from events, without recursion."""

    def __init__(self, source: Source, genre: Genre) -> None:
        self.source = source
        self.genre = genre
        self.found: list[tuple[str, int, int, str, str]] = []
        self.frames: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, Spot] | None] = {}
        self.root: tuple[Any, Spot] | None = None
        self.documents = 0
        self.values = 0

    def compose(self) -> Tree:
        """Read the whole stream."""
        loader = _LOADER(self.source.text)
        handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }
        try:
            while loader.check_event():
                event = loader.get_event()
                handler = handlers.get(type(event))
                if handler is not None:
                    handler(event)
        except yaml.YAMLError as error:
            raise Unreadable(*self._problems(), _syntax_problem(self.source, error)) from None
        except _Stop:
            raise Unreadable(*self._problems()) from None
        finally:
            loader.dispose()
        if self.root is None:
            nowhere = Position(self.source.file, 1)
            raise Unreadable(Problem("empty-file", nowhere, "the file holds comments only", self.genre.start))
        value, spot = self.root
        return Tree(self.source, value, spot, self._problems())

    def _problems(self) -> list[Problem]:
        """Make the problems last of all: only then it is known which parts of their lines are secrets."""
        return [self.source.problem(*found) for found in self.found]

    def _report(self, rule: str, event: Any, message: str, hint: str = "") -> None:
        mark = event.start_mark
        self.found.append((rule, mark.line, mark.column, message, hint))
        if len(self.found) >= MAXIMUM_PROBLEMS:
            raise _Stop

    def _stop(self, rule: str, event: Any, message: str, hint: str = "") -> _Stop:
        self._report(rule, event, message, hint)
        return _Stop()

    def _document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            hint = "one file declares one network" if self.genre is INTENT else "one file holds one document"
            raise self._stop("several-documents", event, "a second document begins here", hint)

    def _scalar(self, event: Any) -> None:
        self._refuse_tag(event)
        text: str | None = event.value if event.style in (None, "") else Quoted(event.value)
        if not isinstance(text, Quoted) and text is not None:
            text = self._plain(event, text)
        spot = Spot(event.start_mark.line, event.start_mark.column, block=event.style == "|")
        frame = self.frames[-1] if self.frames else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._begin_key(event, frame, text, spot)
        else:
            self._mark_secret(event, text)
            self._add(event, text, spot)
        if event.anchor is not None:
            self.anchors[event.anchor] = (text, spot)

    def _plain(self, event: Any, text: str) -> str | None:
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            meant = "true" if text.lower() in {"yes", "on"} else "false"
            hint = f"write {meant} where a yes or no belongs, or '{text}' in quotes where it is a name or text"
            self._report("yaml-boolean", event, f"{text} without quotes is a boolean to many YAML readers", hint)
        elif ":" in text and _SEXAGESIMAL.fullmatch(text):
            shown = escape(text[:48])
            message = f"{shown} without quotes is a number of base 60 to many YAML readers"
            self._report("yaml-sexagesimal", event, message, f'write "{shown}" in quotes')
        return text

    def _begin_key(self, event: Any, frame: _Frame, text: str | None, spot: Spot) -> None:
        assert isinstance(frame.value, dict)  # noqa: S101 - told to the type checker; the caller looked
        if text is None:
            self._report("yaml-key", event, "a key is empty", "write the key before its ':'")
            frame.key = _DROPPED
        elif text == "<<" and not isinstance(text, Quoted):
            self._report("yaml-merge", event, "merge keys (<<) are not part of the language", "write the values out")
            frame.key = _DROPPED
        elif text in frame.value:
            first = frame.spot.keys[text].line + 1
            message = f"the key {show(text)} stands here a second time; it stood at line {first} already"
            self._report("duplicate-key", event, message, "remove one of them")
            frame.key = _DROPPED
        else:
            frame.key = str(text)
            frame.key_secret = frame.secret or _SECRET_KEYS.fullmatch(text) is not None
            frame.spot.keys[frame.key] = spot

    def _mark_secret(self, event: Any, text: str | None) -> None:
        if text is None:
            return
        if (self._under_secret_key() and not REFERENCE.fullmatch(text)) or self._may_reveal(text):
            start, end = event.start_mark, event.end_mark
            self.source.secrets.append((start.line, start.column, end.line, end.column))

    def _may_reveal(self, text: str) -> bool:
        """Whether a text of raw lines speaks of a secret: people paste them there although they should not."""
        return any(frame.key == _RAW for frame in self.frames) and RAW_SECRET.search(text) is not None

    def _mark_aliased_secret(self, text: str, spot: Spot) -> None:
        if (self._under_secret_key() and not REFERENCE.fullmatch(text)) or self._may_reveal(text):
            self.source.secrets.append((spot.line, spot.column, spot.line, spot.column + 1))

    def _under_secret_key(self) -> bool:
        if not self.frames:
            return False
        frame = self.frames[-1]
        return frame.secret if frame.key is None else frame.key_secret

    def _add(self, event: Any, value: Any, spot: Spot) -> None:
        self.values += spot.size
        if self.values > MAXIMUM_VALUES:
            raise self._stop(
                "yaml-expansion",
                event,
                f"the file holds more than {MAXIMUM_VALUES:,} values",
                "anchors and aliases that repeat each other grow without end; write the values out",
            )
        if not self.frames:
            self.root = (value, spot)
            return
        frame = self.frames[-1]
        frame.spot.size += spot.size
        if isinstance(frame.value, list):
            frame.spot.parts[len(frame.value)] = spot
            frame.value.append(value)
            return
        if frame.key is None:
            self._report("yaml-key", event, f"a key is text, this is {show(value)}", "write a name before the ':'")
            frame.key = _DROPPED
            return
        if frame.key != _DROPPED:
            frame.value[frame.key] = value
            frame.spot.parts[frame.key] = spot
        frame.key = None

    def _start(self, event: Any) -> None:
        self._refuse_tag(event)
        if len(self.frames) >= MAXIMUM_DEPTH:
            raise self._stop("yaml-depth", event, f"values are nested more than {MAXIMUM_DEPTH} deep")
        spot = Spot(event.start_mark.line, event.start_mark.column)
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.frames.append(_Frame(value, spot, event.anchor, self._under_secret_key()))

    def _end(self, event: Any) -> None:
        frame = self.frames.pop()
        self.values -= frame.spot.size - 1
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (frame.value, frame.spot)
        self._add(event, frame.value, frame.spot)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            self._report("yaml-alias", event, f"there is no anchor {show(event.anchor)} before this alias")
            found: tuple[Any, Spot] | None = (None, Spot(event.start_mark.line, event.start_mark.column))
        else:
            found = self.anchors[event.anchor]
        if found is None:
            raise self._stop("yaml-alias", event, f"the alias {show(event.anchor)} stands inside what it repeats")
        value, spot = found
        if isinstance(value, str):
            self._mark_aliased_secret(value, spot)
        frame = self.frames[-1] if self.frames else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None and isinstance(value, str):
            self._begin_key(event, frame, value, spot)
        else:
            self._add(event, value, spot)

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            hint = "values need no tag; put text in quotes"
            self._report("yaml-tag", event, f"the YAML tag {show(event.tag)} is not part of the language", hint)
