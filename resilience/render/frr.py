"""The view of a router that runs FRR: everything its templates print, decided here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from resilience.model.network import Bfd, RawPlace
from resilience.model.plan import (
    GRACEFUL_RESTART_S,
    GRACEFUL_WAIT_S,
    MAIN_TABLE,
    OSPF_DEAD_S,
    OSPF_HELLO_S,
    Address,
    BgpRole,
    GracefulRestart,
    Interface,
    Neighbor,
    Node,
    Plan,
    StaticRoute,
)
from resilience.model.policy import Relation
from resilience.render.banner import banner
from resilience.render.drain import ospf_cost
from resilience.render.frr_policy import DISCARD, FrrList, FrrMap, FrrPolicies
from resilience.render.raw import raw_banner, raw_of_router, raw_of_session
from resilience.render.secret import ResolveSecret, password_text
from resilience.render.text import description, identifier, interface_name, seconds

ACCEPT_ALL = "accept-all"
"""Route map for external sessions without a policy, where FRR lets nothing through (RFC 8212), and inside."""
DRAINED = "default-drained"
_GRACEFUL_RESTART = {
    GracefulRestart.OFF: "",
    GracefulRestart.HELPS: "graceful-restart-helper",
    GracefulRestart.RESTARTS: "graceful-restart",
}


@dataclass(frozen=True, slots=True)
class FrrBfd:
    """A BFD profile. `multihop`: for sessions between loopbacks, several routers apart."""

    name: str
    interval_ms: int
    multiplier: int
    multihop: bool


_DISCARDING: Final = 666
"""Tag of the static routes that lead to nowhere on purpose: they alone may resolve a next hop."""
_LAST_RESORT: Final = 254
"""Distance of a static route that any protocol's is preferred to; 255 would never be used."""


@dataclass(frozen=True, slots=True)
class FrrStatic:
    """A static route, one line for each next hop."""

    command: str
    prefix: str
    ways: tuple[str, ...]
    table: str


