"""What a lab is made of, said to the process that keeps it: a plan reduced to namespaces, cables and programs.

The keeper reads this as JSON, so that it needs to load neither the planner nor the renderer and starts in no time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

BRIDGE_INDEX: Final = 2


@dataclass(frozen=True, slots=True)
class End:
    """One end of a cable."""

    node: int
    name: str
    index: int
    mtu: int


@dataclass(frozen=True, slots=True)
class Program:
    """A daemon with its options."""

    name: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node. `files` are names in its folder; no programs and no files: a switch or a bare host.

    `ssh`: people and tools log in to it as they do to a real router, and change its start-up files.
    """

    name: str
    switch: bool
    programs: tuple[Program, ...]
    files: tuple[str, ...]
    interfaces: tuple[tuple[str, int], ...]
    ssh: bool = False


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """A service in a host."""

    node: int
    kind: str
    address: str
    port: int
    service: str
    zone: str


@dataclass(frozen=True, slots=True)
class LabSpec:
    """A whole lab."""

    nodes: tuple[NodeSpec, ...]
    cables: tuple[tuple[End, End], ...]
    listeners: tuple[ListenerSpec, ...]

    def as_document(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> LabSpec:
        """Read what `as_document` made."""
        return cls(
            nodes=tuple(_node_from_document(node) for node in data["nodes"]),
            cables=tuple((End(**near), End(**far)) for near, far in data["cables"]),
            listeners=tuple(ListenerSpec(**listener) for listener in data["listeners"]),
        )


def _node_from_document(data: Mapping[str, Any]) -> NodeSpec:
    return NodeSpec(
        name=data["name"],
        switch=data["switch"],
        programs=tuple(Program(item["name"], tuple(item["options"])) for item in data["programs"]),
        files=tuple(data["files"]),
        interfaces=tuple((name, index) for name, index in data["interfaces"]),
        ssh=data["ssh"],
    )
