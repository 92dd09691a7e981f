"""The documents say what the code does: generated pages are up to date, examples run, links lead somewhere.

A `console` block is a test: each line that begins with `$` is run, and each line below it must be in the output (`...`
stands for anything). Its info string may add `lab` (needs root and daemons; output is not compared) and `exit=4`.
A `yaml file=PATH` block is written to that file first. The blocks of a page share one empty folder.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from resilience.cli.app import app
from resilience.errors import ExitCode

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("simulations/**/*.md")]
)
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text."""

    language: str
    words: tuple[str, ...]
    text: str

    def option(self, name: str) -> str | None:
        """Return the value of `name=VALUE` among the words."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None)


def blocks(page: Path) -> tuple[Block, ...]:
    """Return the fenced blocks of a page that tests know."""
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return tuple(Block(language, tuple(words.split()), text) for language, words, text in found)


def page_name(page: Path) -> str:
    """Name a test after its page."""
    return str(page.relative_to(ROOT))


def is_lab(page: Path) -> bool:
    """Say whether a page has an example that needs a lab."""
    return any(block.language == "console" and "lab" in block.words for block in blocks(page))


def has_examples(page: Path) -> bool:
    """Say whether a page has anything to run."""
    return any(block.language == "console" for block in blocks(page))


PAGES_TO_RUN = [pytest.param(page, id=page_name(page)) for page in PAGES if has_examples(page)]
PAGES_WITH_LABS = [pytest.param(page, id=page_name(page)) for page in PAGES if is_lab(page)]


@cache
def generated() -> Mapping[str, str]:
    """Return what `docs/generate.py` would write."""
    sys.path.insert(0, str(ROOT / "docs"))  # as when it runs as a script: it has a module beside it
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = module.generate()
    assert isinstance(files, Mapping)
    return files


def test_there_are_pages_and_examples() -> None:
    """An empty list fails instead of passing in silence."""
    assert len(PAGES) > 15
    assert len(PAGES_TO_RUN) >= 4


@pytest.mark.parametrize("path", sorted(generated()))
def test_generated_files_are_up_to_date(path: str) -> None:
    """`make docs` would change nothing."""
    assert (ROOT / path).read_text(encoding="utf-8") == generated()[path], "run `make docs`"


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with its path, groups included."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
LEAVES = {path: command for path, command in COMMANDS.items() if not hasattr(command, "commands")}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_help_ends_in_an_example(path: tuple[str, ...]) -> None:
    """People read the end of a help text, since it is what stays on the screen."""
    context = COMMANDS[path].make_context("resilience", [], resilient_parsing=True)
    last = COMMANDS[path].get_help(context).rstrip().rpartition("\n\n")[2].strip()

    assert last.startswith("Example")
    assert " ".join(("resilience", *path)) in last


WITHOUT_JSON = {
    ("schema",): "prints nothing but JSON",
    ("lab", "exec"): "passes on what the command prints",
}


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - WITHOUT_JSON), ids=" ".join)
def test_every_command_takes_json(path: tuple[str, ...]) -> None:
    """Whatever a person can read, a program can."""
    options = {option for parameter in LEAVES[path].params for option in parameter.opts}

    assert "--json" in options


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_appears_in_a_page_that_somebody_wrote(path: tuple[str, ...]) -> None:
    """A reference alone does not say what a command is for."""
    written = (page for page in PAGES if "reference" not in page.parts)
    words = " ".join(("resilience", *path))

    assert any(words in page.read_text(encoding="utf-8") for page in written)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is a file of the repository."""
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert dead == []


def test_the_index_names_every_page() -> None:
    """A page that nothing leads to is read by nobody."""
    index = ROOT / "docs/README.md"
    named = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text(encoding="utf-8"))}

    assert set(ROOT.glob("docs/**/*.md")) - named == {index}


@pytest.mark.parametrize("page", PAGES_TO_RUN)
def test_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """Each command does what the page shows, in the order of the page."""
    for block in blocks(page):
        follow(block, tmp_path, with_labs=False)


@pytest.mark.lab
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES_WITH_LABS)
def test_examples_of_a_page_run_with_labs(page: Path, tmp_path: Path) -> None:
    """The whole page, drills included."""
    for block in blocks(page):
        follow(block, tmp_path, with_labs=True)


def follow(block: Block, folder: Path, *, with_labs: bool) -> None:
    """Do what a block says, as a reader would."""
    file = block.option("file")
    if file:
        (folder / file).write_text(block.text, encoding="utf-8")
    elif block.language == "console" and (with_labs or "lab" not in block.words):
        run_console(block, folder)


def run_console(block: Block, folder: Path) -> None:
    """Run a block's commands; compare what they print with what the page shows below them."""
    allowed = int(block.option("exit") or 0)
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    for command, shown in zip(parts[1::2], parts[2::2], strict=True):
        done = run_until_told(command, folder)
        output = done.stdout + done.stderr
        assert done.returncode == allowed, f"$ {command}\n{output}"
        if "lab" not in block.words:
            assert missing_lines(shown, output) == [], f"$ {command}\n{output}"


def run_until_told(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command; where it could not tell (a busy machine), do what the documents advise: try again, twice."""
    for _ in range(2):
        done = run_command(command, folder)
        if done.returncode != ExitCode.UNKNOWN:
            return done
    return run_command(command, folder)


def run_command(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one line of an example in a shell, with the tested `resilience` first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = {"RESILIENCE_RUN": str(folder / "run")}  # other labs of this machine are none of a page's business
    environment = {**os.environ, **run, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1"}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def missing_lines(shown: str, output: str) -> list[str]:
    """Return the lines of an example's output that the command did not print; spaces at the ends do not count."""
    printed = {" ".join(line.split()) for line in output.splitlines()}
    return [
        line for line in shown.splitlines() if line.strip() not in {"", "..."} and " ".join(line.split()) not in printed
    ]
