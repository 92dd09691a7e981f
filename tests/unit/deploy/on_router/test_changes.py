"""The life of a change on its router, from staged to confirmed or back, and who is refused on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from resilience.deploy.on_router.netresilience_router.boot import boot
from resilience.deploy.on_router.netresilience_router.changes import Changes
from resilience.deploy.on_router.netresilience_router.frr import Frr
from resilience.deploy.on_router.netresilience_router.machine import Done
from resilience.deploy.on_router.netresilience_router.refused import Refused
from tests.support.on_router import NEW, OLD, FakeGuard, FakeMachine, Process, bundle


def refusal(action: Callable[[], object]) -> Refused:
    """Return why something is not done."""
    with pytest.raises(Refused) as raised:
        action()
    return raised.value


def apply(process: Process, guard: FakeGuard, change: str = "c1") -> None:
    """Bring a change to where it waits for its confirmation."""
    process.changes.stage(bundle(change))
    assert process.changes.apply(change, 60, drained=False)["phase"] == "applied"
    assert guard.handle >= 0


def confirm(process: Process, guard: FakeGuard) -> None:
    """Bring a change to where it is kept and its guard has ended."""
    apply(process, guard)
    process.changes.confirm("c1")
    guard.kill()


def check_runs(machine: FakeMachine, files: dict[str, str]) -> None:
    """See that some files run, all of them."""
    assert machine.running.read_text(encoding="utf-8") == files["frr.conf"]
    setting = (machine.proc_sys / "net/ipv4/conf/all/forwarding").read_text(encoding="ascii").strip()
    assert setting == files["sysctl.conf"].split()[-1]
    wanted = [line.split()[2] for line in files["addresses.batch"].splitlines() if line.startswith("address")]
    assert machine.addresses_of("eth0") == wanted


def test_a_staged_change_runs_nowhere(process: Process, machine: FakeMachine) -> None:
    """It is described: what would change, and whose session would be reset."""
    said = process.changes.stage(bundle())

    check_runs(machine, OLD)
    assert process.router.startup() == OLD
    assert [item["file"] for item in said["files"]] == ["addresses.batch", "sysctl.conf", "frr.conf"]
    assert (said["resets"], said["drift"]) == ([], [])
    assert process.questions.pending()["pending"]["phase"] == "staged"


def test_an_applied_change_runs_but_is_not_what_the_router_starts_with(
    process: Process, guard: FakeGuard, machine: FakeMachine
) -> None:
    """Only a confirmation makes it so; until then time runs."""
    apply(process, guard)
    machine.now += 20

    check_runs(machine, NEW)
    assert process.router.startup() == OLD
    pending = process.questions.pending()["pending"]
    assert (pending["phase"], pending["remaining_s"]) == ("applied", 40)
    assert process.questions.check()["same"]


def test_a_confirmed_change_is_what_the_router_starts_with(
    process: Process, guard: FakeGuard, machine: FakeMachine
) -> None:
    """The same confirmation once more says the same: an answer may be lost on its way."""
    apply(process, guard)

    first, second = process.changes.confirm("c1"), process.changes.confirm("c1")

    assert first == second == {"change": "c1", "phase": "confirmed", "reason": "", "remaining_s": None}
    assert process.router.startup() == NEW
    check_runs(machine, NEW)
    assert not guard.look()
    assert process.questions.hello()["confirmed"] == "c1"
    assert process.questions.pending() == {"pending": None}


def test_a_change_that_nobody_confirms_is_taken_back_at_its_deadline(
    process: Process, guard: FakeGuard, machine: FakeMachine
) -> None:
    """A confirmation that comes later is told so."""
    apply(process, guard)
    machine.now += 59.9
    assert guard.look()
    check_runs(machine, NEW)
    machine.now += 0.2

    assert not guard.look()

    check_runs(machine, OLD)
    late = refusal(lambda: process.changes.confirm("c1"))
    assert (late.kind, late.message) == (
        "expired",
        "the former configuration is back: it was not confirmed within 60 s",
    )


def test_a_confirmation_after_the_deadline_does_not_win_against_a_slow_guard(
    process: Process, guard: FakeGuard, machine: FakeMachine
) -> None:
    """The guard has not looked yet; what counts is the deadline."""
    apply(process, guard)
    machine.now += 61

    late = refusal(lambda: process.changes.confirm("c1"))

    assert (late.kind, late.message) == ("expired", "the deadline of 60 s has passed")
    assert not guard.look()
    check_runs(machine, OLD)


def test_a_change_that_a_daemon_does_not_take_is_taken_back(
    process: Process, guard: FakeGuard, machine: FakeMachine
) -> None:
    """Apply itself says so, and why."""
    machine.broken = "198.51.100.1"
    process.changes.stage(bundle())

    said = process.changes.apply("c1", 60, drained=False)

    assert said["phase"] == "restored"
    assert "frr.conf was not taken whole" in said["reason"]
    assert guard.handle < 0
    check_runs(machine, OLD)


def test_a_rolled_back_change_is_gone_when_the_command_returns(
    process: Process, guard: FakeGuard, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the guard looks while the command waits."""
    apply(process, guard)
    monkeypatch.setattr(process.store, "guard_lives", lambda: guard.look() or True)

    said = process.changes.rollback("c1", None)

    assert (said["phase"], said["reason"]) == ("restored", "rolled back on request")
    check_runs(machine, OLD)
    assert process.changes.rollback("c1", None) == said


