"""The engine of deployments on routers in memory: what is done to whom in which order, and what the record says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from resilience.deploy.driver import FileDiff, Phase
from resilience.deploy.engine import Deployer
from resilience.deploy.record import UNDO
from resilience.deploy.router import Observation
from resilience.deploy.survey import compare, survey
from resilience.errors import CouldNotTell, RouterTrouble, UsageError
from resilience.model.deployment import DeploymentState, Step
from tests.support.fake_deployments import CHANGE, DEADLINE_S, NEW, OLD, PROVIDER, make_world
from tests.support.fake_routers import Files, lose_answer, lose_question, refuse, sessions


def up_with_old_only(files: Files) -> Observation:
    """See the provider while the old configuration runs."""
    return sessions(PROVIDER) if files == OLD else sessions(down=(PROVIDER,))


def always_up(_files: Files) -> Observation:
    """See the provider all the time."""
    return sessions(PROVIDER)


def test_a_deployment_ends_with_every_router_confirmed(tmp_path: Path) -> None:
    """Wave after wave; the record has them all, and so have the routers."""
    world = make_world(tmp_path, "r1", "r2", sees=always_up)

    done = world.deploy()

    assert done.state is DeploymentState.DONE
    assert world.steps() == {"r1": Step.CONFIRMED, "r2": Step.CONFIRMED}
    assert all(router.startup == NEW and router.confirmed == CHANGE for router in world.fleet.routers.values())
    assert world.records.read(CHANGE) == done


def test_what_breaks_a_moment_later_is_not_confirmed(tmp_path: Path) -> None:
    """Sessions live on until somebody notices that they are cut off: all must be right, and stay so."""
    world = make_world(tmp_path, "r1", sees=always_up)
    router = world.fleet.routers["r1"]
    looks: list[float] = []

    def sees(files: Files) -> Observation:
        if files == NEW:
            looks.append(router.clock.seconds)
        cut = files == NEW and router.clock.seconds - looks[0] > 1
        return sessions(down=(PROVIDER,)) if cut else sessions(PROVIDER)

    router.sees = sees

    assert world.deploy().state is not DeploymentState.DONE
    assert world.steps() == {"r1": Step.ROLLED_BACK}
    assert (router.running, router.startup) == (OLD, OLD)


def test_nothing_is_staged_on_a_later_wave_before_the_first_is_confirmed(tmp_path: Path) -> None:
    """The first wave is the canary."""
    world = make_world(tmp_path, "r1", "r2", sees=always_up)

    world.deploy()

    told = [line for line in world.told if line.endswith((": confirmed", ": staging"))]
    assert told == ["r1: staging", "r1: confirmed", "r2: staging", "r2: confirmed"]


def test_a_router_that_runs_what_it_should_is_not_touched(tmp_path: Path) -> None:
    """No staging, no session: only questions."""
    world = make_world(tmp_path, "r1", "r2", sees=always_up)
    world.fleet.routers["r1"].startup = NEW
    world.fleet.routers["r1"].running = NEW

    world.deploy()

    assert world.steps()["r1"] is Step.UNCHANGED
    assert world.fleet.routers["r1"].log == ["hello", "diff"]


def test_verification_asks_over_a_new_session(tmp_path: Path) -> None:
    """The old one may live on through a packet filter that lets no new one in."""
    world = make_world(tmp_path, "r1", sees=always_up)

    world.deploy()

    log = world.fleet.routers["r1"].log
    assert "hang_up" in log[log.index("apply") : log.index("confirm")]
    assert "observe" in log[log.index("apply") : log.index("confirm")]


def test_a_session_that_stays_down_brings_the_whole_wave_back(tmp_path: Path) -> None:
    """The router that is well goes back with the one that is not, and waves after them are never begun."""
    world = make_world(tmp_path, "r1", "r2", "r3", sees=always_up)
    world.fleet.routers["r1"].sees = up_with_old_only

    ended = world.deploy(("r1", "r2"), ("r3",))

    assert ended.state is DeploymentState.ROLLED_BACK
    assert "dakar-ipv4 with 192.0.2.1 is not up" in ended.reason
    assert world.steps() == {"r1": Step.ROLLED_BACK, "r2": Step.ROLLED_BACK, "r3": Step.PLANNED}
    assert all(router.startup == router.running == OLD for router in world.fleet.routers.values())
    assert "stage" not in world.fleet.routers["r3"].log
    assert not [name for name, router in world.fleet.routers.items() if "confirm" in router.log]


def test_verification_waits_for_sessions_as_long_as_the_deadline_allows(tmp_path: Path) -> None:
    """A session that comes up late is up."""
    world = make_world(tmp_path, "r1")
    router = world.fleet.routers["r1"]
    router.sees = lambda files: sessions(PROVIDER) if files == OLD or world.clock.seconds > 20 else sessions()

    assert world.deploy().state is DeploymentState.DONE
    assert 20 < world.clock.seconds < DEADLINE_S


def test_what_was_broken_before_is_said_and_not_held_against_the_change(tmp_path: Path) -> None:
    """A repair must be deployable while something is down."""
    world = make_world(tmp_path, "r1", sees=lambda _files: sessions(down=(PROVIDER,)), answers=lambda _files: False)

    done = world.deploy()

    assert done.state is DeploymentState.DONE
    said = [event.event for event in done.events]
    assert "session dakar-ipv4 with 192.0.2.1 is not up, as before the change" in said
    assert "mobile-money ipv4 echo (198.51.100.80) does not answer, as before the change" in said


def test_a_promise_that_the_change_breaks_brings_it_back(tmp_path: Path) -> None:
    """The objective's flow answered before, and must afterwards."""
    world = make_world(tmp_path, "r1", sees=always_up, answers=lambda files: files == OLD)

    ended = world.deploy()

    assert ended.state is DeploymentState.ROLLED_BACK
    assert "does not answer" in ended.reason


