"""Graceful restart (RFC 4724): on exactly where a router whose daemon died goes on forwarding without losing a packet.

What each reason rests on was measured on the real daemons (docs/decisions/0010-graceful-restart.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from resilience.model.network import Bfd, Network, Noun, Platform
from resilience.model.plan import GracefulRestart, Session
from resilience.plan.draft import Draft


@dataclass(frozen=True, slots=True)
class RestartWish:
    """A router's sessions with one neighbour, and whether the intent states `graceful_restart` for them."""

    element: str
    router: str
    stated: Noun
    bfd: Bfd | None
    wanted: bool


def restart_wishes(network: Network) -> Iterator[RestartWish]:
    """Yield everything for which graceful restart is stated, router by router."""
    return (wish for wish in _neighbours(network) if wish.wanted)


def why_lossy(network: Network, wish: RestartWish) -> str:
    """Say why packets would be lost in spite of graceful restart; empty: none are."""
    if wish.bfd is not None:
        return "BFD runs on the same sessions and ends them when it falls silent (RFC 5882 section 4)"
    if any(wish.router in link.ends for link in network.links.values()):
        return f"{wish.router} has links inside our network, and OSPF on them dies with the daemon"
    if network.routers[wish.router].platform is Platform.FRR:
        return _why_frr_loses(network, wish.router)
    return ""


def _why_frr_loses(network: Network, router: str) -> str:
    if len({prefix.version for prefix in network.prefixes}) > 1:
        return "FRR forgets the old routes of both families as soon as the first family has come back"
    around = [wish for wish in _neighbours(network) if wish.router == router]
    without = next((wish.element for wish in around if not wish.wanted or wish.bfd is not None), None)
    if without is not None:
        return f"FRR forgets all old routes when {without}, which has no graceful restart, comes back first"
    return ""


def apply_restarts(draft: Draft) -> None:
    """Turn graceful restart on at our end, and help on at the other, wherever it is stated and loses nothing."""
    good = {(w.element, w.router) for w in restart_wishes(draft.network) if not why_lossy(draft.network, w)}
    draft.sessions = [
        _graceful(session) if (session.element, session.ends[0].node) in good else session for session in draft.sessions
    ]


def _graceful(session: Session) -> Session:
    ours, theirs = session.ends
    ends = (
        replace(ours, graceful_restart=GracefulRestart.RESTARTS),
        replace(theirs, graceful_restart=GracefulRestart.HELPS),
    )
    return replace(session, ends=ends)


def _neighbours(network: Network) -> Iterator[RestartWish]:
    for uplink in network.uplinks.values():
        yield RestartWish(f"uplink {uplink.name}", uplink.router, uplink, uplink.bfd, uplink.graceful_restart)
    for exchange in network.exchanges.values():
        for port in exchange.ports:
            for server in exchange.route_servers:
                name = f"route-server {server.name}"
                yield RestartWish(name, port.router, server, server.bfd, server.graceful_restart)
            for label, peer in exchange.peers.items():
                name = f"peer {exchange.name}-{label}"
                yield RestartWish(name, port.router, peer, peer.bfd, peer.graceful_restart)
    for customer in network.customers.values():
        for router in customer.routers if customer.asn is not None else ():
            name = f"customer {customer.name}"
            yield RestartWish(name, router, customer, customer.bfd, customer.graceful_restart)
