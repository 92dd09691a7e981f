"""What differs between the nodes of a containerlab topology, and between versions of containerlab: two tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from resilience.model.network import Platform
from resilience.model.plan import Node, Role

IMAGE: Final = "netresilience/router:1"
"""Built by `simulations/images/build`; FRR and BIRD are both in it."""


class Dialect(StrEnum):
    """Which containerlab reads a topology file: from this version up to 0.79 at least."""

    BROAD = "0.40"
    """What every version since 0.40 reads. Containers are privileged, since nothing else could be said then."""
    STRICT = "0.78"
    """Containers with a few capabilities instead of every privilege; no restarts, no management network."""


@dataclass(frozen=True, slots=True)
class NodeKind:
    """How one sort of node is written."""

    kind: str
    """containerlab's word for it."""
    group: str
    """The heading under which it stands in containerlab's inventories and pictures."""
    files: bool
    """It is brought up from a folder of files."""


_KINDS: Final[Mapping[str, NodeKind]] = {
    "frr": NodeKind("linux", "frr", files=True),
    "bird": NodeKind("linux", "bird", files=True),
    "host": NodeKind("linux", "host", files=True),
    # A container that is a bridge itself. containerlab's own kind `bridge` needs a bridge on the machine, or 0.69 for
    # one in a namespace, and Clabernetes refuses it.
    "switch": NodeKind("linux", "switch", files=True),
}

CAPABILITIES: Final = ("NET_ADMIN", "NET_RAW", "NET_BROADCAST", "SYS_ADMIN")
"""What routing daemons and nftables need beyond what Docker gives everybody: BIRD keeps the first three when it becomes
its own user and ends when it may not; zebra keeps the last."""


def kind_of(node: Node) -> NodeKind:
    """Return how a node is written."""
    if node.role is Role.SWITCH:
        return _KINDS["switch"]
    if node.platform is None:
        return _KINDS["host"]
    return _KINDS[{Platform.FRR: "frr", Platform.BIRD: "bird"}[node.platform]]


def node_keys(dialect: Dialect) -> dict[str, object]:
    """Return the keys that every node has in a dialect."""
    keys: dict[str, object] = {"image-pull-policy": "IfNotPresent", "network-mode": "none"}
    if dialect is Dialect.STRICT:
        # A router that Docker restarts after a crash would have lost its cables and would falsify a drill.
        keys |= {"restart-policy": "no", "privileged": False, "cap-add": list(CAPABILITIES)}
    return keys


def management(dialect: Dialect) -> dict[str, object]:
    """Return the block `mgmt`: no node has a management port, so that nothing leads around a failure."""
    return {"skip-when-unused": True} if dialect is Dialect.STRICT else {}