def test_a_staged_change_is_given_up_without_a_trace(process: Process) -> None:
    """By a rollback or a release."""
    process.changes.stage(bundle())
    assert process.changes.rollback("c1", None)["reason"] == "given up before it ran"
    process.changes.stage(bundle("c2"))
    assert process.changes.release("c2", "boris@laptop") == {"released": "c2"}

    assert not list((process.store.folder / "staged").iterdir())
    assert process.store.read()["last"]["reason"] == "released by boris@laptop"


def test_a_confirmed_change_is_undone_by_a_change_of_its_own(
    process: Process, guard: FakeGuard, machine: FakeMachine
) -> None:
    """That runs under a deadline like any other, and is confirmed like any other."""
    confirm(process, guard)

    said = process.changes.rollback("c1", 30)

    assert (said["change"], said["phase"], said["remaining_s"]) == ("c1-undo", "applied", 30)
    check_runs(machine, OLD)
    assert process.router.startup() == NEW
    process.changes.confirm("c1-undo")
    assert process.router.startup() == OLD


def test_going_back_that_cannot_begin_keeps_nobody_from_anything(
    process: Process, guard: FakeGuard, machine: FakeMachine
) -> None:
    """What somebody typed in since is not lost unasked; the refusal is all that comes of it."""
    confirm(process, guard)
    machine.running.write_text(NEW["frr.conf"] + " neighbor 203.0.113.9 remote-as 64599\n", encoding="utf-8")

    drift = refusal(lambda: process.changes.rollback("c1", 30))

    assert "what runs is not what the router starts with: frr.conf" in drift.message
    assert process.store.read()["pending"] is None
    assert not list((process.store.folder / "staged").iterdir())
    process.changes.stage(bundle("c2", OLD, take_over=True))


