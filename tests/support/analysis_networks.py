"""Small networks for the tests of analysis, built from the model's own types."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from resilience.model.network import (
    Bfd,
    Customer,
    Exchange,
    Link,
    Network,
    Objective,
    Peer,
    Platform,
    Port,
    Position,
    Provider,
    Risk,
    Router,
    RouteServer,
    Service,
    Site,
    Uplink,
)
from resilience.model.plan import Plan
from resilience.plan import make_plan

AT = Position("network.yaml", 7)
PREFIXES = (ip_network("198.51.100.0/24"), ip_network("2001:db8:6400::/40"))
ANY_ONE = Objective(keep="internet", whom="customers", during=("any-one-failure",), within_ms=3_000, at=AT, stated=True)


def dual_homed(platform: Platform = Platform.FRR) -> Network:
    """One router, two providers, ranks 1 and 2."""
    return Network(
        name="dual-homed",
        file="network.yaml",
        asn=64500,
        prefixes=PREFIXES,
        sites={"gw": Site(name="gw")},
        routers={"gw": Router(name="gw", site="gw", platform=platform, at=AT)},
        providers={"alpha": Provider(name="alpha", asn=64496, at=AT), "beta": Provider(name="beta", asn=64497, at=AT)},
        uplinks={
            "alpha-fibre": Uplink(name="alpha-fibre", router="gw", provider="alpha", rank=1, at=AT),
            "beta-radio": Uplink(name="beta-radio", router="gw", provider="beta", rank=2, at=AT),
        },
        objectives=(ANY_ONE,),
    )


def two_sites() -> Network:
    """Two routers (FRR, BIRD) at two sites, a link, an uplink each, an exchange, a service and customers."""
    return Network(
        name="two-sites",
        file="network.yaml",
        asn=64500,
        prefixes=PREFIXES,
        risks={"border-west": Risk(name="border-west", title="Western border", at=AT)},
        sites={"north": Site(name="north"), "south": Site(name="south")},
        routers={
            "n1": Router(name="n1", site="north", platform=Platform.FRR, at=AT),
            "s1": Router(name="s1", site="south", platform=Platform.BIRD, at=AT),
        },
        links={"n1-s1": Link(name="n1-s1", ends=("n1", "s1"), capacity_bps=10**10, at=AT)},
        providers={"alpha": Provider(name="alpha", asn=64496, at=AT), "beta": Provider(name="beta", asn=64497, at=AT)},
        uplinks={
            "west": Uplink(name="west", router="n1", provider="alpha", rank=1, capacity_bps=2 * 10**9, at=AT),
            "east": Uplink(name="east", router="s1", provider="beta", rank=2, capacity_bps=10**9, at=AT),
        },
        exchanges={
            "mlix": Exchange(
                name="mlix",
                at=AT,
                ports=(Port(name="mlix-n1", router="n1", at=AT),),
                route_servers=(
                    RouteServer(name="mlix-rs1", asn=64503, at=AT),
                    RouteServer(name="mlix-rs2", asn=64503, at=AT),
                ),
                peers={"university": Peer(name="university", asn=64510, at=AT)},
            )
        },
        customers={
            "bank": Customer(
                name="bank", asn=64511, routers=("n1", "s1"), prefixes=(ip_network("192.0.2.128/25"),), at=AT
            ),
            "clinic": Customer(name="clinic", routers=("s1",), prefixes=(ip_network("198.51.100.64/29"),), at=AT),
        },
        services={
            "money": Service(
                name="money", sites=("south",), addresses=(ip_address("198.51.100.80"),), tcp=443, needs=("dns",), at=AT
            ),
            "dns": Service(
                name="dns", sites=("north", "south"), addresses=(ip_address("198.51.100.53"),), dns="example", at=AT
            ),
        },
        objectives=(
            ANY_ONE,
            replace(ANY_ONE, keep="money", whom="everyone"),
            replace(ANY_ONE, keep="dns", whom="everyone"),
        ),
    )


def plan_of(network: Network) -> Plan:
    """Return the plan of a network without a lock file."""
    return make_plan(network)[0]


def with_bfd(network: Network, bfd: Bfd | None) -> Network:
    """Return the network with BFD agreed on every uplink."""
    return replace(network, uplinks={name: replace(uplink, bfd=bfd) for name, uplink in network.uplinks.items()})
