"""Vendor-neutral policy as FRR says it: route maps, and the lists that they refer to.

FRR keeps one `match as-path` a route-map entry, and `call` is no condition: what a called map denies is lost. So a term
with several conditions on the path gets one list that says them all: first it denies what lacks one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from resilience.model.network import IPNetwork
from resilience.model.policy import AsList, Community, Direction, LargeCommunity, Match, Policy, PrefixList, Term
from resilience.render.as_regex import NO_SET_EXPRESSION, as_range_expression, at_most_expression, first_expression
from resilience.render.text import comment, identifier

DISCARD = {4: "192.0.0.8", 6: "100::1"}
"""Next hops that lead to nothing: the IPv4 dummy address (RFC 7600) and the discard prefix (RFC 6666)."""


_WELL_KNOWN = {
    (65535, 0): "graceful-shutdown",
    (65535, 666): "blackhole",
    (65535, 65281): "no-export",
    (65535, 65282): "no-advertise",
    (65535, 65284): "no-peer",
}


def community_text(community: Community) -> str:
    """Return a community as FRR itself writes it, so that comparing with its running configuration finds nothing."""
    return _WELL_KNOWN.get(community) or f"{community[0]}:{community[1]}"


_STEP = 5
"""Between sequence numbers, so that somebody at night can put a line between two others."""
_ROUND = 10_000


@dataclass(frozen=True, slots=True)
class FrrList:
    """The body lines of one named list, each after its sequence number."""

    name: str
    entries: tuple[str, ...]
    exceptions: int = 0
    """How many of the first entries are exceptions from the others."""

    @property
    def numbered(self) -> Iterator[tuple[int, str]]:
        """Yield each entry with its sequence number.

        What follows exceptions begins at a round number: one exception more leaves it as it is, and the difference
        that an engineer reads before a deployment is the line that was meant.
        """
        rest_from = -(-self.exceptions * _STEP // _ROUND) * _ROUND
        for number, entry in enumerate(self.entries, 1):
            beyond = number - self.exceptions
            yield (rest_from + beyond * _STEP if beyond > 0 else number * _STEP), entry


@dataclass(frozen=True, slots=True, kw_only=True)
class FrrEntry:
    """One entry of a route map."""

    sequence: int
    permit: bool
    name: str
    comment: str = ""
    prefixes: str | None = None
    as_path: str | None = None
    community: str | None = None
    large_community: str | None = None
    next_hops: str | None = None
    """Prefix list that the next hop must match."""
    rpki_invalid: bool = False
    local_preference: int | None = None
    metric: int | None = None
    strip: str | None = None
    communities: str = ""
    large_communities: str = ""
    prepend: str = ""
    next_hop: tuple[str, ...] = ()
    """What is set of it: one command each."""


@dataclass(frozen=True, slots=True)
class FrrMap:
    """A route map. `ip` is the keyword of its family."""

    name: str
    ip: str
    entries: tuple[FrrEntry, ...]
    last: int
    """Sequence number of the final deny."""


@dataclass(slots=True)
class FrrPolicies:
    """Collects what the policies of one node need: lists named by their content, and route maps."""

    asn: int
    prefix_lists: list[tuple[str, FrrList]] = field(default_factory=list)
    as_paths: dict[str, FrrList] = field(default_factory=dict)
    communities: dict[str, FrrList] = field(default_factory=dict)
    large_communities: dict[str, FrrList] = field(default_factory=dict)
    own: str | None = None
    validating: set[str] = field(default_factory=set)
    """Names of policies with a term that asks the RPKI."""
    maps: list[FrrMap] = field(default_factory=list)
    discarding: set[str] = field(default_factory=set)
    """Names of policies with a term that discards."""

    def add_prefix_list(self, prefix_list: PrefixList) -> None:
        """Add a list; one without rules becomes a list that matches nothing (FRR's own empty list matches all)."""
        ip = _ip(prefix_list.family)
        entries = tuple(
            _prefix_entry(word, rule.prefix.with_prefixlen, rule.low, rule.high)
            for word, rules in (("deny", prefix_list.exceptions), ("permit", prefix_list.rules))
            for rule in rules
        )
        nothing = ("deny any",)
        listed = FrrList(identifier(prefix_list.name), entries or nothing, len(prefix_list.exceptions))
        self.prefix_lists.append((ip, listed))

    def add_as_list(self, as_list: AsList) -> None:
        """Add a list of AS ranges as expressions, one for each range."""
        entries = tuple(f"permit {as_range_expression(low, high)}" for low, high in as_list.ranges)
        self.as_paths[as_list.name] = FrrList(identifier(as_list.name), entries or ("deny .*",))

    def add_policy(self, policy: Policy) -> None:
        """Add a route map, and before it whatever it refers to."""
        if any(term.accept and term.discard for term in policy.terms):
            self.discarding.add(policy.name)
        if any(term.match.rpki_invalid for term in policy.terms):
            self.validating.add(policy.name)
        entries = tuple(self._entry(policy, 10 * (number + 1), term) for number, term in enumerate(policy.terms))
        self.maps.append(FrrMap(identifier(policy.name), _ip(policy.family), entries, 10 * len(entries) + 10))

    def _entry(self, policy: Policy, sequence: int, term: Term) -> FrrEntry:
        match = term.match
        actions = term.accept
        return FrrEntry(
            sequence=sequence,
            permit=term.accept,
            name=comment(term.name),
            comment=comment(term.comment),
            prefixes=match.prefixes,
            as_path=self._path_list(match),
            community=self._community_list(match.communities),
            large_community=self._large_list(match.large_communities),
            next_hops=self._elsewhere_list(match.next_hop_outside),
            rpki_invalid=match.rpki_invalid,
            local_preference=term.local_preference if actions else None,
            metric=term.metric if actions else None,
            strip=self._own_list() if actions and term.strip_own else None,
            communities=" ".join(map(community_text, term.add_communities)) if actions else "",
            large_communities=" ".join(f"{a}:{b}:{c}" for a, b, c in term.add_large_communities) if actions else "",
            prepend=" ".join([str(self.asn)] * term.prepend) if actions else "",
            next_hop=_next_hop(policy, term) if actions else (),
        )

    def _path_list(self, match: Match) -> str | None:
        """Return the name of the AS path list that says all conditions on the path: denied is what lacks one."""
        names, lacking = [], []
        if match.not_first_as is not None:
            names.append(f"not-first-{match.not_first_as}")
            lacking.append(f"deny {first_expression(match.not_first_as)}")
        if match.path_longer_than is not None:
            names.append(f"longer-than-{match.path_longer_than}")
            lacking.append(f"deny {at_most_expression(match.path_longer_than)}")
        if match.path_has_set:
            names.append("with-set")
            lacking.append(f"deny {NO_SET_EXPRESSION}")
        if not lacking:
            return match.as_path_has
        rest: tuple[str, ...] = ("permit .*",)
        if match.as_path_has is not None:
            names.append(match.as_path_has)
            rest = self.as_paths[match.as_path_has].entries
        name = "-and-".join(names)
        self.as_paths[name] = FrrList(name, (*lacking, *rest))
        return name

    def _elsewhere_list(self, network: IPNetwork | None) -> str | None:
        """Return the name of a list of all that lies outside a network: FRR has no negated match."""
        if network is None:
            return None
        name = f"outside-{str(network).replace('/', '-')}"
        length = f" le {network.max_prefixlen}" if network.prefixlen < network.max_prefixlen else ""
        # FRR tries a link-local next hop that stands beside the global one as well; it is not followed (`_next_hop`).
        beside = ("deny fe80::/10 le 128",) if network.version == 6 else ()
        found = (_ip(network.version), FrrList(name, (f"deny {network}{length}", *beside, "permit any")))
        if found not in self.prefix_lists:
            self.prefix_lists.append(found)
        return name

    def _community_list(self, communities: tuple[Community, ...]) -> str | None:
        if not communities:
            return None
        return _named(self.communities, [community_text(community) for community in communities])

    def _large_list(self, communities: tuple[LargeCommunity, ...]) -> str | None:
        if not communities:
            return None
        texts = [f"{a}:{b}:{c}" for a, b, c in communities]
        return _named(self.large_communities, texts)

    def _own_list(self) -> str:
        self.own = f"own-{self.asn}"
        return self.own


def _next_hop(policy: Policy, term: Term) -> tuple[str, ...]:
    """Return what is set of the next hop; on import FRR's `peer-address` is the neighbour, on export this router."""
    # FRR would follow a link-local next hop, which anybody may claim, rather than the global one; also instead of the
    # one that leads to nothing.
    only_global = ("next-hop prefer-global",) if policy.family == 6 and policy.direction is Direction.IMPORT else ()
    if term.discard:
        return (f"{'next-hop' if policy.family == 4 else 'next-hop global'} {DISCARD[policy.family]}", *only_global)
    peer = ("next-hop peer-address",) if term.next_hop_peer or term.next_hop_self else ()
    return (*peer, *only_global)


def _named(lists: dict[str, FrrList], texts: list[str]) -> str:
    """Name a list by what it holds, so that a change elsewhere never renames it."""
    name = "any-" + "-or-".join(text.replace(":", "_") for text in texts)
    lists[name] = FrrList(name, tuple(f"permit {text}" for text in texts))
    return name


def _ip(family: int) -> str:
    return "ip" if family == 4 else "ipv6"


def _prefix_entry(word: str, prefix: str, low: int, high: int) -> str:
    """Write a rule; FRR wants `ge` above the prefix's own length and leaves out what follows from it."""
    length = int(prefix.rpartition("/")[2])
    lower = f" ge {low}" if low > length else ""
    upper = f" le {high}" if high > length else ""
    return f"{word} {prefix}{lower}{upper}"
