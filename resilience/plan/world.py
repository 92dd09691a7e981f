"""The outside world as ordinary networks behave: Gao-Rexford preferences, filters towards customers, BIRD everywhere.

Each AS of the outside is one router. What the declared network's own sessions need from it (addresses, AS numbers of
neighbours) is added by `borders`.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_interface, ip_network

from resilience.model.network import IPNetwork, Platform, Provider
from resilience.model.plan import (
    Address,
    BgpRole,
    Interface,
    InterfaceKind,
    NextHop,
    Node,
    Role,
    RouteUse,
    Session,
    SessionEnd,
    SessionKind,
    StaticRoute,
)
from resilience.model.policy import Direction, Match, Policy, Relation, Term
from resilience.plan.draft import DERIVED, Draft, NodeDraft, short_interface
from resilience.plan.numbers import host_of
from resilience.plan.own import gateway_route, pair_of
from resilience.plan.policies import (
    BLACKHOLE,
    GRACEFUL_SHUTDOWN,
    LOWER_PREFERENCE,
    default_list,
    identifier,
    prefix_list,
    relation_tag,
)

CONNECT_RETRY_MS = 1_000
"""Made for labs: with the daemons' defaults two of them need most of a minute to come back (LANGUAGE)."""
OUTSIDE_HOLD_MS = 180_000
_PREFERENCE = {Relation.CUSTOMER: 300, Relation.PEER: 200, Relation.ROUTE_SERVER: 190, Relation.PROVIDER: 100}
_OPPOSITE = {Relation.CUSTOMER: Relation.PROVIDER, Relation.PROVIDER: Relation.CUSTOMER, Relation.PEER: Relation.PEER}
_ROLE = {
    Relation.CUSTOMER: BgpRole.PROVIDER,
    Relation.PROVIDER: BgpRole.CUSTOMER,
    Relation.PEER: BgpRole.PEER,
    Relation.ROUTE_SERVER: BgpRole.RS_CLIENT,
}
_LENGTH = {4: 24, 6: 48}
_HOST_INDEX = 10
TRANSITS = ("transit-1", "transit-2", "transit-3")


@dataclass(frozen=True, slots=True)
class Stance:
    """How an outside AS treats one neighbour."""

    relation: Relation
    """What the neighbour is to it."""
    only: str | None = None
    """Name of the prefix list that a customer is filtered to."""
    honours: frozenset[str] = frozenset()
    lower: tuple[int, int] | None = None
    """The community by which the neighbour asks for lower preference."""
    blackhole: str | None = None
    """Name of the prefix list inside which it may blackhole."""


def families_of_world(draft: Draft) -> tuple[int, ...]:
    """The world speaks what the network speaks."""
    return draft.families


def add_as(
    draft: Draft, name: str, role: Role, title: str, *, asn: int | None = None, prefixes: bool = True
) -> NodeDraft:
    """Add an AS of one BIRD router, with a prefix of each family unless it originates none."""
    given = asn if asn is not None else draft.allocator.give_integer("as", name, draft.pools.world_as)
    router_id, _ = draft.allocator.give_network(f"router-id {name} ipv4", (ip_network("10.254.0.0/16"),), 32)
    node = draft.add_node(
        Node(name=name, role=role, platform=Platform.BIRD, title=title, asn=given, router_id=router_id.network_address)
    )
    if prefixes:
        for family in families_of_world(draft):
            prefix, _ = draft.allocator.give_network(
                f"world {name} ipv{family}", draft.pools.world_prefixes[family], _LENGTH[family]
            )
            node.anchor(prefix)
    return node


def add_world_host(draft: Draft, router: str, name: str, title: str, prefixes: tuple[IPNetwork, ...] = ()) -> None:
    """Put a host into an AS's own prefix, in a network of its own behind the router."""
    node = draft.nodes[router]
    inside = prefixes or tuple(origination.prefix for origination in node.originations)
    host = draft.add_node(Node(name=name, role=Role.HOST, title=title))
    families = sorted({prefix.version for prefix in inside})
    pairs = {family: world_pair(draft, f"host {name} ipv{family}", family) for family in families}
    near = Interface(
        name=short_interface("o", name),
        kind=InterfaceKind.OUTSIDE,
        segment=name,
        peer=name,
        addresses=tuple(pairs[family][0] for family in families),
    )
    far = Interface(
        name="gw",
        kind=InterfaceKind.OUTSIDE,
        segment=name,
        peer=router,
        addresses=tuple(pairs[family][1] for family in families),
    )
    draft.cable(name, (router, near), (name, far))
    for family in families:
        prefix = next(p for p in inside if p.version == family)
        index = _HOST_INDEX if prefix.num_addresses > 2 * _HOST_INDEX else prefix.num_addresses // 2
        address = ip_interface(host_of(prefix, index))
        host.loopbacks.append(Address(interface=address, origin=DERIVED))
        _lead(node, address.network, NextHop(pairs[family][1].ip, near.name))
        host.statics.append(gateway_route(family, (NextHop(pairs[family][0].ip, far.name),)))


