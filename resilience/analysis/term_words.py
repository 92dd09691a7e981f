"""Routing policy in plain words, field by field: a condition or an action without words here fails, never goes missing.

Words are made from the plan's own terms and lists, so that they cannot say anything that is not configured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from resilience.model.explanation import Filtering, NamedList, Rule
from resilience.model.network import Network
from resilience.model.plan import Node
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

_SHORT = 4
"""Lists of up to so many entries are written out in sentences; longer ones are counted and named."""

RELATION_WORDS = {
    Relation.CUSTOMER: "learned from a customer",
    Relation.PEER: "learned from a peer",
    Relation.ROUTE_SERVER: "learned from a route server",
    Relation.PROVIDER: "learned from a provider",
    Relation.OWN: "our own prefix",
    Relation.INTERNAL: "a part of our own prefixes, stays inside",
}
_RELATION, _SITE = 1, 2
"""The second part of our large communities: `ASN:1:RELATION`, `ASN:2:SITE`."""

_WELL_KNOWN: Mapping[Community, str] = {
    (65535, 0): "graceful shutdown, RFC 8326",
    (65535, 666): "blackhole, RFC 7999",
    (65535, 65281): "no-export, RFC 1997",
    (65535, 65282): "no-advertise, RFC 1997",
    (65535, 65284): "no-peer, RFC 3765",
}


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose policies are put into words: the node with its lists, inside its network."""

    network: Network
    node: Node

    @property
    def asn(self) -> int:
        """The node's AS number; 0 for a node without."""
        return self.node.asn or 0


def explain_policy(speaker: Speaker, policy: Policy) -> Filtering:
    """Return a policy with every term in words."""
    rules = tuple(explain_term(speaker, number, term) for number, term in enumerate(policy.terms, 1))
    return Filtering(
        direction=policy.direction,
        policy=policy.name,
        summary=_summary(policy),
        rules=rules,
    )


def explain_term(speaker: Speaker, number: int, term: Term) -> Rule:
    """Return a term in words."""
    return Rule(
        number=number,
        name=term.name,
        accept=term.accept,
        conditions=tuple(_conditions(speaker, term.match)),
        actions=tuple(_actions(speaker, term)) if term.accept else (),
        why=term.comment,
    )


def lists_of(node: Node, policies: Iterable[Policy]) -> tuple[NamedList, ...]:
    """Return the lists that policies name, written out, each once."""
    matches = [term.match for policy in policies for term in policy.terms]
    wanted = {name for match in matches for name in (match.prefixes, match.as_path_has)}
    prefixes = [
        NamedList(
            name=found.name,
            entries=tuple(map(_rule_words, found.rules)),
            exceptions=tuple(map(_rule_words, found.exceptions)),
        )
        for found in node.prefix_lists
        if found.name in wanted
    ]
    ases = [
        NamedList(name=found.name, entries=tuple(map(_range_words, found.ranges)))
        for found in node.as_lists
        if found.name in wanted
    ]
    return (*prefixes, *ases)


def _summary(policy: Policy) -> str:
    accepting = [term for term in policy.terms if term.accept]
    verb = "taken" if policy.direction is Direction.IMPORT else "announced"
    if not accepting:
        return f"nothing is {verb}"
    named = ", ".join(f"{term.name}{_preference(term)}" for term in accepting)
    word = "rule" if len(accepting) == 1 else "rules"
    return (
        f"only what {word} {named} let{'s' if len(accepting) == 1 else ''} through is {verb}; "
        "the first rule that fits decides, what fits none is refused (RFC 8212)"
    )


def _preference(term: Term) -> str:
    return "" if term.local_preference is None else f" (local preference {term.local_preference})"


def _conditions(speaker: Speaker, match: Match) -> Iterator[str]:
    for field in fields(Match):
        value = getattr(match, field.name)
        if value != field.default:
            yield CONDITIONS[field.name](speaker, value)


def _actions(speaker: Speaker, term: Term) -> Iterator[str]:
    for field in fields(Term):
        value = getattr(term, field.name)
        if field.name not in TOLD_BY_THE_RULE and value != field.default:
            yield ACTIONS[field.name](speaker, value)


def _prefix_condition(speaker: Speaker, name: str) -> str:
    found = next((item for item in speaker.node.prefix_lists if item.name == name), None)
    if found is None or not found.rules:
        return f"the prefix is in list {name} (which is empty)"
    return f"the prefix is {_prefix_words(found)}{_exception_words(found)}"


def _prefix_words(found: PrefixList) -> str:
    if len(found.rules) <= _SHORT:
        return " or ".join(map(_rule_words, found.rules))
    inside = " or inside it" if all(rule.high == rule.prefix.max_prefixlen for rule in found.rules) else ""
    return f"one of the {len(found.rules)} of list {found.name}{inside}"


def _exception_words(found: PrefixList) -> str:
    if not found.exceptions:
        return ""
    if len(found.exceptions) <= _SHORT:
        return f", but not {' or '.join(map(_rule_words, found.exceptions))}"
    return f", but not one of its {len(found.exceptions)} exceptions (numbers that this plan gives to somebody)"


