"""Which containers of a lab run, and what is in them. Found by the labels that containerlab gives its containers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Final

from resilience.attach.kernel import Port, read_ports
from resilience.attach.processes import find_daemons, platform_of
from resilience.attach.topology import Topology
from resilience.errors import LabError, UsageError
from resilience.lab.clab.engine import Container, Engine
from resilience.lab.clab.guardian import network_of
from resilience.model.network import IPAddress, Platform

LOOPBACK: Final = "lo"
_MANAGEMENT: Final = "eth0"


@dataclass(frozen=True, slots=True)
class Place:
    """A node that runs: its container, and the network in it."""

    node: str
    container: Container
    ports: tuple[Port, ...]
    platform: Platform | None

    @property
    def network(self) -> Path:
        """The path of its network namespace."""
        return network_of(self.container)

    def port(self, name: str) -> Port | None:
        """Return an interface by its name or by one of its other names."""
        return next((port for port in self.ports if name == port.name or name in port.aliases), None)

    def port_of(self, address: IPAddress) -> Port | None:
        """Return the interface that has an address."""
        return next((port for port in self.ports if any(one.ip == address for one in port.addresses)), None)

    def choices(self, family: int) -> tuple[IPAddress, ...]:
        """Return the addresses that a flow may use without being told: those of the loopback interface, else all.

        Loopback addresses outlive every cable. Those of the management network say nothing about the lab.
        """
        loopback = tuple(one.ip for one in self._addresses(family, only=LOOPBACK))
        return loopback or tuple(one.ip for one in self._addresses(family))

    def _addresses(self, family: int, only: str | None = None) -> Iterator[IPv4Interface | IPv6Interface]:
        for port in self.ports:
            if (port.name == only) if only else (port.name not in {LOOPBACK, _MANAGEMENT}):
                yield from (one for one in port.addresses if one.version == family and not one.ip.is_loopback)


@dataclass(frozen=True, slots=True)
class Survey:
    """What of a lab runs. `missing`: why a node of the file has no place."""

    places: Mapping[str, Place]
    missing: Mapping[str, str] = field(default_factory=dict)


def survey(topology: Topology, engine: Engine) -> Survey:
    """Look at the running lab of a topology file; UsageError when it does not run."""
    containers = engine.containers(topology.name)
    if not any(container.pid for container in containers.values()):
        raise UsageError(
            f"the lab {topology.name} does not run",
            hint=f"`sudo containerlab deploy -t {topology.file}` starts it; `containerlab inspect --all` lists labs",
        )
    places: dict[str, Place] = {}
    missing: dict[str, str] = {}
    for node in topology.nodes:
        # `lan|sw` is a bridge in the container of `sw`.
        container = containers.get(node.rpartition("|")[2])
        why = _unusable(node, container)
        if container is None or why:
            missing[node] = why
        else:
            places[node] = look_at(node, container)
    return Survey(places, missing)


def look_at(node: str, container: Container) -> Place:
    """Return a node as it is now."""
    ports = read_ports(node, network_of(container))
    return Place(node, container, ports, None if "|" in node else platform_of(find_daemons(container.pid)))


def _unusable(node: str, container: Container | None) -> str:
    if container is None:
        return f"{node} has no container of its own"
    if not container.pid:
        return f"the container of {node} does not run"
    if _is_ours(container):
        return f"{node} has the network of this machine"
    return ""


def _is_ours(container: Container) -> bool:
    """Say whether a container's network is that of this machine: what is broken there is broken for everybody."""
    number = _number(network_of(container))
    if not number:
        raise LabError(f"the network of {container.node} cannot be looked at: has its container just ended?")
    return number in {_number(Path("/proc/self/ns/net")), _number(Path("/proc/1/ns/net"))}


def _number(network: Path) -> int:
    """Return the number of a namespace; 0: it has gone, or is not ours to see."""
    try:
        return network.stat().st_ino
    except OSError:
        return 0