def test_a_change_that_cuts_its_router_off_heals_by_itself(tmp_path: Path) -> None:
    """Nobody can reach it, so it goes back alone; the record says so as soon as it answers again."""
    world = make_world(tmp_path, "r1", sees=always_up, cut_off_by=lambda files: files == NEW)

    ended = world.deploy()

    assert ended.state is DeploymentState.ROLLED_BACK
    assert world.steps() == {"r1": Step.ROLLED_BACK}
    assert world.fleet.routers["r1"].running == OLD
    assert "roll_back" not in world.fleet.routers["r1"].log
    assert DEADLINE_S <= world.clock.seconds <= DEADLINE_S + 10


def test_a_router_that_never_comes_back_is_unknown(tmp_path: Path) -> None:
    """The record claims neither the old nor the new for it."""
    world = make_world(tmp_path, "r1", sees=always_up)
    router = world.fleet.routers["r1"]

    def cut_for_good(_router: object, do: object) -> object:
        router.reachable = False
        return lose_question(router, lambda: do)

    router.faults["apply"] = [cut_for_good]

    ended = world.deploy()

    assert ended.state is DeploymentState.FAILED
    assert world.steps() == {"r1": Step.UNKNOWN}
    assert world.records.read(CHANGE).routers[0].kind == "unreachable"


def test_a_confirmation_whose_answer_is_lost_is_asked_after(tmp_path: Path) -> None:
    """The router says that it was confirmed, so it was."""
    world = make_world(tmp_path, "r1", sees=always_up)
    world.fleet.routers["r1"].faults["confirm"] = [lose_answer]

    assert world.deploy().state is DeploymentState.DONE
    assert world.steps() == {"r1": Step.CONFIRMED}


def test_a_confirmation_that_comes_too_late_is_none(tmp_path: Path) -> None:
    """Everything of the wave goes back, those that were confirmed in time by an undo of their own."""
    world = make_world(tmp_path, "r1", "r2", sees=always_up)
    world.fleet.routers["r2"].faults["confirm"] = [refuse(RouterTrouble.EXPIRED)]

    ended = world.deploy(("r1", "r2"))

    assert ended.state is DeploymentState.ROLLED_BACK
    assert world.steps() == {"r1": Step.ROLLED_BACK, "r2": Step.ROLLED_BACK}
    assert world.fleet.routers["r1"].confirmed == f"{CHANGE}-undo"
    assert all(router.startup == router.running == OLD for router in world.fleet.routers.values())


def test_a_daemon_that_refuses_the_files_stops_the_wave_before_anything_runs(tmp_path: Path) -> None:
    """What was staged elsewhere is taken away again."""
    world = make_world(tmp_path, "r1", "r2", sees=always_up)
    world.fleet.routers["r2"].faults["stage"] = [refuse(RouterTrouble.INVALID)]

    ended = world.deploy(("r1", "r2"))

    assert ended.state is DeploymentState.ROLLED_BACK
    assert [router.change for router in world.fleet.routers.values()] == [None, None]
    assert not [name for name, router in world.fleet.routers.items() if "apply" in router.log]
    assert ended.routers[1].kind == "invalid"


