"""The shape of `network.yaml`: every key of the language with what it means. The JSON Schema is made of it.

Fields say what is written, not what follows from it: defaults that need other nouns are filled in by `convert`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from resilience.intent.addresses import AddressOf, InterfaceAddress, Prefix
from resilience.intent.forms import Nouns, OneOrMany, PerRouter, Section, Settings, Timers
from resilience.intent.scalars import (
    AsNumber,
    Capacity,
    Choice,
    Community,
    Duration,
    FreeText,
    InterfaceName,
    NameOf,
    Rate,
    RawText,
    ReferenceTo,
    Secret,
    Switch,
    Whole,
    Zone,
)
from resilience.model.network import Accept, IPAddress, IPInterface, IPNetwork, Platform, SecretRef, Send

MAXIMUM_WITHIN_MS = 3_600_000

Name = Annotated[str, NameOf()]
Reference = Annotated[str, ReferenceTo()]
RouterName = Annotated[str, NameOf("the name of a router")]
AnyRouter = Annotated[str, NameOf("the name of a router", wild=True)]
Asn = Annotated[int, AsNumber()]
Bits = Annotated[int, Capacity()]
Text = Annotated[str, FreeText("this text")]
Truth = Annotated[bool, Switch()]
HostAddress = Annotated[IPAddress, AddressOf()]
HostAddresses = Annotated[list[HostAddress], OneOrMany()]
InterfaceAddresses = Annotated[list[Annotated[IPInterface, InterfaceAddress()]], OneOrMany()]
Network = Annotated[IPNetwork, Prefix()]
Prefixes = Annotated[list[Network], OneOrMany()]
Names = Annotated[list[Name], OneOrMany()]
References = Annotated[list[Reference], OneOrMany()]
PortName = Annotated[str, InterfaceName()]
Hold = Annotated[
    int,
    Duration(
        "a hold time",
        3_000,
        65_535_000,
        "RFC 4271 allows 3 s to 65535 s; without BFD it is the outage of a silent failure",
    ),
]
Vlan = Annotated[int, Whole("a VLAN", 1, 4094)]
Mtu = Annotated[int, Whole("an MTU", 1280, 9216)]
TransportPort = Annotated[int, Whole("a port", 1, 65_535)]
Count = Annotated[int, Whole("a number of prefixes", 1, 10_000_000)]
Password = Annotated[SecretRef, Secret()]
Lines = Annotated[str, RawText()]


class Part(BaseModel):
    """A mapping of the language: only its own keys are allowed."""

    WHOLE: ClassVar[str] = "the network"
    """What messages call a file that is such a mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class BfdTimers(Part):
    """Timers of BFD at our end (RFC 5880)."""

    interval: Annotated[int, Duration("a BFD interval", 10, 60_000)] = Field(
        default=300, description="How often a packet is sent and expected, 10ms to 60s."
    )
    multiplier: Annotated[int, Whole("a BFD multiplier", 2, 255)] = Field(
        default=3, description="After how many missing packets the other side is dead, 2 to 255."
    )


Bfd = Annotated[BfdTimers | None, Timers()]


class ContactPart(Part):
    """A person or a desk. Personal data: shown only by outputs that ask for it by name."""

    name: Text = Field(default="", description="Who it is.")
    mail: Text = Field(default="", description="An e-mail address.")
    phone: Text = Field(default="", description="A telephone number.")


class NamedPart(Part):
    """What everything declared may have."""

    was: Name | None = Field(default=None, description="The name before a rename, so that derived numbers are kept.")
    contacts: Annotated[list[ContactPart], OneOrMany()] = Field(default=[], description="Whom to call; personal data.")


class NounPart(NamedPart):
    """What may share a risk with others."""

    risks: Names = Field(default=[], description="Declared risks that take this down.")


class LimitPart(Part):
    """Most prefixes that a neighbour may announce, a family."""

    ipv4: Count | None = Field(default=None, description="Most IPv4 prefixes.")
    ipv6: Count | None = Field(default=None, description="Most IPv6 prefixes.")


