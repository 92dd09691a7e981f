"""Quantities that people write with a unit, and the integers that the code computes with.

Durations become milliseconds (`_ms`), capacities bits a second (`_bps`). Converted once, at the border.
"""

from __future__ import annotations

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_CAPACITY = re.compile(r"(\d+(?:\.\d+)?)([kMGT]?)")
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_BPS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_duration_ms(text: str) -> int:
    """Return the milliseconds of `300ms`, `9s`, `3m` or `1h`; ValueError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a duration is a number with a unit, such as 300ms, 9s or 3m")
    return round(float(match[1]) * _MS[match[2]])


def parse_capacity_bps(text: str) -> int:
    """Return the bits a second of `50M` or `10G`; ValueError for anything else."""
    match = _CAPACITY.fullmatch(text.strip())
    if match is None:
        raise ValueError("a capacity is a number of bits a second with a unit, such as 50M or 10G")
    return round(float(match[1]) * _BPS[match[2]])


def show_duration(value_ms: float) -> str:
    """Write milliseconds as people do: `0.2 ms`, `350 ms`, `1.2 s`, `3 min`."""
    if value_ms < 10:
        return f"{value_ms:.1f} ms"
    if value_ms < 1_000:
        return f"{value_ms:.0f} ms"
    if value_ms < 120_000:
        return f"{value_ms / 1_000:.1f} s"
    return f"{value_ms / 60_000:.0f} min"


def show_capacity(value_bps: int | None) -> str:
    """Write bits a second as people do: `50M`, `10G`; empty when nothing was stated."""
    if value_bps is None:
        return ""
    for unit in ("T", "G", "M", "k"):
        if value_bps >= _BPS[unit] and value_bps % (_BPS[unit] // 10 or 1) == 0:
            return f"{value_bps / _BPS[unit]:g}{unit}"
    return str(value_bps)
