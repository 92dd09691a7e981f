"""A customer's prefix that comes from somebody else is not passed on as if it came from the customer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.proof.announce import IMPORT_ALL, Announcement, RouteAttack
from resilience.proof.guards import Lines, rewrite
from resilience.proof.leaks import LAYERS
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene

_NETWORK: Final = """
network: borrowed-prefix
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
providers:
  alpha: {asn: 64496}
uplinks:
  one: {router: gw, provider: alpha}
exchanges:
  ix:
    ports: [{router: gw}]
    peers: {other: {asn: 64501}}
customers:
  bank: {asn: 64503, routers: [gw], prefixes: [192.0.2.0/24, "2001:db8:c1::/48"]}
"""
_PREFIXES: Final = ("192.0.2.0/24", "2001:db8:c1::/48")
_PEER: Final = RouteAttack(
    attacker="peer-ix-other",
    bad=(),
    good=tuple(Announcement(prefix) for prefix in _PREFIXES),
)


def _hostile(plan: Plan, configs: Configs) -> Configs:
    """Let the customer be silent and the peer speak for it; the provider takes everything."""
    silent = Lines("bird.conf", r"^  route (?:192\.0\.2\.0/24|2001:db8:c1::/48) blackhole [^\n]*\n")
    configs = rewrite(configs, ["customer-bank"], (silent,))
    configs = rewrite(configs, ["provider-alpha"], (IMPORT_ALL, *LAYERS[Platform.BIRD].roles))
    return _PEER.hostile(plan, configs)


def _passed_on(scene: Scene) -> Iterator[str]:
    for family, prefix in zip((4, 6), _PREFIXES, strict=True):
        if prefix in {str(route.prefix) for route in scene.told("provider-alpha", "gw", family)}:
            yield f"{prefix} from a peer is passed on to the provider"


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="leak-customer-prefix-from-peer",
        group=Group.ROUTES_OUT,
        protection="customers' prefixes announced only where the customer itself announced them to us",
        attack_title="a peer announces the prefix of a customer who is silent, and the prefix lists know it",
        sources=("RFC 7908 section 3.4", "RFC 9234 section 5", "RFC 7454 section 6.2"),
        intent=_NETWORK,
        guard={platform: (*layers.terms[:1], *layers.tags, *layers.roles) for platform, layers in LAYERS.items()},
        harms=tuple(f"{prefix} from a peer is passed on to the provider" for prefix in _PREFIXES),
        attack=_passed_on,
        missing=_PEER.missing,
        hostile=_hostile,
        again=_PEER.again,
    ),
)
