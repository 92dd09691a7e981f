"""Why an outage was as long as it was, and what would make it shorter, for those who read a verdict."""

from __future__ import annotations

from collections.abc import Iterator

from resilience.analysis.damage import faults_of_failure
from resilience.drill.verdict import Measured
from resilience.model.journal import Way
from resilience.model.plan import Failure, FaultKind, Plan, Session, SessionKind
from resilience.model.units import show_duration


def explain(plan: Plan, failure: Failure, measured: Measured) -> str:
    """Return the remedy for an outage that nobody noticed until a timer expired, if ever; empty for any other."""
    if measured.outage_ms <= 0:
        return ""
    grey = [fault.target for fault in faults_of_failure(plan, failure) if fault.kind is FaultKind.GREY]
    if grey and measured.censored:
        return (
            f"{grey[0]} keeps its sessions and forwards nothing, which neither BGP nor BFD can see; "
            "remedy: watch destinations beyond it, and drain it when they are gone"
        )
    waiting = [
        session
        for session in _dead_sessions(plan, failure)
        if session.kind is not SessionKind.IBGP and not _has_bfd(session) and _lasted(session, measured)
    ]
    if not waiting:
        return ""
    session = max(waiting, key=_hold_ms)
    party = session.ends[1].node
    who = f"{party} keeps sending" if measured.worse_way() is Way.RETURN else f"traffic and {party} keep going"
    return (
        f"{session.name} has no BFD, so {who} into the dead path until the hold time of "
        f"{show_duration(_hold_ms(session))} is over; remedy: BFD with {party}, or a shorter hold time"
    )


def _dead_sessions(plan: Plan, failure: Failure) -> Iterator[Session]:
    """Yield the sessions of which at least one end hears nothing any more while its own cable keeps carrier."""
    faults = faults_of_failure(plan, failure)
    silent = {fault.target for fault in faults if fault.kind is FaultKind.SILENT}
    cut = {fault.target for fault in faults if fault.kind is FaultKind.CARRIER}
    still = {fault.target for fault in faults if fault.kind is FaultKind.FREEZE}
    for session in plan.sessions:
        if not any(plan.nodes[end.node].managed for end in session.ends):
            continue
        segments = {_segment_of(plan, end.node, end.interface) for end in session.ends}
        if segments & silent or (segments & cut and segments - cut) or any(end.node in still for end in session.ends):
            yield session


def _segment_of(plan: Plan, node: str, interface: str | None) -> str:
    if interface is None or node not in plan.nodes:
        return ""
    return next((one.segment for one in plan.nodes[node].interfaces if one.name == interface), "")


def _has_bfd(session: Session) -> bool:
    return all(end.bfd is not None for end in session.ends)


def _hold_ms(session: Session) -> int:
    """Return the negotiated hold time: the smaller of the two (RFC 4271 section 4.2)."""
    return min(end.hold_ms for end in session.ends)


def _lasted(session: Session, measured: Measured) -> bool:
    """Say whether an outage can be a hold time: at least two thirds of it remain when the path dies."""
    return measured.censored or measured.outage_ms >= _hold_ms(session) * 0.6
