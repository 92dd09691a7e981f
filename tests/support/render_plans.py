"""A plan by hand, small and without the planner: a business on FRR between two providers on BIRD."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network

from resilience.model.network import Bfd, Network, Platform
from resilience.model.plan import (
    FLOATING_TABLE,
    Address,
    BgpRole,
    Interface,
    InterfaceKind,
    NextHop,
    Node,
    Origin,
    Origination,
    Plan,
    Provenance,
    Role,
    RouteUse,
    Session,
    SessionEnd,
    SessionKind,
    SourceFilter,
    StaticRoute,
    index_neighbors,
)
from resilience.model.policy import AsList, Direction, Match, Policy, PrefixList, PrefixRule, Relation, Term
from resilience.render import render_configs

OURS = (ip_network("198.51.100.0/24"), ip_network("2001:db8:6400::/40"))
EVERYTHING = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
DERIVED = Origin(Provenance.DERIVED)
CIRCUITS = {
    "alpha": {4: ("192.0.2.2/30", "192.0.2.1/30"), 6: ("2001:db8:a::2/64", "2001:db8:a::1/64")},
    "beta": {4: ("192.0.2.6/30", "192.0.2.5/30"), 6: ("2001:db8:b::2/64", "2001:db8:b::1/64")},
}
PROVIDER_AS = {"alpha": 64496, "beta": 64497}


def an_address(text: str) -> Address:
    """Return an address that was derived."""
    return Address(interface=ip_interface(text), origin=DERIVED)


def a_router_id(number: int) -> IPv4Address:
    """Return a router id."""
    return IPv4Address(f"10.255.0.{number}")


def _policies(family: int) -> tuple[Policy, ...]:
    take = Term(
        name="accept",
        accept=True,
        local_preference=200,
        strip_own=True,
        add_large_communities=((64500, 1, int(Relation.PROVIDER)),),
        comment="learned from a provider",
    )
    bogons = Term(name="bogons", match=Match(prefixes=f"bogons_{family}"), accept=False)
    paths = Term(name="bogon_as", match=Match(as_path_has="bogon_as"), accept=False)
    own = Term(
        name="own",
        match=Match(prefixes=f"own_{family}", large_communities=((64500, 1, int(Relation.OWN)),)),
        accept=True,
        strip_own=True,
    )
    return (
        Policy(name=f"import_{family}", family=family, direction=Direction.IMPORT, terms=(bogons, paths, take)),
        Policy(name=f"export_{family}", family=family, direction=Direction.EXPORT, terms=(own,)),
    )


def _lists(family: int) -> tuple[PrefixList, ...]:
    mine = next(prefix for prefix in OURS if prefix.version == family)
    bogon = ip_network("10.0.0.0/8" if family == 4 else "2002::/16")
    return (
        PrefixList(f"own_{family}", family, (PrefixRule(mine, mine.prefixlen, mine.prefixlen),)),
        PrefixList(f"bogons_{family}", family, (PrefixRule(bogon, bogon.prefixlen, bogon.max_prefixlen),)),
    )


def the_gateway(platform: Platform = Platform.FRR) -> Node:
    """Return the router that is ours, without its sessions."""
    uplinks = tuple(
        Interface(
            name=f"up-{name}",
            kind=InterfaceKind.UPLINK,
            segment=f"uplink-{name}",
            peer=name,
            addresses=(an_address(circuit[4][0]), an_address(circuit[6][0])),
        )
        for name, circuit in CIRCUITS.items()
    )
    floating = tuple(
        StaticRoute(
            prefix=EVERYTHING[family],
            use=RouteUse.FLOATING,
            next_hops=(NextHop(ip_interface(CIRCUITS["beta"][family][1]).ip, "up-beta"),),
            table=FLOATING_TABLE,
        )
        for family in (4, 6)
    )
    return Node(
        name="gw",
        role=Role.ROUTER,
        managed=True,
        platform=platform,
        asn=64500,
        router_id=a_router_id(1),
        loopbacks=(an_address("10.255.0.1/32"), an_address("2001:db8:64ff::1/128")),
        interfaces=uplinks,
        statics=(*(StaticRoute(prefix=prefix, use=RouteUse.ANCHOR) for prefix in OURS), *floating),
        originations=tuple(Origination(prefix=prefix, own=True) for prefix in OURS),
        policies=(*_policies(4), *_policies(6)),
        prefix_lists=(*_lists(4), *_lists(6)),
        as_lists=(AsList("bogon_as", ((0, 0), (64512, 65534), (4_200_000_000, 4_294_967_295))),),
    )


def _provider(name: str, number: int) -> Node:
    circuit = CIRCUITS[name]
    return Node(
        name=f"provider-{name}",
        role=Role.PROVIDER,
        platform=Platform.BIRD,
        asn=PROVIDER_AS[name],
        router_id=a_router_id(number),
        interfaces=(
            Interface(
                name=f"o-{name}",
                kind=InterfaceKind.OUTSIDE,
                segment=f"uplink-{name}",
                peer="gw",
                addresses=(an_address(circuit[4][1]), an_address(circuit[6][1])),
            ),
        ),
        statics=(StaticRoute(prefix=ip_network(f"198.18.{number}.0/24"), use=RouteUse.ANCHOR),),
        originations=(Origination(prefix=ip_network(f"198.18.{number}.0/24"), own=True),),
    )


def _session(name: str, family: int) -> Session:
    near, far = (ip_interface(text).ip for text in CIRCUITS[name][family])
    ours = SessionEnd(
        node="gw",
        asn=64500,
        address=near,
        interface=f"up-{name}",
        role=BgpRole.CUSTOMER,
        import_policy=f"import_{family}",
        export_policy=f"export_{family}",
        hold_ms=9_000,
        connect_retry_ms=1_000,
    )
    theirs = SessionEnd(
        node=f"provider-{name}", asn=PROVIDER_AS[name], address=far, interface=f"o-{name}", role=BgpRole.PROVIDER
    )
    return Session(name=f"{name}-ipv{family}", family=family, kind=SessionKind.TRANSIT, ends=(ours, theirs))


def a_host() -> Node:
    """Return a host with two gateways."""
    hops = (NextHop(ip_address("10.192.0.0"), "o-one"), NextHop(ip_address("10.192.0.2"), "o-two"))
    return Node(
        name="service-web",
        role=Role.HOST,
        loopbacks=(an_address("198.51.100.80/32"),),
        interfaces=tuple(
            Interface(
                name=hop.interface,
                kind=InterfaceKind.HOST,
                segment=f"service-{hop.interface}",
                peer="gw",
                addresses=(an_address(f"{hop.address + 1}/31"),),
            )
            for hop in hops
        ),
        statics=(StaticRoute(prefix=EVERYTHING[4], use=RouteUse.GATEWAY, next_hops=hops),),
    )


def a_plan(*nodes: Node, sessions: tuple[Session, ...]) -> Plan:
    """Return a plan of these nodes; cables play no part in rendering."""
    return Plan(
        network=Network(name="by-hand", file="by-hand/network.yaml", asn=64500, prefixes=OURS),
        nodes={node.name: node for node in nodes},
        segments={},
        sessions=sessions,
        elements={},
        objectives=(),
        _neighbors=index_neighbors(sessions),
    )


def make_the_plan(platform: Platform) -> Plan:
    """Return the business between two providers."""
    sessions = tuple(_session(name, family) for name in CIRCUITS for family in (4, 6))
    switch = Node(name="exchange-x", role=Role.SWITCH)
    return a_plan(
        the_gateway(platform), _provider("alpha", 2), _provider("beta", 3), a_host(), switch, sessions=sessions
    )


def with_node(plan: Plan, node: str, **changes: object) -> Plan:
    """Return the plan with fields of one node replaced."""
    return replace(plan, nodes={**plan.nodes, node: replace(plan.nodes[node], **changes)})  # type: ignore[arg-type]


def with_ends(plan: Plan, session: str, near: dict[str, object], far: dict[str, object] | None = None) -> Plan:
    """Return the plan with fields of a session's ends replaced, ours first."""

    def change(old: Session) -> Session:
        if old.name != session:
            return old
        first, second = old.ends
        return replace(old, ends=(replace(first, **near), replace(second, **(far or {}))))  # type: ignore[arg-type]

    sessions = tuple(change(old) for old in plan.sessions)
    return replace(plan, sessions=sessions, _neighbors=index_neighbors(sessions))


def text_of(plan: Plan, node: str, path: str) -> str:
    """Return one rendered file."""
    return next(file.text for file in render_configs(plan, nodes=[node])[node] if file.path == path)


def strictly(interface: Interface, *prefixes: str) -> Interface:
    """Return a customer's interface that takes only these sources."""
    return replace(
        interface,
        kind=InterfaceKind.CUSTOMER,
        source_filter=SourceFilter.STRICT,
        source_prefixes=tuple(map(ip_network, prefixes)),
    )


FAST = Bfd(100, 3)
