"""Which failures wait until OSPF is at rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from resilience.drill.experiment import takes_adjacencies
from resilience.model.plan import Fault, FaultKind, Plan
from tests.support.lab_networks import SMALL, TINY, plan_from


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Two routers, a link between them, an uplink at each."""
    return plan_from(SMALL, tmp_path_factory.mktemp("small"))[0]


@pytest.mark.parametrize(
    ("kind", "target", "waits"),
    [
        (FaultKind.CARRIER, "link-r1-r2", True),
        (FaultKind.SILENT, "link-r1-r2", True),
        (FaultKind.CRASH, "r1", True),
        (FaultKind.CARRIER, "uplink-west", False),
        (FaultKind.KILL, "rs-mlix-1", False),
        (FaultKind.CRASH, "provider-alpha", False),
        (FaultKind.DOWN, "uplink-west-ipv4", False),
    ],
)
def test_only_what_ends_an_adjacency_waits(plan: Plan, kind: FaultKind, target: str, waits: bool) -> None:
    """An uplink's session is no business of OSPF's; before the first failure everything has just started."""
    assert takes_adjacencies(plan, Fault(kind, target), first=False) is waits
    assert takes_adjacencies(plan, Fault(kind, target), first=True)


def test_one_router_alone_never_waits(tmp_path: Path) -> None:
    """It has nobody to speak OSPF with."""
    tiny, _ = plan_from(TINY, tmp_path)
    assert not takes_adjacencies(tiny, Fault(FaultKind.CRASH, "gw"), first=True)
