"""Between whom OSPF has adjacencies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from resilience.model.adjacency import adjacencies, speaks_ospf
from tests.support.lab_networks import SMALL, TINY, plan_from


def test_routers_have_adjacencies_over_their_links_only(tmp_path: Path) -> None:
    """For both families; nothing is said towards users, services and providers."""
    plan, _ = plan_from(SMALL, tmp_path)
    router = plan.nodes["r1"]

    assert adjacencies(plan, router) == ((4, "ln-r2"), (6, "ln-r2"))
    silent = [one.name for one in router.interfaces if not speaks_ospf(plan, "r1", one.name)]
    assert sorted(silent) == sorted(one.name for one in router.interfaces if one.name != "ln-r2")


@pytest.mark.parametrize("mute", ["r1", "r2"])
def test_a_passive_end_is_enough_to_have_none(tmp_path: Path, mute: str) -> None:
    """Its addresses are known all the same."""
    plan, _ = plan_from(SMALL, tmp_path)
    node = plan.nodes[mute]
    interfaces = tuple(replace(one, ospf=one.ospf and replace(one.ospf, passive=True)) for one in node.interfaces)
    quiet = replace(plan, nodes={**plan.nodes, mute: replace(node, interfaces=interfaces)})

    assert adjacencies(quiet, quiet.nodes["r1"]) == ()


def test_a_router_alone_has_none(tmp_path: Path) -> None:
    """It runs no OSPF at all."""
    plan, _ = plan_from(TINY, tmp_path)

    assert adjacencies(plan, plan.nodes["gw"]) == ()
