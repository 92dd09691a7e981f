"""The program's answers as our types, over a scripted transport: a router's words are a stranger's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.deploy.client import PROGRAM_PATH, RouterClient, check_change, make_printable
from resilience.deploy.driver import Bundle, Phase
from resilience.deploy.linux_driver import BirdDriver, FrrDriver, make_driver
from resilience.deploy.router import Probe
from resilience.deploy.transport import Answer
from resilience.errors import RouterError, RouterTrouble

HELLO = {"program": 1, "router": "r1", "platform": "frr", "daemon_version": "8.4.4", "confirmed": "c-1"}
BUNDLE = Bundle(
    change="c-2", router="r1", network="n", who="a@b", platform="frr", files={"frr.conf": "password hidden\n"}
)


@dataclass
class Scripted:
    """A transport that answers what it was told, and keeps what it was asked."""

    answers: list[Answer]
    root: bool = False
    asked: list[tuple[tuple[str, ...], bytes, float]] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Answer:
        """Answer."""
        self.asked.append((tuple(argv), stdin, timeout_s))
        return self.answers.pop(0)

    def hang_up(self) -> None:
        """Do nothing."""


def says(value: object, *, code: int = 0, stderr: str = "") -> Answer:
    """Return an answer of JSON, or of text as it stands."""
    text = value if isinstance(value, str) else json.dumps(value)
    return Answer(code=code, stdout=text.encode(), stderr=stderr)


def frr(*answers: Answer, root: bool = False) -> tuple[FrrDriver, Scripted]:
    """Return the driver of a router `r1` that gives these answers."""
    transport = Scripted(list(answers), root=root)
    return FrrDriver("r1", transport), transport


def trouble(*answers: Answer, root: bool = False) -> RouterError:
    """Return the error that the answers to `hello` amount to."""
    driver, _ = frr(*answers, root=root)
    with pytest.raises(RouterError) as raised:
        driver.hello()
    return raised.value


def test_an_account_asks_through_sudo_and_root_does_not() -> None:
    """One command, of which the account may run no other."""
    driver, transport = frr(says(HELLO))
    driver.hello()
    assert transport.asked[0][0] == ("sudo", "-n", PROGRAM_PATH, "hello")

    driver, transport = frr(says(HELLO), root=True)
    driver.hello()
    assert transport.asked[0][0] == (PROGRAM_PATH, "hello")


def test_a_bundle_travels_on_stdin_only() -> None:
    """Arguments are visible to every account of a router."""
    driver, transport = frr(says({"router": "r1", "files": [{"file": "frr.conf", "diff": "+x"}]}))

    change = driver.stage(BUNDLE)

    argv, stdin, _ = transport.asked[0]
    assert argv == ("sudo", "-n", PROGRAM_PATH, "stage")
    assert json.loads(stdin)["files"] == {"frr.conf": "password hidden\n"}
    assert json.loads(stdin)["take_over"] is False
    assert change.files[0].diff == "+x"
    assert not change.empty


def test_every_verb_is_called_as_the_program_names_it() -> None:
    """And each answer becomes our type."""
    applied = {"change": "c-2", "phase": "applied", "remaining_s": 30}
    pending = {"change": "c-2", "phase": "applied", "who": "a@b", "since": "2026-01-01T00:00:00Z", "remaining_s": 9.5}
    observed = {
        "sessions": [{"neighbor": "192.0.2.1", "family": 4, "up": True, "received": 5, "sent": 1, "uptime_s": 9}],
        "bfd": [{"neighbor": "192.0.2.1", "up": False}],
        "ospf": {"neighbors": 2},
        "routes": {"4": 12, "6": 3},
    }
    driver, transport = frr(
        says(applied),
        says({**applied, "phase": "confirmed"}),
        says({**applied, "phase": "restored", "reason": "asked to"}),
        says({"drained": True}),
        says({"drained": False}),
        says({"pending": pending}),
        says({"pending": None}),
        says({"same": False, "differences": [{"file": "frr.conf", "side": "running", "diff": "-x"}], "files": {}}),
        says(observed),
        says({"results": {"a": True, "stranger": True}}),
    )

    assert driver.apply("c-2", deadline_s=30, drained=True).phase is Phase.APPLIED
    assert driver.confirm("c-2").phase is Phase.CONFIRMED
    assert driver.roll_back("c-2").reason == "asked to"
    assert driver.drain("c-2", deadline_s=40) is True
    assert driver.undrain("c-2") is False
    waiting = driver.pending()
    assert waiting is not None
    assert waiting.remaining_s == 9.5
    assert driver.pending() is None
    assert driver.check().differences[0].file == "frr.conf"
    seen = driver.observe()
    assert seen.sessions[0].received == 5
    assert seen.ospf_neighbors == 2
    assert seen.routes == {4: 12, 6: 3}
    probes = [Probe(id="a", source="192.0.2.1", target="192.0.2.2", port=80), Probe(id="b", source="::1", target="::2")]
    assert driver.probe(probes) == {"a": True, "b": False}
    assert [" ".join(argv[3:]) for argv, _, _ in transport.asked] == [
        "apply c-2 --deadline-s 30 --drained",
        "confirm c-2",
        "rollback c-2",
        "drain c-2 --deadline-s 40",
        "undrain c-2",
        "pending",
        "pending",
        "check",
        "observe",
        "probe",
    ]


def test_apply_waits_no_longer_than_the_router_does() -> None:
    """A session that is cut by its own change is given up soon after the deadline."""
    driver, transport = frr(says({"change": "c-2", "phase": "applied"}))

    driver.apply("c-2", deadline_s=30)

    assert 30 < transport.asked[0][2] <= 40


def test_nobody_is_asked_for_no_probe_and_no_router_for_too_many() -> None:
    """The program takes 64."""
    driver, transport = frr()

    assert driver.probe([]) == {}
    with pytest.raises(RouterError, match="64 probes"):
        driver.probe([Probe(id=str(number), source="::1", target="::2") for number in range(65)])
    assert transport.asked == []


@pytest.mark.parametrize("change", ["", "A", "a b", "-a", "a;b", "a" * 65, "../a", "a\n", "ä"])
def test_what_becomes_an_argument_is_checked_first(change: str) -> None:
    """The id of a change may come from a record that somebody else wrote."""
    driver, transport = frr()

    with pytest.raises(RouterError):
        driver.apply(change, deadline_s=30)
    assert transport.asked == []


def test_ids_of_changes_pass() -> None:
    """What the engine makes."""
    for change in ("a", "c-42", "20260101-120000-ab12", "20260101-120000-ab12-undo"):
        assert check_change(change) == change


def test_another_router_behind_the_address_is_wrong() -> None:
    """Whatever the address says, the name decides."""
    error = trouble(says({**HELLO, "router": "r9"}))

    assert error.kind is RouterTrouble.WRONG_ROUTER
    assert "'r9'" in error.message


def test_another_platform_is_the_wrong_router() -> None:
    """BIRD's files are nothing for FRR."""
    driver = BirdDriver("r1", Scripted([says(HELLO)]))

    with pytest.raises(RouterError) as raised:
        driver.hello()

    assert raised.value.kind is RouterTrouble.WRONG_ROUTER
    assert "bird" in raised.value.message


