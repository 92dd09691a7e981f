"""Where numbers come from: our own pools, and the documentation and benchmarking space of the outside world."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Network, ip_network

from resilience.model.network import IPNetwork, Network

_LOOPBACKS4 = (ip_network("10.255.0.0/16"),)
_LINKS4 = (ip_network("10.192.0.0/11"),)
_LAB_CIRCUITS = {4: ip_network("198.18.0.0/16"), 6: ip_network("2001:2::/48")}  # RFC 2544, RFC 5180
_WORLD_LINKS = {4: ip_network("198.18.0.0/16"), 6: ip_network("3fff:fff::/32")}
_WORLD_PREFIXES = {4: ip_network("198.19.0.0/16"), 6: ip_network("3fff::/40")}  # RFC 2544, RFC 9637
_LAB_WORLD_PREFIXES = {4: ip_network("100.64.0.0/10"), 6: ip_network("3fff::/32")}
DOCUMENTATION_AS = (range(64496, 64512), range(65536, 65552))  # RFC 5398
PRIVATE_AS = (range(4_200_000_000, 4_294_967_295),)  # RFC 6996
_SLASH = {4: 32, 6: 128}


@dataclass(frozen=True, slots=True)
class WorldPools:
    """Every pool, per family."""

    loopbacks: dict[int, tuple[IPNetwork, ...]]
    links: dict[int, tuple[IPNetwork, ...]]
    hosts: dict[int, tuple[IPNetwork, ...]]
    """Inside our own prefixes: users and services without a stated address."""
    circuits: dict[int, tuple[IPNetwork, ...]]
    """What another party would assign."""
    world_links: dict[int, tuple[IPNetwork, ...]]
    world_prefixes: dict[int, tuple[IPNetwork, ...]]
    world_as: tuple[range, ...]

    def link_length(self, family: int) -> int:
        """Prefix length of one link: /31 (RFC 3021), and a /64 of which a /127 is used (RFC 6164)."""
        if family == 4:
            return 31
        return 64 if all(pool.prefixlen <= 64 for pool in self.links[6]) else 127


def make_pools(network: Network) -> WorldPools:
    """Choose the pools of a network: stated ones, else the language's defaults."""
    first6 = next((prefix for prefix in network.prefixes if isinstance(prefix, IPv6Network)), None)
    infrastructure6, hosts6 = _split6(first6) if first6 is not None else ((), ())
    stated_loopbacks, stated_links = network.pools.loopbacks, network.pools.links
    return WorldPools(
        loopbacks={4: _of(stated_loopbacks, 4) or _LOOPBACKS4, 6: _of(stated_loopbacks, 6) or infrastructure6[-1:]},
        links={4: _of(stated_links, 4) or _LINKS4, 6: _of(stated_links, 6) or infrastructure6[:1]},
        hosts={4: _of(network.prefixes, 4), 6: hosts6},
        circuits={family: (pool,) for family, pool in _LAB_CIRCUITS.items()},
        world_links={family: (pool,) for family, pool in _WORLD_LINKS.items()},
        world_prefixes={
            family: (pool,) for family, pool in (_LAB_WORLD_PREFIXES if network.lab else _WORLD_PREFIXES).items()
        },
        world_as=PRIVATE_AS if network.lab else DOCUMENTATION_AS,
    )


def _of(networks: tuple[IPNetwork, ...], family: int) -> tuple[IPNetwork, ...]:
    return tuple(network for network in networks if network.version == family)


def _split6(prefix: IPv6Network) -> tuple[tuple[IPv6Network, ...], tuple[IPv6Network, ...]]:
    """Return (infrastructure pools: links first, loopbacks last; host pools) of our first IPv6 prefix.

    The last /48 is for loopbacks and links, the one before it for hosts; of a longer prefix the same is done with its
    last and second-last sixteenth.
    """
    length = max(48, min(prefix.prefixlen + 4, 64))
    last = _nth_from_end(prefix, length, 1)
    hosts = _nth_from_end(prefix, length, 2)
    loopbacks = _nth_from_end(last, 64, 1)
    links = next(iter(last.subnets(prefixlen_diff=1)))
    return (links, loopbacks), (hosts,)


def _nth_from_end(prefix: IPv6Network, length: int, index: int) -> IPv6Network:
    step = 1 << (128 - length)
    return IPv6Network((int(prefix.broadcast_address) + 1 - index * step, length))
