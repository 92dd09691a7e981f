"""AS number ranges as expressions: exactly the range, nothing beside it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resilience.render.as_regex import NO_SET_EXPRESSION, as_range_expression, at_most_expression, first_expression

BOUNDARY = r"(^|[,{}() ]|$)"
AS_NUMBERS = st.integers(min_value=0, max_value=4_294_967_295)


def finds(expression: str, path: str) -> bool:
    """Match as FRR does: `_` stands for a boundary."""
    return re.search(expression.replace("_", BOUNDARY), path) is not None


@given(low=AS_NUMBERS, high=AS_NUMBERS, asn=AS_NUMBERS)
@example(low=64512, high=65534, asn=65534)
@example(low=64512, high=65534, asn=65535)
@example(low=0, high=0, asn=0)
@example(low=4_200_000_000, high=4_294_967_294, asn=4_294_967_295)
@example(low=99, high=100, asn=100)
def test_an_expression_holds_exactly_its_range(low: int, high: int, asn: int) -> None:
    """Every AS number of the range is found, and no other."""
    low, high = sorted((low, high))
    for candidate in {asn, low, high, max(low - 1, 0), min(high + 1, 4_294_967_295)}:
        assert finds(as_range_expression(low, high), str(candidate)) == (low <= candidate <= high)


@pytest.mark.parametrize("path", ["64496 64512", "64512", "64496 64512 64497", "64496 {64500,64512}"])
def test_an_as_is_found_anywhere_in_a_path(path: str) -> None:
    """First, last, between others, in a set."""
    assert finds(as_range_expression(64512, 65534), path)


@pytest.mark.parametrize("path", ["", "64496 645120", "164512", "6451", "64511 65535"])
def test_a_part_of_a_number_is_no_number(path: str) -> None:
    """Digits that only contain a number of the range do not count."""
    assert not finds(as_range_expression(64512, 65534), path)


def test_expressions_stay_short() -> None:
    """A private range of 94 million numbers is a line that a person can read."""
    assert len(as_range_expression(4_200_000_000, 4_294_967_294)) < 600


@pytest.mark.parametrize(
    ("path", "first"), [("64496 64500", True), ("64496", True), ("644961 64496", False), ("", False)]
)
def test_the_first_as_is_the_leftmost(path: str, *, first: bool) -> None:
    """Only the whole leftmost number counts."""
    assert finds(first_expression(64496), path) is first


@pytest.mark.parametrize(("path", "short"), [("", True), ("1 2", True), ("1 2 3", False), ("1 2 {3,4}", False)])
def test_length_counts_a_set_once(path: str, *, short: bool) -> None:
    """At most two: three elements are too many."""
    assert finds(at_most_expression(2), path) is short


@pytest.mark.parametrize(("path", "plain"), [("", True), ("1 2", True), ("1 {2,3}", False), ("{2,3} 4", False)])
def test_a_set_anywhere_is_seen(path: str, *, plain: bool) -> None:
    """Only paths without a set are found, the empty one too."""
    assert finds(NO_SET_EXPRESSION, path) is plain
