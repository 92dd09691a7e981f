"""A router for the program on it: another root folder, and programs that act on files in it instead of on a kernel."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from resilience.deploy.on_router.netresilience_router import changes as changes_module
from resilience.deploy.on_router.netresilience_router.changes import Changes
from resilience.deploy.on_router.netresilience_router.guard import Guard
from resilience.deploy.on_router.netresilience_router.machine import Done, Machine
from resilience.deploy.on_router.netresilience_router.program import open_settlement
from resilience.deploy.on_router.netresilience_router.questions import Questions
from resilience.deploy.on_router.netresilience_router.refused import Refused

ROUTER = "gw"
OLD = {
    "frr.conf": "hostname gw\nrouter bgp 64500\n neighbor 192.0.2.1 remote-as 64501\n",
    "sysctl.conf": "net.ipv4.conf.all.forwarding = 0\n",
    "addresses.batch": "link set dev eth0 up\naddress replace 192.0.2.2/31 dev eth0\n",
}
NEW = {
    "frr.conf": OLD["frr.conf"] + " neighbor 198.51.100.1 remote-as 64502\n",
    "sysctl.conf": "net.ipv4.conf.all.forwarding = 1\n",
    "addresses.batch": OLD["addresses.batch"] + "address replace 198.51.100.2/31 dev eth0\n",
}


class FakeMachine(Machine):
    """A router with FRR whose programs keep what they are told in files, so that it outlives a killed process."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.proc_sys = root / "proc/sys"
        self.running = root / "running.conf"
        self.links = root / "links.json"
        self.rules = [(0, 255), (32766, 254)]
        """Policy rules for IPv6: priority and table."""
        self.now = 1000.0
        self.started = "first"
        self.ran: list[str] = []
        self.broken = ""
        """A text at which frr-reload.py stops taking anything in."""

    def boot_id(self) -> str:
        """Return the start that the test says."""
        return self.started

    def clock(self) -> float:
        """Return the time that the test says."""
        return self.now

    def run(self, argv: Sequence[str], stdin: str = "", timeout_s: float = 120) -> Done:
        """Be the programs of a router."""
        del timeout_s
        self.ran.append(" ".join(argv))
        file = Path(argv[-1])
        match list(argv):
            case ["ip", "-j", "address", "show"]:
                out = self._show_links()
            case ["ip", *_, "rule", "show"]:
                out = json.dumps([{"priority": one, "src": "all", "table": str(table)} for one, table in self.rules])
            case ["ip", "-6", *_, "-"]:
                out = self._change_rules(stdin)
            case ["ip", *_, "-"]:
                out = self._change_links(stdin)
            case ["vtysh", "-C", *_] if "bogus" in file.read_text(encoding="utf-8"):
                return Done(2, "", "line 1: % Unknown command: bogus")
            case ["vtysh", "-c", "show running-config no-header"]:
                out = self.running.read_text(encoding="utf-8")
            case [_, "--test", *_]:
                out = self._delta(file)
            case [_, "--reload", *_]:
                out = self._take(file)
            case ["systemctl", "restart", "frr"]:
                self.broken = ""
                out = self._take(self.root / "etc/frr/frr.conf")
            case _:
                out = ""
        return Done(0, out, "")

    def run_script(self, argv: Sequence[str], timeout_s: float = 120) -> Done:
        """Be one of them that is written in Python."""
        return self.run(argv, timeout_s=timeout_s)

    def _take(self, file: Path) -> str:
        text = file.read_text(encoding="utf-8")
        if not self.broken or self.broken not in text:
            self.running.write_text(text, encoding="utf-8")
        return ""

    def _delta(self, file: Path) -> str:
        has = self.running.read_text(encoding="utf-8").splitlines()
        wants = file.read_text(encoding="utf-8").splitlines()
        less = [f"no {line}" for line in has if line not in wants]
        more = [line for line in wants if line not in has]
        return "\n".join(["Lines To Delete", *less, "Lines To Add", *more]) if less or more else ""

    def addresses_of(self, device: str) -> list[str]:
        """Return the addresses that an interface has."""
        return list(json.loads(self.links.read_text(encoding="utf-8"))[device])

    def _show_links(self) -> str:
        links: Mapping[str, list[str]] = json.loads(self.links.read_text(encoding="utf-8"))
        return json.dumps([_link(name, addresses) for name, addresses in links.items()])

    def _change_links(self, batch: str) -> str:
        links = json.loads(self.links.read_text(encoding="utf-8"))
        for line in batch.splitlines():
            words = line.split()
            if words[:2] == ["address", "replace"] and words[2] not in links[words[4]]:
                links[words[4]].append(words[2])
            if words[:2] == ["address", "del"]:
                links[words[4]].remove(words[2])
        self.links.write_text(json.dumps(links), encoding="utf-8")
        return ""

    def _change_rules(self, batch: str) -> str:
        for _, what, _, priority, _, table in map(str.split, batch.splitlines()):
            rule = (int(priority), int(table))
            if what == "del":
                self.rules.remove(rule)
            elif rule not in self.rules and "rule" not in self.broken:
                self.rules.append(rule)
        return ""


