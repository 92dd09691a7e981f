"""The leak matrix: every kind of source against every kind of listener, in networks of one router or of several.

One neighbour of each kind announces a prefix of its own at the entry; another of each kind listens at the exit. Entry
and exit are one router, or two with iBGP between them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from itertools import product
from typing import Final

from resilience.model.configs import Configs
from resilience.model.network import IPNetwork, Platform
from resilience.model.plan import Plan
from resilience.proof.announce import IMPORT_ALL, Announcement, announce
from resilience.proof.guards import Lines, bird_term, frr_term, rewrite
from resilience.proof.scene import Scene, wait_for

_LIMIT_S = 20.0


class Party(StrEnum):
    """Where a route comes from, and to whom it may be announced."""

    CUSTOMER = "customer"
    PEER = "peer"
    ROUTE_SERVER = "route server"
    PROVIDER = "provider"
    OWN = "own prefix"
    PART = "part of our prefix"
    """Such as a service's address: never leaves our AS."""
    ASKED_DEFAULT = "customer who asked for a default route"


Leak = tuple[Party, Party]
"""Learned from the first, announced to the second."""

NEIGHBORS: Final = (Party.PEER, Party.ROUTE_SERVER, Party.PROVIDER)
LISTENERS: Final = (Party.CUSTOMER, *NEIGHBORS)
LEAKS: Final[tuple[Leak, ...]] = tuple(product(NEIGHBORS, NEIGHBORS))
"""What RFC 7908 calls a leak (types 1 to 4): from one provider or peer to another."""
ESCAPES: Final[tuple[Leak, ...]] = tuple((Party.PART, listener) for listener in LISTENERS)
UNWANTED: Final[tuple[Leak, ...]] = tuple(
    (source, Party.ASKED_DEFAULT) for source in (Party.CUSTOMER, *NEIGHBORS, Party.OWN, Party.PART)
)
ALLOWED: Final[tuple[Leak, ...]] = (
    *product((Party.CUSTOMER, Party.OWN), LISTENERS),
    *((source, Party.CUSTOMER) for source in NEIGHBORS),
)

SOURCES: Final = {
    Party.CUSTOMER: "customer-source",
    Party.PEER: "peer-west-source",
    Party.ROUTE_SERVER: "rs-west-1",
    Party.PROVIDER: "provider-source",
}
LISTENING: Final = {
    Party.CUSTOMER: "customer-listener",
    Party.PEER: "peer-east-listener",
    Party.ROUTE_SERVER: "rs-east-1",
    Party.PROVIDER: "provider-listener",
    Party.ASKED_DEFAULT: "customer-modest",
}
_FROM_ROUTE_SERVER: Final = {4: "31.41.8.0/22", 6: "2a02:bb9::/32"}
SERVICE: Final = {4: "198.51.100.80", 6: "2001:db8:6400::80"}

_WORLD: Final = f"""
providers:
  source: {{asn: 64496}}
  listener: {{asn: 64497}}
uplinks:
  from: {{router: ENTRY, provider: source}}
  to: {{router: EXIT, provider: listener}}
exchanges:
  west:
    ports: [{{router: ENTRY}}]
    route_servers: [{{asn: 64498}}]
    peers: {{source: {{asn: 64501}}}}
  east:
    ports: [{{router: EXIT}}]
    route_servers: [{{asn: 64499}}]
    peers: {{listener: {{asn: 64502}}}}
customers:
  source: {{asn: 64503, routers: [ENTRY], prefixes: [192.0.2.0/24, "2001:db8:c1::/48"], send: both}}
  listener: {{asn: 64504, routers: [EXIT], prefixes: [203.0.113.0/25, "2001:db8:c2::/48"], send: full}}
  modest: {{asn: 64505, routers: [EXIT], prefixes: [203.0.113.128/25, "2001:db8:c3::/48"], send: default}}
services:
  inside: {{at: ENTRY, address: [{SERVICE[4]}, "{SERVICE[6]}"], tcp: 443}}
"""
_HEAD: Final = """
network: every-neighbour
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
"""


