"""Making a lab's network: namespaces, cables and bridges, directly inside each other, never in the host's namespace.

Runs in the keeper. The host is untouched because every netlink socket here is opened inside a namespace of the lab.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from resilience.lab.netlink import CableEnd, Message, Netlink, enslave, new_bridge, new_cable, set_link
from resilience.lab.netns import CLONE_NEWNET, set_namespace, unshare
from resilience.lab.spec import BRIDGE_INDEX, End, LabSpec, NodeSpec

BRIDGE: Final = "br0"
_LOOPBACK_INDEX: Final = 1
_BATCH: Final = 32

_BEFORE_INTERFACES: Final = {
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/dad_transmits": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/default/router_solicitations": "0",
    "ipv6/conf/all/keep_addr_on_down": "1",
    "ipv6/conf/default/keep_addr_on_down": "1",
}
"""A lab's cables are new each time: nobody can have taken an address, and a pulled cable must not cost one."""


def make_namespaces(nodes: tuple[NodeSpec, ...]) -> tuple[int, ...]:
    """Return a descriptor of a new network namespace for each node. The calling thread ends up in the last one."""
    found = []
    for node in nodes:
        unshare(CLONE_NEWNET)
        found.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        for key, value in _BEFORE_INTERFACES.items():
            _write_if_there(Path("/proc/sys/net") / key, value)
        with Netlink() as netlink:
            netlink.request([set_link(_LOOPBACK_INDEX, up=True)])
            if node.switch:
                netlink.request([new_bridge(BRIDGE, BRIDGE_INDEX), set_link(BRIDGE_INDEX, up=True)])
    return tuple(found)


def _write_if_there(path: Path, value: str) -> None:
    if path.exists():
        path.write_text(value, encoding="ascii")


def lay_cables(spec: LabSpec, namespaces: tuple[int, ...]) -> None:
    """Make every cable and plug switches in; interfaces rise when their node starts."""
    with Netlink() as netlink:
        for batch in _batches([new_cable(*(_end(end, namespaces) for end in cable)) for cable in spec.cables]):
            netlink.request(batch)
    for number, node in enumerate(spec.nodes):
        if node.switch:
            set_namespace(namespaces[number])
            with Netlink() as netlink:
                netlink.request([enslave(index, BRIDGE_INDEX) for _, index in node.interfaces])


def _end(end: End, namespaces: tuple[int, ...]) -> CableEnd:
    return CableEnd(namespaces[end.node], end.name, end.index, end.mtu)


def _batches(messages: list[Message]) -> Iterator[list[Message]]:
    for start in range(0, len(messages), _BATCH):
        yield messages[start : start + _BATCH]
