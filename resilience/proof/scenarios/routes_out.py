"""Routes that go out and should not: the leak matrix in three topologies, and each layer that protects by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from resilience.proof.guards import Lines
from resilience.proof.leaks import (
    ALLOWED,
    ESCAPES,
    LAYERS,
    LEAKS,
    UNWANTED,
    Layers,
    LeakMatrix,
    Party,
    matrix_intent,
)
from resilience.proof.scenario import Group, Scenario

_ONE_ROUTER: Final = matrix_intent("routers: {gw: {platform: PLATFORM}}\n", "gw", "gw")
_TWO_ROUTERS: Final = """
routers:
  west: {platform: WEST}
  gw: {platform: PLATFORM}
links: [{between: [west, gw]}]
"""
_ACROSS: Final = matrix_intent(_TWO_ROUTERS.replace("WEST", "PLATFORM"), "west", "gw")
_MIXED: Final = matrix_intent(_TWO_ROUTERS.replace("WEST", "OTHER"), "west", "gw")
_REFLECTED: Final = matrix_intent(
    """
routers:
  west: {platform: PLATFORM}
  gw: {platform: PLATFORM}
  r1: {platform: PLATFORM}
  r2: {platform: OTHER}
  s1: {platform: bird}
  s2: {platform: bird}
  s3: {platform: bird}
  s4: {platform: bird}
  s5: {platform: bird}
links:
  - {between: [west, r1]}
  - {between: [west, r2]}
  - {between: [gw, r1]}
  - {between: [gw, r2]}
  - {between: [r1, r2]}
  - {between: [s1, r1]}
  - {between: [s2, r2]}
  - {between: [s3, r1]}
  - {between: [s4, r2]}
  - {between: [s5, r1]}
""",
    "west",
    "gw",
)
"""Beyond eight routers two reflect: here the best connected, r1 and r2; the borders know each other only by them."""
_SOURCES: Final = ("RFC 7908 section 3", "RFC 9234 section 1", "RFC 7454 section 6", "MANRS action 1")


def _everything(layers: Layers) -> tuple[Lines, ...]:
    return (*layers.terms, *layers.conditions, *layers.default_only, *layers.roles)


def _scenario(
    name: str,
    matrix: LeakMatrix,
    guard: Callable[[Layers], tuple[Lines, ...]],
    *,
    protection: str,
    attack_title: str,
    intent: str = _ONE_ROUTER,
    sources: tuple[str, ...] = _SOURCES,
) -> Scenario:
    return Scenario(
        name=name,
        group=Group.ROUTES_OUT,
        protection=protection,
        attack_title=attack_title,
        sources=sources,
        intent=intent,
        guard={platform: guard(layers) for platform, layers in LAYERS.items()},
        harms=matrix.harms,
        attack=matrix.attack,
        missing=matrix.missing,
        hostile=matrix.hostile,
        again=matrix.again,
    )


_WHOLE: Final = LeakMatrix(leaks=(*LEAKS, *ESCAPES, *UNWANTED))
_BY_TAGS: Final = LeakMatrix(leaks=(*LEAKS, *ESCAPES), weakened=lambda layers: (*layers.prefixes, *layers.roles))
_NOT_OUTSIDE: Final = tuple(leak for leak in ESCAPES if leak[1] is not Party.CUSTOMER)
_BY_PREFIXES: Final = LeakMatrix(
    leaks=(*LEAKS, *_NOT_OUTSIDE), weakened=lambda layers: (*layers.terms, *layers.tags, *layers.roles)
)
_BY_ROLES: Final = LeakMatrix(
    leaks=LEAKS,
    # With every filter gone, parts of our own prefix go out too, which no role forbids.
    allowed=ALLOWED,
    weakened=lambda layers: (*layers.terms, *layers.conditions),
)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    _scenario(
        "leak-matrix",
        _WHOLE,
        _everything,
        protection="export filters by where a route was learned",
        attack_title="each kind of neighbour announces its routes, and each other kind listens",
    ),
    _scenario(
        "leak-matrix-ibgp",
        _WHOLE,
        _everything,
        intent=_ACROSS,
        protection="export filters by where another border router learned a route",
        attack_title="routes come in at one border router, and the neighbours of another listen",
    ),
    _scenario(
        "leak-matrix-mixed",
        _WHOLE,
        _everything,
        intent=_MIXED,
        protection="export filters that understand what the other daemon marked",
        attack_title="routes come in at a border router on the other daemon, and the neighbours of this one listen",
    ),
    _scenario(
        "leak-matrix-reflected",
        _WHOLE,
        _everything,
        intent=_REFLECTED,
        protection="export filters by marks that route reflectors hand on",
        attack_title="routes come in at one border router, reflectors hand them on, and another's neighbours listen",
        sources=(*_SOURCES, "RFC 4456", "RFC 7911"),
    ),
    _scenario(
        "leak-layer-communities",
        _BY_TAGS,
        lambda layers: (*layers.terms, *layers.last_tags),
        protection="our communities alone, without prefix lists and roles",
        attack_title="somebody has emptied the prefix lists, and each kind of neighbour announces its routes",
        sources=(*_SOURCES, "RFC 8195 section 4"),
    ),
    _scenario(
        "leak-layer-prefix-lists",
        _BY_PREFIXES,
        lambda layers: layers.last_prefixes,
        protection="prefix lists alone, without our communities and roles",
        attack_title="a router has lost our communities, and each kind of neighbour announces its routes",
        sources=("RFC 7454 section 6.2", "RFC 7908 section 3", "MANRS action 1"),
    ),
    _scenario(
        "leak-layer-roles",
        _BY_ROLES,
        lambda layers: layers.roles,
        protection="BGP roles alone (only-to-customer), without any export filter",
        attack_title="every export filter is gone, no neighbour speaks of roles, and each kind announces its routes",
        sources=("RFC 9234 section 5",),
    ),
)
