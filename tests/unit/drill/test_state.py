"""What counts as the same network again."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from resilience.drill import state
from resilience.drill.state import Observer, State
from resilience.lab.kernel import KernelRoute, RouteDump
from resilience.model.plan import MAIN_TABLE
from tests.support.lab_networks import SMALL, plan_from

WAY = "gw route 192.0.2.0/24 table 254 metric 20 ospf"
LINK = "gw route 2001:db8::/127 table 254 metric 20 ospf, to a link"
OURS = "gw route 2001:db8:6400::/40 table 254 metric 20 bgp, a prefix of ours"
BGP = "gw route 0.0.0.0/0 table 254 metric 20 bgp"


@pytest.mark.parametrize(
    ("before", "after", "good"),
    [
        ({WAY: "a"}, {WAY: "a"}, True),
        ({WAY: "a"}, {WAY: "b"}, True),
        ({WAY: "a"}, {}, False),
        ({}, {WAY: "a"}, False),
        ({LINK: "a"}, {LINK: "b"}, True),
        ({LINK: "a"}, {}, True),
        ({}, {LINK: "a"}, True),
        ({}, {OURS: "a"}, True),
        ({OURS: "a"}, {}, False),
        ({OURS: "a"}, {OURS: "b"}, False),
        ({}, {BGP: "a"}, False),
        ({BGP: "a"}, {BGP: "b"}, False),
        ({LINK: "a", BGP: "a"}, {BGP: "b"}, False),
        ({"gw OSPF ipv6 on ln": "full"}, {}, False),
    ],
)
def test_only_what_traffic_does_not_miss_may_differ(before: dict[str, str], after: dict[str, str], good: bool) -> None:
    """Another of several equal ways, or none to the network of a link; never a route that packets take."""
    assert State(before).is_as_good(State(after)) is good


def _route(prefix: str, protocol: str) -> KernelRoute:
    network = ip_network(prefix)
    return KernelRoute(
        family=network.version,
        table=MAIN_TABLE,
        prefix=network,
        kind="unicast",
        protocol=protocol,
        metric=20,
        next_hops=(),
    )


def test_networks_of_links_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of OSPF for IPv6 between our routers; not loopbacks, not IPv4, not what else has the same network."""
    plan, _ = plan_from(SMALL, tmp_path)
    ports = [port for port in plan.nodes["r1"].interfaces if port.name.startswith("ln-")]
    found = [address.interface for port in ports for family in (4, 6) if (address := port.address(family))]
    loopback = plan.nodes["r2"].loopback(6)
    assert loopback is not None
    link4, link6 = sorted(found, key=lambda one: one.version)
    routes = [
        _route(str(link4.network), "ospf"),
        _route(str(link6.network), "ospf"),
        _route(str(link6.network), "kernel"),
        _route(str(ip_interface(str(loopback.ip)).network), "ospf"),
    ]

    class Dump:
        def routes(self) -> list[KernelRoute]:
            return routes

    monkeypatch.setattr(state, "dump_kernel_routes", lambda _lab, _node: Dump())
    facts = Observer(cast("Any", None), plan)._routes("r1")

    assert [subject for subject in facts if subject.endswith("to a link")] == [
        f"r1 route {link6.network} table 254 metric 20 ospf, to a link"
    ]
    assert len(facts) == len(routes)


def test_prefixes_of_ours_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where BGP brings them to a router of ours: not a part of one, and not what others hear of us."""
    plan, _ = plan_from(SMALL, tmp_path)
    ours = plan.network.prefixes[0]
    part = next(ours.subnets())

    class Dump:
        def routes(self) -> list[KernelRoute]:
            return [_route(str(ours), "bgp"), _route(str(part), "bgp"), _route(str(ours), "static")]

    monkeypatch.setattr(state, "dump_kernel_routes", lambda _lab, _node: Dump())
    observer = Observer(cast("Any", None), plan)
    outside = next(node.name for node in plan.nodes.values() if not node.managed and node.asn is not None)

    assert [subject for subject in observer._routes("r1") if subject.endswith("of ours")] == [
        f"r1 route {ours} table 254 metric 20 bgp, a prefix of ours"
    ]
    assert not [subject for subject in observer._routes(outside) if subject.endswith("of ours")]


def test_routes_are_read_again_where_they_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only there: two dumps that are equal hold equal routes."""
    plan, _ = plan_from(SMALL, tmp_path)
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 24, 0, 0, MAIN_TABLE, 11, 0, 1, 0)
    attribute = struct.pack("=HH4s", 8, 1, bytes([192, 0, 2, 0]))
    other = struct.pack("=HH4s", 8, 1, bytes([198, 51, 100, 0]))
    dumps = iter(
        [RouteDump((body + attribute,), {}), RouteDump((body + attribute,), {}), RouteDump((body + other,), {})]
    )
    monkeypatch.setattr(state, "dump_kernel_routes", lambda _lab, _node: next(dumps))
    observer = Observer(cast("Any", None), plan)

    first, second, third = (observer._routes("r1") for _ in range(3))

    assert list(first) == ["r1 route 192.0.2.0/24 table 254 metric 0 zebra"]
    assert second is first
    assert list(third) == ["r1 route 198.51.100.0/24 table 254 metric 0 zebra"]
