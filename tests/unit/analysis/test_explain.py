"""Explanations: every session can be told, every field has words, and the words agree with what is rendered.

`GOLDEN_UPDATE=1 pytest tests/unit/analysis/test_explain.py` writes them anew; read the diff before you commit.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, replace
from functools import cache
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path
from typing import Any

import pytest

from resilience.analysis.explain import explain, explain_session
from resilience.analysis.term_words import ACTIONS, CONDITIONS, TOLD_BY_THE_RULE, Speaker, explain_term
from resilience.errors import ExitCode, UnknownName, UsageError
from resilience.intent import read_intent
from resilience.model.explanation import SessionExplanation
from resilience.model.network import Bfd, Network, Platform, Raw, RawPlace, RpkiServer, SecretRef, Site
from resilience.model.plan import BgpRole, GracefulRestart, Plan, Session, SessionEnd, SourceFilter, index_neighbors
from resilience.model.policy import AsList, Match, PrefixList, PrefixRule, Term
from resilience.plan import make_plan
from resilience.render import render_configs
from resilience.render.firewall import firewall_space, view_firewall
from resilience.report.markdown import write_explanation
from resilience.report.terminal import make_console, show_explanation

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/explain"
EXAMPLES = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/network.yaml"))
UPDATE = bool(os.environ.get("GOLDEN_UPDATE"))


@cache
def example(name: str, *draining: str) -> Plan:
    """Return the plan of an example."""
    plan, _ = make_plan(read_intent(ROOT / "inventories" / name), draining=draining)
    return plan


def said(plan: Plan, name: str) -> str:
    """Return what a terminal shows, as wide as it comes."""
    out = io.StringIO()
    show_explanation(explain(plan, name), make_console(out))
    return out.getvalue()


def complaint(plan: Plan, name: str) -> UsageError:
    """Return the error that a name leads to."""
    with pytest.raises(UsageError) as caught:
        explain(plan, name)
    return caught.value


def compare(file: str, text: str) -> None:
    """Hold a text against its golden file."""
    path = GOLDEN / file
    if UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


CASES = {
    "provider": "dakar",
    "provider-default-route": "vsat-ipv4",
    "peer": "peer mlix-university",
    "customer": "customer bank",
    "route-server": "route-server mlix-rs1",
    "ibgp": "ibgp-bko1-bko2-ipv4",
}


@pytest.mark.parametrize("case", CASES)
def test_words_are_as_reviewed(case: str) -> None:
    """One session of each kind, as a terminal shows it."""
    compare(f"{case}.txt", said(example("bamako-isp"), CASES[case]))


def test_markdown_is_as_reviewed() -> None:
    """A customer's session, for a ticket."""
    compare("customer.md", write_explanation(explain(example("bamako-isp"), "customer bank")))


def test_a_draining_session_says_so() -> None:
    """The lowest preference, the community and the prepends appear because the plan has them."""
    compare("provider-draining.txt", said(example("bamako-isp", "uplink dakar"), "dakar-ipv4"))


ERRORS = {
    "misspelt": "dakra",
    "nobody": "zanzibar",
    "without-session": "clinic",
    "empty": "",
    "hostile": "\x1b[31m[bold]|",
}


@pytest.mark.parametrize("case", ERRORS)
def test_error_messages_are_as_reviewed(case: str) -> None:
    """One message, with the nearest names where there are some."""
    error = complaint(example("bamako-isp"), ERRORS[case])

    assert error.exit_code is ExitCode.USAGE
    compare(f"errors/{case}.txt", f"{error.message}\n{error.hint}\n")


def test_an_ambiguous_name_lists_what_it_may_mean() -> None:
    """A site and an uplink may bear one name; a site without sessions is no candidate."""
    network = read_intent(ROOT / "inventories/bamako-isp")
    routers = {name: replace(router, site="dakar") for name, router in network.routers.items()}
    services = {name: replace(service, sites=("dakar",)) for name, service in network.services.items()}
    changed: Network = replace(
        network, routers=routers, sites={"dakar": Site(name="dakar")}, services=services, objectives=()
    )
    error = complaint(make_plan(changed)[0], "dakar")

    compare("errors/ambiguous.txt", f"{error.message}\n{error.hint}\n")


