"""A network as its people declare it: the nouns of `network.yaml`, checked and typed, nothing derived.

Every name that one noun uses for another is known to exist; every default that the language promises is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where something is written: line and column count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Position("(default)", 0, 0)
"""The position of what nobody wrote."""


class Platform(StrEnum):
    """What a router runs."""

    FRR = "frr"
    BIRD = "bird"


class Accept(StrEnum):
    """Which routes an uplink takes from its provider."""

    FULL = "full"
    PARTIAL = "partial"
    DEFAULT = "default"


class Send(StrEnum):
    """Which routes a customer with an AS gets from us."""

    DEFAULT = "default"
    FULL = "full"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Bfd:
    """BFD timers of one end (RFC 5880): desired transmit and required receive interval, and detection multiplier."""

    interval_ms: int = 300
    multiplier: int = 3

    @property
    def detection_ms(self) -> int:
        """The longest time until this end's timers declare the other side dead."""
        return self.interval_ms * self.multiplier


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is kept (`env:NAME`, `file:PATH`, `vault:PATH`); never the secret itself."""

    reference: str

    def __str__(self) -> str:
        return self.reference


RAW_SECRET = re.compile(r"(?i)\b(?:password|passphrase|secret|md5|key-string|authentication-key|key)\s+[^\s;{]")
"""How a secret stands in the languages of FRR and BIRD: after one of these words."""


class RawPlace(StrEnum):
    """Where raw lines stand: a whole file of a router, or a part of the configuration of one BGP session."""

    FRR_CONF = "frr.conf"
    BIRD_CONF = "bird.conf"
    NFTABLES_CONF = "nftables.conf"
    SYSCTL_CONF = "sysctl.conf"
    FRR = "frr"
    """Each line is what follows `neighbor ADDRESS` under `router bgp`."""
    FRR_FAMILY = "frr_family"
    """The same under `address-family`."""
    BIRD = "bird"
    """Inside `protocol bgp { }`."""
    BIRD_CHANNEL = "bird_channel"
    """Inside the channel, `ipv4 { }` or `ipv6 { }`, of that protocol."""

    @property
    def platform(self) -> Platform | None:
        """The platform that has such a place; None: every one."""
        return next((platform for platform in Platform if self.startswith(platform)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Lines of a platform's own language that go into its configuration as they stand, unknown to everything else."""

    place: RawPlace
    lines: tuple[str, ...] = field(repr=False)
    at: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Personal data: leaves this object only in outputs that ask for it by name."""

    name: str = ""
    mail: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """What every declared thing has."""

    name: str
    at: Position = NOWHERE
    risks: tuple[str, ...] = ()
    was: str | None = None
    contacts: tuple[Contact, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk(Noun):
    """Anything that can take several things down at once (a shared risk link group, RFC 4202)."""

    title: str = ""
    kind: str | None = None
    rate: str | None = None
    includes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Noun):
    """A building."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Router(Noun):
    """One of our routers. A router without a stated site stands at a site of its own name."""

    site: str
    platform: Platform = Platform.FRR
    loopbacks: tuple[IPAddress, ...] = ()
    raw: tuple[Raw, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link(Noun):
    """A connection between two of our routers."""

    ends: tuple[str, str]
    capacity_bps: int | None = None
    interfaces: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, tuple[IPInterface, ...]] = field(default_factory=dict)
    bfd: Bfd | None = Bfd()
    cost: int | None = None
    vlan: int | None = None
    mtu: int = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(Noun):
    """Who sells transit to us."""

    asn: int
    communities: Mapping[str, str] = field(default_factory=dict)
    honours: frozenset[str] = frozenset()
    international: bool = True
    via: tuple[str, ...] = ()
    hold_ms: int = 180_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink(Noun):
    """A pair of sessions (IPv4, IPv6) with a provider over one circuit. `addresses` are ours, `neighbors` theirs."""

    router: str
    provider: str
    rank: int = 1
    capacity_bps: int | None = None
    accept: Accept = Accept.FULL
    addresses: tuple[IPInterface, ...] = ()
    neighbors: tuple[IPAddress, ...] = ()
    interface: str | None = None
    vlan: int | None = None
    mtu: int = 1500
    bfd: Bfd | None = None
    graceful_restart: bool = False
    hold_ms: int | None = None
    ttl_security: bool = False
    password: SecretRef | None = None
    maximum_prefixes: Mapping[int, int] = field(default_factory=dict)
    international: bool | None = None
    raw: tuple[Raw, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Port(Noun):
    """Where one of our routers is connected to an exchange's LAN. Its name is `EXCHANGE-ROUTER`."""

    router: str
    addresses: tuple[IPInterface, ...] = ()
    capacity_bps: int | None = None
    interface: str | None = None
    vlan: int | None = None
    mtu: int = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteServer(Noun):
    """A route server of an exchange (RFC 7947). Its name is `EXCHANGE-rsN` unless stated."""

    asn: int
    addresses: tuple[IPAddress, ...] = ()
    bfd: Bfd | None = None
    graceful_restart: bool = False
    hold_ms: int | None = None
    ttl_security: bool = False
    password: SecretRef | None = None
    raw: tuple[Raw, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(Noun):
    """A network with a bilateral session with us at an exchange."""

    asn: int
    addresses: tuple[IPAddress, ...] = ()
    prefixes: tuple[IPNetwork, ...] = ()
    bfd: Bfd | None = None
    graceful_restart: bool = False
    hold_ms: int | None = None
    ttl_security: bool = False
    password: SecretRef | None = None
    maximum_prefixes: Mapping[int, int] = field(default_factory=dict)
    raw: tuple[Raw, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Noun):
    """An Internet exchange point (IXP): one LAN."""

    ports: tuple[Port, ...]
    route_servers: tuple[RouteServer, ...] = ()
    peers: Mapping[str, Peer] = field(default_factory=dict)
    international: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer(Noun):
    """Who buys connectivity from us: with an AS by BGP, without one statically inside our prefixes."""

    asn: int | None = None
    routers: tuple[str, ...] = ()
    prefixes: tuple[IPNetwork, ...] = ()
    send: Send = Send.DEFAULT
    capacity_bps: int | None = None
    addresses: Mapping[str, tuple[IPInterface, ...]] = field(default_factory=dict)
    interfaces: Mapping[str, str] = field(default_factory=dict)
    bfd: Bfd | None = None
    graceful_restart: bool = False
    hold_ms: int | None = None
    ttl_security: bool = False
    password: SecretRef | None = None
    maximum_prefixes: Mapping[int, int] = field(default_factory=dict)
    international: bool = False
    raw: tuple[Raw, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Noun):
    """Something that people use, in a host of its own at each of `sites` (several: anycast)."""

    sites: tuple[str, ...]
    addresses: tuple[IPAddress, ...] = ()
    tcp: int | None = None
    udp: int | None = None
    http: int | None = None
    dns: str | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A promise: `keep` WHAT `for` WHOM `during` WHICH FAILURES `within` HOW LONG."""

    keep: str
    whom: str
    during: tuple[str, ...]
    within_ms: int | None
    at: Position = NOWHERE
    stated: bool = True

    @property
    def name(self) -> str:
        """The promise as people read it, without its time."""
        return f"keep {self.keep} for {self.whom} during {', '.join(self.during)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RpkiServer(Noun):
    """An RPKI validator that speaks RTR (RFC 8210)."""

    address: IPAddress
    port: int = 3323


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """Where derived numbers come from. Empty: the defaults of the language."""

    loopbacks: tuple[IPNetwork, ...] = ()
    links: tuple[IPNetwork, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A whole declared network. Mappings keep the order of the file."""

    name: str
    file: str
    asn: int
    prefixes: tuple[IPNetwork, ...]
    lab: bool = False
    management: tuple[IPNetwork, ...] = ()
    """From where people and tools log in to the routers."""
    pools: Pools = Pools()
    risks: Mapping[str, Risk] = field(default_factory=dict)
    sites: Mapping[str, Site] = field(default_factory=dict)
    routers: Mapping[str, Router] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    uplinks: Mapping[str, Uplink] = field(default_factory=dict)
    exchanges: Mapping[str, Exchange] = field(default_factory=dict)
    customers: Mapping[str, Customer] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    objectives: tuple[Objective, ...] = ()
    rpki: tuple[RpkiServer, ...] = ()
    digest: str = ""
    """SHA-256 of the intent's bytes, hexadecimal."""