class CommunityPart(Part):
    """A provider's communities that change how it treats our routes."""

    lower_preference: Annotated[str, Community()] | None = Field(
        default=None, alias="lower-preference", description="The provider prefers a route with it less than others."
    )


class RouterRawPart(Part):
    """Lines of a router's own language, added to its files as they stand. The language cannot judge them."""

    frr_conf: Lines | None = Field(default=None, alias="frr.conf", description="FRR: lines for the end of frr.conf.")
    bird_conf: Lines | None = Field(
        default=None, alias="bird.conf", description="BIRD: lines for the end of bird.conf."
    )
    nftables_conf: Lines | None = Field(
        default=None, alias="nftables.conf", description="Lines for the end of nftables.conf, after our own table."
    )
    sysctl_conf: Lines | None = Field(
        default=None, alias="sysctl.conf", description="Lines for the end of sysctl.conf: settings under net."
    )


class SessionRawPart(Part):
    """Lines of a router's own language for a neighbour's sessions of both families. The language cannot judge them."""

    frr: Lines | None = Field(
        default=None, description="FRR: what follows `neighbor ADDRESS` (or `no neighbor ADDRESS`) under `router bgp`."
    )
    frr_family: Lines | None = Field(default=None, description="FRR: the same under `address-family`.")
    bird: Lines | None = Field(default=None, description="BIRD: lines inside `protocol bgp { }`.")
    bird_channel: Lines | None = Field(
        default=None, description="BIRD: lines inside its channel, `ipv4 { }` or `ipv6 { }`."
    )


RouterRaw = Annotated[RouterRawPart, Settings()]
SessionRaw = Annotated[SessionRawPart, Settings()]


class RiskPart(NamedPart):
    """Anything that can take several things down at once."""

    title: Text | None = Field(default=None, description="What it is, for people. Default: the name.")
    kind: Name | None = Field(
        default=None, description="What sort of risk: duct, gateway, power, carrier or your own word."
    )
    rate: Annotated[str, Rate()] | None = Field(default=None, description="How often it happens: 4/year.")
    includes: Names = Field(default=[], description="Other risks that happen whenever this one does.")


class SitePart(NounPart):
    """A building."""


class RouterPart(NounPart):
    """One of our routers."""

    site: Name | None = Field(default=None, description="Where it stands. Default: a site of the router's own name.")
    platform: Annotated[Platform, Choice("a platform", tuple(Platform), Platform)] = Field(
        default=Platform.FRR, description="What it runs."
    )
    loopback: HostAddresses = Field(
        default=[], description="Its loopback address, one a family. Default: from the pool."
    )
    raw: RouterRaw = Field(default_factory=RouterRawPart, description="Lines added to its files as they stand.")


class LinkPart(NounPart):
    """A connection between two of our routers."""

    between: list[RouterName] = Field(description="The two routers.", json_schema_extra={"minItems": 2, "maxItems": 2})
    name: Name | None = Field(
        default=None, description="Default: both routers' names, and a number for a parallel link."
    )
    capacity: Bits | None = Field(default=None, description="Bits a second: 10G.")
    interface: dict[RouterName, PortName] = Field(default={}, description="The real port at each router.")
    address: dict[RouterName, InterfaceAddresses] = Field(
        default={}, description="The address at each router, one a family. Default: from the pool."
    )
    bfd: Bfd = Field(default_factory=BfdTimers, description="true (300 ms x 3), false, or timers. Default: true.")
    cost: Annotated[int, Whole("a cost", 1, 65_535)] | None = Field(
        default=None, description="OSPF cost. Default: from the capacity."
    )
    vlan: Vlan | None = Field(default=None, description="A VLAN on the port.")
    mtu: Mtu = Field(default=1500, description="Largest packet in bytes.")


