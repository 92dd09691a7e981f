"""The view of a router's packet filter: spoofed sources, transit that nobody bought, and the router's own protection.

The sources are BCP 38 and BCP 84, RFC 6192, and RFC 7454 section 4.

Only interfaces of the plan are filtered, so that a management port which the plan does not know keeps working.
Forwarded packets are never tracked: return traffic may take another way, and a connection table can be filled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from resilience.model.network import IPNetwork, RawPlace
from resilience.model.plan import Interface, InterfaceKind, Neighbor, Node, Plan, SourceFilter
from resilience.plan.pools import make_pools
from resilience.render.banner import banner
from resilience.render.raw import raw_banner, raw_of_router
from resilience.render.text import interface_name

_OUTWARD = (InterfaceKind.UPLINK, InterfaceKind.PORT)


@dataclass(frozen=True, slots=True)
class FirewallSpace:
    """What is the same for every router of a plan, per family."""

    ours: dict[int, tuple[IPNetwork, ...]]
    """Sources that only we may use: our prefixes, and the pools of our routers' own addresses."""
    loopbacks: dict[int, tuple[IPNetwork, ...]]
    """Where the loopbacks come from, which may log in. Circuits to users and customers come from other pools."""
    management: dict[int, tuple[IPNetwork, ...]]
    """From where else people and tools log in, through any interface."""
    reachable: dict[int, tuple[IPNetwork, ...]]
    """Our own and our customers' prefixes: all that anybody at an exchange may send us packets for."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources that may come in through one interface. `connected` is let through before all else."""

    interface: str
    chain: str
    connected4: str
    connected6: str
    strict: bool = False
    loose: bool = False
    outward: bool = False


@dataclass(frozen=True, slots=True)
class FirewallFamily:
    """Named sets of one family, each as the text of its elements; empty: no such set."""

    family: int
    header: str
    type: str
    ours: str
    loopbacks: str
    management: str
    login: str
    """(interface, neighbour) of our own links: who may log in from next door while the IGP is down."""
    reachable: str
    bgp: str
    """(interface, neighbour, own address) of sessions over a cable."""
    bgp_multihop: str
    """(neighbour, own address) of sessions between loopbacks."""
    bfd: str
    bfd_multihop: str
    hops: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallView:
    """All that `templates/linux/nftables.conf.j2` needs."""

    banner: tuple[str, ...]
    raw: tuple[str, ...]
    interfaces: str
    inside: str
    exchange: str
    """Our ports on exchange LANs."""
    igp: str
    igp_bfd: str
    sources: tuple[Sources, ...]
    families: tuple[FirewallFamily, ...]


def firewall_space(plan: Plan) -> FirewallSpace:
    """Compute once what every router's filter shares. Pools, not single addresses: a new link changes no other file."""
    pools = make_pools(plan.network)
    own = plan.network.prefixes
    customers = [prefix for customer in plan.network.customers.values() for prefix in customer.prefixes]
    infrastructure = {family: (*pools.loopbacks[family], *pools.links[family]) for family in (4, 6)}
    return FirewallSpace(
        ours={family: _collapsed((*own, *infrastructure[family]), family) for family in (4, 6)},
        loopbacks={family: _collapsed(pools.loopbacks[family], family) for family in (4, 6)},
        management={family: _collapsed(plan.network.management, family) for family in (4, 6)},
        reachable={family: _collapsed((*own, *customers), family) for family in (4, 6)},
    )


def view_firewall(plan: Plan, node: Node, space: FirewallSpace) -> FirewallView:
    """Return the view of one router's packet filter."""
    around = plan.neighbors(node.name)
    igp = [i for i in node.interfaces if i.ospf is not None and not i.ospf.passive]
    return FirewallView(
        banner=(*banner(node), *raw_banner(node, (), RawPlace.NFTABLES_CONF)),
        raw=raw_of_router(node, RawPlace.NFTABLES_CONF),
        interfaces=_names(node.interfaces),
        inside=_names(i for i in node.interfaces if i.kind is InterfaceKind.LINK),
        exchange=_names(i for i in node.interfaces if i.kind is InterfaceKind.PORT),
        igp=_names(igp),
        igp_bfd=_names(i for i in igp if i.bfd is not None),
        sources=tuple(_all_sources(node, space)),
        families=tuple(_family(around, space, _next_door(plan, node, family), family) for family in (4, 6)),
    )


