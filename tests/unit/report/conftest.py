"""A journal and findings by hand, with names that try to be something else."""

from __future__ import annotations

import pytest

from resilience.model.findings import Finding, Findings, Severity
from resilience.model.journal import (
    Control,
    DrillResult,
    Event,
    FaultRecord,
    FlowResult,
    Journal,
    LabRecord,
    Prediction,
    Recovery,
    Stream,
    Verdict,
    Way,
)
from resilience.model.network import Position

HOSTILE = "[bold]x[/] \x1b[31m | <script>\u202e"
"""Rich markup, a terminal escape, a table's border, HTML, and a character that turns the reading direction."""


@pytest.fixture
def findings() -> Findings:
    """One finding of each severity; the second with a hostile message."""
    return Findings(
        network="two-ways",
        tool_version="0.1.0",
        input_sha256="ab" * 32,
        deployable=False,
        findings=(
            Finding(
                rule="single-point-of-failure",
                severity=Severity.ERROR,
                subject="router gw",
                message="internet is lost when router gw fails",
                remedy="give the site a second router",
                at=Position("network.yaml", 5),
            ),
            Finding(rule="title", severity=Severity.WARNING, subject="risk x", message=HOSTILE),
            Finding(rule="lab-address", severity=Severity.NOTE, subject="uplink a", message="ask the provider"),
        ),
    )


def make_flow(verdict: Verdict, outage_ms: float, *, lost: int, censored: bool = False) -> FlowResult:
    """Return a flow whose return direction was out."""
    return FlowResult(
        flow="user-hq to internet-1, IPv4 udp",
        source="user-hq",
        target="internet-1",
        family=4,
        protocol="udp",
        limit_ms=3_000,
        forward=Stream(sent=1_000, lost=0, outage_ms=0.0, longest_gap_ms=0.0),
        back=Stream(sent=1_000, lost=lost, outage_ms=outage_ms, longest_gap_ms=outage_ms, censored=censored),
        tcp=None,
        outage_ms=outage_ms,
        resolution_ms=1.2,
        verdict=verdict,
        reason="" if verdict is Verdict.PASS else "return was out for longer than 3 s",
    )


def make_drill(name: str, flow: FlowResult, *, agrees: bool = True) -> DrillResult:
    """Return a drill with one flow that takes the flow's verdict."""
    return DrillResult(
        name=name,
        objective="keep internet for customers during any-one-failure",
        hypothesis="every flow is back within 3 s",
        faults=(FaultRecord(element=name, kind="carrier", side="both", at_ms=1000.0),),
        flows=(flow,),
        left_out=(),
        predicted=(
            Prediction(
                flow=flow.flow,
                direction=Way.RETURN,
                reachable=True,
                low_ms=200.0,
                high_ms=300.0,
                because=("BFD detection at gw: 200-300 ms",),
            ),
        ),
        agrees=agrees,
        timeline=(Event(at_ms=1004.0, node="gw", source="kernel", event=f"carrier lost {HOSTILE}"),),
        recovered=Recovery(ok=True, after_ms=2_000.0),
        verdict=flow.verdict,
        reason=flow.reason,
    )


@pytest.fixture
def journal() -> Journal:
    """A run with a pass, a fail and an unknown."""
    return Journal(
        tool_version="0.1.0",
        network="two-ways",
        input_sha256="ab" * 32,
        started_at="2030-01-01T00:00:00Z",
        backend="netns",
        lab=LabRecord(nodes=9, ready_s=2.34),
        control=Control(flows=(), verdict=Verdict.PASS),
        drills=(
            make_drill("uplink a", make_flow(Verdict.PASS, 0.0, lost=0)),
            make_drill("uplink b", make_flow(Verdict.FAIL, 7_000.0, lost=900, censored=True)),
            make_drill("provider <b>", make_flow(Verdict.UNKNOWN, 1_250.0, lost=125), agrees=False),
        ),
        skipped=("risk flood: nothing to take down",),
        verdict=Verdict.FAIL,
    )
