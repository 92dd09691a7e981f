"""Where the declared network meets others: uplinks, exchanges, customers with an AS, and their sessions' policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_interface

from resilience.model.network import (
    Accept,
    Customer,
    IPAddress,
    IPInterface,
    IPNetwork,
    Platform,
    Position,
    Provider,
    Raw,
    Send,
    Uplink,
)
from resilience.model.plan import (
    FLOATING_TABLE,
    Address,
    BgpRole,
    Interface,
    InterfaceKind,
    Missing,
    NextHop,
    Origin,
    Provenance,
    Role,
    RouteUse,
    Session,
    SessionEnd,
    SessionKind,
    StaticRoute,
)
from resilience.model.policy import Community, Relation
from resilience.plan.draft import LAB_ORIGIN, Draft, NodeDraft, name_interface, short_interface
from resilience.plan.own import customer_interfaces, customer_pair, other_host, pair_of
from resilience.plan.policies import (
    Surroundings,
    behind_peer_list,
    bogon_as_list,
    bogon_list,
    customer_export,
    customer_import,
    default_list,
    identifier,
    inside_list,
    length_list,
    outside_export,
    prefix_list,
    provider_import,
    provider_preference,
)
from resilience.plan.world import (
    Stance,
    add_as,
    add_world_host,
    declared_prefixes,
    default_only_export,
    partial_export,
    world_end,
)

CONNECT_RETRY_EBGP_MS = 1_000
_MOST_FROM_PROVIDER = {
    Accept.FULL: {4: 1_500_000, 6: 400_000},
    Accept.PARTIAL: {4: 300_000, 6: 100_000},
    Accept.DEFAULT: {4: 10, 6: 10},
}
_MARGIN = 10


def is_draining(draft: Draft, *names: str) -> bool:
    """Tell whether any of these elements is being drained."""
    return any(name in draft.draining for name in names)


def router_drains(draft: Draft, router: str) -> bool:
    """Tell whether a router is being drained, by itself or with its site."""
    return is_draining(draft, f"router {router}", f"site {draft.network.routers[router].site}")


def raw_for(draft: Draft, router: str, stated: Iterable[Raw]) -> tuple[Raw, ...]:
    """Return the raw lines that are in a router's own language."""
    platform = draft.network.routers[router].platform
    return tuple(raw for raw in stated if raw.place.platform is platform)


def site_number(draft: Draft, router: str) -> int:
    """Return the number of a router's site in large community `ASN:2:NUMBER`."""
    return draft.allocator.give_integer("site-number", draft.network.routers[router].site, (range(1, 1000),))


def add_lists(draft: Draft) -> None:
    """Give every border router the lists that its policies name. Called when the whole world is known."""
    network = draft.network
    customers = [c for c in network.customers.values() if c.asn is not None]
    customer_prefixes = [prefix for customer in customers for prefix in customer.prefixes]
    strangers = [node for node in draft.nodes.values() if not node.base.managed]
    originated = [o.prefix for node in strangers for o in node.originations if o.own]
    asns = [node.base.asn for node in draft.nodes.values() if node.base.asn]
    providers = [provider.asn for provider in network.providers.values()]
    shared = {
        family: (
            bogon_list(family, (*network.prefixes, *customer_prefixes, *originated)),
            length_list(family),
            default_list(family),
            prefix_list(f"ours_{family}", family, network.prefixes, longer=True),
            prefix_list(f"own_{family}", family, network.prefixes),
            prefix_list(f"customers_{family}", family, customer_prefixes),
            inside_list(f"inside_customers_{family}", family, customer_prefixes),
            prefix_list(f"exchange_lans_{family}", family, _lans(draft), longer=True),
        )
        for family in draft.families
    }
    as_lists = (bogon_as_list(asns), behind_peer_list(providers))
    for router in network.routers:
        node = draft.nodes[router]
        wanted = _names_used(node)
        for family in draft.families:
            node.prefix_lists |= {made.name: made for made in shared[family] if made.name in wanted}
        node.as_lists |= {made.name: made for made in as_lists if made.name in wanted}


def _lans(draft: Draft) -> set[IPNetwork]:
    """Return the networks of the exchange LANs that our routers are on."""
    interfaces = [
        interface for router in draft.network.routers for interface in draft.nodes[router].interfaces.values()
    ]
    ports = [interface for interface in interfaces if interface.kind is InterfaceKind.PORT]
    return {address.interface.network for port in ports for address in port.addresses}


