"""Numbers that are derived once and then stay: addresses, router ids, AS numbers of the outside world.

A first number is a hash of the element's name inside its pool, the next free one on collision. What was once given
stays given (`numbers.lock.yaml`), as in a package manager's lock file. Stated numbers win and move nothing else.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address, ip_network

from resilience.errors import NumbersError
from resilience.model.network import IPAddress, IPNetwork


@dataclass(frozen=True, slots=True)
class Numbers:
    """Everything given out so far: a key such as `router bko1 loopback4` to its number, written as text."""

    given: Mapping[str, str] = field(default_factory=dict)

    def without(self, keys: Iterable[str]) -> Numbers:
        """Return the numbers that are left when these keys are taken away."""
        gone = set(keys)
        return Numbers({key: value for key, value in self.given.items() if key not in gone})


def hash_below(key: str, limit: int) -> int:
    """Return a number in 0..limit-1 that depends on nothing but the key."""
    return int.from_bytes(sha256(key.encode()).digest()[:16], "big") % limit


class Allocator:
    """Gives out numbers: locked ones first, then hashed ones. Lives for one planning.

    Locked and stated numbers are reserved before the first new one is given, so the order of the asking
    decides only between two new names that collide.
    """

    def __init__(self, numbers: Numbers, renamed: Mapping[str, str]) -> None:
        """Take what is locked; `renamed` maps an element's qualified new name to its old one (`was:`)."""
        self._locked = dict(numbers.given)
        self._renamed = renamed
        self._used: dict[str, str] = {}
        self._networks: dict[tuple[int, int], list[int]] = {}
        self._integers: dict[str, set[int]] = {}
        self._stated: list[IPNetwork] = []
        for key, value in self._locked.items():
            self._reserve(key, value)

    def numbers(self) -> Numbers:
        """Return everything locked before and given now, without the old keys of renamed elements."""
        return Numbers(dict(sorted({**self._locked, **self._used}.items())))

    def reserve(self, network: IPNetwork) -> None:
        """Keep a stated network from being given to anybody else; a locked number that overlaps it is given anew."""
        self._stated.append(network)
        self._add_network(network)

    def reserve_integer(self, space: str, value: int) -> None:
        """Keep a stated integer (an AS number) from being given to anybody else."""
        self._taken(space).add(value)

    def give_network(self, key: str, pools: tuple[IPNetwork, ...], length: int) -> tuple[IPNetwork, bool]:
        """Return a network of that prefix length inside the pools, and whether it was locked."""
        locked = self._take_locked(key)
        if locked is not None:
            network = ip_network(locked)
            if _inside(network, pools) and not any(network.overlaps(other) for other in self._stated):
                return network, True
        total = sum(_count(pool, length) for pool in pools)
        if total == 0:
            raise NumbersError(f"no pool is large enough for {key}", hint="state a larger pool under `pools:`")
        start = hash_below(key, total)
        for step in range(total):
            network = _nth(pools, length, (start + step) % total)
            if self._free(network):
                self._use(key, str(network))
                self._add_network(network)
                return network, False
        raise NumbersError(f"every number of the pool for {key} is given", hint="state a larger pool under `pools:`")

    def give_integer(self, space: str, name: str, choices: tuple[range, ...]) -> int:
        """Return an integer of the ranges that nobody else has in this space, under the key `SPACE NAME`."""
        key = f"{space} {name}"
        locked = self._take_locked(key)
        taken = self._taken(space)
        if locked is not None and any(int(locked) in choice for choice in choices):
            taken.add(int(locked))
            return int(locked)
        total = sum(len(choice) for choice in choices)
        start = hash_below(key, total)
        for step in range(total):
            value = _nth_integer(choices, (start + step) % total)
            if value not in taken:
                taken.add(value)
                self._use(key, str(value))
                return value
        hint = "documentation space has 32 AS numbers; write `lab: true` at the top to use private ones"
        raise NumbersError(f"no number is left for {key}", hint=hint if space == "as" else "")

    def give_choice(self, key: str, first: str) -> str:
        """Return what was chosen before under this key, else `first`, which is remembered."""
        locked = self._take_locked(key)
        if locked is not None:
            return locked
        self._use(key, first)
        return first

    def _taken(self, space: str) -> set[int]:
        if space not in self._integers:
            locked = (value for key, value in self._locked.items() if key.startswith(f"{space} "))
            self._integers[space] = {int(value) for value in locked if value.isdigit()}
        return self._integers[space]

    def _take_locked(self, key: str) -> str | None:
        if key in self._used:
            return self._used[key]
        if key in self._locked:
            self._used[key] = self._locked[key]
            return self._locked[key]
        noun, _, rest = key.partition(" ")
        name, _, what = rest.partition(" ")
        was = self._renamed.get(f"{noun.removesuffix('-number')} {name}")
        if was is None:
            return None
        old = self._locked.pop(f"{noun} {was} {what}".rstrip(), None)
        if old is not None:
            self._used[key] = old
        return old

    def _use(self, key: str, value: str) -> None:
        self._used[key] = value

    def _reserve(self, key: str, value: str) -> None:
        if "/" in value:
            try:
                self._add_network(ip_network(value))
            except ValueError as error:
                raise NumbersError(f"numbers.lock.yaml: {key}: {value} is not a network") from error

    def _add_network(self, network: IPNetwork) -> None:
        insort(self._networks.setdefault((network.version, network.prefixlen), []), int(network.network_address))

    def _free(self, network: IPNetwork) -> bool:
        """Tell whether nothing that was given or stated overlaps the network."""
        start, bits = int(network.network_address), network.max_prefixlen
        for (version, length), starts in self._networks.items():
            if version != network.version:
                continue
            if length <= network.prefixlen:
                cover = start >> (bits - length) << (bits - length)
                index = bisect_left(starts, cover)
                if index < len(starts) and starts[index] == cover:
                    return False
            else:
                index = bisect_left(starts, start)
                if index < len(starts) and starts[index] <= int(network.broadcast_address):
                    return False
        return True


def host_of(network: IPNetwork, index: int) -> IPAddress:
    """Return the address at `index` inside a network."""
    return ip_address(int(network.network_address) + index)


def _inside(network: IPNetwork, pools: tuple[IPNetwork, ...]) -> bool:
    return any(network.version == pool.version and pool.overlaps(network) for pool in pools)


def _count(pool: IPNetwork, length: int) -> int:
    return 1 << (length - pool.prefixlen) if length >= pool.prefixlen else 0


def _nth(pools: tuple[IPNetwork, ...], length: int, index: int) -> IPNetwork:
    for pool in pools:
        count = _count(pool, length)
        if index < count:
            start = int(pool.network_address) + (index << (pool.max_prefixlen - length))
            return ip_network((start, length))
        index -= count
    raise IndexError(index)


def _nth_integer(choices: tuple[range, ...], index: int) -> int:
    for choice in choices:
        if index < len(choice):
            return choice[index]
        index -= len(choice)
    raise IndexError(index)
