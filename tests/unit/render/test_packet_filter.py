"""The packet filter on running kernels: what comes through, and what does not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from resilience.intent import read_intent
from resilience.lab import Lab, open_lab
from resilience.model.network import IPAddress
from resilience.plan import make_plan
from resilience.render import render_configs

INTENT = """
network: guarded
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
sites: {here: {}}
routers:
  gw: {site: here, platform: bird}
  core: {site: here, platform: bird}
links:
  - {between: [gw, core]}
providers:
  alpha: {asn: 64496}
uplinks:
  one: {router: gw, provider: alpha}
customers:
  shop: {router: gw, prefixes: [198.51.100.64/29]}
"""

SEND = """
import socket, sys
source, target = sys.argv[1:]
family = socket.AF_INET6 if ":" in source else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as sender:
    sender.bind((source, 0))
    sender.sendto(b"x", (target, 9))
"""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1, source_address=(sys.argv[3], 0))
except TimeoutError:
    print("silence")
except ConnectionRefusedError:
    print("refused")
else:
    print("open")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A router with an uplink and a customer, and one behind it."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    (folder / "network.yaml").write_text(INTENT)
    plan, _ = make_plan(read_intent(folder))
    with open_lab(plan, render_configs(plan)) as lab:
        yield lab


def address_of(lab: Lab, node: str, towards: str, family: int = 4) -> IPAddress:
    """Return a node's address on its cable towards somebody."""
    interface = next(i for i in lab.plan.nodes[node].interfaces if i.peer == towards)
    address = interface.address(family)
    assert address is not None
    return address.ip


def dropped(lab: Lab, chain: str) -> int:
    """Return how many packets a chain of the gateway has dropped."""
    listing = json.loads(lab.run("gw", ["nft", "-j", "list", "chain", "inet", "netresilience", chain]).stdout)
    rules = [item["rule"]["expr"] for item in listing["nftables"] if "rule" in item]
    return sum(e["counter"]["packets"] for rule in rules if {"drop": None} in rule for e in rule if "counter" in e)


def chain_of(lab: Lab, peer: str) -> str:
    """Return the chain that looks at what comes in from somebody."""
    interfaces = lab.plan.nodes["gw"].interfaces
    return f"from_{next(number for number, i in enumerate(interfaces) if i.peer == peer)}"


def send(lab: Lab, node: str, source: str, target: str) -> None:
    """Send a packet with this source, whether it is the node's own or not."""
    added = lab.run(node, ["ip", "address", "add", source, "dev", "lo"]).exit_code == 0
    done = lab.run(node, [sys.executable, "-c", SEND, source, target])
    if added:
        lab.run(node, ["ip", "address", "del", source, "dev", "lo"])
    assert done.exit_code == 0, done.stderr


@pytest.mark.lab
@pytest.mark.parametrize("source", ["203.0.113.66", "198.51.100.99"])
def test_a_customer_cannot_send_from_foreign_addresses(lab: Lab, source: str) -> None:
    """Neither a stranger's nor a neighbour's; its own pass."""
    chain, target = chain_of(lab, "customer-shop"), str(lab.plan.nodes["internet-1"].loopbacks[0].ip)
    before = dropped(lab, chain)
    send(lab, "customer-shop", "198.51.100.65", target)
    assert dropped(lab, chain) == before
    send(lab, "customer-shop", source, target)
    assert dropped(lab, chain) == before + 1


@pytest.mark.lab
@pytest.mark.parametrize("source", ["198.51.100.200", "2001:db8:6400:77::1"])
def test_our_own_addresses_do_not_come_from_a_provider(lab: Lab, source: str) -> None:
    """A provider's own pass."""
    family = ip_address(source).version
    chain, target = chain_of(lab, "alpha"), str(address_of(lab, "gw", "alpha", family))
    before = dropped(lab, chain)
    send(lab, "provider-alpha", str(address_of(lab, "provider-alpha", "gw", family)), target)
    assert dropped(lab, chain) == before
    send(lab, "provider-alpha", source, target)
    assert dropped(lab, chain) == before + 1


@pytest.mark.lab
@pytest.mark.parametrize("port", [22, 179, 2605])
def test_the_outside_cannot_open_connections_to_a_router(lab: Lab, port: int) -> None:
    """Not even to port 179 from an address that is no neighbour's: it hears nothing."""
    stranger = "203.0.113.7"
    lab.run("provider-alpha", ["ip", "address", "add", stranger, "dev", "lo"])
    target = str(address_of(lab, "gw", "alpha"))
    done = lab.run("provider-alpha", [sys.executable, "-c", CONNECT, target, str(port), stranger])
    assert done.stdout == "silence\n", done.stderr


@pytest.mark.lab
@pytest.mark.parametrize("family", [4, 6])
def test_our_own_routers_may_log_in(lab: Lab, family: int) -> None:
    """From loopback to loopback over the inner link; here nobody listens, so the answer is a refusal."""
    core, gateway = (lab.plan.nodes[name].loopback(family) for name in ("core", "gw"))
    assert core is not None
    assert gateway is not None
    done = lab.run("core", [sys.executable, "-c", CONNECT, str(gateway.ip), "22", str(core.ip)])
    assert done.stdout == "refused\n", done.stderr


@pytest.mark.lab
def test_a_user_cannot_log_in(lab: Lab) -> None:
    """Neither a user of ours nor a customer is on the management plane."""
    gateway = lab.plan.nodes["gw"].loopback(4)
    assert gateway is not None
    source = str(lab.plan.nodes["customer-shop"].loopbacks[0].ip)
    done = lab.run("customer-shop", [sys.executable, "-c", CONNECT, str(gateway.ip), "22", source])
    assert done.stdout == "silence\n", done.stderr
