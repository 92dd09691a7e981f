"""What `resilience prove` says: for each protection and platform, an attack that works without it and not with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from resilience.model.network import Platform

PROOF_SCHEMA = "resilience/proof@1"


class ProofVerdict(StrEnum):
    """What a scenario showed."""

    PASS = "pass"
    """The attack worked without the protection and did not with it."""
    FAIL = "fail"
    """The attack worked in spite of the protection, or the protection did harm of its own."""
    UNKNOWN = "unknown"
    """The attack was not seen to work without the protection, or the lab failed: nothing is proven."""
    NOT_AVAILABLE = "not-available"
    """This platform has no such protection; the attack was seen to work on what is rendered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One scenario on one platform."""

    scenario: str
    platform: Platform
    verdict: ProofVerdict
    reason: str = ""
    """Empty where it passed."""
    seen_without: tuple[str, ...] = ()
    """The harm that the attack did while the protection was taken away."""
    seen_with: tuple[str, ...] = ()
    """The harm that it did to what is rendered."""
    lines: tuple[str, ...] = ()
    """The lines that are the protection, each after its file's name."""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Every cell that was tried, in the order of the table."""

    schema: str = PROOF_SCHEMA
    tool_version: str
    cells: tuple[Cell, ...]
    took_s: float
    verdict: ProofVerdict
    """The worst of all cells; `not-available` is no failure."""
