"""The view of a router that runs BIRD: everything its templates print, decided here."""

from __future__ import annotations

from dataclasses import dataclass

from resilience.errors import ResilienceError
from resilience.model.network import Bfd, IPNetwork, RawPlace
from resilience.model.plan import (
    GRACEFUL_RESTART_S,
    GRACEFUL_WAIT_S,
    MAIN_TABLE,
    OSPF_DEAD_S,
    OSPF_HELLO_S,
    GracefulRestart,
    Neighbor,
    Node,
    Plan,
    StaticRoute,
)
from resilience.model.policy import Relation
from resilience.render.banner import banner
from resilience.render.bird_policy import BirdPolicy, BirdSet, bird_policy, bird_sets, policy_name
from resilience.render.drain import ospf_cost
from resilience.render.raw import raw_banner, raw_of_router, raw_of_session
from resilience.render.secret import ResolveSecret, password_text
from resilience.render.text import description, interface_name, seconds, symbol


@dataclass(frozen=True, slots=True)
class BirdStatic:
    """A static route. `tag`: the relation it is originated with, or empty."""

    prefix: str
    way: str
    tag: int | None = None


@dataclass(frozen=True, slots=True)
class BirdStatics:
    """The static routes of one protocol and family. `table`: a kernel table of its own, or None for the main one."""

    name: str
    family: int
    routes: tuple[BirdStatic, ...]
    table: int | None = None


@dataclass(frozen=True, slots=True)
class BirdBfd:
    """BFD on one interface, for the IGP."""

    interface: str
    interval_ms: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class BirdOspfInterface:
    """An interface inside OSPF."""

    name: str
    cost: int
    passive: bool
    bfd: bool


@dataclass(frozen=True, slots=True)
class BirdOspf:
    """OSPF of one family. `loopbacks` are announced as stub networks."""

    version: int
    family: int
    loopbacks: tuple[str, ...]
    interfaces: tuple[BirdOspfInterface, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BirdSession:
    """A BGP session."""

    name: str
    description: str
    family: int
    local: str
    local_asn: int
    remote: str
    remote_asn: int
    interface: str | None
    role: str | None
    hold_s: int
    keepalive_s: int
    connect_s: int
    delay_s: int
    error_s: int
    error_limit_s: int
    bfd: Bfd | None
    password: str | None
    ttl_security: bool
    graceful_restart: str
    restarts: bool
    enforce_first_as: bool
    route_server: bool
    next_hop_self: bool
    cluster_id: str | None
    add_path: str | None
    maximum_prefixes: int | None
    default_originate: bool
    draining: bool
    everything: str
    validates: bool
    """Its import policy asks the RPKI: routes are judged again when the validator's answers change."""
    import_policy: str | None
    export_policy: str | None
    raw: tuple[str, ...]
    raw_channel: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BirdView:
    """All that `templates/bird` needs."""

    banner: tuple[str, ...]
    raw_banner: tuple[str, ...]
    raw: tuple[str, ...]
    router_id: str
    asn: int | None
    multipath: int
    rpki: tuple[tuple[str, int], ...]
    sets: tuple[BirdSet, ...]
    policies: tuple[BirdPolicy, ...]
    statics: tuple[BirdStatics, ...]
    defaults: tuple[tuple[int, str], ...]
    """(family, prefix of everything) for families in which some session announces a default route."""
    has_bfd: bool
    bfd: tuple[BirdBfd, ...]
    ospf: tuple[BirdOspf, ...]
    sessions: tuple[BirdSession, ...]
    restarts: bool
    """Its kernel forwards on while the daemon is away, and some neighbour waits for it."""
    families: tuple[int, ...] = (4, 6)
    graceful_restart_s: int = GRACEFUL_RESTART_S
    graceful_wait_s: int = GRACEFUL_WAIT_S
    hello_s: int = OSPF_HELLO_S
    dead_s: int = OSPF_DEAD_S


_OWN, _INTERNAL = int(Relation.OWN), int(Relation.INTERNAL)
_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}


def view_bird(plan: Plan, node: Node, resolve: ResolveSecret) -> BirdView:
    """Return the view of a router that runs BIRD, ours or of the outside."""
    around = plan.neighbors(node.name)
    sets = bird_sets(node.prefix_lists, node.as_lists)
    known = frozenset(constant.name for constant in sets)
    bfd = _igp_bfd(node)
    return BirdView(
        banner=banner(node),
        raw_banner=raw_banner(node, around, RawPlace.BIRD_CONF),
        raw=raw_of_router(node, RawPlace.BIRD_CONF),
        router_id=str(node.router_id),
        asn=node.asn,
        multipath=node.multipath,
        rpki=tuple((str(server.address), server.port) for server in node.rpki),
        sets=sets,
        policies=tuple(bird_policy(policy, node.asn or 0, known) for policy in node.policies),
        statics=_all_statics(node),
        defaults=_defaults(around),
        has_bfd=bool(bfd) or any(neighbor.local.bfd for neighbor in around),
        bfd=bfd,
        ospf=_ospf(node) if node.ospf else (),
        sessions=tuple(_session(node, neighbor, resolve) for neighbor in around),
        restarts=any(neighbor.local.graceful_restart is GracefulRestart.RESTARTS for neighbor in around),
    )


