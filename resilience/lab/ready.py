"""Ready means converged: every session, adjacency and route of the plan stands, and nothing moves any more.

States are awaited, never slept for. What is missing at the deadline is named, node by node, with the daemon's last
words.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from resilience.errors import LabError, NotReady
from resilience.lab.daemons import Speaker
from resilience.lab.kernel import KernelRoute, kernel_routes
from resilience.lab.netlink import ROUTE_GROUPS, Netlink
from resilience.lab.netns import enter_namespace
from resilience.lab.seam import Lab, Progress
from resilience.model.adjacency import adjacencies
from resilience.model.network import IPNetwork
from resilience.model.plan import Node, Plan, Role, RouteUse, StaticRoute

_BASE_LIMIT_S: Final = 60.0
_LIMIT_PER_NODE_S: Final = 0.5
_QUIET_S: Final = 0.3
"""The kernel's routes have not changed for this long: longer than any daemon's own pause between two batches."""
_POLL_S: Final = 0.05
_NAMED_NODES: Final = 12
_NAMED_STATES: Final = 4
_LOG_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must be true of one node."""

    sessions: tuple[tuple[str, str], ...] = ()
    """(neighbour's address, the session's name)"""
    adjacencies: tuple[tuple[int, str], ...] = ()
    """(family, interface)"""
    bfd: tuple[str, ...] = ()
    """Neighbours' addresses."""
    bfd_links: tuple[tuple[int, str], ...] = ()
    """(family, interface): the IGP's."""
    gateways: tuple[StaticRoute, ...] = ()
    loopbacks: tuple[IPNetwork, ...] = ()
    """Those that OSPF has to lead to: a session outlives a way that is gone until BFD or its hold timer ends it."""

    def __bool__(self) -> bool:
        return any((self.sessions, self.adjacencies, self.bfd, self.bfd_links, self.gateways, self.loopbacks))


def expect(plan: Plan, node: Node) -> Expectation:
    """Return what convergence means at a node, from the plan alone."""
    neighbors, full = plan.neighbors(node.name), adjacencies(plan, node)
    return Expectation(
        sessions=tuple((str(neighbor.remote.address), neighbor.session.name) for neighbor in neighbors),
        adjacencies=full,
        bfd=tuple(str(neighbor.remote.address) for neighbor in neighbors if neighbor.local.bfd and neighbor.remote.bfd),
        bfd_links=tuple((family, name) for family, name in full if _both_ends_run_bfd(plan, node.name, name)),
        gateways=tuple(route for route in node.statics if route.use is RouteUse.GATEWAY),
        loopbacks=tuple(
            ip_network(neighbor.remote.address)
            for neighbor in neighbors
            if neighbor.local.interface is None and node.ospf and plan.nodes[neighbor.remote.node].ospf
        ),
    )


def _both_ends_run_bfd(plan: Plan, node: str, interface: str) -> bool:
    other, port = plan.other_end(node, interface)
    return bool(plan.nodes[node].interface(interface).bfd and plan.nodes[other].interface(port).bfd)


@dataclass(slots=True)
class _Watch:
    """One node while it is waited for."""

    node: Node
    expected: Expectation
    notices: Netlink
    speaker: Speaker | None
    missing: tuple[str, ...] = ("not asked yet",)
    quiet_since: float = field(default_factory=time.monotonic)

    def close(self) -> None:
        self.notices.close()
        if self.speaker is not None:
            self.speaker.close()


def default_limit_s(plan: Plan) -> float:
    """Return how long a lab of this plan may take: BFD, OSPF and BGP have their timers, starting daemons its cost."""
    slow = sum(1 for node in plan.nodes.values() if node.platform is not None)
    return _BASE_LIMIT_S + _LIMIT_PER_NODE_S * slow


def wait_ready(
    lab: Lab,
    *,
    nodes: Collection[str] | None = None,
    limit_s: float | None = None,
    progress: Progress | None = None,
) -> float:
    """Wait until the lab (or some of its nodes) has converged; return how many seconds that took.

    NotReady names what is missing.
    """
    started = time.monotonic()
    deadline = started + (default_limit_s(lab.plan) if limit_s is None else limit_s)
    watches = [_watch(lab, node) for node in lab.plan.nodes.values() if _is_watched(node, nodes)]
    try:
        waiting = list(watches)
        while waiting or not _all_quiet(watches):
            waiting = [watch for watch in waiting if not _is_met(lab, watch)]
            if progress is not None:
                progress("converged", len(watches) - len(waiting), len(watches))
            if time.monotonic() > deadline:
                raise _not_ready(lab, waiting, time.monotonic() - started)
            if waiting or not _all_quiet(watches):
                time.sleep(_POLL_S)
            else:
                # What stood when it was looked at may have fallen since: the last look is at everything.
                waiting = [watch for watch in watches if not _is_met(lab, watch)]
    finally:
        for watch in watches:
            watch.close()
    return time.monotonic() - started


def missing_states(lab: Lab, *, nodes: Collection[str] | None = None) -> dict[str, tuple[str, ...]]:
    """Return what is missing right now, by node; empty when the lab has converged."""
    watches = [_watch(lab, node) for node in lab.plan.nodes.values() if _is_watched(node, nodes)]
    try:
        return {watch.node.name: watch.missing for watch in watches if not _is_met(lab, watch)}
    finally:
        for watch in watches:
            watch.close()