def surroundings(draft: Draft) -> Surroundings:
    """Return what the network's import policies protect and can ask."""
    network = draft.network
    bought = (customer.prefixes for customer in network.customers.values() if customer.asn is not None)
    return Surroundings(
        rpki=bool(network.rpki),
        customers=frozenset(prefix.version for prefixes in bought for prefix in prefixes),
        exchanges=bool(network.exchanges),
    )


def _names_used(node: NodeDraft) -> set[str | None]:
    matches = [term.match for policy in node.policies for term in policy.terms]
    return {match.prefixes for match in matches} | {match.as_path_has for match in matches}


def anchor_borders(draft: Draft) -> None:
    """Let every router with a session to the outside originate our prefixes (LANGUAGE, customers)."""
    borders = {
        session.ends[0].node
        for session in draft.sessions
        if session.kind not in {SessionKind.IBGP, SessionKind.OUTSIDE}
    }
    for router in draft.network.routers:
        if router in borders:
            for prefix in draft.network.prefixes:
                draft.nodes[router].anchor(prefix)


def add_floating(draft: Draft) -> None:
    """Give a router whose daemon is slow a second way out that the kernel already holds.

    bgpd keeps a change for 50 ms before it acts; the kernel takes the floating default route of table 253 as soon as
    the carrier of the first way is gone. It leads to the second-best uplink of the same router and falls with that
    uplink's carrier. BIRD needs none: it reacts at once.
    """
    for router in draft.network.routers.values():
        mine = sorted(
            (u for u in draft.network.uplinks.values() if u.router == router.name), key=lambda u: (u.rank, u.name)
        )
        if router.platform is not Platform.FRR or len(mine) < 2:
            continue
        second = mine[1]
        for session in draft.sessions:
            if session.element == f"uplink {second.name}" and session.kind is SessionKind.TRANSIT:
                near, far = session.ends
                everything = default_list(session.family).rules[0].prefix
                via = NextHop(far.address, near.interface or "")
                draft.nodes[router.name].statics.append(
                    StaticRoute(prefix=everything, use=RouteUse.FLOATING, next_hops=(via,), table=FLOATING_TABLE)
                )


def plan_uplink(draft: Draft, uplink: Uplink) -> None:
    """Connect a router of ours to a provider: one circuit, a session per family."""
    network = draft.network
    provider = network.providers[uplink.provider]
    far_name = f"provider-{provider.name}"
    element = f"uplink {uplink.name}"
    addresses = {family: _circuit(draft, uplink, family) for family in draft.families}
    name, port = name_interface(uplink.interface, uplink.vlan, short_interface("up", uplink.name))
    near = Interface(
        name=name,
        port=port,
        kind=InterfaceKind.UPLINK,
        segment=f"uplink-{uplink.name}",
        peer=provider.name,
        addresses=tuple(pair[0] for pair in addresses.values()),
        mtu=uplink.mtu,
        vlan=uplink.vlan,
        element=element,
    )
    far = Interface(
        name=short_interface("o", uplink.name),
        kind=InterfaceKind.OUTSIDE,
        segment=near.segment,
        peer=uplink.router,
        addresses=tuple(pair[1] for pair in addresses.values()),
        mtu=uplink.mtu,
        element=element,
    )
    draft.cable(near.segment, (uplink.router, near), (far_name, far), capacity_bps=uplink.capacity_bps)
    for family in draft.families:
        lab = LAB_ORIGIN in (near_origin.origin for near_origin in addresses[family])
        ends = (_our_uplink_end(draft, uplink, near, family), _provider_end(draft, uplink, far, family))
        draft.sessions.append(
            Session(
                name=f"{uplink.name}-ipv{family}",
                family=family,
                kind=SessionKind.TRANSIT,
                ends=ends,
                element=element,
                rank=uplink.rank,
                assigned=Provenance.LAB if lab else Provenance.STATED,
            )
        )


