"""One policy, two dialects: every condition and every action."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.model.policy import AsList, Direction, Match, Policy, PrefixList, PrefixRule, Term
from resilience.render.bird_policy import bird_policy, bird_sets
from resilience.render.frr_policy import FrrList, FrrPolicies

ASN = 64500
PREFIXES = PrefixList("some", 4, (PrefixRule(ip_network("192.0.2.0/24"), 24, 24),))
ASES = AsList("some", ((64512, 65534),))


def policy(*terms: Term, family: int = 4) -> Policy:
    """Return a policy of these terms."""
    return Policy(name="p", family=family, direction=Direction.IMPORT, terms=terms)


def frr(term: Term, family: int = 4) -> FrrPolicies:
    """Return what FRR needs for one term."""
    policies = FrrPolicies(ASN)
    policies.add_prefix_list(PREFIXES)
    policies.add_as_list(ASES)
    policies.add_policy(policy(term, family=family))
    return policies


def bird(term: Term, family: int = 4) -> tuple[str, tuple[str, ...]]:
    """Return BIRD's condition and actions for one term."""
    known = frozenset(constant.name for constant in bird_sets((PREFIXES,), (ASES,)))
    found = bird_policy(policy(term, family=family), ASN, known).terms[0]
    return found.condition, found.actions


@pytest.mark.parametrize(
    ("low", "high", "frr_text", "bird_text"),
    [
        (24, 24, "permit 192.0.2.0/24", "192.0.2.0/24"),
        (24, 32, "permit 192.0.2.0/24 le 32", "192.0.2.0/24{24,32}"),
        (25, 32, "permit 192.0.2.0/24 ge 25 le 32", "192.0.2.0/24{25,32}"),
        (26, 26, "permit 192.0.2.0/24 ge 26 le 26", "192.0.2.0/24{26,26}"),
    ],
)
def test_prefix_rules(low: int, high: int, frr_text: str, bird_text: str) -> None:
    """Lengths from low to high, both included."""
    found = PrefixList("some", 4, (PrefixRule(ip_network("192.0.2.0/24"), low, high),))
    policies = FrrPolicies(ASN)
    policies.add_prefix_list(found)
    assert policies.prefix_lists[0][1].entries == (frr_text,)
    assert bird_sets((found,), ())[0].members == bird_text


def test_an_empty_prefix_list_matches_nothing() -> None:
    """FRR's own empty list matches everything, which would turn `only these prefixes` into `all of them`."""
    empty = PrefixList("none", 4, ())
    policies = FrrPolicies(ASN)
    policies.add_prefix_list(empty)
    assert policies.prefix_lists[0][1].entries == ("deny any",)
    assert bird_sets((empty,), ()) == ()
    term = Term(name="t", match=Match(prefixes="none"), accept=True)
    assert bird_policy(policy(term), ASN, frozenset()).terms[0].condition == "false"


def test_conditions_are_joined_by_and() -> None:
    """All that are given must hold."""
    term = Term(
        name="t",
        match=Match(prefixes="some", communities=((65535, 0),), large_communities=((1, 2, 3), (4, 5, 6))),
        accept=True,
    )
    condition, _ = bird(term)
    assert condition == (
        "net ~ b_prefixes_some && (65535, 0) ~ bgp_community"
        " && ((1, 2, 3) ~ bgp_large_community || (4, 5, 6) ~ bgp_large_community)"
    )
    entry = frr(term).maps[-1].entries[0]
    assert (entry.prefixes, entry.community, entry.large_community) == (
        "some",
        "any-graceful-shutdown",
        "any-1_2_3-or-4_5_6",
    )


def test_several_conditions_on_the_path_must_all_hold_on_frr() -> None:
    """FRR keeps one `match as-path` an entry, and what a called map denies is lost: one list says all conditions."""
    match = Match(as_path_has="some", not_first_as=64496, path_longer_than=5)
    policies = frr(Term(name="t", match=match, accept=False))
    (only,) = policies.maps
    assert only.entries[0].as_path == "not-first-64496-and-longer-than-5-and-some"
    assert policies.as_paths[only.entries[0].as_path].entries == (
        "deny ^64496_",
        "deny ^([^ ]+( |$)){0,5}$",
        *policies.as_paths["some"].entries,
    )
    assert bird(Term(name="t", match=match, accept=False))[0] == (
        "bgp_path ~ b_ases_some && bgp_path.first != 64496 && bgp_path.len > 5"
    )


@pytest.mark.parametrize(
    ("network", "denied"),
    [
        ("203.0.113.0/24", ("deny 203.0.113.0/24 le 32",)),
        ("2001:db8::7/128", ("deny 2001:db8::7/128", "deny fe80::/10 le 128")),
    ],
)
def test_a_next_hop_outside_a_network(network: str, denied: tuple[str, ...]) -> None:
    """FRR has no negated match, so its list permits all that lies elsewhere; it is written once.

    A link-local next hop beside the global one says nothing: FRR tries both, and it is not followed.
    """
    term = Term(name="t", match=Match(next_hop_outside=ip_network(network)), accept=False)
    family = ip_network(network).version
    policies = frr(term, family)
    policies.add_policy(policy(term, family=family))
    name = f"outside-{network.replace('/', '-')}"
    assert policies.maps[-1].entries[0].next_hops == name
    assert [found.entries for _, found in policies.prefix_lists if found.name == name] == [(*denied, "permit any")]
    assert bird(term, family)[0] == f"bgp_next_hop !~ {network}"


