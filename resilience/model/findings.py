"""What analysis says about a plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from resilience.model.network import Position

FINDINGS_SCHEMA = "resilience/findings@1"


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """A promise does not hold."""
    WARNING = "warning"
    """Works, but something will hurt."""
    NOTE = "note"
    """Worth knowing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that somebody should know, with what to do about it."""

    rule: str
    """Stable identifier such as `single-point-of-failure`."""
    severity: Severity
    subject: str
    """An element, objective, session or router."""
    message: str
    remedy: str = ""
    at: Position | None = None
    flows: tuple[str, ...] = ()
    """The flows that fall, where it is about flows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that analysis found, worst first, in a stable order."""

    schema: str = FINDINGS_SCHEMA
    network: str
    tool_version: str
    input_sha256: str
    findings: tuple[Finding, ...]
    deployable: bool
    """Nothing is missing that another party has to assign."""
