"""From a valid `Document` to a `Network`: names are derived, defaults of the language filled in, lists made tuples."""

from __future__ import annotations

from collections.abc import Mapping

from resilience.intent.document import (
    BfdTimers,
    CustomerPart,
    Document,
    ExchangePart,
    LimitPart,
    LinkPart,
    NamedPart,
    NounPart,
    ObjectivePart,
    PeerPart,
    PortPart,
    RouterRawPart,
    RouteServerPart,
    RpkiPart,
    SessionRawPart,
    UplinkPart,
)
from resilience.intent.names import Names, name_links, name_route_server
from resilience.intent.reader import Tree
from resilience.intent.scalars import ANY_ROUTER
from resilience.model.network import (
    Bfd,
    Contact,
    Customer,
    Exchange,
    IPInterface,
    Link,
    Network,
    Objective,
    Peer,
    Pools,
    Port,
    Position,
    Provider,
    Raw,
    RawPlace,
    Risk,
    Router,
    RouteServer,
    RpkiServer,
    Send,
    Service,
    Site,
    Uplink,
)

DEFAULT_WITHIN_MS = 3_000
DEFAULT_DURING = ("any-one-failure",)
Path = tuple[str | int, ...]


class Converter:
    """Makes the typed network of a document that has been found valid."""

    def __init__(self, document: Document, tree: Tree) -> None:
        self.document = document
        self.tree = tree
        self.names = Names(document)

    def convert(self, digest: str) -> Network:
        """Return the network."""
        document = self.document
        routers = {name: self._router(name) for name in document.routers}
        return Network(
            name=document.network,
            file=self.tree.source.file,
            asn=document.asn,
            prefixes=tuple(document.prefixes),
            lab=document.lab,
            management=tuple(document.management),
            pools=Pools(loopbacks=tuple(document.pools.loopbacks), links=tuple(document.pools.links)),
            risks={name: self._risk(name) for name in document.risks},
            sites=self._sites(routers),
            routers=routers,
            links=self._links(),
            providers={name: self._provider(name) for name in document.providers},
            uplinks={name: self._uplink(name, part) for name, part in document.uplinks.items()},
            exchanges={name: self._exchange(name, part) for name, part in document.exchanges.items()},
            customers={name: self._customer(name, part) for name, part in document.customers.items()},
            services={name: self._service(name) for name in document.services},
            objectives=self._objectives(),
            rpki=tuple(self._validator(index, part) for index, part in enumerate(document.rpki)),
            digest=digest,
        )

    def _at(self, *path: str | int) -> Position:
        spot = self.tree.locate(path, key=True)
        return Position(self.tree.source.file, spot.line + 1, spot.column + 1)

    def _risk(self, name: str) -> Risk:
        part = self.document.risks[name]
        return Risk(
            name=name,
            at=self._at("risks", name),
            was=part.was,
            contacts=contacts_of(part),
            title=part.title or name,
            kind=part.kind,
            rate=part.rate,
            includes=tuple(part.includes),
        )

    def _sites(self, routers: Mapping[str, Router]) -> dict[str, Site]:
        """Return the declared sites, then those that stand for routers without one."""
        sites = {}
        for name, part in self.document.sites.items():
            at = self._at("sites", name)
            sites[name] = Site(name=name, at=at, risks=tuple(part.risks), was=part.was, contacts=contacts_of(part))
        for router in routers.values():
            if router.site not in sites:
                sites[router.site] = Site(name=router.site, at=router.at)
        return sites

    def _router(self, name: str) -> Router:
        part = self.document.routers[name]
        return Router(
            name=name,
            at=self._at("routers", name),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            site=part.site or name,
            platform=part.platform,
            loopbacks=tuple(part.loopback),
            raw=self._raw(part.raw, "routers", name),
        )

    def _links(self) -> dict[str, Link]:
        names = name_links(self.document.links)
        return {
            name: self._link(name, index, part)
            for index, (name, part) in enumerate(zip(names, self.document.links, strict=True))
        }

    def _link(self, name: str, index: int, part: LinkPart) -> Link:
        first, second = part.between
        return Link(
            name=name,
            at=self._at("links", index),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            ends=(first, second),
            capacity_bps=part.capacity,
            interfaces=dict(part.interface),
            addresses={router: tuple(addresses) for router, addresses in part.address.items()},
            bfd=bfd_of(part.bfd),
            cost=part.cost,
            vlan=part.vlan,
            mtu=part.mtu,
        )

    def _provider(self, name: str) -> Provider:
        part = self.document.providers[name]
        lower = part.communities.lower_preference
        return Provider(
            name=name,
            at=self._at("providers", name),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            asn=part.asn,
            communities={"lower-preference": lower} if lower is not None else {},
            honours=frozenset(part.honours),
            international=part.international,
            via=tuple(part.via),
            hold_ms=part.hold,
        )

    def _uplink(self, name: str, part: UplinkPart) -> Uplink:
        return Uplink(
            name=name,
            at=self._at("uplinks", name),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            router=part.router,
            provider=part.provider,
            rank=part.rank,
            capacity_bps=part.capacity,
            accept=part.accept,
            addresses=tuple(part.address),
            neighbors=tuple(part.neighbor),
            interface=part.interface,
            vlan=part.vlan,
            mtu=part.mtu,
            bfd=bfd_of(part.bfd),
            graceful_restart=part.graceful_restart,
            hold_ms=part.hold,
            ttl_security=part.ttl_security,
            password=part.password,
            maximum_prefixes=limits_of(part.maximum_prefixes),
            international=part.international,
            raw=self._raw(part.raw, "uplinks", name),
        )

    def _exchange(self, name: str, part: ExchangePart) -> Exchange:
        at = ("exchanges", name)
        return Exchange(
            name=name,
            at=self._at(*at),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            ports=tuple(self._port(name, index, port) for index, port in enumerate(part.ports)),
            route_servers=tuple(
                self._route_server(name, index, server) for index, server in enumerate(part.route_servers)
            ),
            peers={peer: self._peer(name, peer, peer_part) for peer, peer_part in part.peers.items()},
            international=part.international,
        )

    def _port(self, exchange: str, index: int, part: PortPart) -> Port:
        return Port(
            name=f"{exchange}-{part.router}",
            at=self._at("exchanges", exchange, "ports", index),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            router=part.router,
            addresses=tuple(part.address),
            capacity_bps=part.capacity,
            interface=part.interface,
            vlan=part.vlan,
            mtu=part.mtu,
        )

    def _route_server(self, exchange: str, index: int, part: RouteServerPart) -> RouteServer:
        return RouteServer(
            name=part.name or name_route_server(exchange, index),
            at=self._at("exchanges", exchange, "route_servers", index),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            asn=part.asn,
            addresses=tuple(part.address),
            bfd=bfd_of(part.bfd),
            graceful_restart=part.graceful_restart,
            hold_ms=part.hold,
            ttl_security=part.ttl_security,
            password=part.password,
            raw=self._raw(part.raw, "exchanges", exchange, "route_servers", index),
        )

    def _peer(self, exchange: str, name: str, part: PeerPart) -> Peer:
        return Peer(
            name=f"{exchange}-{name}",
            at=self._at("exchanges", exchange, "peers", name),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            asn=part.asn,
            addresses=tuple(part.address),
            prefixes=tuple(part.prefixes),
            bfd=bfd_of(part.bfd),
            graceful_restart=part.graceful_restart,
            hold_ms=part.hold,
            ttl_security=part.ttl_security,
            password=part.password,
            maximum_prefixes=limits_of(part.maximum_prefixes),
            raw=self._raw(part.raw, "exchanges", exchange, "peers", name),
        )

    def _customer(self, name: str, part: CustomerPart) -> Customer:
        routers = routers_of(part, self.document)
        return Customer(
            name=name,
            at=self._at("customers", name),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            asn=part.asn,
            routers=routers,
            prefixes=tuple(part.prefixes),
            send=part.send or Send.DEFAULT,
            capacity_bps=part.capacity,
            addresses={
                routers[0] if router == ANY_ROUTER else router: _tuple(addresses)
                for router, addresses in part.address.items()
            },
            interfaces={
                routers[0] if router == ANY_ROUTER else router: interface
                for router, interface in part.interface.items()
            },
            bfd=bfd_of(part.bfd),
            graceful_restart=part.graceful_restart,
            hold_ms=part.hold,
            ttl_security=part.ttl_security,
            password=part.password,
            maximum_prefixes=limits_of(part.maximum_prefixes),
            international=part.international,
            raw=self._raw(part.raw, "customers", name),
        )

    def _service(self, name: str) -> Service:
        part = self.document.services[name]
        return Service(
            name=name,
            at=self._at("services", name),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            sites=tuple(part.at),
            addresses=tuple(part.address),
            tcp=part.tcp,
            udp=part.udp,
            http=part.http,
            dns=part.dns,
            needs=tuple(part.needs),
        )

    def _raw(self, part: RouterRawPart | SessionRawPart, *path: str | int) -> tuple[Raw, ...]:
        return tuple(
            Raw(place=place, lines=tuple(line.rstrip() for line in text.split("\n") if line.strip()), at=at)
            for place, text in raw_texts(part)
            for at in [self._at(*path, "raw", place)]
        )

    def _validator(self, index: int, part: RpkiPart) -> RpkiServer:
        return RpkiServer(
            name=part.name or f"rpki-{index + 1}",
            at=self._at("rpki", index),
            risks=tuple(part.risks),
            was=part.was,
            contacts=contacts_of(part),
            address=part.address,
            port=part.port,
        )

    def _objectives(self) -> tuple[Objective, ...]:
        stated = self.document.objectives
        if stated:
            return tuple(self._objective(index, part) for index, part in enumerate(stated))
        wanted = [(name, "everyone") for name in self.document.services]
        if self.document.uplinks:
            wanted.insert(0, ("internet", "customers"))
        return tuple(
            Objective(keep=keep, whom=whom, during=DEFAULT_DURING, within_ms=DEFAULT_WITHIN_MS, stated=False)
            for keep, whom in wanted
        )

    def _objective(self, index: int, part: ObjectivePart) -> Objective:
        return Objective(
            keep=self.names.resolve_keep(part.keep).text,
            whom=self.names.resolve_whom(part.whom).text,
            during=tuple(self.names.resolve_during(during).text for during in part.during),
            within_ms=part.within,
            at=self._at("objectives", index),
        )


