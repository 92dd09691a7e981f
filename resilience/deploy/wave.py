"""One wave of a deployment: staged on all its routers, applied, verified from outside, and only then confirmed on all.

Whatever goes wrong brings every router of the wave back. Each step is on the disk before it is taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from resilience.deploy.driver import Bundle, Change, Outcome, Phase
from resilience.deploy.expect import Expected
from resilience.deploy.ledger import Clock, Ledger
from resilience.deploy.router import Fleet, Router
from resilience.deploy.truth import GRACE_S, POLL_S, Patience, Truth, is_lost, tell_truth, undo_router
from resilience.deploy.verify import Judgement, Seen, judge_router, judge_sessions, look
from resilience.errors import RouterError, RouterTrouble
from resilience.model.deployment import Step

LEAVING_S = 5
"""How long somebody who wants to leave waits for routers to go back."""
_LONGEST_MARGIN_S = 5.0
_MARGIN_SHARE = 0.25
_LONGEST_HOLD_S = 3.0
_HOLD_SHARE = 0.1
"""All must stay right for so long: BFD notices after a second what a change cuts off, OSPF after its own pauses."""


class Stopped(Exception):
    """Somebody asked the deployment to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be deployed."""

    change: str
    bundles: Mapping[str, Bundle]
    expected: Mapping[str, Expected]
    deadline_s: int
    drain_wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What it is deployed with."""

    fleet: Fleet
    ledger: Ledger
    clock: Clock
    stop: threading.Event


