"""Plans of any size without an intent: ASes of one router each, joined by plain sessions of both families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from resilience.model.network import IPNetwork, Network, Platform
from resilience.model.plan import (
    Address,
    Interface,
    InterfaceKind,
    Node,
    Origin,
    Origination,
    Plan,
    Provenance,
    Role,
    RouteUse,
    Segment,
    Session,
    SessionEnd,
    SessionKind,
    StaticRoute,
    index_neighbors,
)

_FIRST_AS = 4_200_000_000
_ORIGIN = Origin(Provenance.DERIVED)
_PREFIXES = {4: ip_network("10.0.0.0/8"), 6: ip_network("3fff::/24")}
_LINKS = {4: ip_network("172.16.0.0/12"), 6: ip_network("2001:db8::/32")}
_PREFIX_LENGTH = {4: 24, 6: 48}
_LINK_LENGTH = {4: 31, 6: 127}


def ring_plan(routers: int) -> Plan:
    """Return a ring of FRR routers, each an AS with a prefix of its own: zebra, bgpd and staticd."""
    cables = [(number, (number + 1) % routers) for number in range(routers)]
    return _plan("ring", dict.fromkeys(range(routers), Platform.FRR), cables)


def country_plan(networks: int, routers: int) -> Plan:
    """Return a country: a ring of FRR routers, hubs on BIRD behind them, twenty-four networks behind each hub."""
    platforms = dict.fromkeys(range(routers), Platform.FRR)
    cables = [(number, (number + 1) % routers) for number in range(routers)]
    hub = 0
    for number in range(routers, routers + networks):
        platforms[number] = Platform.BIRD
        if (number - routers) % 25 == 0:
            hub = number
            cables.append((hub // 25 % routers, hub))
        else:
            cables.append((hub, number))
    return _plan("country", platforms, cables)


def _plan(name: str, platforms: Mapping[int, Platform], cables: list[tuple[int, int]]) -> Plan:
    nodes = {number: _node(number, platform) for number, platform in platforms.items()}
    segments: dict[str, Segment] = {}
    sessions: list[Session] = []
    for index, (near, far) in enumerate(cables):
        segment = f"n{near}-n{far}"
        ends = (_interface(index, segment, far, 0), _interface(index, segment, near, 1))
        for number, end in zip((near, far), ends, strict=True):
            nodes[number] = replace(nodes[number], interfaces=(*nodes[number].interfaces, end))
        segments[segment] = Segment(name=segment, ends=((f"n{near}", ends[0].name), (f"n{far}", ends[1].name)))
        sessions += [_session(segment, family, (near, far), ends) for family in (4, 6)]
    return Plan(
        network=Network(name=name, file=name, asn=_FIRST_AS, prefixes=(_prefix(0, 4), _prefix(0, 6)), lab=True),
        nodes={node.name: node for node in nodes.values()},
        segments=segments,
        sessions=tuple(sessions),
        elements={},
        objectives=(),
        _neighbors=index_neighbors(tuple(sessions)),
    )


def _node(number: int, platform: Platform) -> Node:
    prefixes = [_prefix(number, family) for family in (4, 6)]
    return Node(
        name=f"n{number}",
        role=Role.TRANSIT,
        platform=platform,
        asn=_FIRST_AS + number,
        router_id=ip_address(int(ip_address("10.255.0.0")) + number + 1),
        statics=tuple(StaticRoute(prefix=prefix, use=RouteUse.ANCHOR) for prefix in prefixes),
        originations=tuple(Origination(prefix=prefix, own=True) for prefix in prefixes),
    )


def _prefix(number: int, family: int) -> IPNetwork:
    length = _PREFIX_LENGTH[family]
    pool = _PREFIXES[family]
    return ip_network((int(pool.network_address) + (number << (pool.max_prefixlen - length)), length))


def _interface(index: int, segment: str, other: int, side: int) -> Interface:
    addresses = []
    for family, pool in _LINKS.items():
        step = 1 << (pool.max_prefixlen - (31 if family == 4 else 64))
        address = ip_address(int(pool.network_address) + index * step + side)
        addresses.append(Address(interface=ip_interface(f"{address}/{_LINK_LENGTH[family]}"), origin=_ORIGIN))
    return Interface(
        name=f"o-{other}", kind=InterfaceKind.OUTSIDE, segment=segment, peer=f"n{other}", addresses=tuple(addresses)
    )


def _session(segment: str, family: int, numbers: tuple[int, int], interfaces: tuple[Interface, Interface]) -> Session:
    ends = []
    for number, interface in zip(numbers, interfaces, strict=True):
        address = interface.address(family)
        if address is not None:
            ends.append(
                SessionEnd(
                    node=f"n{number}",
                    asn=_FIRST_AS + number,
                    address=address.ip,
                    interface=interface.name,
                    connect_retry_ms=1_000,
                )
            )
    return Session(name=f"{segment}-ipv{family}", family=family, kind=SessionKind.OUTSIDE, ends=(ends[0], ends[1]))
