"""Raw lines on real daemons and kernels: they load, they do what they say, and they are no difference afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resilience.errors import LabError
from resilience.intent import read_intent
from resilience.lab import Lab, open_lab
from resilience.plan import make_plan
from resilience.render import render_configs

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

LIMIT_S = 30
INTENT = """
network: by-hand
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  east:
    platform: frr
    raw:
      frr.conf: |
        ip route 192.0.2.99/32 blackhole
        route-map by-hand permit 10
         set weight 77
        exit
        router bgp 64500
         bgp bestpath med missing-as-worst
        exit
      nftables.conf: |
        table inet by_hand
        delete table inet by_hand
        table inet by_hand {
          chain output {
            type filter hook output priority 0; policy accept;
            icmp type echo-request counter
          }
        }
      sysctl.conf: net.ipv4.tcp_mtu_probing = 1
  west:
    platform: bird
    raw:
      bird.conf: |
        # a route of one's own
        protocol static by_hand {
          ipv4;
          route 192.0.2.98/32 blackhole;
        }
      sysctl.conf: |
        net.ipv4.tcp_mtu_probing = 2
links: [{between: [east, west]}]
providers:
  alpha: {asn: 64496}
  beta: {asn: 64497}
uplinks:
  one:
    router: east
    provider: alpha
    raw:
      frr: |
        description by hand
        timers delayopen 5
      frr_family: weight 50
  two:
    router: west
    provider: beta
    raw:
      bird: |
        hold time 99; # not what was rendered
        description "by hand";
      bird_channel: import limit 4711 action warn;
"""
RELOAD = ["/usr/lib/frr/frr-reload.py", "--test", "--stdout", "--bindir", "/usr/bin", "--rundir", "/run/frr"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Raw lines in every place that there is, on a router of each platform."""
    folder: Path = tmp_path_factory.mktemp("by-hand")
    (folder / "network.yaml").write_text(INTENT)
    plan, _ = make_plan(read_intent(folder))
    with open_lab(plan, render_configs(plan)) as lab:
        yield lab


def await_true(ask: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + LIMIT_S
    while not ask():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def said(lab: Lab, node: str, *command: str) -> str:
    """Return what a program says on a node."""
    done = lab.run(node, list(command))
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("family", [4, 6])
def test_lines_of_a_session_reach_both_families_of_frr(lab: Lab, family: int) -> None:
    """What stands under `frr` and what stands under `frr_family`."""
    remote = next(n.remote.address for n in lab.plan.neighbors("east") if n.session.name == f"one-ipv{family}")
    show = json.loads(said(lab, "east", "vtysh", "-c", f"show bgp neighbors {remote} json"))[str(remote)]
    assert show["nbrDesc"] == "by hand"
    running = said(lab, "east", "vtysh", "-c", "show running-config bgpd")
    assert f" neighbor {remote} timers delayopen 5\n" in running
    assert f"  neighbor {remote} weight 50\n" in running


def test_a_weight_by_hand_decides(lab: Lab) -> None:
    """A route from the provider carries it."""

    def weighs() -> bool:
        routes = json.loads(said(lab, "east", "vtysh", "-c", "show bgp ipv4 unicast json"))["routes"]
        return any(path.get("weight") == 50 for paths in routes.values() for path in paths)

    await_true(weighs, "no route has the weight")


def test_lines_of_a_router_reach_frr_and_its_kernel(lab: Lab) -> None:
    """A static route, a route map, and a setting inside `router bgp`."""
    running = said(lab, "east", "vtysh", "-c", "show running-config bgpd")
    assert "route-map by-hand permit 10\n set weight 77\n" in running
    assert " bgp bestpath med missing-as-worst\n" in running
    await_true(lambda: "blackhole 192.0.2.99" in said(lab, "east", "ip", "route", "show", "table", "main"), "no route")


def test_the_loaded_file_shows_no_difference(lab: Lab) -> None:
    """Marks and lines are the same to FRR as what it runs: a second deployment has nothing to do."""
    done = lab.run("east", [*RELOAD, "/etc/frr/frr.conf"], timeout_s=60)
    assert done.exit_code == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(("Lines To", "="))]
    assert [line for line in lines if not line.removeprefix("no ").startswith("hostname ")] == []


def test_lines_reach_bird_and_its_kernel(lab: Lab) -> None:
    """Inside the protocol, inside its channel, and at the end of the file."""
    for family in (4, 6):
        shown = said(lab, "west", "birdc", "show", "protocols", "all", f"b_two_ipv{family}")
        assert "Description:    by hand" in shown
        assert "Import limit:   4711" in shown
    await_true(lambda: "blackhole 192.0.2.98" in said(lab, "west", "ip", "route", "show", "table", "main"), "no route")


@pytest.mark.parametrize("family", [4, 6])
def test_the_last_word_is_the_raw_lines(lab: Lab, family: int) -> None:
    """A hold time by hand holds although the file states another one before it."""
    command = ["birdc", "show", "protocols", "all", f"b_two_ipv{family}"]
    await_true(lambda: "/99\n" in said(lab, "west", *command), "no session with a hold time of 99 s")


def test_a_table_by_hand_counts_beside_ours(lab: Lab) -> None:
    """A file that is loaded again does not double it."""
    assert lab.run("east", ["nft", "-f", "/etc/frr/nftables.conf"]).exit_code == 0
    other_end = next(n.remote.address for n in lab.plan.neighbors("east") if n.session.name == "one-ipv4")
    lab.run("east", ["ping", "-n", "-q", "-c1", "-W1", str(other_end)])
    listing = json.loads(said(lab, "east", "nft", "-j", "list", "table", "inet", "by_hand"))
    rules = [item["rule"]["expr"] for item in listing["nftables"] if "rule" in item]
    assert [e["counter"]["packets"] for rule in rules for e in rule if "counter" in e] == [1]
    assert "chain protect" in said(lab, "east", "nft", "list", "table", "inet", "netresilience")


@pytest.mark.parametrize(("router", "value"), [("east", "1"), ("west", "2")])
def test_a_setting_by_hand_is_the_kernels(lab: Lab, router: str, value: str) -> None:
    """In the router's own namespace."""
    assert said(lab, router, "cat", "/proc/sys/net/ipv4/tcp_mtu_probing").strip() == value


@pytest.mark.parametrize("line", ["frobnicate everything", "ip route 192.0.2.1/32 nowhere-at-all 5 6 7"])
def test_a_line_that_frr_does_not_know_stops_the_lab(tmp_path: Path, line: str) -> None:
    """With the router and what FRR said: a typo must not look like a line that works."""
    (tmp_path / "network.yaml").write_text(
        "network: wrong\nasn: 64500\nprefixes: [198.51.100.0/24]\n"
        f"routers: {{gw: {{raw: {{frr.conf: {line}}}}}}}\n"
        "providers: {alpha: {asn: 64496}}\nuplinks: {fibre: {router: gw, provider: alpha}}\n"
    )
    plan, _ = make_plan(read_intent(tmp_path))
    with pytest.raises(LabError, match="gw") as caught, open_lab(plan, render_configs(plan)):
        pass
    assert line.split()[0] in caught.value.message
