"""Internet exchange points: the LAN, our ports, route servers (RFC 7947), bilateral peers and ordinary members."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_interface

from resilience.model.network import Bfd, Exchange, IPAddress, IPNetwork, Peer, Port, Position, RouteServer, SecretRef
from resilience.model.plan import (
    Address,
    BgpRole,
    Interface,
    InterfaceKind,
    Node,
    Origin,
    Provenance,
    Role,
    Session,
    SessionEnd,
    SessionKind,
)
from resilience.model.policy import Relation
from resilience.plan.borders import (
    CONNECT_RETRY_EBGP_MS,
    has_bgp_customers,
    is_draining,
    pick,
    raw_for,
    report_missing,
    router_drains,
    site_number,
    surroundings,
)
from resilience.plan.draft import LAB_ORIGIN, Draft, name_interface, short_interface
from resilience.plan.numbers import host_of
from resilience.plan.policies import identifier, outside_export, peer_import, prefix_list, route_server_import
from resilience.plan.world import CONNECT_RETRY_MS, OUTSIDE_HOLD_MS, Stance, add_as, add_world_host, connect, world_end

_MOST_FROM_PEER = {4: 5_000, 6: 2_000}
_MOST_FROM_ROUTE_SERVER = {4: 300_000, 6: 100_000}
_LAN_LENGTH = {4: 24, 6: 64}
_LAN_HOSTS = {4: range(10, 250), 6: range(0x1000, 0xFFFF)}
ORDINARY_MEMBERS = 3


@dataclass(frozen=True, slots=True)
class _Party:
    """Somebody on the LAN."""

    node: str
    label: str
    interface: Interface


@dataclass(frozen=True, slots=True)
class _Lan:
    """A LAN in the making: its network per family, and whether the families were made for labs."""

    exchange: Exchange
    networks: dict[int, IPNetwork]

    @property
    def switch(self) -> str:
        return f"exchange-{self.exchange.name}"


def plan_exchange(draft: Draft, exchange: Exchange) -> None:
    """Connect our ports, the route servers and the other members to one LAN."""
    lan = _Lan(exchange, {family: _lan_network(draft, exchange, family) for family in draft.families})
    draft.add_node(Node(name=lan.switch, role=Role.SWITCH, title=f"the LAN of {exchange.name}"))
    _reserve_lan(draft, lan)
    ports = [_our_port(draft, lan, port) for port in exchange.ports]
    servers = [
        (server, _route_server(draft, lan, server, index)) for index, server in enumerate(exchange.route_servers, 1)
    ]
    for server, party in servers:
        for port, near in zip(exchange.ports, ports, strict=True):
            _route_server_sessions(draft, lan, server, party, port, near)
    for label, peer in exchange.peers.items():
        _plan_peer(draft, lan, label, peer, ports)
    if not exchange.peers:
        _plan_members(draft, lan, [party for _, party in servers])


def _lan_network(draft: Draft, exchange: Exchange, family: int) -> IPNetwork:
    stated = next((a.network for port in exchange.ports for a in port.addresses if a.version == family), None)
    if stated is not None:
        return stated
    net, _ = draft.allocator.give_network(
        f"exchange {exchange.name} ipv{family}", draft.pools.circuits[family], _LAN_LENGTH[family]
    )
    return net


def _reserve_lan(draft: Draft, lan: _Lan) -> None:
    """Keep every stated address of the LAN from being given to a member that labs make up."""
    exchange = lan.exchange
    stated = [a.ip for port in exchange.ports for a in port.addresses]
    stated += [a for server in exchange.route_servers for a in server.addresses]
    stated += [a for peer in exchange.peers.values() for a in peer.addresses]
    for address in stated:
        net = lan.networks.get(address.version)
        if net is not None and address in net:
            offset = int(address) - int(net.network_address)
            draft.allocator.reserve_integer(f"lan{address.version}-{exchange.name}", offset)


def _lan_address(draft: Draft, lan: _Lan, label: str, family: int, stated: IPAddress | None, at: Position) -> Address:
    net = lan.networks[family]
    if stated is not None:
        return Address(interface=ip_interface(f"{stated}/{net.prefixlen}"), origin=Origin(Provenance.STATED, at))
    offset = draft.allocator.give_integer(f"lan{family}-{lan.exchange.name}", label, (_hosts_of(net),))
    return Address(interface=ip_interface(f"{host_of(net, offset)}/{net.prefixlen}"), origin=LAB_ORIGIN)


def _hosts_of(net: IPNetwork) -> range:
    wanted = _LAN_HOSTS[net.version]
    return wanted if net.num_addresses > wanted.stop else range(1, int(net.num_addresses) - 1)


def _join(
    draft: Draft, lan: _Lan, node: str, label: str, interface: Interface, element: str, capacity: int | None = None
) -> _Party:
    """Cable a party to the switch."""
    plug = Interface(
        name=short_interface("p", label),
        kind=InterfaceKind.OUTSIDE,
        segment=interface.segment,
        peer=node,
        element=element,
    )
    draft.cable(interface.segment, (node, interface), (lan.switch, plug), capacity_bps=capacity)
    return _Party(node, label, interface)


def _our_port(draft: Draft, lan: _Lan, port: Port) -> _Party:
    name = lan.exchange.name
    addresses = []
    for family in draft.families:
        stated = next((a.ip for a in port.addresses if a.version == family), None)
        if stated is None:
            report_missing(
                draft,
                port.router,
                f"port {port.name}",
                f"our IPv{family} address on the LAN",
                f"ask {name} for the port's IPv{family} address and write it as `address:`",
                port.at if port.at.line else lan.exchange.at,
            )
        addresses.append(_lan_address(draft, lan, port.router, family, stated, port.at))
    interface_name, physical = name_interface(port.interface, port.vlan, short_interface("ix", name))
    interface = Interface(
        name=interface_name,
        port=physical,
        kind=InterfaceKind.PORT,
        segment=f"port-{port.name}",
        peer=name,
        addresses=tuple(addresses),
        mtu=port.mtu,
        vlan=port.vlan,
        element=f"port {port.name}",
    )
    return _join(draft, lan, port.router, port.router, interface, f"port {port.name}", port.capacity_bps)


def _stranger(
    draft: Draft,
    lan: _Lan,
    node: str,
    label: str,
    stated: tuple[IPAddress, ...],
    families: tuple[int, ...],
    at: Position,
) -> _Party:
    """Connect somebody else to the LAN."""
    addresses = [_lan_address(draft, lan, label, family, pick(stated, family), at) for family in families]
    interface = Interface(
        name=short_interface("ix", lan.exchange.name),
        kind=InterfaceKind.OUTSIDE,
        segment=f"port-{lan.exchange.name}-{label}",
        peer=lan.exchange.name,
        addresses=tuple(addresses),
    )
    return _join(draft, lan, node, label, interface, "")


def _route_server(draft: Draft, lan: _Lan, server: RouteServer, index: int) -> _Party:
    name = f"rs-{lan.exchange.name}-{index}"
    add_as(draft, name, Role.ROUTE_SERVER, f"route server {server.name}", asn=server.asn, prefixes=False)
    at = server.at if server.at.line else lan.exchange.at
    for family in draft.families:
        if pick(server.addresses, family) is None:
            for port in lan.exchange.ports:
                report_missing(
                    draft,
                    port.router,
                    f"route-server {server.name}",
                    f"its IPv{family} address",
                    f"ask {lan.exchange.name} for it and write it as `address:`",
                    at,
                )
    return _stranger(draft, lan, name, f"rs-{index}", server.addresses, draft.families, at)


def _route_server_sessions(
    draft: Draft, lan: _Lan, server: RouteServer, party: _Party, port: Port, near: _Party
) -> None:
    drains = _drains(draft, lan, port.router, f"route-server {server.name}")
    for family in draft.families:
        ours = _our_end(draft, lan, near, family, f"{server.name}_{port.router}", None, None, drains)
        ours = replace(
            ours,
            bfd=server.bfd,
            hold_ms=server.hold_ms or OUTSIDE_HOLD_MS,
            ttl_security=server.ttl_security,
            password=server.password,
            raw=raw_for(draft, port.router, server.raw),
        )
        theirs = _server_end(draft, party, family, server.bfd, server.hold_ms, server.password)
        theirs = replace(theirs, ttl_security=server.ttl_security)
        draft.sessions.append(
            Session(
                name=f"{server.name}-{port.router}-ipv{family}",
                family=family,
                kind=SessionKind.ROUTE_SERVER,
                ends=(ours, theirs),
                element=f"route-server {server.name}",
                assigned=_assigned(near.interface, party.interface, family),
            )
        )


def _assigned(near: Interface, far: Interface, family: int) -> Provenance:
    origins = {a.origin.provenance for i in (near, far) for a in i.addresses if a.ip.version == family}
    return Provenance.LAB if Provenance.LAB in origins else Provenance.STATED


def _drains(draft: Draft, lan: _Lan, router: str, *elements: str) -> bool:
    name = lan.exchange.name
    return is_draining(draft, f"exchange {name}", f"port {name}-{router}", *elements) or router_drains(draft, router)


def _our_end(
    draft: Draft,
    lan: _Lan,
    near: _Party,
    family: int,
    label: str,
    neighbor_as: int | None,
    prefixes: str | None,
    drains: bool,
) -> SessionEnd:
    """Return our end of a session over a LAN, with its policies; `neighbor_as` None: a route server."""
    network = draft.network
    suffix = identifier(f"{label}_ipv{family}")
    site = site_number(draft, near.node)
    around = surroundings(draft)
    if neighbor_as is None:
        imports = route_server_import(
            f"import_{suffix}",
            family,
            asn=network.asn,
            lan=lan.networks[family],
            site=site,
            around=around,
            draining=drains,
        )
    else:
        imports = peer_import(
            f"import_{suffix}",
            family,
            asn=network.asn,
            neighbor_as=neighbor_as,
            site=site,
            around=around,
            prefixes=prefixes,
            draining=drains,
        )
    exports = outside_export(
        f"export_{suffix}", family, asn=network.asn, draining=drains, has_customers=has_bgp_customers(draft)
    )
    draft.nodes[near.node].policies += [imports, exports]
    most = _MOST_FROM_ROUTE_SERVER if neighbor_as is None else _MOST_FROM_PEER
    return SessionEnd(
        node=near.node,
        asn=network.asn,
        address=_ip(near.interface, family),
        interface=near.interface.name,
        role=BgpRole.RS_CLIENT if neighbor_as is None else BgpRole.PEER,
        import_policy=imports.name,
        export_policy=exports.name,
        connect_retry_ms=CONNECT_RETRY_EBGP_MS,
        maximum_prefixes=most[family],
        draining=drains,
    )


def _ip(interface: Interface, family: int) -> IPAddress:
    address = interface.address(family)
    if address is None:
        raise KeyError(f"{interface.name} has no IPv{family} address")
    return address.ip


def _server_end(
    draft: Draft, party: _Party, family: int, bfd: Bfd | None, hold_ms: int | None, password: SecretRef | None
) -> SessionEnd:
    return SessionEnd(
        node=party.node,
        asn=draft.nodes[party.node].base.asn or 0,
        address=_ip(party.interface, family),
        interface=party.interface.name,
        role=BgpRole.RS_SERVER,
        hold_ms=hold_ms or OUTSIDE_HOLD_MS,
        connect_retry_ms=CONNECT_RETRY_MS,
        bfd=bfd,
        password=password,
        route_server=True,
    )


def _plan_peer(draft: Draft, lan: _Lan, label: str, peer: Peer, ports: list[_Party]) -> None:
    """Connect a declared peer: a bilateral session with each of our ports, transit elsewhere."""
    name = f"peer-{lan.exchange.name}-{label}"
    stated = tuple(sorted({a.version for a in peer.addresses} & set(draft.families)))
    families = stated or draft.families
    if not stated:
        for port in ports:
            report_missing(
                draft,
                port.node,
                f"peer {lan.exchange.name}-{label}",
                "its address on the LAN",
                f"ask {label} for it and write it as `address:`",
                peer.at,
            )
    node = add_as(draft, name, Role.MEMBER, f"{label} at {lan.exchange.name}", asn=peer.asn, prefixes=not peer.prefixes)
    for prefix in peer.prefixes:
        node.anchor(prefix)
    party = _stranger(draft, lan, name, label, peer.addresses, families, peer.at)
    connect(draft, name, "transit-1", Relation.PROVIDER)
    add_world_host(draft, name, f"{name}-user", f"a user of {label}")
    for port in ports:
        for family in families:
            _peer_session(draft, lan, peer, party, port, family)


def _peer_session(draft: Draft, lan: _Lan, peer: Peer, party: _Party, port: _Party, family: int) -> None:
    label = party.label
    element = f"peer {lan.exchange.name}-{label}"
    listed = None
    if any(prefix.version == family for prefix in peer.prefixes):
        listed = identifier(f"peer_{lan.exchange.name}_{label}_{family}")
        draft.nodes[port.node].prefix_lists[listed] = prefix_list(listed, family, peer.prefixes)
    drains = _drains(draft, lan, port.node, element)
    ours = _our_end(draft, lan, port, family, f"{lan.exchange.name}_{label}_{port.node}", peer.asn, listed, drains)
    ours = replace(
        ours,
        bfd=peer.bfd,
        hold_ms=peer.hold_ms or ours.hold_ms,
        ttl_security=peer.ttl_security,
        password=peer.password,
        maximum_prefixes=peer.maximum_prefixes.get(family, max(_MOST_FROM_PEER[family], 2 * len(peer.prefixes))),
        raw=raw_for(draft, port.node, peer.raw),
    )
    theirs = world_end(draft, party.node, party.interface, family, Stance(Relation.PEER), port.node)
    theirs = replace(theirs, bfd=peer.bfd, hold_ms=ours.hold_ms, ttl_security=peer.ttl_security, password=peer.password)
    draft.sessions.append(
        Session(
            name=f"{lan.exchange.name}-{label}-{port.node}-ipv{family}",
            family=family,
            kind=SessionKind.PEER,
            ends=(ours, theirs),
            element=element,
            assigned=_assigned(port.interface, party.interface, family),
        )
    )


def _plan_members(draft: Draft, lan: _Lan, servers: list[_Party]) -> None:
    """Make three ordinary members: on the route servers with transit elsewhere, on them only, and not on them at all.

    The third peers with the first only and buys transit; we reach it through our providers.
    """
    parties = []
    for index in range(1, ORDINARY_MEMBERS + 1):
        name = f"member-{lan.exchange.name}-{index}"
        add_as(draft, name, Role.MEMBER, f"member {index} of {lan.exchange.name}")
        add_world_host(draft, name, f"{name}-user", f"a user of member {index} of {lan.exchange.name}")
        parties.append(_stranger(draft, lan, name, f"member-{index}", (), draft.families, lan.exchange.at))
    connect(draft, parties[0].node, "transit-1", Relation.PROVIDER)
    connect(draft, parties[2].node, "transit-2", Relation.PROVIDER)
    for number, server in enumerate(servers, 1):
        for party in parties[:2]:
            for family in draft.families:
                ends = (
                    world_end(draft, party.node, party.interface, family, Stance(Relation.ROUTE_SERVER), server.node),
                    _server_end(draft, server, family, None, None, None),
                )
                _outside_session(draft, f"outside-{lan.exchange.name}-rs{number}-{party.label}", family, ends)
    for family in draft.families:
        first, third = parties[0], parties[2]
        ends = (
            world_end(draft, first.node, first.interface, family, Stance(Relation.PEER), third.node),
            world_end(draft, third.node, third.interface, family, Stance(Relation.PEER), first.node),
        )
        _outside_session(draft, f"outside-{lan.exchange.name}-{first.label}-{third.label}", family, ends)


def _outside_session(draft: Draft, name: str, family: int, ends: tuple[SessionEnd, SessionEnd]) -> None:
    draft.sessions.append(Session(name=f"{name}-ipv{family}", family=family, kind=SessionKind.OUTSIDE, ends=ends))


def exchange_members(draft_nodes: Iterator[str], exchange: str) -> tuple[str, ...]:
    """Return the hosts of the members that we reach over an exchange."""
    wanted = []
    for name in draft_nodes:
        ordinary = name.startswith(f"member-{exchange}-") and name.endswith("-user")
        declared = name.startswith(f"peer-{exchange}-") and name.endswith("-user")
        if declared or (ordinary and name != f"member-{exchange}-{ORDINARY_MEMBERS}-user"):
            wanted.append(name)
    return tuple(wanted)
