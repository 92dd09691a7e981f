"""Deployments on real daemons over SSH: nothing flaps, mistakes heal by themselves, two engineers do not meet."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from resilience.deploy.on_router.netresilience_router.policies import exchange
from resilience.drill.loss import measure_stream
from resilience.drill.streams import IN_FLIGHT_NS, Streams
from resilience.model.plan import Flow, Protocol
from tests.support.deploy_desk import Desk, Stepwise, is_greeted, wait_until
from tests.support.deploy_lab import DEPLOY_MIXED, DESK, DeployLab, open_deploy_lab
from tests.support.effort import EVERYTHING
from tests.support.intents import write_intents

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

ROUTERS: Final = {"r1": "bird", "r2": "frr", "r3": "bird"}
MISSED: Final = 10
"""Packets of a stream that may miss a route which a daemon writes anew; a session that flaps costs hundreds."""
HEALS_S: Final = 20
"""Within so much after its deadline a router that was cut off is back. 5 s are promised, and hold where nothing else
runs; tests share the cores with others, and time is not what decides them."""
BANKS: Final = """customers:
  bank: {asn: 64511, routers: [r2, r3], prefixes: [192.0.2.128/25]}
"""
MANAGEMENT: Final = 'management: [198.51.100.32/29, "2001:db8:6400:a::/64"]'
TEXTS: Final = {
    "plain": DEPLOY_MIXED,
    "more": DEPLOY_MIXED.replace("customers:\n", BANKS).replace(
        '"2001:db8:6400::/40"]', '"2001:db8:6400::/40", 203.0.113.0/24]'
    ),
}


@pytest.fixture(scope="module")
def intents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two intents: the plain network, and the one with a prefix and neighbours more, for which the lab is built."""
    return write_intents(tmp_path_factory.mktemp("intents"), TEXTS)


@pytest.fixture(scope="module")
def lab(intents: dict[str, Path]) -> Iterator[DeployLab]:
    """The larger network."""
    with open_deploy_lab(TEXTS["more"], intents["more"]) as lab:
        yield lab


@pytest.fixture
def desk(lab: DeployLab, intents: dict[str, Path], tmp_path: Path) -> Desk:
    """Somebody who deploys; the routers run the plain network when a test begins."""
    desk = Desk(lab, tmp_path / "records")
    said = Desk(lab, tmp_path / "before").commit(intents["plain"])
    assert said.code == 0, said.err
    return desk


def wrong(intents: Mapping[str, Path], folder: Path, *changes: tuple[str, str]) -> Path:
    """Return the plain network with mistakes in it."""
    text = TEXTS["plain"]
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    folder.mkdir()
    (folder / "network.yaml").write_text(text, encoding="utf-8")
    shutil.copy(intents["plain"] / "numbers.lock.yaml", folder)
    return folder


def observed(lab: DeployLab, router: str) -> dict[str, Any]:
    """Return what a router says of its sessions."""
    answer: dict[str, Any] = json.loads(lab.program(router, "observe").stdout)
    return answer


def uptimes(lab: DeployLab) -> dict[tuple[str, str, int], int]:
    """Return for how long each session of each router has been up, in seconds."""
    return {
        (router, one["neighbor"], one["family"]): one["uptime_s"]
        for router in ROUTERS
        for one in observed(lab, router)["sessions"]
        if one["up"]
    }


# --- nothing flaps ---------------------------------------------------------------------------------------------------


def flows_of(lab: DeployLab) -> list[Flow]:
    """Return flows of those who are there all the time with the Internet, each a stream in both directions."""
    flows = {flow.name: flow for objective in lab.plan.objectives for flow in objective.flows}
    chosen = [
        flow
        for flow in flows.values()
        if flow.protocol is Protocol.UDP and "internet-1" in flow.name and flow.source.label != "bank"
    ]
    assert len(chosen) >= 4
    return chosen[:12]


@contextmanager
def traffic(lab: DeployLab) -> Iterator[Callable[[], dict[str, int]]]:
    """Send along flows while something is done; yields what says how many packets of each were lost since."""
    flows = flows_of(lab)
    with Streams(lab.lab.namespace, flows, longest_s=200) as streams:
        wait_until(lambda: min(streams.settled_rounds()) > 100, "streams flow")
        start_ns = time.monotonic_ns()

        def count() -> dict[str, int]:
            end_ns = time.monotonic_ns() - IN_FLIGHT_NS
            seen = {key: measure_stream(streams.record(key), start_ns, end_ns) for key in streams.keys}
            assert all(one.sent > 100 for one in seen.values())
            return {f"{flow.name} {way}": one.lost for (flow, way), one in seen.items() if one.lost}

        yield count
        streams.check_alive()


