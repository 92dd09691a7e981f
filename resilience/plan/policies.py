"""Routing policy of every session, in vendor-neutral terms.

Sources: RFC 7454 (BCP 194) for filters, RFC 8212 (deny by default), RFC 8326 (graceful shutdown), RFC 7999 (blackhole),
RFC 8092 and RFC 8195 (large communities), MANRS actions 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from resilience.model.network import Accept, IPNetwork, Send
from resilience.model.policy import (
    AsList,
    Community,
    Direction,
    LargeCommunity,
    Match,
    Policy,
    PrefixList,
    PrefixRule,
    Relation,
    Term,
)

GRACEFUL_SHUTDOWN: Community = (65535, 0)
BLACKHOLE: Community = (65535, 666)
LOWER_PREFERENCE = 50
_TOO_LONG_PATH = 50
_DRAIN_PREPENDS = 3
_MOST_PREPENDS = 3

PREFERENCE_CUSTOMER = 400
PREFERENCE_PEER = 300
PREFERENCE_ROUTE_SERVER = 290
PREFERENCE_PROVIDER = 200
_PREFERENCE_STEP = 10

_BOGONS = {
    4: (
        "0.0.0.0/8",  # RFC 1122, this network
        "10.0.0.0/8",  # RFC 1918
        "100.64.0.0/10",  # RFC 6598
        "127.0.0.0/8",  # RFC 1122
        "169.254.0.0/16",  # RFC 3927
        "172.16.0.0/12",  # RFC 1918
        "192.0.0.0/24",  # RFC 6890
        "192.0.2.0/24",  # RFC 5737
        "192.168.0.0/16",  # RFC 1918
        "198.18.0.0/15",  # RFC 2544
        "198.51.100.0/24",  # RFC 5737
        "203.0.113.0/24",  # RFC 5737
        "224.0.0.0/3",  # multicast and reserved
    ),
    6: (
        "::/3",  # everything outside 2000::/3 is not global unicast (RFC 4291)
        "4000::/2",
        "8000::/1",
        "2001:2::/48",  # RFC 5180
        "2001:10::/28",  # RFC 4843
        "2001:db8::/32",  # RFC 3849
        "2002::/16",  # RFC 7526
        "3ffe::/16",  # RFC 3701
        "3fff::/20",  # RFC 9637
    ),
}
_BOGON_AS = (
    (0, 0),  # RFC 7607
    (23456, 23456),  # RFC 4893, AS_TRANS
    (64496, 64511),  # RFC 5398
    (64512, 65534),  # RFC 6996
    (65535, 65535),  # RFC 7300
    (65536, 65551),  # RFC 5398
    (65552, 131071),  # reserved by IANA
    (4_200_000_000, 4_294_967_294),  # RFC 6996
    (4_294_967_295, 4_294_967_295),  # RFC 7300
)
# Networks that buy transit from nobody: behind a peer they mean a leak (BCP 194 section 7; MANRS).
_TRANSIT_FREE_AS = (174, 701, 1299, 2914, 3257, 3320, 3356, 3491, 5511, 6453, 6461, 6762, 6830, 7018, 12956)
_LONGEST = {4: 24, 6: 48}
_SHORTEST = {4: 8, 6: 16}
_DEFAULT = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a network has that its import policies protect, and what they can ask."""

    rpki: bool
    """A validator is declared."""
    customers: frozenset[int]
    """Families of the prefixes of those who buy connectivity by BGP."""
    exchanges: bool
    """A router has a port on an exchange LAN."""


def identifier(text: str) -> str:
    """Return a name that both daemons take as a symbol."""
    return text.replace("-", "_")


def exact(prefix: IPNetwork) -> PrefixRule:
    """Match a prefix and nothing else."""
    return PrefixRule(prefix, prefix.prefixlen, prefix.prefixlen)


def orlonger(prefix: IPNetwork) -> PrefixRule:
    """Match a prefix and everything inside it."""
    return PrefixRule(prefix, prefix.prefixlen, prefix.max_prefixlen)


def default_list(family: int) -> PrefixList:
    """The default route."""
    return PrefixList(f"default_{family}", family, (exact(_DEFAULT[family]),))


def length_list(family: int) -> PrefixList:
    """Prefixes that are too long or too short to be taken from outside (RFC 7454 section 6.1.3)."""
    everything = _DEFAULT[family]
    too_long = PrefixRule(everything, _LONGEST[family] + 1, everything.max_prefixlen)
    too_short = PrefixRule(everything, 0, _SHORTEST[family] - 1)
    return PrefixList(f"length_{family}", family, (too_short, too_long))


