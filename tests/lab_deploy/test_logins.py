"""A lab's routers are logged in to as real ones are: by key, from where the intent says, to do one thing only."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from resilience.lab.faults import arm
from resilience.lab.ready import wait_ready
from resilience.lab.state import Process
from resilience.model.plan import Fault, FaultKind
from tests.support.deploy_desk import is_greeted
from tests.support.deploy_lab import DEPLOY_BIRD, DESK, DeployLab, open_deploy_lab
from tests.support.lab_networks import can_ping

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

PROGRAM = "/usr/sbin/netresilience-router"
REFUSED = 255
"""The exit code of an ssh that was not let in."""


@pytest.fixture(scope="module")
def lab(mixed_lab: DeployLab) -> DeployLab:
    """Both platforms: r2 runs FRR."""
    return mixed_lab


def wait_for(holds: Callable[[], bool], limit_s: float = 20) -> None:
    """Wait until something holds; fail when it does not come to that."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_let_in(lab: DeployLab, node: str, address: str) -> bool:
    """Say whether a node gets a connection to the SSH server at an address, and its greeting."""
    return is_greeted(lab.lab.namespace(node), address, 1.5)


def digests(*paths: str) -> list[str]:
    """Return what files of this machine hold; a missing one counts, too."""
    return [hashlib.sha256(Path(one).read_bytes()).hexdigest() if Path(one).exists() else "" for one in paths]


def names_in(folder: str) -> list[str]:
    """Return what a folder holds."""
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.mark.parametrize("router", ["r1", "r2", "r3"])
@pytest.mark.parametrize("family", [4, 6])
def test_the_desk_logs_in_to_every_router(lab: DeployLab, router: str, family: int) -> None:
    """By key, with the router's own host key checked, over the network's own links, in both families."""
    address = f"HostName={lab.address(router, family)}"
    done = lab.ssh(router, "id", "-un", options=("-o", address))
    assert (done.exit_code, done.stdout, done.stderr) == (0, "netops\n", "")


def test_each_router_is_itself(lab: DeployLab) -> None:
    """What a router says of its name and platform is its own, and so is its host key."""
    names = [json.loads(lab.lab.run(name, ["cat", "/etc/netresilience/router.json"]).stdout) for name in ("r1", "r2")]
    assert [(one["name"], one["platform"]) for one in names] == [("r1", "bird"), ("r2", "frr")]
    keys = {line.split()[2] for line in lab.access.known_hosts.read_text(encoding="ascii").splitlines()}
    assert len(keys) == 3


def test_a_router_that_is_another_one_is_noticed(lab: DeployLab) -> None:
    """Who answers at r1's name with r2's key gets nothing."""
    done = lab.ssh("r1", "id", options=("-o", f"HostName={lab.address('r2')}", "-o", "HostKeyAlias=10.0.0.1"))
    assert done.exit_code == REFUSED
    assert "ost key" in done.stderr
    mixed = ("-o", f"HostName={lab.address('r2')}", "-o", f"HostKeyAlias={lab.address('r1')}")
    assert lab.ssh("r1", "id", options=mixed).exit_code == REFUSED


