"""Every deployment interrupted at every step: what each router runs then, what the record says, how it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from resilience.errors import ResilienceError, RouterTrouble
from resilience.model.deployment import Deployment, DeploymentState, Step
from tests.support.fake_deployments import CHANGE, DEADLINE_S, NEW, OLD, PROVIDER, World, make_world
from tests.support.fake_routers import (
    Fault,
    Killed,
    die,
    die_after,
    lose_answer,
    lose_power,
    lose_question,
    refuse,
    sessions,
)

QUESTIONS = ("stage", "observe", "probe", "drain", "apply", "hello", "undrain", "check", "confirm")
TROUBLES: dict[str, Fault] = {
    "question-lost": lose_question,
    "answer-lost": lose_answer,
    "power-lost": lose_power,
    "refused": refuse(RouterTrouble.FAILED),
    "no-space": refuse(RouterTrouble.SPACE),
    "killed-before": die,
    "killed-after": die_after,
}
CELLS = [(question, trouble) for question in QUESTIONS for trouble in TROUBLES]


def world_with(folder: Path, question: str, trouble: Fault) -> World:
    """Return three routers in two waves; the second of the first wave has trouble at a question after its survey."""
    world = make_world(
        folder, "r1", "r2", "r3", sees=lambda _files: sessions(PROVIDER), resets=(PROVIDER,), can_drain=True
    )
    for router in world.fleet.routers.values():
        router.confirmed = "20250101-000000-000000"
    survey_asks = 1 if question == "hello" else 0
    world.fleet.routers["r2"].faults[question] = [*[lambda _router, do: do()] * survey_asks, trouble]
    return world


def deploy(world: World) -> Deployment | None:
    """Deploy until the end, or until whoever deploys is killed."""
    try:
        return world.deploy(("r1", "r2"), ("r3",))
    except Killed:
        return None


def check_truth(world: World) -> None:
    """Hold every router and its record against what is always true."""
    for router in world.fleet.routers.values():
        router.settle()
        assert router.running in (OLD, NEW)
        assert router.startup in (OLD, NEW)
        assert world.steps()[router.name] is not Step.CONFIRMED or router.confirmed == CHANGE


@pytest.mark.parametrize(("question", "trouble"), CELLS, ids=[f"{q}-{t}" for q, t in CELLS])
def test_every_router_ends_whole_and_the_record_never_claims_too_much(
    question: str, trouble: str, tmp_path: Path
) -> None:
    """Whatever happens at whichever step: old or new, and once the deadline has passed, what it starts with too."""
    world = world_with(tmp_path, question, TROUBLES[trouble])

    deploy(world)
    check_truth(world)
    world.clock.sleep(DEADLINE_S + 1)
    check_truth(world)
    assert all(router.running == router.startup for router in world.fleet.routers.values())

    world.clock.sleep(DEADLINE_S)
    check_truth(world)
    assert not any(router.drained for router in world.fleet.routers.values())


@pytest.mark.parametrize(("question", "trouble"), CELLS, ids=[f"{q}-{t}" for q, t in CELLS])
def test_status_tells_what_each_router_runs(question: str, trouble: str, tmp_path: Path) -> None:
    """Also where nobody was left to write it down."""
    world = world_with(tmp_path, question, TROUBLES[trouble])
    deploy(world)
    world.again()

    told = {router.router: router.step for router in world.deployer.status(CHANGE).routers}

    for name, router in world.fleet.routers.items():
        assert (told[name] is Step.CONFIRMED) == (router.startup == NEW)


@pytest.mark.parametrize(("question", "trouble"), CELLS, ids=[f"{q}-{t}" for q, t in CELLS])
def test_it_goes_on_from_the_record_at_once_and_later(question: str, trouble: str, tmp_path: Path) -> None:
    """Right after the death, while changes are still applied and wait, and long after they have gone."""
    for wait_s in (0, DEADLINE_S + 1):
        folder = tmp_path / str(wait_s)
        world = world_with(folder, question, TROUBLES[trouble])
        ended = deploy(world)
        world.clock.sleep(wait_s)
        world.again()

        if ended is None or ended.state is not DeploymentState.DONE:
            ended = world.resume()

        assert ended.state is DeploymentState.DONE
        assert set(world.steps().values()) == {Step.CONFIRMED}
        assert all(router.running == router.startup == NEW for router in world.fleet.routers.values())


@pytest.mark.parametrize(("question", "trouble"), CELLS, ids=[f"{q}-{t}" for q, t in CELLS])
def test_it_is_taken_back_from_the_record(question: str, trouble: str, tmp_path: Path) -> None:
    """Whatever state it was left in."""
    world = world_with(tmp_path, question, TROUBLES[trouble])
    deploy(world)
    world.again()

    back = world.deployer.roll_back(CHANGE)

    assert back.state is DeploymentState.ROLLED_BACK
    assert Step.CONFIRMED not in world.steps().values()
    assert all(router.running == router.startup == OLD for router in world.fleet.routers.values())
    assert all(router.change is None for router in world.fleet.routers.values())


@pytest.mark.parametrize("number", range(11))
def test_taking_back_can_be_killed_and_taken_up(number: int, tmp_path: Path) -> None:
    """Killed at its question of that number; a second try brings every router back."""
    world = make_world(tmp_path, "r1", "r2", sees=lambda _files: sessions(PROVIDER))
    world.deploy(("r1", "r2"))
    asked = 0

    def count(router: object, do: object) -> object:
        nonlocal asked
        asked += 1
        return die(router, do) if asked == number + 1 else do()  # type: ignore[arg-type,operator]

    for router in world.fleet.routers.values():
        for question in ("hello", "roll_back", "confirm"):
            router.faults[question] = [count] * 100

    try:
        world.deployer.roll_back(CHANGE)
    except Killed:
        world.again()
        world.deployer.roll_back(CHANGE)
    check_truth(world)

    assert all(router.running == router.startup == OLD for router in world.fleet.routers.values())
    assert set(world.steps().values()) == {Step.ROLLED_BACK}


@pytest.mark.parametrize("number", range(60))
def test_killed_at_any_question_it_goes_on(number: int, tmp_path: Path) -> None:
    """Not only at those that somebody thought of."""
    world = make_world(tmp_path, "r1", "r2", "r3", sees=lambda _files: sessions(PROVIDER))
    asked = 0

    def count(router: object, do: object) -> object:
        nonlocal asked
        asked += 1
        return die_after(router, do) if asked == number + 1 else do()  # type: ignore[arg-type,operator]

    for router in world.fleet.routers.values():
        router.faults = {question: [count] * 100 for question in (*QUESTIONS, "diff")}

    try:
        world.deploy(("r1", "r2"), ("r3",))
    except Killed:
        world.again()
        try:
            check_truth(world)
            world.resume()
        except ResilienceError:
            # Killed before the record was begun, and so before anything was done: there is nothing to take up.
            assert not world.records.ids()
            world.deploy(("r1", "r2"), ("r3",))
    check_truth(world)

    assert set(world.steps().values()) == {Step.CONFIRMED}