def test_deploying_what_runs_already_touches_nothing(desk: Desk, intents: dict[str, Path]) -> None:
    """No packet is lost, no session is reset, no router is told anything, and there is nothing to record."""
    before = uptimes(desk.lab)
    with traffic(desk.lab) as lost:
        began = time.monotonic()
        said = desk.commit(intents["plain"], "--json")
        elapsed_s = int(time.monotonic() - began)
        assert lost() == {}

    assert said.code == 0, said.err
    assert {one["step"] for one in said.document["routers"]} == {"unchanged"}
    after = uptimes(desk.lab)
    assert after.keys() == before.keys()
    assert all(after[key] >= before[key] + elapsed_s - 1 for key in before)


def test_a_prefix_and_a_neighbour_more_disturb_nobody(desk: Desk, intents: dict[str, Path]) -> None:
    """On FRR and BIRD: their own sessions come up, all others stay as they were, and traffic is never away."""
    before = uptimes(desk.lab)
    with traffic(desk.lab) as lost:
        began = time.monotonic()
        said = desk.commit(intents["more"])
        elapsed_s = int(time.monotonic() - began)
        assert {name: count for name, count in lost().items() if count > MISSED} == {}

    assert said.code == 0, said.err
    after = uptimes(desk.lab)
    assert {router for router, _, _ in after.keys() - before.keys()} == {"r2", "r3"}, "the bank's sessions"
    assert all(after[key] >= before[key] + elapsed_s - 1 for key in before)
    assert not [one["resets"] for one in desk.record()["routers"] if one["resets"]]


JUDGES_S: Final = 2.5
"""Within so much after a line FRR judges routes again: its timer runs for a second, and then the provider is asked."""


def test_no_session_ever_runs_a_policy_that_is_half_written(desk: Desk) -> None:
    """However long the lines take to come; one line less in the policy in use refuses every route of the provider."""

    def tell(lines: str) -> None:
        assert desk.lab.lab.run("r2", ["vtysh", "-f", "/dev/stdin"], stdin=lines).exit_code == 0

    def ask(question: str) -> str:
        return desk.lab.lab.run("r2", ["vtysh", "-c", question]).stdout

    def accepted() -> int:
        return len(json.loads(ask("show bgp ipv4 unicast neighbors 192.0.2.1 routes json"))["routes"])

    running = "show running-config no-header"
    wanted = next(one.text for one in desk.lab.configs["r2"] if one.path == "frr.conf")
    beside, moves = exchange(ask(running), wanted)
    tell(beside)
    for piece in pieces(moves, 8):
        tell(piece)
        until = time.monotonic() + JUDGES_S
        while time.monotonic() < until:
            assert accepted() > 0, piece
    assert exchange(ask(running), wanted) == ("", "")

    entry = "route-map import_sea_ipv4 deny 50\n"
    match = next(line for line in ask(running).split(entry)[1].splitlines() if line.startswith(" match"))
    tell(f"{entry} no{match}\n")
    wait_until(lambda: accepted() == 0, "the entry refuses every route")
    healed = desk.commit(desk.lab.intent, "--take-over")
    assert healed.code == 0, healed.err
    wait_until(lambda: accepted() > 0, "routes are back")


