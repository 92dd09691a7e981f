"""What a platform cannot do, in one table: scenarios prove it, checks warn of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from resilience.model.network import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A protection that a platform has not."""

    platform: Platform
    scenario: str
    """The name of the scenario whose attack works there."""
    because: str
    """A clause: what the platform does instead."""
    remedy: str
    with_validator: bool = False
    """Only networks that declare an RPKI validator are exposed."""
    rule: str = "platform-lacks"
    """The check that warns where a network is exposed to it."""


LACKS: Final = (
    Lack(
        platform=Platform.FRR,
        scenario="rpki-validator-late",
        because="FRR 8.4 never judges again what it took before the first answers of an RPKI validator",
        remedy="after a start, and whenever a validator was away: `clear bgp * soft in`",
        with_validator=True,
    ),
    Lack(
        platform=Platform.FRR,
        scenario="refused-prefixes-count",
        because=(
            "FRR 8.4 counts what its filters let pass; its `force` adds what they refuse, but from every neighbour"
        ),
        remedy="declare the prefixes of peers and customers, so that filters hold what the limit does not see",
    ),
    Lack(
        platform=Platform.FRR,
        scenario="daemon-killed-restarted",
        because=(
            "FRR 8.4 with both families: as soon as one has come back, zebra forgets the old routes of the other; "
            "`check` says so, and graceful restart stays off at both ends"
        ),
        remedy="remove `graceful_restart`: what fails is then seen at once, and traffic takes another way",
        rule="graceful-restart-lossy",
    ),
)


def find_lack(platform: Platform, scenario: str) -> Lack:
    """Return what a platform lacks; KeyError when it lacks nothing there."""
    for lack in LACKS:
        if (lack.platform, lack.scenario) == (platform, scenario):
            return lack
    raise KeyError(f"{platform} lacks nothing in {scenario}")
