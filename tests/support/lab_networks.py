"""Networks for the lab's tests, and what those tests do to nodes."""

from __future__ import annotations

import socket
from pathlib import Path

from resilience.intent import read_intent
from resilience.lab import Lab
from resilience.lab.netns import socket_in
from resilience.model.configs import Configs
from resilience.model.plan import Plan
from resilience.plan import make_plan, read_numbers
from resilience.render import render_configs

SMALL = """
network: small-lab
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
sites:
  north: {}
  south: {}
routers:
  r1: {site: north, platform: frr}
  r2: {site: south, platform: bird}
links:
  - {between: [r1, r2]}
providers:
  alpha: {asn: 64496}
  beta: {asn: 64497}
uplinks:
  west: {router: r1, provider: alpha, rank: 1, bfd: {interval: 100ms, multiplier: 3}}
  east: {router: r2, provider: beta, rank: 2}
exchanges:
  mlix:
    ports: [{router: r1, address: [203.0.113.10/24, "2001:db8:203::10/64"]}]
    route_servers: [{asn: 64503, address: [203.0.113.1, "2001:db8:203::1"]}]
services:
  shop: {at: north, address: [198.51.100.80, "2001:db8:6400:80::1"], tcp: 443}
  clock: {at: south, address: [198.51.100.123], udp: 123}
  page: {at: south, address: [198.51.100.81], http: 80}
  names: {at: [north, south], address: [198.51.100.53], dns: mali.example}
"""
"""Both platforms, every kind of segment, every kind of listener."""

TINY = """
network: tiny-lab
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: bird}
providers:
  alpha: {asn: 64496}
uplinks:
  fibre: {router: gw, provider: alpha}
"""
"""Starts fast: everything runs on BIRD."""


def plan_from(text: str, folder: Path) -> tuple[Plan, Configs]:
    """Return the plan and configurations of an intent, written into `folder`; numbers that lie there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.yaml").write_text(text, encoding="utf-8")
    plan, _ = make_plan(read_intent(folder), read_numbers(folder))
    return plan, render_configs(plan)


def can_ping(lab: Lab, node: str, address: object) -> bool:
    """Say whether one of three echo requests is answered; they leave 0.2 s apart."""
    return lab.run(node, ["ping", "-n", "-q", "-c3", "-i0.2", "-W0.3", str(address)]).exit_code == 0


def far_address(plan: Plan, node: str, interface: str, family: int) -> str:
    """Return the address at the other end of a cable."""
    other, port = plan.other_end(node, interface)
    address = plan.nodes[other].interface(port).address(family)
    assert address is not None
    return str(address.ip)


def is_delivered(lab: Lab, sender: str, receiver: str, address: str, port: int = 9_999) -> bool:
    """Say whether at least one of three datagrams arrives; nothing is sent back."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket_in(lab.namespace(receiver), family, socket.SOCK_DGRAM) as ear,
        socket_in(lab.namespace(sender), family, socket.SOCK_DGRAM) as mouth,
    ):
        ear.bind((address, port))
        ear.settimeout(0.3)
        for _ in range(3):
            mouth.sendto(b"?", (address, port))
            try:
                ear.recv(16)
            except TimeoutError:
                continue
            return True
    return False