def test_a_router_whose_sessions_break_is_drained_before_and_after(tmp_path: Path) -> None:
    """It comes up without traffic, and takes it only when its sessions are up."""
    world = make_world(tmp_path, "r1", sees=always_up, resets=(PROVIDER,), can_drain=True)
    world.fleet.routers["r1"].confirmed = "20250101-000000-000000"

    done = world.deploy()

    log = [entry for entry in world.fleet.routers["r1"].log if entry in {"drain", "apply", "undrain", "confirm"}]
    assert log == ["drain", "apply", "undrain", "confirm"]
    assert done.state is DeploymentState.DONE
    assert not world.fleet.routers["r1"].drained
    assert not done.routers[0].drained


def test_a_router_that_cannot_drain_is_told_of(tmp_path: Path) -> None:
    """A first deployment: its former configuration has no drained form."""
    world = make_world(tmp_path, "r1", sees=always_up, resets=(PROVIDER,))

    done = world.deploy()

    assert "drain" not in world.fleet.routers["r1"].log
    assert "cannot drain: its traffic meets the change" in [event.event for event in done.events]


def test_a_router_that_only_gains_a_prefix_is_never_drained(tmp_path: Path) -> None:
    """Draining moves traffic: it is for changes that break sessions."""
    world = make_world(tmp_path, "r1", sees=always_up, can_drain=True)

    world.deploy()

    assert "drain" not in world.fleet.routers["r1"].log


def test_asking_to_stop_brings_the_wave_back(tmp_path: Path) -> None:
    """Ctrl-C while it waits for sessions."""
    world = make_world(tmp_path, "r1", sees=always_up)

    def interrupt(_files: Files) -> Observation:
        if world.clock.seconds > 5:
            world.stop.set()
        return sessions(PROVIDER) if _files == OLD else sessions()

    world.fleet.routers["r1"].sees = interrupt

    ended = world.deploy()

    assert ended.state is DeploymentState.ROLLED_BACK
    assert "interrupted" in ended.reason
    assert world.fleet.routers["r1"].running == OLD
    assert world.clock.seconds < DEADLINE_S


