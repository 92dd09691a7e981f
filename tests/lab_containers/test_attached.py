"""Drills on a lab that somebody else wrote and started: measured, healed, and afterwards as it was."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab_containers.conftest import wait_until
from tests.support.engine import Engine

pytestmark = [pytest.mark.containers, pytest.mark.timeout(240)]

SOURCE = Path(__file__).parent / "stranger"
NODES = ("r1", "r2", "r3")
ASKED = ("-brief address", "-o -6 route show", "-o -4 route show")


@pytest.fixture(scope="module")
def stranger(shared_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stranger's lab, running; the folder of its files."""
    folder = tmp_path_factory.mktemp("attached") / "stranger"
    shutil.copytree(SOURCE, folder)
    try:
        shared_engine.run("containerlab", "deploy", "-t", str(folder / "stranger.clab.yml"))
        yield folder
    finally:
        shared_engine.run("containerlab", "destroy", "-t", str(folder / "stranger.clab.yml"), "--cleanup")


@pytest.fixture(autouse=True)
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What drills write down lies in a folder of the test's own, and nothing of it is left at the end."""
    monkeypatch.setenv("RESILIENCE_RUN", str(tmp_path / "run"))
    yield tmp_path / "run"
    assert not list((tmp_path / "run").rglob("*.json"))


