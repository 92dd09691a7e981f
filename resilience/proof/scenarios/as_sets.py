"""Paths with an AS_SET: nobody can say who originates such a route, so it escapes the RPKI and every origin filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from weakref import WeakKeyDictionary

from resilience.proof.crossroads import ASN, GOOD, OTHER, PROVIDER, STRANGER, term_guard
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene
from resilience.proof.speaker import HandSpeaker, Update

_INTENT: Final = """
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
_FAMILIES: Final = (4, 6)
_SUMMARISED: Final = (STRANGER + 1, STRANGER + 2)


def _accepted(prefix: str) -> str:
    return f"{prefix} of {{{', '.join(map(str, _SUMMARISED))}}} is accepted"


class _Speakers:
    """The provider's hand-made ends, one a family, opened when a scene is first looked at."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Scene, tuple[HandSpeaker, ...]] = WeakKeyDictionary()

    def speak(self, scene: Scene) -> None:
        if scene not in self._made:
            self._made[scene] = tuple(self._open(scene, family) for family in _FAMILIES)

    @staticmethod
    def _open(scene: Scene, family: int) -> HandSpeaker:
        made = HandSpeaker(scene, PROVIDER, "gw", family)
        at = _FAMILIES.index(family)
        made.announce(Update(OTHER[PROVIDER][at], (ASN[PROVIDER], STRANGER), _SUMMARISED))
        made.announce(Update(GOOD[PROVIDER][at], (ASN[PROVIDER], STRANGER)))
        return made

    def listen(self, scene: Scene) -> None:
        for made in self._made.get(scene, ()):
            made.listen()

    def again(self, scene: Scene) -> None:
        for made in self._made.pop(scene, ()):
            made.close()
        self.speak(scene)


_SPEAKERS: Final = _Speakers()


def _attack(scene: Scene) -> Iterator[str]:
    _SPEAKERS.listen(scene)
    for family, prefix in zip(_FAMILIES, OTHER[PROVIDER], strict=True):
        if prefix in scene.prefixes("gw", family):
            yield _accepted(prefix)


def _missing(scene: Scene) -> Iterator[str]:
    _SPEAKERS.speak(scene)
    for family, prefix in zip(_FAMILIES, GOOD[PROVIDER], strict=True):
        if prefix not in scene.prefixes("gw", family):
            yield f"{prefix} is not accepted"


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="as-set",
        group=Group.ROUTES_IN,
        protection="no AS_SET in the path",
        attack_title="a provider announces a route whose path ends in a set of AS numbers",
        sources=("RFC 9774", "RFC 6472"),
        intent=_INTENT,
        guard=term_guard("as_set"),
        harms=tuple(map(_accepted, OTHER[PROVIDER])),
        attack=_attack,
        missing=_missing,
        again=_SPEAKERS.again,
    ),
)
