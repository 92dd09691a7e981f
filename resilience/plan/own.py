"""The declared network's inside: routers, links, iBGP, and the hosts behind the routers."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_interface
from itertools import combinations

from resilience.model.network import Bfd, Customer, IPAddress, IPInterface, IPNetwork, Link, Position, Router, Service
from resilience.model.plan import (
    Address,
    Interface,
    InterfaceKind,
    Listener,
    ListenerKind,
    NextHop,
    Node,
    Origin,
    Origination,
    OspfInterface,
    Provenance,
    Role,
    RouteUse,
    Session,
    SessionEnd,
    SessionKind,
    SourceFilter,
    StaticRoute,
)
from resilience.plan.draft import DERIVED, Draft, name_interface, short_interface
from resilience.plan.numbers import host_of
from resilience.plan.policies import ibgp_drain_export

IBGP_BFD = Bfd(interval_ms=1000, multiplier=3)
"""Slower than the links': a link's failure must be repaired by OSPF before it can end an iBGP session."""
_FULL_MESH = 8
_REFLECTORS = 2
_CONNECT_RETRY_IBGP_MS = 1_000
_REFERENCE_BPS = 100_000_000_000
_DEFAULT_BPS = 10_000_000_000
_OSPF_MAXIMUM = 65_535
_DNS_PORT, _HTTP_PORT = 53, 80


def plan_routers(draft: Draft) -> None:
    """Give every router of ours its loopbacks and identity."""
    network = draft.network
    chosen = _choose_reflectors(draft)
    for router in network.routers.values():
        loopbacks = [_loopback(draft, router, family) for family in (4, 6) if _wants_loopback(draft, family)]
        router_id = next(address.ip for address in loopbacks if address.ip.version == 4)
        node = draft.add_node(
            Node(
                name=router.name,
                role=Role.ROUTER,
                managed=True,
                platform=router.platform,
                site=router.site,
                asn=network.asn,
                router_id=router_id,
                cluster_id=router_id if router.name in chosen else None,
                multipath=8,
                ospf=len(network.routers) > 1,
                rpki=network.rpki,
                raw=router.raw,
                draining=f"router {router.name}" in draft.draining or f"site {router.site}" in draft.draining,
            )
        )
        node.loopbacks += [a for a in loopbacks if a.ip.version == 4 or 6 in draft.families]


def _wants_loopback(draft: Draft, family: int) -> bool:
    return family == 4 or family in draft.families


def _loopback(draft: Draft, router: Router, family: int) -> Address:
    stated = next((address for address in router.loopbacks if address.version == family), None)
    if stated is not None:
        return Address(interface=ip_interface(stated), origin=Origin(Provenance.STATED, router.at))
    length = 32 if family == 4 else 128
    key = f"router {router.name} loopback{family}"
    net, locked = draft.allocator.give_network(key, draft.pools.loopbacks[family], length)
    return Address(interface=ip_interface(net.network_address), origin=_origin(locked))


def _origin(locked: bool) -> Origin:
    return Origin(Provenance.LOCKED) if locked else DERIVED


def _choose_reflectors(draft: Draft) -> frozenset[str]:
    """Return the route reflectors: none while a full mesh is small, else the best connected routers of two sites.

    The choice is locked: another link must not move it.
    """
    routers = draft.network.routers
    if len(routers) <= _FULL_MESH:
        return frozenset()
    degree = {name: sum(name in link.ends for link in draft.network.links.values()) for name in routers}
    wanted: list[str] = []
    for name in sorted(routers, key=lambda n: (-degree[n], n)):
        if all(routers[name].site != routers[other].site for other in wanted):
            wanted.append(name)
    wanted += [name for name in sorted(routers) if name not in wanted]
    chosen = [
        draft.allocator.give_choice(f"reflector {index + 1} router", name)
        for index, name in enumerate(wanted[:_REFLECTORS])
    ]
    kept = [name for name in chosen if name in routers]
    kept += [name for name in wanted if name not in kept]
    return frozenset(kept[:_REFLECTORS])


def plan_links(draft: Draft) -> None:
    """Cable our routers to each other, with OSPF and BFD."""
    for link in draft.network.links.values():
        ends = [_link_end(draft, link, index) for index in (0, 1)]
        draft.cable(
            f"link-{link.name}", (link.ends[0], ends[0]), (link.ends[1], ends[1]), capacity_bps=link.capacity_bps
        )


def _link_end(draft: Draft, link: Link, index: int) -> Interface:
    near, far = link.ends[index], link.ends[1 - index]
    element = f"link {link.name}"
    cost = link.cost or max(1, _REFERENCE_BPS // (link.capacity_bps or _DEFAULT_BPS))
    if element in draft.draining:
        cost = _OSPF_MAXIMUM
    name, port = name_interface(link.interfaces.get(near), link.vlan, short_interface("ln", _link_label(link, far)))
    return Interface(
        name=name,
        port=port,
        kind=InterfaceKind.LINK,
        segment=f"link-{link.name}",
        peer=far,
        addresses=tuple(_link_address(draft, link, near, index, family) for family in draft.families),
        mtu=link.mtu,
        vlan=link.vlan,
        ospf=OspfInterface(cost=min(cost, _OSPF_MAXIMUM)),
        bfd=link.bfd,
        element=element,
    )


def _link_label(link: Link, far: str) -> str:
    """Return the far router's name; with its number for a second parallel link, the link's own name if it has one."""
    derived = "-".join(link.ends)
    if link.name == derived:
        return far
    if link.name.startswith(f"{derived}-"):
        return f"{far}-{link.name.removeprefix(f'{derived}-')}"
    return link.name


def _link_address(draft: Draft, link: Link, near: str, index: int, family: int) -> Address:
    stated = next((a for a in link.addresses.get(near, ()) if a.version == family), None)
    if stated is not None:
        return Address(interface=stated, origin=Origin(Provenance.STATED, link.at))
    return give_pair(draft, f"link {link.name} ipv{family}", family)[index]


def give_pair(draft: Draft, key: str, family: int) -> tuple[Address, Address]:
    """Return the two addresses of a point-to-point link out of our own pool (RFC 3021, RFC 6164)."""
    net, locked = draft.allocator.give_network(key, draft.pools.links[family], draft.pools.link_length(family))
    return pair_of(net, _origin(locked))


def pair_of(net: IPNetwork, origin: Origin) -> tuple[Address, Address]:
    """Return the first two addresses of a link's network."""
    length = 31 if net.version == 4 else 127
    first, second = (ip_interface(f"{host_of(net, index)}/{length}") for index in (0, 1))
    return Address(interface=first, origin=origin), Address(interface=second, origin=origin)