def drill(stranger: Path, drills: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Drill the stranger's lab, as people do."""
    return subprocess.run(argv(stranger, drills, *arguments), capture_output=True, text=True, check=False, timeout=200)


def argv(stranger: Path, drills: str, *arguments: str) -> list[str]:
    """Return the command that drills the stranger's lab."""
    files = ["--lab", str(stranger / "stranger.clab.yml"), str(stranger / drills)]
    return [sys.executable, "-m", "resilience", "drill", *files, *arguments]


def state(engine: Engine) -> dict[str, str]:
    """Return what a drill could have changed: addresses, routes that no daemon brings, filters, configurations."""
    found = {}
    for node in NODES:
        for question in ASKED:
            said = engine.run("docker", "exec", f"clab-stranger-{node}", "ip", *question.split()).stdout
            lines = (line for line in said.splitlines() if not re.search("proto (bird|ospf)", line))
            found[f"{node} {question}"] = "\n".join(sorted(lines))
        found[f"{node} nft"] = engine.run("docker", "exec", f"clab-stranger-{node}", "nft", "list", "ruleset").stdout
    for node in ("r1", "r3"):
        said = engine.run("docker", "exec", f"clab-stranger-{node}", "vtysh", "-c", "show running-config").stdout
        found[f"{node} configuration"] = said
    return found


def is_settled(engine: Engine) -> bool:
    """Say whether OSPF has brought every loopback everywhere, by the way through r2."""
    wanted = {"r1": "10.0.0.3 via 10.0.12.2", "r2": "10.0.0.1 via 10.0.12.1", "r3": "10.0.0.1 via 10.0.23.2"}
    return all(way in routes_of(engine, node) for node, way in wanted.items())


def routes_of(engine: Engine, node: str) -> str:
    """Return a node's routes, without the numbers that FRR gives its next hops."""
    said = engine.run("docker", "exec", f"clab-stranger-{node}", "ip", "route").stdout
    return re.sub(r" nhid \d+", "", said)


def test_a_pulled_cable_is_measured_and_everything_given_back(stranger: Path, engine: Engine) -> None:
    """Traffic moves to the other way within the limit; addresses and routes by hand, which the kernel forgot, too."""
    wait_until(lambda: is_settled(engine), lambda: routes_of(engine, "r1"))
    before = state(engine)
    assert "2001:db8:23::3" in before["r3 -brief address"]
    assert "198.51.100.0/24" in before["r3 -o -4 route show"]

    done = drill(stranger, "drills.yaml", "--json")
    journal = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert (journal["verdict"], journal["backend"], journal["control"]["verdict"]) == ("pass", "attached", "pass")
    pulled, silent = journal["drills"]
    assert [one["name"] for one in (pulled, silent)] == ["link r2:eth2-r3:eth2", "silent link r2:eth2-r3:eth2"]
    assert pulled["left_out"] == ["r2-r3-ipv6"]
    assert pulled["predicted"] == []
    assert any(event["event"] == "eth2 lost carrier" for event in pulled["timeline"])
    assert 0 < outage(pulled) < outage(silent)
    # The dead interval of 3 s is the only thing that notices silence, up to a hello (1 s) before it began.
    assert 1_900 < outage(silent) < 6_000
    assert state(engine) == before


def outage(result: Any) -> float:
    """Return a drill's worst outage."""
    worst: float = max(flow["outage_ms"] for flow in result["flows"])
    return worst


def test_every_way_to_fail(stranger: Path, engine: Engine) -> None:
    """A node cut off, silent, without its daemon, and without power: with power back it has booted anew."""
    wait_until(lambda: is_settled(engine), lambda: routes_of(engine, "r1"))
    before = state(engine)
    booted = engine.inspect("clab-stranger-r2")["State"]["StartedAt"]

    done = drill(stranger, "all.yaml", "--json")
    results = {one["name"]: one for one in json.loads(done.stdout)["drills"]}

    assert done.returncode == 4, done.stderr
    # Silent, it keeps its neighbours and forwards nothing, which nobody notices.
    assert {name: one["verdict"] for name, one in results.items()} == {
        "node r2": "pass",
        "silent node r2": "fail",
        "daemon r2": "pass",
        "power r2": "pass",
    }
    assert outage(results["node r2"]) > 0
    assert [fault["kind"] for fault in results["power r2"]["faults"]] == ["crash"]
    assert engine.inspect("clab-stranger-r2")["State"]["StartedAt"] != booted
    wait_until(lambda: is_settled(engine), lambda: routes_of(engine, "r1"))
    assert state(engine) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_drill_leaves_nothing_broken(number: signal.Signals, stranger: Path, engine: Engine) -> None:
    """Whatever ends it while a cable is pulled: the watchdog or we ourselves heal at once."""
    wait_until(lambda: is_settled(engine), lambda: routes_of(engine, "r1"))
    before = state(engine)
    process = subprocess.Popen(argv(stranger, "long.yaml"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: not _is_up(engine), lambda: "no cable pulled")
        os.kill(process.pid, number)
    finally:
        process.wait(60)

    wait_until(lambda: _is_up(engine), lambda: "the cable is still pulled")
    wait_until(lambda: state(engine) == before, lambda: "something is still missing")
    deadline = time.monotonic() + 30
    while list(Path(os.environ["RESILIENCE_RUN"]).rglob("*.json")):
        assert time.monotonic() < deadline, "the record stays"
        time.sleep(0.1)


def _is_up(engine: Engine) -> bool:
    """Say whether the end of a cable that the long drill sets down is up."""
    said = engine.run("docker", "exec", "clab-stranger-r3", "ip", "-j", "link", "show", "dev", "eth2").stdout
    return "UP" in json.loads(said)[0]["flags"]


def test_the_next_drill_heals_what_even_the_watchdog_could_not(stranger: Path, engine: Engine) -> None:
    """Both are killed: the next drill says what it finds, heals it, and goes on."""
    wait_until(lambda: is_settled(engine), lambda: routes_of(engine, "r1"))
    before = state(engine)
    process = subprocess.Popen(argv(stranger, "long.yaml"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: not _is_up(engine), lambda: "no cable pulled")
    for pid in watchdogs_of(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait(60)
    assert not _is_up(engine)

    listed = drill(stranger, "long.yaml", "--list")

    assert f"healed what process {process.pid}" in listed.stderr
    assert state(engine) == before


def watchdogs_of(owner: int) -> list[int]:
    """Return the watchdog that a drill has started."""
    children = Path(f"/proc/{owner}/task/{owner}/children").read_text(encoding="ascii").split()
    found = [pid for pid in children if b"attach.watchdog" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(found) == 1
    return [int(pid) for pid in found]


def test_two_drills_do_not_mix(stranger: Path, engine: Engine) -> None:
    """The second one is told, and touches nothing."""
    wait_until(lambda: is_settled(engine), lambda: routes_of(engine, "r1"))
    process = subprocess.Popen(argv(stranger, "long.yaml"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: not _is_up(engine), lambda: "no cable pulled")
        second = drill(stranger, "drills.yaml")
        assert (second.returncode, second.stdout) == (2, "")
        assert "somebody drills the lab stranger right now" in second.stderr
        assert not _is_up(engine)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    wait_until(lambda: _is_up(engine), lambda: "the cable is still pulled")


def test_a_lab_that_does_not_run(stranger: Path, engine: Engine, tmp_path: Path) -> None:
    """It is said how it is started, and nothing is."""
    text = (stranger / "stranger.clab.yml").read_text(encoding="utf-8").replace("name: stranger", "name: nobody")
    (tmp_path / "nobody.clab.yml").write_text(text, encoding="utf-8")
    shutil.copy(stranger / "drills.yaml", tmp_path)
    before = engine.run("docker", "ps", "--all", "--quiet").stdout
    done = subprocess.run(
        [*argv(tmp_path, "drills.yaml")[:5], str(tmp_path / "nobody.clab.yml"), str(tmp_path / "drills.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "the lab nobody does not run" in done.stderr
    assert engine.run("docker", "ps", "--all", "--quiet").stdout == before
