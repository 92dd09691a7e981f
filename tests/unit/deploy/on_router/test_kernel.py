"""Settings, addresses and policy rules: what their files say, against what the kernel has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from resilience.deploy.on_router.netresilience_router.kernel import Addresses, Rules, Sysctl
from resilience.deploy.on_router.netresilience_router.packet_filter import _nft_listing, _nft_objects
from resilience.deploy.on_router.netresilience_router.refused import Refused
from tests.support.on_router import FakeMachine


@pytest.fixture
def sysctl(machine: FakeMachine) -> Sysctl:
    """The settings of a router."""
    return Sysctl(machine)


@pytest.fixture
def addresses(machine: FakeMachine) -> Addresses:
    """Its addresses."""
    return Addresses(machine)


def test_settings_are_read_as_sysctl_reads_them(sysctl: Sysctl) -> None:
    """Comments, spaces, and `-` for what may be missing."""
    text = "# a\n; b\n\n net.a = 1\nnet.b=4096\t 16384  9\n-net.c = 0\nno setting\n"

    assert list(sysctl.parse(text)) == [
        ("net.a", "1", False),
        ("net.b", "4096 16384 9", False),
        ("net.c", "0", True),
    ]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"),
        ("net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"),
    ],
)
def test_the_first_separator_of_a_setting_decides(sysctl: Sysctl, key: str, path: str) -> None:
    """Names of interfaces have dots, too."""
    assert sysctl.path(key) == sysctl.machine.proc_sys / path


@pytest.mark.parametrize("key", ["net/../kernel/core_pattern", "net.//.kernel.core_pattern"])
def test_no_setting_leads_out_of_its_folder(sysctl: Sysctl, key: str) -> None:
    """Whichever separator it is written with."""
    with pytest.raises(Refused, match="is no setting"):
        sysctl.path(key)


def test_a_setting_that_may_be_missing_may_be_missing(sysctl: Sysctl) -> None:
    """The last of two lines counts, and only what differs is set."""
    text = "-net.ipv9.x = 1\nnet.ipv4.conf.all.forwarding = 0\nnet.ipv4.conf.all.forwarding = 1\n"
    sysctl.check(text)
    assert sysctl.difference(text) == "-net.ipv4.conf.all.forwarding = 1\n+net.ipv4.conf.all.forwarding = 0"

    sysctl.load(text)

    assert sysctl.difference(text) == ""
    assert sysctl.snapshot(text).splitlines()[0] == "net.ipv4.conf.all.forwarding = 1"


def test_addresses_are_read_in_their_order(addresses: Addresses) -> None:
    """The first one of an interface is what it speaks from."""
    text = (
        "# a\nlink set dev eth0 mtu 1500 up\naddress replace 192.0.2.2/31 dev eth0\n"
        "address replace 2001:db8::1/64 dev eth0 nodad\nroute replace 192.0.2.0/24 dev eth0\n"
    )

    assert addresses.parse(text) == (["eth0"], [("eth0", "192.0.2.2/31"), ("eth0", "2001:db8::1/64")])


def test_what_is_gone_from_the_batch_is_taken_away_and_nothing_of_others(
    addresses: Addresses, machine: FakeMachine
) -> None:
    """An interface that no batch names is somebody else's."""
    machine.links.write_text(
        json.dumps({"lo": ["127.0.0.1/8", "203.0.113.1/32"], "eth0": ["192.0.2.2/31"], "mgmt": ["10.0.0.1/8"]}),
        encoding="utf-8",
    )
    before = "link set dev lo up\nlink set dev eth0 up\naddress replace 203.0.113.1/32 dev lo\n"
    after = "link set dev lo up\naddress replace 203.0.113.2/32 dev lo\n"
    assert "+203.0.113.1/32 dev lo" in addresses.difference(after)

    addresses.make(after)
    addresses.break_(before, after)

    assert machine.addresses_of("lo") == ["127.0.0.1/8", "203.0.113.2/32"]
    assert machine.addresses_of("eth0") == []
    assert machine.addresses_of("mgmt") == ["10.0.0.1/8"]
    assert addresses.difference(after) == ""
    assert addresses.parse(addresses.snapshot(after))[1] == [("lo", "203.0.113.2/32")]


