"""Ready means ways: a neighbour's loopback that only the route to nowhere leads to is missing."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from resilience.lab.kernel import KernelNextHop, KernelRoute
from resilience.lab.ready import Expectation, _missing_loopbacks

LOOPBACK = ip_network("2001:db8:64ff:ffff::1/128")


def route(kind: str, *, alive: bool = True, prefix: str = str(LOOPBACK)) -> KernelRoute:
    """Return a route as the kernel tells it."""
    hop = KernelNextHop(gateway=ip_address("fe80::1"), interface="ln-r2", alive=alive)
    return KernelRoute(
        family=6, table=254, prefix=ip_network(prefix), kind=kind, protocol="ospf", metric=20, next_hops=(hop,)
    )


@pytest.mark.parametrize(
    ("routes", "there"),
    [
        ((route("unicast"),), True),
        ((route("blackhole"),), False),
        ((route("unicast", alive=False),), False),
        ((route("unicast", prefix="2001:db8:6400::/40"),), False),
        ((), False),
    ],
)
def test_only_a_way_of_its_own_leads_to_a_loopback(routes: tuple[KernelRoute, ...], *, there: bool) -> None:
    """Neither the route that stands in for a lost router, nor a dead leg, nor our prefix."""
    missing = list(_missing_loopbacks(Expectation(loopbacks=(LOOPBACK,)), routes))
    assert missing == ([] if there else ["route to 2001:db8:64ff:ffff::1: not in the kernel"])
