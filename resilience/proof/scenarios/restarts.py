"""Daemons that die and come back, and route servers that leave."""

from __future__ import annotations

from typing import Final

from resilience.proof.scenario import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = ()
