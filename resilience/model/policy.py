"""Routing policy in vendor-neutral terms; each platform's templates say the same in its own dialect.

A policy is a list of terms, tried in order; the first whose match holds decides. No term holds: reject (RFC 8212).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from resilience.model.network import IPNetwork


class Relation(IntEnum):
    """From whom we learned a route; the number is written into large community `ASN:1:NUMBER` (RFC 8092)."""

    CUSTOMER = 1
    PEER = 2
    ROUTE_SERVER = 3
    PROVIDER = 4
    OWN = 5
    """One of our declared prefixes."""
    INTERNAL = 6
    """A part of them (a service, a user, a static customer); never leaves our AS."""


class Direction(StrEnum):
    """Which way routes pass a policy."""

    IMPORT = "import"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class PrefixRule:
    """`prefix` and those of its more-specifics whose length lies in `low..high`. Exact: both equal the prefix's own."""

    prefix: IPNetwork
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class PrefixList:
    """A route matches when any rule does and no exception. `name` is an identifier: letters, digits, `_`."""

    name: str
    family: int
    rules: tuple[PrefixRule, ...]
    exceptions: tuple[PrefixRule, ...] = ()


@dataclass(frozen=True, slots=True)
class AsList:
    """A route matches when any AS of its path lies in any of the ranges (both ends included)."""

    name: str
    ranges: tuple[tuple[int, int], ...]


Community = tuple[int, int]
"""RFC 1997: two 16-bit halves."""
LargeCommunity = tuple[int, int, int]
"""RFC 8092: global administrator, two local data parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """All conditions that are given must hold; none given matches every route."""

    prefixes: str | None = None
    """Name of a `PrefixList`."""
    as_path_has: str | None = None
    """Name of an `AsList`."""
    communities: tuple[Community, ...] = ()
    """At least one of them is on the route."""
    large_communities: tuple[LargeCommunity, ...] = ()
    """At least one of them is on the route."""
    not_first_as: int | None = None
    """The leftmost AS of the path is another one (route from a neighbour that does not put itself in front)."""
    path_longer_than: int | None = None
    path_has_set: bool = False
    """Part of the path is an AS_SET: numbers without an order (RFC 9774)."""
    next_hop_outside: IPNetwork | None = None
    """The next hop lies outside this network, such as the exchange LAN that a route server speaks for."""
    rpki_invalid: bool = False
    """RFC 6811: the validator says invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One line of a policy. Actions only mean something where `accept` is true."""

    name: str
    match: Match = Match()
    accept: bool
    local_preference: int | None = None
    strip_own: bool = False
    """Take away every large community whose global administrator is our AS (imitations, or ours at the border)."""
    add_communities: tuple[Community, ...] = ()
    add_large_communities: tuple[LargeCommunity, ...] = ()
    prepend: int = 0
    """How many more times our AS stands in the path."""
    metric: int | None = None
    """Multi-exit discriminator."""
    next_hop_self: bool = False
    next_hop_peer: bool = False
    """On import: packets go to the neighbour itself, whatever next hop it said."""
    discard: bool = False
    """Blackhole (RFC 7999): set the next hop so that traffic is dropped."""
    comment: str = ""
    """Why, with its source, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one session lets through in one direction for one family. `name` is an identifier, unique on its node."""

    name: str
    family: int
    direction: Direction
    terms: tuple[Term, ...]
