"""Outage is derived from the send times of the packets that were lost, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from resilience.drill.loss import Record, measure_resolution_ms, measure_stream
from resilience.drill.pump import LATE

MS = 1_000_000


def record(arrived: list[int], *, times_ms: Sequence[float] | None = None, answers: bool = False) -> Record:
    """Return a stream of one packet a millisecond, or one with the send times given."""
    times = [int(time * MS) for time in times_ms] if times_ms else [(index + 1) * MS for index in range(len(arrived))]
    return Record(MS, range(len(arrived)), times, bytes(arrived), answers)


def measure(stream: Record) -> tuple[float, float, bool]:
    """Return the outage, longest gap and whether it was still out at the end."""
    measured = measure_stream(stream, 0, stream.sent_ns[-1])
    return measured.outage_ms, measured.longest_gap_ms, measured.censored


@pytest.mark.parametrize(
    ("arrived", "expected"),
    [
        ([1, 1, 1, 1], (0, 0, False)),
        ([1, 0, 1, 1], (1, 1, False)),
        ([1, 0, 0, 0, 1, 1], (3, 3, False)),
        ([1, 0, 1, 0, 0, 1], (3, 2, False)),
        ([1, 1, 0, 0], (2, 2, True)),
        ([0, 0, 1, 1], (2, 2, False)),
        ([0, 0, 0], (3, 3, True)),
        ([1, 0, 1, 0], (2, 1, True)),
    ],
    ids=["none", "one", "run", "two-runs", "until-the-end", "from-the-start", "everything", "hit-twice"],
)
def test_outage_is_the_sum_of_the_gaps_that_lost_packets_leave(
    arrived: list[int], expected: tuple[float, float, bool]
) -> None:
    """Between the last that arrived before and the first after, less the one interval that is always there."""
    assert measure(record(arrived)) == expected


def test_a_late_send_is_no_outage_but_widens_the_resolution() -> None:
    """Nothing was lost, so nothing was out; but an outage as short as the pause could not have been seen."""
    stream = record([1, 1, 1], times_ms=[1, 2, 52])

    assert measure(stream) == (0, 0, False)
    assert measure_resolution_ms(stream, 0, 52 * MS) == 50


def test_resolution_counts_the_gap_that_reaches_into_the_window() -> None:
    """The last send before the window opens one of its gaps."""
    stream = record([1, 1, 1, 1], times_ms=[1, 9, 10, 11])

    assert measure_resolution_ms(stream, 9 * MS, 11 * MS) == 8
    assert measure_resolution_ms(stream, 12 * MS, 13 * MS) == float("inf")


def test_duplicates_and_reordering_are_counted_and_are_no_loss() -> None:
    """A packet that came twice, and one that came behind a later one."""
    measured = measure_stream(record([1, 3, LATE + 1, 1]), 0, 4 * MS)

    assert (measured.sent, measured.lost, measured.duplicated, measured.reordered) == (4, 0, 2, 1)
    assert measured.outage_ms == 0


def test_only_packets_sent_in_the_window_count() -> None:
    """A loss after the window is somebody else's; one that lasts through its end is censored."""
    stream = record([1, 1, 1, 1, 0, 0, 1])

    assert measure_stream(stream, 0, 4 * MS).lost == 0
    assert measure_stream(stream, 0, 5 * MS).censored
    assert measure_stream(stream, 3 * MS, 7 * MS).outage_ms == 2


def test_answers_are_not_blamed_for_what_never_reached_the_answering_node() -> None:
    """Nothing was sent for 97 ms because nothing had arrived; one answer was lost after that."""
    times = [1, 2, 3, 100, 101, 102]

    assert measure(record([1, 1, 1, 0, 1, 1], times_ms=times, answers=True)) == (1, 1, False)
    assert measure(record([1, 1, 1, 0, 1, 1], times_ms=times))[0] == 97
