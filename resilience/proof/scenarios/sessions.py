"""Sessions that should not come up, should not stay up, or should not believe what they hear."""

from __future__ import annotations

from typing import Final

from resilience.proof.scenario import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = ()
