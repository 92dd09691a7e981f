"""Routers over a real SSH server: who is let in, whose key is believed, and what is said where something is wrong.

What is wrong with one router is said of that router; the other one of the network answers all the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nornir import InitNornir

from resilience.deploy.fleet import SshFleet, open_fleet
from resilience.deploy.router import Hello, Router
from resilience.deploy.tasks import apply, diff, run_task
from resilience.errors import RouterError, RouterTrouble
from resilience.intent import read_intent
from resilience.plan import make_plan
from tests.support.local_sshd import ACCOUNT, PASSWORD, PROGRAM, Machine, hello, running_machine, write_network

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine where everything is as it should be: it answers as the router `gw`."""
    with running_machine(tmp_path_factory.mktemp("machine")) as found:
        yield found


@pytest.fixture(autouse=True)
def nobody_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys, agents or known hosts of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "home/.ssh").mkdir(parents=True, mode=0o700)


def by_key(machine: Machine, **more: Any) -> str:
    """Return the lines of a host that logs in with the machine's key."""
    extras = {"key_file": str(machine.key), **more}
    stated = ", ".join(f"{key}: {value}" for key, value in extras.items())
    return (
        f"  hostname: 127.0.0.1\n  port: {machine.port}\n  username: {ACCOUNT}\n"
        f"  connection_options: {{netmiko: {{extras: {{{stated}}}}}}}\n"
    )


def fleet_of(folder: Path, gw: str, second: str, known_hosts: str) -> SshFleet:
    """Return the two routers of a network that are logged in to like this."""
    net = write_network(folder, f"gw:\n{gw}second:\n{second}", known_hosts)
    plan, _ = make_plan(read_intent(net))
    return open_fleet(net, plan)


def ask(fleet: SshFleet) -> dict[str, Hello | RouterError]:
    """Ask both who they are."""
    try:
        return dict(fleet.each(fleet.names, lambda _name, router: router.hello()))
    finally:
        fleet.close()


def trouble(tmp_path: Path, machine: Machine, second: str, known_hosts: str = "") -> RouterError:
    """Return what is wrong with `second`; `gw`, which is the good machine, has answered."""
    answers = ask(fleet_of(tmp_path / "net", by_key(machine), second, machine.known_line + known_hosts))
    assert isinstance(answers["gw"], Hello), answers["gw"]
    found = answers["second"]
    assert isinstance(found, RouterError), found
    return found


def test_an_account_logs_in_with_a_key_and_runs_the_program_as_root(tmp_path: Path, machine: Machine) -> None:
    """Through sudo, which lets it do nothing else."""
    fleet = fleet_of(tmp_path / "net", by_key(machine), by_key(machine), machine.known_line)
    before = len(machine.calls())

    answers = ask(fleet)

    assert answers["gw"] == Hello(**hello())
    assert machine.calls()[before][0] == ["hello"]
    assert machine.calls()[before][2] == 0


