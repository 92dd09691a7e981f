"""A record while its deployment runs: every step goes to the disk first, then to whoever watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from resilience.deploy.record import Records
from resilience.errors import ResilienceError, RouterError
from resilience.model.deployment import DeployedRouter, Deployment, DeploymentEvent, DeploymentState, Step

Tell = Callable[[str, str], None]
"""Takes a router's name (empty: all) and what happened, for people who watch."""

_MOST_EVENTS = 5_000


class Clock(Protocol):
    """Time as a deployment needs it: a steady one that it waits by, and the one on the wall for records."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""

    def now(self) -> datetime:
        """Return the time of day, UTC."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the time of day, UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


class Ledger:
    """The record of a running deployment. Used by all threads that work on its routers."""

    def __init__(self, deployment: Deployment, records: Records, clock: Clock, tell: Tell) -> None:
        self._deployment = deployment
        self._records = records
        self._clock = clock
        self._tell = tell
        self._lock = threading.RLock()
        self._must_write = True

    @property
    def deployment(self) -> Deployment:
        """The record as it stands."""
        return self._deployment

    def router(self, name: str) -> DeployedRouter:
        """Return what is recorded of a router."""
        return next(router for router in self._deployment.routers if router.router == name)

    def write(self) -> None:
        """Put the record on the disk as it stands."""
        with self._lock:
            try:
                self._records.write(self._deployment)
            except ResilienceError as error:
                if self._must_write:
                    raise
                self._tell("", error.message)

    @contextmanager
    def whatever_happens(self) -> Iterator[None]:
        """Go on where the record cannot be written: bringing routers back matters more than writing that down."""
        before, self._must_write = self._must_write, False
        try:
            yield
        finally:
            self._must_write = before

    def step(self, names: Iterable[str], step: Step, event: str = "", *, kind: str = "", reason: str = "") -> None:
        """Note that routers came to a step; nothing is done before this is on the disk."""
        wanted = frozenset(names)
        with self._lock:
            routers = tuple(
                replace(router, step=step, kind=kind, reason=reason) if router.router in wanted else router
                for router in self._deployment.routers
            )
            self._deployment = replace(self._deployment, routers=routers)
            for name in sorted(wanted):
                self._add_event(name, event or step.value)
            self.write()
            for name in sorted(wanted):
                self._tell(name, event or step.value)

    def set_deadline(self, seconds: int) -> None:
        """Give what is still to be deployed another deadline. The next step writes it down."""
        with self._lock:
            self._deployment = replace(self._deployment, deadline_s=seconds)

    def update(self, changed: DeployedRouter) -> None:
        """Replace what is recorded of a router. The next step writes it down."""
        with self._lock:
            routers = tuple(changed if one.router == changed.router else one for one in self._deployment.routers)
            self._deployment = replace(self._deployment, routers=routers)

    def trouble(self, name: str, step: Step, error: RouterError) -> None:
        """Note a step together with what is wrong with its router."""
        self.step([name], step, f"{step.value}: {error.message}", kind=error.kind.value, reason=error.message)

    def event(self, router: str, text: str) -> None:
        """Note that something happened; the next step writes it down."""
        with self._lock:
            self._add_event(router, text)
            self._tell(router, text)

    def state(self, state: DeploymentState, reason: str = "", *, ended: bool = True) -> None:
        """Note how the whole deployment stands, and that it ended."""
        with self._lock:
            at = self._at() if ended else ""
            self._deployment = replace(self._deployment, state=state, reason=reason, ended=at)
            text = f"{state.value}: {reason}" if reason else state.value
            self._add_event("", text)
            self.write()
            self._tell("", text)

    def _add_event(self, router: str, text: str) -> None:
        """Keep the newest events of a deployment that never ends, and the beginning, which says what it was about."""
        events = (*self._deployment.events, DeploymentEvent(at=self._at(), router=router, event=text))
        if len(events) > _MOST_EVENTS:
            events = events[: _MOST_EVENTS // 2] + events[_MOST_EVENTS // 2 + 1 :]
        self._deployment = replace(self._deployment, events=events)

    def _at(self) -> str:
        return self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