def test_going_back_goes_on_where_somebody_was_interrupted(
    process: Process, guard: FakeGuard, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the moment when the way back was written down and the one when it ran."""
    confirm(process, guard)
    with monkeypatch.context() as patch:
        patch.setattr(Changes, "apply", interrupted)
        with pytest.raises(KeyboardInterrupt):
            process.changes.rollback("c1", 30)
    assert process.store.read()["pending"]["change"] == "c1-undo"

    assert process.changes.rollback("c1", 30)["phase"] == "applied"
    check_runs(machine, OLD)


def interrupted(*_: object, **__: object) -> None:
    """Be ended from outside."""
    raise KeyboardInterrupt


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The daemons of FRR that run: bgpd, which should."""
    running = {"bgpd"}
    monkeypatch.setattr(Frr, "_wanted", lambda *_: {"bgpd": []})
    monkeypatch.setattr(Frr, "_alive", lambda _, name: name in running)
    monkeypatch.setattr(Frr, "_start", lambda _, name, _options: running.add(name))
    return running


def test_a_daemon_that_has_died_keeps_nobody_from_going_back(
    process: Process, guard: FakeGuard, machine: FakeMachine, alive: set[str]
) -> None:
    """Nothing that somebody typed in is lost with it, and going back starts it."""
    confirm(process, guard)
    alive.clear()

    assert process.changes.rollback("c1", 30)["phase"] == "applied"

    assert alive == {"bgpd"}
    check_runs(machine, OLD)


def test_a_daemon_that_has_died_is_started_by_a_change_of_another_file(
    process: Process, guard: FakeGuard, alive: set[str]
) -> None:
    """Its own file stays as it is, and is loaded all the same."""
    assert guard.handle < 0
    process.changes.stage(bundle(files={**OLD, "sysctl.conf": NEW["sysctl.conf"]}))
    alive.clear()

    assert process.changes.apply("c1", 60, drained=False)["phase"] == "applied"
    assert alive == {"bgpd"}


def test_a_change_finds_the_router_busy_with_another_one(process: Process, guard: FakeGuard) -> None:
    """Each message names whose change it is; no change can be confirmed in another's name."""
    apply(process, guard)

    for action in (
        lambda: process.changes.stage(bundle("c2")),
        lambda: process.changes.confirm("c2"),
        lambda: process.changes.rollback("c2", None),
    ):
        busy = refusal(action)
        assert busy.kind == "busy"
        assert "change c1 of anna@desk is applied here" in busy.message
    assert refusal(lambda: process.changes.release("c1", "anna")).kind == "busy"
    assert refusal(lambda: process.changes.apply("c1", 60, drained=False)).message == "change c1 is applied"


def test_nothing_is_done_with_a_change_that_is_not_there(process: Process) -> None:
    """Whatever is asked for it."""
    for action in (
        lambda: process.changes.apply("c1", 60, drained=False),
        lambda: process.changes.confirm("c1"),
        lambda: process.changes.rollback("c1", None),
        lambda: process.changes.release("c1", "anna"),
    ):
        assert refusal(action).kind == "nothing-pending"


def test_a_staged_change_is_replaced_by_its_next_form(process: Process) -> None:
    """Of the same change; nothing of the first one stays."""
    process.changes.stage(bundle(files={**NEW, "vtysh.conf": "service integrated-vtysh-config\n"}))
    process.changes.stage(bundle(files=OLD))

    assert process.store.get(process.store.staged("c1")) == OLD


def test_what_somebody_typed_in_is_not_replaced_unasked(
    process: Process, guard: FakeGuard, machine: FakeMachine
) -> None:
    """Taken over on request, it is what a restore goes back to."""
    typed = OLD["frr.conf"] + " neighbor 203.0.113.9 remote-as 64599\n"
    machine.running.write_text(typed, encoding="utf-8")
    process.changes.stage(bundle())
    drift = refusal(lambda: process.changes.apply("c1", 60, drained=False))
    assert "what runs is not what the router starts with: frr.conf" in drift.message

    process.changes.stage(bundle(take_over=True))
    process.changes.apply("c1", 60, drained=False)
    check_runs(machine, NEW)
    machine.now += 61
    assert not guard.look()

    assert machine.running.read_text(encoding="utf-8") == typed


def test_a_change_without_a_drained_form_is_not_run_drained(process: Process) -> None:
    """It would run in full."""
    process.changes.stage(bundle())

    assert refusal(lambda: process.changes.apply("c1", 60, drained=True)).message == "the change has no drained form"


def test_a_change_that_runs_drained_is_not_confirmed(process: Process, guard: FakeGuard, machine: FakeMachine) -> None:
    """The router would go on without traffic, and nobody would know."""
    drained = NEW["frr.conf"] + " bgp graceful-shutdown\n"
    process.changes.stage(bundle(drained={"frr.conf": drained}))
    process.changes.apply("c1", 60, drained=True)
    assert machine.running.read_text(encoding="utf-8") == drained

    assert "undrain it first" in refusal(lambda: process.changes.confirm("c1")).message
    assert guard.look()


def test_a_bad_change_leaves_nothing_behind(process: Process) -> None:
    """The daemon's own parser refuses it."""
    bad = refusal(lambda: process.changes.stage(bundle(files={**NEW, "frr.conf": "bogus\n"})))

    assert (bad.kind, "bogus" in bad.message) == ("invalid", True)
    assert not process.store.staged("c1").exists()
    assert process.questions.pending() == {"pending": None}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({**NEW, "sysctl.conf": "net.ipv4.nonsense = 1\n"}, "this kernel has no net.ipv4.nonsense"),
        ({**NEW, "addresses.batch": "link set dev eth7 up\n"}, "there is no interface eth7"),
        ({**NEW, "sysctl.conf": "net/../kernel/core_pattern = 1\n"}, "is no setting"),
    ],
)
def test_a_change_that_this_machine_cannot_run_is_refused(process: Process, files: dict[str, str], words: str) -> None:
    """Before it is applied."""
    assert words in refusal(lambda: process.changes.stage(bundle(files=files))).message


def test_looking_at_a_difference_leaves_nothing_behind_but_what_was_learned(
    process: Process, machine: FakeMachine
) -> None:
    """`diff` stages nothing. That the router runs what it starts with is noted, so that the next look is faster."""
    said = process.changes.diff(bundle())

    assert [item["file"] for item in said["files"]] == ["addresses.batch", "sysctl.conf", "frr.conf"]
    left = sorted(path.name for path in process.store.folder.iterdir())
    assert left == ["former", "history", "lock", "reserve", "staged", "state.json"]
    assert {name: told for name, told in process.store.read().items() if told} == {"noted": process.router.note(OLD)}
    compared = comparisons(machine)
    again = Process(machine)
    assert again.changes.diff(bundle()) == said
    assert comparisons(machine) == compared + 1, "only the bundle is compared with what runs"


