"""Labs of containers come and go without a trace, break and heal as others do, and are what was exported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resilience.errors import LabError, UsageError
from resilience.lab import open_lab
from resilience.lab.clab.backend import ClabLab
from resilience.lab.clab.kinds import Dialect
from resilience.lab.clab.topology import ExportOptions, make_folder
from resilience.lab.daemons import reload_configs
from resilience.lab.faults import arm, faults_of
from resilience.lab.ready import missing_states, wait_ready
from resilience.lab.seam import Lab
from resilience.lab.state import lab_folders, remove_leftovers
from resilience.model.configs import ConfigFile, Configs
from resilience.model.plan import FaultKind, Plan
from resilience.render import write_files
from tests.lab_containers.conftest import wait_until
from tests.support.engine import Engine
from tests.support.lab_networks import TINY, plan_from

pytestmark = [pytest.mark.containers, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine) -> Iterator[Path]:
    """Labs of a test live in a folder of their own, and nothing of theirs is left at its end."""
    monkeypatch.setenv("RESILIENCE_RUN", str(tmp_path / "run"))
    before = trace(engine)
    yield tmp_path / "run"
    assert trace(engine) == before


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Plan, Configs]:
    """A network that starts fast."""
    return plan_from(TINY, tmp_path / "tiny")


@pytest.fixture
def intent(tmp_path: Path, tiny: tuple[Plan, Configs]) -> Path:
    """The folder of its intent, for commands."""
    assert tiny[0].nodes
    return tmp_path / "tiny"


def trace(engine: Engine) -> dict[str, object]:
    """Return what labs of containers could leave on a machine."""
    ssh = Path("/etc/ssh/ssh_config.d")
    return {
        "containers": engine.run("docker", "ps", "--all", "--format", "{{.Names}}").stdout,
        "networks": engine.run("docker", "network", "ls", "--format", "{{.Name}}").stdout,
        "hosts": [
            line for line in Path("/etc/hosts").read_text(encoding="utf-8").splitlines() if "clab" in line.lower()
        ],
        "ssh": sorted(path.name for path in ssh.glob("clab-*")),
        "cables": [line.split()[0] for line in engine.run("ip", "-brief", "link").stdout.splitlines() if "@" in line],
    }


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as people do."""
    return subprocess.run(
        [sys.executable, "-m", "resilience", *arguments], capture_output=True, text=True, check=False, timeout=180
    )


def start_up(intent: Path) -> subprocess.Popen[bytes]:
    """Start a process that brings a lab up."""
    argv = [
        sys.executable,
        "-m",
        "resilience",
        "lab",
        "up",
        str(intent),
        "--name",
        "killed",
        "--backend",
        "containerlab",
    ]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def containers_of(engine: Engine, lab: str) -> list[str]:
    """Return the containers of a lab."""
    return engine.run("docker", "ps", "--all", "--quiet", "--filter", f"label=containerlab={lab}").stdout.split()


def changed(configs: Configs, node: str, path: str, old: str, new: str) -> Configs:
    """Return configurations with one text replaced in one file."""
    files = []
    for file in configs[node]:
        assert file.path != path or old in file.text
        files.append(ConfigFile(path, file.text.replace(old, new), file.mode) if file.path == path else file)
    return {**configs, node: tuple(files)}


# --- coming and going ------------------------------------------------------------------------------------------------


