"""What labs leave on disk, and its removal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from resilience.errors import LabError, UsageError
from resilience.lab.state import LabFolder, Process, end_process, lab_folders, remove, remove_leftovers, reserve


@pytest.fixture(autouse=True)
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for labs that are none."""
    monkeypatch.setenv("RESILIENCE_RUN", str(tmp_path / "run"))
    return tmp_path / "run"


def reserved(name: str | None = None) -> LabFolder:
    """Return the folder of a lab that belongs to this process."""
    return reserve(name, network="small", source="", plan_sha256="0")


def dead_process() -> Process:
    """Return a process that has lived."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = Process.of(child.pid)
    assert process is not None
    child.communicate(b"\n")
    return process


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    """By the moment it started."""
    me = Process.me()

    assert me.alive()
    assert not Process(me.pid, me.started + 1).alive()
    assert not dead_process().alive()


def test_labs_without_a_name_get_one_each() -> None:
    """So that they run side by side."""
    assert reserved().path.name != reserved().path.name
    assert all(folder.path.name.startswith("small-") for folder in lab_folders())


@pytest.mark.parametrize("name", ["../x", "", "A", "a b", ".x", "x" * 64])
def test_a_name_that_would_leave_the_folder_is_refused(name: str, run_folder: Path) -> None:
    """Before anything is written."""
    if not name:
        return
    with pytest.raises(UsageError):
        reserved(name)
    assert not list(run_folder.iterdir())


def test_a_name_is_given_once() -> None:
    """Nothing of the second attempt stays."""
    first = reserved("mine")
    with pytest.raises(UsageError, match="already up"):
        reserved("mine")
    assert [folder.path for folder in lab_folders()] == [first.path]
    assert [path.name for path in first.path.parent.iterdir()] == ["mine"]


def test_only_what_nobody_owns_is_swept() -> None:
    """A living owner's lab stays, a dead owner's goes; a kept one lives and dies with its keeper."""
    used, left, kept, orphan = (reserved(name) for name in ("used", "left", "kept", "orphan"))
    dead = dead_process()
    left.write(replace(left.read(), owner=dead))
    kept.write(replace(kept.read(), owner=dead, keeper=Process.me(), kept=True))
    orphan.write(replace(orphan.read(), owner=dead, keeper=dead, kept=True))
    damaged = used.path.parent / "damaged"
    damaged.mkdir()
    fresh = used.path.parent / f".new-{dead.pid}-{dead.started}-abc"
    fresh.mkdir()

    assert remove_leftovers() == ("damaged", "left", "orphan")
    assert {folder.path.name for folder in lab_folders()} == {"used", "kept"}
    assert not fresh.exists()


def test_removing_a_lab_ends_its_keeper() -> None:
    """And takes its folder away."""
    folder = reserved("mine")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    folder.update(keeper=Process.of(child.pid))
    remove(folder)

    assert child.wait() < 0
    assert not folder.path.exists()
    assert child.stdin is not None
    child.stdin.close()


def test_ending_a_process_spares_a_later_one_of_its_number() -> None:
    """This very process, for instance."""
    end_process(Process(os.getpid(), Process.me().started + 1))


def test_state_of_a_later_version_is_read() -> None:
    """A lab that a newer version of this tool keeps is no leftover."""
    folder = reserve("later", network="n", source="/somewhere", plan_sha256="0")
    written = json.loads((folder.path / "lab.json").read_text(encoding="utf-8"))
    (folder.path / "lab.json").write_text(json.dumps({**written, "colour": "green"}), encoding="utf-8")

    assert folder.read().name == "later"
    assert remove_leftovers() == ()


def test_damaged_state_is_said_to_be_damaged() -> None:
    """With its place."""
    folder = reserved("mine")
    (folder.path / "lab.json").write_text("{", encoding="utf-8")
    with pytest.raises(LabError, match="mine is damaged"):
        folder.read()