def test_another_key_is_not_let_in(lab: DeployLab, tmp_path: Path) -> None:
    """Nor is another account, root included, with the right key."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    without_agent = ("-o", "IdentityAgent=none")
    done = lab.ssh("r1", "id", options=("-F", "none", *_by_hand(lab, key), *without_agent, "-l", "netops"))
    assert done.exit_code == REFUSED
    assert "Permission denied (publickey)" in done.stderr
    done = lab.ssh("r1", "id", options=("-F", "none", *_by_hand(lab, lab.access.key), "-l", "netops"))
    assert done.exit_code == 0, "the same words with the right key"
    for account in ("root", "frr", "bird"):
        assert lab.ssh("r1", "id", options=("-l", account)).exit_code == REFUSED


def _by_hand(lab: DeployLab, key: Path) -> tuple[str, ...]:
    words = {
        "HostName": lab.address("r1"),
        "IdentityFile": str(key),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(lab.access.known_hosts),
        "BatchMode": "yes",
    }
    return tuple(word for name, value in words.items() for word in ("-o", f"{name}={value}"))


@pytest.mark.parametrize(
    ("node", "router", "address"),
    [
        ("provider-alpha", "r2", "192.0.2.2"),
        ("provider-alpha", "r2", "2001:db8:ff:1::2"),
        ("customer-clinic", "r3", ""),
        ("user-hq", "r1", ""),
        ("user-west", "r1", ""),
    ],
)
def test_nobody_outside_management_prefixes_is_let_in(lab: DeployLab, node: str, router: str, address: str) -> None:
    """Providers, customers and users reach the router, and get no answer of its SSH server; the router itself does."""
    for wanted in [address] if address else [lab.address(router), lab.address(router, 6)]:
        assert can_ping(lab.lab, node, wanted), "else nothing is shown"
        assert is_let_in(lab, router, wanted), "somebody answers there"
        assert not is_let_in(lab, node, wanted)


def test_without_its_prefix_the_desk_is_not_let_in_either(lab: DeployLab) -> None:
    """It is the filter of the packet's way in that decides, and no other door stands open."""
    assert is_let_in(lab, DESK, lab.address("r2"))
    table = ("inet", "netresilience")
    lab.lab.run("r2", ["nft", "flush", "set", *table, "management4"])
    try:
        assert not is_let_in(lab, DESK, lab.address("r2"))
        assert is_let_in(lab, DESK, lab.address("r2", 6))
    finally:
        lab.lab.run("r2", ["nft", "add", "element", *table, "management4", "{ 198.51.100.32/29 }"])
    assert is_let_in(lab, DESK, lab.address("r2"))


def test_the_account_may_run_the_program_and_nothing_else(lab: DeployLab) -> None:
    """Not even the same program as somebody else, and no shell through its arguments."""
    assert lab.program("r1", "hello").exit_code == 0
    tried = [
        "id",
        "sh -c id",
        "-u bird id",
        "-s",
        "-i",
        "-e /etc/passwd",
        f"-u bird {PROGRAM} hello",
        f"/bin/sh {PROGRAM}",
    ]
    for words in tried:
        done = lab.ssh("r1", f"sudo -n {words}")
        assert done.exit_code != 0, words
        assert "uid=0" not in done.stdout, words
    allowed = lab.ssh("r1", "sudo -n -l").stdout.splitlines()
    assert [line.strip() for line in allowed if "NOPASSWD" in line or "PASSWD" in line] == [
        f"(root) NOPASSWD: {PROGRAM}"
    ]


def test_the_account_cannot_change_what_runs_as_root(lab: DeployLab) -> None:
    """The program, the rule that allows it, the accounts and the keys that are let in are not for it to write."""
    before = lab.lab.run("r1", ["sha256sum", PROGRAM]).stdout
    guarded = (
        PROGRAM,
        "/etc/sudoers",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/netresilience-lab/authorized_keys",
        "/etc/netresilience-lab/netresilience-router",
        "/etc/netresilience-lab/restart",
        "/etc/netresilience/router.json",
    )
    tried = [f"({how})" for path in guarded for how in (f"echo x >> {path}", f"cp /bin/true {path}", f"rm -f {path}")]
    tried += ["touch /var/lib/netresilience/x", f"mv {PROGRAM} /tmp/away", "touch /usr/sbin/x", "touch /etc/x"]
    # What stands in the files, passwords of sessions included, is not for it to read either.
    tried += ["ls /etc/netresilience", "cat /etc/bird/bird.conf", "ls /etc/netresilience-lab/nodes/r2/files"]
    tried += ["cat /etc/shadow", "cat /etc/netresilience-lab/id_ed25519"]
    script = "true && echo works\n" + "".join(f"{how} 2>/dev/null && echo '{how}'\n" for how in tried)
    assert lab.ssh("r1", "sh", stdin=script).stdout == "works\n"
    assert lab.lab.run("r1", ["sha256sum", PROGRAM]).stdout == before
    assert lab.lab.run("r1", ["stat", "-c", "%U:%G %a", PROGRAM]).stdout == "root:root 755\n"


def test_a_command_in_a_router_sees_itself(lab: DeployLab) -> None:
    """Numbers of processes are those of the router's own /proc: a program that looks for itself there finds itself."""
    done = lab.lab.run("r1", ["sh", "-c", "grep -c '^Name:.sh$' /proc/$$/status; readlink /proc/self"])
    assert done.exit_code == 0
    assert done.stdout.split()[0] == "1"


