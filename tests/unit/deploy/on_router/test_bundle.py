"""What comes in from outside: for this router, complete, of a size, or refused with one clear sentence."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from resilience.deploy.on_router.netresilience_router import program as program_module
from resilience.deploy.on_router.netresilience_router.bundle import check_bundle
from resilience.deploy.on_router.netresilience_router.probes import PROBES, probe
from resilience.deploy.on_router.netresilience_router.program import INPUT_LIMIT, make_parser, read_input
from resilience.deploy.on_router.netresilience_router.questions import Questions
from resilience.deploy.on_router.netresilience_router.refused import Refused
from tests.support.on_router import NEW, FakeMachine, Process, bundle


@pytest.mark.parametrize(
    ("other", "kind", "words"),
    [
        ({"router": "edge2"}, "wrong-router", "this is gw, not edge2"),
        ({"platform": "bird"}, "wrong-router", "this runs frr, not bird"),
        ({"change": "../../etc"}, "invalid", "this cannot be the id of a change, or its author"),
        ({"change": "c1\n"}, "invalid", "this cannot be the id of a change, or its author"),
        ({"who": "anna at the desk"}, "invalid", "this cannot be the id of a change, or its author"),
        ({"who": None}, "invalid", "the change has no `who`"),
        ({"network": 7}, "invalid", "the change has no `network`"),
        ({"files": None}, "invalid", "`files` is no mapping of names to texts"),
        ({"files": ["frr.conf"]}, "invalid", "`files` is no mapping of names to texts"),
        ({"files": {**NEW, "frr.conf": 1}}, "invalid", "`files` is no mapping of names to texts"),
        ({"files": {}}, "invalid", "frr.conf is missing"),
        ({"files": {**NEW, "../passwd": ""}}, "invalid", "../passwd is no file of a router with frr"),
        ({"files": {**NEW, "bird.conf": ""}}, "invalid", "bird.conf is no file of a router with frr"),
        ({"files": {**NEW, "x" * 500: ""}}, "invalid", f"{'x' * 64} is no file of a router with frr"),
        ({"files": {**NEW, "frr.conf": "a\0b"}}, "invalid", "frr.conf: a NUL byte"),
        ({"drained": {"frr.conf": "log file /x"}}, "invalid", "frr.conf:1: `log file` may not be deployed"),
        ({"drained": {"authorized_keys": ""}}, "invalid", "authorized_keys is no file of a router with frr"),
    ],
)
def test_what_is_not_for_this_router_is_refused(process: Process, other: dict[str, Any], kind: str, words: str) -> None:
    """Nothing is staged."""
    with pytest.raises(Refused) as raised:
        process.changes.stage({**bundle(), **other})

    assert (raised.value.kind, raised.value.message) == (kind, words)
    assert not list((process.store.folder / "staged").iterdir())


def test_a_change_without_files_is_refused(process: Process) -> None:
    """Not even an empty mapping is there."""
    empty = bundle()
    del empty["files"]

    with pytest.raises(Refused, match=r"frr\.conf is missing"):
        check_bundle(process.router, empty)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "stdin is no JSON: "),
        (b"\xff\xfe{", "stdin is no JSON"),
        (b"[1]", "stdin is no JSON object"),
        (b"[" * 100_000, "stdin is no JSON: "),
        (b'"' + b"x" * INPUT_LIMIT + b'"', "more than 16 MB"),
    ],
    ids=["empty", "no text", "list", "deep", "long"],
)
def test_input_that_is_no_object_of_a_size_is_refused(monkeypatch: pytest.MonkeyPatch, data: bytes, words: str) -> None:
    """Without reading more than that."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    with pytest.raises(Refused) as raised:
        read_input()

    assert raised.value.kind == "invalid"
    assert raised.value.message.startswith(words)


def test_every_verb_is_answered(process: Process) -> None:
    """What the grammar of the command line has, something does; `watch` is the guard's own."""
    actions = make_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert actions is not None
    for verb in set(actions) - {"watch", "survey", "diff", "stage", "probe"}:
        words = [verb] if verb in {"hello", "read", "check", "observe", "pending", "boot"} else [verb, "c1"]
        try:
            said = program_module.answer(process.settlement, make_parser().parse_args(words))
        except Refused as refused:
            said = {"kind": refused.kind}
        assert json.dumps(said)


def test_a_survey_is_an_answer_whatever_becomes_of_the_bundle(process: Process) -> None:
    """Who a router is says why it refuses, too."""
    questions, changes = Questions(process.settlement), process.changes

    agreed = program_module.survey(questions, changes, bundle())
    refused = program_module.survey(questions, changes, bundle(router="another"))

    assert agreed["change"] == changes.diff(bundle())
    assert agreed["hello"].keys() == refused["hello"].keys() == questions.hello().keys()
    assert refused.keys() == {"hello", "refused"}
    assert refused["refused"]["kind"] == "wrong-router"


@pytest.mark.parametrize("words", [["apply", "../x"], ["apply", "c1", "--deadline-s", "4"], ["confirm"], ["sh"], []])
def test_wrong_usage_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As a shell's commands have it."""
    with pytest.raises(SystemExit) as raised:
        make_parser().parse_args(words)

    assert raised.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("probes", [None, {}, [1], [{}] * (PROBES + 1)])
def test_too_many_probes_or_none_are_refused(machine: FakeMachine, probes: Any) -> None:
    """Each is a process here."""
    with pytest.raises(Refused, match=f"at most {PROBES} probes"):
        probe(machine, {"probes": probes})


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": "192.0.2.1", "target": "-f"},
        {"source": "-I", "target": "192.0.2.1"},
        {"source": "2001:db8::1", "target": "192.0.2.1"},
        {"source": "192.0.2.1", "target": 7},
        {"source": "192.0.2.1", "target": "192.0.2.2", "port": "x"},
        {},
    ],
)
def test_a_probe_that_is_no_pair_of_addresses_has_no_answer(machine: FakeMachine, wrong: dict[str, Any]) -> None:
    """And no program is run with it."""
    assert probe(machine, {"probes": [{"id": 1, **wrong}]}) == {"results": {"1": False}}
    assert machine.ran == []


def test_a_probe_is_a_ping_from_an_address(machine: FakeMachine) -> None:
    """Of one packet."""
    asked = {"id": "a", "source": "192.0.2.1", "target": "198.51.100.1"}

    assert probe(machine, {"probes": [asked]}) == {"results": {"a": True}}
    assert machine.ran == ["ping -n -c 1 -W 2 -I 192.0.2.1 198.51.100.1"]
