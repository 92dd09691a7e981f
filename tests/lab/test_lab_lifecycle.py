"""Labs come and go without a trace: after success, failure, Ctrl-C, SIGTERM and SIGKILL; several side by side."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resilience.errors import LabError, NotReady, UsageError
from resilience.lab import open_lab
from resilience.lab.netns_lab import NetnsLab
from resilience.lab.ready import wait_ready
from resilience.lab.state import Process, lab_folders, remove_leftovers
from resilience.model.configs import ConfigFile, Configs
from resilience.model.plan import Plan
from tests.support.lab_networks import TINY, can_ping, far_address, plan_from

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

STARTED = "started"


@pytest.fixture(autouse=True)
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Labs of a test live in a folder of their own, so that other labs of this machine are none of its business."""
    monkeypatch.setenv("RESILIENCE_RUN", str(tmp_path / "run"))
    return tmp_path / "run"


@pytest.fixture
def network(tmp_path: Path) -> tuple[Plan, Configs]:
    """A network that starts fast."""
    return plan_from(TINY, tmp_path / "tiny")


@pytest.fixture
def intent(tmp_path: Path) -> Path:
    """The folder of its intent, for commands."""
    plan_from(TINY, tmp_path / "tiny")
    return tmp_path / "tiny"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as people do."""
    return subprocess.run(
        [sys.executable, "-m", "resilience", *arguments], capture_output=True, text=True, check=False, timeout=120
    )


@contextlib.contextmanager
def process_with_lab(folder: Path, tail: str = "signal.pause()") -> Iterator[subprocess.Popen[str]]:
    """Run a process that has a lab up; it says so on its standard output."""
    script = (
        "import signal, sys; from pathlib import Path\n"
        "from tests.support.lab_networks import TINY, plan_from\n"
        "from resilience.lab import open_lab\n"
        f"with open_lab(*plan_from(TINY, Path({str(folder)!r}))) as lab:\n"
        f"    print({STARTED!r}, flush=True); {tail}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_state(run_folder: Path) -> dict[str, object]:
    """Return the state of the only lab there is."""
    (path,) = run_folder.glob("*/lab.json")
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def daemon_processes(run_folder: Path) -> list[Process]:
    """Return every process that the only lab keeps up, its keeper first."""
    (path,) = run_folder.glob("*/running.json")
    keeper = read_state(run_folder)["keeper"]
    assert isinstance(keeper, dict)
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"].values()
    return [Process(**keeper), *(Process(**one) for node in nodes for one in node["daemons"].values())]


def wait_gone(processes: list[Process]) -> None:
    """Wait until none of them lives."""
    deadline = time.monotonic() + 20
    while alive := [one for one in processes if one.alive()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.02)


def host_state() -> dict[str, str]:
    """Return all of the host's network that a lab could spoil, and its mounts."""
    commands = {
        "links": ["ip", "-d", "-o", "link"],
        "addresses": ["ip", "-o", "address"],
        "routes": ["ip", "route", "show", "table", "all"],
        "routes6": ["ip", "-6", "route", "show", "table", "all"],
        "rules": ["ip", "rule"],
        "firewall": ["nft", "-s", "list", "ruleset"],
        "names": ["ip", "netns", "list"],
    }
    found = {
        name: subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        for name, argv in commands.items()
    }
    found["sysctls"] = "\n".join(f"{path} {read_quietly(path)}" for path in sorted(Path("/proc/sys/net").rglob("*")))
    found["mounts"] = Path("/proc/self/mounts").read_text(encoding="utf-8")
    return found


def read_quietly(path: Path) -> str:
    """Return a setting, or nothing where it is a folder, cannot be read or is a counter."""
    if not path.is_file() or path.name in {"nf_conntrack_count", "nf_conntrack_buckets"}:
        return ""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


# --- the host --------------------------------------------------------------------------------------------------------


def test_the_host_is_the_same_before_during_and_after(network: tuple[Plan, Configs], run_folder: Path) -> None:
    """Interfaces, addresses, routes, rules, firewall, sysctls, mounts: a lab is made inside its own namespaces."""
    before = host_state()
    with open_lab(*network):
        assert host_state() == before
    assert host_state() == before
    assert not list(run_folder.iterdir())


# --- ends ------------------------------------------------------------------------------------------------------------