@pytest.mark.parametrize(("router", "daemon"), [("r1", "bird"), ("r2", "bgpd")])
def test_the_routing_daemons_restart_by_the_routers_own_command(lab: DeployLab, router: str, daemon: str) -> None:
    """New processes run when the command ends, and the lab knows them."""
    command = json.loads(lab.lab.run(router, ["cat", "/etc/netresilience/router.json"]).stdout)["restart"]
    before = {one.name: one.pid for one in lab.lab.daemons(router)}
    done = lab.lab.run(router, command, timeout_s=60)
    assert done.exit_code == 0, done.stderr
    after = {one.name: one.pid for one in lab.lab.daemons(router) if one.running}
    assert after.keys() == before.keys()
    assert after[daemon] != before[daemon]
    wait_ready(lab.lab)


def test_a_power_cut_ends_everything_and_the_router_comes_back(lab: DeployLab) -> None:
    """What a session left running dies with the power; the router boots from its files, and lets people in again."""
    left = "setsid sleep 12345 </dev/null >/dev/null 2>&1 & echo $!"
    assert lab.ssh("r1", left).exit_code == 0
    boot = lab.ssh("r1", "cat /proc/sys/kernel/random/boot_id").stdout
    lab.lab.run(
        "r1", ["sh", "-c", "echo 'address replace 203.0.113.77/32 dev lo' >> /etc/netresilience/addresses.batch"]
    )
    processes = [found for pid in lab.lab.processes("r1") if (found := Process.of(pid))]
    assert len(processes) > 2, "a daemon, an SSH server, a sleeper"
    armed = arm(lab.lab, lab.plan, [Fault(FaultKind.CRASH, "r1")])
    armed.fire()
    try:
        assert [one for one in processes if one.alive()] == []
        assert not is_let_in(lab, DESK, lab.address("r1"))
    finally:
        armed.heal()
    wait_ready(lab.lab)
    assert lab.ssh("r1", "true").exit_code == 0
    assert lab.ssh("r1", "cat /proc/sys/kernel/random/boot_id").stdout != boot
    assert "203.0.113.77" in lab.lab.run("r1", ["ip", "-o", "address", "show", "dev", "lo"]).stdout
    assert [one for one in processes if one.alive()] == []


def test_a_cold_start_without_a_fault_ends_everything_too(lab: DeployLab) -> None:
    """Nobody needs to have pulled the plug first."""
    lab.ssh("r3", "setsid sleep 12345 </dev/null >/dev/null 2>&1 &")
    processes = [found for pid in lab.lab.processes("r3") if (found := Process.of(pid))]
    lab.lab.start(nodes=["r3"], cold=True)
    assert [one for one in processes if one.alive()] == []
    wait_ready(lab.lab)
    assert lab.ssh("r3", "true").exit_code == 0


def test_what_sessions_leave_is_buried(lab: DeployLab) -> None:
    """An orphan that has ended does not stay as a zombie, which would look alive to whoever asks by number."""
    pid = lab.ssh("r1", "setsid true </dev/null >/dev/null 2>&1 & echo $!").stdout.strip()
    wait_for(lambda: lab.lab.run("r1", ["test", "-e", f"/proc/{pid}"]).exit_code != 0)


def test_a_lab_leaves_this_machine_as_it_was(tmp_path: Path) -> None:
    """Neither accounts nor programs nor logs of this machine change; no process and no mount stays."""
    watched = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers", "/var/log/btmp", "/var/log/wtmp", PROGRAM)
    before = digests(*watched), Path("/proc/self/mounts").read_text(encoding="utf-8"), names_in("/etc")
    with open_deploy_lab(DEPLOY_BIRD, tmp_path / "net") as lab:
        lab.ssh("r1", "setsid sleep 12345 </dev/null >/dev/null 2>&1 &")
        lab.ssh("r1", "id", options=("-l", "nobody"))
        processes = [
            found for name in ("r1", "r2", "r3") for pid in lab.lab.processes(name) if (found := Process.of(pid))
        ]
        folder = lab.lab.folder.path
        assert before[1] == Path("/proc/self/mounts").read_text(encoding="utf-8")
    wait_for(lambda: not [one for one in processes if one.alive()])
    assert len(processes) >= 7
    assert not folder.exists()
    after = digests(*watched), Path("/proc/self/mounts").read_text(encoding="utf-8"), names_in("/etc")
    assert after == before
