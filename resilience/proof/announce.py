"""Neighbours on BIRD that announce what they should not, and what they may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network

from resilience.model.configs import Configs
from resilience.model.plan import Plan
from resilience.model.policy import Community, LargeCommunity, Relation
from resilience.proof.guards import Lines, rewrite
from resilience.proof.scene import Scene, wait_for

EXPORT_ALL = Lines("bird.conf", r"^    export filter \{\n(?:      [^\n]*\n)*    \};\n", "    export all;\n")
"""The neighbour tells everything that it knows to everybody."""
IMPORT_ALL = Lines("bird.conf", r"^    import filter \{ [^\n]* \};$", "    import all;")
"""The neighbour takes whatever it is sent, so that it can be seen there."""
TRANSPARENT = Lines("bird.conf", r"^(  graceful restart off;)$", r"\1\n  rs client;")
"""The neighbour does not put its own AS in front of paths, and leaves next hops as they are."""
SILENT = Lines(
    "bird.conf", r"^  route \S+ blackhole \{[^\n]*\};\n", within=r"^protocol static b_origin[46] \{\n.*?^\}\n"
)
"""The neighbour announces nothing of its own any more."""
NEXT_HOP_KEEP = Lines("bird.conf", r"^(    import (?:filter|all))", r"    next hop keep;\n\1")
"""The neighbour announces the next hop that a route says, not itself."""
_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """A route that a neighbour announces; `path` goes on behind its own AS."""

    prefix: str
    path: tuple[int, ...] = ()
    communities: tuple[Community, ...] = ()
    large: tuple[LargeCommunity, ...] = ()
    next_hop: str | None = None
    in_kernel: bool = True
    """False where the kernel of who hears it has a better route anyway, so that only acceptance can be seen."""

    @property
    def family(self) -> int:
        """4 or 6."""
        return ip_network(self.prefix).version


def announce(plan: Plan, configs: Configs, node: str, protocol: str, routes: Iterable[Announcement]) -> Configs:
    """Let a node on BIRD originate routes: static protocols `b_origin_PROTOCOL4` and `...6`.

    The routes carry the node's own mark for its own prefixes, so that its ordinary export policies let them go.
    """
    asn = plan.nodes[node].asn or 0
    text = "".join(
        _protocol(f"b_origin_{protocol}{family}", family, routes_of, asn) for family, routes_of in _by(routes)
    )
    files = (replace(f, text=f"{f.text}\n{text}") if f.path == "bird.conf" else f for f in configs[node])
    return {**configs, node: tuple(files)}


def _by(routes: Iterable[Announcement]) -> Iterator[tuple[int, list[Announcement]]]:
    wanted = list(routes)
    for family in (4, 6):
        if mine := [route for route in wanted if route.family == family]:
            yield family, mine


def _protocol(name: str, family: int, routes: list[Announcement], asn: int) -> str:
    lines = "\n".join(_route(route, asn) for route in routes)
    return f"protocol static {name} {{\n  ipv{family};\n{lines}\n}}\n"


def _route(route: Announcement, asn: int) -> str:
    actions = [f"bgp_path.prepend({number});" for number in reversed(route.path)]
    actions += [f"bgp_community.add({pair});" for pair in route.communities]
    actions += [f"bgp_large_community.add({triple});" for triple in ((asn, 1, int(Relation.OWN)), *route.large)]
    actions += [f"bgp_next_hop = {route.next_hop};"] if route.next_hop else []
    return f"  route {route.prefix} blackhole {{ {' '.join(actions)} }};"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAttack:
    """A neighbour of the router under attack announces `bad` routes beside `good` ones.

    Its methods are what a `Scenario` asks for. The harm: a bad route is accepted, and the kernel forwards by it.
    """

    attacker: str
    bad: tuple[Announcement, ...]
    good: tuple[Announcement, ...]
    victim: str = "gw"
    speech: tuple[Lines, ...] = ()
    """Changes of the attacker's own file, such as `TRANSPARENT`."""

    @property
    def harms(self) -> tuple[str, ...]:
        """Everything that is seen where nothing stops it."""
        accepted = tuple(self._accepts(route) for route in self.bad)
        return accepted + tuple(self._forwards(route) for route in self.bad if route.in_kernel)

    def _accepts(self, route: Announcement) -> str:
        return f"{route.prefix} from {self.attacker} is accepted"

    def _forwards(self, route: Announcement) -> str:
        return f"{route.prefix} from {self.attacker} is in the kernel"

    def hostile(self, plan: Plan, configs: Configs) -> Configs:
        """Let the attacker announce both kinds."""
        configs = rewrite(configs, [self.attacker], self.speech)
        configs = announce(plan, configs, self.attacker, "good", self.good)
        return announce(plan, configs, self.attacker, "bad", self.bad)

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield the harm that is done now."""
        for family, bad in _by(self.bad):
            accepted = self._accepted(scene, family)
            kernel = self._forwarded(scene, family)
            for route in bad:
                if route.prefix in accepted:
                    yield self._accepts(route)
                if route.in_kernel and route.prefix in kernel:
                    yield self._forwards(route)

    def _accepted(self, scene: Scene, family: int) -> set[str]:
        neighbor = scene.session_address(self.attacker, self.victim, family)
        return {str(route.prefix) for route in scene.rib(self.victim, family) if route.neighbor == neighbor}

    def _forwarded(self, scene: Scene, family: int) -> set[str]:
        """Return the prefixes whose packets leave towards the attacker: others may announce them too."""
        out = scene.session_interface(self.victim, self.attacker, family)
        return {
            str(prefix)
            for prefix, route in scene.kernel(self.victim, family).items()
            if any(hop.interface == out for hop in route.next_hops)
        }

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield the good routes that are not accepted now."""
        for family, good in _by(self.good):
            accepted = self._accepted(scene, family)
            for route in good:
                if route.prefix not in accepted:
                    yield f"{route.prefix} from {self.attacker} is not accepted"

    def again(self, scene: Scene) -> None:
        """Announce the bad routes once more and the good ones after them, on the same connection.

        So once a good one has come back, the bad ones have been judged.
        """
        again((self,), scene)

    def silence(self, scene: Scene) -> None:
        """Withdraw the good routes."""
        for name in self._protocols("good", self.good):
            scene.bird(self.attacker, f"disable {name}")

    def speak(self, scene: Scene) -> None:
        """Announce the bad routes, then the good ones."""
        for name in self._protocols("bad", self.bad):
            scene.bird(self.attacker, f"restart {name}")
        for name in self._protocols("good", self.good):
            scene.bird(self.attacker, f"enable {name}")

    def still_there(self, scene: Scene) -> Iterator[str]:
        """Yield the good routes that have not gone yet."""
        good = {route.prefix for route in self.good}
        for family, _ in _by(self.good):
            for prefix in good & self._accepted(scene, family):
                yield f"{prefix} from {self.attacker} is still accepted"

    @staticmethod
    def _protocols(kind: str, routes: tuple[Announcement, ...]) -> list[str]:
        return [f"b_origin_{kind}{family}" for family, _ in _by(routes)]