def plan_ibgp(draft: Draft) -> None:
    """Connect our routers' loopbacks: a full mesh, or clients to reflectors and the reflectors to each other."""
    routers = [draft.nodes[name] for name in draft.network.routers]
    reflectors = {node.base.name for node in routers if node.base.cluster_id is not None}
    for first, second in combinations(sorted(node.base.name for node in routers), 2):
        if reflectors and not {first, second} & reflectors:
            continue
        for family in draft.families:
            ends = tuple(
                _ibgp_end(draft, near, far, family, reflectors) for near, far in ((first, second), (second, first))
            )
            draft.sessions.append(
                Session(
                    name=f"ibgp-{first}-{second}-ipv{family}",
                    family=family,
                    kind=SessionKind.IBGP,
                    ends=(ends[0], ends[1]),
                )
            )


def _ibgp_end(draft: Draft, near: str, far: str, family: int, reflectors: set[str]) -> SessionEnd:
    node = draft.nodes[near]
    export = None
    if node.base.draining:
        export = f"drain_ibgp_ipv{family}"
        if all(policy.name != export for policy in node.policies):
            node.policies.append(ibgp_drain_export(export, family))
    return SessionEnd(
        node=near,
        asn=draft.network.asn,
        address=next(a.ip for a in node.loopbacks if a.ip.version == family),
        interface=None,
        export_policy=export,
        connect_retry_ms=_CONNECT_RETRY_IBGP_MS,
        bfd=IBGP_BFD,
        next_hop_self=True,
        route_reflector_client=near in reflectors and far not in reflectors,
        add_path=near in reflectors and far not in reflectors,
        draining=node.base.draining,
    )


def plan_hosts(draft: Draft) -> None:
    """Put an ordinary user at every site that has a router, and every service at its sites."""
    sites: dict[str, list[str]] = {}
    for router in draft.network.routers.values():
        sites.setdefault(router.site, []).append(router.name)
    _reserve_stated_hosts(draft)
    for site, routers in sites.items():
        addresses = [_host_address(draft, f"user {site}", family) for family in draft.families]
        node = Node(name=f"user-{site}", role=Role.HOST, site=site, title=f"an ordinary user at {site}")
        add_host(draft, node, addresses, routers, "us", f"user-{site}")
    for service in draft.network.services.values():
        addresses = _service_addresses(draft, service)
        listeners = tuple(listener for a in addresses for listener in _listeners(service, a.ip))
        for site in service.sites:
            node = Node(
                name=f"service-{service.name}-{site}",
                role=Role.HOST,
                site=site,
                title=f"{service.name} at {site}",
                listeners=listeners,
            )
            add_host(draft, node, addresses, sites.get(site, []), "sv", f"service-{service.name}-{site}")