def _lead(node: NodeDraft, prefix: IPNetwork, via: NextHop) -> None:
    node.statics.append(StaticRoute(prefix=prefix, use=RouteUse.ATTACHED, next_hops=(via,)))


def world_pair(draft: Draft, key: str, family: int) -> tuple[Address, Address]:
    """Return the two addresses of a link between strangers."""
    length = 31 if family == 4 else 64
    net, _ = draft.allocator.give_network(key, draft.pools.world_links[family], length)
    return pair_of(net, DERIVED)


def connect(draft: Draft, first: str, second: str, relation: Relation) -> None:
    """Connect two ASes of the outside; `relation` says what the second is to the first."""
    name = f"outside-{first}-{second}"
    families = families_of_world(draft)
    pairs = {family: world_pair(draft, f"world {first} {second} ipv{family}", family) for family in families}
    near, far = (
        Interface(
            name=short_interface("o", other),
            kind=InterfaceKind.OUTSIDE,
            segment=name,
            peer=other,
            addresses=tuple(pairs[family][index] for family in families),
        )
        for index, other in ((0, second), (1, first))
    )
    draft.cable(name, (first, near), (second, far))
    for family in families:
        ends = (
            world_end(draft, first, near, family, Stance(relation), second),
            world_end(draft, second, far, family, Stance(_OPPOSITE[relation]), first),
        )
        draft.sessions.append(Session(name=f"{name}-ipv{family}", family=family, kind=SessionKind.OUTSIDE, ends=ends))


def world_end(
    draft: Draft, name: str, interface: Interface, family: int, stance: Stance, other: str, label: str = ""
) -> SessionEnd:
    """Return one end of a session of an outside AS, with the policies of its stance."""
    node = draft.nodes[name]
    asn = node.base.asn or 0
    address = interface.address(family)
    if address is None:
        raise KeyError(f"{interface.name} of {name} has no IPv{family} address")
    suffix = identifier(f"{label or other}_ipv{family}")
    imports = world_import(f"import_{suffix}", family, asn, stance)
    exports = world_export(f"export_{suffix}", family, asn, stance.relation)
    node.policies += [imports, exports]
    return SessionEnd(
        node=name,
        asn=asn,
        address=address.ip,
        interface=interface.name,
        role=_ROLE[stance.relation],
        import_policy=imports.name,
        export_policy=exports.name,
        hold_ms=OUTSIDE_HOLD_MS,
        connect_retry_ms=CONNECT_RETRY_MS,
    )


def world_import(name: str, family: int, asn: int, stance: Stance) -> Policy:
    """What an outside AS takes: customers before peers before transit, customers filtered to what they declared."""
    tags = (relation_tag(asn, stance.relation),)
    only = Match(prefixes=stance.only) if stance.only else Match()
    terms = []
    if "blackhole" in stance.honours and stance.blackhole is not None:
        terms.append(
            Term(
                name="blackhole",
                match=Match(prefixes=stance.blackhole, communities=(BLACKHOLE,)),
                accept=True,
                local_preference=_PREFERENCE[stance.relation],
                add_large_communities=tags,
                discard=True,
                comment="drops what its customer asks it to drop (RFC 7999)",
            )
        )
    if "gshut" in stance.honours:
        terms.append(_lowered("graceful_shutdown", only, GRACEFUL_SHUTDOWN, 0, tags, "RFC 8326"))
    if stance.lower is not None:
        terms.append(_lowered("lower", only, stance.lower, LOWER_PREFERENCE, tags, "its customer asks for it"))
    terms.append(
        Term(
            name="accept",
            match=only,
            accept=True,
            strip_own=True,
            local_preference=_PREFERENCE[stance.relation],
            add_large_communities=tags,
            comment=f"learned from a {stance.relation.name.lower()}",
        )
    )
    return Policy(name=name, family=family, direction=Direction.IMPORT, terms=tuple(terms))