def prefix_list(name: str, family: int, prefixes: Iterable[IPNetwork], *, longer: bool = False) -> PrefixList:
    """List prefixes of one family, exactly or with their more-specifics."""
    rule = orlonger if longer else exact
    return PrefixList(name, family, tuple(rule(p) for p in sorted(_of(prefixes, family), key=_order)))


def inside_list(name: str, family: int, prefixes: Iterable[IPNetwork]) -> PrefixList:
    """List what lies inside prefixes of one family, but is none of them."""
    found = sorted(_of(prefixes, family), key=_order)
    return PrefixList(
        name,
        family,
        tuple(PrefixRule(p, p.prefixlen + 1, p.max_prefixlen) for p in found if p.prefixlen < p.max_prefixlen),
        tuple(exact(p) for p in found if any(p != other and p.subnet_of(other) for other in found)),  # type: ignore[arg-type]
    )


def bogon_list(family: int, given: Iterable[IPNetwork]) -> PrefixList:
    """The standard bogons; excepted are exactly the prefixes that this plan gives to somebody."""
    bogons = [ip_network(text) for text in _BOGONS[family]]
    spared = {prefix for prefix in _of(given, family) if any(bogon.overlaps(prefix) for bogon in bogons)}
    return PrefixList(
        f"bogons_{family}",
        family,
        tuple(orlonger(bogon) for bogon in bogons),
        tuple(orlonger(prefix) for prefix in sorted(spared, key=_order)),
    )


def bogon_as_list(given: Iterable[int]) -> AsList:
    """The standard bogon AS numbers minus exactly those that this plan gives to somebody."""
    ranges = list(_BOGON_AS)
    for asn in sorted(set(given)):
        ranges = [part for low, high in ranges for part in _cut(low, high, asn)]
    return AsList("bogon_as", tuple(ranges))


def behind_peer_list(providers: Iterable[int]) -> AsList:
    """Networks that no peer may lead to: the transit-free ones and our own providers."""
    return AsList("never_behind_peer", tuple((asn, asn) for asn in sorted({*_TRANSIT_FREE_AS, *providers})))


def provider_preference(rank: int, ranks: tuple[int, ...]) -> int:
    """Return the local preference of an uplink: 200 minus 10 for each lower rank that exists (LANGUAGE, rank)."""
    return max(PREFERENCE_PROVIDER - _PREFERENCE_STEP * ranks.index(rank), 1)


def relation_tag(asn: int, relation: Relation) -> LargeCommunity:
    """Return `ASN:1:RELATION`."""
    return (asn, 1, int(relation))


def import_hygiene(family: int, neighbor_as: int | None, around: Surroundings) -> list[Term]:
    """Terms that every session with the outside begins with; `neighbor_as` None: a transparent route server."""
    terms = [
        _refuse("bogons", f"bogons_{family}", "no bogon prefixes (RFC 7454 section 6.1.1)"),
        _refuse("length", f"length_{family}", "neither too long nor too short (RFC 7454 section 6.1.3)"),
        _refuse("ours", f"ours_{family}", "nobody outside may send us our own prefixes (RFC 7454 section 6.1.4)"),
    ]
    if family in around.customers:
        why = "a part of a customer's prefix would draw its traffic away (RFC 7454 section 6.1.4)"
        terms.append(_refuse("inside_customers", f"inside_customers_{family}", why))
    if around.exchanges:
        why = "the LAN of our exchange comes from nobody but its port (RFC 7454 section 6.1.5)"
        terms.append(_refuse("exchange_lans", f"exchange_lans_{family}", why))
    return [*terms, *_path_terms(neighbor_as), *_rpki_terms(around)]


def _refuse(name: str, prefixes: str, why: str) -> Term:
    return Term(name=name, match=Match(prefixes=prefixes), accept=False, comment=why)


def _rpki_terms(around: Surroundings) -> list[Term]:
    if not around.rpki:
        return []
    why = "RPKI invalid (RFC 6811, RFC 7115)"
    return [Term(name="rpki", match=Match(rpki_invalid=True), accept=False, comment=why)]


def _leak_term() -> Term:
    return Term(
        name="leak",
        match=Match(as_path_has="never_behind_peer"),
        accept=False,
        comment="a transit network or a provider of ours behind somebody else is a leak (RFC 7908)",
    )


