"""Time as analysis counts it: every event knows what it waited for, so that a bound can be taken apart again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from resilience.analysis.constants import Bounds


class Cause(NamedTuple):
    """An event: when it happens, the step that led to it, and the event before that step."""

    at_ms: float
    text: str
    low_ms: float
    high_ms: float
    parent: Cause | None

    def steps(self) -> tuple[Cause, ...]:
        """Return the steps from the beginning to this event."""
        found: list[Cause] = []
        cause: Cause | None = self
        while cause is not None:
            if cause.text:
                found.append(cause)
            cause = cause.parent
        return tuple(reversed(found))


START = Cause(0.0, "", 0.0, 0.0, None)


class Pace(Enum):
    """Which end of the bounds each step takes."""

    INSTANT = "instant"
    """Time stands still: only the order of events counts, only the outcome matters."""
    FASTEST = "fastest"
    SLOWEST = "slowest"


@dataclass(frozen=True, slots=True)
class Clock:
    """Adds steps up."""

    pace: Pace

    def after(self, cause: Cause, bounds: Bounds, text: str) -> Cause:
        """Return the event that follows `cause` after a step."""
        if self.pace is Pace.INSTANT:
            return cause
        took = bounds.low_ms if self.pace is Pace.FASTEST else bounds.high_ms
        return Cause(cause.at_ms + took, text, bounds.low_ms, bounds.high_ms, cause)
