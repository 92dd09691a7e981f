"""Every name that can fail, and what its failure does (LANGUAGE, objectives: during)."""

from __future__ import annotations

from collections.abc import Iterable

from resilience.model.network import Network, Noun, Position
from resilience.model.plan import Element, ElementKind, Fault, FaultKind, Role
from resilience.plan.draft import Draft


def plan_elements(draft: Draft) -> None:
    """Fill `draft.elements`, in the order of the language's nouns."""
    network = draft.network
    for router in network.routers.values():
        _add(draft, ElementKind.ROUTER, router.name, [Fault(FaultKind.CRASH, router.name)], at=router.at)
    for site in {router.site: None for router in network.routers.values()}:
        noun = network.sites.get(site)
        nodes = [node.base.name for node in draft.nodes.values() if node.base.site == site]
        _add(
            draft,
            ElementKind.SITE,
            site,
            [Fault(FaultKind.CRASH, name) for name in nodes],
            members=tuple(f"router {r.name}" for r in network.routers.values() if r.site == site),
            at=noun.at if noun else None,
        )
    for link in network.links.values():
        _add_cable(draft, ElementKind.LINK, link.name, f"link-{link.name}", link.at)
    for uplink in network.uplinks.values():
        stated = uplink.international
        international = network.providers[uplink.provider].international if stated is None else stated
        _add_cable(
            draft, ElementKind.UPLINK, uplink.name, f"uplink-{uplink.name}", uplink.at, international=international
        )
    _add_providers(draft)
    _add_exchanges(draft)
    _add_ends(draft)
    _add_risks(draft)


def _add(
    draft: Draft,
    kind: ElementKind,
    short: str,
    faults: Iterable[Fault],
    *,
    silent: Iterable[Fault] = (),
    members: tuple[str, ...] = (),
    international: bool = False,
    at: Position | None = None,
    title: str = "",
) -> None:
    name = f"{kind} {short}"
    draft.elements[name] = Element(
        name=name,
        kind=kind,
        short=short,
        title=title,
        faults=tuple(dict.fromkeys(faults)),
        silent_faults=tuple(dict.fromkeys(silent)),
        members=members,
        international=international,
        at=at,
    )


def _add_cable(
    draft: Draft, kind: ElementKind, short: str, segment: str, at: Position | None, *, international: bool = False
) -> None:
    _add(
        draft,
        kind,
        short,
        [Fault(FaultKind.CARRIER, segment)],
        silent=[Fault(FaultKind.SILENT, segment)],
        international=international,
        at=at,
    )


def _segments_of(draft: Draft, node: str) -> list[str]:
    return [name for name, segment in draft.segments.items() if node in (segment.ends[0][0], segment.ends[1][0])]


def _add_providers(draft: Draft) -> None:
    for provider in draft.network.providers.values():
        node = f"provider-{provider.name}"
        uplinks = tuple(f"uplink {u.name}" for u in draft.network.uplinks.values() if u.provider == provider.name)
        _add(
            draft,
            ElementKind.PROVIDER,
            provider.name,
            [Fault(FaultKind.CARRIER, segment) for segment in _segments_of(draft, node)],
            silent=[Fault(FaultKind.GREY, node)],
            members=uplinks,
            international=provider.international,
            at=provider.at,
        )


def _add_exchanges(draft: Draft) -> None:
    for exchange in draft.network.exchanges.values():
        for port in exchange.ports:
            _add_cable(draft, ElementKind.PORT, port.name, f"port-{port.name}", port.at)
        segments = _segments_of(draft, f"exchange-{exchange.name}")
        _add(
            draft,
            ElementKind.EXCHANGE,
            exchange.name,
            [Fault(FaultKind.CARRIER, segment) for segment in segments],
            silent=[Fault(FaultKind.SILENT, segment) for segment in segments],
            members=tuple(f"port {port.name}" for port in exchange.ports),
            international=exchange.international,
            at=exchange.at,
        )
        for index, server in enumerate(exchange.route_servers, 1):
            faults = [Fault(FaultKind.KILL, f"rs-{exchange.name}-{index}")]
            _add(draft, ElementKind.ROUTE_SERVER, server.name, faults, at=server.at)
        for label, peer in exchange.peers.items():
            short = f"{exchange.name}-{label}"
            faults = [
                Fault(FaultKind.DOWN, session.name)
                for session in draft.sessions
                if session.element == f"{ElementKind.PEER} {short}"
            ]
            _add(draft, ElementKind.PEER, short, faults, at=peer.at)


def _add_ends(draft: Draft) -> None:
    """Customers and services: they can be failed by name, though no class of failures holds them."""
    for customer in draft.network.customers.values():
        segments = [f"customer-{customer.name}-{router}" for router in customer.routers]
        _add(
            draft,
            ElementKind.CUSTOMER,
            customer.name,
            [Fault(FaultKind.CARRIER, segment) for segment in segments],
            silent=[Fault(FaultKind.SILENT, segment) for segment in segments],
            international=customer.international,
            at=customer.at,
        )
    for service in draft.network.services.values():
        nodes = [node.base.name for node in draft.nodes.values() if node.base.name.startswith("service-")]
        mine = [name for name in nodes if name in {f"service-{service.name}-{site}" for site in service.sites}]
        _add(
            draft,
            ElementKind.SERVICE,
            service.name,
            [Fault(FaultKind.CRASH, name) for name in mine],
            at=service.at,
        )


def _add_risks(draft: Draft) -> None:
    for risk in draft.network.risks.values():
        members = tuple(name for name in _at_risk(draft.network, risk.name) if name in draft.elements)
        _add(
            draft,
            ElementKind.RISK,
            risk.name,
            [fault for member in members for fault in draft.elements[member].faults],
            silent=[fault for member in members for fault in draft.elements[member].silent_faults],
            members=members,
            at=risk.at,
            title=risk.title,
        )


def _at_risk(network: Network, risk: str) -> tuple[str, ...]:
    """Return the elements that name a risk, or one that it includes."""
    wanted, queue = set(), [risk]
    while queue:
        name = queue.pop()
        if name not in wanted:
            wanted.add(name)
            queue += network.risks[name].includes
    nouns: list[tuple[str, Noun]] = [(ElementKind.SITE, s) for s in network.sites.values()]
    nouns += [(ElementKind.ROUTER, r) for r in network.routers.values()]
    nouns += [(ElementKind.LINK, link) for link in network.links.values()]
    nouns += [(ElementKind.PROVIDER, p) for p in network.providers.values()]
    nouns += [(ElementKind.UPLINK, u) for u in network.uplinks.values()]
    nouns += [(ElementKind.EXCHANGE, e) for e in network.exchanges.values()]
    nouns += [(ElementKind.PORT, port) for e in network.exchanges.values() for port in e.ports]
    nouns += [(ElementKind.CUSTOMER, c) for c in network.customers.values()]
    nouns += [(ElementKind.SERVICE, s) for s in network.services.values()]
    return tuple(f"{kind} {noun.name}" for kind, noun in nouns if wanted & set(noun.risks))


def expand_draining(network: Network, draining: Iterable[str]) -> frozenset[str]:
    """Return the elements to drain with what falls with them (a risk's members)."""
    wanted = set(draining)
    for name in tuple(wanted):
        kind, _, short = name.partition(" ")
        if kind == ElementKind.RISK and short in network.risks:
            wanted |= set(_at_risk(network, short))
    return frozenset(wanted)


def is_router(role: Role) -> bool:
    """Tell whether a role forwards packets."""
    return role not in {Role.HOST, Role.SWITCH}
