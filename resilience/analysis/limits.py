"""What the rest of the Internet would not go along with, and what we should not: limits, lengths, open doors."""

from __future__ import annotations

from collections.abc import Iterator

from resilience.analysis.subject import Found, Subject, join, place
from resilience.model.network import Accept, IPNetwork

_FULL_TABLE = {4: 1_000_000, 6: 230_000}
"""What the whole Internet's table holds in the middle of the 2020s, rounded; it grows."""
_LONGEST = {4: 24, 6: 48}
_SHORTEST_DESK = {4: 8, 6: 16}
"""Prefixes to log in from that are larger hold a good part of the Internet: nobody owns as much."""


def find_low_maximum(subject: Subject) -> Iterator[Found]:
    """Name uplinks for the whole Internet whose limit the Internet exceeds already."""
    for uplink in subject.network.uplinks.values():
        for family, most in uplink.maximum_prefixes.items():
            if uplink.accept is Accept.FULL and most < _FULL_TABLE[family]:
                yield Found(
                    f"uplink {uplink.name}",
                    f"{uplink.name} takes at most {most:,} IPv{family} prefixes, and a full table has more than "
                    f"{_FULL_TABLE[family]:,}: the session ends when it arrives, which the small Internet of a lab "
                    "does not show",
                    f"state {2 * _FULL_TABLE[family]:,} or nothing; or take less (accept: partial, accept: default)",
                    place(uplink),
                )


def find_long_prefixes(subject: Subject) -> Iterator[Found]:
    """Name customers with prefixes that networks beyond our providers drop."""
    own = subject.network.prefixes
    for customer in subject.network.customers.values():
        long = [prefix for prefix in customer.prefixes if prefix.prefixlen > _LONGEST[prefix.version]]
        alone = [prefix for prefix in long if not any(_covers(ours, prefix) for ours in own)]
        if alone and customer.asn is not None:
            yield Found(
                f"customer {customer.name}",
                f"{join([str(prefix) for prefix in alone])} of {customer.name} is longer than the Internet takes "
                "(/24, /48): only we, and networks that do not filter, reach it",
                "a prefix of /24 or /48, or a part of one of ours",
                place(customer),
            )


def find_open_management(subject: Subject) -> Iterator[Found]:
    """Say so when strangers, or customers, may knock at the routers' SSH servers."""
    network = subject.network
    everybody = [prefix for prefix in network.management if prefix.prefixlen < _SHORTEST_DESK[prefix.version]]
    if everybody:
        yield Found(
            network.name,
            f"management is open to everybody: {join([str(prefix) for prefix in everybody])} may log in to the routers "
            "through any interface",
            "state under `management:` the prefixes of those who run this network",
        )
    for customer in network.customers.values():
        inside = [
            prefix
            for prefix in network.management
            if prefix not in everybody and any(_overlap(prefix, theirs) for theirs in customer.prefixes)
        ]
        if inside:
            yield Found(
                f"customer {customer.name}",
                f"{customer.name} may log in to the routers: {join([str(prefix) for prefix in inside])} under "
                "`management:` holds addresses of this customer",
                "a prefix for those who run this network, and for nobody else",
                place(customer),
            )


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _covers(outer: IPNetwork, inner: IPNetwork) -> bool:
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