def test_a_name_that_nobody_bears_is_an_unknown_name() -> None:
    """Programs can tell it from other mistakes of the command line."""
    assert isinstance(complaint(example("bamako-isp"), "dakra"), UnknownName)


@pytest.mark.parametrize(
    ("name", "sessions"),
    [
        ("dakar", {"dakar-ipv4", "dakar-ipv6"}),
        ("provider senegal-carrier", {"dakar-ipv4", "dakar-ipv6"}),
        ("gateway-west", {"dakar-ipv4", "dakar-ipv6"}),
        ("bank-bko1", {"bank-bko1-ipv4"}),
        ("port mlix-bko1", {f"mlix-{end}-bko1-ipv{family}" for end in ("rs1", "university") for family in (4, 6)}),
        ("ibgp-bko1-bko2", {"ibgp-bko1-bko2-ipv4", "ibgp-bko1-bko2-ipv6"}),
        ("customer-bank", {"bank-bko1-ipv4", "bank-bko2-ipv4"}),
    ],
)
def test_a_name_stands_for_its_sessions(name: str, sessions: set[str]) -> None:
    """A session, both its families, an element with what falls with it, a node of the outside."""
    assert {told.session for told in explain(example("bamako-isp"), name).sessions} == sessions


def test_a_name_that_means_the_same_sessions_either_way_is_not_ambiguous() -> None:
    """A router without a stated site is a site of its own; both have the same sessions."""
    assert explain(example("dual-homed"), "gw").name == "router gw"


def test_a_reflector_passes_on_what_its_clients_taught_it() -> None:
    """To a client everything, to the other reflector what its clients said; a client passes on nothing (RFC 4456)."""
    plan = example("national-isp")
    said_by = {
        (one.node, one.neighbor): one.exports.summary
        for name in ("ibgp-cap1-cap2-ipv4", "ibgp-cap1-cap4-ipv4")
        for one in explain(plan, name).sessions
    }

    assert "reflected ones too" in said_by["cap1", "cap2"]
    assert "of its own clients" in said_by["cap1", "cap4"]
    assert "what iBGP taught us is not" in said_by["cap2", "cap1"]


def test_a_router_tells_its_own_end_only() -> None:
    """The other end of its iBGP sessions is another router's to tell."""
    assert {told.node for told in explain(example("bamako-isp"), "bko1").sessions} == {"bko1"}