class ProviderPart(NounPart):
    """Who sells transit to us."""

    asn: Asn = Field(description="Its AS number.")
    communities: Annotated[CommunityPart, Settings()] = Field(
        default_factory=CommunityPart, description="Communities that the provider acts on."
    )
    honours: Annotated[list[Annotated[str, Choice("what a provider honours", ("gshut", "blackhole"))]], OneOrMany()] = (
        Field(default=[], description="Well-known communities that it acts on: gshut (RFC 8326), blackhole (RFC 7999).")
    )
    international: Truth = Field(default=True, description="Whether an international cut takes it down.")
    via: Annotated[
        list[Annotated[str, Choice("a transit network", ("transit-1", "transit-2", "transit-3"))]], OneOrMany()
    ] = Field(
        default=[], description="Transit networks of the outside that it buys from. Default: transit-1 and transit-2."
    )
    hold: Hold = Field(default=180_000, description="The hold time that it proposes.")


class UplinkPart(NounPart):
    """A pair of sessions (IPv4, IPv6) with a provider over one circuit."""

    router: RouterName = Field(description="Our router.")
    provider: Name = Field(description="The provider.")
    rank: Annotated[int, Whole("a rank", 1, 1_000)] = Field(
        default=1, description="1 is used first; a higher one only when every lower one is gone."
    )
    capacity: Bits | None = Field(default=None, description="Bits a second: 2G.")
    accept: Annotated[Accept, Choice("what an uplink accepts", tuple(Accept), Accept)] = Field(
        default=Accept.FULL,
        description="Which routes are taken: all, the provider's own and its customers', or a default route.",
    )
    address: InterfaceAddresses = Field(
        default=[], description="Our address as the provider assigned it, one a family."
    )
    neighbor: HostAddresses = Field(
        default=[], description="The provider's address, one a family; needless where it is the only other host."
    )
    interface: PortName | None = Field(default=None, description="The real port of the router.")
    vlan: Vlan | None = Field(default=None, description="A VLAN on the port.")
    mtu: Mtu = Field(default=1500, description="Largest packet in bytes.")
    bfd: Bfd = Field(
        default=None, description="true, or timers: only where the provider has BFD for us. Default: false."
    )
    graceful_restart: Truth = Field(
        default=False,
        description="Both ends keep routes while our routing daemon restarts (RFC 4724): only where they agree to.",
    )
    hold: Hold | None = Field(default=None, description="The hold time that we propose.")
    ttl_security: Truth = Field(default=False, description="GTSM (RFC 5082): only where the provider does it too.")
    password: Password | None = Field(
        default=None, description="Where the session's password is kept: env:NAME, file:, vault:."
    )
    maximum_prefixes: Annotated[LimitPart, Settings()] = Field(
        default_factory=LimitPart, description="Most prefixes to take, a family."
    )
    international: Truth | None = Field(
        default=None, description="Whether an international cut takes it down. Default: as its provider."
    )
    raw: SessionRaw = Field(default_factory=SessionRawPart, description="Lines added to its sessions as they stand.")


class PortPart(NounPart):
    """Where one of our routers is connected to an exchange."""

    router: RouterName = Field(description="Our router.")
    address: InterfaceAddresses = Field(default=[], description="Our address in the exchange's LAN, one a family.")
    capacity: Bits | None = Field(default=None, description="Bits a second: 1G.")
    interface: PortName | None = Field(default=None, description="The real port of the router.")
    vlan: Vlan | None = Field(default=None, description="A VLAN on the port.")
    mtu: Mtu = Field(default=1500, description="Largest packet in bytes.")


