"""Routes that go out and should not: the leak matrix, and communities that stay inside."""

from __future__ import annotations

from typing import Final

from resilience.proof.scenario import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = ()
