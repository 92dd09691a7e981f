"""`resilience init`: a new network's folder from an example that comes with the package."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from resilience.errors import ExistingFiles, UnknownName, UsageError

PACKAGE = Path(__file__).resolve().parent.parent


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(init)


def init(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="The new folder.", show_default=False)] = None,
    example: Annotated[str, typer.Option("--example", help="Which example to begin with.")] = "dual-homed",
    *,
    list_them: Annotated[bool, typer.Option("--list", help="List the examples instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a new network from an example. Existing files are never overwritten.

    Example: resilience init my-network --example dual-homed
    """
    examples = find_examples()
    if list_them:
        _print_examples(examples, as_json)
        return
    if folder is None:
        raise UsageError("init needs the name of a new folder", hint="such as: resilience init my-network")
    if example not in examples:
        raise UnknownName(f"there is no example {example!r}", hint=f"there are {', '.join(examples)}")
    copy_example(examples[example], folder)
    _give_numbers(folder)
    _print_copied(folder, as_json)


def find_examples() -> dict[str, Path]:
    """Return the examples by name: those of the wheel, or of the checkout that this package runs from."""
    inside = PACKAGE / "_inventories"
    root = inside if inside.is_dir() else PACKAGE.parent / "inventories"
    return {path.parent.name: path.parent for path in sorted(root.glob("*/network.yaml"))}


def copy_example(example: Path, folder: Path) -> None:
    """Copy an example to a folder that does not exist yet or is empty, all or nothing."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExistingFiles(f"{folder} already holds something", hint="give the name of a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".resilience-init-", dir=folder.parent) as scratch:
            copy = Path(scratch) / "copy"
            shutil.copytree(example, copy, ignore=shutil.ignore_patterns(".*"))
            _bring_schema(copy)
            copy.replace(folder)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {os.strerror(error.errno or 0)}") from error


def _give_numbers(folder: Path) -> None:
    """Write the lock file at once: from the first day on, no change moves another router's numbers."""
    from resilience.cli.common import load
    from resilience.plan import write_numbers

    write_numbers(folder, load(folder).numbers)


def _bring_schema(folder: Path) -> None:
    """Put the schema beside the intent and name it there, so that editors complete wherever the folder goes."""
    intent = folder / "network.yaml"
    first, _, rest = intent.read_text(encoding="utf-8").partition("\n")
    schema = _find_schema()
    if first.startswith("# yaml-language-server:") and schema.is_file():
        shutil.copyfile(schema, folder / schema.name)
        intent.write_text(f"# yaml-language-server: $schema={schema.name}\n{rest}", encoding="utf-8")


def _find_schema() -> Path:
    inside = PACKAGE / "_schema"
    return (inside if inside.is_dir() else PACKAGE.parent / "schema") / "network.schema.json"


def _print_examples(examples: dict[str, Path], as_json: bool) -> None:
    from resilience.model.document import write_json

    typer.echo(write_json(list(examples)) if as_json else "".join(f"{name}\n" for name in examples), nl=False)


def _print_copied(folder: Path, as_json: bool) -> None:
    from resilience.model.document import write_json

    copied = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if as_json:
        typer.echo(write_json({"folder": str(folder), "files": copied}), nl=False)
        return
    for name in copied:
        typer.echo(folder / name)
    typer.echo(f"next: edit {folder / 'network.yaml'}, then resilience check {folder}", err=True)
