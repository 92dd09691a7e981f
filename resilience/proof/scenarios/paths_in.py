"""Routes whose prefix is fine, and whose path, next hop or communities are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from resilience.model.network import Platform
from resilience.model.policy import LargeCommunity
from resilience.proof.announce import NEXT_HOP_KEEP, TRANSPARENT, Announcement, RouteAttack, RouteAttacks
from resilience.proof.crossroads import (
    ASN,
    CROSSROADS,
    CUSTOMER,
    GOOD,
    OTHER,
    PEER,
    PROVIDER,
    ROUTE_SERVER,
    SPARE,
    STRANGER,
    both,
    path_from,
    route_scenario,
    term_guard,
    wrong_path,
)
from resilience.proof.guards import Lines, bird_term, frr_term
from resilience.proof.leaks import LAYERS
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene

_OURS: Final = 64500
_LEVEL_3: Final = 3356
"""One of the networks that buy transit from nobody."""
_LAN_MEMBER: Final = {4: "31.43.0.77", 6: "2a02:bdb::77"}
"""Somebody else on the exchange's LAN."""
_PROVIDERS_END: Final = {4: "31.44.0.1", 6: "2a02:bda::1"}
"""Where no member of the exchange is."""

_ENFORCE_FIRST_AS: Final = {
    Platform.FRR: (Lines("frr.conf", r"^ neighbor \S+ enforce-first-as\n"),),
    Platform.BIRD: (Lines("bird.conf", r"^  enforce first as yes;\n"),),
}
_NEXT_HOP_PEER: Final = {
    Platform.FRR: (Lines("frr.conf", r"^ set ipv?6? next-hop peer-address\n"),),
    Platform.BIRD: (Lines("bird.conf", r"^    (?:bgp_next_hop|gw) = from;\n"),),
}
_STRIP: Final = {
    Platform.FRR: (
        Lines(
            "frr.conf",
            rf"^ set large-comm-list own-{_OURS} delete\n",
            within=r"^route-map import_\S+ permit \d+\n.*?^exit\n",
        ),
    ),
    Platform.BIRD: (
        Lines(
            "bird.conf",
            rf"^    bgp_large_community\.delete\(\[\({_OURS}, \*, \*\)\]\);\n",
            within=r"^function b_policy_import_.*?^\}\n",
        ),
    ),
}
_ROLES: Final = {platform: layers.roles for platform, layers in LAYERS.items()}
_NO_LEAK: Final = {
    Platform.FRR: (frr_term("no_leak", policy=r"export_one_\S+"),),
    Platform.BIRD: (bird_term("no_leak", policy=r"export_one_\w+"),),
}


def _not_first(attacker: str) -> RouteAttack:
    """An attacker that leaves itself out of the path."""
    plain = wrong_path(attacker)
    return replace(
        plain,
        bad=tuple(Announcement(prefix, (STRANGER,)) for prefix in OTHER[attacker]),
        good=tuple(Announcement(prefix, (ASN[attacker],)) for prefix in GOOD[attacker]),
        speech=(*plain.speech, TRANSPARENT),
    )


