"""How long users wait: from the first attempt that met the fault to the first complete answer."""

from __future__ import annotations

import struct

import pytest

from resilience.drill.caller import Dialogue
from resilience.drill.users import Attempt, measure_resolution_ms, measure_wait

MS = 1_000_000


def attempts(*times: tuple[int, int | None, bool]) -> list[Attempt]:
    """Return attempts from (start, end, good) in milliseconds."""
    return [Attempt(start * MS, None if end is None else end * MS, good) for start, end, good in times]


def steady(first: int, last: int) -> list[tuple[int, int | None, bool]]:
    """Return good attempts every 20 ms that took 2 ms each."""
    return [(start, start + 2, True) for start in range(first, last, 20)]


def test_without_a_fault_the_wait_is_that_of_one_answer() -> None:
    """The slowest."""
    wait = measure_wait(attempts(*steady(0, 200), (200, 209, True)), 0, 300 * MS)

    assert (wait.wait_ms, wait.attempts, wait.failed, wait.censored) == (9, 11, 0, False)


def test_the_wait_is_from_the_first_attempt_that_met_the_fault_to_the_first_whole_answer() -> None:
    """Whoever's attempt that is: people try again."""
    out = [(start, start + 3000, False) for start in range(100, 700, 20)]
    wait = measure_wait(attempts(*steady(0, 100), *out, *steady(700, 4000)), 0, 5000 * MS)

    assert wait.wait_ms == 602
    assert wait.failed == 30
    assert not wait.censored


def test_a_retransmission_that_comes_through_counts_when_it_is_first() -> None:
    """An old attempt that completes before newer ones ends the wait."""
    wait = measure_wait(attempts((0, 1002, True), (20, None, False), (40, 1100, True)), 0, 2000 * MS)

    assert wait.wait_ms == 1080


def test_nobody_served_until_the_end_is_at_least_that_long() -> None:
    """Censored: measuring ended first."""
    out = [(start, None, False) for start in range(100, 1000, 20)]
    wait = measure_wait(attempts(*steady(0, 100), *out), 0, 1000 * MS)

    assert (wait.wait_ms, wait.censored) == (900, True)


def test_the_last_user_who_is_still_being_served_proves_nothing() -> None:
    """Their answer is on its way when measuring ends."""
    wait = measure_wait(attempts(*steady(0, 200), (200, None, False)), 0, 201 * MS)

    assert (wait.wait_ms, wait.censored) == (2, False)


def test_what_users_cannot_see_lies_between_two_of_them() -> None:
    """The widest gap between two attempts."""
    found = attempts((0, 2, True), (20, 22, True), (90, 92, True))

    assert measure_resolution_ms(found, 0, 100 * MS) == 70
    assert measure_resolution_ms([], 0, 100 * MS) == 100


def answer_dns(question: bytes, *, answers: int = 1, rcode: int = 0) -> bytes:
    """Return a name server's answer to a question."""
    return question[:2] + struct.pack("!HHHHH", 0x8400 | rcode, 1, answers, 0, 0) + question[12:]


@pytest.mark.parametrize(
    ("answer", "ended", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", True, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", False, None),
        (b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nhello", True, False),
        (b"HTTP/1.1 200 OK\r\n\r\n", True, False),
        (b"200", True, False),
        (b"", True, False),
    ],
)
def test_only_a_whole_page_is_an_answer(answer: bytes, ended: bool, expected: bool | None) -> None:
    """Status 200, a body, and all of it."""
    assert Dialogue("http", "", 7).check(answer, ended) is expected


def test_only_the_same_bytes_are_an_echo() -> None:
    """Not some other attempt's."""
    dialogue, other = Dialogue("tcp", "", 7), Dialogue("tcp", "", 8)

    assert dialogue.check(dialogue.question, ended=False) is True
    assert dialogue.check(other.question, ended=False) is False
    assert dialogue.check(dialogue.question[:4], ended=False) is None
    assert dialogue.check(dialogue.question[:4], ended=True) is False


def test_only_an_answer_to_the_same_question_without_an_error_resolves_a_name() -> None:
    """Number, no error, at least one record."""
    dialogue = Dialogue("dns", "mali.example", 7)

    assert b"\x04mali\x07example\x00" in dialogue.question
    assert dialogue.check(answer_dns(dialogue.question), ended=False) is True
    assert dialogue.check(answer_dns(dialogue.question, answers=0), ended=False) is False
    assert dialogue.check(answer_dns(dialogue.question, rcode=5), ended=False) is False
    assert dialogue.check(answer_dns(Dialogue("dns", "mali.example", 8).question), ended=False) is False
    assert dialogue.check(b"\0", ended=False) is False