def _circuit(draft: Draft, uplink: Uplink, family: int) -> tuple[Address, Address]:
    """Return (our address, theirs): stated, or made for labs and listed as missing."""
    ours = next((a for a in uplink.addresses if a.version == family), None)
    theirs = next((a for a in uplink.neighbors if a.version == family), None)
    stated = Origin(Provenance.STATED, uplink.at)
    if ours is not None and theirs is not None:
        return _pair(ours, ip_interface(f"{theirs}/{ours.network.prefixlen}"), stated, stated)
    if ours is not None and ours.network.prefixlen >= ours.max_prefixlen - 2:
        return _pair(ours, other_host(ours), stated, stated)
    provider = uplink.provider
    if ours is not None:
        report_missing(
            draft,
            uplink.router,
            f"uplink {uplink.name}",
            f"the neighbor's IPv{family} address",
            f"ask {provider} for its IPv{family} address on this circuit and write it as `neighbor:`",
            uplink.at,
        )
        return _pair(ours, other_host(ours), stated, LAB_ORIGIN)
    report_missing(
        draft,
        uplink.router,
        f"uplink {uplink.name}",
        f"our IPv{family} address",
        f"ask {provider} for the IPv{family} addresses of this circuit and write ours as `address:`",
        uplink.at,
    )
    length = 31 if family == 4 else 64
    net, _ = draft.allocator.give_network(f"uplink {uplink.name} ipv{family}", draft.pools.circuits[family], length)
    theirs_made, ours_made = pair_of(net, LAB_ORIGIN)
    return ours_made, theirs_made


def _pair(near: IPInterface, far: IPInterface, near_origin: Origin, far_origin: Origin) -> tuple[Address, Address]:
    return Address(interface=near, origin=near_origin), Address(interface=far, origin=far_origin)


def report_missing(draft: Draft, router: str, subject: str, what: str, ask: str, at: Position) -> None:
    """Remember what another party has to assign, and that the router cannot be deployed without it."""
    draft.missing.append(Missing(subject=subject, what=what, ask=ask, at=at))
    draft.nodes[router].not_deployable.append(f"{subject}: {what} is not assigned; {ask}")


def _our_uplink_end(draft: Draft, uplink: Uplink, near: Interface, family: int) -> SessionEnd:
    network = draft.network
    provider = network.providers[uplink.provider]
    ranks = tuple(sorted({other.rank for other in network.uplinks.values()}))
    step = ranks.index(uplink.rank)
    draining = is_draining(draft, f"uplink {uplink.name}", f"provider {provider.name}") or router_drains(
        draft, uplink.router
    )
    suffix = identifier(f"{uplink.name}_ipv{family}")
    lower = lower_community(provider)
    imports = provider_import(
        f"import_{suffix}",
        family,
        asn=network.asn,
        neighbor_as=provider.asn,
        accept=uplink.accept,
        preference=provider_preference(uplink.rank, ranks),
        site=site_number(draft, uplink.router),
        around=surroundings(draft),
        draining=draining,
    )
    exports = outside_export(
        f"export_{suffix}",
        family,
        asn=network.asn,
        # Both, where the provider has a community: the community alone has two stable outcomes (RFC 4264).
        prepend=step,
        communities=(lower,) if lower and step else (),
        draining=draining,
        has_customers=has_bgp_customers(draft),
    )
    draft.nodes[uplink.router].policies += [imports, exports]
    return SessionEnd(
        node=uplink.router,
        asn=network.asn,
        address=_ip(near, family),
        interface=near.name,
        role=BgpRole.CUSTOMER,
        import_policy=imports.name,
        export_policy=exports.name,
        hold_ms=uplink.hold_ms or provider.hold_ms,
        connect_retry_ms=CONNECT_RETRY_EBGP_MS,
        bfd=uplink.bfd,
        ttl_security=uplink.ttl_security,
        password=uplink.password,
        maximum_prefixes=most_prefixes(uplink.maximum_prefixes, family, _MOST_FROM_PROVIDER[uplink.accept]),
        draining=draining,
        raw=raw_for(draft, uplink.router, uplink.raw),
    )


def lower_community(provider: Provider) -> Community | None:
    """Return the provider's community for lower preference, where declared."""
    text = provider.communities.get("lower-preference")
    if text is None:
        return None
    high, _, low = text.partition(":")
    return int(high), int(low)


def has_bgp_customers(draft: Draft) -> bool:
    """Tell whether anybody buys connectivity by BGP."""
    return any(customer.asn is not None for customer in draft.network.customers.values())


def _provider_end(draft: Draft, uplink: Uplink, far: Interface, family: int) -> SessionEnd:
    provider = draft.network.providers[uplink.provider]
    node = draft.nodes[f"provider-{provider.name}"]
    stance = Stance(
        Relation.CUSTOMER,
        only=f"declared_{family}",
        honours=provider.honours,
        lower=lower_community(provider),
        blackhole=f"declared_inside_{family}",
    )
    end = world_end(draft, node.base.name, far, family, stance, uplink.router, uplink.name)
    if uplink.accept is not Accept.FULL:
        asn = provider.asn
        name = end.export_policy or ""
        narrow = (
            default_only_export(name, family) if uplink.accept is Accept.DEFAULT else partial_export(name, family, asn)
        )
        node.policies = [narrow if policy.name == name else policy for policy in node.policies]
    return replace(
        end,
        hold_ms=uplink.hold_ms or provider.hold_ms,
        bfd=uplink.bfd,
        ttl_security=uplink.ttl_security,
        password=uplink.password,
        maximum_prefixes=2 * len(declared_prefixes(draft)) + _MARGIN,
        default_originate=uplink.accept is not Accept.FULL,
    )


