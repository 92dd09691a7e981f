"""How routers are logged in to, as the inventory says that containerlab writes beside a lab.

`tests/golden/hosts` holds files that containerlab 0.79.0 wrote, as it wrote them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resilience.cli.app import run
from resilience.errors import ExitCode, IntentError
from resilience.intent.hosts import read_hosts
from resilience.model.hosts import Host

ROOT = Path(__file__).resolve().parents[3]
WRITTEN = ROOT / "tests/golden/hosts/nornir-simple-inventory.yml"
UNQUOTED = ROOT / "tests/golden/hosts/unquoted-password.yml"


def hosts(text: str, folder: Path) -> dict[str, Host]:
    """Read an inventory of this text."""
    (folder / "hosts.yml").write_text(text, encoding="utf-8")
    return dict(read_hosts(folder / "hosts.yml"))


def test_what_containerlab_writes_is_read() -> None:
    """Its groups, which are Nornir's own, are passed over; a node without a management network has no address."""
    found = read_hosts(WRITTEN)

    assert [(host.node, host.hostname, host.username, host.password, host.platform) for host in found.values()] == [
        ("gw", "172.20.20.11", "operator", "S3cret!", "linux"),
        ("provider-alpha", "172.20.20.12", "operator", "example", "linux"),
        ("stranger", "", "", "", "linux"),
    ]
    assert found["stranger"] == Host(node="stranger", platform="linux")


def test_a_password_that_was_not_quoted_is_told_and_not_shown() -> None:
    """Containerlab quotes nothing, so that some passwords are no YAML; the line is shown without what may be one."""
    with pytest.raises(IntentError) as caught:
        read_hosts(UNQUOTED)

    assert "unquoted-password.yml:4:" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_host_never_shows_its_password() -> None:
    """Neither in an error nor in a log."""
    assert "S3cret!" not in repr(read_hosts(WRITTEN)["gw"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gw: {hostname: 10.0.0.1, port: 70000}", "1:32: a port lies between 1 and 65535, this is '70000'"),
        ("gw: {hostname: not a name}", "1:16: 'not a name' cannot be a hostname"),
        ("gw: {hostname: a;b}", "1:16: 'a;b' is neither an address nor a name"),
        ("gw: {username: [a]}", "1:16: a list cannot be a username"),
        ('gw: {password: "a\\nb"}', "1:16: this cannot be a password"),
        ("gw: 10.0.0.1", "1:5: a host is a mapping of keys to values, this is '10.0.0.1'"),
        ("-gw-: {}", "1:1: '-gw-' cannot be the name of a host"),
        ("- gw", "1:1: an inventory of hosts is a mapping, this is a list"),
        ("gw: {}\ngw: {}", "2:1: the key 'gw' stands here a second time"),
        ("", "1: the file is empty"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, said: str, tmp_path: Path) -> None:
    """Line and column, what is wrong, and no traceback."""
    with pytest.raises(IntentError) as caught:
        hosts(text, tmp_path)

    assert said in str(caught.value)


def test_words_that_are_booleans_elsewhere_are_text(tmp_path: Path) -> None:
    """A user may be called `no`, and a password may look like a time."""
    found = hosts("gw: {hostname: gw.example.net, port: 22, username: no, password: 12:30}", tmp_path)["gw"]

    assert (found.port, found.username, found.password) == (22, "no", "12:30")


def test_the_command_holds_the_inventory_against_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """Who is missing, who is a stranger, and whether there is a password; never the password."""
    command = ["show", str(ROOT / "inventories/dual-homed"), "hosts", "--inventory", str(WRITTEN), "--json"]

    assert run(command) == ExitCode.HOLDS
    printed = capsys.readouterr().out
    rows = {row["node"]: row for row in json.loads(printed)["rows"]}
    assert rows["gw"] == {
        "node": "gw",
        "hostname": "172.20.20.11",
        "port": None,
        "username": "operator",
        "password": "given",
        "platform": "linux",
        "note": "",
    }
    assert rows["stranger"]["note"] == "no node of this network"
    assert "provider-alpha" not in rows
    assert "S3cret!" not in printed


@pytest.mark.parametrize("words", [["hosts"], ["sessions", "--inventory", str(WRITTEN)], ["--inventory", str(WRITTEN)]])
def test_the_table_and_the_file_belong_together(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One without the other is a mistake on the command line."""
    assert run(["show", str(ROOT / "inventories/dual-homed"), *words]) == ExitCode.USAGE
    assert "belong together" in capsys.readouterr().err