def test_a_record_that_cannot_be_written_stops_everything_and_routers_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of whoever deploys is full: nobody could take this up, so it is not gone on with."""
    world = make_world(tmp_path, "r1", sees=always_up)

    def fill_disk(_files: Files) -> Observation:
        if _files == NEW:
            monkeypatch.setattr("resilience.deploy.record._replace", full)
        return sessions(PROVIDER)

    def full(_path: Path, _text: str) -> None:
        raise OSError(28, "No space left on device")

    world.fleet.routers["r1"].sees = fill_disk

    with pytest.raises(Exception, match="the record cannot be written: No space left on device"):
        world.deploy()
    assert world.fleet.routers["r1"].running == OLD
    assert world.fleet.routers["r1"].change is None


def test_resuming_what_is_done_is_refused(tmp_path: Path) -> None:
    """There is nothing to take up."""
    world = make_world(tmp_path, "r1", sees=always_up)
    world.deploy()

    with pytest.raises(UsageError, match="is done"):
        world.resume()


def test_resuming_with_other_files_is_refused(tmp_path: Path) -> None:
    """Half a network would run each."""
    world = make_world(tmp_path, "r1", sees=up_with_old_only)
    world.deploy()
    ended = world.records.read(CHANGE)
    changed = tuple(replace(router, files_sha256="f" * 64) for router in ended.routers)
    world.records.write(replace(ended, routers=changed))

    with pytest.raises(UsageError, match="is not the one that deployment"):
        world.resume()


@pytest.mark.parametrize("deadline_s", [None, 300])
def test_resuming_after_a_repair_deploys_what_was_left(tmp_path: Path, deadline_s: int | None) -> None:
    """The router that was confirmed stays as it is; the deadline may be another one."""
    world = make_world(tmp_path, "r1", "r2", sees=always_up)
    world.fleet.routers["r2"].sees = up_with_old_only
    world.deploy()
    world.fleet.routers["r2"].sees = always_up
    world.fleet.routers["r1"].log.clear()

    assert world.resume(deadline_s).state is DeploymentState.DONE
    assert world.steps() == {"r1": Step.CONFIRMED, "r2": Step.CONFIRMED}
    assert "stage" not in world.fleet.routers["r1"].log
    assert world.records.read(CHANGE).deadline_s == (deadline_s or DEADLINE_S)


def test_resuming_is_refused_where_a_confirmed_router_went_on(tmp_path: Path) -> None:
    """Somebody deployed something else since: this record no longer says what the network runs."""
    world = make_world(tmp_path, "r1", "r2", sees=always_up)
    world.fleet.routers["r2"].sees = up_with_old_only
    world.deploy()
    world.fleet.routers["r1"].confirmed = "20260103-000000-ffffff"

    with pytest.raises(CouldNotTell, match="since then it went on to 20260103-000000-ffffff"):
        world.resume()


def test_a_deployment_is_taken_back_last_wave_first(tmp_path: Path) -> None:
    """Each router is confirmed back only when it answers over a new session."""
    world = make_world(tmp_path, "r1", "r2", sees=always_up)
    world.deploy()
    world.told.clear()
    for router in world.fleet.routers.values():
        router.log.clear()

    back = world.deployer.roll_back(CHANGE)

    assert back.state is DeploymentState.ROLLED_BACK
    assert world.steps() == {"r1": Step.ROLLED_BACK, "r2": Step.ROLLED_BACK}
    assert all(router.startup == router.running == OLD for router in world.fleet.routers.values())
    assert [line for line in world.told if line.endswith(": rolled-back")] == ["r2: rolled-back", "r1: rolled-back"]
    log = world.fleet.routers["r1"].log
    assert "hang_up" in log[log.index("roll_back") : log.index("confirm")]


def test_an_old_copy_of_the_record_takes_everything_back(tmp_path: Path) -> None:
    """What it has as planned is asked all the same: the deployment went on after the copy was made."""
    world = make_world(tmp_path, "r1", "r2")
    ended = world.deploy(("r1",), ("r2",))
    old = tuple(replace(one, step=Step.PLANNED) if one.router == "r2" else one for one in ended.routers)
    world.records.write(replace(ended, routers=old))

    back = world.deployer.roll_back(CHANGE)

    assert back.state is DeploymentState.ROLLED_BACK
    assert all(router.running == router.startup == OLD for router in world.fleet.routers.values())


def test_one_router_out_of_reach_keeps_no_other_from_going_back(tmp_path: Path) -> None:
    """At night every router that comes back counts."""
    world = make_world(tmp_path, "r1", "r2", sees=always_up)
    world.deploy()
    world.fleet.routers["r2"].reachable = False

    back = world.deployer.roll_back(CHANGE)

    assert back.state is DeploymentState.FAILED
    assert back.reason == "not rolled back: r2"
    assert world.steps() == {"r1": Step.ROLLED_BACK, "r2": Step.UNKNOWN}


def test_going_back_that_cuts_a_router_off_is_not_confirmed(tmp_path: Path) -> None:
    """The way back is under the dead man's switch too: the router returns to what it ran."""
    world = make_world(tmp_path, "r1", sees=always_up)
    world.deploy()
    world.fleet.routers["r1"].cut_off_by = lambda files: files == OLD

    back = world.deployer.roll_back(CHANGE)
    world.clock.sleep(DEADLINE_S)
    world.fleet.settle()

    assert back.state is DeploymentState.FAILED
    assert world.fleet.routers["r1"].running == NEW
    assert world.fleet.routers["r1"].confirmed == CHANGE


def test_a_way_back_that_was_only_written_down_is_gone(tmp_path: Path) -> None:
    """Somebody's router lost power, or its program was killed, before it ran."""
    world = make_world(tmp_path, "r1", sees=always_up)
    world.deploy()
    router = world.fleet.routers["r1"]
    router.change, router.phase = CHANGE + UNDO, Phase.STAGED

    back = world.deployer.roll_back(CHANGE)

    assert back.state is DeploymentState.ROLLED_BACK
    assert router.running == router.startup == OLD


def test_a_router_that_went_on_since_is_not_taken_back(tmp_path: Path) -> None:
    """What somebody deployed later is theirs."""
    world = make_world(tmp_path, "r1", sees=always_up)
    world.deploy()
    world.fleet.routers["r1"].confirmed = "20260103-000000-ffffff"

    back = world.deployer.roll_back(CHANGE)

    assert back.state is DeploymentState.FAILED
    assert "since then it went on to 20260103-000000-ffffff" in back.routers[0].reason


def test_status_tells_the_routers_own_word(tmp_path: Path) -> None:
    """The record says confirmed; the router was reset by hand since."""
    world = make_world(tmp_path, "r1", "r2", sees=always_up)
    world.deploy()
    world.fleet.routers["r1"].reachable = False
    before = (tmp_path / f"{CHANGE}.json").read_bytes()

    told = world.deployer.status(CHANGE)

    assert [router.step for router in told.routers] == [Step.UNKNOWN, Step.CONFIRMED]
    assert (tmp_path / f"{CHANGE}.json").read_bytes() == before


def test_two_processes_on_one_machine_never_deploy_the_same_network(tmp_path: Path) -> None:
    """The second is told before it asks any router."""
    world = make_world(tmp_path, "r1", sees=always_up)

    with world.records.hold(), pytest.raises(UsageError, match="another process on this machine"):
        world.deploy()


