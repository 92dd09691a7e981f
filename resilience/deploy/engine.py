"""A deployment from its first wave to its last, taken up again after a crash, asked after, and taken back.

`docs/explanation/confirm.md` draws the states. What is written down here is what was begun; what a router runs is
always asked of the router.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from resilience.deploy.driver import Bundle
from resilience.deploy.expect import Expected
from resilience.deploy.ledger import Clock, Ledger, SystemClock, Tell
from resilience.deploy.record import Records
from resilience.deploy.router import Fleet, Router
from resilience.deploy.survey import Surveyed, survey
from resilience.deploy.truth import GRACE_S, Patience, Truth, is_lost, tell_truth, undo_router
from resilience.deploy.wave import Job, Means, Stopped, Wave
from resilience.errors import CouldNotTell, RouterError, UsageError
from resilience.model.deployment import DeployedRouter, Deployment, DeploymentState, Step

SETTLED = frozenset({Step.CONFIRMED, Step.UNCHANGED})
"""Nothing is left to do on such a router."""
_CANNOT_TELL = frozenset({Step.UNKNOWN})
_BACK = frozenset({Step.ROLLED_BACK, Step.UNCHANGED, Step.PLANNED})


def _say_nothing(_router: str, _text: str) -> None:
    """Be watched by nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wares:
    """What the routers of a deployment are to run, and what they should see then."""

    bundles: Mapping[str, Bundle]
    expected: Mapping[str, Expected]
    hashes: Mapping[str, str]
    """Digest of each router's files, passwords as references."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Who watches a deployment, by which clock it goes, and how it is told to stop."""

    tell: Tell = _say_nothing
    clock: Clock = field(default_factory=lambda: SystemClock())
    stop: threading.Event = field(default_factory=threading.Event)


