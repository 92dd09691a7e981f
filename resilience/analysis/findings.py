"""Plan to `Findings`: every check, worst first, in a stable order."""

from __future__ import annotations

from importlib.metadata import version

from resilience.analysis.checks import CHECKS, Check
from resilience.analysis.subject import Found, Subject
from resilience.model.findings import Finding, Findings, Severity
from resilience.model.plan import Plan
from resilience.plan import Numbers

_WORST_FIRST = tuple(Severity)


def analyse(plan: Plan, numbers: Numbers | None = None) -> Findings:
    """Return everything worth knowing about a plan before somebody relies on it.

    Args:
        plan: the network, planned.
        numbers: the numbers that the plan was made with; maintenance is judged on plans with elements draining.
    """
    subject = Subject(plan, numbers)
    found = [_finding(check, item) for check in CHECKS for item in check.find(subject)]
    return Findings(
        network=plan.network.name,
        tool_version=version("netresilience"),
        input_sha256=plan.network.digest,
        findings=tuple(sorted(found, key=lambda finding: _WORST_FIRST.index(finding.severity))),
        deployable=not plan.missing,
    )


def _finding(check: Check, found: Found) -> Finding:
    return Finding(
        rule=check.rule,
        severity=found.severity or check.severity,
        subject=found.subject,
        message=found.message,
        remedy=found.remedy,
        at=found.at,
        flows=found.flows,
    )