def _lowered(
    name: str,
    only: Match,
    community: tuple[int, int],
    preference: int,
    tags: tuple[tuple[int, int, int], ...],
    why: str,
) -> Term:
    return Term(
        name=name,
        match=Match(prefixes=only.prefixes, communities=(community,)),
        accept=True,
        strip_own=True,
        local_preference=preference,
        add_large_communities=tags,
        comment=f"lower preference: {why}",
    )


def world_export(name: str, family: int, asn: int, relation: Relation) -> Policy:
    """What an outside AS announces: everything to customers, its own and its customers' prefixes to all others."""
    if relation is Relation.CUSTOMER:
        term = Term(name="everything", accept=True, strip_own=True, comment="customers get the full table")
    else:
        wanted = (relation_tag(asn, Relation.OWN), relation_tag(asn, Relation.CUSTOMER))
        term = Term(
            name="own_and_customers",
            match=Match(large_communities=wanted),
            accept=True,
            strip_own=True,
            comment="valley-free: no route of a peer or provider to another one",
        )
    return Policy(name=name, family=family, direction=Direction.EXPORT, terms=(term,))


def default_only_export(name: str, family: int) -> Policy:
    """A provider that sends nothing but a default route."""
    term = Term(name="default", match=Match(prefixes=f"default_{family}"), accept=True, comment="a default route")
    return Policy(name=name, family=family, direction=Direction.EXPORT, terms=(term,))


def partial_export(name: str, family: int, asn: int) -> Policy:
    """A provider that sends its own and its customers' routes, and a default route."""
    wanted = (relation_tag(asn, Relation.OWN), relation_tag(asn, Relation.CUSTOMER))
    terms = (
        Term(name="default", match=Match(prefixes=f"default_{family}"), accept=True, comment="a default route"),
        Term(
            name="own_and_customers",
            match=Match(large_communities=wanted),
            accept=True,
            strip_own=True,
            comment="its own and its customers' routes",
        ),
    )
    return Policy(name=name, family=family, direction=Direction.EXPORT, terms=terms)


def plan_transits(draft: Draft) -> None:
    """Make the Internet beyond the providers: two transit networks that peer, a third that buys from both.

    Behind each stands one of the three destinations that `internet` means.
    """
    for index, name in enumerate(TRANSITS, 1):
        add_as(draft, name, Role.TRANSIT, f"transit network {index}")
        add_world_host(draft, name, f"internet-{index}", f"a destination behind {name}")
    connect(draft, "transit-1", "transit-2", Relation.PEER)
    connect(draft, "transit-3", "transit-1", Relation.PROVIDER)
    connect(draft, "transit-3", "transit-2", Relation.PROVIDER)


def plan_provider(draft: Draft, provider: Provider) -> None:
    """Make a provider with a customer of its own, a peer of its own and its upstreams."""
    name = f"provider-{provider.name}"
    node = add_as(draft, name, Role.PROVIDER, f"provider {provider.name}", asn=provider.asn)
    declared = declared_prefixes(draft)
    for family in families_of_world(draft):
        for made in (
            prefix_list(f"declared_{family}", family, declared),
            prefix_list(f"declared_inside_{family}", family, declared, longer=True),
            default_list(family),
        ):
            node.prefix_lists[made.name] = made
    for upstream in provider.via or TRANSITS[:2]:
        connect(draft, name, upstream, Relation.PROVIDER)
    customer = f"{name}-customer"
    add_as(draft, customer, Role.NEIGHBOUR, f"a customer of {provider.name}")
    connect(draft, name, customer, Relation.CUSTOMER)
    peer = f"{name}-peer"
    add_as(draft, peer, Role.NEIGHBOUR, f"a peer of {provider.name}")
    connect(draft, name, peer, Relation.PEER)
    connect(draft, peer, "transit-2", Relation.PROVIDER)


def declared_prefixes(draft: Draft) -> tuple[IPNetwork, ...]:
    """What the network tells its neighbours that it will announce: its own prefixes and its BGP customers'."""
    customers = (c.prefixes for c in draft.network.customers.values() if c.asn is not None)
    return (*draft.network.prefixes, *(prefix for prefixes in customers for prefix in prefixes))