def test_a_password_from_the_environment_lets_in(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`password: env:NAME` in hosts.yaml; it is resolved when it is needed."""
    host = f"  hostname: 127.0.0.1\n  port: {machine.port}\n  username: {ACCOUNT}\n  password: env:NETOPS\n"
    fleet = fleet_of(tmp_path / "net", host, by_key(machine), machine.known_line)
    monkeypatch.setenv("NETOPS", PASSWORD)

    assert ask(fleet)["gw"] == Hello(**hello())


def test_root_needs_no_sudo(tmp_path: Path, machine: Machine) -> None:
    """A router without accounts is deployed to all the same."""
    host = by_key(machine).replace(ACCOUNT, "root")
    fleet = fleet_of(tmp_path / "net", host, by_key(machine), machine.known_line)

    assert ask(fleet)["gw"] == Hello(**hello())


def test_an_agents_key_lets_in(tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key file and no password: what `ssh` itself would try."""
    sock = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        until = time.monotonic() + 20
        while subprocess.run(["ssh-add", "-q", machine.key], check=False, capture_output=True).returncode:
            assert time.monotonic() < until
            time.sleep(0.05)
        host = f"  hostname: 127.0.0.1\n  port: {machine.port}\n  username: {ACCOUNT}\n"

        answers = ask(fleet_of(tmp_path / "net", host, by_key(machine), machine.known_line))
    finally:
        agent.terminate()
        agent.wait()

    assert answers["gw"] == Hello(**hello())


def test_the_configuration_of_ssh_names_hosts(tmp_path: Path, machine: Machine) -> None:
    """`ssh_config_file` in the extras: names, ports and jump hosts as `ssh` has them."""
    net = tmp_path / "net"
    net.mkdir()
    (net / "ssh_config").write_text(f"Host router-one\n  HostName 127.0.0.1\n  Port {machine.port}\n", encoding="ascii")
    extras = f"{{key_file: {machine.key}, ssh_config_file: ssh_config}}"
    host = f"  hostname: router-one\n  username: {ACCOUNT}\n  connection_options: {{netmiko: {{extras: {extras}}}}}\n"

    assert ask(fleet_of(net, host, by_key(machine), machine.known_line))["gw"] == Hello(**hello())


def test_a_wrong_password_is_a_refused_login(tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not repeated."""
    monkeypatch.setenv("NETOPS", "not-the-secret")
    host = f"  hostname: 127.0.0.1\n  port: {machine.port}\n  username: {ACCOUNT}\n  password: env:NETOPS\n"

    error = trouble(tmp_path, machine, host)

    assert error.kind is RouterTrouble.LOGIN
    assert f"did not let {ACCOUNT} in" in error.message
    assert "not-the-secret" not in f"{error.message}{error.hint}"


def test_a_password_that_cannot_be_had_is_said_of_its_router(tmp_path: Path, machine: Machine) -> None:
    """The others do not need it."""
    host = f"  hostname: 127.0.0.1\n  port: {machine.port}\n  username: {ACCOUNT}\n  password: env:NOT_SET_AT_ALL\n"

    error = trouble(tmp_path, machine, host)

    assert error.kind is RouterTrouble.LOGIN
    assert "env:NOT_SET_AT_ALL" in error.message


def test_a_key_file_that_is_not_there_is_said(tmp_path: Path, machine: Machine) -> None:
    """Before anybody is connected to."""
    error = trouble(tmp_path, machine, by_key(machine, key_file="/no/such/key"))

    assert error.kind is RouterTrouble.LOGIN
    assert "/no/such/key" in error.message


def test_nobody_at_the_address_is_unreachable(tmp_path: Path, machine: Machine) -> None:
    """Refused at once."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = trouble(tmp_path, machine, f"  hostname: 127.0.0.1\n  port: {bound.getsockname()[1]}\n")

    assert error.kind is RouterTrouble.UNREACHABLE
    assert "Connection refused" in error.message


def test_a_machine_that_says_nothing_is_unreachable_in_time(tmp_path: Path, machine: Machine) -> None:
    """It accepts the connection and stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"  hostname: 127.0.0.1\n  port: {silent.getsockname()[1]}\n"
        host += "  connection_options: {netmiko: {extras: {banner_timeout: 1}}}\n"
        error = trouble(tmp_path, machine, host)

    assert error.kind is RouterTrouble.UNREACHABLE


def test_a_name_that_leads_nowhere_is_unreachable(tmp_path: Path, machine: Machine) -> None:
    """The message says that it is the name."""
    error = trouble(tmp_path, machine, "  hostname: no-such-router.invalid\n")

    assert error.kind is RouterTrouble.UNREACHABLE
    assert "leads to no address" in error.message


def test_an_unknown_machine_is_told_nothing(tmp_path: Path, machine: Machine) -> None:
    """Its fingerprint and the line for known_hosts are shown; that line is right."""
    with running_machine(tmp_path / "other") as other:
        error = trouble(tmp_path, machine, by_key(other))
        shown = subprocess.run(
            ["ssh-keygen", "-lf", other.folder / "host_key.pub"], check=True, capture_output=True, text=True
        ).stdout.split()[1]

        assert error.kind is RouterTrouble.HOST_KEY
        assert shown in error.message
        assert error.hint.splitlines()[-1] + "\n" == other.known_line
        assert other.calls() == []
        fleet = fleet_of(tmp_path / "net", by_key(machine), by_key(other), machine.known_line + other.known_line)
        assert isinstance(ask(fleet)["gw"], Hello)


def test_a_machine_with_another_key_than_before_is_told_nothing(tmp_path: Path, machine: Machine) -> None:
    """Loud: both fingerprints, and nothing was said to it."""
    with running_machine(tmp_path / "other") as other:
        kind, key, *_ = (machine.folder / "host_key.pub").read_text(encoding="ascii").split()
        error = trouble(tmp_path, machine, by_key(other), known_hosts=f"[127.0.0.1]:{other.port} {kind} {key}\n")

        assert error.kind is RouterTrouble.HOST_KEY
        assert "IS NOT THE ONE THAT IT WAS" in error.message
        assert error.message.count("SHA256:") == 2
        assert f"ssh-keygen -R '[127.0.0.1]:{other.port}'" in error.hint
        assert other.calls() == []


def test_the_users_own_known_hosts_counts(tmp_path: Path, machine: Machine) -> None:
    """~/.ssh/known_hosts, as `ssh` uses it."""
    (tmp_path / "home/.ssh/known_hosts").write_text(machine.known_line, encoding="ascii")

    assert ask(fleet_of(tmp_path / "net", by_key(machine), by_key(machine), ""))["gw"] == Hello(**hello())


def test_another_router_behind_the_address_is_the_wrong_one(tmp_path: Path, machine: Machine) -> None:
    """Both addresses lead to `gw`."""
    error = trouble(tmp_path, machine, by_key(machine))

    assert error.kind is RouterTrouble.WRONG_ROUTER
    assert "'gw'" in error.message


def test_an_account_without_its_line_in_sudoers_is_told_so(tmp_path: Path, machine: Machine) -> None:
    """With the line that is missing."""
    with running_machine(tmp_path / "other", sudo=False) as other:
        error = trouble(tmp_path, machine, by_key(other), other.known_line)

    assert error.kind is RouterTrouble.SUDO
    assert f"NOPASSWD: {PROGRAM}" in error.hint


@pytest.mark.parametrize("account", [ACCOUNT, "root"])
def test_a_router_that_was_not_prepared_is_told_so(tmp_path: Path, machine: Machine, account: str) -> None:
    """The program is not there, for accounts and for root."""
    with running_machine(tmp_path / "other", program=False) as other:
        error = trouble(tmp_path, machine, by_key(other).replace(ACCOUNT, account), other.known_line)

    assert error.kind is RouterTrouble.NO_PROGRAM
    assert PROGRAM in error.message


def test_an_account_without_a_shell_is_an_error_that_names_the_answer(tmp_path: Path, machine: Machine) -> None:
    """What stands in the place of a shell answers, and it is no answer."""
    with running_machine(tmp_path / "other", login="/usr/sbin/nologin") as other:
        error = trouble(tmp_path, machine, by_key(other), other.known_line)

    assert error.kind is RouterTrouble.FAILED
    assert "not available" in error.message


def on_gw(fleet: SshFleet, work: Any) -> Any:
    """Do something at `gw`."""
    return fleet.each(["gw"], work)["gw"]


def test_an_answer_larger_than_any_is_cut_off(tmp_path: Path, machine: Machine) -> None:
    """A router cannot fill the memory of whoever deploys."""
    fleet = fleet_of(tmp_path / "net", by_key(machine), by_key(machine), machine.known_line)
    machine.answer(hello="x" * (17 * 2**20))
    try:
        error = on_gw(fleet, lambda _name, router: router.hello())
        assert isinstance(error, RouterError)
        assert "more than 16 MB" in error.message
        machine.answer(hello=hello())
        assert on_gw(fleet, lambda _name, router: router.hello()) == Hello(**hello())
    finally:
        machine.answer(hello=hello())
        fleet.close()


def test_a_large_question_and_a_large_answer_pass_each_other(tmp_path: Path, machine: Machine) -> None:
    """Neither side waits for the other to read first."""
    fleet = fleet_of(tmp_path / "net", by_key(machine), by_key(machine), machine.known_line)
    machine.answer(stage={"router": "gw", "files": [{"file": "frr.conf", "diff": "d" * 3_000_000}]}, hello=hello())
    before = len(machine.calls())
    try:
        change = on_gw(fleet, stage_much)
    finally:
        machine.answer(hello=hello())
        fleet.close()

    assert len(change.files[0].diff) == 3_000_000
    assert machine.calls()[before][1] > 3_000_000


def stage_much(_name: str, router: Router) -> Any:
    """Stage three megabytes."""
    from resilience.deploy.driver import Bundle  # noqa: PLC0415 - next to what it is for

    text = "! a comment\n" * 260_000
    return router.stage(
        Bundle(change="c-1", router="gw", network="ten", who="a@b", platform="frr", files={"frr.conf": text})
    )


def test_a_session_is_kept_until_it_is_hung_up(tmp_path: Path, machine: Machine) -> None:
    """Questions share it; after `hang_up` the next one opens a new connection: what verification rests on."""
    fleet = fleet_of(tmp_path / "net", by_key(machine), by_key(machine), machine.known_line)

    def ports(_name: str, router: Router) -> list[int]:
        found = []
        for hang_up in (False, False, True):
            if hang_up:
                router.hang_up()
            router.hello()
            found.append(own_port(machine))
        return found

    try:
        first, second, third = on_gw(fleet, ports)
    finally:
        fleet.close()

    assert first == second
    assert third != first


def own_port(machine: Machine) -> int:
    """Return the port of this process's one established connection to the machine."""
    shown = subprocess.run(
        ["ss", "-Htnp", "state", "established", f"dport = :{machine.port}"], check=True, capture_output=True, text=True
    ).stdout
    (line,) = [one for one in shown.splitlines() if f"pid={os.getpid()}," in one]
    return int(line.split()[2].rpartition(":")[2])


class Relay:
    """A line to a machine that can be cut: nothing passes any more, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._far = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.cut = threading.Event()
        self._ends: list[socket.socket] = [self._server]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._far))
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        while True:
            try:
                data = one.recv(65536)
                if self.cut.is_set():
                    continue
                other.sendall(data)
            except OSError:
                return
            if not data:
                return

    def close(self) -> None:
        """End every connection: a socket that a thread still reads from stays open when it is only closed."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_an_answer_that_never_comes_is_given_up_in_time(tmp_path: Path, machine: Machine) -> None:
    """The line is dead without a word; the next question goes over a new connection."""
    relay = Relay(machine.port)
    known = machine.known_line + machine.known_line.replace(str(machine.port), str(relay.port))
    host = by_key(machine).replace(f"port: {machine.port}", f"port: {relay.port}")
    fleet = fleet_of(tmp_path / "net", host, by_key(machine), known)
    began = time.monotonic()
    try:
        assert isinstance(on_gw(fleet, lambda _name, router: router.hello()), Hello)
        relay.cut.set()
        error = on_gw(fleet, lambda _name, router: router.pending())
        assert isinstance(error, RouterError)
        assert error.kind is RouterTrouble.UNREACHABLE
        relay.cut.clear()
        assert isinstance(on_gw(fleet, lambda _name, router: router.hello()), Hello)
    finally:
        fleet.close()
        relay.close()
    assert time.monotonic() - began < 60


def test_a_session_that_is_closed_under_a_question_is_unreachable(tmp_path: Path, machine: Machine) -> None:
    """The far end goes away at once, as in a reboot; nothing waits for the full time."""
    relay = Relay(machine.port)
    known = machine.known_line + machine.known_line.replace(str(machine.port), str(relay.port))
    host = by_key(machine).replace(f"port: {machine.port}", f"port: {relay.port}")
    fleet = fleet_of(tmp_path / "net", host, by_key(machine), known)
    try:
        assert isinstance(on_gw(fleet, lambda _name, router: router.hello()), Hello)
        relay.close()
        error = on_gw(fleet, lambda _name, router: router.hello())
        assert isinstance(error, RouterError)
        assert error.kind is RouterTrouble.UNREACHABLE
    finally:
        fleet.close()


def test_netmikos_own_connection_works_on_the_same_inventory(tmp_path: Path, machine: Machine) -> None:
    """An engineer's other tasks log in with the same options, and believe the same host keys only."""
    from nornir.core.task import Result, Task  # noqa: PLC0415 - as a runbook would
    from nornir_netmiko.tasks import netmiko_send_command  # noqa: PLC0415

    fleet = fleet_of(tmp_path / "net", by_key(machine), by_key(machine), machine.known_line)
    nornir = fleet._nornir
    from nornir.core.plugins.connections import ConnectionPluginRegister  # noqa: PLC0415

    ConnectionPluginRegister.auto_register()

    def one(task: Task) -> Result:
        return Result(host=task.host, result=task.run(netmiko_send_command, command_string="id -un").result)

    answers = nornir.filter(name="gw").run(task=one)
    nornir.close_connections()

    assert not answers.failed, str(answers["gw"][0])
    assert answers["gw"].result.strip() == ACCOUNT


def test_nothing_secret_is_logged_or_shown(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the login's password nor a session's, not even where everybody logs all they can."""
    host = f"  hostname: 127.0.0.1\n  port: {machine.port}\n  username: {ACCOUNT}\n  password: env:NETOPS\n"
    net = write_network(tmp_path / "net", f"gw:\n{host}second:\n{by_key(machine)}", machine.known_line)
    monkeypatch.setenv("NETOPS", PASSWORD)
    monkeypatch.setenv("ORION_MD5", "the-word-of-the-session")
    caplog.set_level(logging.DEBUG)
    inventory = {"plugin": "resilience", "options": {"network": str(net)}}
    nornir = InitNornir(inventory=inventory, logging={"enabled": False}).filter(name="gw")
    before = len(machine.calls())
    machine.answer(hello=hello(), diff={"router": "gw"}, stage={"error": {"kind": "invalid", "message": "no"}})
    try:
        answers = [run_task(nornir, diff), run_task(nornir, apply, change="c-1")]
    finally:
        nornir.close_connections()
        machine.answer(hello=hello())

    assert [call[0][0] for call in machine.calls()[before:]][:1] == ["diff"], "else nothing was sent"
    texts = [caplog.text]
    texts += [repr(answer) + repr(answer["gw"]) + str(answer["gw"][0]) for answer in answers]
    texts += [repr(nornir.inventory.hosts["gw"].dict()), repr(nornir.inventory.defaults.dict())]
    for secret in (PASSWORD, "the-word-of-the-session"):
        assert not [text for text in texts if secret in text]
    assert {"nornir", "paramiko"} <= {record.name.partition(".")[0] for record in caplog.records}, (
        "all log all they can"
    )
