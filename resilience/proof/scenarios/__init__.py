"""The scenarios, chapter by chapter; `SCENARIOS` is the table of everything that is safe by default."""

from __future__ import annotations

from typing import Final

from resilience.proof.scenario import Scenario
from resilience.proof.scenarios import (
    as_sets,
    blackholes,
    borrowed,
    communities,
    control_plane,
    floods,
    lan,
    limits,
    no_policy,
    packets,
    paths_in,
    restarts,
    routes_in,
    routes_out,
    rpki,
    sessions,
    shutdown,
)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *routes_in.SCENARIOS,
    *paths_in.SCENARIOS,
    *as_sets.SCENARIOS,
    *rpki.SCENARIOS,
    *routes_out.SCENARIOS,
    *borrowed.SCENARIOS,
    *blackholes.SCENARIOS,
    *communities.SCENARIOS,
    *sessions.SCENARIOS,
    *limits.SCENARIOS,
    *no_policy.SCENARIOS,
    *packets.SCENARIOS,
    *control_plane.SCENARIOS,
    *floods.SCENARIOS,
    *lan.SCENARIOS,
    *restarts.SCENARIOS,
    *shutdown.SCENARIOS,
)
