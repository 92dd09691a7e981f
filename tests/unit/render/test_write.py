"""Writing: exactly what is wanted, and nothing of anybody else's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from resilience.errors import ExistingFiles, ResilienceError
from resilience.model.configs import ConfigFile, Configs
from resilience.render import diff_configs, write_configs
from resilience.render.write import MANIFEST

CONFIGS: Configs = {
    "a": (ConfigFile("frr.conf", "one\n", 0o640), ConfigFile("networkd/x.network", "two\n")),
    "b": (ConfigFile("bird.conf", "three\n"),),
}


def files_below(folder: Path) -> dict[str, str]:
    """Return every file below a folder with its text, the manifest apart."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def test_the_first_time_everything_is_new(tmp_path: Path) -> None:
    """Files, their modes, and a manifest that names them."""
    changes = write_configs(CONFIGS, tmp_path / "out")
    assert changes.added == ("a/frr.conf", "a/networkd/x.network", "b/bird.conf")
    assert files_below(tmp_path / "out") == {
        "a/frr.conf": "one\n",
        "a/networkd/x.network": "two\n",
        "b/bird.conf": "three\n",
    }
    assert (tmp_path / "out/a/frr.conf").stat().st_mode & 0o777 == 0o640
    assert set(json.loads((tmp_path / "out" / MANIFEST).read_text())["files"]) == set(changes.added)


def test_the_second_time_nothing_changes(tmp_path: Path) -> None:
    """Not even the times of the files."""
    write_configs(CONFIGS, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    changes = write_configs(CONFIGS, tmp_path)
    assert not changes.any
    assert len(changes.unchanged) == 3
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_what_is_no_longer_generated_goes(tmp_path: Path) -> None:
    """Files and the folders that held nothing else."""
    write_configs(CONFIGS, tmp_path)
    changes = write_configs({"a": (ConfigFile("frr.conf", "new\n"),)}, tmp_path)
    assert changes.changed == ("a/frr.conf",)
    assert changes.removed == ("a/networkd/x.network", "b/bird.conf")
    assert files_below(tmp_path) == {"a/frr.conf": "new\n"}
    assert not (tmp_path / "b").exists()


def test_a_part_leaves_the_rest_alone(tmp_path: Path) -> None:
    """One node rendered by itself removes no other node, but its own old files."""
    write_configs(CONFIGS, tmp_path)
    changes = write_configs({"a": (ConfigFile("frr.conf", "one\n"),)}, tmp_path, partial=True)
    assert changes.removed == ("a/networkd/x.network",)
    assert "b/bird.conf" in files_below(tmp_path)
    assert not write_configs({"b": CONFIGS["b"]}, tmp_path, partial=True).any


@pytest.mark.parametrize("force", [False, True])
def test_files_of_others_are_never_touched(tmp_path: Path, *, force: bool) -> None:
    """Not even by force; the error names them, and nothing has been written."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b/bird.conf").write_text("mine\n")
    with pytest.raises(ExistingFiles, match=r"b/bird\.conf"):
        write_configs(CONFIGS, tmp_path, force=force)
    assert files_below(tmp_path) == {"b/bird.conf": "mine\n"}


def test_neighbouring_files_of_others_stay(tmp_path: Path) -> None:
    """A note beside our files survives every removal."""
    write_configs(CONFIGS, tmp_path)
    (tmp_path / "b/NOTES").write_text("mine\n")
    write_configs({"a": CONFIGS["a"]}, tmp_path)
    assert files_below(tmp_path)["b/NOTES"] == "mine\n"


def test_an_equal_file_is_adopted(tmp_path: Path) -> None:
    """After a break between files and manifest the next run goes on."""
    write_configs(CONFIGS, tmp_path)
    (tmp_path / MANIFEST).unlink()
    assert len(write_configs(CONFIGS, tmp_path).unchanged) == 3


@pytest.mark.parametrize("wanted", [{**CONFIGS, "a": (ConfigFile("frr.conf", "new\n"),)}, {"b": CONFIGS["b"]}])
def test_changes_by_hand_are_kept_until_forced(tmp_path: Path, wanted: Configs) -> None:
    """To be replaced or to be removed: somebody's work is only lost when they say so."""
    write_configs({"a": (ConfigFile("frr.conf", "one\n"),), "b": CONFIGS["b"]}, tmp_path)
    (tmp_path / "a/frr.conf").write_text("by hand\n")
    with pytest.raises(ExistingFiles, match="changed by hand"):
        write_configs(wanted, tmp_path)
    assert (tmp_path / "a/frr.conf").read_text() == "by hand\n"
    write_configs(wanted, tmp_path, force=True)
    assert files_below(tmp_path).get("a/frr.conf") != "by hand\n"


def test_a_file_deleted_by_hand_comes_back(tmp_path: Path) -> None:
    """There is nothing to lose."""
    write_configs(CONFIGS, tmp_path)
    (tmp_path / "b/bird.conf").unlink()
    assert write_configs(CONFIGS, tmp_path).added == ("b/bird.conf",)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", ".", "..", "a//b", "x\n", ".hidden", "a\\b\0"])
def test_no_path_leads_out(tmp_path: Path, path: str) -> None:
    """Whatever names somebody brings in."""
    with pytest.raises(ResilienceError):
        write_configs({"a": (ConfigFile(path, "x"),)}, tmp_path / "out")
    with pytest.raises(ResilienceError):
        write_configs({path: (ConfigFile("x", "x"),)}, tmp_path / "out")
    assert not list(tmp_path.rglob("x"))


@pytest.mark.parametrize("link", ["a", "b/bird.conf"])
def test_links_are_not_followed(tmp_path: Path, link: str) -> None:
    """A link inside the folder could point anywhere."""
    target = tmp_path / "elsewhere"
    target.mkdir()
    place = tmp_path / "out" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(target if link == "a" else target / "file")
    with pytest.raises(ExistingFiles, match="symbolic link"):
        write_configs(CONFIGS, tmp_path / "out")
    assert not list(target.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "no json",
        '{"schema": "resilience/manifest@1", "files": {"../x": "' + "0" * 64 + '"}}',
        '{"schema": "resilience/manifest@1", "files": {"a": 1}}',
        '{"schema": "other", "files": {}}',
    ],
)
def test_a_damaged_manifest_stops_everything(tmp_path: Path, text: str) -> None:
    """Without it nobody knows whose files these are; a forged one removes nothing elsewhere."""
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ExistingFiles, match="damaged"):
        write_configs(CONFIGS, tmp_path)
    assert files_below(tmp_path) == {}