def test_what_was_changed_by_hand_is_not_learned(process: Process, machine: FakeMachine) -> None:
    """Neither what differs, nor what is changed after it was noted."""
    by_hand = machine.running.read_text(encoding="utf-8") + "ip route 192.0.2.0/24 blackhole\n"
    before = machine.running.read_text(encoding="utf-8")
    machine.running.write_text(by_hand, encoding="utf-8")
    assert [one["file"] for one in process.changes.diff(bundle())["drift"]] == ["frr.conf"]
    assert not process.store.read()["noted"]

    machine.running.write_text(before, encoding="utf-8")
    assert not process.changes.diff(bundle())["drift"]
    machine.running.write_text(by_hand, encoding="utf-8")
    assert [one["file"] for one in process.changes.diff(bundle())["drift"]] == ["frr.conf"]


def comparisons(machine: FakeMachine) -> int:
    """Return how often frr-reload.py was asked what it would do."""
    return sum(" --test " in line for line in machine.ran)


def test_drift_is_shown_for_each_part(process: Process, machine: FakeMachine) -> None:
    """Settings, addresses and the daemon."""
    (machine.proc_sys / "net/ipv4/conf/all/forwarding").write_text("1\n", encoding="ascii")
    machine.links.write_text(json.dumps({"eth0": ["203.0.113.1/24"]}), encoding="utf-8")
    machine.running.write_text(OLD["frr.conf"] + " neighbor 203.0.113.9 password geheim\n", encoding="utf-8")

    found = process.questions.check()

    assert not found["same"]
    assert [item["file"] for item in found["differences"]] == ["sysctl.conf", "addresses.batch", "frr.conf"]
    assert "-192.0.2.2/31 dev eth0\n+203.0.113.1/24 dev eth0" in found["differences"][1]["diff"]
    assert "geheim" not in json.dumps(found)


@pytest.mark.parametrize("code", [0, 1])
def test_only_a_whole_answer_of_vtysh_is_compared(
    process: Process, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """What a daemon that just ended did not tell is not what somebody took away: frr-reload.py asks, and says so."""
    plain = machine.run

    def run(argv: Sequence[str], stdin: str = "", timeout_s: float = 120) -> Done:
        done = plain(argv, stdin, timeout_s)
        return Done(code, done.out[:20], "") if "show running-config no-header" in argv else done

    monkeypatch.setattr(machine, "run", run)
    process.questions.check()
    assert ["--input" in line for line in machine.ran if " --test " in line] == [code == 0]


def test_a_rule_comes_with_a_change_and_goes_with_it(
    process: Process, guard: FakeGuard, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router that was given back is the old one in this, too; what somebody takes away is drift."""
    monkeypatch.setitem(NEW, "rules6.batch", "rule add pref 32767 lookup 253\n")
    machine.rules.append((32767, 99))  # by hand: in no file that could say it
    before = list(machine.rules)

    apply(process, guard)
    assert (32767, 253) in machine.rules
    assert (32767, 99) not in machine.rules
    with monkeypatch.context() as patch:
        patch.setattr(process.store, "guard_lives", lambda: guard.look() or True)
        process.changes.rollback("c1", None)
    assert machine.rules == before

    guard.kill()
    apply(process, guard, "c2")
    process.changes.confirm("c2")
    assert process.questions.check()["same"]
    machine.rules.remove((32767, 253))
    assert [item["file"] for item in process.questions.check()["differences"]] == ["rules6.batch"]


def test_booting_by_hand_ends_no_watch(process: Process, guard: FakeGuard, machine: FakeMachine) -> None:
    """Also where the unit is restarted: the start is the same one, and what is applied still goes at its deadline."""
    machine.boot_mark.write_text("this start", encoding="ascii")
    apply(process, guard)

    refused = refusal(lambda: boot(process.settlement))

    assert refused.kind == "busy"
    assert machine.boot_mark.read_text(encoding="ascii") == "this start"
    assert process.questions.pending()["pending"]["phase"] == "applied"


def test_a_start_is_marked_and_takes_back_what_was_not_confirmed(
    process: Process, guard: FakeGuard, machine: FakeMachine
) -> None:
    """The mark lies where every start finds nothing."""
    apply(process, guard)
    guard.kill()
    machine.started = "second"

    assert boot(Process(machine).settlement) == {"boot": "done"}

    assert machine.boot_mark.exists()
    assert process.questions.pending() == {"pending": None}
