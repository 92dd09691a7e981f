"""Neighbours that announce more prefixes than agreed: what the session does, and how it comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from itertools import islice
from typing import Final

from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.proof.announce import Announcement, announce
from resilience.proof.guards import Lines, Unavailable, rewrite
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene, wait_for

_PEERS: Final = """
network: full-house
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
exchanges:
  ix:
    ports: [{router: gw, address: [203.0.113.10/24, "2001:db8:203::10/64"]}]
    peers:
      noisy: {asn: 64510, address: [203.0.113.20, "2001:db8:203::20"], maximum_prefixes: {ipv4: 20, ipv6: 20}}
      quiet: {asn: 64511, address: [203.0.113.21, "2001:db8:203::21"]}
"""
_CUSTOMERS: Final = """
network: full-house
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
customers:
  noisy: {asn: 64510, router: gw, prefixes: [203.0.113.0/25, "2001:db8:a000::/48"]}
  quiet: {asn: 64511, router: gw, prefixes: [203.0.113.128/25, "2001:db8:b000::/48"]}
"""
_LIMIT_S: Final = 20.0
_TRANSIT_FREE: Final = 3356
"""Behind a peer or a customer it means a leak."""


def _routes(count: int, first: int, path: tuple[int, ...] = ()) -> tuple[Announcement, ...]:
    """Return this many ordinary prefixes a family."""
    found: list[Announcement] = []
    for text, length in (("31.40.0.0/16", 24), ("2a02:b00::/32", 48)):
        subnets = islice(ip_network(text).subnets(new_prefix=length), first, first + count)
        found += [Announcement(str(subnet), path) for subnet in subnets]
    return tuple(found)


def _has(configs: Configs, lines: Lines) -> bool:
    return any(file.path == lines.file for file in configs["gw"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flood:
    """A neighbour `noisy` that announces too much, beside another of its kind, `quiet`, that does not."""

    noisy: str
    quiet: str
    where: str
    """What both have a cable to: our router, or the exchange."""
    protocol: str
    """How the noisy neighbour's sessions are called in its own BIRD, without the family."""
    taken: tuple[Announcement, ...] = ()
    """What of the flood our filters let pass."""
    refused: tuple[Announcement, ...] = ()
    """What of it they refuse anyway."""
    mistake: tuple[Lines, ...] = ()
    """Lines of our own router that somebody has removed, by which routes pass that should not."""

    @property
    def harms(self) -> tuple[str, ...]:
        """Everything that is seen where nothing stops it."""
        taken = tuple(f"the IPv{family} flood is accepted" for family in (4, 6)) if self.taken else ()
        return (*taken, *(f"the IPv{family} session stays up under the flood" for family in (4, 6)))

    def hostile(self, plan: Plan, configs: Configs) -> Configs:
        """Let the noisy neighbour announce all of it."""
        configs = rewrite(configs, ["gw"], [lines for lines in self.mistake if _has(configs, lines)])
        configs = announce(plan, configs, self.noisy, "refused", self.refused)
        return announce(plan, configs, self.noisy, "taken", self.taken)

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield the harm that is done now."""
        states = scene.sessions(scene.victim)
        for family in (4, 6):
            neighbor = scene.address(self.noisy, self.where, family)
            known = {str(route.prefix) for route in scene.rib(scene.victim, family) if route.neighbor == neighbor}
            flood = {route.prefix for route in self.taken if route.family == family}
            if flood and flood <= known:
                yield f"the IPv{family} flood is accepted"
            if states.get(str(neighbor)) == "Established" and self._everything_sent(scene, family):
                yield f"the IPv{family} session stays up under the flood"

    def _everything_sent(self, scene: Scene, family: int) -> bool:
        told = scene.bird(self.noisy, f"show protocols all {self.protocol}_ipv{family}")
        sent = re.search(r"Routes: .* (\d+) exported", told)
        return sent is not None and int(sent[1]) >= sum(r.family == family for r in (*self.taken, *self.refused))

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield what the quiet neighbour lacks: nobody else may suffer."""
        states = scene.sessions(scene.victim)
        for family in (4, 6):
            if (state := states.get(str(scene.address(self.quiet, self.where, family)))) != "Established":
                yield f"the IPv{family} session with the quiet neighbour is {state}"

    def again(self, scene: Scene) -> None:
        """See why the session was closed; let the neighbour stop; bring the session back; flood once more."""
        wait_for("the neighbour hears why", lambda: self._unheard(scene), _LIMIT_S)
        self._tell(scene, "disable")
        wait_for("a closed session stays closed", lambda: self._up(scene), _LIMIT_S)
        self._bring_back(scene)
        wait_for("the session comes back", lambda: self._down(scene), _LIMIT_S)
        self._tell(scene, "enable")
        wait_for("the flood closes it once more", lambda: self._up(scene), _LIMIT_S)

    def _unheard(self, scene: Scene) -> Iterator[str]:
        for family in (4, 6):
            told = scene.bird(self.noisy, f"show protocols all {self.protocol}_ipv{family}")
            if not re.search(r"Last error: .*[Mm]aximum number of prefixes reached", told):
                yield f"the IPv{family} session was not closed with Cease, maximum number of prefixes reached"

    def _up(self, scene: Scene) -> Iterator[str]:
        yield from (f"the IPv{f} session is up" for f, state in self._states(scene) if state == "Established")

    def _down(self, scene: Scene) -> Iterator[str]:
        yield from (f"the IPv{f} session is {state}" for f, state in self._states(scene) if state != "Established")

    def _states(self, scene: Scene) -> Iterator[tuple[int, str]]:
        states = scene.sessions(scene.victim)
        yield from ((f, states.get(str(scene.address(self.noisy, self.where, f)), "")) for f in (4, 6))

    def _tell(self, scene: Scene, verb: str) -> None:
        for kind, routes in (("refused", self.refused), ("taken", self.taken)):
            for family in {route.family for route in routes}:
                scene.bird(self.noisy, f"{verb} b_origin_{kind}{family}")

    def _bring_back(self, scene: Scene) -> None:
        """Do what the how-to tells an operator to do."""
        for family in (4, 6):
            neighbor = scene.address(self.noisy, self.where, family)
            if scene.platform is Platform.FRR:
                scene.run(scene.victim, "vtysh", "-c", f"clear bgp {neighbor}")
            else:
                scene.bird(scene.victim, f"enable {self.protocol}_ipv{family}")