@pytest.mark.parametrize("kind", list(RouterTrouble))
def test_the_programs_own_refusals_keep_their_kind(kind: RouterTrouble) -> None:
    """With its words and its hint."""
    error = trouble(says({"error": {"kind": kind.value, "message": "because", "hint": "do this"}}, code=1))

    assert (error.kind, error.message, error.hint) == (kind, "because", "do this")


@pytest.mark.parametrize("said", [{"kind": "new-kind", "message": "m"}, {}, 7, None, "text", {"kind": [1]}])
def test_refusals_that_are_not_understood_are_failures(said: object) -> None:
    """A program of another version is still told from one that is not there."""
    assert trouble(says({"error": said}, code=1)).kind is RouterTrouble.FAILED


def test_a_program_that_is_not_there_is_told_from_sudos_refusal() -> None:
    """Sudo's words depend on the router's language: the program itself is asked, without sudo."""
    refused = says("", code=1, stderr="sudo: il est nécessaire de saisir un mot de passe\n")

    missing = trouble(refused, says("", code=127, stderr="sh: 1: /usr/sbin/netresilience-router: not found"))
    forbidden = trouble(refused, says({"error": {"kind": "sudo"}}, code=1))

    assert missing.kind is RouterTrouble.NO_PROGRAM
    assert forbidden.kind is RouterTrouble.SUDO
    assert "mot de passe" in forbidden.message
    assert f"NOPASSWD: {PROGRAM_PATH}" in forbidden.hint


