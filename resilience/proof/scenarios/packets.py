"""Packets that should not pass, and a control plane that strangers cannot reach."""

from __future__ import annotations

from typing import Final

from resilience.proof.scenario import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = ()
