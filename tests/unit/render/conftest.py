"""What the tests of rendering share: the plan by hand, and each platform in turn."""

from __future__ import annotations

import pytest

from resilience.model.network import Platform
from resilience.model.plan import Plan
from tests.support.render_plans import make_the_plan


@pytest.fixture(params=[Platform.FRR, Platform.BIRD])
def platform(request: pytest.FixtureRequest) -> Platform:
    """Each platform in turn: what is promised holds on both."""
    platform: Platform = request.param
    return platform


@pytest.fixture
def plan() -> Plan:
    """The business between two providers, on FRR."""
    return make_the_plan(Platform.FRR)
