"""Explanations as text, Markdown and JSON: the same stories in each, and harmless whatever names they hold."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from resilience.analysis.explain import explain
from resilience.intent import read_intent
from resilience.model.document import write_json
from resilience.model.explanation import Explanation, Filtering, Rule, SessionExplanation, Statement
from resilience.model.network import Platform
from resilience.model.plan import Plan, SessionKind
from resilience.model.policy import Direction
from resilience.plan import make_plan
from resilience.report.markdown import write_explanation
from resilience.report.schemas import make_schema
from resilience.report.terminal import make_console, show_explanation
from tests.unit.report.conftest import HOSTILE

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/network.yaml"))


def shown(explanation: Explanation) -> str:
    """Return what a program that reads the command sees."""
    out = io.StringIO()
    show_explanation(explanation, make_console(out))
    return out.getvalue()


def make_session(
    family: int, *, rules: tuple[str, ...] = ("ours",), text: str = "same", when: str = "x"
) -> SessionExplanation:
    """Return a session of one family with one statement and some refusing rules."""
    refusals = tuple(
        Rule(number=number, name=name, accept=False, conditions=(when,), actions=(), why="RFC 7454")
        for number, name in enumerate(rules, 1)
    )
    nothing = Filtering(direction=Direction.EXPORT, policy="out", summary="nothing is announced", rules=())
    return SessionExplanation(
        session=f"a-ipv{family}",
        family=family,
        kind=SessionKind.TRANSIT,
        element="uplink a",
        node="gw",
        platform=Platform.FRR,
        neighbor="provider-alpha",
        about=(Statement(subject="hold time", text=text),),
        imports=Filtering(direction=Direction.IMPORT, policy="in", summary="nothing is taken", rules=refusals),
        exports=nothing,
        packets=(),
        limits=(),
        lists=(),
    )


def explanation_of(*sessions: SessionExplanation) -> Explanation:
    """Return an explanation of sessions."""
    return Explanation(network="two-ways", tool_version="0", input_sha256="ab" * 32, name="uplink a", sessions=sessions)


def test_what_both_families_share_is_told_once() -> None:
    """One story; only what differs bears its family's name."""
    text = shown(explanation_of(make_session(4, when="in 10.0.0.0/8"), make_session(6, when="in 2001:db8::/32")))

    assert text.startswith("a-ipv4 and a-ipv6: gw with provider-alpha\n")
    assert len(re.findall("hold time +same", text)) == 1
    assert "IPv4: in 10.0.0.0/8" in text
    assert "IPv6: in 2001:db8::/32" in text


def test_a_rule_that_only_one_family_has_bears_its_name() -> None:
    """The others stay together, each in its place."""
    four = make_session(4, rules=("bogons", "customers", "rest"))
    text = shown(explanation_of(four, make_session(6, rules=("bogons", "rest", "last"))))

    assert re.findall(r"(\d) refuse (\w+) +(\S+)", text) == [
        ("1", "bogons", "x"),
        ("2", "customers", "IPv4:"),
        ("3", "rest", "x"),
        ("4", "last", "IPv6:"),
    ]


def test_a_name_that_comes_twice_is_two_rules() -> None:
    """An uplink that takes a default route and some others accepts in two places."""
    rules = ("accept", "bogons", "accept")
    text = shown(explanation_of(make_session(4, rules=rules), make_session(6, rules=rules)))

    assert re.findall(r"\d refuse (\w+)", text) == list(rules)


def test_families_whose_rules_contradict_each_other_are_told_apart() -> None:
    """A story in one order would say something wrong of one of them."""
    four, six = make_session(4, rules=("bogons", "ours")), make_session(6, rules=("ours", "bogons"))
    text = shown(explanation_of(four, six))

    assert "a-ipv4: gw with provider-alpha\n" in text
    assert "a-ipv6: gw with provider-alpha\n" in text


def test_what_is_said_of_one_family_alone_bears_its_name() -> None:
    """A reader must not take it for both."""
    four, six = make_session(4), make_session(6)
    text = shown(explanation_of(four, replace(six, about=())))

    assert re.search("hold time +IPv4: same", text)


def test_hostile_words_reach_the_terminal_as_text() -> None:
    """No escape is obeyed and no markup is markup."""
    text = shown(explanation_of(make_session(4, rules=(HOSTILE,), text=HOSTILE, when=HOSTILE)))

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]x[/]" in text


def test_hostile_words_break_no_table_of_markdown() -> None:
    """Each row keeps its six cells, and nothing becomes HTML."""
    text = write_explanation(explanation_of(make_session(4, rules=(HOSTILE,), text=HOSTILE, when=HOSTILE)))
    rows = [line for line in text.splitlines() if line.startswith("| 1 ")]

    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [7]
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)<(?!br>)", text)


def test_a_terminal_shows_refusals_in_colour_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours only repeat what the words say, and NO_COLOR takes them away."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = Terminal(), Terminal()
    show_explanation(explanation_of(make_session(4)), make_console(coloured))
    monkeypatch.setenv("NO_COLOR", "1")
    show_explanation(explanation_of(make_session(4)), make_console(plain))

    assert "\x1b[1;31mrefuse" in coloured.getvalue()
    assert "\x1b[1;31m" not in plain.getvalue()
    assert "refuse" in plain.getvalue()


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_session_of_every_example_has_all_three_forms(name: str) -> None:
    """Sessions of one router at a time; each rule of each session appears in each form."""
    plan, _ = make_plan(read_intent(ROOT / "inventories" / name))
    schema = make_schema("resilience/explanation@1")
    assert isinstance(schema, dict)
    validator = jsonschema.Draft202012Validator(schema)
    for node in nodes_with_sessions(plan):
        told = explain(plan, f"router {node}" if plan.nodes[node].managed else node)
        validator.validate(json.loads(write_json(told)))
        lines = shown(told).splitlines()
        rows = write_explanation(told).splitlines()
        assert told.sessions
        assert len([line for line in lines if re.match(r" +\d+ (accept|refuse) ", line)]) == len(
            [row for row in rows if re.match(r"\| \d+ \| (accept|\*\*refuse\*\*) \|", row)]
        )
        assert all(any(session.session in line for line in lines) for session in told.sessions)


def nodes_with_sessions(plan: Plan) -> list[str]:
    """Return the nodes that speak BGP."""
    return [node for node in plan.nodes if plan.neighbors(node)]
