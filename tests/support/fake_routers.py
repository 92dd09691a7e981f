"""Routers in memory, on a clock that only moves when somebody waits: every trouble at every step, in no time.

Each follows the picture of docs/explanation/confirm.md: what runs, what it starts with, one change that is not settled,
and a deadline after which it goes back by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from resilience.deploy.driver import Bundle, Capabilities, Change, FileDiff, Outcome, Pending, Phase
from resilience.deploy.record import UNDO, Records
from resilience.deploy.router import Check, Hello, Observation, Probe, Router, SeenSession, Survey
from resilience.errors import RouterError, RouterTrouble
from resilience.model.deployment import Deployment, DriftedFile

T = TypeVar("T")
Files = Mapping[str, str]
Fault = Callable[["FakeRouter", Callable[[], object]], object]
"""Takes the router and what it was asked to do; does it or not, answers or raises."""

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class FakeClock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        """Return the seconds that were waited."""
        return self.seconds

    def now(self) -> datetime:
        """Return the beginning of the test plus what was waited."""
        return START + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


def lose_question(_router: FakeRouter, _do: Callable[[], object]) -> object:
    """Break the connection before the router hears the question."""
    raise RouterError(RouterTrouble.UNREACHABLE, "connection lost")


def lose_answer(_router: FakeRouter, do: Callable[[], object]) -> object:
    """Break the connection after the router did what it was asked."""
    do()
    raise RouterError(RouterTrouble.UNREACHABLE, "connection lost")


def lose_power(router: FakeRouter, _do: Callable[[], object]) -> object:
    """Boot the router instead."""
    router.reboot()
    raise RouterError(RouterTrouble.UNREACHABLE, "connection lost")


def refuse(kind: RouterTrouble) -> Fault:
    """Answer with an error."""

    def answer(_router: FakeRouter, _do: Callable[[], object]) -> object:
        raise RouterError(kind, f"refused: {kind}")

    return answer


def die(_router: FakeRouter, _do: Callable[[], object]) -> object:
    """Kill whoever deploys before the question is out."""
    raise Killed


def die_after(_router: FakeRouter, do: Callable[[], object]) -> object:
    """Kill whoever deploys while the answer is on its way."""
    do()
    raise Killed


class Killed(BaseException):
    """The process that deploys is dead: it asks no router any more and writes nothing, whatever its `finally` says."""


@dataclass
class FakeRouter:
    """One router."""

    name: str
    clock: FakeClock
    startup: Files
    platform: str = "frr"
    resets: tuple[str, ...] = ()
    can_drain: bool = False
    cut_off_by: Callable[[Files], bool] = lambda _files: False
    """Says which configurations make it unreachable."""
    sees: Callable[[Files], Observation] = lambda _files: Observation()
    answers: Callable[[Files], bool] = lambda _files: True
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """For each method what happens at its next calls."""
    reachable: bool = True
    answers_to: str = ""
    drift: tuple[FileDiff, ...] = ()
    confirmed: str | None = None
    log: list[str] = field(default_factory=list)
    free_bytes: int = 10**9
    daemon_version: str = "8.4.4"
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(platform="frr"))

    def __post_init__(self) -> None:
        self.running: Files = self.startup
        self.change: str | None = None
        self.who = ""
        self.since = ""
        self.phase = Phase.STAGED
        self.staged: Bundle | None = None
        self.former: Files = {}
        self.before: tuple[str | None, Files] | None = None
        self.deadline = 0.0
        self.drained = False
        self.drained_until = 0.0
        self.reboots = 0

    # ---- what happens by itself ------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Go back where the deadline has passed."""
        if self.change is not None and self.phase is Phase.APPLIED and self.clock.seconds >= self.deadline:
            self._restore()
            self.log.append("expired")
        if self.drained and self.phase is Phase.STAGED and self.clock.seconds >= self.drained_until:
            self.drained = False

    def reboot(self) -> None:
        """Lose power: what was decided is finished, all else is as the start-up files have it."""
        self.reboots += 1
        if self.change is not None and self.phase is Phase.CONFIRMING:
            self._keep()
        elif self.change is not None and self.phase is not Phase.STAGED:
            self._restore()
        self.running = self.startup
        self.drained = False

    def _restore(self) -> None:
        self.running = self.former
        self.change = None
        self.drained = False

    def _keep(self) -> None:
        assert self.change is not None
        if not self.change.endswith(UNDO):
            self.before = (self.confirmed, self.startup)
        self.startup = self.running
        self.confirmed = self.change
        self.change = None

    # ---- what it is asked ------------------------------------------------------------------------------------------

    def _ask(self, method: str, do: Callable[[], T]) -> T:
        self.settle()
        self.log.append(method)
        if not self.reachable or self.cut_off_by(self.running):
            raise RouterError(RouterTrouble.UNREACHABLE, "no route to host")
        waiting = self.faults.get(method)
        if waiting:
            answer: T = waiting.pop(0)(self, do)  # type: ignore[assignment]
        else:
            answer = do()
        if self.cut_off_by(self.running):
            raise RouterError(RouterTrouble.UNREACHABLE, "connection lost")
        return answer

    def hello(self) -> Hello:
        """Say who it is."""
        return self._ask(
            "hello",
            lambda: Hello(
                program=1,
                router=self.answers_to or self.name,
                platform=self.platform,
                daemon_version=self.daemon_version,
                confirmed=self.confirmed,
                pending=self._pending(),
                free_bytes=self.free_bytes,
                can_drain=self.can_drain,
            ),
        )

    def survey(self, bundle: Bundle) -> Survey:
        """Say who it is and what would change; a break of either question is one of this."""
        hello = self.hello()
        try:
            return Survey(hello=hello, change=self.diff(bundle))
        except RouterError as error:
            if error.kind is RouterTrouble.UNREACHABLE:
                raise
            return Survey(hello=hello, refusal=error)

    def pending(self) -> Pending | None:
        """Return what is not settled."""
        return self._ask("pending", self._pending)

    def _pending(self) -> Pending | None:
        if self.change is None:
            return None
        left = self.deadline - self.clock.seconds if self.phase is Phase.APPLIED else None
        return Pending(change=self.change, phase=self.phase, who=self.who, since=self.since, remaining_s=left)

    def diff(self, bundle: Bundle) -> Change:
        """Say what would change."""
        return self._ask("diff", lambda: self._diff(bundle))

    def _diff(self, bundle: Bundle) -> Change:
        names = sorted(set(self.startup) | set(bundle.files))
        differing = tuple(
            FileDiff(file=name, diff=f"-{self.startup.get(name, '')}\n+{bundle.files.get(name, '')}\n")
            for name in names
            if self.startup.get(name) != bundle.files.get(name)
        )
        resets = self.resets if differing else ()
        return Change(router=self.name, files=differing, resets=resets, drift=self.drift)

    def stage(self, bundle: Bundle) -> Change:
        """Take a bundle."""

        def do() -> Change:
            if self.change is not None:
                raise RouterError(RouterTrouble.BUSY, f"{self.who} changes it since {self.since}")
            self.change, self.phase, self.staged = bundle.change, Phase.STAGED, bundle
            self.who, self.since = bundle.who, self.clock.now().isoformat()
            return self._diff(bundle)

        return self._ask("stage", do)

    def apply(self, change: str, *, deadline_s: int, drained: bool = False) -> Outcome:
        """Run what was staged."""

        def do() -> Outcome:
            self._need(change, Phase.STAGED)
            assert self.staged is not None
            self._run(self.staged.files, deadline_s)
            self.drained = drained
            return Outcome(change=change, phase=Phase.APPLIED, remaining_s=deadline_s)

        return self._ask("apply", do)

    def _run(self, files: Files, deadline_s: float) -> None:
        self.former, self.running = self.startup, files
        self.phase, self.deadline = Phase.APPLIED, self.clock.seconds + deadline_s

    def confirm(self, change: str) -> Outcome:
        """Keep what was applied."""

        def do() -> Outcome:
            if self.change != change:
                raise RouterError(RouterTrouble.EXPIRED, "the former configuration is back")
            self._need(change, Phase.APPLIED)
            self._keep()
            return Outcome(change=change, phase=Phase.CONFIRMED)

        return self._ask("confirm", do)

    def roll_back(self, change: str) -> Outcome:
        """Go back."""

        def do() -> Outcome:
            if self.change == change:
                if self.phase is Phase.APPLIED:
                    self._restore()
                self.change = None
                self.drained = False
            elif self._can_undo(change) and self.before is not None:
                self.change, self.who = change + UNDO, "undo"
                self._run(self.before[1], 60)
            else:
                raise RouterError(RouterTrouble.NOTHING_PENDING, "no such change")
            return Outcome(change=change, phase=Phase.RESTORED)

        return self._ask("roll_back", do)

    def _can_undo(self, change: str) -> bool:
        begun = self.change == change + UNDO and self.phase is Phase.STAGED
        return self.confirmed == change and (self.change is None or begun)

    def _need(self, change: str, phase: Phase) -> None:
        if self.change != change or self.phase is not phase:
            raise RouterError(RouterTrouble.NOTHING_PENDING, f"no change {change} that is {phase}")

    def observe(self) -> Observation:
        """Say what it sees."""
        return self._ask("observe", lambda: self.sees(self.running))

    def probe(self, probes: Iterable[Probe]) -> Mapping[str, bool]:
        """Ask addresses."""
        asked = [probe.id for probe in probes]
        return self._ask("probe", lambda: dict.fromkeys(asked, self.answers(self.running)))

    def check(self) -> Check:
        """Compare what runs with what should."""
        return self._ask("check", self._check)

    def _check(self) -> Check:
        wanted = self.staged.files if self.change and self.staged is not None else self.startup
        differing = tuple(
            DriftedFile(file=name, side="running", diff="") for name in wanted if wanted[name] != self.running.get(name)
        )
        return Check(same=not differing, differences=differing)

    def drain(self, change: str, *, deadline_s: int) -> bool:
        """Step aside, not for longer than the deadline when nothing follows."""

        def do() -> bool:
            self._need(change, Phase.STAGED)
            self.drained = True
            self.drained_until = self.clock.seconds + deadline_s
            return True

        return self._ask("drain", do)

    def undrain(self, _change: str) -> bool:
        """Take traffic again."""

        def do() -> bool:
            self.drained = False
            return False

        return self._ask("undrain", do)

    def hang_up(self) -> None:
        """Close the connection."""
        self.log.append("hang_up")


