"""From the bytes of a drill file to flows and failures with their places; what the lab makes of them comes later."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from resilience.attach.document import DrillDocument, FailurePart, FlowPart
from resilience.errors import IntentError
from resilience.intent.problems import Problem, order
from resilience.intent.reader import Genre, Tree, Unreadable, parse, read_file
from resilience.intent.shape import read_shape_of
from resilience.model.network import IPAddress

GENRE: Final = Genre(
    noun="a drill file",
    begins="it begins with `flows:`, `fail:` and `within:`",
    start="`resilience schema drills` says what belongs into it",
    where="name the file that says what is measured and what fails",
)

_FILL: Final[Mapping[str, Any]] = {"flows": [], "fail": []}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedFlow:
    """A flow as it is written. `index`: its place in the list."""

    index: int
    source: str
    target: str
    address: IPAddress | None
    source_address: IPAddress | None
    family: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedFailure:
    """What fails at once, in the words of the file, and for how long traffic may be away; None: as long as it takes."""

    index: int
    what: tuple[str, ...]
    within_ms: int | None


@dataclass(slots=True)
class DrillFile:
    """A drill file and where everything in it stands."""

    tree: Tree
    digest: str
    flows: tuple[StatedFlow, ...]
    failures: tuple[StatedFailure, ...]

    def problem(self, rule: str, path: tuple[str | int, ...], message: str, hint: str = "") -> Problem:
        """Make a problem at a place of the file."""
        return self.tree.problem(rule, path, message, hint)


def read_drill_file(path: Path) -> DrillFile:
    """Return what a drill file says; IntentError with every problem otherwise."""
    try:
        name, data = read_file(path, GENRE)
        tree = parse(name, data, GENRE)
    except Unreadable as stopped:
        raise invalid(stopped.problems) from None
    document, misshapen = read_shape_of(tree, DrillDocument, _FILL)
    problems = [*tree.problems, *misshapen]
    if document is None or problems:
        raise invalid(problems)
    _need_something(tree, document)
    return DrillFile(
        tree=tree,
        digest=hashlib.sha256(data).hexdigest(),
        flows=tuple(_flow(index, part) for index, part in enumerate(document.flows)),
        failures=tuple(_failure(index, part, document) for index, part in enumerate(document.fail)),
    )


def invalid(problems: Iterable[Problem]) -> IntentError:
    """Return the error with every problem once, in the order of the file."""
    return IntentError(order(problems))


def _need_something(tree: Tree, document: DrillDocument) -> None:
    empty = [key for key, items in (("flows", document.flows), ("fail", document.fail)) if not items]
    if empty:
        raise invalid(
            [tree.problem("missing-key", (key,), f"`{key}` is empty: there is nothing to do") for key in empty]
        )


def _flow(index: int, part: FlowPart) -> StatedFlow:
    stated = part.address or part.source_address
    return StatedFlow(
        index=index,
        source=part.source,
        target=part.target,
        address=part.address,
        source_address=part.source_address,
        family=part.family or (stated.version if stated else 4),
    )


def _failure(index: int, part: FailurePart, document: DrillDocument) -> StatedFailure:
    return StatedFailure(
        index=index,
        what=tuple(part.what),
        within_ms=document.within if part.within is None else part.within,
    )