@dataclass(frozen=True, slots=True)
class FrrInterface:
    """An interface as zebra, ospfd and ospf6d see it."""

    name: str
    description: str
    families: tuple[str, ...]
    """Commands of the IGP's families that run here: `ip ospf`, `ipv6 ospf6`."""
    cost: int = 1
    passive: bool = False
    bfd: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrrNeighbor:
    """A BGP session."""

    address: str
    asn: int
    description: str
    source: str
    family: int
    keepalive_s: int
    hold_s: int
    connect_s: int
    bfd: str | None
    role: BgpRole | None
    password: str | None
    ttl_security: bool
    enforce_first_as: bool
    discards: bool
    """Its import policy sets a next hop that is not connected."""
    validates: bool
    """Its import policy asks the RPKI: routes are judged again when the validator's answers change."""
    graceful_restart: str
    default_originate: bool
    draining: bool
    next_hop_self: bool
    route_reflector_client: bool
    add_path: bool
    route_server_client: bool
    maximum_prefixes: int | None
    import_map: str | None
    export_map: str | None
    raw: tuple[str, ...]
    raw_family: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FrrOrigin:
    """Prefixes that BGP announces while their static route stands, and the relation that they are tagged with."""

    name: str
    sequence: int
    relation: int
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FrrFamily:
    """One address family of BGP. `ip`: the keyword of its lists; `origin_map`: what picks and tags static routes."""

    name: str
    ip: str
    origin_map: str
    origins: tuple[FrrOrigin, ...]
    neighbors: tuple[FrrNeighbor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrrView:
    """All that `templates/frr` needs."""

    banner: tuple[str, ...]
    raw_banner: tuple[str, ...]
    raw: tuple[str, ...]
    hostname: str
    asn: int | None
    router_id: str
    cluster_id: str | None
    multipath: int
    ospf: bool
    rpki: tuple[tuple[str, int], ...]
    bfd: tuple[FrrBfd, ...]
    statics: tuple[FrrStatic, ...]
    lost_routers: tuple[FrrStatic, ...]
    """Stand in for loopbacks that nobody announces any more."""
    interfaces: tuple[FrrInterface, ...]
    policies: FrrPolicies
    discard_tag: int | None
    """Marks the static routes that may resolve the next hops of what policies discard; None: no policy does."""
    prefix_lists: tuple[tuple[str, FrrList], ...]
    maps: tuple[FrrMap, ...]
    accept_all: str | None
    drained_default: str | None
    """Route map for default routes towards those who should use another way; empty: nobody should."""
    neighbors: tuple[FrrNeighbor, ...]
    families: tuple[FrrFamily, ...]
    restarts: bool
    """Its kernel forwards on while bgpd is away, and the neighbours wait for it."""
    graceful_restart_s: int = GRACEFUL_RESTART_S
    graceful_wait_s: int = GRACEFUL_WAIT_S
    hello_s: int = OSPF_HELLO_S
    dead_s: int = OSPF_DEAD_S


def view_frr(plan: Plan, node: Node, resolve: ResolveSecret) -> FrrView:
    """Return the view of an FRR router."""
    around = plan.neighbors(node.name)
    policies = _policies(node)
    neighbors = tuple(_neighbor(neighbor, policies, resolve) for neighbor in around)
    open_maps = any(ACCEPT_ALL in (n.import_map, n.export_map) for n in neighbors)
    statics = tuple(_static(route) for route in node.statics)
    return FrrView(
        banner=banner(node),
        raw_banner=raw_banner(node, around, RawPlace.FRR_CONF),
        raw=raw_of_router(node, RawPlace.FRR_CONF),
        hostname=node.name,
        asn=node.asn,
        router_id=str(node.router_id),
        cluster_id=str(node.cluster_id) if node.cluster_id else None,
        multipath=node.multipath,
        ospf=node.ospf,
        rpki=tuple((str(server.address), server.port) for server in node.rpki),
        bfd=_profiles(node, around),
        statics=statics + (_discards() if policies.discarding else ()),
        lost_routers=_lost_routers(plan, node),
        interfaces=_interfaces(node),
        policies=policies,
        discard_tag=_DISCARDING if policies.discarding else None,
        prefix_lists=tuple(policies.prefix_lists),
        maps=tuple(policies.maps),
        accept_all=ACCEPT_ALL if open_maps else None,
        drained_default=DRAINED if any(n.draining and n.default_originate for n in neighbors) else None,
        neighbors=neighbors,
        families=tuple(_family(node, neighbors, family) for family in (4, 6)),
        restarts=any(neighbor.local.graceful_restart is GracefulRestart.RESTARTS for neighbor in around),
    )


def _policies(node: Node) -> FrrPolicies:
    policies = FrrPolicies(node.asn or 0)
    for prefix_list in node.prefix_lists:
        policies.add_prefix_list(prefix_list)
    for as_list in node.as_lists:
        policies.add_as_list(as_list)
    for policy in node.policies:
        policies.add_policy(policy)
    return policies


def _profile_name(bfd: Bfd | None, *, multihop: bool = False) -> str | None:
    if bfd is None:
        return None
    return f"{'multihop' if multihop else 'direct'}-{bfd.interval_ms}x{bfd.multiplier}"


def _profiles(node: Node, around: tuple[Neighbor, ...]) -> tuple[FrrBfd, ...]:
    found = {(i.bfd, False) for i in node.interfaces if i.bfd is not None and i.ospf is not None}
    found |= {(n.local.bfd, n.local.interface is None) for n in around if n.local.bfd is not None}
    profiles = [
        FrrBfd(_profile_name(bfd, multihop=multihop) or "", bfd.interval_ms, bfd.multiplier, multihop)
        for bfd, multihop in found
        if bfd is not None
    ]
    return tuple(sorted(profiles, key=lambda profile: profile.name))


def _static(route: StaticRoute) -> FrrStatic:
    return FrrStatic(
        command="ip route" if route.prefix.version == 4 else "ipv6 route",
        prefix=str(route.prefix),
        ways=tuple(f"{hop.address} {interface_name(hop.interface)}" for hop in route.next_hops) or ("blackhole",),
        table="" if route.table == MAIN_TABLE else f" table {route.table}",
    )


def _discards() -> tuple[FrrStatic, ...]:
    return (
        FrrStatic("ip route", f"{DISCARD[4]}/32", (f"blackhole tag {_DISCARDING}",), ""),
        FrrStatic("ipv6 route", f"{DISCARD[6]}/128", (f"blackhole tag {_DISCARDING}",), ""),
    )


def _lost_routers(plan: Plan, node: Node) -> tuple[FrrStatic, ...]:
    """Return what stands in for a lost router's loopback where a prefix of ours covers it: a route that OSPF overrules.

    The prefix itself may be known by iBGP, and FRR 8.4's `ip nht` lets a next hop be resolved by a recursive route
    whatever its route map says: a dead router's routes stayed valid at a distance of 0, and were the best.
    """
    if not node.ospf or node.asn is None:
        return ()
    others = (other for other in plan.nodes.values() if other.ospf and other.name != node.name)
    loopbacks = (address.ip for other in others for address in other.loopbacks)
    covered = (ip for ip in loopbacks if any(ip in prefix for prefix in plan.network.prefixes))
    way = (f"blackhole {_LAST_RESORT}",)
    return tuple(
        FrrStatic("ip route", f"{ip}/32", way, "") if ip.version == 4 else FrrStatic("ipv6 route", f"{ip}/128", way, "")
        for ip in covered
    )


def _interfaces(node: Node) -> tuple[FrrInterface, ...]:
    loopbacks = (FrrInterface("lo", "", _igp_families(node.loopbacks), passive=True),) if node.ospf else ()
    return (*loopbacks, *(_interface(node, interface) for interface in node.interfaces))


def _igp_families(addresses: tuple[Address, ...]) -> tuple[str, ...]:
    versions = {address.ip.version for address in addresses}
    return tuple(name for version, name in ((4, "ip ospf"), (6, "ipv6 ospf6")) if version in versions)


def _interface(node: Node, interface: Interface) -> FrrInterface:
    name, text = interface_name(interface.name), description(f"to {interface.peer}, {interface.segment}")
    if interface.ospf is None:
        return FrrInterface(name, text, ())
    passive = interface.ospf.passive
    return FrrInterface(
        name=name,
        description=text,
        families=_igp_families(interface.addresses),
        cost=ospf_cost(node, interface.ospf),
        passive=passive,
        bfd=None if passive else _profile_name(interface.bfd),
    )


def _neighbor(neighbor: Neighbor, policies: FrrPolicies, resolve: ResolveSecret) -> FrrNeighbor:
    session, local, remote = neighbor.session, neighbor.local, neighbor.remote
    external = local.asn != remote.asn
    without = ACCEPT_ALL if external else None
    return FrrNeighbor(
        address=str(remote.address),
        asn=remote.asn,
        description=description(f"{session.name} to {remote.node}"),
        source=str(local.address),
        family=session.family,
        keepalive_s=seconds(local.keepalive_ms),
        hold_s=max(3, seconds(local.hold_ms)),
        connect_s=seconds(local.connect_retry_ms),
        bfd=_profile_name(local.bfd, multihop=local.interface is None),
        role=local.role if external else None,
        password=password_text(local.password, resolve),
        ttl_security=local.ttl_security and external,
        # A route server leaves its own AS out of the path (RFC 7947).
        enforce_first_as=external and not remote.route_server,
        validates=local.import_policy in policies.validating,
        discards=external and local.import_policy in policies.discarding,
        graceful_restart=_GRACEFUL_RESTART[local.graceful_restart],
        default_originate=local.default_originate,
        draining=local.draining,
        next_hop_self=local.next_hop_self,
        route_reflector_client=local.route_reflector_client,
        add_path=local.add_path,
        route_server_client=local.route_server,
        maximum_prefixes=local.maximum_prefixes,
        import_map=identifier(local.import_policy) if local.import_policy else without,
        # Inside too: what an import policy did to the next hop stands in the way of `next-hop-self` until some map is
        # asked on the way out, and IPv6 routes would lead other routers to a next hop that they do not know.
        export_map=identifier(local.export_policy) if local.export_policy else without or _all_if(local.next_hop_self),
        raw=raw_of_session(neighbor, RawPlace.FRR),
        raw_family=raw_of_session(neighbor, RawPlace.FRR_FAMILY),
    )


def _all_if(wanted: bool) -> str | None:
    return ACCEPT_ALL if wanted else None


def _family(node: Node, neighbors: tuple[FrrNeighbor, ...], family: int) -> FrrFamily:
    return FrrFamily(
        name=f"ipv{family} unicast",
        ip="ip" if family == 4 else "ipv6",
        origin_map=f"origin-{family}",
        origins=tuple(_origins(node, family)),
        neighbors=tuple(n for n in neighbors if n.family == family),
    )


def _origins(node: Node, family: int) -> Iterator[FrrOrigin]:
    """Yield our declared prefixes, then the parts of them that stay inside."""
    for sequence, relation, own in ((10, Relation.OWN, True), (20, Relation.INTERNAL, False)):
        prefixes = tuple(str(o.prefix) for o in node.originations if o.own is own and o.prefix.version == family)
        if prefixes:
            yield FrrOrigin(f"origin-{relation.name.lower()}-{family}", sequence, int(relation), prefixes)
