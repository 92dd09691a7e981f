"""The matrix of interruptions: what happens, at which step, on which platform; and where a daemon refuses a line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.support.effort import EVERYTHING

PLATFORMS: Final = ("frr", "bird")


class Kind(StrEnum):
    """What comes between."""

    ENGINE_KILLED = "engine-killed"
    SESSION_CUT = "session-cut"
    POWER_LOST = "power-lost"
    DISK_FULL = "disk-full"
    DAEMON_DIES = "daemon-dies"
    CLOCK_SET = "clock-set"


@dataclass(frozen=True, slots=True)
class Point:
    """A step of a router's deployment: at its beginning, or `midway`, while the router is at it."""

    router: str
    step: str
    midway: bool = False

    def __str__(self) -> str:
        return f"{self.router}-{'while-' if self.midway else ''}{self.step}"


POINTS: Final = (
    Point("r2", "staging"),
    Point("r2", "draining"),
    Point("r2", "applying"),
    Point("r2", "applying", midway=True),
    Point("r2", "applied"),
    Point("r2", "verified"),
    Point("r2", "confirming"),
    Point("r3", "applying"),
    Point("r3", "confirming"),
)
"""r2 is the canary; r3 is in the second wave, when the first one is confirmed."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One interruption."""

    platform: str
    kind: Kind
    point: Point

    @property
    def router(self) -> str:
        """Whom it befalls."""
        return self.point.router

    @property
    def step(self) -> str:
        """At which step."""
        return self.point.step

    @property
    def deadline_s(self) -> int:
        """Short where the router has to wait for it, long where it has to come further than that first."""
        return 45 if self.step in {"verified", "confirming"} or self.router == "r3" else 20

    @property
    def midway(self) -> bool:
        """Whether the step has begun."""
        return self.point.midway

    def __str__(self) -> str:
        return f"{self.platform}-{self.kind}-{self.point}"


MATRIX: Final = tuple(Cell(platform, kind, point) for platform in PLATFORMS for kind in Kind for point in POINTS)
REFUSALS: Final = tuple((platform, router) for platform in PLATFORMS for router in ("r2", "r3"))
"""Whose daemon refuses a line of its file: that happens at one step only, in the first wave or in the second."""
ALL: Final = len(MATRIX) + len(REFUSALS)


def cells() -> tuple[Cell, ...]:
    """Return the cells to try: all of them, or each kind once a platform, at points as different as can be."""
    return MATRIX if EVERYTHING else tuple(cell for cell in MATRIX if cell.point is POINTS[_chosen(cell)])


def refusals() -> tuple[tuple[str, str], ...]:
    """Return the refused lines to try: all of them, or one a platform, where it is refused last."""
    return REFUSALS if EVERYTHING else (("frr", "r3"), ("bird", "r3"))


def _chosen(cell: Cell) -> int:
    number = PLATFORMS.index(cell.platform) * 4 + list(Kind).index(cell.kind) * 5
    return (number + 3) % len(POINTS)
