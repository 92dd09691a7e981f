"""`resilience render` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resilience.cli.app import run

INTENT = """
network: two-ways
asn: 64500
prefixes: [198.51.100.0/24]
routers: {gw: {platform: frr}, core: {platform: bird}}
links: [{between: [gw, core]}]
providers: {alpha: {asn: 64496}}
uplinks:
  one: {router: gw, provider: alpha, address: [192.0.2.2/30]}
"""


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network of two routers."""
    folder = tmp_path / "two-ways"
    folder.mkdir()
    (folder / "network.yaml").write_text(INTENT)
    return folder


def call(*arguments: str | Path) -> int:
    """Run the command as the shell would."""
    return run([str(argument) for argument in arguments])


def test_our_routers_are_written_and_numbers_locked(network: Path, tmp_path: Path) -> None:
    """The outside is left to labs; what was given out is remembered before it is deployed."""
    assert call("render", network, "-o", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {"gw", "core"}
    assert (network / "numbers.lock.yaml").exists()


def test_the_second_run_changes_nothing(network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Deterministic from intent to file, and the diff says so with exit code 0."""
    call("render", network, "-o", tmp_path / "out")
    capsys.readouterr()
    assert call("render", network, "-o", tmp_path / "out", "--diff") == 0
    assert capsys.readouterr().out == ""
    assert call("render", network, "-o", tmp_path / "out", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["added"], document["changed"], document["removed"]) == ([], [], [])
    assert document["nodes"] == ["gw", "core"]


def test_a_difference_is_shown_and_nothing_written(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4, as for every difference found."""
    assert call("render", network, "-o", tmp_path / "out", "--diff") == 4
    assert "+++ b/gw/frr.conf\n" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert not (network / "numbers.lock.yaml").exists()


def test_one_node_at_a_time(network: Path, tmp_path: Path) -> None:
    """Also of the outside, when it is asked for by name; others stay as they are."""
    call("render", network, "-o", tmp_path / "out", "--node", "gw")
    call("render", network, "-o", tmp_path / "out", "--node", "provider-alpha")
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {"gw", "provider-alpha"}


def test_an_unknown_node_names_the_nearest(network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typo costs one look."""
    assert call("render", network, "-o", tmp_path / "out", "--node", "provider-alfa") == 2
    assert "did you mean provider-alpha" in capsys.readouterr().err


def test_changes_by_hand_are_kept_until_forced(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the file and the way out."""
    call("render", network, "-o", tmp_path / "out")
    edited = tmp_path / "out/gw/frr.conf"
    edited.write_text("! by hand\n")
    capsys.readouterr()
    assert call("render", network, "-o", tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert "gw/frr.conf" in message
    assert "--force" in message
    assert edited.read_text() == "! by hand\n"
    assert call("render", network, "-o", tmp_path / "out", "--force") == 0
    assert "router bgp 64500" in edited.read_text()


def test_what_cannot_be_deployed_is_said(network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr for people, in the document for programs."""
    path = network / "network.yaml"
    path.write_text(INTENT.replace(", address: [192.0.2.2/30]", ""))
    call("render", network, "-o", tmp_path / "out", "--json")
    said = capsys.readouterr()
    assert list(json.loads(said.out)["not_deployable"]) == ["gw"]
    call("render", network, "-o", tmp_path / "out")
    assert "gw: NOT DEPLOYABLE" in capsys.readouterr().err
