"""What FRR makes of a rendered file while it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resilience.intent import read_intent
from resilience.lab import Lab, open_lab
from resilience.plan import make_plan
from resilience.render import render_configs

INTENT = """
network: two-ways
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
sites: {here: {}}
routers:
  gw: {site: here, platform: frr}
  core: {site: here, platform: frr}
links:
  - {between: [gw, core]}
providers:
  alpha: {asn: 64496}
  beta: {asn: 64497}
uplinks:
  one: {router: gw, provider: alpha, rank: 1, bfd: true}
  two: {router: gw, provider: beta, rank: 1}
"""
LIMIT_S = 30
RELOAD = ["/usr/lib/frr/frr-reload.py", "--test", "--stdout", "--bindir", "/usr/bin", "--rundir", "/run/frr"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A router with two equal uplinks, and one behind it."""
    folder: Path = tmp_path_factory.mktemp("two-ways")
    (folder / "network.yaml").write_text(INTENT)
    plan, _ = make_plan(read_intent(folder))
    with open_lab(plan, render_configs(plan)) as lab:
        yield lab


def legs(lab: Lab, family: str) -> set[str]:
    """Return the interfaces over which the kernel sends multipath traffic that BGP found."""
    text = lab.run("gw", ["ip", family, "route", "show", "proto", "bgp"]).stdout
    return set(re.findall(r"nexthop via \S+ dev (up-\w+) weight \d+ *$", text, re.MULTILINE))


def differences(lab: Lab, node: str, path: str) -> list[str]:
    """Return what FRR's own comparison of a file with the running router would change."""
    done = lab.run(node, [*RELOAD, path], timeout_s=60)
    assert done.exit_code == 0, done.stderr
    changes = re.findall(r"^(?!Lines To|=+$|$).*", done.stdout, re.MULTILINE)
    # vtysh shows the machine's name, which in a lab is the machine that the lab runs on.
    return [line for line in changes if not line.removeprefix("no ").startswith("hostname ")]


@pytest.mark.lab
@pytest.mark.parametrize("node", ["gw", "core"])
def test_a_loaded_file_shows_no_difference(lab: Lab, node: str) -> None:
    """So a difference in a deployment always means something."""
    assert differences(lab, node, "/etc/frr/frr.conf") == []


@pytest.mark.lab
def test_a_changed_file_shows_its_difference(lab: Lab) -> None:
    """The comparison works."""
    text = lab.run("gw", ["cat", "/etc/frr/frr.conf"]).stdout
    lab.run("gw", ["tee", "/run/frr/changed.conf"], stdin=text + "ip route 192.0.2.99/32 blackhole\n")
    assert differences(lab, "gw", "/run/frr/changed.conf") == ["ip route 192.0.2.99/32 blackhole"]


@pytest.mark.lab
@pytest.mark.parametrize(
    ("asker", "prefix"), [("provider-alpha", "198.51.100.0/24"), ("provider-beta", "2001:db8:6400::/40")]
)
def test_what_we_originate_reaches_the_providers(lab: Lab, asker: str, prefix: str) -> None:
    """Although discard routes are no way to a next hop."""
    deadline = time.monotonic() + LIMIT_S
    while "[AS64500i]" not in (text := lab.run(asker, ["birdc", "show", "route", prefix]).stdout):
        assert time.monotonic() < deadline, text
        time.sleep(0.1)


@pytest.mark.lab
@pytest.mark.parametrize("family", ["4", "6"])
def test_a_lost_router_is_no_next_hop(lab: Lab, family: str) -> None:
    """Although our own discard route covers its address, what is reached through it is unreachable at once."""
    loopback = lab.plan.nodes["core"].loopback(int(family))
    assert loopback is not None
    command = ["vtysh", "-c", f"show bgp nexthop {loopback.ip}"]
    interfaces = [i.name for i in lab.plan.nodes["core"].interfaces if i.peer == "gw"]
    try:
        for state, expected in (("up", " valid "), ("down", " invalid"), ("up", " valid ")):
            for name in interfaces:
                lab.run("core", ["ip", "link", "set", name, state])
            deadline = time.monotonic() + LIMIT_S
            while expected not in (text := lab.run("gw", command).stdout):
                assert time.monotonic() < deadline, text
                time.sleep(0.1)
    finally:
        for name in interfaces:
            lab.run("core", ["ip", "link", "set", name, "up"])


@pytest.mark.lab
def test_both_legs_come_back_after_a_flap(lab: Lab) -> None:
    """With the kernel's nexthop objects, FRR 8.4 shows two legs for ever and the kernel has one."""
    both = {"up-one", "up-two"}
    interface = next(i.name for i in lab.plan.nodes["provider-alpha"].interfaces if i.peer == "gw")
    for family in ("-4", "-6"):
        await_legs(lab, family, both)
    lab.run("provider-alpha", ["ip", "link", "set", interface, "down"])
    for family in ("-4", "-6"):
        await_legs(lab, family, set())
    lab.run("provider-alpha", ["ip", "link", "set", interface, "up"])
    for family in ("-4", "-6"):
        await_legs(lab, family, both)


def await_legs(lab: Lab, family: str, expected: set[str]) -> None:
    """Wait until the kernel's multipath routes use these interfaces; none: there is one way only."""
    deadline = time.monotonic() + LIMIT_S
    while (found := legs(lab, family)) != expected:
        assert time.monotonic() < deadline, f"{family}: {found}, expected {expected}"
        time.sleep(0.1)


@pytest.mark.lab
def test_a_drained_router_is_reached_over_both_families(tmp_path: Path) -> None:
    """It starts, holds its sessions and keeps its way to the others: draining is no failure."""
    (tmp_path / "network.yaml").write_text(INTENT)
    plan, _ = make_plan(read_intent(tmp_path), draining=("router gw",))
    with open_lab(plan, render_configs(plan)) as lab:
        for node, far in (("core", "gw"), ("gw", "core")):
            for address in plan.nodes[far].loopbacks:
                route = lab.run(node, ["ip", "route", "get", str(address.ip)]).stdout
                assert " dev ln-" in route, route
