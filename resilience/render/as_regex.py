"""Ranges of AS numbers as the regular expressions of FRR's `bgp as-path access-list`, which knows no numbers.

FRR matches POSIX extended expressions against a path such as `64496 65551 {64500,64501}`; `_` stands for any
boundary between two AS numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

NO_SET_EXPRESSION: Final = "^[^{]*$"
"""Finds paths without an AS_SET."""


def as_range_expression(low: int, high: int) -> str:
    """Return the expression that finds any AS of `low..high` (both included) anywhere in a path."""
    return f"_({'|'.join(_patterns(low, high))})_"


def first_expression(asn: int) -> str:
    """Return the expression that finds paths whose leftmost AS is `asn`."""
    return f"^{asn}_"


def at_most_expression(count: int) -> str:
    """Return the expression that finds paths of up to `count` ASes; a set counts as one, as in path selection."""
    return f"^([^ ]+( |$)){{0,{count}}}$"


def _patterns(low: int, high: int) -> Iterator[str]:
    """Yield patterns of digits that together match exactly `low..high`, from the lowest on."""
    if low == 0:
        yield "0"
        low = 1
    while low <= high:
        size = _largest_block(low, high)
        digit = low // size % 10
        last = min(9, digit + (high - low + 1) // size - 1)
        head = str(low // (size * 10)) if low >= size * 10 else ""
        tail = "[0-9]" * (len(str(size)) - 1)
        yield head + (str(digit) if digit == last else f"[{digit}-{last}]") + tail
        low += (last - digit + 1) * size


def _largest_block(low: int, high: int) -> int:
    """Return the largest power of ten such that `low` begins a whole block of it that ends by `high`."""
    size = 1
    while low % (size * 10) == 0 and low + size * 10 - 1 <= high:
        size *= 10
    return size