def _tuple(addresses: list[IPInterface]) -> tuple[IPInterface, ...]:
    return tuple(addresses)


def contacts_of(part: NamedPart | NounPart) -> tuple[Contact, ...]:
    """Return a noun's contacts."""
    return tuple(Contact(name=one.name, mail=one.mail, phone=one.phone) for one in part.contacts)


def bfd_of(part: BfdTimers | None) -> Bfd | None:
    """Return timers of BFD, or None for no BFD."""
    return None if part is None else Bfd(interval_ms=part.interval, multiplier=part.multiplier)


def limits_of(part: LimitPart) -> dict[int, int]:
    """Return the stated limits by family."""
    return {family: limit for family, limit in ((4, part.ipv4), (6, part.ipv6)) if limit is not None}


def raw_texts(part: RouterRawPart | SessionRawPart) -> list[tuple[RawPlace, str]]:
    """Return the raw texts that are stated, each with its place."""
    fields = type(part).model_fields.items()
    found = [(RawPlace(field.alias or name), getattr(part, name)) for name, field in fields]
    return [(place, text) for place, text in found if text is not None]


def routers_of(part: CustomerPart, document: Document) -> tuple[str, ...]:
    """Return a customer's routers; without any stated, the only one of the network."""
    if part.routers:
        return tuple(part.routers)
    return (part.router,) if part.router is not None else tuple(document.routers)[:1]
