"""The picture of docs/explanation/confirm.md, walked at random: whatever happens in whichever order, it holds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from resilience.errors import ResilienceError, RouterTrouble
from resilience.model.deployment import DeploymentState, Step
from tests.support.fake_deployments import CHANGE, DEADLINE_S, NEW, OLD, PROVIDER, make_world
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

NAMES = ("r1", "r2", "r3")
WAVES = (("r1",), ("r2", "r3"))
FAULTS: dict[str, Fault] = {
    "fine": lambda _router, do: do(),
    "question lost": lose_question,
    "answer lost": lose_answer,
    "power lost": lose_power,
    "refused": refuse(RouterTrouble.FAILED),
    "killed before": die,
    "killed after": die_after,
}
QUESTIONS = ("hello", "diff", "stage", "observe", "apply", "check", "confirm", "roll_back", "drain", "undrain")
names = st.sampled_from(NAMES)


class Confirming(RuleBasedStateMachine):
    """Three routers, two waves, one engineer who comes back, and the world's troubles in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="deployments-"))
        self.world = make_world(
            self.folder, *NAMES, sees=lambda _files: sessions(PROVIDER), resets=(PROVIDER,), can_drain=True
        )
        for router in self.world.fleet.routers.values():
            router.confirmed = "20250101-000000-000000"

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder)

    @property
    def begun(self) -> bool:
        """There is a record to go on from."""
        return bool(self.world.records.ids())

    @rule(
        name=names, question=st.sampled_from(QUESTIONS), troubles=st.lists(st.sampled_from(sorted(FAULTS)), max_size=3)
    )
    def expect_trouble(self, name: str, question: str, troubles: list[str]) -> None:
        """Let the next calls of a question go wrong."""
        self.world.fleet.routers[name].faults[question] = [FAULTS[trouble] for trouble in troubles]

    @rule(name=names)
    def lose_power(self, name: str) -> None:
        """Boot a router between two questions."""
        self.world.fleet.routers[name].reboot()

    @rule(name=names, reachable=st.booleans())
    def cut(self, name: str, reachable: bool) -> None:
        """Cut a router off, or connect it again."""
        self.world.fleet.routers[name].reachable = reachable

    @rule(seconds=st.sampled_from([1, DEADLINE_S / 2, DEADLINE_S + 1]))
    def wait(self, seconds: float) -> None:
        """Let time pass, also beyond deadlines."""
        self.world.clock.sleep(seconds)
        self.world.fleet.settle()

    @precondition(lambda self: not self.begun)
    @rule()
    def deploy(self) -> None:
        """Begin."""
        self._try(lambda: self.world.deploy(*WAVES))

    @precondition(lambda self: self.begun)
    @rule()
    def resume(self) -> None:
        """Go on from the record."""
        self._try(self.world.resume)

    @precondition(lambda self: self.begun)
    @rule()
    def roll_back(self) -> None:
        """Take it back."""
        self._try(lambda: self.world.deployer.roll_back(CHANGE))

    @precondition(lambda self: self.begun)
    @rule()
    def ask(self) -> None:
        """Ask every router: what it says is what it runs."""

        def status() -> None:
            for told in self.world.deployer.status(CHANGE).routers:
                router = self.world.fleet.routers[told.router]
                if told.step is Step.CONFIRMED:
                    assert router.confirmed == CHANGE
                    assert router.startup == NEW
                if told.step is Step.ROLLED_BACK:
                    assert router.startup == router.running == OLD

        self._try(status)

    def _try(self, work: object) -> None:
        """Do something as a process of its own, which may die of it."""
        self.world.again()
        try:
            work()  # type: ignore[operator]
        except (Killed, ResilienceError, AssertionError) as error:
            # The survey's refusal in `World.deploy` is an assertion; those of this machine are not swallowed.
            if isinstance(error, AssertionError) and self.begun:
                raise
        self.world.again()

    @invariant()
    def routers_are_whole(self) -> None:
        """Each runs and starts with the whole old or the whole new configuration, never a mixture or a third."""
        for router in self.world.fleet.routers.values():
            assert router.running in (OLD, NEW)
            assert router.startup in (OLD, NEW)

    @invariant()
    def nothing_unconfirmed_lasts(self) -> None:
        """What is not settled runs out, and what is settled is what the router starts with."""
        for router in self.world.fleet.routers.values():
            router.settle()
            if router.change is None:
                assert router.running == router.startup
            else:
                assert router.deadline <= self.world.clock.seconds + DEADLINE_S

    @invariant()
    def the_record_claims_no_confirmation_that_is_none(self) -> None:
        """Confirmed on paper is confirmed on the router."""
        if not self.begun:
            return
        record = self.world.records.read(CHANGE)
        for noted in record.routers:
            if noted.step is Step.CONFIRMED:
                assert self.world.fleet.routers[noted.router].confirmed == CHANGE
        if record.state is DeploymentState.DONE:
            assert {noted.step for noted in record.routers} <= {Step.CONFIRMED, Step.UNCHANGED}

    @invariant()
    def nobody_confirms_without_verifying(self) -> None:
        """Between applying and confirming a router was asked over a new session what it sees."""
        for router in self.world.fleet.routers.values():
            last_apply = None
            for place, entry in enumerate(router.log):
                if entry == "apply":
                    last_apply = place
                if entry == "roll_back":
                    last_apply = None
                if entry == "confirm" and last_apply is not None:
                    between = router.log[last_apply:place]
                    assert "hang_up" in between
                    assert "observe" in between[between.index("hang_up") :]


Confirming.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestConfirming = Confirming.TestCase