def _path_terms(neighbor_as: int | None) -> list[Term]:
    terms = [
        Term(
            name="bogon_as",
            match=Match(as_path_has="bogon_as"),
            accept=False,
            comment="no bogon AS number in the path (RFC 7607, RFC 6996)",
        ),
        Term(
            name="long_path",
            match=Match(path_longer_than=_TOO_LONG_PATH),
            accept=False,
            comment="no absurdly long path",
        ),
        Term(
            name="as_set",
            match=Match(path_has_set=True),
            accept=False,
            comment="no AS_SET in the path: nobody can say who originates such a route (RFC 9774)",
        ),
    ]
    if neighbor_as is not None:
        terms.insert(
            0,
            Term(
                name="first_as",
                match=Match(not_first_as=neighbor_as),
                accept=False,
                comment="the path begins with the neighbour (RFC 4271 section 6.3)",
            ),
        )
    return terms


def accept_terms(
    asn: int, relation: Relation, preference: int, site: int, *, match: Match | None = None, draining: bool = False
) -> list[Term]:
    """Accept what is left: first what its sender drains, with the lowest preference, then the rest.

    Packets go to whoever announced the route, so that nobody can send them to a third party (RFC 7454 section 10);
    only a route server speaks for others (RFC 7947 section 2.2.1).
    """
    match = match or Match()
    next_hop_peer = relation is not Relation.ROUTE_SERVER
    tags = (relation_tag(asn, relation), (asn, 2, site))
    drained = Term(
        name="graceful_shutdown",
        match=Match(prefixes=match.prefixes, communities=(GRACEFUL_SHUTDOWN,)),
        accept=True,
        local_preference=0,
        strip_own=True,
        add_large_communities=tags,
        next_hop_peer=next_hop_peer,
        comment="the sender is about to take this path down (RFC 8326)",
    )
    rest = Term(
        name="accept",
        match=match,
        accept=True,
        local_preference=0 if draining else preference,
        strip_own=True,
        add_large_communities=tags,
        next_hop_peer=next_hop_peer,
        comment="being drained: lowest preference" if draining else f"learned from a {relation.name.lower()}",
    )
    return [drained, rest]


def provider_import(
    name: str,
    family: int,
    *,
    asn: int,
    neighbor_as: int,
    accept: Accept,
    preference: int,
    site: int,
    around: Surroundings,
    draining: bool,
) -> Policy:
    """What we take from a provider."""
    terms: list[Term] = []
    if accept is not Accept.FULL:
        match = Match(prefixes=f"default_{family}")
        terms += accept_terms(asn, Relation.PROVIDER, preference, site, match=match, draining=draining)
    if accept is not Accept.DEFAULT:
        terms += import_hygiene(family, neighbor_as, around)
        terms += accept_terms(asn, Relation.PROVIDER, preference, site, draining=draining)
    return Policy(name=name, family=family, direction=Direction.IMPORT, terms=tuple(terms))


def peer_import(
    name: str,
    family: int,
    *,
    asn: int,
    neighbor_as: int,
    site: int,
    around: Surroundings,
    prefixes: str | None,
    draining: bool,
) -> Policy:
    """What we take from a peer. `prefixes`: the list of what it declared, None where it declared nothing."""
    match = Match(prefixes=prefixes) if prefixes else None
    terms = [
        *import_hygiene(family, neighbor_as, around),
        _leak_term(),
        *accept_terms(asn, Relation.PEER, PREFERENCE_PEER, site, match=match, draining=draining),
    ]
    return Policy(name=name, family=family, direction=Direction.IMPORT, terms=tuple(terms))


def route_server_import(
    name: str, family: int, *, asn: int, lan: IPNetwork, site: int, around: Surroundings, draining: bool
) -> Policy:
    """What we take from a route server, which speaks for the members of its LAN."""
    elsewhere = Term(
        name="next_hop",
        match=Match(next_hop_outside=lan),
        accept=False,
        comment="a route server leads to members of its LAN only (RFC 7947 section 2.2.1)",
    )
    terms = [
        *import_hygiene(family, None, around),
        _leak_term(),
        elsewhere,
        *accept_terms(asn, Relation.ROUTE_SERVER, PREFERENCE_ROUTE_SERVER, site, draining=draining),
    ]
    return Policy(name=name, family=family, direction=Direction.IMPORT, terms=tuple(terms))