def _rule_words(rule: PrefixRule) -> str:
    prefix, length = rule.prefix, rule.prefix.prefixlen
    if rule.low == rule.high == length:
        return f"the default route {prefix}" if length == 0 else str(prefix)
    if rule.low == length and rule.high == prefix.max_prefixlen:
        return f"{prefix} or inside it"
    lengths = f"/{rule.low} to /{rule.high}"
    return f"of length {lengths}" if length == 0 else f"inside {prefix} of length {lengths}"


def _as_condition(speaker: Speaker, name: str) -> str:
    found = next((item for item in speaker.node.as_lists if item.name == name), None)
    if found is None or not found.ranges:
        return f"an AS of the path is in list {name} (which is empty)"
    return f"an AS of the path is {_as_words(found)}"


def _as_words(found: AsList) -> str:
    if len(found.ranges) <= _SHORT:
        return " or ".join(map(_range_words, found.ranges))
    single = all(low == high for low, high in found.ranges)
    return f"one of the {len(found.ranges)} {'numbers' if single else 'ranges'} of list {found.name}"


def _range_words(ends: tuple[int, int]) -> str:
    low, high = ends
    return str(low) if low == high else f"{low}-{high}"


def community_words(speaker: Speaker, community: Community) -> str:
    """Return a community with its meaning, where it has one that the plan knows."""
    text = f"{community[0]}:{community[1]}"
    meaning = _WELL_KNOWN.get(community) or _declared_meaning(speaker.network, text)
    return f"{text} ({meaning})" if meaning else text


def _declared_meaning(network: Network, text: str) -> str:
    meanings = (
        f"{meaning} of provider {provider.name}"
        for provider in network.providers.values()
        for meaning, community in provider.communities.items()
        if community == text
    )
    return next(meanings, "")


def large_community_words(speaker: Speaker, community: LargeCommunity) -> str:
    """Return a large community with its meaning, where it is one of the speaker's own network."""
    owner, kind, value = community
    text = f"{owner}:{kind}:{value}"
    if owner == speaker.asn and kind == _RELATION and value in set(Relation):
        return f"{text} ({RELATION_WORDS[Relation(value)]})"
    if owner == speaker.asn and kind == _SITE and speaker.node.site:
        return f"{text} (site {speaker.node.site})"
    return text


def _any_community(speaker: Speaker, values: tuple[Community, ...]) -> str:
    return f"it carries community {' or '.join(community_words(speaker, value) for value in values)}"


def _any_large_community(speaker: Speaker, values: tuple[LargeCommunity, ...]) -> str:
    return f"it carries large community {' or '.join(large_community_words(speaker, value) for value in values)}"


def _rpki_condition(speaker: Speaker, _invalid: bool) -> str:
    asked = ", ".join(f"{server.address} port {server.port}" for server in speaker.node.rpki)
    return f"the RPKI says invalid (asked: {asked or 'no validator'})"


def _strip(speaker: Speaker, _value: bool) -> str:
    return f"every large community {speaker.asn}:*:* that it has is taken away"


def _add(speaker: Speaker, values: tuple[Community, ...]) -> str:
    return f"community {', '.join(community_words(speaker, value) for value in values)} is added"


def _add_large(speaker: Speaker, values: tuple[LargeCommunity, ...]) -> str:
    return f"large community {', '.join(large_community_words(speaker, value) for value in values)} is added"


def _prepend(speaker: Speaker, times: int) -> str:
    return f"AS {speaker.asn} stands {times} more {'time' if times == 1 else 'times'} in the path"


Words = Callable[[Speaker, Any], str]
"""What a field's value means. The values differ from field to field; only fields that are given come here."""

CONDITIONS: Mapping[str, Words] = {
    "prefixes": _prefix_condition,
    "as_path_has": _as_condition,
    "communities": _any_community,
    "large_communities": _any_large_community,
    "not_first_as": lambda _, asn: f"the path does not begin with AS {asn}",
    "path_longer_than": lambda _, most: f"the path holds more than {most} AS numbers",
    "path_has_set": lambda _, __: "part of the path is an AS_SET",
    "next_hop_outside": lambda _, network: f"its next hop lies outside {network}",
    "rpki_invalid": _rpki_condition,
}
"""Each field of `Match` in words."""

ACTIONS: Mapping[str, Words] = {
    "local_preference": lambda _, value: f"local preference {value}",
    "strip_own": _strip,
    "add_communities": _add,
    "add_large_communities": _add_large,
    "prepend": _prepend,
    "metric": lambda _, value: f"metric (MED) {value}",
    "next_hop_self": lambda _, __: "this router becomes the next hop",
    "next_hop_peer": lambda _, __: "packets go to the neighbour itself, whatever next hop it said",
    "discard": lambda _, __: "traffic to it is dropped here",
}
"""Each field of `Term` that changes a route, in words."""

TOLD_BY_THE_RULE = frozenset({"name", "match", "accept", "comment"})
"""Fields of `Term` that a `Rule` has a place of its own for."""