def test_nothing_stays_behind_when_the_body_fails(network: tuple[Plan, Configs], run_folder: Path) -> None:
    """The error passes through; processes and files are gone."""
    seen: list[Process] = []

    def fail() -> None:
        with open_lab(*network):
            seen.extend(daemon_processes(run_folder))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(seen) > 3
    assert not [one for one in seen if one.alive()]
    assert not list(run_folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_command_leaves_nothing(intent: Path, run_folder: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM, a closed terminal; in the middle of starting, which is the worst moment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "resilience", "lab", "up", str(intent)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("nodes"):
            break
    keeper = read_state(run_folder)["keeper"]
    assert isinstance(keeper, dict)
    process.send_signal(number)
    process.communicate(timeout=60)

    assert process.returncode not in {0, None}
    assert not Process(**keeper).alive()
    assert not list(run_folder.iterdir())


def test_a_killed_owner_takes_its_lab_along_and_the_next_command_sweeps(intent: Path, run_folder: Path) -> None:
    """SIGKILL leaves no time for anything: the kernel ends the processes, the next command removes the files."""
    with process_with_lab(intent) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == STARTED
        processes = daemon_processes(run_folder)
        assert all(one.alive() for one in processes)
        process.kill()
        process.wait()
        wait_gone(processes)
    assert list(run_folder.iterdir())
    shown = command("lab", "list", "--json")
    document = json.loads(shown.stdout)

    assert document["labs"] == []
    assert len(document["removed"]) == 1
    assert not list(run_folder.iterdir())


def test_sweeping_spares_labs_that_somebody_uses(network: tuple[Plan, Configs]) -> None:
    """A running drill's lab is not left behind."""
    with open_lab(*network) as lab:
        assert remove_leftovers() == ()
        wait_ready(lab)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_lab_that_is_kept_up_dies_with_its_keeper(intent: Path, run_folder: Path, number: signal.Signals) -> None:
    """Whoever kills the keeper kills the lab, and the next command finds out; a machine that shuts down asks first."""
    assert command("lab", "up", str(intent)).returncode == 0
    processes = daemon_processes(run_folder)
    os.kill(processes[0].pid, number)
    wait_gone(processes)

    assert "removed" in command("lab", "list").stderr
    assert not list(run_folder.iterdir())


# --- side by side ----------------------------------------------------------------------------------------------------


def test_two_labs_of_one_network_run_side_by_side(network: tuple[Plan, Configs]) -> None:
    """Same names and addresses inside, apart from each other: what breaks here stays whole there."""
    plan, configs = network
    neighbour = far_address(plan, "gw", "up-fibre", 4)
    with open_lab(plan, configs) as one, open_lab(plan, configs) as other:
        assert one.name != other.name
        one.run("provider-alpha", ["ip", "link", "set", "o-fibre", "down"])
        assert not can_ping(one, "gw", neighbour)
        assert can_ping(other, "gw", neighbour)


def test_a_name_is_given_once(network: tuple[Plan, Configs]) -> None:
    """The second lab of a name is refused, and the first does not notice."""
    plan, configs = network
    with open_lab(plan, configs, name="mine") as lab:
        with pytest.raises(UsageError, match="already up"):
            NetnsLab(plan, configs, name="mine").start()
        assert [folder.path.name for folder in lab_folders()] == ["mine"]
        wait_ready(lab)
    with pytest.raises(UsageError, match="cannot name"):
        NetnsLab(plan, configs, name="../mine").start()


# --- what goes wrong -------------------------------------------------------------------------------------------------


def changed(configs: Configs, node: str, path: str, old: str, new: str) -> Configs:
    """Return configurations with one text replaced in one file."""
    files = []
    for file in configs[node]:
        assert file.path != path or old in file.text
        files.append(ConfigFile(path, file.text.replace(old, new), file.mode) if file.path == path else file)
    return {**configs, node: tuple(files)}


def test_what_does_not_converge_is_named_with_the_daemons_last_words(
    network: tuple[Plan, Configs], run_folder: Path
) -> None:
    """Node, session, neighbour, state, and the end of the log; and the lab is gone."""
    plan, configs = network
    neighbour = far_address(plan, "gw", "up-fibre", 4)
    wrong = changed(configs, "gw", "bird.conf", f"neighbor {neighbour} as 64496", f"neighbor {neighbour} as 64499")
    with pytest.raises(NotReady) as caught, open_lab(plan, wrong, ready_limit_s=8):
        pass

    assert f"gw: BGP session fibre-ipv4 with {neighbour}: " in caught.value.message
    assert "fibre-ipv6" not in caught.value.message
    assert "Bad peer AS" in caught.value.message
    assert not list(run_folder.iterdir())


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        ("bird.conf", "router id", "rooter id", "syntax error"),
        ("sysctl.conf", "net.ipv4.conf.all.forwarding = 1", "net.ipv4.conf.all.nonsense = 1", "nonsense"),
        ("addresses.batch", "link set dev lo up", "link set dev nowhere up", "nowhere"),
        ("nftables.conf", "table inet netresilience {", "table inet netresilience [", "syntax error"),
    ],
)
def test_a_file_that_a_node_refuses_is_named(
    network: tuple[Plan, Configs], run_folder: Path, path: str, old: str, new: str, said: str
) -> None:
    """With what its program said; and nothing stays behind."""
    plan, configs = network
    with pytest.raises(LabError, match=f"^gw: (?s:.*){said}"):
        NetnsLab(plan, changed(configs, "gw", path, old, new)).start()
    assert not list(run_folder.iterdir())


