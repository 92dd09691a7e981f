"""A plan: every detail of a declared network and of the world around it, from which all else is made.

Analysis, rendering and labs read this and nothing else. Everything in it is frozen and ordered, so that two plans of
the same intent are equal and their configurations are the same bytes.

Cabling: a `Segment` is one cable between two interfaces. A LAN is a node of role `switch` with a cable to each member,
so that pulling one member's cable and switching the whole LAN off are the same two verbs as everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from resilience.model.network import (
    Bfd,
    IPAddress,
    IPInterface,
    IPNetwork,
    Network,
    Objective,
    Platform,
    Position,
    Raw,
    RpkiServer,
    SecretRef,
)
from resilience.model.policy import AsList, Policy, PrefixList


class Provenance(StrEnum):
    """Where a value comes from."""

    STATED = "stated"
    LOCKED = "locked"
    DERIVED = "derived"
    LAB = "lab"
    """Filled in because another party has to assign it; works in labs, cannot be deployed."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from, and for stated ones the line."""

    provenance: Provenance
    at: Position | None = None

    def __str__(self) -> str:
        return f"{self.provenance} {self.at.file}:{self.at.line}" if self.at else str(self.provenance)


class Role(StrEnum):
    """What a node is."""

    ROUTER = "router"
    """One of the declared network's own."""
    PROVIDER = "provider"
    TRANSIT = "transit"
    """Beyond the providers."""
    NEIGHBOUR = "neighbour"
    """A provider's own customer or peer."""
    ROUTE_SERVER = "route-server"
    MEMBER = "member"
    """Another member of an exchange."""
    CUSTOMER = "customer"
    """A customer's router."""
    HOST = "host"
    """Runs no routing daemon: a service, a user, a destination, a customer without an AS."""
    SWITCH = "switch"
    """A bridge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address with its prefix length, and where it comes from."""

    interface: IPInterface
    origin: Origin

    @property
    def ip(self) -> IPAddress:
        """The address alone."""
        return self.interface.ip


class InterfaceKind(StrEnum):
    """What an interface is for; decides its protections."""

    LINK = "link"
    UPLINK = "uplink"
    PORT = "port"
    CUSTOMER = "customer"
    HOST = "host"
    """Towards hosts of our own: services and users."""
    OUTSIDE = "outside"
    """Between nodes of the outside world."""


