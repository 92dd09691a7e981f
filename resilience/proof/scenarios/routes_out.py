"""Routes that go out and should not: the leak matrix, and each layer that protects by itself."""

from __future__ import annotations

from typing import Final

from resilience.proof.guards import Lines
from resilience.proof.leaks import ESCAPES, LAYERS, LEAKS, UNWANTED, Layers, LeakMatrix, matrix_intent
from resilience.proof.scenario import Group, Scenario

_ONE_ROUTER: Final = matrix_intent("routers: {gw: {platform: PLATFORM}}\n", "gw", "gw")
_SOURCES: Final = ("RFC 7908 section 3", "RFC 9234 section 1", "RFC 7454 section 6", "MANRS action 1")


def _everything(layers: Layers) -> tuple[Lines, ...]:
    return (*layers.terms, *layers.conditions, *layers.default_only, *layers.roles)


_ALL: Final = LeakMatrix(leaks=(*LEAKS, *ESCAPES, *UNWANTED))

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="leak-matrix",
        group=Group.ROUTES_OUT,
        protection="export filter by community and prefix list",
        attack_title="each kind of neighbour announces its routes, and each other kind listens",
        sources=_SOURCES,
        intent=_ONE_ROUTER,
        guard={platform: _everything(layers) for platform, layers in LAYERS.items()},
        harms=_ALL.harms,
        attack=_ALL.attack,
        missing=_ALL.missing,
        hostile=_ALL.hostile,
        again=_ALL.again,
    ),
)
