"""Vendor-neutral policy as BIRD says it: conditions and actions of a function's `if` statements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from resilience.model.policy import AsList, Match, Policy, PrefixList, PrefixRule, Term
from resilience.render.text import comment, symbol


@dataclass(frozen=True, slots=True)
class BirdSet:
    """A named constant set."""

    name: str
    members: str


@dataclass(frozen=True, slots=True)
class BirdTerm:
    """`if condition then { actions; verdict; }`; no condition: always."""

    name: str
    condition: str
    actions: tuple[str, ...]
    accept: bool


@dataclass(frozen=True, slots=True)
class BirdPolicy:
    """A function; its only parameter is this end's address of the session."""

    name: str
    terms: tuple[BirdTerm, ...]


def list_name(name: str) -> str:
    """Return the symbol of a prefix list."""
    return symbol("prefixes", name)


def as_list_name(name: str) -> str:
    """Return the symbol of a list of AS numbers."""
    return symbol("ases", name)


def except_name(name: str) -> str:
    """Return the symbol of a prefix list's exceptions."""
    return symbol("except", name)


def policy_name(name: str) -> str:
    """Return the symbol of a policy's function."""
    return symbol("policy", name)


def bird_sets(prefix_lists: tuple[PrefixList, ...], as_lists: tuple[AsList, ...]) -> tuple[BirdSet, ...]:
    """Return the constants of a node. Empty lists have none: BIRD cannot type `[]`, their conditions say false."""
    prefixes = [BirdSet(list_name(found.name), _join(map(_prefixes, found.rules))) for found in prefix_lists]
    prefixes += [BirdSet(except_name(found.name), _join(map(_prefixes, found.exceptions))) for found in prefix_lists]
    ases = [
        BirdSet(as_list_name(found.name), _join(f"{low}..{high}" for low, high in found.ranges)) for found in as_lists
    ]
    return tuple(constant for constant in (*prefixes, *ases) if constant.members)


def _prefixes(rule: PrefixRule) -> str:
    exact = rule.low == rule.high == rule.prefix.prefixlen
    return str(rule.prefix) if exact else f"{rule.prefix}{{{rule.low},{rule.high}}}"


def _as_range(ends: tuple[int, int]) -> str:
    low, high = ends
    return f"{low}..{high}"


def _join(members: Iterable[str]) -> str:
    return ", ".join(members)


def bird_policy(policy: Policy, asn: int, known: frozenset[str]) -> BirdPolicy:
    """Return a policy as a function's terms. `known` holds the names of the constants that exist."""
    terms = tuple(
        BirdTerm(
            name=": ".join(part for part in (comment(term.name), comment(term.comment)) if part),
            condition=" && ".join(_conditions(term.match, policy.family, known)),
            actions=tuple(_actions(term, asn)) if term.accept else (),
            accept=term.accept,
        )
        for term in policy.terms
    )
    return BirdPolicy(policy_name(policy.name), terms)


def _conditions(match: Match, family: int, known: frozenset[str]) -> list[str]:
    found = []
    if match.prefixes is not None:
        found.append(_in_set("net", list_name(match.prefixes), known))
        if except_name(match.prefixes) in known:
            found.append(f"net !~ {except_name(match.prefixes)}")
    if match.communities:
        found.append(_any_of([f"({a}, {b}) ~ bgp_community" for a, b in match.communities]))
    if match.large_communities:
        found.append(_any_of([f"({a}, {b}, {c}) ~ bgp_large_community" for a, b, c in match.large_communities]))
    found += _path_conditions(match, known)
    if match.next_hop_outside is not None:
        found.append(f"bgp_next_hop !~ {match.next_hop_outside}")
    if match.rpki_invalid:
        found.append(f"roa_check(b_roa{family}, net, bgp_path.last) = ROA_INVALID")
    return found


def _path_conditions(match: Match, known: frozenset[str]) -> list[str]:
    found = []
    if match.as_path_has is not None:
        found.append(_in_set("bgp_path", as_list_name(match.as_path_has), known))
    if match.not_first_as is not None:
        found.append(f"bgp_path.first != {match.not_first_as}")
    if match.path_longer_than is not None:
        found.append(f"bgp_path.len > {match.path_longer_than}")
    if match.path_has_set:
        # The last number before any set is not the last one of all, which is 0 where a set ends the path.
        found.append("bgp_path.last_nonaggregated != bgp_path.last")
    return found


def _in_set(what: str, name: str, known: frozenset[str]) -> str:
    return f"{what} ~ {name}" if name in known else "false"


def _any_of(conditions: list[str]) -> str:
    return conditions[0] if len(conditions) == 1 else f"({' || '.join(conditions)})"


def _actions(term: Term, asn: int) -> list[str]:
    found = []
    if term.strip_own:
        found.append(f"bgp_large_community.delete([({asn}, *, *)])")
    found += [f"bgp_large_community.add(({a}, {b}, {c}))" for a, b, c in term.add_large_communities]
    found += [f"bgp_community.add(({a}, {b}))" for a, b in term.add_communities]
    if term.local_preference is not None:
        found.append(f"bgp_local_pref = {term.local_preference}")
    if term.metric is not None:
        found.append(f"bgp_med = {term.metric}")
    found += [f"bgp_path.prepend({asn})"] * term.prepend
    if term.discard:
        found.append("dest = RTD_BLACKHOLE")
    elif term.next_hop_peer:
        found += ["bgp_next_hop = from", "gw = from"]
    elif term.next_hop_self:
        found.append("bgp_next_hop = b_here")
    return found