class RouteServerPart(NounPart):
    """A route server of an exchange (RFC 7947)."""

    name: Name | None = Field(default=None, description="Default: EXCHANGE-rs1, EXCHANGE-rs2.")
    asn: Asn = Field(description="Its AS number.")
    address: HostAddresses = Field(default=[], description="Its address in the LAN, one a family.")
    bfd: Bfd = Field(default=None, description="true, or timers. Default: false.")
    graceful_restart: Truth = Field(
        default=False,
        description="Both ends keep routes while our routing daemon restarts (RFC 4724): only where they agree to.",
    )
    hold: Hold | None = Field(default=None, description="The hold time that we propose.")
    ttl_security: Truth = Field(default=False, description="GTSM (RFC 5082): only where the route server does it too.")
    password: Password | None = Field(default=None, description="Where the session's password is kept.")
    raw: SessionRaw = Field(default_factory=SessionRawPart, description="Lines added to its sessions as they stand.")


class PeerPart(NounPart):
    """A network with a session of its own with us at an exchange."""

    asn: Asn = Field(description="Its AS number.")
    address: HostAddresses = Field(default=[], description="Its address in the LAN, one a family.")
    prefixes: Prefixes = Field(default=[], description="What it announces.")
    bfd: Bfd = Field(default=None, description="true, or timers. Default: false.")
    graceful_restart: Truth = Field(
        default=False,
        description="Both ends keep routes while our routing daemon restarts (RFC 4724): only where they agree to.",
    )
    hold: Hold | None = Field(default=None, description="The hold time that we propose.")
    ttl_security: Truth = Field(default=False, description="GTSM (RFC 5082): only where the peer does it too.")
    password: Password | None = Field(default=None, description="Where the session's password is kept.")
    maximum_prefixes: Annotated[LimitPart, Settings()] = Field(
        default_factory=LimitPart, description="Most prefixes to take, a family."
    )
    raw: SessionRaw = Field(default_factory=SessionRawPart, description="Lines added to its sessions as they stand.")


class ExchangePart(NounPart):
    """An Internet exchange point (IXP): one LAN."""

    ports: Annotated[list[PortPart], OneOrMany()] = Field(description="Where our routers are connected.")
    route_servers: Annotated[list[RouteServerPart], OneOrMany()] = Field(default=[], description="Its route servers.")
    peers: Annotated[dict[Name, PeerPart], Nouns()] = Field(
        default={}, description="Networks that we peer with directly."
    )
    international: Truth = Field(default=False, description="Whether an international cut takes it down.")


class CustomerPart(NounPart):
    """Who buys connectivity from us: with an AS by BGP, without one inside our prefixes."""

    asn: Asn | None = Field(
        default=None, description="Its AS number; without one its prefixes are routed to it statically."
    )
    router: RouterName | None = Field(default=None, description="Our router. Default: the only one.")
    routers: Names = Field(default=[], description="Our routers, where it is connected to several.")
    prefixes: Prefixes = Field(description="Its prefixes.")
    send: Annotated[Send, Choice("what a customer is sent", tuple(Send), Send)] | None = Field(
        default=None, description="Routes that it gets by BGP: a default route, all, or both. Default: default."
    )
    capacity: Bits | None = Field(default=None, description="Bits a second: 100M.")
    address: Annotated[dict[AnyRouter, InterfaceAddresses], PerRouter()] = Field(
        default={}, description="Our address towards it, one a family, at each router. Default: from the pool."
    )
    interface: Annotated[dict[AnyRouter, PortName], PerRouter()] = Field(
        default={}, description="The real port at each router."
    )
    bfd: Bfd = Field(default=None, description="true, or timers. Default: false.")
    graceful_restart: Truth = Field(
        default=False,
        description="Both ends keep routes while our routing daemon restarts (RFC 4724): only where they agree to.",
    )
    hold: Hold | None = Field(default=None, description="The hold time that we propose.")
    ttl_security: Truth = Field(default=False, description="GTSM (RFC 5082): only where the customer does it too.")
    password: Password | None = Field(default=None, description="Where the session's password is kept.")
    maximum_prefixes: Annotated[LimitPart, Settings()] = Field(
        default_factory=LimitPart,
        description="Most prefixes to take, a family. Default: ten more than its declared prefixes.",
    )
    international: Truth = Field(default=False, description="Whether an international cut takes it down.")
    raw: SessionRaw = Field(default_factory=SessionRawPart, description="Lines added to its sessions as they stand.")