@dataclass(frozen=True, slots=True)
class NextHopAttacks:
    """Neighbours that name somebody else as the next hop. The harm: packets go to that third party."""

    course: RouteAttacks

    @property
    def harms(self) -> tuple[str, ...]:
        """Everything that is seen where nothing stops it."""
        return tuple(_led_astray(part, route) for part in self.course.parts for route in part.bad)

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield the routes whose packets go where the attacker wants them."""
        kernel = {str(prefix): route for family in (4, 6) for prefix, route in scene.kernel("gw", family).items()}
        for part in self.course.parts:
            for route in part.bad:
                found = kernel.get(route.prefix)
                if found and any(str(hop.gateway) == route.next_hop for hop in found.next_hops):
                    yield _led_astray(part, route)


def _led_astray(part: RouteAttack, route: Announcement) -> str:
    return f"packets to {route.prefix} from {part.attacker} go to {route.next_hop}"


def _third_party(attacker: str, next_hops: dict[int, str]) -> RouteAttack:
    """An attacker whose routes lead to somebody else."""
    plain = wrong_path(attacker)
    keeps = () if attacker == ROUTE_SERVER else (NEXT_HOP_KEEP,)
    bad = tuple(replace(route, next_hop=next_hops[route.family]) for route in plain.bad)
    return replace(plain, bad=bad, speech=(*plain.speech, *keeps))


@dataclass(frozen=True, slots=True)
class MarkAttacks:
    """Neighbours that put our own communities on their routes.

    The harm: a route passes for what it is not, and one of a peer goes on to a provider as if it were a customer's.
    """

    course: RouteAttacks

    @property
    def harms(self) -> tuple[str, ...]:
        """Everything that is seen where nothing stops it."""
        carried = (
            _carries(part, route, mark) for part in self.course.parts for route in part.bad for mark in route.large
        )
        return (*carried, *(_passed_on(part, route) for part, route in self._customers_prefixes()))

    def _customers_prefixes(self) -> Iterator[tuple[RouteAttack, Announcement]]:
        """Yield what somebody else says of a customer's prefixes: it could pass the filter towards the provider."""
        for part in self.course.parts:
            for route in part.bad:
                if route.prefix in SPARE:
                    yield part, route

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield the marks that are believed, and what is announced to the provider because of them."""
        for part in self.course.parts:
            for route in part.bad:
                marks = self._marks(scene, part, route)
                yield from (_carries(part, route, mark) for mark in route.large if mark in marks)
        for part, route in self._customers_prefixes():
            gateway = scene.session_address("gw", PROVIDER, route.family)
            if any(
                str(seen.prefix) == route.prefix and seen.neighbor == gateway
                for seen in scene.rib(PROVIDER, route.family)
            ):
                yield _passed_on(part, route)

    @staticmethod
    def _marks(scene: Scene, part: RouteAttack, route: Announcement) -> frozenset[LargeCommunity]:
        neighbor = scene.session_address(part.attacker, "gw", route.family)
        found = (seen for seen in scene.rib("gw", route.family) if seen.neighbor == neighbor)
        return next((seen.large for seen in found if str(seen.prefix) == route.prefix), frozenset())


def _carries(part: RouteAttack, route: Announcement, mark: LargeCommunity) -> str:
    return f"{route.prefix} from {part.attacker} carries {':'.join(map(str, mark))}"


def _passed_on(part: RouteAttack, route: Announcement) -> str:
    return f"{route.prefix} from {part.attacker} is announced to {PROVIDER}"


def _marked(attacker: str, *prefixes: str, mark: LargeCommunity) -> RouteAttack:
    """An attacker that imitates our mark of a relation, and that of a site."""
    plain = wrong_path(attacker)
    marks = (mark, (_OURS, 2, 99))
    bad = tuple(Announcement(prefix, path_from(attacker), large=marks) for prefix in prefixes)
    # A peer without a role says nothing by which its routes could be told later.
    mute = (Lines("bird.conf", r"^  local role peer;\n"),) if attacker == PEER else ()
    return replace(plain, bad=bad, speech=(*plain.speech, *mute))


_NEXT_HOPS: Final = RouteAttacks(
    (
        _third_party(PROVIDER, _LAN_MEMBER),
        _third_party(PEER, _LAN_MEMBER),
        _third_party(ROUTE_SERVER, _PROVIDERS_END),
        _third_party(CUSTOMER, _LAN_MEMBER),
    )
)
_LED: Final = NextHopAttacks(_NEXT_HOPS)
_MARKS: Final = RouteAttacks(
    (
        _marked(PROVIDER, *OTHER[PROVIDER], mark=(_OURS, 1, 1)),
        _marked(PEER, *SPARE, mark=(_OURS, 1, 1)),
        _marked(ROUTE_SERVER, *OTHER[ROUTE_SERVER], mark=(_OURS, 1, 1)),
        _marked(CUSTOMER, *OTHER[CUSTOMER], mark=(_OURS, 1, 5)),
    )
)
_IMITATED: Final = MarkAttacks(_MARKS)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    route_scenario(
        "bogon-as",
        wrong_path(PROVIDER, 64512, STRANGER),
        wrong_path(PEER, STRANGER, 4_200_000_001),
        wrong_path(ROUTE_SERVER, 23456, STRANGER),
        wrong_path(CUSTOMER, 65535),
        protection="filter for bogon AS numbers in the path",
        attack_title="paths of a provider, a peer, a route server and a customer hold private and reserved AS numbers",
        sources=("RFC 7454 section 9", "RFC 6996", "RFC 7300", "RFC 4893"),
        guard=term_guard("bogon_as"),
    ),
    route_scenario(
        "long-path",
        *(wrong_path(attacker, *[STRANGER] * 60) for attacker in (PROVIDER, PEER, ROUTE_SERVER, CUSTOMER)),
        protection="filter for absurdly long paths",
        attack_title="paths of a provider, a peer, a route server and a customer hold sixty AS numbers",
        sources=("RFC 7454 section 9",),
        guard=term_guard("long_path"),
    ),
    route_scenario(
        "first-as",
        *(_not_first(attacker) for attacker in (PROVIDER, PEER, CUSTOMER)),
        protection="a path begins with the neighbour's AS",
        attack_title="a provider, a peer and a customer announce paths that they are not in",
        sources=("RFC 7454 section 9", "RFC 4271 section 6.3"),
        guard=both(term_guard("first_as"), _ENFORCE_FIRST_AS),
    ),
    route_scenario(
        "transit-behind-others",
        wrong_path(PEER, _LEVEL_3, STRANGER),
        wrong_path(ROUTE_SERVER, ASN[PROVIDER], STRANGER),
        wrong_path(CUSTOMER, ASN[PROVIDER], 1299),
        protection="no transit-free network and no provider of ours behind anybody but a provider",
        attack_title="a peer, a route server and a customer announce what large transit networks told them",
        sources=("RFC 7454 section 9", "RFC 7908 section 3", "MANRS action 1"),
        guard=term_guard("leak"),
    ),
    Scenario(
        name="next-hop",
        group=Group.ROUTES_IN,
        protection="packets go to whoever announced the route; a route server leads to members of its LAN only",
        attack_title="neighbours announce routes that lead to somebody else's router",
        sources=("RFC 7454 section 10", "RFC 7947 section 2.2.1"),
        intent=CROSSROADS,
        guard=both(_NEXT_HOP_PEER, term_guard("next_hop")),
        harms=_LED.harms,
        attack=_LED.attack,
        missing=_NEXT_HOPS.missing,
        hostile=_NEXT_HOPS.hostile,
        again=_NEXT_HOPS.again,
    ),
    Scenario(
        name="foreign-communities",
        group=Group.ROUTES_IN,
        protection="our own communities are taken off what comes in",
        attack_title="neighbours put our marks of a customer's route and of a site on their own",
        sources=("RFC 7454 section 11", "RFC 8195 section 4"),
        intent=CROSSROADS,
        # Whoever forges the mark of a customer still has the one that we put on beside it, and a role.
        guard=both(both(_STRIP, _NO_LEAK), _ROLES),
        harms=_IMITATED.harms,
        attack=_IMITATED.attack,
        missing=_MARKS.missing,
        hostile=_MARKS.hostile,
        again=_MARKS.again,
    ),
)