class Wave:
    """The routers of one wave, from staging to their confirmation or their return."""

    def __init__(self, names: tuple[str, ...], job: Job, means: Means) -> None:
        self._names = names
        self._job = job
        self._fleet = means.fleet
        self._ledger = means.ledger
        self._clock = means.clock
        self._stop = means.stop
        self._before: dict[str, Seen] = {}
        self._draining: set[str] = set()
        self._applied_at = self._clock.monotonic()

    def run(self) -> str:
        """Deploy to every router of the wave; return why all of them were brought back, or nothing.

        Raises:
            Stopped: somebody asked for it; what was applied is rolled back as far as that could be done at once.
        """
        try:
            reason = self._take_steps()
        except BaseException as error:
            self._undo(f"interrupted: {error or type(error).__name__}", patience_s=LEAVING_S)
            raise
        if reason:
            self._undo(reason, patience_s=self._job.deadline_s + GRACE_S)
        return reason

    def _take_steps(self) -> str:
        for step in (self._stage, self._look, self._drain, self._apply, self._undrain, self._verify, self._confirm):
            if self._stop.is_set():
                raise Stopped("somebody asked for it")
            reason = step()
            if reason:
                return reason
        return ""

    # ---- what is done to the routers, one step after the other; each returns why it failed -----------------------

    def _stage(self) -> str:
        self._ledger.step(self._names, Step.STAGING)

        def stage(name: str, router: Router) -> Change:
            return router.stage(self._job.bundles[name])

        answers = self._fleet.each(self._names, stage)
        for name, answer in answers.items():
            if isinstance(answer, Change):
                noted = replace(self._ledger.router(name), restarts=answer.restarts, resets=answer.resets)
                self._ledger.update(noted)
        return self._note(answers, Step.STAGING, Step.STAGED)

    def _look(self) -> str:
        """Note what each router sees before anything changes: what is broken already is not held against the change."""

        def ask(name: str, router: Router) -> Seen:
            return look(router, self._job.expected[name])

        answers = self._fleet.each(self._names, ask)
        self._before = {name: answer for name, answer in answers.items() if isinstance(answer, Seen)}
        return self._note(answers, Step.STAGED)

    def _drain(self) -> str:
        """Move traffic away from routers whose change resets sessions; those that cannot drain are told of."""
        breaking = [name for name in self._names if self._breaks_sessions(name)]
        if not breaking:
            return ""
        self._draining = {name for name in breaking if self._job.bundles[name].drained}
        self._ledger.step(breaking, Step.DRAINING)

        deadline_s = int(self._job.drain_wait_s) + self._job.deadline_s

        def drain(_name: str, router: Router) -> bool:
            return router.hello().can_drain and router.drain(self._job.change, deadline_s=deadline_s)

        answers = self._fleet.each(breaking, drain)
        for name, answer in answers.items():
            if answer is False:
                self._ledger.event(name, "cannot drain: its traffic meets the change")
        reason = self._note(answers, Step.DRAINING)
        if not reason and any(answer is True for answer in answers.values()):
            self._pause(self._job.drain_wait_s)
        return reason

    def _breaks_sessions(self, name: str) -> bool:
        noted = self._ledger.router(name)
        return bool(noted.restarts or noted.resets)

    def _apply(self) -> str:
        self._ledger.step(self._names, Step.APPLYING)
        self._applied_at = self._clock.monotonic()
        answers = self._fleet.each(self._names, self._apply_router)
        return self._note(answers, Step.APPLYING, Step.APPLIED)

    def _apply_router(self, name: str, router: Router) -> Outcome:
        drained = name in self._draining
        try:
            outcome = router.apply(self._job.change, deadline_s=self._job.deadline_s, drained=drained)
        except RouterError as error:
            if not is_lost(error):
                raise
            self._ledger.event(name, f"no answer since it was told to apply: {error.message}")
            outcome = self._wait_for_word(router)
        if outcome.phase is not Phase.APPLIED:
            raise RouterError(
                RouterTrouble.FAILED, outcome.reason or f"it did not apply it: the change is {outcome.phase}"
            )
        self._ledger.update(replace(self._ledger.router(name), drained=drained))
        return outcome

    def _wait_for_word(self, router: Router) -> Outcome:
        """Ask a router that went silent until it says how it stands, or until it must have gone back long since."""
        patience = self._patience()
        while True:
            router.hang_up()
            try:
                pending = router.hello().pending
            except RouterError as error:
                if not (is_lost(error) and patience.wait()):
                    raise
                continue
            if pending is None or pending.change != self._job.change:
                return Outcome(change=self._job.change, phase=Phase.RESTORED, reason="it went back by itself")
            if pending.phase not in {Phase.APPLYING, Phase.RESTORING} or not patience.wait():
                return Outcome(change=self._job.change, phase=pending.phase, remaining_s=pending.remaining_s)

    def _undrain(self) -> str:
        """Take traffic back once the sessions that the change has reset are up again."""
        names = tuple(name for name in self._names if name in self._draining)
        if not names:
            return ""
        broken = self._wait_until_right(names, self._judge_sessions)
        if broken:
            return broken

        def undrain(name: str, router: Router) -> bool:
            answer = router.undrain(self._job.change)
            self._ledger.update(replace(self._ledger.router(name), drained=False))
            return answer

        return self._note(self._fleet.each(names, undrain), Step.APPLIED)

    def _verify(self) -> str:
        hold_s = min(_LONGEST_HOLD_S, self._job.deadline_s * _HOLD_SHARE)
        broken = self._wait_until_right(self._names, self._judge, hold_s=hold_s)
        if not broken:
            self._ledger.step(self._names, Step.VERIFIED)
        return broken

    def _confirm(self) -> str:
        """Confirm every router; whatever one of them answers, only its own word makes it confirmed."""
        self._ledger.step(self._names, Step.CONFIRMING)
        answers = self._fleet.each(self._names, self._confirm_router)
        return self._note(answers, Step.CONFIRMING, Step.CONFIRMED)

    def _confirm_router(self, _name: str, router: Router) -> Outcome:
        try:
            outcome = router.confirm(self._job.change)
        except RouterError as error:
            if not is_lost(error):
                raise
        else:
            if outcome.phase not in {Phase.CONFIRMED, Phase.CONFIRMING}:
                raise RouterError(RouterTrouble.FAILED, outcome.reason or f"not confirmed: it is {outcome.phase}")
            if outcome.phase is Phase.CONFIRMED:
                return outcome
        if self._wait_until_settled(router).step is not Step.CONFIRMED:
            raise RouterError(RouterTrouble.EXPIRED, "the confirmation did not reach it in time")
        return Outcome(change=self._job.change, phase=Phase.CONFIRMED)

    def _wait_until_settled(self, router: Router) -> Truth:
        """Ask a router that was told to confirm whether it did."""
        patience = self._patience()
        while True:
            router.hang_up()
            try:
                hello = router.hello()
            except RouterError as error:
                if not (is_lost(error) and patience.wait()):
                    raise
                continue
            truth = tell_truth(hello, self._job.change, Step.CONFIRMING)
            if truth.step in {Step.CONFIRMED, Step.ROLLED_BACK} or not patience.wait():
                return truth

    # ---- verifying -------------------------------------------------------------------------------------------------

    def _judge(self, name: str, router: Router) -> Judgement:
        return judge_router(router, self._job.change, self._job.expected[name], self._before[name])

    def _judge_sessions(self, name: str, router: Router) -> Judgement:
        expected, before = self._job.expected[name], self._before[name]
        return Judgement(broken=judge_sessions(expected, before.observation, router.observe()))

    def _wait_until_right(
        self, names: tuple[str, ...], judge: Callable[[str, Router], Judgement], *, hold_s: float = 0.0
    ) -> str:
        """Judge routers over new sessions until all is right and stays so; return what is wrong near the deadline."""
        self._fleet.each(names, lambda _name, router: router.hang_up())
        right_since: float | None = None
        while True:
            asked = self._clock.monotonic()
            answers = self._fleet.each(names, judge)
            wrong = {name: text for name, answer in answers.items() if (text := _wrong(answer))}
            if wrong:
                right_since = None
            elif right_since is None:
                right_since = asked
            if right_since is not None and asked - right_since >= hold_s:
                self._tell_of_old_troubles(answers)
                return ""
            if self._is_hopeless(answers) or self._clock.monotonic() + POLL_S >= self._verify_until():
                wrong = wrong or dict.fromkeys(names, "all is right, but has not been for long enough to be sure")
                for name, text in wrong.items():
                    self._ledger.update(replace(self._ledger.router(name), kind="failed", reason=text))
                return "; ".join(f"{name}: {text}" for name, text in wrong.items())
            if self._stop.is_set():
                raise Stopped("somebody asked for it")
            self._clock.sleep(POLL_S)

    def _verify_until(self) -> float:
        """Return when confirming has to begin, so that it arrives before the first router goes back by itself."""
        margin = min(_LONGEST_MARGIN_S, self._job.deadline_s * _MARGIN_SHARE)
        return self._applied_at + self._job.deadline_s - margin

    def _is_hopeless(self, answers: Mapping[str, Judgement | RouterError]) -> bool:
        return any(isinstance(answer, Judgement) and answer.gone for answer in answers.values())

    def _tell_of_old_troubles(self, answers: Mapping[str, Judgement | RouterError]) -> None:
        for name, answer in answers.items():
            if isinstance(answer, Judgement):
                for text in answer.broken_before:
                    self._ledger.event(name, f"{text}, as before the change")

    # ---- going back ------------------------------------------------------------------------------------------------

    def _undo(self, reason: str, *, patience_s: float) -> None:
        """Bring every router of the wave back that may have been touched, and record what each of them then says."""
        with self._ledger.whatever_happens():
            self._undo_all(reason, patience_s)

    def _undo_all(self, reason: str, patience_s: float) -> None:
        names = [name for name in self._names if self._ledger.router(name).step is not Step.PLANNED]
        recorded = {name: self._ledger.router(name) for name in names}
        self._ledger.event("", f"the wave goes back: {reason}")
        for name in names:
            self._ledger.update(replace(recorded[name], step=Step.ROLLING_BACK))
        self._ledger.write()
        # Whoever asked to stop has been heard: what follows is bounded by its own patience.
        patience = Patience(clock=self._clock, until=self._clock.monotonic() + patience_s, stop=threading.Event())

        def undo(_name: str, router: Router) -> Truth:
            return undo_router(router, self._job.change, Step.ROLLING_BACK, patience)

        for name, answer in self._fleet.each(names, undo).items():
            noted = recorded[name]
            if isinstance(answer, RouterError):
                step = Step.UNKNOWN if is_lost(answer) else Step.ROLLING_BACK
                self._ledger.trouble(name, step, answer)
            else:
                self._ledger.update(replace(self._ledger.router(name), drained=False))
                self._ledger.step([name], answer.step, kind=noted.kind, reason=noted.reason)

    # ---- shared ----------------------------------------------------------------------------------------------------

    def _note(self, answers: Mapping[str, object], failed: Step, done: Step | None = None) -> str:
        """Record what each router answered, and return what was wrong with any."""
        troubles = {name: answer for name, answer in answers.items() if isinstance(answer, RouterError)}
        for name, error in troubles.items():
            self._ledger.trouble(name, failed, error)
        fine = [name for name in answers if name not in troubles]
        if done is not None and fine:
            self._ledger.step(fine, done)
        return "; ".join(f"{name}: {error.message}" for name, error in troubles.items())

    def _patience(self) -> Patience:
        """Ask until a router must have gone back long since; once its line is up again, that takes a moment too."""
        restored_by = self._applied_at + self._job.deadline_s + GRACE_S
        return Patience(clock=self._clock, until=max(restored_by, self._clock.monotonic() + GRACE_S), stop=self._stop)

    def _pause(self, seconds: float) -> None:
        """Let neighbours find their other ways."""
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and not self._stop.is_set():
            self._clock.sleep(min(POLL_S, seconds))


def _wrong(answer: Judgement | RouterError) -> str:
    if isinstance(answer, RouterError):
        return answer.message
    return "; ".join(answer.broken)