class SourceFilter(StrEnum):
    """Anti-spoofing (BCP 38, BCP 84) of what comes in through an interface."""

    NONE = "none"
    STRICT = "strict"
    """Only sources inside `source_prefixes`."""
    LOOSE = "loose"
    """Any source that has a route (multi-homed customers, RFC 8704)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OspfInterface:
    """OSPFv2 and OSPFv3 on an interface, area 0, network type point-to-point."""

    cost: int
    passive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One end of a cable. `name` has at most 15 characters and never needs quoting."""

    name: str
    kind: InterfaceKind
    segment: str
    peer: str
    """Who is at the other end, for descriptions."""
    addresses: tuple[Address, ...] = ()
    mtu: int = 1500
    vlan: int | None = None
    port: str | None = None
    """The real port that carries the VLAN, where both were stated; `name` is then a derived name of its own."""
    ospf: OspfInterface | None = None
    bfd: Bfd | None = None
    """Of the IGP; BGP sessions carry their own."""
    source_filter: SourceFilter = SourceFilter.NONE
    source_prefixes: tuple[IPNetwork, ...] = ()
    element: str = ""
    """The element it belongs to, such as `uplink dakar`."""

    def address(self, family: int) -> Address | None:
        """Return the first address of a family (4 or 6)."""
        return next((a for a in self.addresses if a.ip.version == family), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A cable: (node, interface) at each end."""

    name: str
    ends: tuple[tuple[str, str], tuple[str, str]]
    capacity_bps: int | None = None
    element: str = ""


@dataclass(frozen=True, slots=True)
class NextHop:
    """A way out: an address behind an interface."""

    address: IPAddress
    interface: str


GRACEFUL_RESTART_S = 30
"""How long a neighbour waits for a daemon that died and keeps its routes (RFC 4724 section 3), where both agreed."""
GRACEFUL_WAIT_S = 20
"""How long a daemon that came back waits for its neighbours' routes before it acts on those that it has."""

OSPF_HELLO_S = 1
"""Hello interval on our links: BFD detects failures, hellos only decide how soon an adjacency comes back."""
OSPF_DEAD_S = 10
"""Dead interval on our links: detection where a link has no BFD and keeps its carrier."""


class RouteUse(StrEnum):
    """Why a static route exists."""

    ANCHOR = "anchor"
    """Discards what no more-specific route wants of a prefix that we originate; BGP announces it."""
    ATTACHED = "attached"
    """Leads to a host, service or static customer behind this router; BGP announces it inside our network."""
    FLOATING = "floating"
    """Stands ready in the kernel's table 253, looked up when the main table has nothing that works."""
    GATEWAY = "gateway"
    """A host's default route."""


FLOATING_TABLE = 253
"""The kernel's `default` table. IPv4 looks it up after `main` by itself; IPv6 needs a rule (priority 32767)."""
MAIN_TABLE = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticRoute:
    """A route by hand. No next hops: discard. It falls with the carrier of its next hop's interface."""

    prefix: IPNetwork
    use: RouteUse
    next_hops: tuple[NextHop, ...] = ()
    table: int = MAIN_TABLE
    origin: Origin = Origin(Provenance.DERIVED)


class ListenerKind(StrEnum):
    """What a service answers."""

    TCP_ECHO = "tcp"
    UDP_ECHO = "udp"
    HTTP = "http"
    DNS = "dns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A service that listens in a host. `zone` for DNS."""

    service: str
    kind: ListenerKind
    address: IPAddress
    port: int
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origination:
    """A prefix that a node puts into BGP, while the static route of the same prefix stands.

    `own`: one of the declared prefixes (goes outside); else only inside the AS.
    """

    prefix: IPNetwork
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A router, switch or host, ours or of the outside. `name` is unique in the plan, a DNS label."""

    name: str
    role: Role
    managed: bool = False
    """Ours: rendered for deployment. Everything else only exists in labs."""
    platform: Platform | None = None
    site: str | None = None
    title: str = ""
    asn: int | None = None
    router_id: IPAddress | None = None
    """Always an IPv4 address; a number, not necessarily reachable."""
    cluster_id: IPAddress | None = None
    """Of a route reflector (RFC 4456)."""
    loopbacks: tuple[Address, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    statics: tuple[StaticRoute, ...] = ()
    originations: tuple[Origination, ...] = ()
    policies: tuple[Policy, ...] = ()
    prefix_lists: tuple[PrefixList, ...] = ()
    as_lists: tuple[AsList, ...] = ()
    multipath: int = 1
    ospf: bool = False
    rpki: tuple[RpkiServer, ...] = ()
    listeners: tuple[Listener, ...] = ()
    draining: bool = False
    """The whole node is being drained: OSPF maximum metric (RFC 6987)."""
    raw: tuple[Raw, ...] = ()
    """Lines for the ends of this router's files, as they stand in the intent."""
    not_deployable: tuple[str, ...] = ()
    """What is missing before this router's files may reach a real one."""

    def interface(self, name: str) -> Interface:
        """Return the interface of that name; KeyError when there is none."""
        for interface in self.interfaces:
            if interface.name == name:
                return interface
        raise KeyError(name)

    def loopback(self, family: int) -> Address | None:
        """Return the loopback address of a family (4 or 6)."""
        return next((a for a in self.loopbacks if a.ip.version == family), None)


class BgpRole(StrEnum):
    """RFC 9234, as this end declares itself."""

    PROVIDER = "provider"
    CUSTOMER = "customer"
    PEER = "peer"
    RS_SERVER = "rs-server"
    RS_CLIENT = "rs-client"


class GracefulRestart(StrEnum):
    """What one end of a session does when a routing daemon dies and comes back (RFC 4724)."""

    OFF = "off"
    """Routes go with the session."""
    HELPS = "helps"
    """Keeps the other end's routes while its daemon is away."""
    RESTARTS = "restarts"
    """That, and its own router goes on forwarding while its daemon is away."""


class SessionKind(StrEnum):
    """What a session is for, seen from the declared network; OUTSIDE: between two strangers."""

    TRANSIT = "transit"
    PEER = "peer"
    ROUTE_SERVER = "route-server"
    CUSTOMER = "customer"
    IBGP = "ibgp"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnd:
    """One end of a BGP session, as that end is configured. Policies by name in the node's own list."""

    node: str
    asn: int
    address: IPAddress
    interface: str | None
    """None: between loopbacks (iBGP)."""
    role: BgpRole | None = None
    import_policy: str | None = None
    """None: accept everything; only iBGP and simple outsiders."""
    export_policy: str | None = None
    hold_ms: int = 180_000
    connect_retry_ms: int = 120_000
    bfd: Bfd | None = None
    ttl_security: bool = False
    """GTSM (RFC 5082): expects and sends TTL 255."""
    password: SecretRef | None = None
    maximum_prefixes: int | None = None
    """Most prefixes that the other end may send, refused ones included where the platform can count them.

    They should count: of a full table leaked by a peer the filters refuse most, for the transit networks in its paths,
    and what they let pass may well be fewer than agreed (RFC 7454 section 8)."""
    default_originate: bool = False
    """Announces a default route to the other end."""
    next_hop_self: bool = False
    route_reflector_client: bool = False
    """This end reflects for the other (RFC 4456)."""
    add_path: bool = False
    """This end sends every usable path, not only its best (RFC 7911); the other end takes them.

    Reflectors do: a client that knew only its reflector's choice could send packets towards a router that sends them
    back (RFC 4456 section 11, RFC 7964)."""
    route_server: bool = False
    """This end is the route server: transparent next hop and AS path (RFC 7947)."""
    graceful_restart: GracefulRestart = GracefulRestart.OFF
    draining: bool = False
    raw: tuple[Raw, ...] = ()
    """Lines for this end's configuration of the session, of its own platform only."""

    @property
    def keepalive_ms(self) -> int:
        """A third of the hold time (RFC 4271 section 10)."""
        return self.hold_ms // 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A BGP session that carries one family over that family. Our end, where there is one, is the first."""

    name: str
    """`PARTY-ipv4`, unique, an identifier with `-`, such as `dakar-ipv4` or `ibgp-bko1-bko2-ipv6`."""
    family: int
    kind: SessionKind
    ends: tuple[SessionEnd, SessionEnd]
    element: str = ""
    """The element whose loss ends it, such as `uplink dakar` or `peer mlix-university`."""
    rank: int | None = None
    assigned: Provenance = Provenance.DERIVED
    """LAB: another party still has to assign the addresses."""


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A session as one of its ends sees it."""

    session: Session
    local: SessionEnd
    remote: SessionEnd


class ElementKind(StrEnum):
    """What can fail."""

    ROUTER = "router"
    SITE = "site"
    LINK = "link"
    UPLINK = "uplink"
    PORT = "port"
    PROVIDER = "provider"
    EXCHANGE = "exchange"
    ROUTE_SERVER = "route-server"
    PEER = "peer"
    RISK = "risk"
    CUSTOMER = "customer"
    SERVICE = "service"


class FaultKind(StrEnum):
    """How a thing fails; the same words on every lab back end."""

    CARRIER = "carrier"
    """target: segment. Both ends lose carrier."""
    SILENT = "silent"
    """target: segment. Every packet vanishes, both ways, carrier stays."""
    CRASH = "crash"
    """target: node. Loses power: every process and the kernel's state; neighbours lose carrier."""
    GREY = "grey"
    """target: node. Keeps its sessions and forwards nothing."""
    KILL = "kill"
    """target: node. Its routing daemon dies, the kernel keeps its routes."""
    FREEZE = "freeze"
    """target: node. Its routing daemon stops (SIGSTOP)."""
    RESET = "reset"
    """target: session. It is closed once and may come back."""
    DOWN = "down"
    """target: session. It is closed and stays closed."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing done to one segment, node or session."""

    kind: FaultKind
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """A name that can fail, and what its failure does. `name` is qualified: `uplink dakar`."""

    name: str
    kind: ElementKind
    short: str
    title: str = ""
    faults: tuple[Fault, ...]
    """When it fails (LANGUAGE, any-one-failure)."""
    silent_faults: tuple[Fault, ...] = ()
    """When it fails silently; empty: it cannot."""
    members: tuple[str, ...] = ()
    """Elements that fall with it (a risk's, a site's)."""
    international: bool = False
    at: Position | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An end of a flow. Several nodes: an anycast address that each of them answers on."""

    label: str
    nodes: tuple[str, ...]
    address: IPAddress


class Protocol(StrEnum):
    """What a flow carries."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Traffic that an objective promises to keep. Forward runs from `source` to `target`.

    UDP flows are measured as steady one-way streams. TCP flows are connections to a service's `port`.
    """

    name: str
    source: Endpoint
    target: Endpoint
    family: int
    protocol: Protocol
    port: int | None = None
    listener: ListenerKind | None = None


class FailureKind(StrEnum):
    """How the elements of a failure fail."""

    NATURAL = "natural"
    SILENT = "silent"
    MAINTENANCE = "maintenance"
    """Drained first, then taken down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One or several elements that fail within 10 ms of each other."""

    name: str
    """`uplink dakar`, `silent uplink dakar`, `international-cut`, `maintenance router bko1`."""
    kind: FailureKind
    elements: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One failure of an objective, and the flows that it must keep."""

    failure: Failure
    flows: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """Flows with an end inside the failing element: nothing could keep that promise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedObjective:
    """A promise with everything needed to judge it."""

    objective: Objective
    flows: tuple[Flow, ...]
    trials: tuple[Trial, ...]
    failures_possible: int
    """How many failures the class has; more than `len(trials)` only for `any-two-failures`."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that another party has to assign before deployment."""

    subject: str
    what: str
    ask: str
    at: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A network and its outside, down to the last number."""

    network: Network
    nodes: Mapping[str, Node]
    segments: Mapping[str, Segment]
    sessions: tuple[Session, ...]
    elements: Mapping[str, Element]
    objectives: tuple[PlannedObjective, ...]
    missing: tuple[Missing, ...] = ()
    draining: tuple[str, ...] = ()
    """Names of the elements that are being drained."""
    _neighbors: Mapping[str, tuple[Neighbor, ...]] = field(default_factory=dict, repr=False, compare=False)

    def routers(self) -> tuple[Node, ...]:
        """Return the declared network's own routers."""
        return tuple(node for node in self.nodes.values() if node.managed)

    def neighbors(self, node: str) -> tuple[Neighbor, ...]:
        """Return a node's BGP sessions, each seen from that node."""
        return self._neighbors.get(node, ())

    def other_end(self, node: str, interface: str) -> tuple[str, str]:
        """Return (node, interface) at the other end of an interface's cable."""
        segment = self.segments[self.nodes[node].interface(interface).segment]
        near, far = segment.ends
        return far if near == (node, interface) else near


def index_neighbors(sessions: tuple[Session, ...]) -> dict[str, tuple[Neighbor, ...]]:
    """Return what `Plan._neighbors` holds: for each node its sessions, in plan order."""
    found: dict[str, list[Neighbor]] = {}
    for session in sessions:
        for local, remote in _both_ways(session):
            found.setdefault(local.node, []).append(Neighbor(session, local, remote))
    return {node: tuple(neighbors) for node, neighbors in found.items()}


def _both_ways(session: Session) -> Iterator[tuple[SessionEnd, SessionEnd]]:
    first, second = session.ends
    yield first, second
    yield second, first