def _reserve_stated_hosts(draft: Draft) -> None:
    for service in draft.network.services.values():
        for address in service.addresses:
            draft.allocator.reserve(ip_interface(address).network)
    for customer in draft.network.customers.values():
        for prefix in customer.prefixes:
            draft.allocator.reserve(prefix)
    for prefix in draft.network.prefixes:
        if prefix.version == 4:  # the first and last address of a prefix confuse too much equipment to be hosts
            for address in (prefix.network_address, prefix.broadcast_address):
                draft.allocator.reserve(ip_interface(address).network)


def _host_address(draft: Draft, key: str, family: int) -> Address:
    length = 32 if family == 4 else 128
    if family == 4:
        net, locked = draft.allocator.give_network(f"{key} ipv4", draft.pools.hosts[4], length)
        return Address(interface=ip_interface(net.network_address), origin=_origin(locked))
    net, locked = draft.allocator.give_network(f"{key} ipv6", draft.pools.hosts[6], 64)
    return Address(interface=ip_interface(host_of(net, 1)), origin=_origin(locked))


def _service_addresses(draft: Draft, service: Service) -> list[Address]:
    if service.addresses:
        origin = Origin(Provenance.STATED, service.at)
        return [Address(interface=ip_interface(address), origin=origin) for address in service.addresses]
    return [_host_address(draft, f"service {service.name}", family) for family in draft.families]


def _listeners(service: Service, address: IPAddress) -> list[Listener]:
    found = []
    for kind, port in (
        (ListenerKind.TCP_ECHO, service.tcp),
        (ListenerKind.UDP_ECHO, service.udp),
        (ListenerKind.HTTP, service.http),
    ):
        if port is not None:
            found.append(Listener(service=service.name, kind=kind, address=address, port=port))
    if service.dns is not None:
        found.append(
            Listener(service=service.name, kind=ListenerKind.DNS, address=address, port=_DNS_PORT, zone=service.dns)
        )
    return found


def add_host(draft: Draft, node: Node, addresses: list[Address], routers: list[str], prefix: str, label: str) -> None:
    """Hang a host of ours on each of the routers; they announce its addresses inside the AS."""
    host = draft.add_node(node)
    host.loopbacks += addresses
    gateways: dict[int, list[NextHop]] = {4: [], 6: []}
    for router in routers:
        segment = f"{label}-{router}" if len(routers) > 1 else label
        for family, gateway in _cable_host(draft, node.name, addresses, router, prefix, label, segment).items():
            gateways[family].append(gateway)
    for family, next_hops in gateways.items():
        if next_hops:
            host.statics.append(gateway_route(family, tuple(next_hops)))


def gateway_route(family: int, next_hops: tuple[NextHop, ...]) -> StaticRoute:
    """Return a host's default route."""
    everything = ip_interface("0.0.0.0/0" if family == 4 else "::/0").network
    return StaticRoute(prefix=everything, use=RouteUse.GATEWAY, next_hops=next_hops)


def _cable_host(
    draft: Draft, host: str, addresses: list[Address], router: str, prefix: str, label: str, segment: str
) -> dict[int, NextHop]:
    families = sorted({address.ip.version for address in addresses})
    pairs = {family: give_pair(draft, f"host {segment} ipv{family}", family) for family in families}
    near = Interface(
        name=short_interface(prefix, label.split("-", 1)[1]),
        kind=InterfaceKind.HOST,
        segment=segment,
        peer=host,
        addresses=tuple(pairs[family][0] for family in families),
        source_filter=SourceFilter.STRICT,
        source_prefixes=(
            *(address.interface.network for address in addresses),
            *(pairs[family][1].interface.network for family in families),
        ),
    )
    far = Interface(
        name=short_interface("gw", router),
        kind=InterfaceKind.OUTSIDE,
        segment=segment,
        peer=router,
        addresses=tuple(pairs[family][1] for family in families),
    )
    draft.cable(segment, (router, near), (host, far))
    for address in addresses:
        via = NextHop(pairs[address.ip.version][1].ip, near.name)
        attach(draft, router, address.interface.network, via, address.origin)
    return {family: NextHop(pairs[family][0].ip, far.name) for family in families}


