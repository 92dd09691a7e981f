"""`resilience deploy`, `drift` and `prepare` on routers in memory: what they print, what they refuse, their exit codes.

`GOLDEN_UPDATE=1 pytest tests/unit/cli/test_deploy.py` writes the messages anew; read the difference first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from resilience.cli import app as shell
from resilience.deploy.driver import FileDiff
from resilience.deploy.expect import expect
from resilience.deploy.router import Observation, SeenBfd, SeenSession
from resilience.errors import ExitCode
from resilience.intent import read_intent
from resilience.plan import make_plan, read_numbers
from resilience.render import router_program
from resilience.report.schemas import make_schema
from tests.support.fake_routers import FakeClock, FakeFleet, FakeRouter, Files

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "deploy"
UPDATE = os.environ.get("GOLDEN_UPDATE") == "1"
INTENT = """
network: two
asn: 64500
prefixes: [198.51.100.0/24]
routers: {r1: {}, r2: {}}
links: [{between: [r1, r2]}]
providers: {alpha: {asn: 64496}}
uplinks: {fibre: {router: r1, provider: alpha, address: 192.0.2.2/30}}
"""
PROVIDER = "192.0.2.1"
OLD = {"frr.conf": "old"}


class Field:
    """A network on disk, its routers in memory, and the command."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.fleet = FakeFleet([FakeRouter(name, self.clock, OLD) for name in ("r1", "r2")])
        self._capsys = capsys
        self.out = ""
        self.err = ""

    def call(self, *arguments: str) -> int:
        """Run a command on the network; what it printed is in `out` and `err`."""
        command, *rest = arguments
        code = shell.run([command, str(self.folder), *rest])
        self.out, self.err = self._capsys.readouterr()
        return code

    def write(self, text: str) -> None:
        """Replace the intent."""
        (self.folder / "network.yaml").write_text(text, encoding="utf-8")
        shell.run(["lock", str(self.folder)])
        self._capsys.readouterr()
        for name, router in self.fleet.routers.items():
            router.sees = self.well(name)

    def well(self, name: str, *, without: str = "") -> Callable[[Files], Observation]:
        """Return eyes that see all sessions of the plan; once something new runs, all but those with one neighbour."""
        plan = make_plan(read_intent(self.folder), read_numbers(self.folder))[0]
        up = tuple(
            SeenSession(neighbor=one.neighbor, family=one.family, up=True, received=1, sent=1)
            for one in expect(plan, [name])[name].sessions
        )
        bfd = tuple(SeenBfd(neighbor=one.neighbor, up=True) for one in up)
        left = tuple(one for one in up if one.neighbor != without)
        return lambda files: Observation(sessions=up if files == OLD else left, bfd=bfd)

    def golden(self, case: str) -> None:
        """Compare what was said with what was said before."""
        said = self.err.replace(str(self.folder), "NET")
        said = re.sub(r"\d{4}-\d\d-\d\dT[0-9:]+Z", "TIME", said)
        said = re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "ID", said)
        expected = GOLDEN / f"{case}.txt"
        if UPDATE:
            expected.write_text(said, encoding="utf-8")
        assert said == expected.read_text(encoding="utf-8")