def test_the_second_engineer_is_told_who_and_since_when(tmp_path: Path) -> None:
    """Also from another machine: the router says it."""
    world = make_world(tmp_path, "r1")
    router = world.fleet.routers["r1"]
    router.change, router.who, router.since = "20260102-020000-0000aa", "boris@laptop", "2026-01-02T02:00:00Z"

    answer = survey(world.fleet, world.bundles, deadline_s=DEADLINE_S)["r1"]

    assert answer.error is not None
    assert answer.error.kind is RouterTrouble.BUSY
    assert "boris@laptop is changing it since 2026-01-02T02:00:00Z" in answer.error.message


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        ({"answers_to": "r9"}, RouterTrouble.WRONG_ROUTER),
        ({"platform": "bird"}, RouterTrouble.WRONG_ROUTER),
        ({"daemon_version": "8.1"}, RouterTrouble.OLD),
        ({"free_bytes": 1000}, RouterTrouble.SPACE),
        ({"reachable": False}, RouterTrouble.UNREACHABLE),
        ({"drift": (FileDiff(file="frr.conf", diff="-a\n+b\n"),)}, RouterTrouble.FAILED),
    ],
)
def test_every_router_is_asked_before_any_is_touched(
    tmp_path: Path, trouble: dict[str, object], kind: RouterTrouble
) -> None:
    """What is wrong with one is its own answer; the others give theirs."""
    world = make_world(tmp_path, "r1", "r2")
    for name, value in trouble.items():
        setattr(world.fleet.routers["r1"], name, value)

    answers = survey(world.fleet, world.bundles, deadline_s=DEADLINE_S)

    assert answers["r1"].error is not None
    assert answers["r1"].error.kind is kind
    assert answers["r2"].error is None
    assert answers["r2"].change is not None


def test_who_asks_nothing_more_leaves_at_once(tmp_path: Path) -> None:
    """An open session costs for as long as the slowest router takes to answer, also where the answer is a refusal."""
    world = make_world(tmp_path, "r1", "r2")
    world.fleet.routers["r1"].answers_to = "r9"

    survey(world.fleet, world.bundles, deadline_s=DEADLINE_S)
    assert all("hang_up" not in router.log for router in world.fleet.routers.values())

    survey(world.fleet, world.bundles, deadline_s=DEADLINE_S, leaving=True)
    assert all(router.log[-1] == "hang_up" for router in world.fleet.routers.values())

    compare(world.fleet, world.bundles)
    assert [router.log.count("hang_up") for router in world.fleet.routers.values()] == [2, 2]


def test_a_deadline_that_the_platform_cannot_keep_is_refused(tmp_path: Path) -> None:
    """Before anything is staged."""
    world = make_world(tmp_path, "r1")

    answer = survey(world.fleet, world.bundles, deadline_s=2)["r1"]

    assert answer.error is not None
    assert "a deadline of 2 s cannot be had" in answer.error.message


def test_the_record_is_on_the_disk_before_anything_is_staged(tmp_path: Path) -> None:
    """Whoever finds it knows what may have happened to which router."""
    world = make_world(tmp_path, "r1", sees=always_up)
    seen: list[Step] = []
    router = world.fleet.routers["r1"]

    def note(_router: object, do: object) -> object:
        seen.append(world.steps()["r1"])
        return do()  # type: ignore[operator]

    router.faults = {name: [note] for name in ("stage", "apply", "confirm")}

    world.deploy()

    assert seen == [Step.STAGING, Step.APPLYING, Step.CONFIRMING]


def test_a_phase_that_is_no_confirmation_is_never_recorded_as_one(tmp_path: Path) -> None:
    """A router that answers `restored` to a confirmation has not confirmed."""
    world = make_world(tmp_path, "r1", sees=always_up)
    router = world.fleet.routers["r1"]

    def restore(_router: object, _do: object) -> object:
        outcome = router.roll_back(CHANGE)
        assert outcome.phase is Phase.RESTORED
        return outcome

    router.faults["confirm"] = [restore]

    assert world.deploy().state is DeploymentState.ROLLED_BACK
    assert world.steps() == {"r1": Step.ROLLED_BACK}


def test_a_deployer_needs_nobody_who_watches(tmp_path: Path) -> None:
    """The defaults are the machine's own clock and silence."""
    world = make_world(tmp_path, "r1", sees=always_up)
    world.deploy()

    assert Deployer(world.fleet, world.records).status(CHANGE).state is DeploymentState.DONE