def matrix_intent(inside: str, entry: str, exit_: str) -> str:
    """Return a network with a neighbour of each kind at both routers; `inside`: its routers and links as YAML."""
    return _HEAD + inside + _WORLD.replace("ENTRY", entry).replace("EXIT", exit_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What keeps routes from leaking, layer by layer, as a platform's lines."""

    terms: tuple[Lines, ...]
    """Whole terms that reject by our communities."""
    conditions: tuple[Lines, ...]
    """Both conditions of what may be announced: our communities and the lists of prefixes."""
    tags: tuple[Lines, ...]
    """The communities alone."""
    prefixes: tuple[Lines, ...]
    """The lists alone."""
    last_tags: tuple[Lines, ...]
    """The communities, where the lists have been taken away already."""
    last_prefixes: tuple[Lines, ...]
    """The lists, where the communities have been taken away already."""
    default_only: tuple[Lines, ...]
    """What a customer who asked for a default route gets."""
    roles: tuple[Lines, ...]
    """RFC 9234."""


_FRR_TAGS: Final = (Lines("frr.conf", r"^ match large-community any-64500_1_[15]\n"),)
_FRR_LISTS: Final = (Lines("frr.conf", r"^ match ip(?:v6)? address prefix-list (?:own|customers)_[46]\n"),)
_TAG, _LIST = r"\(64500, 1, [15]\) ~ bgp_large_community", r"net ~ b_prefixes_(?:own|customers)_[46]"


def _bird_condition(pattern: str, without: str) -> tuple[Lines, ...]:
    return (Lines("bird.conf", rf"^  if {pattern} then \{{$", f"  if {without} then {{"),)


LAYERS: Final[Mapping[Platform, Layers]] = {
    Platform.FRR: Layers(
        terms=(frr_term("no_leak", policy=r"export_\S+"), frr_term("internal", policy=r"export_\S+")),
        conditions=(*_FRR_TAGS, *_FRR_LISTS),
        tags=_FRR_TAGS,
        prefixes=_FRR_LISTS,
        last_tags=_FRR_TAGS,
        last_prefixes=_FRR_LISTS,
        default_only=(Lines("frr.conf", r"^ match ip(?:v6)? address prefix-list default_[46]\n"),),
        roles=(Lines("frr.conf", r"^ neighbor \S+ local-role \S+\n"),),
    ),
    Platform.BIRD: Layers(
        terms=(bird_term("no_leak", policy=r"export_\w+"), bird_term("internal", policy=r"export_\w+")),
        conditions=_bird_condition(f"{_LIST} && {_TAG}", "true"),
        tags=_bird_condition(f"({_LIST}) && {_TAG}", r"\1"),
        prefixes=_bird_condition(f"{_LIST} && ({_TAG})", r"\1"),
        last_tags=_bird_condition(_TAG, "true"),
        last_prefixes=_bird_condition(_LIST, "true"),
        default_only=_bird_condition(r"net ~ b_prefixes_default_[46]", "true"),
        roles=(Lines("bird.conf", r"^  local role \w+;\n"),),
    ),
}
_NO_ROLES: Final = LAYERS[Platform.BIRD].roles[0]
_NO_LIMITS: Final = Lines("bird.conf", r"^    (?:import|receive) limit [^\n]*\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakMatrix:
    """Cells of the matrix, as what a `Scenario` asks for. The harm: a listener hears what it should not."""

    exit: str = "gw"
    leaks: tuple[Leak, ...] = LEAKS
    allowed: tuple[Leak, ...] = ALLOWED
    weakened: Callable[[Layers], tuple[Lines, ...]] = lambda _layers: ()
    """Other layers, taken away at the exit from the beginning, so that one is seen to work by itself."""
    weakened_nodes: tuple[str, ...] = ()
    """Where; empty: at the exit."""

    @property
    def harms(self) -> tuple[str, ...]:
        """Every cell by itself."""
        return tuple(_name(leak, family) for leak in self.leaks for family in (4, 6))

    def hostile(self, plan: Plan, configs: Configs) -> Configs:
        """Let the listeners take everything, and nobody outside speak RFC 9234: they would hide our leaks."""
        for node in self.weakened_nodes or (self.exit,):
            platform = plan.nodes[node].platform or Platform.BIRD
            configs = rewrite(configs, [node], self.weakened(LAYERS[platform]))
        outside = [*SOURCES.values(), *LISTENING.values()]
        configs = rewrite(configs, outside, (_NO_ROLES, _NO_LIMITS))
        configs = rewrite(configs, LISTENING.values(), (IMPORT_ALL,))
        path = (plan.nodes["transit-3"].asn or 0,)  # any AS: a route server leaves its own out
        return announce(
            plan,
            configs,
            SOURCES[Party.ROUTE_SERVER],
            "member",
            [Announcement(prefix, path) for prefix in _FROM_ROUTE_SERVER.values()],
        )

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield the leaks that are heard now."""
        return self._heard(scene, self.leaks)

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield what should be announced and is not heard."""
        heard = set(self._heard(scene, self.allowed))
        for leak in self.allowed:
            for family in (4, 6):
                if _name(leak, family) not in heard:
                    yield f"not announced: {_name(leak, family)}"
        yield from self._lost_defaults(scene)

    def _lost_defaults(self, scene: Scene) -> Iterator[str]:
        for family, default in ((4, "0.0.0.0/0"), (6, "::/0")):
            if default not in self._prefixes(scene, Party.ASKED_DEFAULT, family):
                yield f"no default route for the {Party.ASKED_DEFAULT} (IPv{family})"

    def _heard(self, scene: Scene, cells: Collection[Leak]) -> Iterator[str]:
        for listener in {listener: None for _, listener in cells}:
            for family in (4, 6):
                heard = self._prefixes(scene, listener, family)
                for source in (source for source, hearer in cells if hearer is listener):
                    if str(prefix_of(scene.lab.plan, source, family)) in heard:
                        yield _name((source, listener), family)

    def _prefixes(self, scene: Scene, listener: Party, family: int) -> set[str]:
        return {str(route.prefix) for route in scene.told(LISTENING[listener], self.exit, family)}

    def again(self, scene: Scene) -> None:
        """Announce everything anew, the customer's routes last.

        They are allowed to everybody: who hears them has heard, or not, all that came before.
        """
        strangers = tuple(leak for leak in self.allowed if leak[0] in NEIGHBORS)
        customers = tuple(leak for leak in self.allowed if leak[0] is Party.CUSTOMER)
        # Roles are told when a session opens: those that had to open again do so first.
        wait_for("after the change", lambda: (*self.missing(scene), *scene.holds_updates(self.exit)), _LIMIT_S)
        _say(scene, "disable", (*NEIGHBORS, Party.CUSTOMER))
        wait_for("routes stay", lambda: self._heard(scene, (*strangers, *customers)), _LIMIT_S)
        _say(scene, "enable", NEIGHBORS)
        wait_for("routes do not come back", lambda: self._unheard(scene, strangers), _LIMIT_S)
        _say(scene, "enable", (Party.CUSTOMER,))

    def _unheard(self, scene: Scene, cells: tuple[Leak, ...]) -> Iterable[str]:
        return {_name(leak, family) for leak in cells for family in (4, 6)} - set(self._heard(scene, cells))


def _name(leak: Leak, family: int) -> str:
    return f"{leak[0]} -> {leak[1]} (IPv{family})"


def _say(scene: Scene, verb: str, sources: Iterable[Party]) -> None:
    for source in sources:
        name = "member" if source is Party.ROUTE_SERVER else ""
        for family in (4, 6):
            scene.bird(SOURCES[source], f"{verb} b_origin{f'_{name}' if name else ''}{family}")


def prefix_of(plan: Plan, source: Party, family: int) -> IPNetwork:
    """Return what a source announces."""
    if source is Party.OWN:
        return next(prefix for prefix in plan.network.prefixes if prefix.version == family)
    if source is Party.PART:
        return ip_network(SERVICE[family])
    if source is Party.ROUTE_SERVER:
        return ip_network(_FROM_ROUTE_SERVER[family])
    return next(o.prefix for o in plan.nodes[SOURCES[source]].originations if o.prefix.version == family)
