"""The image of routers under the real containerlab: nodes come up from their folders, stop at once, leave nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab_containers.conftest import ContainerLab, wait_until
from tests.support.engine import IMAGE, Engine

pytestmark = [pytest.mark.containers, pytest.mark.timeout(180)]

PRIVILEGES = [f"--cap-add={name}" for name in ("NET_ADMIN", "NET_BROADCAST", "NET_RAW", "SYS_ADMIN")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A node's folder, empty."""
    path = tmp_path / "node"
    path.mkdir()
    return path


@pytest.fixture
def container(engine: Engine) -> Iterator[str]:
    """The name of a container that is removed in the end."""
    yield "alone"
    engine.run("docker", "rm", "--force", "alone", check=False)


def run_node(engine: Engine, name: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a node in the foreground until it ends by itself."""
    mount = f"--volume={folder}:/etc/netresilience:ro"
    argv = ("docker", "run", "--name", name, "--network", "none", *PRIVILEGES, mount, *options, IMAGE)
    return engine.run(*argv, check=False)


def wait_until_ready(lab: ContainerLab, node: str) -> None:
    """Wait until a node has come up."""
    wait_until(lambda: lab.state(node) == "ready", lambda: lab.state(node))


def test_sessions_come_up_and_packets_pass(three: ContainerLab) -> None:
    """FRR and BIRD started by a plain `containerlab deploy` exchange routes; a machine behind one reaches the other."""

    def pings() -> list[str]:
        return [three.run("user", "ping", "-c1", "-W1", to) for to in ("198.51.100.1", "2001:db8:6400::1")]

    wait_until(lambda: all(" 0% packet loss" in answer for answer in pings()), pings)

    assert {three.state(node) for node in ("frr", "bird", "user")} == {"ready"}
    assert three.run("bird", "birdc", "show", "protocols").count("Established") == 2
    assert three.ask("frr", "show bgp ipv4 unicast summary")["peers"]["192.0.2.2"]["state"] == "Established"
    assert "tcp dport 7" in three.run("frr", "nft", "list", "ruleset")


def test_nodes_stop_on_request(three: ContainerLab) -> None:
    """Whatever a node runs, it ends by itself when it is asked (0), instead of being killed a minute later (137)."""
    for node in ("frr", "bird", "user"):
        wait_until_ready(three, node)
        three.engine.run("docker", "stop", "--time", "60", node)
        assert three.engine.inspect(node)["State"]["ExitCode"] == 0


def test_a_killed_daemon_stays_dead(three: ContainerLab) -> None:
    """Nothing watches over daemons: what a drill kills stays dead until the drill revives it."""
    wait_until_ready(three, "frr")

    three.run("frr", "pkill", "-KILL", "bgpd")

    wait_until(lambda: "bgpd" not in three.run("frr", "ps", "-e"), lambda: three.run("frr", "ps", "-e"))
    assert three.engine.inspect("frr")["State"]["Running"]
    assert "zebra" in three.run("frr", "ps", "-e")


def test_files_of_a_node_stay_as_they_are(three: ContainerLab) -> None:
    """Daemons want files of their own; the mounted ones keep owner, mode and content."""
    original = Path(__file__).parent / "three/frr"
    wait_until_ready(three, "frr")

    for path in (three.topology.parent / "frr").iterdir():
        assert path.read_bytes() == (original / path.name).read_bytes()
        assert path.owner() == original.owner()
    assert three.run("frr", "stat", "-c", "%U %a", "/etc/frr/frr.conf").strip() == "frr 640"


def test_a_lab_leaves_nothing_behind(engine: Engine, three: ContainerLab) -> None:
    """After `destroy`: no container, network, line in /etc/hosts, SSH file, cable or folder."""
    known = trace(engine)
    wait_until_ready(three, "user")
    assert "user" in known["containers"]

    three.destroy()

    left = trace(engine)
    assert "user" not in left["containers"]
    assert left["networks"] == known["networks"]
    assert "three" not in left["hosts"] + left["ssh"]
    assert "to-" not in left["cables"]
    assert sorted(path.name for path in three.topology.parent.iterdir()) == ["bird", "frr", "three.clab.yml", "user"]


def trace(engine: Engine) -> dict[str, str]:
    """Return what labs leave on a machine."""
    ssh = Path("/etc/ssh/ssh_config.d")
    return {
        "containers": engine.run("docker", "ps", "--all", "--format", "{{.Names}}").stdout,
        "networks": engine.run("docker", "network", "ls", "--format", "{{.Name}}").stdout,
        "hosts": Path("/etc/hosts").read_text(encoding="utf-8"),
        "ssh": " ".join(path.name for path in ssh.iterdir()) if ssh.exists() else "",
        "cables": engine.run("ip", "-brief", "link").stdout,
    }


def test_a_node_without_files_says_so(engine: Engine, container: str, folder: Path) -> None:
    """The first mistake with an image is to mount nothing."""
    done = run_node(engine, container, folder)

    assert done.returncode == 1
    assert done.stderr.startswith("netresilience-node: nothing is mounted at /etc/netresilience")


def test_settings_that_cannot_be_made_are_named(engine: Engine, container: str, folder: Path) -> None:
    """Without privileges only what the topology file set is right; the rest is named, all at once."""
    (folder / "sysctl.conf").write_text(
        "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.arp_ignore = 1\nnet.ipv4.conf.all.arp_announce=2\n-no.such = 1\n"
    )
    done = run_node(engine, container, folder, "--sysctl=net.ipv4.ip_forward=1", "--sysctl=net.ipv4.tcp_rmem=1 2 3")

    assert done.returncode == 1
    assert "net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2" in done.stderr
    assert "ip_forward" not in done.stderr
    assert "no.such" not in done.stderr


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("addresses.batch", "address replace 192.0.2.999/30 dev lo\n", "192.0.2.999"),
        ("nftables.conf", "table inet x { chain y { what } }\n", "what"),
        ("bird.conf", "router id nonsense;\n", "bird.conf:1:11 syntax error"),
        ("frr.conf", "hostname x\n", "no file `daemons`"),
    ],
)
def test_a_file_that_is_refused_ends_the_node(
    engine: Engine, container: str, folder: Path, file: str, text: str, said: str
) -> None:
    """A node that did not come up as its files say is not there at all, and says in one line why."""
    (folder / file).write_text(text, encoding="utf-8")

    done = run_node(engine, container, folder)

    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_frr_that_refuses_its_configuration_ends_the_node(engine: Engine, container: str, folder: Path) -> None:
    """FRR itself would go on with the lines it understood."""
    (folder / "daemons").write_text("bgpd=yes\n", encoding="utf-8")
    (folder / "frr.conf").write_text("router bgp 64500\n neighbour 192.0.2.1 remote-as 64501\n", encoding="utf-8")

    done = run_node(engine, container, folder)

    assert done.returncode == 1
    assert "neighbour" in done.stderr


def test_a_node_waits_for_its_cables(engine: Engine, container: str, folder: Path) -> None:
    """Containerlab brings cables after the start: until then a node says what it waits for, and stops when asked."""
    (folder / "addresses.batch").write_text("link set dev lo up\nlink set dev eth7 mtu 1500 up\n", encoding="utf-8")
    run_node(engine, container, folder, "--detach")

    def state() -> str:
        return engine.run("docker", "exec", container, "cat", "/run/netresilience/state", check=False).stdout.strip()

    wait_until(lambda: state() == "waiting for eth7", state)
    engine.run("docker", "stop", "--time", "60", container)
    assert engine.inspect(container)["State"]["ExitCode"] == 0
