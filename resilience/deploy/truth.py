"""What a router's own word means for the record, and how a router is brought back, whatever state it is found in."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from resilience.deploy.driver import Phase
from resilience.deploy.ledger import Clock
from resilience.deploy.record import UNDO
from resilience.deploy.router import Hello, Router
from resilience.deploy.survey import refuse_pending
from resilience.errors import RouterError, RouterTrouble
from resilience.model.deployment import Step

POLL_S = 0.5
"""How often a router that cannot be reached, or is at work, is asked again."""
GRACE_S = 10
"""How long after its deadline a router may take to restore and to answer again."""

_STEPS = {
    Phase.STAGED: Step.STAGED,
    Phase.APPLYING: Step.APPLYING,
    Phase.APPLIED: Step.APPLIED,
    Phase.CONFIRMING: Step.CONFIRMING,
    Phase.RESTORING: Step.ROLLING_BACK,
}
_NOTHING_DONE = frozenset({Step.PLANNED, Step.UNCHANGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Where a change stands on a router, by the router's own word."""

    step: Step
    reason: str = ""


def tell_truth(hello: Hello, change: str, recorded: Step) -> Truth:
    """Return where a change stands; `recorded` is what was written down last."""
    pending = hello.pending
    if pending is not None and pending.change == change:
        return Truth(step=_STEPS.get(pending.phase, recorded))
    if pending is not None and pending.change == change + UNDO:
        return Truth(step=Step.ROLLING_BACK, reason=f"{pending.change} is {pending.phase}")
    if hello.confirmed == change:
        return Truth(step=Step.CONFIRMED)
    if hello.confirmed == change + UNDO:
        return Truth(step=Step.ROLLED_BACK)
    return _tell_of_another(hello, recorded)


def _tell_of_another(hello: Hello, recorded: Step) -> Truth:
    """Judge a router that knows nothing of the change: it never had it, took it back, or went on to another."""
    if recorded in _NOTHING_DONE:
        return Truth(step=recorded)
    if recorded is Step.CONFIRMED:
        return Truth(step=Step.CONFIRMED, reason=f"since then it went on to {hello.confirmed or 'something by hand'}")
    return Truth(step=Step.ROLLED_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a router is asked again before it counts as unreachable."""

    clock: Clock
    until: float
    stop: threading.Event
    """Set: somebody wants to leave; each question is asked once."""

    def wait(self) -> bool:
        """Let a moment pass; False: there is no time left."""
        if self.stop.is_set() or self.clock.monotonic() >= self.until:
            return False
        self.clock.sleep(POLL_S)
        return True


def is_lost(error: RouterError) -> bool:
    """Say whether a router may answer if it is asked again: the connection broke or did not come up."""
    return error.kind is RouterTrouble.UNREACHABLE


_OVERTAKEN = frozenset({RouterTrouble.UNREACHABLE, RouterTrouble.NOTHING_PENDING, RouterTrouble.EXPIRED})
"""What a router says whose own deadline was faster than us: its next answer tells how it stands."""


def undo_router(router: Router, change: str, recorded: Step, patience: Patience) -> Truth:
    """Bring one router back to what it ran before a change, and return once its own word says so.

    Each question goes over a new session: a router that answers it, with the former configuration applied and not yet
    confirmed, is one that going back did not cut off.

    Raises:
        RouterError: it was not reached in time, or has gone on to another change since.
    """
    while True:
        router.hang_up()
        try:
            done = _undo_step(router, change, recorded)
        except RouterError as error:
            if error.kind not in _OVERTAKEN or not patience.wait():
                raise
        else:
            if done is not None:
                return done
            if not patience.wait():
                raise RouterError(RouterTrouble.FAILED, "it has not come to rest in time; --status asks again")


def _undo_step(router: Router, change: str, recorded: Step) -> Truth | None:
    """Take one step back; None: there is more to do, or the router is still at work."""
    hello = router.hello()
    pending = hello.pending
    if pending is None:
        return _undo_settled(router, hello, change, recorded)
    refuse_pending(pending, change)
    if pending.change == change + UNDO:
        if pending.phase is Phase.APPLIED:
            router.confirm(pending.change)
        elif pending.phase is Phase.STAGED:  # whoever began to go back was interrupted
            router.roll_back(change)
    elif pending.phase in {Phase.STAGED, Phase.APPLYING, Phase.APPLIED}:
        router.roll_back(change)
    return None


def _undo_settled(router: Router, hello: Hello, change: str, recorded: Step) -> Truth | None:
    if hello.confirmed == change:
        router.roll_back(change)
        return None
    truth = tell_truth(hello, change, recorded)
    if truth.reason:
        raise RouterError(
            RouterTrouble.FAILED,
            f"it cannot go back: {truth.reason}",
            hint="roll that back first, or deploy the former intent",
        )
    return truth
