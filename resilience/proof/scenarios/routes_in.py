"""Routes that come in and should not."""

from __future__ import annotations

from typing import Final

from resilience.model.network import Platform
from resilience.proof.announce import Announcement, RouteAttack
from resilience.proof.guards import bird_term, frr_term
from resilience.proof.scenario import Group, Scenario

ONE_PROVIDER: Final = """
network: one-provider
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
providers:
  alpha: {asn: 64496}
uplinks:
  one: {router: gw, provider: alpha}
"""

GOOD = (Announcement("31.40.8.0/22"), Announcement("2a02:bb8::/32"))
"""Ordinary global unicast prefixes, in a lab that reaches nobody outside."""

_BOGONS = RouteAttack(
    attacker="provider-alpha",
    bad=(
        Announcement("10.20.0.0/16"),
        Announcement("100.64.0.0/16"),
        Announcement("192.168.0.0/16"),
        Announcement("fd00:20::/32"),
    ),
    good=GOOD,
)

SCENARIOS: Final = (
    Scenario(
        name="bogon-prefixes",
        group=Group.ROUTES_IN,
        protection="filter for bogon prefixes",
        attack_title="a provider announces private and reserved prefixes",
        sources=("RFC 7454 section 6.1.1", "RFC 6890", "MANRS action 1"),
        intent=ONE_PROVIDER,
        guard={Platform.FRR: (frr_term("bogons"),), Platform.BIRD: (bird_term("bogons"),)},
        harms=_BOGONS.harms,
        attack=_BOGONS.attack,
        missing=_BOGONS.missing,
        hostile=_BOGONS.hostile,
        again=_BOGONS.again,
    ),
)
