"""What is learned stays separable: marks of relation and site inside, none of them outside, foreign ones kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.model.policy import Community, LargeCommunity, Relation
from resilience.proof.guards import Lines, rewrite
from resilience.proof.leaks import LISTENERS, LISTENING, SOURCES, LeakMatrix, Party, matrix_intent, prefix_of
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene

_ASN: Final = 64500
_NETWORK: Final = matrix_intent(
    "routers: {west: {platform: PLATFORM}, gw: {platform: PLATFORM}}\nlinks: [{between: [west, gw]}]\n", "west", "gw"
)
_MATRIX: Final = LeakMatrix()
_FOREIGN: Final[Community] = (64511, 70)
_FOREIGN_LARGE: Final[LargeCommunity] = (64511, 1, 70)
_RELATIONS: Final = {
    Party.CUSTOMER: Relation.CUSTOMER,
    Party.PEER: Relation.PEER,
    Party.ROUTE_SERVER: Relation.ROUTE_SERVER,
    Party.PROVIDER: Relation.PROVIDER,
}


def _hostile(plan: Plan, configs: Configs) -> Configs:
    """Let the customer say something to networks beyond us."""
    foreign = Lines(
        "bird.conf",
        r"^(  route (?:192\.0\.2\.0/24|2001:db8:c1::/48) blackhole \{ )",
        rf"\1bgp_community.add({_FOREIGN}); bgp_large_community.add({_FOREIGN_LARGE}); ",
    )
    return rewrite(_MATRIX.hostile(plan, configs), [SOURCES[Party.CUSTOMER]], (foreign,))


# --- outside ---------------------------------------------------------------------------------------------------------


def _sees(listener: Party, family: int) -> str:
    return f"a {listener} sees our communities (IPv{family})"


def _seen_outside(scene: Scene) -> Iterator[str]:
    for listener in LISTENERS:
        for family in (4, 6):
            told = scene.told(LISTENING[listener], "gw", family)
            if any(community[0] == _ASN for route in told for community in route.large):
                yield _sees(listener, family)


def _lost_outside(scene: Scene) -> Iterator[str]:
    """Yield what is not announced, and what the customer said to others and they do not hear."""
    yield from _MATRIX.missing(scene)
    for listener in LISTENERS:
        for family in (4, 6):
            prefix = prefix_of(scene.lab.plan, Party.CUSTOMER, family)
            for route in scene.told(LISTENING[listener], "gw", family):
                if route.prefix == prefix and not (_FOREIGN in route.communities and _FOREIGN_LARGE in route.large):
                    yield f"a {listener} does not hear the customer's own communities (IPv{family})"


# --- inside ----------------------------------------------------------------------------------------------------------


def _unmarked(source: Party, mark: str, family: int) -> str:
    return f"another router of ours cannot tell the {mark} of a route from a {source} (IPv{family})"


def _unknown_inside(scene: Scene) -> Iterator[str]:
    for source, relation in _RELATIONS.items():
        for family in (4, 6):
            prefix = prefix_of(scene.lab.plan, source, family)
            for route in scene.told("gw", "west", family):
                if route.prefix == prefix:
                    if (_ASN, 1, int(relation)) not in route.large:
                        yield _unmarked(source, "relation", family)
                    if not any(community[:2] == (_ASN, 2) for community in route.large):
                        yield _unmarked(source, "site", family)


def _lost_inside(scene: Scene) -> Iterator[str]:
    for source in _RELATIONS:
        for family in (4, 6):
            prefix = prefix_of(scene.lab.plan, source, family)
            if prefix not in {route.prefix for route in scene.told("gw", "west", family)}:
                yield f"{prefix} from a {source} does not come over iBGP"


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="communities-inside",
        group=Group.ROUTES_IN,
        protection="large communities for relation and site on every route",
        attack_title="routes of every kind of neighbour come in, and another border router has to tell them apart",
        sources=("RFC 8092", "RFC 8195 section 3", "RFC 7454 section 11"),
        intent=_NETWORK,
        guard={
            Platform.FRR: (
                Lines("frr.conf", r"^ set large-community [^\n]* additive\n", within=r"^route-map import_.*?^exit\n"),
            ),
            Platform.BIRD: (
                Lines(
                    "bird.conf",
                    r"^    bgp_large_community\.add\([^\n]*\n",
                    within=r"^function b_policy_import_\w+\(.*?^\}\n",
                ),
            ),
        },
        harms=tuple(
            _unmarked(source, mark, family)
            for source in _RELATIONS
            for mark in ("relation", "site")
            for family in (4, 6)
        ),
        attack=_unknown_inside,
        missing=_lost_inside,
        hostile=_hostile,
        victims=("west", "gw"),
    ),
    Scenario(
        name="communities-outside",
        group=Group.ROUTES_OUT,
        protection="our own communities stripped at every border, foreign ones kept",
        attack_title="every kind of neighbour reads what our routes carry",
        sources=("RFC 7454 section 11", "RFC 8092", "RFC 8195 section 4"),
        intent=_NETWORK,
        guard={
            Platform.FRR: (
                Lines("frr.conf", r"^ set large-comm-list own-64500 delete\n", within=r"^route-map export_.*?^exit\n"),
            ),
            Platform.BIRD: (
                Lines(
                    "bird.conf",
                    r"^    bgp_large_community\.delete\(\[\(64500, \*, \*\)\]\);\n",
                    within=r"^function b_policy_export_\w+\(.*?^\}\n",
                ),
            ),
        },
        harms=tuple(_sees(listener, family) for listener in LISTENERS for family in (4, 6)),
        attack=_seen_outside,
        missing=_lost_outside,
        hostile=_hostile,
        again=_MATRIX.again,
    ),
)