def test_both_ends_of_an_ibgp_session_are_told() -> None:
    """Both are ours, and their platforms differ."""
    told = explain(example("bamako-isp"), "ibgp-bko1-bko2-ipv4").sessions

    assert [(one.node, one.platform) for one in told] == [("bko1", Platform.FRR), ("bko2", Platform.BIRD)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_session_of_every_example_can_be_told(name: str) -> None:
    """Strangers' sessions too; each policy is told to its last term."""
    plan = example(name)
    for session in plan.sessions:
        told = explain(plan, session.name).sessions
        assert {one.session for one in told} == {session.name}
        for one in told:
            assert counted(one) == terms_in(plan, session, one.node)


def counted(told: SessionExplanation) -> int:
    """Return how many rules an explanation has."""
    return len(told.imports.rules) + len(told.exports.rules)


def terms_in(plan: Plan, session: Session, node: str) -> int:
    """Return how many terms the plan has for a node's end of a session."""
    (end,) = (end for end in session.ends if end.node == node)
    policies = [policy for policy in plan.nodes[node].policies if policy.name in {end.import_policy, end.export_policy}]
    return sum(len(policy.terms) for policy in policies)


SPEAKER_LISTS = (
    PrefixList("short_4", 4, (PrefixRule(ip_network("192.0.2.0/24"), 24, 24),)),
    PrefixList("empty_4", 4, ()),
    PrefixList("long_4", 4, tuple(PrefixRule(ip_network(f"10.{i}.0.0/16"), 16, 32) for i in range(9))),
)


def speaker() -> Speaker:
    """Return the first router of an example, with lists and a validator."""
    plan = example("bamako-isp")
    node = replace(
        plan.nodes["bko1"],
        prefix_lists=SPEAKER_LISTS,
        as_lists=(AsList("ases", ((64496, 64511),)),),
        rpki=(RpkiServer(name="validator", address=IPv4Address("192.0.2.53")),),
    )
    return Speaker(plan.network, node)


SAMPLES: Mapping[type, Mapping[str, object]] = {
    Match: {
        "prefixes": "short_4",
        "as_path_has": "ases",
        "communities": ((65535, 0),),
        "large_communities": ((64500, 1, 4),),
        "not_first_as": 64496,
        "path_longer_than": 50,
        "path_has_set": True,
        "next_hop_outside": IPv4Network("203.0.113.0/24"),
        "rpki_invalid": True,
    },
    Term: {
        "local_preference": 200,
        "strip_own": True,
        "add_communities": ((65535, 666),),
        "add_large_communities": ((64500, 2, 1),),
        "prepend": 3,
        "metric": 5,
        "next_hop_self": True,
        "next_hop_peer": True,
        "discard": True,
    },
    SessionEnd: {
        "asn": 65551,
        "address": IPv4Address("192.0.2.77"),
        "interface": None,
        "role": BgpRole.RS_CLIENT,
        "import_policy": None,
        "export_policy": None,
        "hold_ms": 9_000,
        "connect_retry_ms": 30_000,
        "bfd": Bfd(interval_ms=50),
        "ttl_security": True,
        "password": SecretRef("env:DAKAR"),
        "maximum_prefixes": 7,
        "default_originate": True,
        "next_hop_self": True,
        "route_reflector_client": True,
        "add_path": True,
        "route_server": True,
        "graceful_restart": GracefulRestart.RESTARTS,
        "draining": True,
        "raw": (Raw(place=RawPlace.FRR, lines=("weight 5",)),),
    },
}
"""A value of each field that is not what it is by default. A new field has none, and the test says so."""

MATCH_FIELDS = [field.name for field in fields(Match)]
ACTION_FIELDS = [field.name for field in fields(Term) if field.name not in TOLD_BY_THE_RULE]
END_FIELDS = [field.name for field in fields(SessionEnd) if field.name != "node"]


@pytest.mark.parametrize("name", MATCH_FIELDS)
def test_every_condition_has_words(name: str) -> None:
    """A field added to `Match` fails here until `CONDITIONS` and the samples know it."""
    told = explain_term(speaker(), 1, Term(name="x", accept=False, match=made(Match, name)))

    assert len(told.conditions) == 1


@pytest.mark.parametrize("name", ACTION_FIELDS)
def test_every_action_has_words(name: str) -> None:
    """A field added to `Term` fails here until `ACTIONS` and the samples know it."""
    term: Term = replace(Term(name="x", accept=True), **{name: sample(Term, name)})

    assert len(explain_term(speaker(), 1, term).actions) == 1


@pytest.mark.parametrize("name", END_FIELDS)
def test_every_field_of_an_end_changes_what_is_said(name: str) -> None:
    """A field added to `SessionEnd` fails here until some sentence depends on it."""
    plan = example("bamako-isp")
    session = next(session for session in plan.sessions if session.name == "dakar-ipv4")
    near, far = (replace(end, **{name: sample(SessionEnd, name)}) for end in session.ends)
    at_one_end = replace(session, ends=(near, session.ends[1]))
    at_both = replace(session, ends=(near, far))
    before = explain_session(plan, session)

    assert getattr(session.ends[0], name) != sample(SessionEnd, name)
    assert explain_session(plan, at_one_end) != before or explain_session(plan, at_both) != before


def sample(kind: type, name: str) -> Any:
    """Return a value of a field; one without fails with what to do."""
    assert name in SAMPLES[kind], f"{kind.__name__}.{name} is new: explain it in words, then add a sample here"
    return SAMPLES[kind][name]


def made(kind: type[Match], name: str) -> Match:
    """Return a condition with one field given."""
    return kind(**{name: sample(kind, name)})


def test_there_are_words_for_nothing_else() -> None:
    """A field that went away takes its words along."""
    assert CONDITIONS.keys() == set(MATCH_FIELDS)
    assert ACTIONS.keys() == set(ACTION_FIELDS)
    assert all(has_default(field) for field in fields(Match)), "a condition without a default is always given"


def has_default(field: Field[Any]) -> bool:
    """Say whether a field may be left out."""
    return field.default is not MISSING


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("short_4", "the prefix is 192.0.2.0/24"),
        ("long_4", "the prefix is one of the 9 of list long_4 or inside it"),
        ("empty_4", "the prefix is in list empty_4 (which is empty)"),
    ],
)
def test_short_lists_are_written_out_and_long_ones_counted(name: str, words: str) -> None:
    """Nobody wants to read a thousand prefixes in a sentence."""
    told = explain_term(speaker(), 1, Term(name="x", accept=False, match=Match(prefixes=name)))

    assert told.conditions == (words,)


