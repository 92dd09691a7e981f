"""What a lab of containers needs and says when it is missing: one sentence, a hint, exit code 2, and nothing started.

Programs that answer as containerlab and Docker do stand in for both; `tests/lab_containers` asks the real ones.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resilience.errors import EnvironmentLacks, ExitCode, LabError, ResilienceError, UsageError
from resilience.lab.clab.backend import ClabLab
from resilience.lab.clab.engine import Container, Engine, find_engine
from resilience.lab.clab.guardian import errors_in, read_last_words
from resilience.lab.clab.kinds import Dialect
from resilience.lab.clab.processes import find_processes
from resilience.lab.opening import make_lab
from resilience.lab.state import Process
from resilience.model.configs import Configs
from resilience.model.plan import Plan
from tests.support.lab_networks import TINY, plan_from

ANSWERS = """\
case "$1" in
version) {version} ;;
image) {image} ;;
ps) echo {ids} ;;
inspect) echo '{inspect}' ;;
esac
"""
RUNNING = (
    '[{"Name": "/clab-mine-gw", "Config": {"Labels": {"clab-node-name": "gw"}}, "State": {"Running": true, "Pid": 7}}]'
)
SAYS_NO = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
FORBIDDEN = "Got permission denied while trying to connect to the Docker daemon socket"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which nothing but what a test puts there is, and a user who is root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("resilience.lab.clab.engine._SBIN", str(folder))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("RESILIENCE_RUN", str(tmp_path / "run"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return folder


def put(folder: Path, name: str, script: str) -> None:
    """Write a program."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def put_containerlab(folder: Path, version: str = "0.79.0") -> None:
    """Write a containerlab of some version."""
    put(folder, "containerlab", f"echo '    version: {version}'; echo '     commit: none'")


def put_docker(
    folder: Path, *, version: str = "echo 20.10.24", image: str = "echo sha256:1", ids: str = "", inspect: str = "[]"
) -> None:
    """Write a Docker that answers so."""
    put(folder, "docker", ANSWERS.format(version=version, image=image, ids=ids, inspect=inspect))


@pytest.fixture
def network(tmp_path: Path) -> tuple[Plan, Configs]:
    """The smallest network."""
    return plan_from(TINY, tmp_path / "tiny")


def refusal(network: tuple[Plan, Configs], *, name: str | None = None, image: str | None = None) -> ResilienceError:
    """Return what starting a lab of containers is refused with."""
    plan, configs = network
    with pytest.raises(ResilienceError) as caught:
        make_lab(plan, configs, backend="containerlab", name=name, image=image).start()
    assert caught.value.exit_code in {ExitCode.USAGE, ExitCode.UNKNOWN}
    return caught.value