def test_a_folder_in_the_way_is_an_error(tmp_path: Path) -> None:
    """In words, with its path."""
    (tmp_path / "a/frr.conf").mkdir(parents=True)
    with pytest.raises(ExistingFiles, match=r"a/frr\.conf"):
        write_configs(CONFIGS, tmp_path)


def test_no_temporary_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when writing fails half-way."""

    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ExistingFiles, match="No space left"):
        write_configs(CONFIGS, tmp_path)
    assert files_below(tmp_path) == {}


def test_the_diff_says_what_writing_would_do(tmp_path: Path) -> None:
    """New, changed and removed files; nothing is written."""
    write_configs({**CONFIGS, "c": (ConfigFile("old", "gone\n"),)}, tmp_path)
    wanted = {"a": (ConfigFile("frr.conf", "ONE\n"), CONFIGS["a"][1]), "b": (*CONFIGS["b"], ConfigFile("new", "n\n"))}
    before = files_below(tmp_path)
    text = diff_configs(wanted, tmp_path)
    assert "--- a/a/frr.conf\n+++ b/a/frr.conf\n@@ -1 +1 @@\n-one\n+ONE\n" in text
    assert "--- /dev/null\n+++ b/b/new\n@@ -0,0 +1 @@\n+n\n" in text
    assert "--- a/c/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n" in text
    assert files_below(tmp_path) == before


def test_no_difference_is_no_text(tmp_path: Path) -> None:
    """Empty means that a file transfer would change nothing."""
    write_configs(CONFIGS, tmp_path)
    assert diff_configs(CONFIGS, tmp_path) == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_an_error(tmp_path: Path) -> None:
    """No traceback."""
    tmp_path.chmod(0o500)
    with pytest.raises(ExistingFiles, match="cannot be written"):
        write_configs(CONFIGS, tmp_path / "out")