def _link(name: str, addresses: Sequence[str]) -> dict[str, Any]:
    info = [
        {"local": one.partition("/")[0], "prefixlen": int(one.partition("/")[2]), "scope": "global"}
        for one in addresses
    ]
    return {"ifname": name, "flags": ["UP"], "addr_info": info}


def make_machine(root: Path) -> FakeMachine:
    """Return a router that runs what it starts with: `OLD`."""
    machine = FakeMachine(root)
    for folder in ("etc/frr", "etc/netresilience", "run/frr", "proc/sys/net/ipv4/conf/all"):
        (root / folder).mkdir(parents=True)
    machine.description.write_text(json.dumps({"name": ROUTER, "platform": "frr"}), encoding="utf-8")
    (root / "etc/frr/frr.conf").write_text(OLD["frr.conf"], encoding="utf-8")
    for name in ("sysctl.conf", "addresses.batch"):
        (machine.linux / name).write_text(OLD[name], encoding="utf-8")
    machine.running.write_text(OLD["frr.conf"], encoding="utf-8")
    machine.links.write_text(json.dumps({"lo": [], "eth0": ["192.0.2.2/31"]}), encoding="utf-8")
    (machine.proc_sys / "net/ipv4/conf/all/forwarding").write_text("0\n", encoding="ascii")
    return machine


def bundle(change: str = "c1", files: Mapping[str, str] | None = None, **other: Any) -> dict[str, Any]:
    """Return a change as it comes in."""
    return {
        "change": change,
        "router": ROUTER,
        "network": "net",
        "who": "anna@desk",
        "platform": "frr",
        "files": dict(NEW if files is None else files),
        **other,
    }


class Process:
    """The program, started anew: it knows what lies on the disk, and nothing else."""

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.settlement = open_settlement(machine)
        self.router = self.settlement.router
        self.store = self.settlement.store
        self.changes = Changes(self.settlement)
        self.questions = Questions(self.settlement)

    def settle(self) -> dict[str, Any]:
        """Settle as every verb does."""
        with self.store.locked():
            return self.settlement.settle()


class FakeGuard:
    """A guard in this process: it arms itself and applies at once, and holds its lock until it is killed."""

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.handle = -1

    def start(self, change: str) -> None:
        """Do what a guard does until the change is applied, or back."""
        process = Process(self.machine)
        self.handle = os.open(process.store.folder / "guard", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        state = process.store.read()
        state["pending"]["armed"] = True
        process.store.write(state)
        try:
            process.changes.work(change)
        except Refused as refused:
            with process.store.locked():
                process.settlement.restore(process.store.read(), refused.message)
            self.kill()
            return
        state = process.store.read()
        state["pending"]["phase"] = "applied"
        process.store.write(state)

    def look(self) -> bool:
        """Look once at the change, as a guard does again and again; False: it is done."""
        process = Process(self.machine)
        change = (process.store.read()["pending"] or {}).get("change", "")
        return Guard(process.changes, change)._watch(process.store.folder / "reason")

    def kill(self) -> None:
        """End without a word."""
        if self.handle >= 0:
            os.close(self.handle)
        self.handle = -1


@contextlib.contextmanager
def guarded(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGuard]:
    """Let changes be guarded by a guard of this process."""
    guard = FakeGuard(machine)
    monkeypatch.setattr(changes_module, "start_guard", guard.start)
    try:
        yield guard
    finally:
        guard.kill()
