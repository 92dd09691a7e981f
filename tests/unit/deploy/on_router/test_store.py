"""What the program writes down: files whole or not at all, a state that is read or refused, also on a full disk."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from resilience.deploy.on_router.netresilience_router import store as store_module
from resilience.deploy.on_router.netresilience_router.files import digest, read_text, write_file
from resilience.deploy.on_router.netresilience_router.refused import Refused, no_space
from resilience.deploy.on_router.netresilience_router.store import KEPT, RESERVE_BYTES
from tests.support.on_router import FakeGuard, FakeMachine, Process, bundle


def full_disk(*_arguments: Any, **_options: Any) -> None:
    """Be a disk without room."""
    raise OSError(errno.ENOSPC, "No space left on device", "/var/lib/netresilience/x")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_file_is_replaced_with_its_permissions(tmp_path: Path, mode: int) -> None:
    """Whatever it had before, and nothing else is left in the folder."""
    path = tmp_path / "frr.conf"
    path.write_text("old\n", encoding="utf-8")
    path.chmod(0o777)

    write_file(path, "new\n", mode, "nobody-of-that-name")

    assert path.read_text(encoding="utf-8") == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert [one.name for one in tmp_path.iterdir()] == ["frr.conf"]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no half of the new one stays beside it."""
    path = tmp_path / "frr.conf"
    path.write_text("old\n", encoding="utf-8")
    monkeypatch.setattr(os, "fsync", full_disk)

    with pytest.raises(OSError, match="No space"):
        write_file(path, "new\n", 0o600)

    assert path.read_text(encoding="utf-8") == "old\n"
    assert [one.name for one in tmp_path.iterdir()] == ["frr.conf"]


def test_a_link_that_waits_for_the_file_is_not_followed(tmp_path: Path) -> None:
    """Root would write where the link leads to."""
    (tmp_path / ".frr.conf.new").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match=r"symbolic links|Too many levels"):
        write_file(tmp_path / "frr.conf", "new\n", 0o600)

    assert not (tmp_path / "elsewhere").exists()


def test_files_are_told_apart_by_names_and_texts() -> None:
    """Where one file ends and the next begins counts, too; bytes that are no text have a digest as well."""
    assert len({digest(one) for one in ({}, {"a": "bc"}, {"ab": "c"}, {"a": "b", "c": ""}, {"a": "\udcff"})}) == 5
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})
    assert read_text(Path("/nonexistent")) is None


def test_the_state_is_written_on_a_full_disk(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Space was held back for it, and is held back again by the next command."""
    reserve = process.store.folder / "reserve"
    assert reserve.stat().st_size == RESERVE_BYTES
    real = write_file

    def write_if_there_is_room(*arguments: Any) -> None:
        if reserve.exists():
            full_disk()
        real(*arguments)

    monkeypatch.setattr(store_module, "write_file", write_if_there_is_room)

    process.store.write({**process.store.read(), "drained": True})

    assert process.store.read()["drained"]
    assert not reserve.exists()
    process.store.prepare()
    assert reserve.exists()


def test_a_disk_that_stays_full_is_said(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """As lack of space, with the file."""
    monkeypatch.setattr(store_module, "write_file", full_disk)

    with pytest.raises(Refused) as raised:
        process.changes.stage(bundle())

    assert (raised.value.kind, raised.value.message) == (
        "space",
        "/var/lib/netresilience/x: No space left on device",
    )
    assert not process.store.staged("c1").exists()
    assert no_space(OSError(errno.EROFS, "Read-only file system")).kind == "failed"


def test_a_change_that_does_not_fit_is_refused_before_anything_is_written(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There has to be room for it three times, and some more."""
    monkeypatch.setattr(process.store, "free_bytes", lambda: 1024 * 1024)

    with pytest.raises(Refused, match="1024 kB are free") as raised:
        process.changes.stage(bundle())

    assert raised.value.kind == "space"
    assert not list((process.store.folder / "staged").iterdir())


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"x"', "{}", '{"pending": null}', "\udcff", "9" * 5000])
def test_a_damaged_state_is_one_refusal(process: Process, text: str) -> None:
    """It names the file, and nothing is changed."""
    process.store.file.write_text(text, encoding="utf-8", errors="surrogateescape")

    with pytest.raises(Refused) as raised:
        process.questions.hello()

    assert raised.value.kind == "failed"
    assert raised.value.message.startswith(f"{process.store.file} is damaged: ")


def test_the_last_changes_are_kept(machine: FakeMachine, guard: FakeGuard) -> None:
    """The one that runs is always among them, though the clock was wrong when it came."""
    process = Process(machine)
    for number in range(KEPT + 3):
        process.changes.stage(bundle(f"c{number}"))
        process.changes.apply(f"c{number}", 60, drained=False)
        if number == KEPT + 2:
            for folder in (process.store.folder / "history").iterdir():
                os.utime(folder, (2**31, 2**31))
        process.changes.confirm(f"c{number}")
        guard.kill()

    kept = {path.name for path in (process.store.folder / "history").iterdir()}

    assert len(kept) <= KEPT + 2
    assert {f"c{KEPT + 2}", f"c{KEPT + 1}"} <= kept


def test_a_lock_that_is_not_given_back_is_said(process: Process) -> None:
    """Nobody waits for ever."""
    with process.store.locked(), pytest.raises(Refused, match="another command") as raised, process.store.locked(0):
        pass

    assert raised.value.kind == "busy"


def test_nobody_else_reads_what_is_staged(process: Process) -> None:
    """There are passwords in it; the daemon that reads it passes through the folders, and lists none of them."""
    process.changes.stage(bundle())

    folder = process.store.staged("c1")
    for place in (folder, folder.parent, process.store.folder):
        assert stat.S_IMODE(place.stat().st_mode) == 0o711
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(process.store.file.stat().st_mode) == 0o600
