"""The view of a node as a Linux machine: addresses, kernel settings, and the same as networkd units.

Neither FRR nor BIRD can set every address, so a router's folder holds them apart, in a form that `ip -batch` takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from resilience.model.network import RawPlace
from resilience.model.plan import FLOATING_TABLE, Address, Interface, Node, Role, RouteUse, StaticRoute
from resilience.render.banner import banner
from resilience.render.raw import raw_banner, raw_of_router
from resilience.render.text import interface_name


@dataclass(frozen=True, slots=True)
class LinuxInterface:
    """One interface. `addresses`: (address with length, `nodad` for IPv6: nobody else can hold it on a cable of ours).

    `device`: the port that carries the VLAN, where the interface is one.
    """

    name: str
    mtu: int
    addresses: tuple[tuple[str, str], ...]
    vlan: int | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class LinuxPort:
    """A port that carries VLANs, and the interfaces on it."""

    name: str
    vlans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinuxRoute:
    """A host's route by hand: next hops as (address, interface); `source`: the host's own address."""

    prefix: str
    hops: tuple[tuple[str, str], ...]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxView:
    """All that `templates/linux` needs, the firewall apart."""

    banner: tuple[str, ...]
    sysctl_banner: tuple[str, ...]
    sysctl_raw: tuple[str, ...]
    router: bool
    loopbacks: tuple[tuple[str, str], ...]
    interfaces: tuple[LinuxInterface, ...]
    ports: tuple[LinuxPort, ...]
    routes: tuple[LinuxRoute, ...]
    floating_ipv6: bool
    """Some floating IPv6 route needs the rule that IPv4 has from the kernel."""
    floating_table: int = FLOATING_TABLE


def view_linux(node: Node) -> LinuxView:
    """Return the view of a router's or host's operating system."""
    return LinuxView(
        banner=banner(node),
        sysctl_banner=raw_banner(node, (), RawPlace.SYSCTL_CONF),
        sysctl_raw=raw_of_router(node, RawPlace.SYSCTL_CONF),
        router=node.role is not Role.HOST,
        loopbacks=tuple(_address(address) for address in node.loopbacks),
        interfaces=tuple(_interface(interface) for interface in node.interfaces),
        ports=_ports(node.interfaces),
        routes=tuple(_route(node, route) for route in node.statics if route.use is RouteUse.GATEWAY),
        floating_ipv6=any(r.table == FLOATING_TABLE and r.prefix.version == 6 for r in node.statics),
    )


def _address(address: Address) -> tuple[str, str]:
    return str(address.interface), " nodad" if address.ip.version == 6 else ""


def _interface(interface: Interface) -> LinuxInterface:
    return LinuxInterface(
        name=interface_name(interface.name),
        mtu=interface.mtu,
        addresses=tuple(_address(address) for address in interface.addresses),
        vlan=interface.vlan,
        device=interface_name(interface.port) if interface.port and interface.vlan is not None else None,
    )


def _ports(interfaces: tuple[Interface, ...]) -> tuple[LinuxPort, ...]:
    carried: dict[str, list[str]] = {}
    for interface in interfaces:
        if interface.port is not None and interface.vlan is not None:
            carried.setdefault(interface_name(interface.port), []).append(interface_name(interface.name))
    return tuple(LinuxPort(port, tuple(vlans)) for port, vlans in carried.items())


def _route(node: Node, route: StaticRoute) -> LinuxRoute:
    loopback = node.loopback(route.prefix.version)
    return LinuxRoute(
        prefix=str(route.prefix),
        hops=tuple((str(hop.address), interface_name(hop.interface)) for hop in route.next_hops),
        source=f" src {loopback.ip}" if loopback else "",
    )