def test_the_life_of_a_lab_on_the_command_line(intent: Path, run_folder: Path) -> None:
    """Up, list, status, exec, fail, heal, down: the same words as for every lab, from separate processes."""
    up = command("lab", "up", str(intent), "--name", "mine", "--backend", "containerlab")
    assert up.returncode == 0, up.stderr
    assert json.loads(command("lab", "list", "--json").stdout)["labs"][0]["backend"] == "containerlab"
    assert json.loads(command("lab", "status", "mine", "--json").stdout)["converged"] is True
    assert "Established" in command("lab", "exec", "mine", "gw", "--", "birdc", "show", "protocols").stdout
    assert command("lab", "exec", "mine", "gw", "--", "sh", "-c", "exit 7").returncode == 7

    failed = command("lab", "fail", "mine", "fibre", "--json")
    assert json.loads(failed.stdout)["faults"] == [{"kind": "carrier", "target": "uplink-fibre", "side": "both"}]
    broken = json.loads(command("lab", "status", "mine", "--json").stdout)
    assert [entry["element"] for entry in broken["broken"]] == ["uplink fibre"]
    assert broken["missing"]
    healed = command("lab", "heal", "mine")
    assert "converged again" in healed.stdout, healed.stderr

    assert command("lab", "down", "mine").stdout == "mine is down\n"
    assert not list(run_folder.iterdir())


@pytest.mark.parametrize("moment", ["containers appear", "all is up"])
def test_a_lab_goes_with_a_killed_owner(moment: str, intent: Path, engine: Engine, run_folder: Path) -> None:
    """SIGKILL while containerlab works, and while the lab converges: the guardian takes everything away."""
    owner = start_up(intent)
    ready = run_folder / "killed/running.json"
    try:
        if moment == "containers appear":
            wait_until(lambda: bool(containers_of(engine, "killed")), lambda: "no container")
        else:
            wait_until(ready.exists, lambda: "not up")
    finally:
        owner.kill()
        owner.wait()

    wait_until(lambda: not list(lab_folders()), lambda: list(run_folder.iterdir()))
    assert not containers_of(engine, "killed")


def test_the_next_command_takes_away_what_a_killed_guardian_left(
    intent: Path, engine: Engine, run_folder: Path
) -> None:
    """Owner and guardian killed while containerlab works: it is ended, and its containers go."""
    owner = start_up(intent)
    wait_until(lambda: bool(containers_of(engine, "killed")), lambda: "no container")
    keeper = next(lab_folders()).read().keeper
    assert keeper is not None
    owner.kill()
    os.kill(keeper.pid, signal.SIGKILL)
    owner.wait()
    wait_until(lambda: not keeper.alive(), lambda: "the guardian lives")

    assert remove_leftovers() == ("killed",)
    assert not containers_of(engine, "killed")
    assert not list(run_folder.iterdir())


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        ("bird.conf", "router id", "rooter id", "bird.*syntax error"),
        ("addresses.batch", "link set dev lo up", "link set dev lo nonsense", "addresses.batch.*nonsense"),
    ],
)
def test_a_deployment_that_fails_names_the_node_and_leaves_nothing(
    tiny: tuple[Plan, Configs], run_folder: Path, path: str, old: str, new: str, said: str
) -> None:
    """With the cause that the node itself gave, not with what containerlab made of it."""
    plan, configs = tiny
    with pytest.raises(LabError, match=f"gw: {said}"):
        ClabLab(plan, changed(configs, "gw", path, old, new)).start()
    assert not list(run_folder.iterdir())


def test_a_lab_of_somebody_elses_containerlab_is_not_touched(
    tiny: tuple[Plan, Configs], engine: Engine, tmp_path: Path
) -> None:
    """An exported folder starts with a plain `containerlab deploy`; our lab of that name is refused."""
    folder = tmp_path / "theirs"
    write_files(make_folder(*tiny, ExportOptions(name="theirs", dialect=Dialect.STRICT)), folder)
    topology = str(folder / "theirs.clab.yml")
    try:
        engine.run("containerlab", "deploy", "-t", topology)
        wait_until(lambda: "Established" in ask(engine, "gw", "birdc", "show", "protocols"), lambda: "no session")
        with pytest.raises(UsageError, match="containerlab already runs a lab named theirs"):
            ClabLab(*tiny, name="theirs").start()
        assert len(containers_of(engine, "theirs")) == len(tiny[0].nodes)
    finally:
        engine.run("containerlab", "destroy", "-t", topology, "--cleanup")