class Deployer:
    """Brings configurations to the routers of a fleet, wave by wave."""

    def __init__(self, fleet: Fleet, records: Records, watching: Watching | None = None) -> None:
        self._fleet = fleet
        self._records = records
        self._watching = watching or Watching()

    def deploy(self, deployment: Deployment, wares: Wares, *, drain_wait_s: float) -> Deployment:
        """Deploy for the first time: every router is surveyed already and the record says `planned` or `unchanged`."""
        with self._records.hold():
            ledger = self._open(deployment)
            ledger.write()
            return self._go_on(ledger, wares, drain_wait_s)

    def resume(
        self, deployment_id: str, wares: Wares, *, drain_wait_s: float, deadline_s: int | None = None
    ) -> Deployment:
        """Take up a deployment that stopped half way: what is unsettled goes back first, then its waves go on.

        `deadline_s`: another one than it had, which may be why it did not come to its end.

        Raises:
            UsageError: it is done, or what would be deployed is not what it deployed.
            CouldNotTell: some router of it cannot be asked, or is not as the record has it.
        """
        with self._records.hold():
            deployment = self._records.read(deployment_id)
            _refuse_done(deployment)
            _refuse_other_files(deployment, wares)
            ledger = self._open(deployment)
            ledger.state(DeploymentState.RUNNING, "taken up again", ended=False)
            self._settle(ledger)
            if deadline_s is not None:
                ledger.set_deadline(deadline_s)
            self._survey_again(ledger, wares)
            return self._go_on(ledger, wares, drain_wait_s)

    def status(self, deployment_id: str) -> Deployment:
        """Return a record with every router's own word in the place of what was written down. Changes nothing."""
        deployment = self._records.read(deployment_id)
        known = {router.router: router for router in deployment.routers}

        def ask(name: str, router: Router) -> Truth:
            return tell_truth(router.hello(), deployment_id, known[name].step)

        answers = self._fleet.each(self._present(known), ask)
        routers = tuple(_with_truth(router, answers.get(router.router)) for router in deployment.routers)
        return replace(deployment, routers=routers)

    def roll_back(self, deployment_id: str) -> Deployment:
        """Take a deployment back, last wave first, whatever state it is in; who cannot be reached stops nobody else."""
        with self._records.hold():
            deployment = self._records.read(deployment_id)
            ledger = self._open(deployment)
            ledger.state(DeploymentState.RUNNING, "being rolled back", ended=False)
            self._ask_the_untouched(ledger)
            touched = [r for r in ledger.deployment.routers if r.step not in {Step.PLANNED, Step.UNCHANGED}]
            for wave in sorted({router.wave for router in touched}, reverse=True):
                self._bring_back(ledger, [router.router for router in touched if router.wave == wave])
            return self._end_roll_back(ledger)

    # ---- forwards --------------------------------------------------------------------------------------------------

    def _go_on(self, ledger: Ledger, wares: Wares, drain_wait_s: float) -> Deployment:
        job = Job(
            change=ledger.deployment.id,
            bundles=wares.bundles,
            expected=wares.expected,
            deadline_s=ledger.deployment.deadline_s,
            drain_wait_s=drain_wait_s,
        )
        means = Means(fleet=self._fleet, ledger=ledger, clock=self._watching.clock, stop=self._watching.stop)
        for number in sorted({router.wave for router in ledger.deployment.routers}):
            names = _left(ledger.deployment, number)
            if not names:
                continue
            ledger.event("", f"wave {number}: {', '.join(names)}")
            reason = self._run_wave(Wave(names, job, means), ledger)
            if reason:
                _end_failed(ledger, names, reason)
                return ledger.deployment
        ledger.state(DeploymentState.DONE)
        return ledger.deployment

    def _run_wave(self, wave: Wave, ledger: Ledger) -> str:
        """Run a wave; where it is interrupted, the record says how things stand before anything else happens."""
        try:
            return wave.run()
        except Stopped as stopped:
            return f"interrupted: {stopped}"
        except BaseException as error:
            with ledger.whatever_happens():
                _end_failed(ledger, [r.router for r in ledger.deployment.routers], f"interrupted: {error!r}")
            raise

    # ---- taking up again -------------------------------------------------------------------------------------------

    def _settle(self, ledger: Ledger) -> None:
        """Bring every router of an unfinished wave to rest, the old or the new one, by its own word."""
        open_ones = [
            r.router for r in ledger.deployment.routers if r.step not in SETTLED and r.step is not Step.PLANNED
        ]
        known = {router.router: router.step for router in ledger.deployment.routers}
        patience = self._patience(ledger.deployment.deadline_s)

        def settle(name: str, router: Router) -> Truth:
            truth = tell_truth(router.hello(), ledger.deployment.id, known[name])
            if truth.step is Step.CONFIRMED:
                return truth
            return undo_router(router, ledger.deployment.id, known[name], patience)

        self._note(ledger, self._fleet.each(open_ones, settle))
        self._check_confirmed(ledger)
        unknown = [r for r in ledger.deployment.routers if r.kind and r.step is not Step.PLANNED]
        if unknown:
            ledger.state(DeploymentState.FAILED, "not every router of it could be settled")
            raise CouldNotTell(
                "; ".join(f"{router.router}: {router.reason}" for router in unknown),
                hint=f"`--status {ledger.deployment.id}` asks again; nothing was staged",
            )
        for router in ledger.deployment.routers:
            if router.step is Step.ROLLED_BACK:
                ledger.update(replace(router, step=Step.PLANNED, drained=False))
        ledger.write()

    def _check_confirmed(self, ledger: Ledger) -> None:
        """Hold routers that the record has as confirmed against their own word."""
        confirmed = [r.router for r in ledger.deployment.routers if r.step is Step.CONFIRMED]

        def ask(_name: str, router: Router) -> Truth:
            return tell_truth(router.hello(), ledger.deployment.id, Step.CONFIRMED)

        for name, answer in self._fleet.each(confirmed, ask).items():
            if isinstance(answer, RouterError):
                ledger.update(replace(ledger.router(name), kind=answer.kind.value, reason=answer.message))
            elif answer.reason or answer.step is not Step.CONFIRMED:
                reason = answer.reason or f"the record has it confirmed, it says {answer.step}"
                ledger.update(replace(ledger.router(name), kind="failed", reason=reason))

    def _survey_again(self, ledger: Ledger, wares: Wares) -> None:
        """Ask the routers that are left as before a first deployment; nothing is staged where one of them refuses."""
        left = [router.router for router in ledger.deployment.routers if router.step is Step.PLANNED]
        bundles = {name: wares.bundles[name] for name in left}
        surveyed = survey(self._fleet, bundles, deadline_s=ledger.deployment.deadline_s)
        troubles = {name: answer.error for name, answer in surveyed.items() if answer.error is not None}
        for name, error in troubles.items():
            ledger.update(replace(ledger.router(name), kind=error.kind.value, reason=error.message))
        if troubles:
            reason = "; ".join(f"{name}: {error.message}" for name, error in troubles.items())
            ledger.state(DeploymentState.FAILED, reason)
            raise CouldNotTell(reason, hint="nothing was staged")
        for name, answer in surveyed.items():
            if answer.change is not None and answer.change.empty:
                ledger.step([name], Step.UNCHANGED)

    # ---- backwards -------------------------------------------------------------------------------------------------

    def _ask_the_untouched(self, ledger: Ledger) -> None:
        """Ask those that nothing was done to by the record: it may be a copy from before the deployment went on."""
        planned = [r.router for r in ledger.deployment.routers if r.step is Step.PLANNED]

        def ask(_name: str, router: Router) -> Truth:
            return tell_truth(router.hello(), ledger.deployment.id, Step.PLANNED)

        for name, answer in self._fleet.each(self._present(planned), ask).items():
            if isinstance(answer, RouterError):
                ledger.trouble(name, Step.UNKNOWN if is_lost(answer) else Step.PLANNED, answer)
            elif answer.step is not Step.PLANNED:
                ledger.step([name], answer.step)

    def _bring_back(self, ledger: Ledger, names: Sequence[str]) -> None:
        known = {router.router: router.step for router in ledger.deployment.routers}
        ledger.step(self._present(names), Step.ROLLING_BACK)
        patience = self._patience(ledger.deployment.deadline_s)

        def undo(name: str, router: Router) -> Truth:
            return undo_router(router, ledger.deployment.id, known[name], patience)

        self._note(ledger, self._fleet.each(self._present(names), undo))

    def _end_roll_back(self, ledger: Ledger) -> Deployment:
        left = [router.router for router in ledger.deployment.routers if router.step not in _BACK]
        if left:
            ledger.state(DeploymentState.FAILED, f"not rolled back: {', '.join(left)}")
        else:
            ledger.state(DeploymentState.ROLLED_BACK, "rolled back as asked")
        return ledger.deployment

    # ---- shared ----------------------------------------------------------------------------------------------------

    def _open(self, deployment: Deployment) -> Ledger:
        return Ledger(deployment, self._records, self._watching.clock, self._watching.tell)

    def _present(self, names: Sequence[str] | Mapping[str, object]) -> list[str]:
        """Return those that the inventory still has."""
        return [name for name in names if name in self._fleet.names]

    def _patience(self, deadline_s: int) -> Patience:
        until = self._watching.clock.monotonic() + deadline_s + GRACE_S
        return Patience(clock=self._watching.clock, until=until, stop=self._watching.stop)

    def _note(self, ledger: Ledger, answers: Mapping[str, Truth | RouterError]) -> None:
        for name, answer in answers.items():
            if isinstance(answer, RouterError):
                step = Step.UNKNOWN if is_lost(answer) else ledger.router(name).step
                ledger.trouble(name, step, answer)
            else:
                ledger.step([name], answer.step)