def customer_import(
    name: str,
    family: int,
    *,
    asn: int,
    neighbor_as: int,
    prefixes: str,
    blackhole: str,
    site: int,
    around: Surroundings,
    draining: bool,
) -> Policy:
    """What we take from a customer: exactly the declared prefixes, and blackholes inside them."""
    terms = [
        *_path_terms(neighbor_as),
        _leak_term(),
        # Before the RPKI is asked: what is to be dropped is longer than any authorisation allows.
        Term(
            name="blackhole",
            match=Match(prefixes=blackhole, communities=(BLACKHOLE,)),
            accept=True,
            local_preference=PREFERENCE_CUSTOMER,
            strip_own=True,
            add_large_communities=(relation_tag(asn, Relation.INTERNAL),),
            discard=True,
            comment="the customer asks to drop traffic to its own address (RFC 7999); stays inside our AS",
        ),
        *_rpki_terms(around),
        *accept_terms(
            asn,
            Relation.CUSTOMER,
            PREFERENCE_CUSTOMER,
            site,
            match=Match(prefixes=prefixes),
            draining=draining,
        ),
    ]
    return Policy(name=name, family=family, direction=Direction.IMPORT, terms=tuple(terms))


def outside_export(
    name: str,
    family: int,
    *,
    asn: int,
    prepend: int = 0,
    communities: tuple[Community, ...] = (),
    draining: bool = False,
    has_customers: bool = False,
) -> Policy:
    """What we announce to providers, peers and route servers: our own and our customers' prefixes, nothing else."""
    strangers = tuple(
        relation_tag(asn, relation)
        for relation in (Relation.PEER, Relation.ROUTE_SERVER, Relation.PROVIDER, Relation.INTERNAL)
    )
    prepends = _DRAIN_PREPENDS if draining else min(prepend, _MOST_PREPENDS)
    added = (*communities, GRACEFUL_SHUTDOWN) if draining else communities
    terms = [
        Term(
            name="no_leak",
            match=Match(large_communities=strangers),
            accept=False,
            comment="learned from a provider or a peer: never to another one (RFC 7908, RFC 9234)",
        ),
        _announce("own", f"own_{family}", asn, Relation.OWN, prepends, added),
    ]
    if has_customers:
        terms.append(_announce("customers", f"customers_{family}", asn, Relation.CUSTOMER, prepends, added))
    return Policy(name=name, family=family, direction=Direction.EXPORT, terms=tuple(terms))


def _announce(
    name: str, prefixes: str, asn: int, relation: Relation, prepend: int, communities: tuple[Community, ...]
) -> Term:
    return Term(
        name=name,
        match=Match(prefixes=prefixes, large_communities=(relation_tag(asn, relation),)),
        accept=True,
        strip_own=True,
        prepend=prepend,
        add_communities=communities,
        comment=f"{name} prefixes; our communities stay inside",
    )


def customer_export(name: str, family: int, *, asn: int, send: Send, default: bool, draining: bool) -> Policy:
    """What we announce to a customer: a default route, everything, or both; `default` false: none for now."""
    added = (GRACEFUL_SHUTDOWN,) if draining else ()
    terms: list[Term] = []
    if default:
        terms.append(
            Term(
                name="default",
                match=Match(prefixes=f"default_{family}"),
                accept=True,
                strip_own=True,
                add_communities=added,
                comment="a default route, as the customer asked",
            )
        )
    if send is not Send.DEFAULT:
        terms += [
            Term(
                name="internal",
                match=Match(large_communities=(relation_tag(asn, Relation.INTERNAL),)),
                accept=False,
                comment="parts of our prefixes stay inside",
            ),
            Term(name="everything", accept=True, strip_own=True, add_communities=added, comment="the full table"),
        ]
    return Policy(name=name, family=family, direction=Direction.EXPORT, terms=tuple(terms))


def ibgp_drain_export(name: str, family: int) -> Policy:
    """What a draining router tells the others of its own AS: everything, with the lowest preference."""
    term = Term(name="drain", accept=True, local_preference=0, comment="this router is being drained (RFC 8326)")
    return Policy(name=name, family=family, direction=Direction.EXPORT, terms=(term,))


def _of(prefixes: Iterable[IPNetwork], family: int) -> list[IPNetwork]:
    return [prefix for prefix in prefixes if prefix.version == family]


def _order(prefix: IPNetwork) -> tuple[int, int]:
    return int(prefix.network_address), prefix.prefixlen


def _cut(low: int, high: int, asn: int) -> list[tuple[int, int]]:
    if not low <= asn <= high:
        return [(low, high)]
    parts = []
    if low < asn:
        parts.append((low, asn - 1))
    if asn < high:
        parts.append((asn + 1, high))
    return parts