@pytest.fixture
def field(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Field:
    """Two routers that run something old, and an intent that may be deployed."""
    made = Field(tmp_path, capsys)
    made.write(INTENT)
    monkeypatch.setattr(shell, "_let_signals_clean_up", lambda: None)
    monkeypatch.setattr("resilience.deploy.fleet.open_fleet", lambda *_args, **_options: made.fleet)
    monkeypatch.setattr("resilience.deploy.engine.SystemClock", lambda: made.clock)
    monkeypatch.setattr("resilience.cli.proving.in_ci", lambda: False)
    monkeypatch.setattr("resilience.cli.deploy.who", lambda: "anna@noc")
    return made


def journal(field: Field, **fields: object) -> str:
    """Write the journal of a drill of the network as it stands."""
    digest = hashlib.sha256((field.folder / "network.yaml").read_bytes()).hexdigest()
    path = field.folder / "journal.json"
    path.write_text(
        json.dumps({"schema": "resilience/journal@1", "input_sha256": digest, "verdict": "pass"} | fields),
        encoding="utf-8",
    )
    return str(path)


def hold_to_schema(text: str, name: str) -> dict[str, object]:
    """Return a printed document that follows its schema."""
    document = json.loads(text)
    schema = make_schema(name)
    assert isinstance(schema, dict)
    jsonschema.validate(document, schema)
    assert isinstance(document, dict)
    return document


def test_without_options_nothing_is_touched_and_the_diff_is_shown(field: Field) -> None:
    """A dry run: questions only."""
    code = field.call("deploy")

    assert code == ExitCode.HOLDS
    assert "would change" in field.out
    assert all(set(router.log) <= {"hello", "diff", "hang_up"} for router in field.fleet.routers.values())
    assert not (field.folder / "deployments").exists()


def test_a_dry_run_prints_a_document(field: Field) -> None:
    """The first wave is one router."""
    field.call("deploy", "--json")

    document = hold_to_schema(field.out, "resilience/deployment-diff@1")
    assert [(one["router"], one["wave"]) for one in document["routers"]] == [("r2", 1), ("r1", 2)]  # type: ignore[attr-defined]


def test_a_deployment_with_its_proof_ends_confirmed(field: Field) -> None:
    """Exit code 0; the record names the journal, and stdout is the record."""
    code = field.call("deploy", "--commit", "--proof", journal(field), "--json")

    document = hold_to_schema(field.out, "resilience/deployment@1")
    assert code == ExitCode.HOLDS
    assert document["state"] == "done"
    assert document["proof"]["verdict"] == "pass"  # type: ignore[index]
    assert json.loads((field.folder / "deployments" / f"{document['id']}.json").read_text()) == document
    assert all(router.startup != OLD for router in field.fleet.routers.values())


def test_deploying_again_does_nothing_and_leaves_no_record(field: Field) -> None:
    """Nor does it ask for a proof a second time: there is nothing to prove."""
    field.call("deploy", "--commit", "--proof", journal(field))

    code = field.call("deploy", "--commit", "--proof", journal(field))

    assert code == ExitCode.HOLDS
    assert field.out == "two: nothing to do, every router runs that already\n"
    assert len(list((field.folder / "deployments").iterdir())) == 1


def test_a_reason_stands_in_the_record_where_nothing_was_drilled(field: Field) -> None:
    """In the words of whoever decided so."""
    field.call("deploy", "--commit", "--without-proof", "the lab machine is down", "--json")

    assert json.loads(field.out)["without_proof"] == "the lab machine is down"


def test_in_ci_a_proof_is_required(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a reason is none."""
    monkeypatch.setattr("resilience.cli.proving.in_ci", lambda: True)

    assert field.call("deploy", "--commit") == ExitCode.USAGE
    field.golden("no-proof")
    assert field.call("deploy", "--commit", "--without-proof", "in a hurry") == ExitCode.USAGE
    field.golden("reason-in-ci")
    assert field.call("deploy", "--commit", "--proof", journal(field)) == ExitCode.HOLDS


@pytest.mark.parametrize(
    ("case", "fields"),
    [("proof-failed", {"verdict": "fail"}), ("proof-other-intent", {"input_sha256": "0" * 64})],
)
def test_a_journal_that_proves_nothing_is_refused_before_any_router_is_asked(
    case: str, fields: dict[str, object], field: Field
) -> None:
    """Of another intent, or of a promise that was broken."""
    assert field.call("deploy", "--commit", "--proof", journal(field, **fields)) == ExitCode.USAGE
    field.golden(case)
    assert not field.fleet.routers["r1"].log or set(field.fleet.routers["r1"].log) == {"hang_up"}


def test_a_session_that_is_lost_rolls_back_with_exit_code_4(field: Field) -> None:
    """The router of the second wave loses its provider; the first keeps the new configuration."""
    field.fleet.routers["r1"].sees = field.well("r1", without=PROVIDER)

    code = field.call("deploy", "--commit", "--proof", journal(field))

    assert code == ExitCode.FAILED
    assert "session fibre-ipv4 with 192.0.2.1 is not up" in field.out
    assert "1 confirmed, 1 rolled-back: rolled-back" in field.out.splitlines()[-1]
    assert field.fleet.routers["r1"].startup == OLD


def test_a_router_out_of_reach_keeps_everything_as_it_is(field: Field) -> None:
    """Exit code 3, the router and its trouble by name, the others' diffs beside it, nothing staged."""
    field.fleet.routers["r2"].reachable = False

    code = field.call("deploy", "--commit", "--proof", journal(field))

    assert code == ExitCode.UNKNOWN
    assert "unreachable: no route to host" in field.out
    assert "r1, wave" in field.out
    assert not [name for name, router in field.fleet.routers.items() if "stage" in router.log]


def test_a_router_out_of_reach_can_be_left_out(field: Field) -> None:
    """By naming the others."""
    field.fleet.routers["r2"].reachable = False

    assert field.call("deploy", "--commit", "--proof", journal(field), "--only", "r1") == ExitCode.HOLDS
    assert field.fleet.routers["r1"].startup != OLD


def test_the_second_engineer_is_told_who_and_since_when(field: Field) -> None:
    """And how to end it where nobody works on it any more."""
    router = field.fleet.routers["r1"]
    router.change, router.who, router.since = "20260102-030405-aaaaaa", "boris@laptop", "2026-01-02T03:04:05Z"

    code = field.call("deploy", "--commit", "--proof", journal(field))

    assert code == ExitCode.FAILED
    assert "busy: boris@laptop is changing it since 2026-01-02T03:04:05Z" in field.out


def test_what_was_changed_by_hand_is_never_lost_by_accident(field: Field) -> None:
    """It is shown; --take-over deploys over it."""
    field.fleet.routers["r1"].drift = (FileDiff(file="frr.conf", diff="+by hand\n"),)

    assert field.call("deploy", "--commit", "--proof", journal(field)) == ExitCode.FAILED
    assert "changed by hand" in field.out
    assert field.call("deploy", "--commit", "--proof", journal(field), "--take-over") == ExitCode.HOLDS


def test_status_and_rollback_take_the_last_deployment(field: Field) -> None:
    """Or the one that is named."""
    field.call("deploy", "--commit", "--proof", journal(field), "--json")
    deployment_id = json.loads(field.out)["id"]

    assert field.call("deploy", "--status") == ExitCode.HOLDS
    assert "2 confirmed: done" in field.out
    assert field.call("deploy", "--rollback", deployment_id) == ExitCode.HOLDS
    assert "2 rolled-back: rolled-back, rolled back as asked" in field.out
    assert all(router.startup == OLD for router in field.fleet.routers.values())


def test_status_of_a_router_out_of_reach_is_unknown(field: Field) -> None:
    """Exit code 3: could not tell."""
    field.call("deploy", "--commit", "--proof", journal(field))
    field.fleet.routers["r1"].reachable = False

    assert field.call("deploy", "--status") == ExitCode.UNKNOWN
    assert "r1, wave 2: unknown: no route to host" in field.out


def test_a_deployment_that_stopped_half_way_is_resumed(field: Field) -> None:
    """After the repair, and once only."""
    field.fleet.routers["r1"].sees = field.well("r1", without=PROVIDER)
    field.call("deploy", "--commit", "--proof", journal(field))
    field.fleet.routers["r1"].sees = field.well("r1")

    assert field.call("deploy", "--resume") == ExitCode.HOLDS
    assert "2 confirmed: done" in field.out
    assert field.call("deploy", "--resume") == ExitCode.USAGE
    field.golden("resume-done")


@pytest.mark.parametrize(
    ("case", "arguments"),
    [
        ("unknown-router", ("--only", "r9")),
        ("two-modes", ("--commit", "--rollback")),
        ("id-without-mode", ("20260102-030405-a1b2c3",)),
        ("bad-id", ("--status", "../x")),
        ("no-record", ("--status",)),
        ("no-such-record", ("--rollback", "20260102-030405-a1b2c3")),
        ("bad-deadline", ("--deadline", "soon")),
        ("deadline-fraction", ("--deadline", "1500ms")),
        ("two-proofs", ("--commit", "--drill", "--without-proof", "x")),
        ("proof-missing", ("--commit", "--proof", "no-such-file.json")),
        ("empty-reason", ("--commit", "--without-proof", " ")),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_way_out(case: str, arguments: tuple[str, ...], field: Field) -> None:
    """One message, exit code 2, and no router is asked."""
    assert field.call("deploy", *arguments) == ExitCode.USAGE
    field.golden(case)
    assert all(set(router.log) <= {"hang_up"} for router in field.fleet.routers.values())


def test_what_only_works_in_labs_is_not_deployed(field: Field) -> None:
    """Unless the inventory says that the routers are a lab's."""
    field.write(INTENT.replace(", address: 192.0.2.2/30", ""))
    field.fleet._lab = False

    assert field.call("deploy") == ExitCode.USAGE
    field.golden("not-deployable")

    field.fleet._lab = True
    assert field.call("deploy") == ExitCode.HOLDS


def test_a_network_of_lab_numbers_is_not_deployed(field: Field) -> None:
    """`lab: true` says so at its top."""
    field.write("lab: true\n" + INTENT)
    field.fleet._lab = False

    assert field.call("deploy") == ExitCode.USAGE
    field.golden("lab-network")


def test_numbers_that_nobody_wrote_down_are_not_deployed(field: Field) -> None:
    """The next deployment might give out others."""
    (field.folder / "numbers.lock.yaml").unlink()

    assert field.call("deploy") == ExitCode.USAGE
    field.golden("no-lock")


def test_an_inventory_without_the_router_is_an_error(field: Field) -> None:
    """A deployment to nobody never looks like a success."""
    del field.fleet.routers["r2"]

    assert field.call("deploy") == ExitCode.USAGE
    field.golden("no-host")


def test_drift_is_a_difference_with_exit_code_4(field: Field) -> None:
    """What a router starts with and what it runs, each as a diff."""
    field.call("deploy", "--commit", "--proof", journal(field))
    assert field.call("drift") == ExitCode.HOLDS

    field.fleet.routers["r1"].drift = (FileDiff(file="nftables.conf", diff="+by hand\n"),)

    assert field.call("drift", "--json") == ExitCode.FAILED
    document = hold_to_schema(field.out, "resilience/drift@1")
    assert [one["same"] for one in document["routers"]] == [False, True]  # type: ignore[attr-defined]


def test_drift_of_a_router_out_of_reach_is_unknown(field: Field) -> None:
    """Exit code 3, unless another one differs for certain."""
    field.call("deploy", "--commit", "--proof", journal(field))
    field.fleet.routers["r2"].reachable = False

    assert field.call("drift") == ExitCode.UNKNOWN
    assert "could not tell" in field.out


def test_drift_answers_while_somebody_deploys(field: Field) -> None:
    """It changes nothing, so nobody has to wait."""
    router = field.fleet.routers["r1"]
    router.change, router.who, router.since = "20260102-030405-aaaaaa", "boris@laptop", "2026-01-02T03:04:05Z"

    assert field.call("drift") == ExitCode.FAILED


def test_prepare_writes_what_a_new_router_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The program can be run, the line of sudoers grants that program only."""
    target = tmp_path / "router"

    assert shell.run(["prepare", "-o", str(target)]) == ExitCode.HOLDS

    assert "netresilience-router" in capsys.readouterr().out
    assert os.access(target / "netresilience-router", os.X_OK)
    assert (target / "netresilience-router").read_bytes() == router_program()
    sudoers = (target / "netresilience.sudoers").read_text(encoding="utf-8")
    granted = [line for line in sudoers.splitlines() if " ALL=" in line]
    assert granted == ["netops ALL=(root) NOPASSWD: /usr/sbin/netresilience-router"]


def test_prepare_keeps_a_program_that_was_changed_by_hand(tmp_path: Path) -> None:
    """The archive is a file like any other: seen when it was changed, and replaced by force only."""
    target = tmp_path / "router"
    program = target / "netresilience-router"
    assert shell.run(["prepare", "-o", str(target)]) == ExitCode.HOLDS
    changed = router_program().replace(b"60", b"99")
    program.write_bytes(changed)

    assert shell.run(["prepare", "-o", str(target)]) != ExitCode.HOLDS
    assert program.read_bytes() == changed
    assert shell.run(["prepare", "-o", str(target), "--force"]) == ExitCode.HOLDS
    assert program.read_bytes() == router_program()