def plan_routers(
    waves: Sequence[Sequence[str]], surveyed: Mapping[str, Surveyed], wares: Wares
) -> tuple[DeployedRouter, ...]:
    """Return what a record says of each router before anything is done to it."""
    return tuple(
        DeployedRouter(
            router=name,
            platform=wares.bundles[name].platform,
            wave=number,
            step=Step.UNCHANGED if _is_unchanged(surveyed[name]) else Step.PLANNED,
            files_sha256=wares.hashes[name],
        )
        for number, wave in enumerate(waves)
        for name in wave
    )


def _is_unchanged(surveyed: Surveyed) -> bool:
    return surveyed.change is not None and surveyed.change.empty


def _left(deployment: Deployment, wave: int) -> tuple[str, ...]:
    return tuple(r.router for r in deployment.routers if r.wave == wave and r.step not in SETTLED)


def _end_failed(ledger: Ledger, names: Sequence[str], reason: str) -> None:
    """Say how a deployment ended whose wave went back: everything of it is old again, or some of it is not."""
    steps = {ledger.router(name).step for name in names}
    whole = steps <= _BACK | SETTLED
    ledger.state(DeploymentState.ROLLED_BACK if whole else DeploymentState.FAILED, reason)


def _with_truth(router: DeployedRouter, answer: Truth | RouterError | None) -> DeployedRouter:
    if answer is None:
        return replace(router, step=Step.UNKNOWN, kind="unreachable", reason="the inventory has no such router")
    if isinstance(answer, RouterError):
        return replace(router, step=Step.UNKNOWN, kind=answer.kind.value, reason=answer.message)
    return replace(router, step=answer.step, reason=answer.reason or router.reason)


def _refuse_done(deployment: Deployment) -> None:
    if all(router.step in SETTLED for router in deployment.routers):
        raise UsageError(f"deployment {deployment.id} is done", hint="`resilience deploy NET --commit` begins another")


def _refuse_other_files(deployment: Deployment, wares: Wares) -> None:
    """Refuse to go on with other files than those that began: half a network would run each."""
    for router in deployment.routers:
        if router.router not in wares.hashes:
            raise UsageError(
                f"deployment {deployment.id} names a router that the network has not: {router.router}",
                hint="bring the intent back that it deployed, or roll it back",
            )
        if wares.hashes[router.router] != router.files_sha256:
            raise UsageError(
                f"the configuration of {router.router} is not the one that deployment {deployment.id} began with",
                hint="bring that intent back, or roll the deployment back and begin another",
            )