_PEER: Final = _Flood(
    noisy="peer-ix-noisy",
    quiet="peer-ix-quiet",
    where="ix",
    protocol="b_ix_noisy_gw",
    taken=_routes(25, 0),
)
# Of a real leak the filters refuse most. What they let pass is less than was agreed; all of it together is more.
_MOSTLY_REFUSED: Final = replace(_PEER, refused=_routes(15, 0, path=(_TRANSIT_FREE,)), taken=_routes(15, 15))
_CUSTOMER: Final = _Flood(noisy="customer-noisy", quiet="customer-quiet", where="gw", protocol="b_noisy_gw")
_UNFILTERED: Final = replace(
    _CUSTOMER,
    taken=_routes(20, 0),
    mistake=(
        Lines("frr.conf", r"^ match \S+ address prefix-list customer_noisy_\d\n"),
        Lines(
            "bird.conf", r"(?<=  # accept: learned from a customer\n)  if net ~ b_prefixes_customer_noisy_\d then", ""
        ),
    ),
)
_FRR: Final = (Lines("frr.conf", r"^  neighbor \S+ maximum-prefix \d+[^\n]*\n"),)
_BIRD: Final = (Lines("bird.conf", r"^    receive limit \d+ [^\n]*;\n"),)
_SOURCES: Final = ("RFC 7454 section 8", "RFC 4486 section 4", "MANRS action 1")

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="too-many-prefixes-from-a-peer",
        group=Group.SESSIONS,
        protection="limit for the prefixes that a peer sends",
        attack_title="a peer announces more prefixes than agreed",
        sources=_SOURCES,
        intent=_PEERS,
        guard={Platform.FRR: _FRR, Platform.BIRD: _BIRD},
        harms=_PEER.harms,
        attack=_PEER.attack,
        missing=_PEER.missing,
        hostile=_PEER.hostile,
        again=_PEER.again,
    ),
    Scenario(
        name="too-many-prefixes-from-a-customer",
        group=Group.SESSIONS,
        protection="limit for the prefixes that a customer sends",
        attack_title="a customer leaks a table while somebody has taken its prefix filter away",
        sources=_SOURCES,
        intent=_CUSTOMERS,
        guard={Platform.FRR: _FRR, Platform.BIRD: _BIRD},
        harms=_UNFILTERED.harms,
        attack=_UNFILTERED.attack,
        missing=_UNFILTERED.missing,
        hostile=_UNFILTERED.hostile,
        again=_UNFILTERED.again,
    ),
    Scenario(
        name="refused-prefixes-count",
        group=Group.SESSIONS,
        protection="limit that counts refused prefixes too",
        attack_title="a peer leaks a table, and the filters refuse so much of it that the rest stays below the limit",
        sources=_SOURCES,
        intent=_PEERS,
        guard={
            Platform.FRR: Unavailable.on(Platform.FRR, "refused-prefixes-count"),
            Platform.BIRD: _BIRD,
        },
        harms=_MOSTLY_REFUSED.harms,
        attack=_MOSTLY_REFUSED.attack,
        missing=_MOSTLY_REFUSED.missing,
        hostile=_MOSTLY_REFUSED.hostile,
        again=_MOSTLY_REFUSED.again,
    ),
)
