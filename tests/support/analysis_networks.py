"""Small networks for the tests of analysis, built from the model's own types."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_interface, ip_network

from resilience.model.network import (
    Bfd,
    Customer,
    Exchange,
    Link,
    Network,
    Objective,
    Peer,
    Platform,
    Port,
    Position,
    Provider,
    Risk,
    Router,
    RouteServer,
    Service,
    Site,
    Uplink,
)
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
    Segment,
    Session,
    SessionEnd,
    SessionKind,
)
from resilience.model.policy import Direction, Match, Policy, Term
from resilience.plan import make_plan

AT = Position("network.yaml", 7)
PREFIXES = (ip_network("198.51.100.0/24"), ip_network("2001:db8:6400::/40"))
ANY_ONE = Objective(keep="internet", whom="customers", during=("any-one-failure",), within_ms=3_000, at=AT, stated=True)


def dual_homed(platform: Platform = Platform.FRR) -> Network:
    """One router, two providers, ranks 1 and 2."""
    return Network(
        name="dual-homed",
        file="network.yaml",
        asn=64500,
        prefixes=PREFIXES,
        sites={"gw": Site(name="gw")},
        routers={"gw": Router(name="gw", site="gw", platform=platform, at=AT)},
        providers={"alpha": Provider(name="alpha", asn=64496, at=AT), "beta": Provider(name="beta", asn=64497, at=AT)},
        uplinks={
            "alpha-fibre": Uplink(name="alpha-fibre", router="gw", provider="alpha", rank=1, at=AT),
            "beta-radio": Uplink(name="beta-radio", router="gw", provider="beta", rank=2, at=AT),
        },
        objectives=(ANY_ONE,),
    )


def two_sites() -> Network:
    """Two routers (FRR, BIRD) at two sites, a link, an uplink each, an exchange, a service and customers."""
    return Network(
        name="two-sites",
        file="network.yaml",
        asn=64500,
        prefixes=PREFIXES,
        risks={"border-west": Risk(name="border-west", title="Western border", at=AT)},
        sites={"north": Site(name="north"), "south": Site(name="south")},
        routers={
            "n1": Router(name="n1", site="north", platform=Platform.FRR, at=AT),
            "s1": Router(name="s1", site="south", platform=Platform.BIRD, at=AT),
        },
        links={"n1-s1": Link(name="n1-s1", ends=("n1", "s1"), capacity_bps=10**10, at=AT)},
        providers={"alpha": Provider(name="alpha", asn=64496, at=AT), "beta": Provider(name="beta", asn=64497, at=AT)},
        uplinks={
            "west": Uplink(name="west", router="n1", provider="alpha", rank=1, capacity_bps=2 * 10**9, at=AT),
            "east": Uplink(name="east", router="s1", provider="beta", rank=2, capacity_bps=10**9, at=AT),
        },
        exchanges={
            "mlix": Exchange(
                name="mlix",
                at=AT,
                ports=(Port(name="mlix-n1", router="n1", at=AT),),
                route_servers=(
                    RouteServer(name="mlix-rs1", asn=64503, at=AT),
                    RouteServer(name="mlix-rs2", asn=64503, at=AT),
                ),
                peers={"university": Peer(name="university", asn=64510, at=AT)},
            )
        },
        customers={
            "bank": Customer(
                name="bank", asn=64511, routers=("n1", "s1"), prefixes=(ip_network("192.0.2.128/25"),), at=AT
            ),
            "clinic": Customer(name="clinic", routers=("s1",), prefixes=(ip_network("198.51.100.64/29"),), at=AT),
        },
        services={
            "money": Service(
                name="money", sites=("south",), addresses=(ip_address("198.51.100.80"),), tcp=443, needs=("dns",), at=AT
            ),
            "dns": Service(
                name="dns", sites=("north", "south"), addresses=(ip_address("198.51.100.53"),), dns="example", at=AT
            ),
        },
        objectives=(
            ANY_ONE,
            replace(ANY_ONE, keep="money", whom="everyone"),
            replace(ANY_ONE, keep="dns", whom="everyone"),
        ),
    )


def plan_of(network: Network) -> Plan:
    """Return the plan of a network without a lock file."""
    return make_plan(network)[0]


def with_bfd(network: Network, bfd: Bfd | None) -> Network:
    """Return the network with BFD agreed on every uplink."""
    return replace(network, uplinks={name: replace(uplink, bfd=bfd) for name, uplink in network.uplinks.items()})


_ORIGIN = 64496
_CIRCLE = {64497: 64498, 64498: 64499, 64499: 64497}
"""Each AS and the neighbour whose way it prefers."""


def circle_of_preferences(preferred: int) -> Plan:
    """Return a plan, made by hand, of one origin and three ASes around it (Griffin and Wilfong's BAD GADGET).

    Each hears of the origin directly and from the other two; the direct way of its clockwise neighbour gets
    `preferred`, everything else the usual 100, and longer ways are refused.
    """
    pairs = [(_ORIGIN, asn) for asn in _CIRCLE] + sorted({tuple(sorted(pair)) for pair in _CIRCLE.items()})
    segments, sessions = {}, []
    interfaces: dict[int, list[Interface]] = {asn: [] for asn in (_ORIGIN, *_CIRCLE)}
    for number, (first, second) in enumerate(pairs):
        name = f"cable-{first}-{second}"
        network = IPv4Network((f"192.0.2.{2 * number}", 31))
        for asn, other, address in ((first, second, network[0]), (second, first, network[1])):
            stands = Address(interface=ip_interface(f"{address}/31"), origin=Origin(Provenance.DERIVED))
            interfaces[asn].append(
                Interface(
                    name=f"to-{other}", kind=InterfaceKind.OUTSIDE, segment=name, peer=str(other), addresses=(stands,)
                )
            )
        segments[name] = Segment(name=name, ends=((f"as-{first}", f"to-{second}"), (f"as-{second}", f"to-{first}")))
        ends = (_gadget_end(first, second, network[0]), _gadget_end(second, first, network[1]))
        sessions.append(Session(name=name, family=4, kind=SessionKind.OUTSIDE, ends=ends))
    nodes = {f"as-{asn}": _gadget_node(asn, tuple(made), preferred) for asn, made in interfaces.items()}
    return Plan(
        network=replace(dual_homed(), objectives=()),
        nodes=nodes,
        segments=segments,
        sessions=tuple(sessions),
        elements={},
        objectives=(),
    )


def _gadget_end(asn: int, other: int, address: IPv4Address) -> SessionEnd:
    policy = f"from_{other}" if asn in _CIRCLE else None
    return SessionEnd(node=f"as-{asn}", asn=asn, address=address, interface=f"to-{other}", import_policy=policy)


def _gadget_node(asn: int, interfaces: tuple[Interface, ...], preferred: int) -> Node:
    originations = (Origination(prefix=PREFIXES[0], own=True),) if asn == _ORIGIN else ()
    return Node(
        name=f"as-{asn}",
        role=Role.TRANSIT,
        platform=Platform.BIRD,
        asn=asn,
        router_id=ip_address(asn),
        interfaces=interfaces,
        originations=originations,
        policies=tuple(
            _gadget_policy(other, preferred if _CIRCLE.get(asn) == other else 100) for other in (_ORIGIN, *_CIRCLE)
        ),
    )


def _gadget_policy(other: int, preference: int) -> Policy:
    terms = (
        Term(name="long", match=Match(path_longer_than=2), accept=False),
        Term(name="rest", accept=True, local_preference=preference),
    )
    return Policy(name=f"from_{other}", family=4, direction=Direction.IMPORT, terms=terms)
