"""Networks for the planner's tests, built without the intent reader."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from typing import TypeVar

from resilience.model.network import (
    Customer,
    Exchange,
    Link,
    Network,
    Noun,
    Objective,
    Platform,
    Port,
    Provider,
    Router,
    RouteServer,
    Service,
    Uplink,
)

PREFIXES = (ip_network("198.51.100.0/24"), ip_network("2001:db8:6400::/40"))


NounType = TypeVar("NounType", bound=Noun)


def named(*things: NounType) -> dict[str, NounType]:
    """Return a mapping of things by their names."""
    return {thing.name: thing for thing in things}


def small_network(**changes: object) -> Network:
    """Return a network of two routers, two uplinks, an exchange, customers and a service; `changes` replace fields."""
    fields: dict[str, object] = {
        "name": "small",
        "file": "small/network.yaml",
        "asn": 64500,
        "prefixes": PREFIXES,
        "routers": named(
            Router(name="r1", site="east", platform=Platform.FRR),
            Router(name="r2", site="west", platform=Platform.BIRD),
        ),
        "links": named(Link(name="r1-r2", ends=("r1", "r2"))),
        "providers": named(Provider(name="alpha", asn=64496), Provider(name="beta", asn=64497)),
        "uplinks": named(
            Uplink(name="a", router="r1", provider="alpha", rank=1, addresses=(ip_interface("192.0.2.2/30"),)),
            Uplink(name="b", router="r2", provider="beta", rank=2),
        ),
        "exchanges": named(
            Exchange(
                name="ix",
                ports=(Port(name="ix-r1", router="r1"),),
                route_servers=(RouteServer(name="ix-rs1", asn=64503),),
            )
        ),
        "customers": named(
            Customer(name="bank", asn=64511, routers=("r1", "r2"), prefixes=(ip_network("203.0.113.0/24"),)),
            Customer(name="clinic", routers=("r2",), prefixes=(ip_network("198.51.100.64/29"),)),
        ),
        "services": named(Service(name="money", sites=("west",), tcp=443)),
        "objectives": (
            Objective(keep="internet", whom="customers", during=("any-one-failure",), within_ms=3000),
            Objective(keep="money", whom="everyone", during=("international-cut",), within_ms=1000),
        ),
    }
    return Network(**(fields | changes))  # type: ignore[arg-type]
