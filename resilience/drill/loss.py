"""From what was sent and what arrived to an outage: loss-derived time (RFC 6412 section 3.5, RFC 7747).

Only send times count. A packet that was sent late is no outage, it only widens what can be seen (the resolution); a
packet that arrives late has arrived.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from resilience.drill.pump import LATE
from resilience.model.journal import Stream

_NS_IN_MS = 1_000_000
_LOST = re.compile(rb"\0+")
_HOLE_INTERVALS = 3
"""An answering stream that was not sent for this many intervals had nothing to answer."""


@dataclass(frozen=True, slots=True)
class Record:
    """One direction of a flow: parallel rows of the packets that were sent, in the order of sending."""

    interval_ns: int
    rounds: Sequence[int]
    sent_ns: Sequence[int]
    arrived: bytes
    """How often each arrived; `LATE` is added when a later one came before it."""
    answers: bool = False
    """Each packet answers one of the other direction (anycast): where nothing arrived there, nothing is sent here."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Lost packets in a row. `lost_ns` is what is missing; `end_ns` None: measuring ended before one arrived."""

    start_ns: int
    end_ns: int | None
    lost_ns: int


def find_gaps(record: Record, start_ns: int, end_ns: int) -> Iterator[Gap]:
    """Yield each run of lost packets that were sent between two times."""
    first = bisect_left(record.sent_ns, start_ns)
    last = bisect_right(record.sent_ns, end_ns)
    for run in _LOST.finditer(record.arrived, first, last):
        before = _time_before(record, run.start())
        if run.end() == last:
            yield Gap(before, None, record.sent_ns[last - 1] - before)
        else:
            after = _time_after(record, run.end())
            yield Gap(before, after, max(after - before - record.interval_ns, 0))


def _time_before(record: Record, position: int) -> int:
    """Return when the last packet before a run was sent; where there is none, one interval before the run."""
    assumed = record.sent_ns[position] - record.interval_ns
    if position == 0:
        return assumed
    before = record.sent_ns[position - 1]
    return assumed if record.answers and _is_hole(record, before, record.sent_ns[position]) else before


def _time_after(record: Record, position: int) -> int:
    """Return when the first packet after a run was sent."""
    before, after = record.sent_ns[position - 1], record.sent_ns[position]
    return before + record.interval_ns if record.answers and _is_hole(record, before, after) else after


def _is_hole(record: Record, before: int, after: int) -> bool:
    return after - before > _HOLE_INTERVALS * record.interval_ns


def measure_stream(record: Record, start_ns: int, end_ns: int) -> Stream:
    """Return what became of the packets that were sent between two times (both included)."""
    first = bisect_left(record.sent_ns, start_ns)
    last = bisect_right(record.sent_ns, end_ns)
    counts = Counter(record.arrived[first:last])
    gaps = tuple(find_gaps(record, start_ns, end_ns))
    return Stream(
        sent=last - first,
        lost=counts[0],
        duplicated=sum(((count & ~LATE) - 1) * times for count, times in counts.items() if count),
        reordered=sum(times for count, times in counts.items() if count & LATE),
        outage_ms=sum(gap.lost_ns for gap in gaps) / _NS_IN_MS,
        longest_gap_ms=max((gap.lost_ns for gap in gaps), default=0) / _NS_IN_MS,
        censored=any(gap.end_ns is None for gap in gaps),
    )


def measure_resolution_ms(record: Record, start_ns: int, end_ns: int) -> float:
    """Return the widest gap between two sends in a window: nothing shorter can be seen. Infinity: nothing was sent."""
    first = max(bisect_left(record.sent_ns, start_ns) - 1, 0)
    last = bisect_right(record.sent_ns, end_ns)
    if last - first < 2:
        return float("inf")
    rounds = record.rounds[first:last]
    widest = max(
        (
            later - earlier
            for (earlier, later), (number, next_number) in zip(
                pairwise(record.sent_ns[first:last]), pairwise(rounds), strict=True
            )
            if not record.answers or next_number == number + 1
        ),
        default=record.interval_ns,
    )
    return widest / _NS_IN_MS