def test_a_refused_route_is_not_said_to_be_changed() -> None:
    """Actions only mean something where a route is accepted."""
    assert explain_term(speaker(), 1, Term(name="x", accept=False, local_preference=5)).actions == ()


def test_the_secret_itself_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference is, so that people know where to look."""
    monkeypatch.setenv("DAKAR_MD5", "correct horse")
    plan = example("bamako-isp")
    sessions = tuple(
        replace(session, ends=(replace(session.ends[0], password=SecretRef("env:DAKAR_MD5")), session.ends[1]))
        if session.name == "dakar-ipv4"
        else session
        for session in plan.sessions
    )
    text = said(replace(plan, sessions=sessions, _neighbors=index_neighbors(sessions)), "dakar-ipv4")

    assert "env:DAKAR_MD5" in text
    assert "correct horse" not in text


def test_raw_lines_are_told_with_what_they_may_undo_but_without_secrets() -> None:
    """Whoever reads what is protected learns here that somebody wrote beside it."""
    plan = example("bamako-isp")
    raw = Raw(place=RawPlace.FRR, lines=("weight 5", "password correct-horse"))
    session = next(session for session in plan.sessions if session.name == "dakar-ipv4")
    changed = replace(session, ends=(replace(session.ends[0], raw=(raw,)), session.ends[1]))
    (told,) = explain_session(plan, changed)

    assert [statement.subject for statement in told.raw] == ["frr"]
    assert "weight 5" in told.raw[0].text
    assert "the ranks of uplinks" in told.raw[0].text
    assert "correct-horse" not in told.raw[0].text


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_said_of_sources_is_what_the_packet_filter_does(name: str) -> None:
    """The words are made from the plan, the file by the renderer: they must not part."""
    plan = example(name)
    space = firewall_space(plan)
    for session in plan.sessions:
        for told in explain_session(plan, session):
            interface = next(end.interface for end in session.ends if end.node == told.node)
            if plan.nodes[told.node].managed and interface is not None:
                view = view_firewall(plan, plan.nodes[told.node], space)
                (rendered,) = (source for source in view.sources if source.interface == interface)
                (words,) = (statement.text for statement in told.packets if statement.subject == "sources")
                assert kind_said(words) == kind_rendered(rendered.strict, rendered.loose), words
                assert ("claim to come from our own prefixes" in words) is rendered.outward


def kind_said(words: str) -> SourceFilter:
    """Return the kind of filter that words speak of."""
    if "only packets from" in words:
        return SourceFilter.STRICT
    return SourceFilter.LOOSE if "whose source has a route" in words else SourceFilter.NONE


def kind_rendered(strict: bool, loose: bool) -> SourceFilter:
    """Return the kind of filter that a view has."""
    if strict:
        return SourceFilter.STRICT
    return SourceFilter.LOOSE if loose else SourceFilter.NONE


@pytest.mark.parametrize(
    ("node", "name", "rendered", "words"),
    [
        ("bko1", "dakar-ipv4", ("maximum-prefix 1500000 restart 15\n",), "closed and tried again after 15 min"),
        (
            "bko2",
            "abidjan-ipv4",
            ("receive limit 1500000 action disable;", "import keep filtered;"),
            "stays so until an operator enables it",
        ),
    ],
)
def test_what_follows_too_many_prefixes_is_what_is_rendered(
    node: str, name: str, rendered: tuple[str, ...], words: str
) -> None:
    """The wait stands in the templates, not in the plan: a template that changes has to change the words."""
    plan = example("bamako-isp")
    text = "".join(file.text for file in render_configs(plan, nodes=[node])[node])

    assert all(line in text for line in rendered)
    assert words in said(plan, name)


def test_each_platform_says_what_it_cannot_do() -> None:
    """No platform can do everything; one that is added has to be looked at."""
    plan = example("bamako-isp")
    told = [one for session in plan.sessions for one in explain_session(plan, session)]

    assert {one.platform for one in told if one.limits} == set(Platform)