def test_without_root(programs: Path, network: tuple[Plan, Configs], monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespaces of containers are entered by root alone."""
    put_containerlab(programs)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    error = refusal(network)

    assert (error.message, error.hint) == ("a lab of containers needs root", "run the same command with sudo")


def test_without_containerlab(programs: Path, network: tuple[Plan, Configs]) -> None:
    """The address of its page."""
    put_docker(programs)
    error = refusal(network)

    assert (error.message, error.hint) == ("this machine lacks containerlab", "https://containerlab.dev/install")


def test_without_docker(programs: Path, network: tuple[Plan, Configs]) -> None:
    """Docker's command is missing."""
    put_containerlab(programs)
    error = refusal(network)

    assert error.message == "this machine lacks docker"
    assert "apt-get install docker.io" in error.hint


@pytest.mark.parametrize("said", [SAYS_NO, FORBIDDEN])
def test_docker_that_does_not_answer(programs: Path, network: tuple[Plan, Configs], said: str) -> None:
    """With Docker's own words: its daemon is down, or it does not let us in."""
    put_containerlab(programs)
    put_docker(programs, version=f"echo '{said}' >&2; exit 1")
    error = refusal(network)

    assert error.message == f"Docker does not answer: {said}"
    assert error.hint == "`sudo systemctl start docker` starts it"


def test_docker_elsewhere(programs: Path, network: tuple[Plan, Configs], monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers of another machine have no namespaces here."""
    put_containerlab(programs)
    put_docker(programs)
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")

    assert refusal(network).message == "Docker at tcp://192.0.2.1:2375 is not on this machine"


@pytest.mark.parametrize(
    ("image", "hint"),
    [
        (None, "`simulations/images/build --load` makes it"),
        ("quay.io/frrouting/frr:10.5.1", "`docker pull quay.io/frrouting/frr:10.5.1` fetches it"),
    ],
)
def test_an_image_that_is_missing(programs: Path, network: tuple[Plan, Configs], image: str | None, hint: str) -> None:
    """How to come by it."""
    put_containerlab(programs)
    put_docker(programs, image="exit 1")
    error = refusal(network, image=image)

    assert error.message == f"Docker has no image {image or 'netresilience/router:1'}"
    assert error.hint == hint


@pytest.mark.parametrize(("version", "said"), [("0.39.0", "0.39"), ("0.5.2", "0.5")])
def test_an_old_containerlab(programs: Path, network: tuple[Plan, Configs], version: str, said: str) -> None:
    """Both numbers."""
    put_containerlab(programs, version)
    put_docker(programs)

    assert refusal(network).message == f"containerlab {said} is too old: 0.40 is the oldest that will do"


def test_a_containerlab_that_says_nothing_of_itself(programs: Path, network: tuple[Plan, Configs]) -> None:
    """Some other program of that name."""
    put(programs, "containerlab", "echo what")
    put_docker(programs)
    error = refusal(network)

    assert error.message == f"{programs}/containerlab does not say its version: what"


def test_a_name_that_containerlab_uses(programs: Path, network: tuple[Plan, Configs], tmp_path: Path) -> None:
    """Somebody's own lab is not touched, least of all destroyed."""
    put_containerlab(programs)
    put_docker(programs, ids="1", inspect=RUNNING)
    error = refusal(network, name="mine")

    assert isinstance(error, UsageError)
    assert error.message == "containerlab already runs a lab named mine"
    assert "`--name OTHER`" in error.hint
    assert not (tmp_path / "run").exists()


def test_a_back_end_that_does_not_exist(network: tuple[Plan, Configs]) -> None:
    """What there is."""
    plan, configs = network
    with pytest.raises(UsageError, match="no lab back end is called docker") as caught:
        make_lab(plan, configs, backend="docker")
    assert caught.value.hint == "there is netns, containerlab"


def test_an_image_without_containers(network: tuple[Plan, Configs]) -> None:
    """Network namespaces have no image, and ignoring the wish would mislead."""
    plan, configs = network
    with pytest.raises(UsageError, match="an image is for containers"):
        make_lab(plan, configs, image="mine:1")


@pytest.mark.parametrize(
    ("version", "dialect"),
    [("0.40.0", Dialect.BROAD), ("0.77.3", Dialect.BROAD), ("0.78.0", Dialect.STRICT), ("0.0.0", Dialect.STRICT)],
)
def test_the_dialect_follows_the_version(programs: Path, version: str, dialect: Dialect) -> None:
    """A build without a version is somebody's fresh one."""
    put_containerlab(programs, version)
    put_docker(programs)

    assert find_engine().dialect is dialect


def test_an_engine_is_remembered_with_the_socket_it_was_found_at(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes the lab away later may have another environment."""
    put_containerlab(programs)
    put_docker(programs)
    monkeypatch.setenv("DOCKER_HOST", "unix:///tmp/private")
    engine = find_engine()
    engine.write(tmp_path / "engine.json")
    monkeypatch.setenv("DOCKER_HOST", "unix:///tmp/other")

    assert Engine.read(tmp_path / "engine.json") == engine
    assert engine.environment()["DOCKER_HOST"] == "unix:///tmp/private"


def test_a_damaged_memory_of_the_engine_is_said_to_be_damaged(tmp_path: Path) -> None:
    """No traceback."""
    (tmp_path / "engine.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LabError, match="is damaged"):
        Engine.read(tmp_path / "engine.json")


def test_containers_are_found_by_their_node(programs: Path) -> None:
    """Whatever prefix their names have."""
    put_containerlab(programs)
    put_docker(programs, ids="1", inspect=RUNNING)

    assert find_engine().containers("mine") == {"gw": Container(node="gw", name="clab-mine-gw", pid=7)}


def test_a_docker_that_refuses_is_quoted(programs: Path) -> None:
    """Its last line."""
    put_containerlab(programs)
    put_docker(programs)
    engine = find_engine()
    put(programs, "docker", "echo 'first' >&2; echo 'Error: no' >&2; exit 1")
    with pytest.raises(LabError, match=r"^docker ps: Error: no$"):
        engine.containers("mine")


@pytest.mark.parametrize(
    ("said", "errors"),
    [
        (
            ["00:00:07 INFO fine", '00:00:07 ERRO node "a" deploy links: Link not found'],
            ['node "a" deploy links: Link not found'],
        ),
        (["INFO[0000] fine", "ERRO[0003] no such image"], ["no such image"]),
        (["Error: file not found"], ["file not found"]),
        (["fine", "", "panic: oh"], ["panic: oh"]),
        ([], []),
    ],
)
def test_containerlabs_errors_are_found_in_what_it_says(said: list[str], errors: list[str]) -> None:
    """As old and new versions write them; else its last line is all there is."""
    assert list(errors_in(said)) == errors


def test_the_last_words_of_a_container_are_its_last_line() -> None:
    """Without the name of our own program."""
    assert read_last_words("warming up\nnetresilience-node: bird: syntax error\n\n") == "bird: syntax error"
    assert read_last_words("") == ""


def test_processes_are_found_by_their_pid_files(tmp_path: Path) -> None:
    """In this process's own namespace inner and outer numbers are equal; a file of somebody else's number is stale."""
    me = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
    (tmp_path / "mine.pid").write_text(str(os.getpid()), encoding="ascii")
    (tmp_path / "stale.pid").write_text(str(os.getpid()), encoding="ascii")
    files = {name: (tmp_path / f"{name}.pid").relative_to("/") for name in ("mine", "stale", "none")}
    wanted = {me: files["mine"], "bgpd": files["stale"], "zebra": files["none"]}

    found = find_processes({"gw": (os.getpid(), wanted)})["gw"]

    assert found == {me: Process.me(), "bgpd": Process(0, 0), "zebra": Process(0, 0)}


def test_a_lab_that_was_not_started_says_so(network: tuple[Plan, Configs]) -> None:
    """Whatever it is asked; and stopping it is harmless."""
    lab = ClabLab(*network)
    lab.stop()

    assert not lab.status().running
    assert lab.backend == "containerlab"
    with pytest.raises(ResilienceError, match="no node is called gw"):
        lab.namespace("gw")
    with pytest.raises(EnvironmentLacks if os.geteuid() else ResilienceError):
        lab.run("gw", ["true"])
