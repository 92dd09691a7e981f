"""Graceful shutdown (RFC 8326): told to neighbours before we leave, and believed when they tell us."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Final

from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.plan.policies import GRACEFUL_SHUTDOWN
from resilience.proof.announce import Announcement, announce
from resilience.proof.guards import Lines, bird_term, rewrite
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene, wait_for

_PREFIXES: Final = {4: "31.40.8.0/22", 6: "2a02:bb8::/32"}
_LEFT, _STAYS = "provider-alpha", "provider-beta"
_LIMIT_S: Final = 20.0

# --- sent ------------------------------------------------------------------------------------------------------------

_DRAINED: Final = """
network: two-providers
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
providers:
  alpha: {asn: 64496, honours: [gshut]}
  beta: {asn: 64497}
uplinks:
  one: {router: gw, provider: alpha, rank: 1}
  two: {router: gw, provider: beta, rank: 2}
"""
_OURS: Final = {4: "198.51.100.0/24", 6: "2001:db8:6400::/40"}


def _untold(family: int) -> str:
    return f"our prefix is announced over the uplink without a warning (IPv{family})"


def _chosen(family: int) -> str:
    return f"the provider sends our traffic into the uplink that is being drained (IPv{family})"


def _used(family: int) -> str:
    return f"we send traffic into the uplink that is being drained (IPv{family})"


def _announce_both(plan: Plan, configs: Configs) -> Configs:
    for provider in (_LEFT, _STAYS):
        routes = [Announcement(prefix) for prefix in _PREFIXES.values()]
        configs = announce(plan, configs, provider, "both", routes)
    return configs


def _drained(scene: Scene) -> Iterator[str]:
    for family in (4, 6):
        heard = [route for route in scene.told(_LEFT, "gw", family) if str(route.prefix) == _OURS[family]]
        if any(GRACEFUL_SHUTDOWN not in route.communities for route in heard):
            yield _untold(family)
        if any(route.best for route in heard):
            yield _chosen(family)
        if _leaves_towards(scene, family, _PREFIXES[family], _LEFT):
            yield _used(family)


def _leaves_towards(scene: Scene, family: int, prefix: str, neighbor: str) -> bool:
    route = scene.kernel("gw", family).get(ip_network(prefix))
    out = scene.session_interface("gw", neighbor, family)
    return route is not None and any(hop.interface == out for hop in route.next_hops)


def _uplinks_lack(scene: Scene) -> Iterator[str]:
    """Yield what is not announced: a drained uplink still carries what is on its way."""
    for family in (4, 6):
        for provider in (_LEFT, _STAYS):
            if _OURS[family] not in {str(route.prefix) for route in scene.told(provider, "gw", family)}:
                yield f"{_OURS[family]} is not announced to {provider}"
            if _PREFIXES[family] not in {str(route.prefix) for route in scene.told("gw", provider, family)}:
                yield f"{_PREFIXES[family]} is not accepted from {provider}"


# --- received --------------------------------------------------------------------------------------------------------

_LEAVERS: Final = """
network: many-neighbours
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
providers:
  alpha: {asn: 64496}
  beta: {asn: 64497}
uplinks:
  one: {router: gw, provider: alpha, rank: 1}
  two: {router: gw, provider: beta, rank: 2}
exchanges:
  ix:
    ports: [{router: gw}]
    peers: {leaver: {asn: 64501}}
customers:
  bank: {asn: 64503, routers: [gw], prefixes: [192.0.2.0/24, "2001:db8:c1::/48"]}