def test_an_address_that_the_kernel_does_not_take_is_said(
    addresses: Addresses, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `-force`, ip goes on behind it and exits with 1; what is missing counts."""
    monkeypatch.setattr(machine, "_change_links", lambda _batch: "")
    wanted = "link set dev eth0 up\naddress replace 198.51.100.1/32 dev eth0\n"
    real = machine.run

    def run_badly(argv: list[str], stdin: str = "", timeout_s: float = 120) -> object:
        done = real(argv, stdin, timeout_s)
        done.code = 1 if "-batch" in argv else 0
        return done

    monkeypatch.setattr(machine, "run", run_badly)

    with pytest.raises(Refused, match="addresses: "):
        addresses.make(wanted)
    addresses.make("link set dev eth0 up\n")


def test_filters_are_compared_without_what_they_count(tmp_path: Path) -> None:
    """Handles, counters and elements that the filter adds itself; elements of a set come in no order."""
    del tmp_path
    table = [("inet", "a")]

    def listing(handle: int, packets: int, elements: list[str], opened: list[object]) -> list[str]:
        objects = [
            {"metainfo": {"version": "1"}},
            {"table": {"family": "inet", "name": "a", "handle": handle}},
            {"set": {"family": "inet", "table": "a", "name": "s", "handle": handle, "elem": elements}},
            {"set": {"family": "inet", "table": "a", "name": "d", "flags": ["timeout"], "elem": opened}},
            {"rule": {"family": "inet", "table": "a", "expr": [{"counter": {"packets": packets}}, {"drop": None}]}},
            {"rule": {"family": "inet", "table": "others", "expr": [{"accept": None}]}},
        ]
        text = json.dumps({"nftables": objects[:2]}) + "\n" + json.dumps({"nftables": objects[2:]}) + "\n"
        return _nft_listing(_nft_objects(text), table)

    assert listing(1, 0, ["x", "y"], []) == listing(9, 77, ["y", "x"], [{"elem": {"val": "z", "expires": 40}}])
    assert listing(1, 0, ["x"], []) != listing(1, 0, ["x", "y"], [])
    assert len(listing(1, 0, [], [])) == 4


# --- policy rules ----------------------------------------------------------------------------------------------------

BATCH = "# For IPv6.\nrule add pref 32767 lookup 253\n"


@pytest.fixture
def rules(machine: FakeMachine) -> Rules:
    """The policy rules of a router."""
    return Rules(machine)


def test_a_missing_rule_is_seen_and_made(rules: Rules, machine: FakeMachine) -> None:
    """Once: what is there already is left alone."""
    assert rules.difference(BATCH) == "-pref 32767 lookup 253"

    rules.make(BATCH)
    rules.make(BATCH)

    assert rules.difference(BATCH) == ""
    assert machine.rules == [(0, 255), (32766, 254), (32767, 253)]
    assert sum("-batch" in line for line in machine.ran) == 1


def test_a_rule_that_the_kernel_does_not_take_is_refused(rules: Rules, machine: FakeMachine) -> None:
    """`ip -force` returns as if nothing were wrong."""
    machine.broken = "rule"
    with pytest.raises(Refused, match=r"rules6\.batch: not taken: pref 32767 lookup 253"):
        rules.make(BATCH)


def test_rules_of_others_stay(rules: Rules, machine: FakeMachine) -> None:
    """Ours are those of the priorities in the file; another table there is a difference, and goes."""
    machine.rules += [(100, 77), (32767, 99), (32767, 253)]
    assert rules.difference(BATCH) == "+pref 32767 lookup 99"
    assert rules.snapshot(BATCH) == "rule add pref 32767 lookup 99\nrule add pref 32767 lookup 253\n"

    rules.break_("", BATCH)
    assert machine.rules == [(0, 255), (32766, 254), (100, 77), (32767, 253)]

    rules.break_(BATCH, "")
    assert machine.rules == [(0, 255), (32766, 254), (100, 77)]


_ON_A_KERNEL = """
import subprocess, sys
from pathlib import Path
from resilience.deploy.on_router.netresilience_router.kernel import Rules
from resilience.deploy.on_router.netresilience_router.machine import Machine
rules, batch = Rules(Machine(Path("/"))), sys.argv[1]
subprocess.run(["ip", "-6", "rule", "add", "pref", "90", "from", "2001:db8::/32", "lookup", "77"], check=True)
before = rules.live()
print(rules.difference(batch))
rules.make(batch)
rules.make(batch)
print(repr(rules.difference(batch)))
print(rules.snapshot(batch), end="")
rules.break_(batch, "")
print(rules.live() == before)
print("from 2001:db8::/32" in subprocess.run(["ip", "-6", "rule"], capture_output=True, text=True).stdout)
"""


@pytest.mark.daemons
def test_rules_come_and_go_on_a_real_kernel() -> None:
    """In a network of its own; what somebody else put there stays."""
    argv = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", _ON_A_KERNEL, BATCH]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "-pref 32767 lookup 253",
        "''",
        "rule add pref 32767 lookup 253",
        "True",
        "True",
    ], done.stderr
