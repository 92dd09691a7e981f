"""What every check looks at, and what a check says."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from resilience.analysis.damage import damage_of_elements
from resilience.analysis.igp import Igp
from resilience.analysis.world import Situation, World, world_of
from resilience.model.findings import Severity
from resilience.model.network import Network, Noun, Position, Uplink
from resilience.model.plan import Element, ElementKind, Plan
from resilience.plan import Numbers


class Found(NamedTuple):
    """One thing that a check found."""

    subject: str
    message: str
    remedy: str = ""
    at: Position | None = None
    flows: tuple[str, ...] = ()
    severity: Severity | None = None
    """None: the check's own."""


@dataclass(frozen=True)
class Subject:
    """A plan with what checks ask of it again and again."""

    plan: Plan
    numbers: Numbers | None = field(default=None, repr=False)
    """The locked numbers, for plans with elements draining."""

    @property
    def network(self) -> Network:
        """The declared network."""
        return self.plan.network

    @cached_property
    def world(self) -> World:
        """The plan as one machine."""
        return world_of(self.plan)

    @cached_property
    def taken_by(self) -> dict[str, tuple[str, ...]]:
        """For each risk the uplinks that fall with it."""
        found = {}
        for element in self.plan.elements.values():
            if element.kind is ElementKind.RISK:
                cut = damage_of_elements(self.plan, [element.name])
                found[element.short] = tuple(
                    name for name in self.network.uplinks if not self.stands(f"uplink-{name}", self.world.settle(cut))
                )
        return found

    def stands(self, segment: str, situation: Situation) -> bool:
        """Say whether a cable still carries traffic."""
        cable = self.plan.segments.get(segment)
        return cable is not None and situation.cables.passes(*cable.ends)

    def site_of(self, uplink: Uplink) -> str:
        """Return the site at which an uplink leaves."""
        return self.network.routers[uplink.router].site

    def fall_of(self, element: Element) -> Situation:
        """Return the settled state after an element failed in its natural way."""
        return self.world.settle(damage_of_elements(self.plan, [element.name]))

    def halves(self, situation: Situation) -> list[tuple[str, ...]]:
        """Return the groups of our living routers that OSPF still connects, the largest first."""
        igp: Igp = situation.igp
        alive = [node.name for node in self.plan.routers() if node.name not in situation.damage.mute]
        groups: list[list[str]] = []
        for name in alive:
            home = next((group for group in groups if igp.distance(group[0], name) is not None), None)
            if home is None:
                groups.append([name])
            else:
                home.append(name)
        return sorted((tuple(group) for group in groups), key=lambda group: (-len(group), group))


def place(noun: Noun | Element | None) -> Position | None:
    """Return where something is written, if somebody wrote it."""
    return noun.at if noun is not None and noun.at is not None and noun.at.line else None


def join(names: list[str] | tuple[str, ...], most: int = 6) -> str:
    """Write names as a sentence does: `a, b and c`; long lists are cut and counted."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