def _next_door(plan: Plan, node: Node, family: int) -> str:
    """Return (interface, address at its other end) of our links to routers of ours."""
    pairs = []
    for interface in node.interfaces:
        if interface.kind is InterfaceKind.LINK:
            far_node, far_name = plan.other_end(node.name, interface.name)
            address = plan.nodes[far_node].interface(far_name).address(family)
            if address is not None:
                pairs.append(f'"{interface_name(interface.name)}" . {address.ip}')
    return ", ".join(pairs)


def _names(interfaces: Iterable[Interface]) -> str:
    return ", ".join(f'"{interface_name(i.name)}"' for i in interfaces)


def _all_sources(node: Node, space: FirewallSpace) -> Iterator[Sources]:
    for number, interface in enumerate(node.interfaces):
        outward = interface.kind in _OUTWARD
        strict, loose = (interface.source_filter is kind for kind in (SourceFilter.STRICT, SourceFilter.LOOSE))
        if not (outward or strict or loose):
            continue
        connected = [address.interface.network for address in interface.addresses]
        # Towards the outside only a circuit that is numbered from our own space needs the exception.
        allowed = [n for n in connected if any(n.overlaps(o) for o in space.ours[n.version])] if outward else connected
        # Loose: what of a customer's prefixes lies inside ours is still the customer's.
        if strict or loose:
            allowed = [*allowed, *interface.source_prefixes]
        yield Sources(
            interface=interface_name(interface.name),
            chain=f"from_{number}",
            connected4=_elements(_collapsed(allowed, 4)),
            connected6=_elements(_collapsed(allowed, 6)),
            strict=strict,
            loose=loose,
            outward=outward,
        )


def _family(around: tuple[Neighbor, ...], space: FirewallSpace, login: str, family: int) -> FirewallFamily:
    mine = [neighbor for neighbor in around if neighbor.session.family == family]
    with_bfd = [neighbor for neighbor in mine if neighbor.local.bfd is not None]
    version4 = family == 4
    return FirewallFamily(
        family=family,
        header="ip" if version4 else "ip6",
        type="ipv4_addr" if version4 else "ipv6_addr",
        ours=_elements(space.ours[family]),
        loopbacks=_elements(space.loopbacks[family]),
        management=_elements(space.management[family]),
        login=login,
        reachable=_elements(space.reachable[family]),
        bgp=_direct(mine),
        bgp_multihop=_multihop(mine),
        bfd=_direct(with_bfd),
        bfd_multihop=_multihop(with_bfd),
        hops="ttl" if version4 else "hoplimit",
    )


def _direct(around: list[Neighbor]) -> str:
    return ", ".join(
        f'"{n.local.interface}" . {n.remote.address} . {n.local.address}' for n in around if n.local.interface
    )


def _multihop(around: list[Neighbor]) -> str:
    return ", ".join(f"{n.remote.address} . {n.local.address}" for n in around if not n.local.interface)


def _elements(networks: Iterable[IPNetwork]) -> str:
    return ", ".join(map(str, networks))


def _collapsed(networks: Iterable[IPNetwork], family: int) -> tuple[IPNetwork, ...]:
    """Merge networks of one family: nftables refuses a set whose intervals overlap."""
    mine = [network for network in networks if network.version == family]
    if family == 4:
        return tuple(collapse_addresses(n for n in mine if isinstance(n, IPv4Network)))
    return tuple(collapse_addresses(n for n in mine if isinstance(n, IPv6Network)))