class FakeFleet:
    """Routers that are worked on one after the other, so that a test's course is the same every time."""

    def __init__(self, routers: Iterable[FakeRouter], *, lab: bool = True) -> None:
        self.routers = {router.name: router for router in routers}
        self.dead = False
        self._lab = lab

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self.routers)

    def in_lab(self, name: str) -> bool:
        """Say whether they are part of a lab."""
        return self._lab and name in self.routers

    def each(self, names: Iterable[str], work: Callable[[str, Router], T]) -> Mapping[str, T | RouterError]:
        """Do the same at each."""
        answers: dict[str, T | RouterError] = {}
        for name in names:
            if self.dead:
                raise Killed
            try:
                answers[name] = work(name, self.routers[name])
            except Killed:
                self.dead = True
                raise
            except RouterError as error:
                answers[name] = error
        return answers

    def close(self) -> None:
        """Close every session."""
        for router in self.routers.values():
            router.hang_up()

    def settle(self) -> None:
        """Let every router notice what time it is."""
        for router in self.routers.values():
            router.settle()


def sessions(*up: str, down: Iterable[str] = ()) -> Observation:
    """Return what a router sees whose sessions with these neighbours are up, and with those down."""
    return Observation(
        sessions=(
            *(SeenSession(neighbor=one, family=4, up=True, received=3, sent=1) for one in up),
            *(SeenSession(neighbor=one, family=4, up=False) for one in down),
        )
    )


class MortalRecords(Records):
    """Records of a process that can die."""

    def __init__(self, folder: Path, fleet: FakeFleet) -> None:
        super().__init__(folder)
        self._fleet = fleet

    def write(self, deployment: Deployment) -> None:
        """Write, where there is still somebody to do it."""
        if self._fleet.dead:
            raise Killed
        super().write(deployment)