def attach(draft: Draft, router: str, prefix: IPNetwork, via: NextHop, origin: Origin) -> None:
    """Let a router lead to something behind it and tell its own AS so."""
    node = draft.nodes[router]
    node.statics.append(StaticRoute(prefix=prefix, use=RouteUse.ATTACHED, next_hops=(via,), origin=origin))
    node.originations.append(Origination(prefix=prefix, own=prefix in draft.network.prefixes))
    node.originated.add(prefix)


def plan_static_customers(draft: Draft) -> None:
    """Connect customers without an AS: a static route to each port, and a filter on what may come from there."""
    for customer in draft.network.customers.values():
        if customer.asn is None:
            _plan_static_customer(draft, customer)


def _plan_static_customer(draft: Draft, customer: Customer) -> None:
    label = f"customer-{customer.name}"
    host = draft.add_node(Node(name=label, role=Role.HOST, title=f"customer {customer.name}"))
    origin = Origin(Provenance.STATED, customer.at)
    for prefix in customer.prefixes:
        index = 1 if prefix.num_addresses > 2 else 0
        host.loopbacks.append(Address(interface=ip_interface(host_of(prefix, index)), origin=origin))
    families: list[int] = sorted({prefix.version for prefix in customer.prefixes})
    gateways: dict[int, list[NextHop]] = {4: [], 6: []}
    for router in customer.routers:
        pairs = {family: _customer_pair(draft, customer, router, family) for family in families}
        near, far = customer_interfaces(customer, router, label, pairs, strict=len(customer.routers) == 1)
        draft.cable(f"{label}-{router}", (router, near), (label, far), capacity_bps=customer.capacity_bps)
        for prefix in customer.prefixes:
            attach(draft, router, prefix, NextHop(pairs[prefix.version][1].ip, near.name), origin)
        for family in families:
            gateways[family].append(NextHop(pairs[family][0].ip, far.name))
    for family, next_hops in gateways.items():
        if next_hops:
            host.statics.append(gateway_route(family, tuple(next_hops)))


def _customer_pair(draft: Draft, customer: Customer, router: str, family: int) -> tuple[Address, Address]:
    stated = next((a for a in customer.addresses.get(router, ()) if a.version == family), None)
    if stated is None:
        return give_pair(draft, f"customer {customer.name} {router} ipv{family}", family)
    origin = Origin(Provenance.STATED, customer.at)
    return Address(interface=stated, origin=origin), Address(interface=other_host(stated), origin=DERIVED)


customer_pair = _customer_pair


def customer_interfaces(
    customer: Customer, router: str, node: str, pairs: Mapping[int, tuple[Address, Address]], *, strict: bool
) -> tuple[Interface, Interface]:
    """Return both ends of a customer's circuit. Strict source filter, loose where it is multi-homed (BCP 84)."""
    segment = f"customer-{customer.name}-{router}"
    links = tuple(pair[1].interface.network for pair in pairs.values())
    near = Interface(
        name=customer.interfaces.get(router) or short_interface("cu", customer.name),
        kind=InterfaceKind.CUSTOMER,
        segment=segment,
        peer=node,
        addresses=tuple(pair[0] for pair in pairs.values()),
        source_filter=SourceFilter.STRICT if strict else SourceFilter.LOOSE,
        source_prefixes=(*customer.prefixes, *links),
        element=f"customer {customer.name}",
    )
    far = Interface(
        name=short_interface("up", router),
        kind=InterfaceKind.OUTSIDE,
        segment=segment,
        peer=router,
        addresses=tuple(pair[1] for pair in pairs.values()),
        element=near.element,
    )
    return near, far


def other_host(interface: IPInterface) -> IPInterface:
    """Return the other usable address of a two-host network, else the first usable one that is not ours."""
    net = interface.network
    first = 0 if net.prefixlen == net.max_prefixlen - 1 else 1
    for index in (first, first + 1):
        candidate = host_of(net, index)
        if candidate != interface.ip:
            return ip_interface(f"{candidate}/{net.prefixlen}")
    raise ValueError(f"{interface} leaves no room for another host")


def position_of(at: Position) -> Origin:
    """Return where a stated value stands."""
    return Origin(Provenance.STATED, at)
