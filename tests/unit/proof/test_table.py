"""The table of scenarios: complete, and each of them well-formed on every platform."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules

import pytest

from resilience.analysis import CHECKS
from resilience.errors import UnknownName
from resilience.model.lacks import LACKS
from resilience.model.network import Platform
from resilience.proof import SCENARIOS, choose, scenarios
from resilience.proof.guards import Unavailable, lines_of, rewrite
from resilience.proof.scenario import Scenario, stage

BY_NAME = [pytest.param(scenario, id=scenario.name) for scenario in SCENARIOS]


def test_names_are_unique() -> None:
    """One scenario a name, so that each can be run alone."""
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))


def test_no_scenario_is_forgotten() -> None:
    """Whatever a module of scenarios holds is in the table."""
    modules = [import_module(f"{scenarios.__name__}.{found.name}") for found in iter_modules(scenarios.__path__)]
    held = [scenario.name for module in modules for scenario in module.SCENARIOS]
    assert sorted(held) == sorted(scenario.name for scenario in SCENARIOS)


@pytest.mark.parametrize("scenario", BY_NAME)
def test_a_scenario_says_what_it_is_about(scenario: Scenario) -> None:
    """Words, a source, harm that can be seen, and an answer for every platform."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", scenario.name)
    assert scenario.protection
    assert not scenario.attack_title.endswith(".")
    assert scenario.sources
    assert scenario.harms
    assert set(scenario.guard) == set(Platform)


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("scenario", BY_NAME)
def test_a_protection_is_in_the_rendered_files(scenario: Scenario, platform: Platform) -> None:
    """Its lines are found there, and without them the files are others."""
    _plan, configs = stage(scenario, platform)
    guard = scenario.guard[platform]
    if isinstance(guard, Unavailable):
        assert guard.because
        return
    assert lines_of(configs, scenario.victims, guard)
    assert rewrite(configs, scenario.victims, guard) != configs


def test_what_a_platform_lacks_is_warned_of() -> None:
    """The table of lacks names exactly the cells that are not available, each with a check that exists."""
    unavailable = {
        (platform, scenario.name)
        for scenario in SCENARIOS
        for platform, guard in scenario.guard.items()
        if isinstance(guard, Unavailable)
    }
    assert {(lack.platform, lack.scenario) for lack in LACKS} == unavailable
    assert {lack.rule for lack in LACKS} <= {check.rule for check in CHECKS}


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    """One message, and what was probably meant."""
    with pytest.raises(UnknownName, match="no scenario is called 'bogon-prefix'") as caught:
        choose(["bogon-prefix"])
    assert "bogon-prefixes" in caught.value.hint


def test_names_choose_in_the_order_of_the_table() -> None:
    """Whatever the order in which they were asked for; none means all."""
    assert choose([]) == SCENARIOS
    names = [scenario.name for scenario in SCENARIOS]
    assert [scenario.name for scenario in choose([names[-1], names[0]])] == [names[0], names[-1]]