def test_a_shell_that_is_none_is_told_from_sudos_refusal() -> None:
    """Sudo is not to blame where nothing is run at all."""
    nothing = says("This account is currently not available.\n", code=1)

    error = trouble(nothing, nothing)

    assert error.kind is RouterTrouble.FAILED
    assert "This account is currently not available." in error.message


def test_root_without_the_program_is_told() -> None:
    """The shell says 127."""
    assert trouble(says("", code=127, stderr="not found"), root=True).kind is RouterTrouble.NO_PROGRAM


def test_a_program_that_does_not_know_a_verb_is_old() -> None:
    """It says that its usage is wrong."""
    assert trouble(says("", code=2, stderr="usage: ...")).kind is RouterTrouble.OLD


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Welcome!\n{}",
        "[]",
        "7",
        "{" * 100_000,
        '{"program": NaN}',
        '{"program": 1',
        '{"program": "one", "router": "r1", "platform": "frr", "daemon_version": "8"}',
        '{"program": 1, "router": {"a": 1}, "platform": "frr", "daemon_version": "8"}',
        '{"program": 1, "router": "r1", "platform": "frr"}',
        '{"program": 1, "router": "r1", "platform": "frr", "daemon_version": "8", "pending": {"phase": "lost"}}',
    ],
)
def test_answers_that_are_none_are_failures_with_a_reason(said: str) -> None:
    """Never a traceback."""
    error = trouble(says(said))

    assert error.kind is RouterTrouble.FAILED
    assert "hello" in error.message


@given(data=st.binary(max_size=300), code=st.integers(min_value=-1, max_value=255))
def test_whatever_a_router_says_it_is_an_error_or_an_answer(data: bytes, code: int) -> None:
    """No other exception, whatever the bytes."""
    driver, _ = frr(Answer(code=code, stdout=data, stderr=""), Answer(code=0, stdout=b"", stderr=""))

    with pytest.raises(RouterError):
        driver.hello()


def test_nothing_that_moves_a_cursor_comes_through() -> None:
    """A router's answer ends on somebody's terminal."""
    error = trouble(says({"error": {"kind": "failed", "message": "\x1b[2Jgone\u202e", "hint": "\x07"}}, code=1))
    assert error.message == "\\x1b[2Jgone\\x202e"
    assert error.hint == "\\x07"

    driver, _ = frr(says({"router": "r1", "files": [{"file": "a", "diff": "+a\x1b]0;x\x07\n\t+b"}]}))
    assert driver.diff(BUNDLE).files[0].diff == "+a\\x1b]0;x\\x07\n\t+b"


@given(text=st.text())
def test_printable_text_is_short_and_stays_on_its_lines(text: str) -> None:
    """Whatever is said."""
    shown = make_printable(text)

    assert len(shown) <= 8 * 2_000 + 3
    assert not any(character in shown for character in "\x1b\r\x00\u202e\u2028")


def test_there_is_a_driver_for_both_platforms_and_no_other() -> None:
    """Another platform is refused before anything is sent."""
    assert make_driver("r1", "frr", Scripted([])).capabilities.platform == "frr"
    assert make_driver("r1", "bird", Scripted([])).capabilities.platform == "bird"
    with pytest.raises(RouterError, match="no driver for 'junos'"):
        make_driver("r1", "junos", Scripted([]))


def test_a_client_hangs_up_its_transport() -> None:
    """So that the next question goes over a new session."""

    class Counting(Scripted):
        hung_up = 0

        def hang_up(self) -> None:
            self.hung_up += 1

    transport = Counting([])
    RouterClient(transport).hang_up()

    assert transport.hung_up == 1