def test_a_daemon_that_dies_is_said_to_have_died(network: tuple[Plan, Configs]) -> None:
    """By status and by readiness."""
    with open_lab(*network) as lab:
        daemon = lab.daemons("gw")[0]
        os.kill(daemon.pid, signal.SIGKILL)
        wait_gone([one for one in [Process.of(daemon.pid)] if one])
        assert not lab.daemons("gw")[0].running
        with pytest.raises(NotReady, match="bird of gw has died"):
            wait_ready(lab, limit_s=0.5)


# --- the commands ----------------------------------------------------------------------------------------------------


def test_the_life_of_a_lab_on_the_command_line(intent: Path, run_folder: Path) -> None:
    """Up, list, status, exec, fail, heal, down; from separate processes, by name and by folder."""
    up = command("lab", "up", str(intent), "--name", "mine")
    assert up.returncode == 0, up.stderr
    assert "resilience lab down mine" in up.stdout
    assert json.loads(command("lab", "list", "--json").stdout)["labs"][0]["lab"] == "mine"
    assert json.loads(command("lab", "status", "mine", "--json").stdout)["converged"] is True
    assert "Established" in command("lab", "exec", str(intent), "gw", "--", "birdc", "show", "protocols").stdout
    assert command("lab", "exec", "mine", "gw", "--", "sh", "-c", "exit 7").returncode == 7

    failed = command("lab", "fail", "mine", "fibre", "--json")
    assert json.loads(failed.stdout)["faults"] == [{"kind": "carrier", "target": "uplink-fibre", "side": "both"}]
    broken = json.loads(command("lab", "status", "mine", "--json").stdout)
    assert [entry["element"] for entry in broken["broken"]] == ["uplink fibre"]
    assert command("lab", "fail", "mine", "provider alpha", "--kind", "grey").returncode == 0
    healed = command("lab", "heal", "mine", "--json")
    assert json.loads(healed.stdout)["healed"] == ["uplink fibre", "provider alpha"]
    assert json.loads(command("lab", "status", "mine", "--json").stdout)["broken"] == []

    assert command("lab", "down", str(intent)).returncode == 0
    assert not list(run_folder.iterdir())


def test_mistakes_on_the_command_line_say_what_would_be_right(intent: Path) -> None:
    """A lab that is not up, an element with a typo, a kind and a side that do not exist, a second lab."""
    gone = command("lab", "status", str(intent))
    assert gone.returncode == 2
    assert "lab up" in gone.stderr
    assert command("lab", "up", str(intent)).returncode == 0
    try:
        assert "uplink fibre" in command("lab", "fail", "tiny-lab", "fibr").stderr
        assert "kinds:" in command("lab", "fail", "tiny-lab", "fibre", "--kind", "boom").stderr
        assert "sides:" in command("lab", "fail", "tiny-lab", "fibre", "--side", "left").stderr
        assert "cannot fail by" in command("lab", "fail", "tiny-lab", "fibre", "--kind", "grey").stderr
        assert "--name" in command("lab", "up", str(intent)).stderr
        assert "is not broken" in command("lab", "heal", "tiny-lab", "fibre").stderr
    finally:
        assert command("lab", "down", "tiny-lab").returncode == 0


def test_what_somebody_started_by_hand_goes_with_the_lab(intent: Path) -> None:
    """A daemon of a lesson, say; nothing else of this machine does."""
    assert command("lab", "up", str(intent)).returncode == 0
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            told = command("lab", "exec", "tiny-lab", "gw", "--", "sh", "-c", "setsid sleep 60 >&- 2>&- & echo $!")
            guest = Process.of(int(told.stdout))
            assert guest is not None
            assert command("lab", "down", "tiny-lab").returncode == 0
            assert not guest.alive()
            assert other.poll() is None
        finally:
            other.kill()
            command("lab", "down", "tiny-lab")
