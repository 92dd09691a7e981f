"""Blackholes (RFC 7999): a customer may have traffic to its own addresses dropped, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Final

from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.plan.policies import BLACKHOLE
from resilience.proof.announce import IMPORT_ALL, Announcement, RouteAttack, RouteAttacks
from resilience.proof.guards import Lines, bird_term, frr_term, rewrite
from resilience.proof.leaks import LAYERS
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene

_NETWORK: Final = """
network: two-customers
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
providers:
  alpha: {asn: 64496}
uplinks:
  one: {router: gw, provider: alpha}
customers:
  bank: {asn: 64503, routers: [gw], prefixes: [192.0.2.0/24, "2001:db8:c1::/48"]}
  shop: {asn: 64504, routers: [gw], prefixes: [203.0.113.0/25, "2001:db8:c2::/48"]}
services:
  mail: {at: gw, address: [198.51.100.80, "2001:db8:6400::80"], tcp: 25}
"""
_PROVIDER: Final = "provider-alpha"
_BANK: Final = "customer-bank"
_SHOP_USER: Final = ("203.0.113.10", "2001:db8:c2::a")
"""The other customer's host, which answers."""
_TARGET: Final = ("192.0.2.66", "2001:db8:c1::42")
"""An address of the bank that is flooded; nothing has to answer there."""


def _routes(*prefixes: str, community: bool = True) -> tuple[Announcement, ...]:
    communities = (BLACKHOLE,) if community else ()
    return tuple(Announcement(prefix, communities=communities, in_kernel=False) for prefix in prefixes)


_HOSTS: Final = _routes(f"{_TARGET[0]}/32", f"{_TARGET[1]}/128")
_BY_BANK: Final = RouteAttack(
    attacker=_BANK,
    bad=_routes(
        *(f"{_SHOP_USER[0]}/32", f"{_SHOP_USER[1]}/128"),  # another customer's
        *("198.51.100.80/32", "2001:db8:6400::80/128"),  # ours
        *("31.40.8.9/32", "2a02:bb8::9/128"),  # a stranger's
        *("192.0.0.0/18", "2001:db8:c0::/44"),  # around its own
    ),
    good=_HOSTS,
)
_BY_PROVIDER: Final = RouteAttack(
    attacker=_PROVIDER,
    bad=_routes("31.40.8.10/32", "2a02:bb8::a/128"),
    good=tuple(replace(route, in_kernel=False) for route in _routes("31.40.8.0/22", "2a02:bb8::/32", community=False)),
)
_THEFT: Final = RouteAttacks((_BY_BANK, _BY_PROVIDER))


def _lost(address: str) -> str:
    return f"packets to {address} are lost"


def _steal(scene: Scene) -> Iterator[str]:
    yield from _THEFT.attack(scene)
    yield from (_lost(address) for address in _SHOP_USER if not _answers(scene, address))


def _answers(scene: Scene, address: str) -> bool:
    return scene.run(_PROVIDER, "ping", "-n", "-c", "1", "-W", "1", address).exit_code == 0


# --- what is dropped -------------------------------------------------------------------------------------------------

_FLOOD_PACKETS: Final = 5
_COUNTERS: Final = (
    "table inet scenario {\n  chain arrivals {\n    type filter hook prerouting priority -400;\n"
    f"    ip daddr {_TARGET[0]} counter\n    ip6 daddr {_TARGET[1]} counter\n  }}\n}}\n"
)


def _flood(scene: Scene) -> Iterator[str]:
    """Send packets to the target, then one to its neighbour that answers: what did not come before that is lost."""
    scene.run(_BANK, "nft", "-f", "-", stdin=f"table inet scenario\ndelete table inet scenario\n{_COUNTERS}")
    for target in _TARGET:
        scene.run(_PROVIDER, "ping", "-n", "-c", str(_FLOOD_PACKETS), "-i", "0.01", "-W", "0.2", target, timeout_s=10)
    if list(_silent(scene)):
        return
    listed = json.loads(scene.run(_BANK, "nft", "-j", "list", "table", "inet", "scenario").stdout)
    rules = [entry["rule"] for entry in listed["nftables"] if "rule" in entry]
    counts = [part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part]
    for target, packets in zip(_TARGET, counts, strict=True):
        if packets:
            yield f"a flood towards {target} fills the customer's line"


def _unforwarded(scene: Scene) -> Iterator[str]:
    """Yield what the kernel does not know yet; whether it forwards or drops is the question."""
    for route in _HOSTS:
        if ip_network(route.prefix) not in scene.kernel("gw", route.family):
            yield f"{route.prefix} is not in the kernel"


def _silent(scene: Scene) -> Iterator[str]:
    """Yield the customer's ordinary host where it does not answer."""
    for address in ("192.0.2.10", "2001:db8:c1::a"):
        if not _answers(scene, address):
            yield f"{address} does not answer"


_ASKED: Final = RouteAttack(attacker=_BANK, bad=(), good=_HOSTS)


# --- where it stays --------------------------------------------------------------------------------------------------


_BY_ITSELF: Final = {
    # bgpd adds NO_EXPORT to whatever comes with the community; that is taken off as well.
    Platform.FRR: (Lines("frr.conf", r"^( set large-community 64500:1:6 additive)$", r" set community none\n\1"),),
    Platform.BIRD: (),
}