def _is_watched(node: Node, nodes: Collection[str] | None) -> bool:
    return node.role is not Role.SWITCH and (nodes is None or node.name in nodes)


def _watch(lab: Lab, node: Node) -> _Watch:
    with enter_namespace(lab.namespace(node.name)):
        notices = Netlink(groups=ROUTE_GROUPS)
    return _Watch(
        node=node,
        expected=expect(lab.plan, node),
        notices=notices,
        speaker=Speaker(lab, node.name) if lab.daemons(node.name) else None,
    )


def _all_quiet(watches: Iterable[_Watch]) -> bool:
    now = time.monotonic()
    latest = 0.0
    for watch in watches:
        if watch.notices.drain():
            watch.quiet_since = now
        latest = max(latest, watch.quiet_since)
    return now - latest >= _QUIET_S


def _is_met(lab: Lab, watch: _Watch) -> bool:
    try:
        watch.missing = tuple(_missing(lab, watch))
    except LabError as error:
        watch.missing = (error.message,)
        if watch.speaker is not None:
            watch.speaker.close()
    return not watch.missing


def _missing(lab: Lab, watch: _Watch) -> Iterator[str]:
    expected, speaker = watch.expected, watch.speaker
    if speaker is not None:
        yield from _missing_sessions(expected, speaker)
        yield from _missing_adjacencies(expected, speaker)
        yield from _missing_bfd(expected, speaker)
    if expected.gateways or expected.loopbacks:
        routes = kernel_routes(lab, watch.node.name)
        yield from _missing_gateways(expected, routes)
        yield from _missing_loopbacks(expected, routes)


def _missing_sessions(expected: Expectation, speaker: Speaker) -> Iterator[str]:
    if not expected.sessions:
        return
    states = speaker.bgp_states()
    for address, name in expected.sessions:
        state = states.get(address, "not configured")
        if state != "Established":
            yield f"BGP session {name} with {address}: {state}"
    if speaker.updates_held():
        yield "BGP updates: bgpd holds the first ones back"


def _missing_adjacencies(expected: Expectation, speaker: Speaker) -> Iterator[str]:
    if expected.adjacencies:
        full = speaker.full_adjacencies()
        for family, interface in expected.adjacencies:
            if (family, interface) not in full:
                yield f"OSPFv{2 if family == 4 else 3} adjacency on {interface}: not full"


def _missing_bfd(expected: Expectation, speaker: Speaker) -> Iterator[str]:
    if not expected.bfd and not expected.bfd_links:
        return
    peers = speaker.bfd_peers()
    up = {peer.address for peer in peers if peer.up}
    links = {(6 if ":" in peer.address else 4, peer.interface) for peer in peers if peer.up}
    for address in expected.bfd:
        if address not in up:
            yield f"BFD session with {address}: not up"
    for family, interface in expected.bfd_links:
        if (family, interface) not in links:
            yield f"BFD session (IPv{family}) on {interface}: not up"


def _missing_gateways(expected: Expectation, routes: tuple[KernelRoute, ...]) -> Iterator[str]:
    alive = {(route.prefix, hop.gateway, hop.interface) for route in routes for hop in route.next_hops if hop.alive}
    for route in expected.gateways:
        for hop in route.next_hops:
            if (route.prefix, hop.address, hop.interface) not in alive:
                yield f"route to {route.prefix} via {hop.address} on {hop.interface}: not in the kernel"


def _missing_loopbacks(expected: Expectation, routes: tuple[KernelRoute, ...]) -> Iterator[str]:
    led_to = {r.prefix for r in routes if r.kind == "unicast" and any(hop.alive for hop in r.next_hops)}
    for loopback in expected.loopbacks:
        if loopback not in led_to:
            yield f"route to {loopback.network_address}: not in the kernel"


# --- what is said when it does not become ready ----------------------------------------------------------------------


def _not_ready(lab: Lab, waiting: list[_Watch], after_s: float) -> NotReady:
    if not waiting:
        return NotReady(
            f"lab {lab.name} was not ready after {after_s:.0f} s: its routes keep changing",
            hint="an oscillation: compare the routes of two moments with `resilience lab exec`",
        )
    lines = [f"lab {lab.name} was not ready after {after_s:.0f} s; {len(waiting)} nodes miss something:"]
    for watch in waiting[:_NAMED_NODES]:
        lines += [f"  {watch.node.name}: {text}" for text in _shorten(watch.missing)]
        lines += [f"    {line}" for line in _last_log_lines(lab, watch.node.name)]
    if len(waiting) > _NAMED_NODES:
        lines.append(f"  and {len(waiting) - _NAMED_NODES} more nodes")
    return NotReady("\n".join(lines), hint="`resilience lab up NET --keep` leaves it up, so that you can look into it")


def _shorten(missing: tuple[str, ...]) -> Iterator[str]:
    yield from missing[:_NAMED_STATES]
    if len(missing) > _NAMED_STATES:
        yield f"and {len(missing) - _NAMED_STATES} more states"


def _last_log_lines(lab: Lab, node: str) -> Iterator[str]:
    for daemon in lab.daemons(node):
        if not daemon.running:
            yield f"{daemon.name} has died"
        if daemon.log is not None and (lines := _tail(daemon.log)):
            yield from (f"{daemon.name}: {line}" for line in lines)


@lru_cache(maxsize=256)
def _tail(path: Path) -> tuple[str, ...]:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4_096))
            return tuple(file.read().decode(errors="replace").splitlines()[-_LOG_LINES:])
    except OSError:
        return ()
