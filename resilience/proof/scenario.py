"""A scenario: a small network, a hostile or clumsy neighbour, and the harm that it does where a protection is missing.

Each runs twice in one lab: first with the protection's lines taken out of the rendered files, where all of the harm
must be seen; then on what is rendered, where none of it may be. What is legitimate must work both times, so that a
dead session never looks like a protection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from resilience.errors import EnvironmentLacks, ResilienceError
from resilience.intent import read_intent
from resilience.lab import open_lab
from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.model.proof import Cell, ProofVerdict
from resilience.plan import make_plan
from resilience.proof.guards import Lines, Unavailable, lines_of, rewrite
from resilience.proof.scene import POLL_S, Scene, wait_for
from resilience.render import render_configs

LIMIT_S: Final = 30.0
_OTHER: Final = {Platform.FRR: Platform.BIRD, Platform.BIRD: Platform.FRR}


class Group(StrEnum):
    """Chapters of the table, in its order."""

    ROUTES_IN = "Routes that come in"
    ROUTES_OUT = "Routes that go out"
    SESSIONS = "Sessions"
    PACKETS = "Packets"
    FAILURES = "Failures"


def nothing(_scene: Scene) -> Iterable[str]:
    """Say that nothing is missing."""
    return ()


def no_change(_plan: Plan, configs: Configs) -> Configs:
    """Leave everybody as rendered."""
    return configs


def no_other_plan(plan: Plan) -> Plan:
    """Wait for everything that the plan holds."""
    return plan


def no_action(_scene: Scene) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One protection, the attack that it stops, and the lines that do it on each platform.

    `attack` carries the attack out, where it is an action, and returns the harm that is seen now: a subset of `harms`.
    It is called again and again while harm is awaited, so it must be quick (a few seconds) and may be repeated.
    """

    name: str
    """Such as `bogon-prefixes`."""
    group: Group
    protection: str
    """What the router does, as a noun: "filter for bogon prefixes"."""
    attack_title: str
    """What the neighbour does, as a sentence without its full stop."""
    sources: tuple[str, ...]
    """RFC with section, BCP, MANRS action; each by itself."""
    intent: str
    """The network as YAML; `PLATFORM` stands for what the routers under attack run, `OTHER` for the other platform."""
    guard: Mapping[Platform, tuple[Lines, ...] | Unavailable]
    """The lines that are the protection: shown in the documentation, taken away in the first half."""
    harms: tuple[str, ...]
    """Each must be seen without the protection, none with it."""
    attack: Callable[[Scene], Iterable[str]]
    missing: Callable[[Scene], Iterable[str]] = nothing
    """What of the legitimate is missing now; asked in both halves."""
    hostile: Callable[[Plan, Configs], Configs] = no_change
    """What the attackers' own files say; the routers under attack are changed by `guard` alone."""
    again: Callable[[Scene], None] = no_action
    """Make the attackers do everything anew, after the protection has been put into place."""
    weakened: Callable[[Plan], Plan] = no_other_plan
    """The plan by which the lab judges that it is ready without the protection."""
    victims: tuple[str, ...] = ("gw",)
    draining: tuple[str, ...] = ()
    """Elements that are being drained, such as `uplink dakar`."""
    limit_s: float = LIMIT_S
    """How long harm may take to appear, and to go."""
    judged: int = 1
    """How often the attack is carried out at the end: several times where it works by chance."""


@dataclass(slots=True)
class _Course:
    """What has been seen so far, kept also when something goes wrong on the way."""

    lines: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    started: float = field(default_factory=time.monotonic)

    def cell(self, scenario: Scenario, platform: Platform, verdict: ProofVerdict, reason: str = "") -> Cell:
        return Cell(
            scenario=scenario.name,
            platform=platform,
            verdict=verdict,
            reason=reason,
            seen_without=self.without,
            seen_with=self.within,
            lines=self.lines,
            took_s=round(time.monotonic() - self.started, 1),
        )


