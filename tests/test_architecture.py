"""The rooms of the package depend on one another in one direction only (docs/explanation/rooms.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "resilience"

_PLAN_READERS = frozenset({"errors", "model", "plan"})
_LAB = _PLAN_READERS | {"render"}
MAY_IMPORT: dict[str, frozenset[str]] = {
    "__init__": frozenset({"errors", "model", "intent", "plan", "analysis", "render", "lab", "drill"}),
    "errors": frozenset(),
    "model": frozenset({"errors"}),
    "intent": frozenset({"errors", "model"}),
    "plan": frozenset({"errors", "model"}),
    "analysis": _PLAN_READERS,
    "render": _PLAN_READERS,
    "lab": _LAB,
    "drill": _LAB | {"lab", "analysis"},
    "proof": _LAB | {"intent", "lab"},
    "attach": _LAB | {"intent", "lab"},
    "deploy": _LAB | {"intent"},
    "report": frozenset({"errors", "model"}),
    "cli": _LAB | {"intent", "lab", "analysis", "drill", "proof", "attach", "deploy", "report"},
    "__main__": frozenset({"cli"}),
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """Return the room that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def modules_imported(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(path, node)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _base(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = ("resilience", *path.relative_to(PACKAGE).parts[:-1])
    return ".".join((*parts[: len(parts) - node.level + 1], *filter(None, [node.module])))


def rooms_imported(path: Path) -> set[str]:
    """Return the rooms that a file imports from; `from resilience import X` counts as the front door or as room X."""
    found = set()
    for name in modules_imported(path):
        first, _, rest = name.partition(".")
        if first == "resilience":
            room = rest.partition(".")[0]
            found.add(room if room in MAY_IMPORT else "__init__")
    return found


def test_the_package_was_found() -> None:
    """An empty list of files fails instead of passing in silence."""
    assert len(MODULES) > 10


def test_every_room_is_listed() -> None:
    """A new room has to be given its place in the table, and a listed one exists."""
    assert {room_of(path) for path in MODULES} == MAY_IMPORT.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    """No import goes upwards, and none sideways that is not listed."""
    room = room_of(path)

    assert rooms_imported(path) - MAY_IMPORT[room] - {room} == set()


def test_the_table_itself_has_no_cycle() -> None:
    """The rooms can be built one after the other."""
    TopologicalSorter(MAY_IMPORT).prepare()


def test_no_modules_import_each_other() -> None:
    """Inside a room, too, there is an order."""
    TopologicalSorter({_dotted(path): _modules_needed(path) for path in MODULES}).prepare()


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("resilience", *(part for part in parts if part != "__init__")))


def _modules_needed(path: Path) -> set[str]:
    known = {_dotted(module) for module in MODULES}
    needed = set()
    for name in modules_imported(path):
        module = name if name in known else name.rpartition(".")[0]
        needed.add(module)
    return (needed & known) - {_dotted(path)}


def test_only_command_modules_and_reports_write_to_the_terminal() -> None:
    """A library that prints cannot be used as one."""
    printing = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if room_of(path) not in {"cli", "report"} and _calls_print(path)
    }

    assert printing == set()


def _calls_print(path: Path) -> bool:
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_grows_beyond_reading(path: Path) -> None:
    """A file that passes about 500 lines is split."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600