def pieces(script: str, count: int) -> list[str]:
    """Cut a script for vtysh where no block is open."""
    blocks = re.findall(r"(?:(?:route-map|router) [^\n]*\n(?:[^\n]*\n)*?exit\n|[^\n]*\n)", script)
    size = -(-len(blocks) // count)
    return ["".join(blocks[at : at + size]) for at in range(0, len(blocks), size)]


# --- mistakes heal ----------------------------------------------------------------------------------------------------


@dataclass
class Reach:
    """Whether the desk can log in to a router, asked again and again while something goes wrong."""

    lab: DeployLab
    router: str
    seen: list[tuple[float, bool]] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator[Reach]:
        """Ask until the block ends."""
        done = threading.Event()
        thread = threading.Thread(target=self._ask, args=(done,))
        thread.start()
        try:
            yield self
        finally:
            done.set()
            thread.join()

    def _ask(self, done: threading.Event) -> None:
        while not done.is_set():
            self.seen.append((time.monotonic(), self._is_let_in()))
            done.wait(0.1)

    def _is_let_in(self) -> bool:
        return is_greeted(self.lab.lab.namespace(DESK), self.lab.address(self.router), 0.5)

    def is_back(self) -> bool:
        """Say whether it was cut off and answers again."""
        return bool(self.seen) and self.seen[-1][1] and not all(let_in for _, let_in in self.seen)

    def outage_s(self) -> float:
        """Return for how long it was cut off."""
        shut = [at for at, let_in in self.seen if not let_in]
        return shut[-1] - shut[0]


CUTTING: Final[Mapping[str, tuple[str, tuple[tuple[str, str], ...]]]] = {
    "management-filter": ("r2", ((MANAGEMENT, 'management: [203.0.113.0/24, "2001:db8:6400:f::/64"]'),)),
    "frr-addresses": (
        "r2",
        (
            ("  - {between: [r1, r2]}", "  - {between: [r1, r2], address: {r1: 10.99.1.0/31, r2: 10.99.1.1/31}}"),
            ("  - {between: [r2, r3]}", "  - {between: [r2, r3], address: {r2: 10.99.2.0/31, r3: 10.99.2.1/31}}"),
        ),
    ),
    "bird-addresses": (
        "r3",
        (
            ("  - {between: [r1, r3]}", "  - {between: [r1, r3], address: {r1: 10.99.1.0/31, r3: 10.99.1.1/31}}"),
            ("  - {between: [r2, r3]}", "  - {between: [r2, r3], address: {r2: 10.99.2.0/31, r3: 10.99.2.1/31}}"),
        ),
    ),
}


@pytest.mark.parametrize("mistake", CUTTING)
def test_a_router_that_a_change_cuts_off_heals_itself(
    mistake: str, desk: Desk, intents: dict[str, Path], tmp_path: Path
) -> None:
    """Whoever deployed is dead and nobody can log in: at its deadline it runs what it ran."""
    router, changes = CUTTING[mistake]
    deadline_s = 15
    intent = wrong(intents, tmp_path / "wrong", *changes)
    engine = Stepwise.start(desk, f"{router} applying", intent, "--only", router, "--deadline", f"{deadline_s}s")
    with Reach(desk.lab, router).watched() as reach:
        engine.go()
        wait_until(lambda: bool(reach.seen) and not reach.seen[-1][1], "it is cut off")
        engine.kill()
        wait_until(reach.is_back, "it is back", deadline_s + HEALS_S + 5)

    assert reach.outage_s() <= deadline_s + HEALS_S
    sys.stdout.write(f"{mistake}: cut off for {reach.outage_s():.1f} s, deadline {deadline_s} s\n")  # shown by -rP
    wait_until(lambda: desk("drift", intents["plain"]).code == 0, "every router is as before")
    said = desk.deploy(intent, "--status", "--json")
    assert [one["step"] for one in said.document["routers"] if one["wave"]] == ["rolled-back"]


def test_a_mistake_is_told_and_ends_the_deployment(desk: Desk, intents: dict[str, Path], tmp_path: Path) -> None:
    """The canary alone is touched; the record says what went wrong, and the exit code that it did."""
    intent = wrong(intents, tmp_path / "wrong", *CUTTING["management-filter"][1])
    said = desk.commit(intent, "--deadline", "20s")

    assert said.code in {3, 4}
    steps = {one["router"]: one["step"] for one in desk.record()["routers"]}
    assert steps == {"r1": "planned", "r2": "rolled-back", "r3": "planned"}
    assert desk.record()["state"] == "rolled-back"
    assert desk("drift", intents["plain"]).code == 0


def test_a_session_that_does_not_come_up_brings_the_wave_back(
    desk: Desk, intents: dict[str, Path], tmp_path: Path
) -> None:
    """The filter and the links are fine, the provider is not: what counts is seen, not configured."""
    intent = wrong(intents, tmp_path / "wrong", ("alpha: {asn: 64496}", "alpha: {asn: 64499}"))
    said = desk.commit(intent, "--deadline", "25s")

    assert said.code == 4
    assert "session" in desk.record()["reason"]
    assert desk("drift", intents["plain"]).code == 0


# --- people ----------------------------------------------------------------------------------------------------------


def test_the_second_engineer_is_told_who_and_since_when(desk: Desk, intents: dict[str, Path], tmp_path: Path) -> None:
    """From another machine, whose records are others; the first deployment is not disturbed."""
    first = Stepwise.start(desk, "r2 applied", intents["more"], "--deadline", "60s", "--drain-wait", "0s")
    try:
        second = Desk(desk.lab, tmp_path / "other machine").commit(intents["plain"])
    finally:
        first.go()

    assert second.code == 4, second.err
    who = desk.record()["who"]
    assert f"{who} is changing it since 20" in second.err + second.out
    assert first.finish() == 0, first.lines


def test_another_process_of_the_same_machine_is_told_at_once(desk: Desk, intents: dict[str, Path]) -> None:
    """Before any router is asked to do anything."""
    first = Stepwise.start(desk, "r2 staging", intents["more"], "--drain-wait", "0s")
    try:
        second = desk.commit(intents["more"])
    finally:
        first.go()

    assert second.code == 2
    assert "another process on this machine is deploying" in second.err
    assert first.finish() == 0, first.lines


def test_it_is_taken_up_on_another_machine(desk: Desk, intents: dict[str, Path], tmp_path: Path) -> None:
    """The record is all that it takes: the canary is done, the rest follows."""
    engine = Stepwise.start(desk, "r3 staging", intents["more"], "--deadline", "20s", "--drain-wait", "0s")
    engine.kill()
    elsewhere = Desk(desk.lab, tmp_path / "elsewhere")
    shutil.copytree(desk.records, elsewhere.records)

    said = elsewhere.deploy(intents["more"], "--resume", "--drain-wait", "0s", "--json")

    assert said.code == 0, said.err
    assert {one["step"] for one in said.document["routers"]} == {"confirmed"}
    assert elsewhere("drift", intents["more"]).code == 0


def test_a_confirmed_deployment_is_taken_back(desk: Desk, intents: dict[str, Path]) -> None:
    """At night, by one command: every router runs what it ran before."""
    assert desk.commit(intents["more"]).code == 0
    said = desk.deploy(intents["more"], "--rollback")

    assert said.code == 0, said.err
    assert desk("drift", intents["plain"]).code == 0


# --- what was changed by hand ----------------------------------------------------------------------------------------


BY_HAND: Final = {
    "address": ("r3", ["ip", "address", "add", "203.0.113.99/32", "dev", "lo"], "addresses.batch"),
    "filter": (
        "r3",
        ["nft", "add", "rule", "inet", "netresilience", "input", "tcp", "dport", "23", "drop"],
        "nftables.conf",
    ),
    "setting": ("r1", ["sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=0"], "sysctl.conf"),
    "frr": ("r2", ["vtysh", "-c", "configure terminal", "-c", "ip route 203.0.113.0/24 blackhole"], "frr.conf"),
    "bird": ("r3", ["birdc", "configure", "soft", '"/run/by-hand.conf"'], "bird.conf"),
}


@pytest.mark.parametrize("what", BY_HAND if EVERYTHING else ("frr", "bird"))
def test_what_was_changed_by_hand_is_found_and_only_replaced_on_request(
    what: str, desk: Desk, intents: dict[str, Path]
) -> None:
    """Drift ends with 4 and shows it, a deployment is refused, `--take-over` deploys over it."""
    router, command, file = BY_HAND[what]
    if what == "bird":
        copy = (
            "sed 's/^router id .*/&\\n# by hand/' /etc/bird/bird.conf > /run/by-hand.conf; chmod 644 /run/by-hand.conf"
        )
        assert desk.lab.lab.run(router, ["sh", "-c", copy]).exit_code == 0
    done = desk.lab.lab.run(router, command)
    assert done.exit_code == 0, done.stdout + done.stderr

    found = desk("drift", intents["plain"], "--json")
    refused = desk.commit(intents["more"])
    taken = desk.commit(intents["more"], "--take-over")

    assert found.code == 4
    differing = {one["router"]: [part["file"] for part in one["differences"]] for one in found.document["routers"]}
    assert {name: files for name, files in differing.items() if files} == {router: [file]}
    assert refused.code == 4
    assert "changed by hand" in refused.out + refused.err
    assert taken.code == 0, taken.err
    assert desk("drift", intents["more"]).code == 0


# --- the proof -------------------------------------------------------------------------------------------------------


def test_a_journal_is_the_proof_and_goes_into_the_record(desk: Desk, intents: dict[str, Path], tmp_path: Path) -> None:
    """A real drill of the new configuration; of another intent it proves nothing."""
    argv = [sys.executable, "-m", "resilience", "drill", str(intents["more"]), "uplink land", "--json"]
    drilled = subprocess.run(argv, capture_output=True, check=False)
    assert drilled.returncode == 0, drilled.stderr
    journal = tmp_path / "journal.json"
    journal.write_bytes(drilled.stdout)
    options = ("--commit", "--drain-wait", "0s", "--proof", str(journal))

    other = desk.deploy(wrong(intents, tmp_path / "other", ("asn: 64497", "asn: 64499")), *options)
    proven = desk.deploy(intents["more"], *options, "--json")

    assert other.code == 2
    assert "the journal of another intent" in other.err
    assert proven.code == 0, proven.err
    assert proven.document["proof"]["journal_sha256"] == hashlib.sha256(drilled.stdout).hexdigest()