@pytest.mark.parametrize(
    ("family", "commands"),
    [(4, ("next-hop peer-address",)), (6, ("next-hop peer-address", "next-hop prefer-global"))],
)
def test_packets_go_to_the_neighbour_itself(family: int, commands: tuple[str, ...]) -> None:
    """On FRR a link-local next hop, which it would rather follow, is set aside too."""
    term = Term(name="t", accept=True, next_hop_peer=True)
    assert frr(term, family).maps[-1].entries[0].next_hop == commands
    assert bird(term, family)[1] == ("bgp_next_hop = from", "gw = from")


def test_actions() -> None:
    """Stripping comes before adding, or it would take away what was just added."""
    term = Term(
        name="t",
        accept=True,
        local_preference=190,
        strip_own=True,
        add_communities=((65535, 0),),
        add_large_communities=((ASN, 1, 4),),
        prepend=2,
        metric=5,
        next_hop_self=True,
    )
    entry = frr(term).maps[-1].entries[0]
    assert entry.strip == f"own-{ASN}"
    assert (entry.communities, entry.large_communities) == ("graceful-shutdown", f"{ASN}:1:4")
    assert (entry.prepend, entry.metric, entry.local_preference) == (f"{ASN} {ASN}", 5, 190)
    assert entry.next_hop == ("next-hop peer-address",)
    assert bird(term)[1] == (
        f"bgp_large_community.delete([({ASN}, *, *)])",
        f"bgp_large_community.add(({ASN}, 1, 4))",
        "bgp_community.add((65535, 0))",
        "bgp_local_pref = 190",
        "bgp_med = 5",
        f"bgp_path.prepend({ASN})",
        f"bgp_path.prepend({ASN})",
        "bgp_next_hop = b_here",
    )


@pytest.mark.parametrize(
    ("family", "next_hop"),
    [(4, ("next-hop 192.0.0.8",)), (6, ("next-hop global 100::1", "next-hop prefer-global"))],
)
def test_discarded_traffic_goes_nowhere(family: int, next_hop: tuple[str, ...]) -> None:
    """FRR needs a next hop that a discard route answers for, and follows it only if told so; BIRD says it itself."""
    term = Term(name="t", accept=True, discard=True)
    policies = frr(term, family)
    assert policies.maps[-1].entries[0].next_hop == next_hop
    assert policies.discarding == {"p"}
    assert bird(term, family)[1] == ("dest = RTD_BLACKHOLE",)


def test_a_rejecting_term_has_no_actions() -> None:
    """Nothing is done to what is thrown away."""
    term = Term(name="t", accept=False, local_preference=5, prepend=2, strip_own=True)
    assert bird(term)[1] == ()
    entry = frr(term).maps[-1].entries[0]
    assert (entry.local_preference, entry.prepend, entry.strip) == (None, "", None)


def test_rpki_reads_the_table_of_its_family() -> None:
    """IPv4 and IPv6 are validated apart."""
    term = Term(name="t", match=Match(rpki_invalid=True), accept=False)
    assert bird(term, 6)[0] == "roa_check(b_roa6, net, bgp_path.last) = ROA_INVALID"
    assert frr(term).maps[-1].entries[0].rpki_invalid


def test_a_policy_without_terms_denies() -> None:
    """FRR has a last entry that denies, and thus a route map of that name."""
    policies = FrrPolicies(ASN)
    policies.add_policy(policy())
    assert policies.maps[0].entries == ()
    assert policies.maps[0].last == 10


def test_lists_are_named_by_what_they_hold() -> None:
    """A change of one term never renames another's list, so that only what changed is reloaded."""
    first = frr(Term(name="a", match=Match(communities=((1, 2),)), accept=True))
    second = frr(Term(name="b", match=Match(communities=((1, 2),)), accept=False))
    assert list(first.communities) == list(second.communities) == ["any-1_2"]


# --- sequence numbers ------------------------------------------------------------------------------------------------


def test_one_exception_more_moves_no_rule() -> None:
    """What an engineer reads before a deployment is the one line, not a list with other numbers."""
    rules = ("permit 10.0.0.0/8 le 32", "permit 192.168.0.0/16 le 32")
    one, two = ("deny 192.0.2.0/24 le 32",), ("deny 192.0.2.0/24 le 32", "deny 198.51.100.0/24 le 32")

    assert list(FrrList("bogons_4", (*one, *rules), 1).numbered) == [
        (5, one[0]),
        (10_005, rules[0]),
        (10_010, rules[1]),
    ]
    assert list(FrrList("bogons_4", (*two, *rules), 2).numbered)[2:] == [(10_005, rules[0]), (10_010, rules[1])]
    assert list(FrrList("ours_4", rules).numbered) == [(5, rules[0]), (10, rules[1])]


@given(exceptions=st.integers(0, 6_000), rules=st.integers(0, 3))
def test_sequence_numbers_keep_the_order(exceptions: int, rules: int) -> None:
    """However many exceptions there are, and the first rule has its place after the last of them."""
    entries = tuple(str(number) for number in range(exceptions + rules))
    numbered = list(FrrList("any", entries, exceptions).numbered)
    assert [entry for _, entry in numbered] == list(entries)
    assert [number for number, _ in numbered] == sorted({number for number, _ in numbered})
