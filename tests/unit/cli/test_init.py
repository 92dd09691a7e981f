"""`resilience init`."""

from __future__ import annotations

from pathlib import Path

import pytest

from resilience.cli.app import run
from resilience.cli.init import copy_example, find_examples
from resilience.errors import ExistingFiles, ExitCode


def test_the_smallest_example_is_among_the_examples() -> None:
    """It is what `init` copies when nothing else is asked for."""
    assert "dual-homed" in find_examples()


def test_init_copies_the_example_as_it_is(tmp_path: Path) -> None:
    """What people begin with is what the tests have seen."""
    example = find_examples()["dual-homed"]

    assert run(["init", str(tmp_path / "mine")]) == ExitCode.HOLDS
    copied = (tmp_path / "mine" / "network.yaml").read_text().splitlines()
    assert copied[1:] == (example / "network.yaml").read_text().splitlines()[1:]


def test_the_copy_names_a_schema_that_lies_beside_it(tmp_path: Path) -> None:
    """An editor completes wherever the folder is."""
    copy_example(find_examples()["dual-homed"], tmp_path)
    first = (tmp_path / "network.yaml").read_text().splitlines()[0]

    assert (tmp_path / first.partition("$schema=")[2]).is_file()


def test_init_never_overwrites(tmp_path: Path) -> None:
    """A folder with anything in it is left as it is."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")

    with pytest.raises(ExistingFiles):
        copy_example(find_examples()["dual-homed"], folder)

    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_init_fills_an_empty_folder(tmp_path: Path) -> None:
    """`mkdir` first is what many people do."""
    copy_example(find_examples()["dual-homed"], tmp_path)

    assert (tmp_path / "network.yaml").is_file()


def test_numbers_are_given_out_and_locked_on_the_first_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is left for `lock` to write, and no later change moves them."""
    assert run(["init", str(tmp_path / "mine")]) == ExitCode.HOLDS
    capsys.readouterr()
    assert run(["lock", str(tmp_path / "mine")]) == ExitCode.HOLDS

    assert "unchanged" in capsys.readouterr().out


def test_init_leaves_nothing_behind_but_the_folder(tmp_path: Path) -> None:
    """No scratch folder stays beside it."""
    copy_example(find_examples()["dual-homed"], tmp_path / "mine")

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_unknown_example_names_those_that_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The hint is the list."""
    assert run(["init", str(tmp_path / "mine"), "--example", "nothing"]) == ExitCode.USAGE
    assert "dual-homed" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_init_without_a_folder_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error with an example."""
    assert run(["init"]) == ExitCode.USAGE
    assert "resilience init my-network" in capsys.readouterr().err


def test_the_examples_are_listed_without_touching_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--list` needs no folder of its own."""
    monkeypatch.chdir(tmp_path)

    assert run(["init", "--list"]) == ExitCode.HOLDS
    assert "dual-homed" in capsys.readouterr().out.splitlines()
    assert list(tmp_path.iterdir()) == []