def _heard_outside(scene: Scene) -> Iterator[str]:
    for family in (4, 6):
        for route in scene.told(_PROVIDER, "gw", family):
            if route.prefix in {ip_network(host.prefix) for host in _HOSTS}:
                yield f"{route.prefix} is announced to the provider"


def _curious(plan: Plan, configs: Configs) -> Configs:
    """Let the provider take everything, and speak of no roles: it would hide what we announce."""
    configs = rewrite(configs, [_PROVIDER], (IMPORT_ALL, *LAYERS[Platform.BIRD].roles))
    return _ASKED.hostile(plan, configs)


def _unheard(scene: Scene) -> Iterable[str]:
    """Yield what is ours or a customer's and is not announced, and a blackhole that was not taken."""
    yield from _ASKED.missing(scene)
    for family, wanted in ((4, "192.0.2.0/24"), (6, "2001:db8:c1::/48")):
        if wanted not in {str(route.prefix) for route in scene.told(_PROVIDER, "gw", family)}:
            yield f"{wanted} is not announced to the provider"


# --- without asking --------------------------------------------------------------------------------------------------

_PLAIN: Final = RouteAttack(
    attacker=_BANK,
    bad=_routes("192.0.2.77/32", "2001:db8:c1::77/128", "192.0.2.128/25", "2001:db8:c1:8000::/49", community=False),
    good=_HOSTS,
)


def _bird_prefixes(kind: str, rest: str) -> tuple[Lines, ...]:
    return (Lines("bird.conf", rf"^  if net ~ b_prefixes_{kind}_bank_[46]{rest} then \{{$", r"  if \1 then {"),)


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="blackhole-for-others",
        group=Group.ROUTES_IN,
        protection="blackholes inside a customer's own prefixes only, and from customers only",
        attack_title="a customer asks to drop traffic to somebody else, and a provider to a host behind it",
        sources=("RFC 7999 section 3.3", "RFC 7454 section 6.2.2"),
        intent=_NETWORK,
        guard={
            Platform.FRR: (
                Lines("frr.conf", r"^ match ip(?:v6)? address prefix-list blackhole_bank_[46]\n"),
                frr_term("length", policy=r"import_one_\S+"),
            ),
            Platform.BIRD: (
                *_bird_prefixes("blackhole", r" && (\(65535, 666\) ~ bgp_community)"),
                bird_term("length", policy=r"import_one_\w+"),
            ),
        },
        harms=(*_THEFT.harms, *map(_lost, _SHOP_USER)),
        attack=_steal,
        missing=_THEFT.missing,
        hostile=_THEFT.hostile,
        again=_THEFT.again,
    ),
    Scenario(
        name="blackhole-drops",
        group=Group.PACKETS,
        protection="blackhole on a customer's request",
        attack_title="a flood comes for a customer's address, and the customer asks to have it dropped",
        sources=("RFC 7999 section 3.1", "RFC 5635"),
        intent=_NETWORK,
        guard={
            Platform.FRR: (Lines("frr.conf", r"^ set ip(?:v6)? next-hop (?:global )?(?:192\.0\.0\.8|100::1)\n"),),
            Platform.BIRD: (Lines("bird.conf", r"^    dest = RTD_BLACKHOLE;\n"),),
        },
        harms=tuple(f"a flood towards {target} fills the customer's line" for target in _TARGET),
        attack=_flood,
        missing=lambda scene: (*_ASKED.missing(scene), *_unforwarded(scene), *_silent(scene)),
        hostile=_ASKED.hostile,
        again=_ASKED.again,
    ),
    Scenario(
        name="blackhole-stays-inside",
        group=Group.ROUTES_OUT,
        protection="blackholes marked as internal",
        attack_title="a customer asks for a blackhole, and the provider listens",
        sources=("RFC 7999 section 3.2",),
        intent=_NETWORK,
        guard={
            platform: (*layers.terms[:1], *layers.conditions, *layers.roles, *_BY_ITSELF[platform])
            for platform, layers in LAYERS.items()
        },
        harms=tuple(f"{route.prefix} is announced to the provider" for route in _HOSTS),
        attack=_heard_outside,
        missing=_unheard,
        hostile=_curious,
        again=_ASKED.again,
    ),
    Scenario(
        name="blackhole-without-asking",
        group=Group.ROUTES_IN,
        protection="a customer's prefixes exactly as declared",
        attack_title="a customer announces hosts and halves of its prefix without the blackhole community",
        sources=("RFC 7454 section 6.2.2", "RFC 7999 section 3.3", "MANRS action 1"),
        intent=_NETWORK,
        guard={
            Platform.FRR: (Lines("frr.conf", r"^ match ip(?:v6)? address prefix-list customer_bank_[46]\n"),),
            Platform.BIRD: (
                Lines(
                    "bird.conf",
                    r"^  if net ~ b_prefixes_customer_bank_[46](?: && (\(65535, 0\) ~ bgp_community))? then \{$",
                    r"  if net.len > 0 then {",
                ),
            ),
        },
        harms=_PLAIN.harms,
        attack=_PLAIN.attack,
        missing=_PLAIN.missing,
        hostile=_PLAIN.hostile,
        again=_PLAIN.again,
    ),
)
