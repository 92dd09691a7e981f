"""Reading what daemons say, and the two protocols in which they say it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from resilience.errors import LabError
from resilience.lab.control import BirdControl, CommandRefused, FrrControl
from resilience.lab.daemons import (
    BfdPeer,
    read_bird_bfd,
    read_bird_neighbors,
    read_bird_protocols,
    read_bird_sessions,
    read_ospf6_neighbors,
    read_ospf_neighbors,
    reload_configs,
)
from resilience.lab.scripted import ScriptedLab
from resilience.lab.seam import Completed
from resilience.model.configs import ConfigFile
from resilience.model.plan import Plan
from tests.support.lab_networks import TINY, plan_from

PROTOCOLS = """\
Name       Proto      Table      State  Since         Info
b_ospf4    OSPF       master4    up     20:34:36.351  Running
west4      BGP        ---        up     20:34:37.194  Established
  BGP state:          Established
    Neighbor address: 192.0.2.1
    Neighbor AS:      64496
  Channel ipv4
    State:          UP
east6      BGP        ---        start  20:34:36.351  Active
  BGP state:          Active
    Neighbor address: fe80::1%up-east
"""


def test_sessions_of_bird_are_found_by_the_neighbours_address() -> None:
    """With their state and, for commands, the protocol's name; a zone is no part of the address."""
    assert read_bird_sessions(PROTOCOLS) == {"192.0.2.1": "Established", "fe80::1": "Active"}
    assert read_bird_protocols(PROTOCOLS) == {"192.0.2.1": "west4", "fe80::1": "east6"}


def test_only_full_neighbours_count() -> None:
    """On BIRD and on both daemons of FRR."""
    shown = (
        "b_ospf4:\nRouter ID   Pri      State      DTime   Interface  Router IP\n"
        "10.0.0.2    1  Full/PtP    9.5  ln-r2  10.1.0.2\n"
        "10.0.0.3    1  ExStart/PtP 9.5  ln-r3  10.1.0.6\n"
        "10.0.0.2    1  Full/PtP    9.5  ln-r2  fe80::2\n"
    )
    four = {"neighbors": {"10.0.0.2": [{"nbrState": "Full/-", "ifaceName": "ln-r2:10.1.0.1"}, {"nbrState": "Init/-"}]}}
    six = {"neighbors": [{"state": "Full", "interfaceName": "ln-r2"}, {"state": "Down", "interfaceName": "ln-r3"}]}

    assert read_bird_neighbors(shown) == {(4, "ln-r2"), (6, "ln-r2")}
    assert read_ospf_neighbors(four) == {(4, "ln-r2")}
    assert read_ospf6_neighbors(six) == {(6, "ln-r2")}


def test_bfd_sessions_of_bird_are_read() -> None:
    """A multihop session has no interface."""
    shown = (
        "b_bfd:\nIP address                Interface  State      Since         Interval  Timeout\n"
        "192.0.2.1                 up-west    Up         20:34:37.194    0.100    0.300\n"
        "10.255.0.1                ---        Down       20:34:37.194    0.300    0.900\n"
    )
    assert read_bird_bfd(shown) == (BfdPeer("192.0.2.1", "up-west", up=True), BfdPeer("10.255.0.1", "", up=False))


@contextlib.contextmanager
def daemon(path: Path, talk: Callable[[socket.socket], None]) -> Iterator[Path]:
    """Run a daemon that has one conversation on a socket whose path is longer than the kernel takes."""
    folder = path / ("x" * 100)
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.chdir(folder):
        listener.bind("d.vty")
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            talk(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        yield folder / "d.vty"
    thread.join()


def test_frr_answers_end_in_three_zeros_and_a_code(tmp_path: Path) -> None:
    """However the answer is cut into pieces; a code other than success is a refusal."""

    def talk(connection: socket.socket) -> None:
        assert connection.recv(64) == b"enable\0"
        connection.sendall(b"\0\0\0\0")
        assert connection.recv(64) == b"show x\0"
        for piece in (b"a\nb", b"\n\0", b"\0\0", b"\0"):
            connection.sendall(piece)
        assert connection.recv(64) == b"nonsense\0"
        connection.sendall(b"% Unknown command\n\0\0\0\x02")

    with daemon(tmp_path, talk) as path, FrrControl(path) as frr:
        assert frr.command("show x") == "a\nb\n"
        with pytest.raises(CommandRefused, match="Unknown command"):
            frr.command("nonsense")


def test_bird_answers_end_in_a_code_and_a_blank(tmp_path: Path) -> None:
    """Continuation lines keep their text, asynchronous messages are left out, codes from 8000 on are refusals."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"0001 BIRD 2.0.12 ready.\n")
        assert connection.recv(64) == b"show protocols\n"
        connection.sendall(b"2002-Name Proto\n1002-west BGP\n+log line\n  indented\n0000 \n")
        assert connection.recv(64) == b"nonsense\n"
        connection.sendall(b"9001 syntax error\n")

    with daemon(tmp_path, talk) as path, BirdControl(path) as bird:
        assert bird.command("show protocols") == "Name Proto\nwest BGP\n indented\n"
        with pytest.raises(CommandRefused, match="syntax error"):
            bird.command("nonsense")


def test_a_daemon_may_be_given_as_long_as_it_needs(tmp_path: Path) -> None:
    """Whoever starts a daemon knows how long that may take; the message says how long was waited."""
    waited = threading.Event()

    def talk(connection: socket.socket) -> None:
        assert connection.recv(64) == b"enable\0"
        waited.wait(10)

    with daemon(tmp_path, talk) as path:
        with pytest.raises(LabError, match=r"d\.vty does not answer in 0\.1 s"):
            FrrControl(path, 0.1)
        waited.set()


def test_a_daemon_that_hangs_up_is_an_error_with_its_name(tmp_path: Path) -> None:
    """Never an empty answer."""
    with daemon(tmp_path, lambda connection: connection.close()) as path, pytest.raises(LabError, match=r"d\.vty"):
        BirdControl(path)
    with pytest.raises(LabError, match="does not answer"):
        BirdControl(tmp_path / "nobody.ctl")


class Repeating(ScriptedLab):
    """A lab whose frr-reload.py refuses so many times before it ends well."""

    def __init__(self, plan: Plan, refusals: int) -> None:
        super().__init__(plan)
        self.refusals = refusals

    def run(self, node: str, argv: Sequence[str], *, timeout_s: float = 30, stdin: str = "") -> Completed:
        """Refuse, as long as refusals are left."""
        done = super().run(node, argv, timeout_s=timeout_s, stdin=stdin)
        if not argv[0].endswith("frr-reload.py") or not self.refusals:
            return done
        self.refusals -= 1
        return Completed(exit_code=1, stdout="", stderr="not valid at this moment")


@pytest.mark.parametrize("refusals", [0, 1])
def test_a_reload_that_refuses_what_it_repeats_has_been_taken(refusals: int, tmp_path: Path) -> None:
    """The second run finds nothing left to change."""
    lab = Repeating(plan_from(TINY, tmp_path)[0], refusals)
    lab.start()
    reload_configs(lab, "gw", [ConfigFile("frr.conf", "hostname gw\n")])

    assert sum("--reload" in call[2] for call in lab.calls if call[0] == "run") == 1 + refusals


def test_a_reload_that_refuses_twice_is_an_error(tmp_path: Path) -> None:
    """With what it said."""
    lab = Repeating(plan_from(TINY, tmp_path)[0], 2)
    lab.start()
    with pytest.raises(LabError, match="not valid at this moment"):
        reload_configs(lab, "gw", [ConfigFile("frr.conf", "hostname gw\n")])