"""
_LEAVING: Final = {
    "provider": (_LEFT, {4: "31.40.8.0/22", 6: "2a02:bb8::/32"}),
    "peer": ("peer-ix-leaver", {4: "31.40.16.0/22", 6: "2a02:bb9::/32"}),
    "customer": ("customer-bank", {4: "192.0.2.0/24", 6: "2001:db8:c1::/48"}),
}
"""Who announces what with the community; provider beta announces all of it without."""


def _still(who: str, family: int) -> str:
    return f"traffic goes to the {who} who is about to leave (IPv{family})"


def _warn(plan: Plan, configs: Configs) -> Configs:
    everything = [Announcement(prefix) for _, prefixes in _LEAVING.values() for prefix in prefixes.values()]
    configs = announce(plan, configs, _STAYS, "all", everything)
    for node, prefixes in _LEAVING.values():
        # The customer originates its prefix already, without the community.
        silent = Lines("bird.conf", r"^  route (?:192\.0\.2\.0/24|2001:db8:c1::/48) blackhole [^\n]*\n")
        if node == "customer-bank":
            configs = rewrite(configs, [node], (silent,))
        routes = [Announcement(prefix, communities=(GRACEFUL_SHUTDOWN,)) for prefix in prefixes.values()]
        configs = announce(plan, configs, node, "last", routes)
    return configs


def _ignored(scene: Scene) -> Iterator[str]:
    for who, (node, prefixes) in _LEAVING.items():
        for family, prefix in prefixes.items():
            if _leaves_towards(scene, family, prefix, node):
                yield _still(who, family)


def _routes_lack(scene: Scene) -> Iterator[str]:
    """Yield a route that does not stand: it must, until its sender takes it away."""
    for family in (4, 6):
        for node, prefixes in _LEAVING.values():
            for neighbor in (node, _STAYS):
                if prefixes[family] not in {str(route.prefix) for route in scene.told("gw", neighbor, family)}:
                    yield f"{prefixes[family]} from {neighbor} is not accepted"
            if not _follows(scene, family, prefixes[family], node):
                yield f"the kernel does not forward {prefixes[family]} as BGP has chosen"


def _follows(scene: Scene, family: int, prefix: str, leaver: str) -> bool:
    best = {route.neighbor for route in scene.rib("gw", family) if route.best and str(route.prefix) == prefix}
    return all(
        (scene.session_address(node, "gw", family) in best) == _leaves_towards(scene, family, prefix, node)
        for node in (leaver, _STAYS)
    )


def _warn_again(scene: Scene) -> None:
    """Withdraw what carries the community and announce it once more."""
    _say(scene, "disable")
    wait_for("the routes stay", lambda: _last(scene), _LIMIT_S)
    _say(scene, "enable")
    wait_for("the routes do not come back", lambda: _all_last() - set(_last(scene)), _LIMIT_S)


def _all_last() -> set[str]:
    return {f"{prefix} from {node}" for node, prefixes in _LEAVING.values() for prefix in prefixes.values()}


def _say(scene: Scene, verb: str) -> None:
    for node, _ in _LEAVING.values():
        for family in (4, 6):
            scene.bird(node, f"{verb} b_origin_last{family}")


def _last(scene: Scene) -> Iterable[str]:
    for node, prefixes in _LEAVING.values():
        for family, prefix in prefixes.items():
            told = [route for route in scene.told("gw", node, family) if str(route.prefix) == prefix]
            # Without the community it may come by another way: the others announce the same prefix.
            yield from (f"{prefix} from {node}" for route in told if GRACEFUL_SHUTDOWN in route.communities)


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="graceful-shutdown-sent",
        group=Group.FAILURES,
        protection="graceful shutdown towards neighbours of what is being drained",
        attack_title="an uplink is drained for maintenance, and traffic keeps coming",
        sources=("RFC 8326 section 4", "BCP 214"),
        intent=_DRAINED,
        draining=("uplink one",),
        guard={
            Platform.FRR: (
                Lines("frr.conf", r"^ set community [^\n]*graceful-shutdown[^\n]*\n"),
                Lines("frr.conf", r"^ set as-path prepend 64500 64500 64500\n"),
                Lines("frr.conf", r"^ set local-preference 0$", " set local-preference 200"),
            ),
            Platform.BIRD: (
                Lines("bird.conf", r"^    bgp_community\.add\(\(65535, 0\)\);\n"),
                Lines("bird.conf", r"^(?:    bgp_path\.prepend\(64500\);\n){3}"),
                Lines("bird.conf", r"^    bgp_local_pref = 0;$", "    bgp_local_pref = 200;"),
            ),
        },
        harms=tuple(says(family) for says in (_untold, _chosen, _used) for family in (4, 6)),
        attack=_drained,
        missing=_uplinks_lack,
        hostile=_announce_both,
    ),
    Scenario(
        name="graceful-shutdown-received",
        group=Group.FAILURES,
        protection="lowest preference for what its sender drains",
        attack_title="a provider, a peer and a customer are about to leave and say so",
        sources=("RFC 8326 section 4.2",),
        intent=_LEAVERS,
        guard={
            # Without the community too: bgpd lowers by itself what carries it.
            Platform.FRR: (
                Lines(
                    "frr.conf",
                    r"^ set local-preference 0$",
                    " set comm-list any-graceful-shutdown delete\n set local-preference 500",
                ),
            ),
            Platform.BIRD: (bird_term("graceful_shutdown", policy=r"import_\w+"),),
        },
        harms=tuple(_still(who, family) for who in _LEAVING for family in (4, 6)),
        attack=_ignored,
        missing=_routes_lack,
        hostile=_warn,
        again=_warn_again,
    ),
)