def try_scenario(scenario: Scenario, platform: Platform) -> Cell:
    """Run a scenario on a platform in a lab of its own. Whatever goes wrong becomes the verdict `unknown`.

    Raises:
        EnvironmentLacks: labs cannot run here, whatever the scenario.
    """
    course = _Course()
    try:
        return _try(scenario, platform, course)
    except EnvironmentLacks:
        raise
    except ResilienceError as error:
        return course.cell(scenario, platform, ProofVerdict.UNKNOWN, str(error))


def stage(scenario: Scenario, platform: Platform) -> tuple[Plan, Configs]:
    """Return a scenario's plan and its configurations, hostile ones included, every protection in place."""
    with TemporaryDirectory(prefix="resilience-") as folder:
        text = scenario.intent.replace("PLATFORM", platform).replace("OTHER", _OTHER[platform])
        Path(folder, "network.yaml").write_text(text, encoding="utf-8")
        plan, _ = make_plan(read_intent(Path(folder)), draining=scenario.draining)
    return plan, scenario.hostile(plan, render_configs(plan))


def _try(scenario: Scenario, platform: Platform, course: _Course) -> Cell:
    plan, configs = stage(scenario, platform)
    guard = scenario.guard[platform]
    if isinstance(guard, Unavailable):
        return _try_unavailable(scenario, platform, course, plan, configs)
    course.lines = lines_of(configs, scenario.victims, guard)
    weak = rewrite(configs, scenario.victims, guard)
    with open_lab(scenario.weakened(plan), weak) as lab:
        scene = Scene(lab, configs, platform, scenario.victims)
        course.without = _await_harm(scenario, scene)
        if lacking := sorted(set(scenario.harms) - set(course.without)):
            reason = f"without the protection this was not seen: {'; '.join(lacking)}"
            return course.cell(scenario, platform, ProofVerdict.UNKNOWN, reason)
        scene.load(configs)
        course.within = _await_no_harm(scenario, scene)
    if course.within:
        reason = f"in spite of the protection: {'; '.join(course.within)}"
        return course.cell(scenario, platform, ProofVerdict.FAIL, reason)
    return course.cell(scenario, platform, ProofVerdict.PASS)


def _try_unavailable(scenario: Scenario, platform: Platform, course: _Course, plan: Plan, configs: Configs) -> Cell:
    """Show that a platform cannot: the attack works on what is rendered."""
    with open_lab(plan, configs) as lab:
        course.within = _await_harm(scenario, Scene(lab, configs, platform, scenario.victims))
    if lacking := sorted(set(scenario.harms) - set(course.within)):
        reason = f"said to be impossible here, and yet this was not seen: {'; '.join(lacking)}"
        return course.cell(scenario, platform, ProofVerdict.FAIL, reason)
    guard = scenario.guard[platform]
    because = guard.because if isinstance(guard, Unavailable) else ""
    return course.cell(scenario, platform, ProofVerdict.NOT_AVAILABLE, because)


def _await_harm(scenario: Scenario, scene: Scene) -> tuple[str, ...]:
    """Wait until what is legitimate works and all harm is done; return the harm that was seen."""
    wait_for("before the attack", lambda: scenario.missing(scene), scenario.limit_s)
    return _await_seen(scenario, scene, lambda seen: set(scenario.harms) <= seen)


def _await_no_harm(scenario: Scenario, scene: Scene) -> tuple[str, ...]:
    """Let the attackers do everything anew; return the harm that remains when it and the legitimate have come."""
    _await_seen(scenario, scene, lambda seen: not seen)
    scenario.again(scene)
    wait_for("with the protection", lambda: scenario.missing(scene), scenario.limit_s)
    return tuple(sorted({harm for _ in range(scenario.judged) for harm in scenario.attack(scene)}))


def _await_seen(scenario: Scenario, scene: Scene, enough: Callable[[set[str]], bool]) -> tuple[str, ...]:
    deadline = time.monotonic() + scenario.limit_s
    while True:
        seen = set(scenario.attack(scene))
        if enough(seen) or time.monotonic() > deadline:
            return tuple(sorted(seen))
        time.sleep(POLL_S)