def plan_bgp_customer(draft: Draft, customer: Customer) -> None:
    """Connect a customer with an AS of its own to one or several of our routers."""
    name = f"customer-{customer.name}"
    node = add_as(draft, name, Role.CUSTOMER, f"customer {customer.name}", asn=customer.asn, prefixes=False)
    for prefix in customer.prefixes:
        node.anchor(prefix)
    families: list[int] = sorted({prefix.version for prefix in customer.prefixes} & set(draft.families))
    for router in customer.routers:
        pairs = {family: customer_pair(draft, customer, router, family) for family in families}
        near, far = customer_interfaces(customer, router, name, pairs, strict=len(customer.routers) == 1)
        draft.cable(near.segment, (router, near), (name, far), capacity_bps=customer.capacity_bps)
        for family in families:
            far_end = world_end(draft, name, far, family, Stance(Relation.PROVIDER), router)
            far_end = replace(
                far_end,
                bfd=customer.bfd,
                hold_ms=customer.hold_ms or far_end.hold_ms,
                ttl_security=customer.ttl_security,
                password=customer.password,
            )
            draft.sessions.append(
                Session(
                    name=f"{customer.name}-{router}-ipv{family}",
                    family=family,
                    kind=SessionKind.CUSTOMER,
                    ends=(_our_customer_end(draft, customer, router, near, family), far_end),
                    element=f"customer {customer.name}",
                )
            )
    if customer.prefixes:
        add_world_host(draft, name, f"{name}-user", f"a user of {customer.name}", customer.prefixes)


def _our_customer_end(draft: Draft, customer: Customer, router: str, near: Interface, family: int) -> SessionEnd:
    network = draft.network
    node = draft.nodes[router]
    exact_name, inside_name = (identifier(f"{kind}_{customer.name}_{family}") for kind in ("customer", "blackhole"))
    node.prefix_lists[exact_name] = prefix_list(exact_name, family, customer.prefixes)
    node.prefix_lists[inside_name] = prefix_list(inside_name, family, customer.prefixes, longer=True)
    draining = is_draining(draft, f"customer {customer.name}") or router_drains(draft, router)
    # A default route cannot say that its sender is leaving; once withdrawn, the customer's other router takes over.
    withdrawn = draining and len(customer.routers) > 1
    gives_default = customer.send is not Send.FULL and not withdrawn
    suffix = identifier(f"{customer.name}_ipv{family}")
    imports = customer_import(
        f"import_{suffix}",
        family,
        asn=network.asn,
        neighbor_as=customer.asn or 0,
        prefixes=exact_name,
        blackhole=inside_name,
        site=site_number(draft, router),
        around=surroundings(draft),
        draining=draining,
    )
    exports = customer_export(
        f"export_{suffix}", family, asn=network.asn, send=customer.send, default=gives_default, draining=draining
    )
    node.policies += [imports, exports]
    return SessionEnd(
        node=router,
        asn=network.asn,
        address=_ip(near, family),
        interface=near.name,
        role=BgpRole.PROVIDER,
        import_policy=imports.name,
        export_policy=exports.name,
        hold_ms=customer.hold_ms or 180_000,
        connect_retry_ms=CONNECT_RETRY_EBGP_MS,
        bfd=customer.bfd,
        ttl_security=customer.ttl_security,
        password=customer.password,
        maximum_prefixes=customer.maximum_prefixes.get(family, len(customer.prefixes) + _MARGIN),
        default_originate=gives_default,
        draining=draining,
        raw=raw_for(draft, router, customer.raw),
    )


def _ip(interface: Interface, family: int) -> IPAddress:
    address = interface.address(family)
    if address is None:
        raise KeyError(f"{interface.name} has no IPv{family} address")
    return address.ip


def pick(addresses: Iterable[IPAddress], family: int) -> IPAddress | None:
    """Return the address of a family, if there is one."""
    return next((address for address in addresses if address.version == family), None)


def most_prefixes(stated: Mapping[int, int], family: int, default: dict[int, int]) -> int:
    """Return the stated maximum of a family, else the default."""
    return stated.get(family, default[family])