def _defaults(around: tuple[Neighbor, ...]) -> tuple[tuple[int, str], ...]:
    families = {neighbor.session.family for neighbor in around if neighbor.local.default_originate}
    return tuple((family, everything) for family, everything in _EVERYTHING.items() if family in families)


def _all_statics(node: Node) -> tuple[BirdStatics, ...]:
    """Sort static routes by what happens to them: BGP announces it, the kernel alone gets it, another kernel table."""
    tags = {o.prefix: _OWN if o.own else _INTERNAL for o in node.originations}
    missing = tags.keys() - {route.prefix for route in node.statics}
    if missing:
        raise ResilienceError(f"{node.name} originates {', '.join(map(str, missing))} without a static route")
    found = []
    for family in (4, 6):
        routes = [route for route in node.statics if route.prefix.version == family]
        main = [route for route in routes if route.table == MAIN_TABLE]
        found.append(BirdStatics(f"b_origin{family}", family, _statics([r for r in main if r.prefix in tags], tags)))
        found.append(BirdStatics(f"b_static{family}", family, _statics([r for r in main if r.prefix not in tags], {})))
        for table in sorted({route.table for route in routes} - {MAIN_TABLE}):
            own = _statics([route for route in routes if route.table == table], {})
            found.append(BirdStatics(f"b_table{table}_{family}", family, own, table))
    return tuple(statics for statics in found if statics.routes)


def _statics(routes: list[StaticRoute], tags: dict[IPNetwork, int]) -> tuple[BirdStatic, ...]:
    return tuple(BirdStatic(str(route.prefix), _way(route), tags.get(route.prefix)) for route in routes)


def _way(route: StaticRoute) -> str:
    return " ".join(f"via {hop.address}" for hop in route.next_hops) or "blackhole"


def _igp_bfd(node: Node) -> tuple[BirdBfd, ...]:
    return tuple(
        BirdBfd(interface_name(i.name), i.bfd.interval_ms, i.bfd.multiplier)
        for i in node.interfaces
        if i.bfd is not None and i.ospf is not None and not i.ospf.passive
    )


def _ospf(node: Node) -> tuple[BirdOspf, ...]:
    return tuple(
        BirdOspf(
            version=version,
            family=family,
            loopbacks=tuple(str(a.interface.network) for a in node.loopbacks if a.ip.version == family),
            interfaces=tuple(
                BirdOspfInterface(
                    interface_name(i.name),
                    ospf_cost(node, i.ospf),
                    i.ospf.passive,
                    i.bfd is not None and not i.ospf.passive,
                )
                for i in node.interfaces
                if i.ospf is not None and any(a.ip.version == family for a in i.addresses)
            ),
        )
        for version, family in ((2, 4), (3, 6))
    )


def _validates(node: Node, name: str | None) -> bool:
    return any(term.match.rpki_invalid for policy in node.policies if policy.name == name for term in policy.terms)


_GRACEFUL_RESTART = {GracefulRestart.OFF: "off", GracefulRestart.HELPS: "aware", GracefulRestart.RESTARTS: "on"}
_ADD_PATH = {(False, False): None, (False, True): "rx", (True, False): "tx", (True, True): "on"}
"""(this end sends every path, the other end does) to BIRD's word."""


def _session(node: Node, neighbor: Neighbor, resolve: ResolveSecret) -> BirdSession:
    session, local, remote = neighbor.session, neighbor.local, neighbor.remote
    external = local.asn != remote.asn
    connect_s = seconds(local.connect_retry_ms)
    reflects = local.route_reflector_client
    return BirdSession(
        name=symbol(session.name),
        description=description(f"{session.name} to {remote.node}"),
        family=session.family,
        local=str(local.address),
        local_asn=local.asn,
        remote=str(remote.address),
        remote_asn=remote.asn,
        interface=interface_name(local.interface) if local.interface else None,
        role=str(local.role).replace("-", "_") if local.role and external else None,
        hold_s=max(3, seconds(local.hold_ms)),
        keepalive_s=seconds(local.keepalive_ms),
        connect_s=connect_s,
        # BIRD's own waits before a first attempt and after errors, never longer than the plan's figure.
        delay_s=min(connect_s, 5),
        error_s=min(connect_s, 60),
        error_limit_s=min(connect_s, 300),
        bfd=local.bfd,
        password=password_text(local.password, resolve),
        ttl_security=local.ttl_security and external,
        graceful_restart=_GRACEFUL_RESTART[local.graceful_restart],
        restarts=local.graceful_restart is GracefulRestart.RESTARTS,
        enforce_first_as=external and not remote.route_server,
        route_server=local.route_server,
        next_hop_self=local.next_hop_self,
        cluster_id=str(node.cluster_id or node.router_id) if reflects else None,
        add_path=_ADD_PATH[local.add_path, remote.add_path],
        maximum_prefixes=local.maximum_prefixes,
        default_originate=local.default_originate,
        draining=local.draining,
        everything=_EVERYTHING[session.family],
        validates=_validates(node, local.import_policy),
        import_policy=policy_name(local.import_policy) if local.import_policy else None,
        export_policy=policy_name(local.export_policy) if local.export_policy else None,
        raw=raw_of_session(neighbor, RawPlace.BIRD),
        raw_channel=raw_of_session(neighbor, RawPlace.BIRD_CHANNEL),
    )
