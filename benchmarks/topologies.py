"""Networks of any size, written as people would write them, and the same for the peer."""

from __future__ import annotations

from pathlib import Path

_FIRST_PRIVATE_AS = 4_200_000_000


def neighbours(count: int, links: int) -> list[tuple[int, int]]:
    """Return the links of a ring with chords: each router reaches further ones until there are enough links."""
    pairs: dict[tuple[int, int], None] = {}
    step = 1
    while len(pairs) < links:
        for first in range(count):
            second = (first + step) % count
            pairs.setdefault((min(first, second), max(first, second)))
        step = step * 3 + 1
    return list(pairs)[:links]


def write_network(folder: Path, *, routers: int, links: int, platform: str = "frr", customers: int = 0) -> Path:
    """Write an intent of that size to a folder and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "network: bench",
        "lab: true",
        "asn: 64500",
        'prefixes: [10.128.0.0/16, "2001:db8:6400::/40"]',
        "pools: {loopbacks: [172.16.0.0/16], links: [172.17.0.0/16]}",
        "routers:",
        *(f"  r{number}: {{platform: {platform}}}" for number in range(routers)),
        "links:",
        *(f"  - {{between: [r{one}, r{two}]}}" for one, two in neighbours(routers, links)),
        "providers:",
        "  alpha: {asn: 64496}",
        "  beta: {asn: 64497}",
        "uplinks:",
        "  west: {router: r0, provider: alpha, rank: 1}",
        f"  south: {{router: r{routers // 2}, provider: beta, rank: 2}}",
        *_customer_lines(customers, routers),
        "objectives:",
        "  - {keep: internet, for: r1, during: [uplink west], within: 3s}",
    ]
    (folder / "network.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_reachable_network(folder: Path, *, routers: int, customers: int, prefixes: int) -> Path:
    """Write a network of FRR and BIRD routers in turn, with a desk to log in to all of them from.

    Customers are at the last routers, one each, each with so many prefixes. Links go without BFD: its packets would
    keep the cores busy that a hundred routers share here with whoever works on them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "network: bench-deploy",
        "lab: true",
        "asn: 64500",
        'prefixes: [10.128.0.0/16, "2001:db8:6400::/40"]',
        'management: [10.128.0.32/29, "2001:db8:6400:a::/64"]',
        "pools: {loopbacks: [172.16.0.0/16], links: [172.17.0.0/16]}",
        "sites: {hq: {}}",
        "routers:",
        "  r0: {site: hq, platform: frr}",
        *(f"  r{number}: {{platform: {('frr', 'bird')[number % 2]}}}" for number in range(1, routers)),
        "links:",
        *(f"  - {{between: [r{one}, r{two}], bfd: false}}" for one, two in neighbours(routers, routers * 3 // 2)),
        "providers:",
        "  alpha: {asn: 64496}",
        "  beta: {asn: 64497}",
        "uplinks:",
        "  west: {router: r0, provider: alpha, rank: 1}",
        f"  south: {{router: r{routers // 2}, provider: beta, rank: 2}}",
        "services:",
        '  noc: {at: hq, address: [10.128.0.33, "2001:db8:6400:a::1"], tcp: 8022}',
        "customers:",
        *(
            f"  c{number}: {{router: r{routers - 1 - number}, prefixes: [{_prefixes(number, prefixes)}]}}"
            for number in range(customers)
        ),
    ]
    (folder / "network.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _prefixes(customer: int, count: int) -> str:
    return ", ".join(f"10.128.{customer + 1 + 100 * number}.0/24" for number in range(count))


def _customer_lines(customers: int, routers: int) -> list[str]:
    if not customers:
        return []
    return [
        "customers:",
        *(
            f"  c{number}: {{asn: {_FIRST_PRIVATE_AS + number}, router: r{number % routers},"
            f" prefixes: [10.{number // 256}.{number % 256}.0/24]}}"
            for number in range(customers)
        ),
    ]


def write_netlab_topology(path: Path, *, routers: int, links: int) -> None:
    """Write the same routers and links for netlab: FRR, OSPF, iBGP through two route reflectors, BFD, both families."""
    lines = [
        "provider: clab",
        "defaults.device: frr",
        "defaults.const.MAX_NODE_ID: 5000",
        "module: [ospf, bgp, bfd]",
        "bgp.as: 64500",
        "addressing:",
        "  mgmt: {ipv4: 172.20.0.0/16, start: 10}",
        "  loopback: {ipv4: 10.0.0.0/16, ipv6: 2001:db8:1::/48}",
        "  p2p: {ipv4: 10.1.0.0/16, ipv6: 2001:db8:2::/48}",
        "nodes:",
        *(f"  r{number}: {{{'bgp.rr: true' if number < 2 else ''}}}" for number in range(routers)),
        "links:",
        *(f"- r{one}-r{two}" for one, two in neighbours(routers, links)),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
