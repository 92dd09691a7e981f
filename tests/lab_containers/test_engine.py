"""A Docker daemon that tests start for themselves ends with them, whatever happens, and leaves the host alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab_containers.conftest import wait_until
from tests.support.engine import IMAGE, ROOT, Engine, is_in_use, own_daemon

pytestmark = [pytest.mark.containers, pytest.mark.timeout(180)]

STARTER = """
import signal
from tests.support.engine import own_daemon
with own_daemon() as socket:
    print(socket, flush=True)
    signal.pause()
"""


def host_network() -> dict[str, str]:
    """Return what a Docker daemon usually changes on a machine."""

    def said(*argv: str) -> str:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    return {
        "links": said("ip", "-o", "link", "show", "type", "bridge"),
        "firewall": said("nft", "list", "ruleset"),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii"),
    }


@pytest.fixture
def starter() -> Iterator[subprocess.Popen[str]]:
    """A process that has a daemon of its own."""
    argv = [sys.executable, "-c", STARTER]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)
    yield process
    process.kill()
    process.communicate()


def test_a_killed_run_takes_daemon_and_containers_along(starter: subprocess.Popen[str]) -> None:
    """SIGKILL leaves nobody to clean up but the kernel; the folder goes with the next start."""
    assert starter.stdout is not None
    socket = Path(starter.stdout.readline().strip())
    engine = Engine({"DOCKER_HOST": f"unix://{socket}"})
    engine.load_image()
    engine.run("docker", "run", "--detach", "--name", "left", "--network", "none", IMAGE, "sleep", "86400")
    first = Path(f"/proc/{engine.inspect('left')['State']['Pid']}")
    assert first.exists()
    assert is_in_use(socket.parent)

    starter.kill()

    wait_until(lambda: not is_in_use(socket.parent), (socket.parent / "log").read_text)
    assert not first.exists()
    with own_daemon():
        assert not socket.parent.exists()


def test_the_host_stays_as_it_is() -> None:
    """No bridge, no firewall rule, no forwarding; in the end no folder, no mount."""
    before = host_network()

    with own_daemon() as socket:
        during = host_network()

    assert during == before
    assert host_network() == before
    assert not socket.parent.exists()
    assert str(socket.parent) not in Path("/proc/mounts").read_text(encoding="utf-8")


def test_an_ill_daemon_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its log is the message, since its folder goes with it."""
    (tmp_path / "dockerd").write_text("#!/bin/sh\necho no cgroups here; exit 1\n", encoding="utf-8")
    (tmp_path / "dockerd").chmod(0o755)
    monkeypatch.setattr("tests.support.engine._SEARCH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with pytest.raises(AssertionError, match="no cgroups here"), own_daemon():
        pass
    assert not list(tmp_path.glob("netresilience-docker-*"))
