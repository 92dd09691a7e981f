"""Nornir's own files of hosts, groups and defaults: read as Nornir reads them, with mistakes named by their line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from resilience.errors import IntentError
from resilience.intent.logins import Known, LoginFiles, read_logins
from resilience.model.logins import Logins

KNOWN = Known(
    routers=frozenset({"bko1", "bko2"}),
    others=frozenset({"provider-dakar"}),
    groups=frozenset({"site-bamako", "platform-frr"}),
)


def read(folder: Path, *, hosts: str = "", groups: str = "", defaults: str = "", named: bool = False) -> Logins:
    """Read files with these texts; an empty text is a file that is not there."""
    files = LoginFiles(
        hosts=folder / "hosts.yaml",
        groups=folder / "groups.yaml",
        defaults=folder / "defaults.yaml",
        must_exist=frozenset({folder / "hosts.yaml"}) if named else frozenset(),
    )
    for path, text in ((files.hosts, hosts), (files.groups, groups), (files.defaults, defaults)):
        if text:
            path.write_text(textwrap.dedent(text), encoding="utf-8")
    return read_logins(files, KNOWN)


def problems(folder: Path, **texts: str) -> list[str]:
    """Return the first line of every problem of the files."""
    with pytest.raises(IntentError) as raised:
        read(folder, **texts)  # type: ignore[arg-type]
    return [str(problem).splitlines()[0].removeprefix(f"{folder}/") for problem in raised.value.problems]


def test_no_file_at_all_says_nothing_of_anybody(tmp_path: Path) -> None:
    """A network can be looked at before anybody has said how to log in."""
    assert read(tmp_path) == Logins()


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """Who names a file of hosts does not want to deploy to addresses that are derived."""
    with pytest.raises(IntentError, match="No such file"):
        read(tmp_path, named=True)


def test_files_of_comments_are_empty(tmp_path: Path) -> None:
    """Nornir takes them as well."""
    assert read(tmp_path, hosts="# nobody yet\n", defaults="# nothing\n") == Logins()


def test_all_levels_are_read_with_their_types(tmp_path: Path) -> None:
    """Ports and the values of data are what YAML says that they are; quoted texts stay texts."""
    found = read(
        tmp_path,
        hosts="""
        bko1:
          hostname: 192.0.2.1
          port: 2222
          groups: [wardens, site-bamako]
          data: {lab: true, rack: 7, serial: "0042", share: 0.5, names: [a, 1]}
        """,
        groups="wardens: {username: netops, password: 'env:NETOPS_PASSWORD'}\n",
        defaults="connection_options: {netmiko: {extras: {conn_timeout: 5}}}\n",
    )

    host = found.hosts["bko1"]
    assert (host.hostname, host.port, host.groups) == ("192.0.2.1", 2222, ("wardens", "site-bamako"))
    assert host.data == {"lab": True, "rack": 7, "serial": "0042", "share": 0.5, "names": ["a", 1]}
    assert found.groups["wardens"].password == "env:NETOPS_PASSWORD"  # noqa: S105 - says where it is kept
    assert found.defaults.connections["netmiko"].extras == {"conn_timeout": 5}


def test_passwords_are_in_no_representation(tmp_path: Path) -> None:
    """Whoever prints what was read shows no secret."""
    text = """
    bko1:
      password: very-hidden
      connection_options: {netmiko: {password: very-hidden, extras: {passphrase: very-hidden}}}
    """

    assert "very-hidden" not in repr(read(tmp_path, hosts=text))


def test_paths_are_relative_to_the_file_that_states_them(tmp_path: Path) -> None:
    """The folder of a network can be moved, and used from anywhere."""
    text = "bko1: {connection_options: {netmiko: {extras: {key_file: keys/id, ssh_config_file: /etc/ssh/own}}}}\n"
    extras = read(tmp_path, hosts=text).hosts["bko1"].connections["netmiko"].extras

    assert extras == {"key_file": str(tmp_path / "keys/id"), "ssh_config_file": "/etc/ssh/own"}


def test_nodes_of_the_outside_world_are_passed_over(tmp_path: Path) -> None:
    """The inventory of containerlab lists them as well; nothing is deployed to them."""
    assert read(tmp_path, hosts="provider-dakar: {hostname: 172.20.20.9}\n").hosts == {}


def test_unknown_hosts_keys_and_groups_are_named_with_their_line(tmp_path: Path) -> None:
    """Nornir would take each of these in silence, or stop with a traceback."""
    found = problems(
        tmp_path,
        hosts="""
        bko1:
          usernme: netops
          groups: [wardens]
          port: 99999
        bko7:
          hostname: 192.0.2.7
        """,
        defaults="groups: [site-bamako]\n",
    )

    assert found == [
        "defaults.yaml:1:1: Nornir knows no key 'groups' here",
        "hosts.yaml:3:3: Nornir knows no key 'usernme' here",
        "hosts.yaml:4:12: there is no group 'wardens'",
        "hosts.yaml:5:9: a port lies between 1 and 65535, this is '99999'",
        "hosts.yaml:6:1: the network has no router 'bko7'",
    ]


def test_the_nearest_router_is_suggested(tmp_path: Path) -> None:
    """A typo is mended at once."""
    with pytest.raises(IntentError, match="did you mean 'bko1'"):
        read(tmp_path, hosts="bk1: {}\n")


def test_host_keys_cannot_be_left_unchecked(tmp_path: Path) -> None:
    """Netmiko's own default takes any key; a network that is deployed to does not."""
    found = problems(tmp_path, defaults="connection_options: {netmiko: {extras: {ssh_strict: false}}}\n")

    assert found == [
        "defaults.yaml:1:41: host keys are always checked: without that anybody can be the router",
    ]


@pytest.mark.parametrize(
    "hosts",
    [
        "bko1: [netops]",
        "bko1: {password: [a]}",
        "bko1: {hostname: 'a b'}",
        "bko1: {hostname: '-oProxyCommand=reboot'}",
        "bko1: {data: 7}",
        "bko1: {groups: wardens}",
        "bko1: {connection_options: {netmiko: 7}}",
        "bko1: {connection_options: {netmiko: {extras: [a]}}}",
        "bko1: {connection_options: {netmiko: {extras: {key_file: {a: b}}}}}",
        "'bko 1': {}",
        "bko1: {port: 022}",
        "- bko1",
    ],
)
def test_what_is_misshapen_is_refused(tmp_path: Path, hosts: str) -> None:
    """One problem with its place each, and no traceback."""
    assert problems(tmp_path, hosts=hosts)[0].startswith("hosts.yaml:1:")


def test_a_password_is_not_quoted_in_a_message(tmp_path: Path) -> None:
    """The line of a mistake is shown without what may be secret."""
    with pytest.raises(IntentError) as raised:
        read(tmp_path, hosts="bko1: {password: very-hidden, port: x}\n")

    assert "very-hidden" not in str(raised.value)
