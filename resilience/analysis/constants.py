"""How long the steps of a failover take: the daemons' constants, each with bounds, its meaning and its source.

Everything that the plan states (hold times, BFD intervals) comes from the plan; this table holds the rest. Bounds are
for an idle machine of two cores; they were set from the daemons' documented timers and checked against drills.
"""

from __future__ import annotations

from typing import NamedTuple

from resilience.model.network import Platform
from resilience.model.plan import GRACEFUL_RESTART_S


class Bounds(NamedTuple):
    """Shortest and longest, in milliseconds, and where the figures come from."""

    low_ms: float
    high_ms: float
    source: str


class DaemonConstants(NamedTuple):
    """The steps of one routing daemon."""

    notice: Bounds
    """From an event in the kernel (carrier, closed connection, BFD) to the daemon's own handling of it."""
    decide: Bounds
    """From a changed route or a lost session to the new best path."""
    install: Bounds
    """From the best path to the kernel's route."""
    tell: Bounds
    """From the best path to the neighbour having read the message."""
    originate_lsa: Bounds
    """From a lost OSPF adjacency to the new router LSA."""
    spf: Bounds
    """From a new LSA to new OSPF routes in the kernel."""
    hold_jitter: float
    """The hold timer runs for at least this part of the agreed time."""


FRR = DaemonConstants(
    notice=Bounds(0, 15, "zebra hands interface events to bgpd over its own socket"),
    decide=Bounds(
        30,
        75,
        "bgpd lets its queue of changed prefixes rest for 50 ms, counted from the first change in it: measured 39 ms "
        "where another fault had come 10 ms before",
    ),
    install=Bounds(1, 35, "zebra's queue rests for 10 ms, then its thread writes to the kernel; measured 72 ms in all"),
    tell=Bounds(0, 20, "bgpd groups neighbours and writes in a thread of its own"),
    originate_lsa=Bounds(0, 20, "ospfd makes a new LSA at once unless it made one in the last 5 s"),
    spf=Bounds(0, 110, "ospfd: timers throttle spf 0 50 5000; then zebra's queue"),
    hold_jitter=1.0,
)
BIRD = DaemonConstants(
    notice=Bounds(0, 10, "BIRD reads netlink in its own loop"),
    decide=Bounds(0, 10, "BIRD decides when the route changes"),
    install=Bounds(0, 10, "BIRD writes to the kernel in the same loop; measured 0.5 ms from loss of carrier"),
    tell=Bounds(0, 15, "BIRD sends updates when its loop comes round"),
    originate_lsa=Bounds(0, 1_000, "BIRD's OSPF works in ticks of 1 s"),
    spf=Bounds(0, 1_050, "BIRD's OSPF works in ticks of 1 s"),
    hold_jitter=0.75,
)
DAEMONS = {Platform.FRR: FRR, Platform.BIRD: BIRD}

KERNEL_CARRIER = Bounds(
    0,
    10,
    "the kernel skips routes whose interface has no carrier (ignore_routes_with_linkdown); the far end of a cable "
    "hears of it one work queue later: measured 0.2 ms at rest, 8.7 ms on a busy machine",
)
AT_ONCE = Bounds(0, 20, "several faults happen within 10 ms of each other; measured 13 ms with what follows")
CRASH = Bounds(0, 30, "a node dies process by process before its cables lose carrier")
CLOSE = Bounds(0, 10, "the connection is closed, or the other end's kernel closes it for a dead process")
GRACEFUL_RESTART = Bounds(
    GRACEFUL_RESTART_S * 1_000,
    GRACEFUL_RESTART_S * 1_000 + 100,
    "RFC 4724 section 4.2: stale routes go with the restart timer; measured 10.0 s where 10 s were agreed",
)
FLOOD = Bounds(0, 10, "one OSPF router floods an LSA to the next")
OSPF_DEAD = Bounds(30_000, 40_000, "OSPF hellos every 10 s, dead after 40 s, where BFD does not watch")
BFD_NOTICE = Bounds(0, 10, "from the BFD timer to the routing daemon")
UNTOUCHED = Bounds(0, 0, "the path does not change")
REROUTED = Bounds(0, 15, "the path changes while the old one still works")
BFD_JITTER = 0.75
"""RFC 5880 section 6.8.7: a sender shortens each interval by up to a quarter."""
KEEPALIVES_PER_HOLD = 3


def daemon_of(platform: Platform | None) -> DaemonConstants:
    """Return the constants of a node's daemon. Whatever is not FRR runs BIRD in a lab."""
    return DAEMONS[platform or Platform.BIRD]