class ServicePart(NounPart):
    """Something that people use, in a host of its own at each of its sites."""

    at: Names = Field(description="Its site, or several (anycast).")
    address: HostAddresses = Field(
        default=[], description="Its address inside our prefixes, one a family. Default: derived."
    )
    tcp: TransportPort | None = Field(default=None, description="A TCP port.")
    udp: TransportPort | None = Field(default=None, description="A UDP port.")
    http: TransportPort | None = Field(default=None, description="The TCP port of an HTTP server.")
    dns: Annotated[str, Zone()] | None = Field(default=None, description="A DNS zone that it serves.")
    needs: Names = Field(default=[], description="Other services that it cannot do without.")


class ObjectivePart(Part):
    """A promise."""

    keep: Reference = Field(description="A service, `internet`, an exchange or a customer.")
    whom: Reference = Field(
        alias="for", description="`customers`, `everyone`, `internet`, an exchange, a customer or a site."
    )
    during: References = Field(
        description="any-one-failure, any-one-silent-failure, any-two-failures, international-cut, maintenance, "
        "an element (uplink dakar), or a list."
    )
    within: Annotated[int, Duration("`within`", 0, MAXIMUM_WITHIN_MS)] | None = Field(
        default=None, description="The longest outage; 0s means no packet lost. Without it only recovery counts."
    )


class PoolsPart(Part):
    """Where derived numbers come from."""

    loopbacks: Prefixes = Field(default=[], description="For loopback addresses.")
    links: Prefixes = Field(default=[], description="For links inside our network.")


class RpkiPart(NounPart):
    """An RPKI validator that speaks RTR (RFC 8210)."""

    name: Name | None = Field(default=None, description="Default: rpki-1, rpki-2.")
    address: HostAddress = Field(description="Its address.")
    port: TransportPort = Field(default=3323, description="Its port.")


class Document(Part):
    """A network as its people declare it."""

    network: Name = Field(description="The network's name.")
    asn: Asn = Field(description="Our AS number.")
    prefixes: Prefixes = Field(description="What we originate.")
    lab: Truth = Field(
        default=False, description="For labs only: private AS numbers and prefixes are allowed, deployment is refused."
    )
    management: Prefixes = Field(
        default=[],
        description="Prefixes from which people and tools log in to the routers (SSH), through any interface. "
        "Default: only from the routers themselves.",
    )
    pools: Annotated[PoolsPart, Settings()] = Field(
        default_factory=PoolsPart, description="Where derived numbers come from."
    )
    risks: Annotated[dict[Name, RiskPart], Nouns(short="title", empty=True)] = Field(
        default={}, description="Anything that can take several things down at once."
    )
    sites: Annotated[dict[Name, SitePart], Nouns(empty=True)] = Field(default={}, description="Buildings.")
    routers: Annotated[dict[Name, RouterPart], Nouns(empty=True)] = Field(description="Our routers.")
    links: Annotated[list[LinkPart], Section()] = Field(default=[], description="Connections between our routers.")
    providers: Annotated[dict[Name, ProviderPart], Nouns()] = Field(default={}, description="Who sells transit to us.")
    uplinks: Annotated[dict[Name, UplinkPart], Nouns()] = Field(default={}, description="Circuits to providers.")
    exchanges: Annotated[dict[Name, ExchangePart], Nouns()] = Field(default={}, description="Internet exchange points.")
    customers: Annotated[dict[Name, CustomerPart], Nouns()] = Field(
        default={}, description="Who buys connectivity from us."
    )
    services: Annotated[dict[Name, ServicePart], Nouns()] = Field(
        default={}, description="What people use in our network."
    )
    objectives: Annotated[list[ObjectivePart], Section()] = Field(
        default=[], description="Promises, which drills prove."
    )
    rpki: Annotated[list[RpkiPart], OneOrMany()] = Field(default=[], description="RPKI validators.")