def again(attacks: Sequence[RouteAttack], scene: Scene) -> None:
    """Let each attacker withdraw its good routes, then announce the bad ones and after them the good ones."""
    for attack in attacks:
        attack.silence(scene)
    wait_for(
        "the good routes stay", lambda: [there for attack in attacks for there in attack.still_there(scene)], _LIMIT_S
    )
    for attack in attacks:
        attack.speak(scene)


@dataclass(frozen=True, slots=True)
class RouteAttacks:
    """Several neighbours of one router attack it at once; the same methods as one `RouteAttack`."""

    parts: tuple[RouteAttack, ...]

    @property
    def harms(self) -> tuple[str, ...]:
        """Everything that is seen where nothing stops it."""
        return tuple(harm for part in self.parts for harm in part.harms)

    def hostile(self, plan: Plan, configs: Configs) -> Configs:
        """Let each attacker announce both kinds."""
        for part in self.parts:
            configs = part.hostile(plan, configs)
        return configs

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield the harm that is done now."""
        for part in self.parts:
            yield from part.attack(scene)

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield the good routes that are not accepted now."""
        for part in self.parts:
            yield from part.missing(scene)

    def again(self, scene: Scene) -> None:
        """Announce everything once more, the good after the bad."""
        again(self.parts, scene)