def ask(engine: Engine, node: str, *argv: str) -> str:
    """Return what a program in a node of that lab prints."""
    return engine.run("docker", "exec", f"clab-theirs-{node}", *argv, check=False).stdout


# --- breaking and healing --------------------------------------------------------------------------------------------


MIXED = """
network: mixed-lab
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: frr}
providers:
  alpha: {asn: 64496}
uplinks:
  fibre: {router: gw, provider: alpha}
exchanges:
  mlix:
    ports: [{router: gw, address: [203.0.113.10/24, "2001:db8:203::10/64"]}]
    route_servers: [{asn: 64503, address: [203.0.113.1, "2001:db8:203::1"]}]
"""
"""FRR here, BIRD outside, and a switch."""


def test_nodes_and_daemons_break_and_return(tmp_path: Path) -> None:
    """A crash, a killed and a frozen daemon, a pulled cable, a switch: all heal and converge again."""
    plan, configs = plan_from(MIXED, tmp_path / "mixed")
    with open_lab(plan, configs, backend="containerlab") as lab:
        for element, kind in (
            ("router gw", FaultKind.CRASH),
            ("route-server mlix-rs1", FaultKind.CRASH),
            ("router gw", FaultKind.KILL),
            ("route-server mlix-rs1", FaultKind.KILL),
            ("router gw", FaultKind.FREEZE),
            ("uplink fibre", None),
            ("exchange mlix", None),
        ):
            broken = plan.elements[element]
            with arm(lab, plan, faults_of(plan, broken, kind)) as armed:
                armed.fire()
                if kind is FaultKind.KILL:
                    wait_until(lambda: bool(died(lab)), lambda: "all run")
                elif kind is not FaultKind.FREEZE:
                    wait_until(lambda: bool(missing_states(lab)), lambda: "nobody notices")
            wait_ready(lab)
            assert not died(lab), element


def died(lab: Lab) -> list[str]:
    """Return the daemons of a lab that do not run."""
    nodes = lab.plan.nodes
    return [f"{daemon.name} of {node}" for node in nodes for daemon in lab.daemons(node) if not daemon.running]


def test_a_running_router_takes_another_configuration(tmp_path: Path) -> None:
    """FRR by this machine's frr-reload.py, since the image has no Python; BIRD by itself."""
    plan, configs = plan_from(TINY.replace("bird", "frr"), tmp_path / "frr")
    with open_lab(plan, configs, backend="containerlab") as lab:
        frr = next(file for file in configs["gw"] if file.path == "frr.conf")
        reload_configs(lab, "gw", [ConfigFile("frr.conf", f"{frr.text}ip route 192.0.2.99/32 blackhole\n")])
        assert "192.0.2.99/32" in lab.run("gw", ["vtysh", "-c", "show running-config"]).stdout
        bird = next(file for file in configs["provider-alpha"] if file.path == "bird.conf")
        reload_configs(lab, "provider-alpha", [bird])
        wait_ready(lab)


def test_programs_run_where_they_belong(tiny: tuple[Plan, Configs]) -> None:
    """This machine's `ip` in the node's network; everything else inside, with the container's own files."""
    with open_lab(*tiny, backend="containerlab") as lab:
        loopback = tiny[0].nodes["gw"].loopbacks[0].ip
        assert f" {loopback}/32 " in lab.run("gw", ["ip", "-brief", "address"]).stdout
        assert lab.run("gw", ["cat", "/run/netresilience/state"]).stdout == "ready\n"
        assert lab.run("gw", ["cat"], stdin="through\n").stdout == "through\n"
        assert lab.run("gw", ["sh", "-c", "exit 3"]).exit_code == 3
        assert lab.run("gw", ["no-such-program"]).exit_code != 0
        with pytest.raises(LabError, match="timed out"):
            lab.run("gw", ["sleep", "20"], timeout_s=0.3)
