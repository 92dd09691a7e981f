"""A lab that somebody else runs, made up: what its topology file says and what was found in its containers."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_interface
from pathlib import Path

from resilience.attach.kernel import Port
from resilience.attach.survey import Place, Survey
from resilience.attach.topology import LinkEnd, Topology
from resilience.lab.clab.engine import Container
from resilience.model.network import Platform

NOBODY = 2**22 + 1
"""A process number that no kernel gives."""


def make_place(node: str, ports: Mapping[str, tuple[str, ...]], platform: Platform | None = None) -> Place:
    """Return a node with interfaces and their addresses; `eth1=ge-0/0/1` has another name, too."""
    found = []
    for text, addresses in ports.items():
        name, _, alias = text.partition("=")
        found.append(Port(name, (alias,) if alias else (), tuple(map(ip_interface, addresses))))
    return Place(node, Container(node=node, name=f"clab-ring-{node}", pid=NOBODY), tuple(found), platform)


def link(first: str, second: str) -> tuple[LinkEnd, LinkEnd]:
    """Return a link of `node:interface` and `node:interface`."""
    (a, b), (c, d) = first.split(":"), second.split(":")
    return LinkEnd(a, b), LinkEnd(c, d)


RING = Topology(
    file=Path("/somewhere/ring.clab.yml"),
    name="ring",
    nodes=("r1", "r2", "r3", "many", "lan", "ours"),
    links=(
        link("r1:eth1", "r2:eth1"),
        link("r2:eth2", "r3:eth2"),
        link("r1:eth3", "r3:eth3"),
        link("r1:eth4", "r3:eth4"),
        link("r3:eth5", "lan:r3"),
    ),
    elsewhere=(LinkEnd("r3", "eth9"),),
)
"""Three routers in a ring, two cables between r1 and r3, and a LAN that is a bridge of the machine itself."""

PLACES = {
    "r1": make_place(
        "r1",
        {
            "lo": ("127.0.0.1/8", "10.0.0.1/32", "::1/128"),
            "eth0": ("172.20.20.2/24",),
            "eth1": ("10.0.12.1/30",),
            "eth3": ("10.0.13.1/30",),
            "eth4": (),
        },
        Platform.FRR,
    ),
    "r2": make_place("r2", {"lo": ("127.0.0.1/8", "10.0.0.2/32"), "eth1": ("10.0.12.2/30",), "eth2": ()}),
    "r3": make_place(
        "r3",
        {
            "lo": ("127.0.0.1/8", "10.0.0.3/32"),
            "eth2=ge-0/0/2": ("10.0.23.2/30",),
            "eth3": ("10.0.13.2/30", "2001:db8::3/64"),
            "eth4": ("10.0.14.2/30", "2001:db8:4::3/64"),
            "eth5": ("10.0.35.1/30",),
        },
        Platform.BIRD,
    ),
    "many": make_place("many", {"eth1": ("10.7.1.1/24",), "eth2": ("10.7.2.1/24",)}),
}

FOUND = Survey(
    PLACES,
    {"lan": "lan has no container of its own", "ours": "ours has the network of this machine"},
)
