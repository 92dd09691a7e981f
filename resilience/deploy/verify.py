"""Whether a router still does what it is for after a change, seen over a new session: what must hold before confirming.

What was broken before the change is not held against it, or nobody could deploy a repair; it is said all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from resilience.deploy.driver import Phase
from resilience.deploy.expect import Expected, ExpectedSession
from resilience.deploy.router import Observation, Router, SeenSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a router said at one moment."""

    observation: Observation
    probes: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a change broke, and what was broken before it."""

    broken: tuple[str, ...] = ()
    broken_before: tuple[str, ...] = ()
    gone: bool = False
    """The change is no longer applied: the router has taken it back, and waiting helps nothing."""

    @property
    def holds(self) -> bool:
        """Say whether the change may be confirmed."""
        return not self.broken


def look(router: Router, expected: Expected) -> Seen:
    """Ask a router what it sees now."""
    return Seen(
        observation=router.observe(),
        probes=router.probe(expected.probes) if expected.probes else {},
    )


def judge_router(router: Router, change: str, expected: Expected, before: Seen) -> Judgement:
    """Judge a router that has a change applied. RouterError where it cannot be asked."""
    pending = router.hello().pending
    if pending is None or pending.change != change or pending.phase is not Phase.APPLIED:
        return Judgement(broken=("the change is no longer applied: the router has gone back by itself",), gone=True)
    judgement = judge(expected, before, look(router, expected))
    check = router.check()
    differing = tuple(f"{one.file}: what runs is not what was applied" for one in check.differences)
    return Judgement(broken=(*judgement.broken, *differing), broken_before=judgement.broken_before)


def judge(expected: Expected, before: Seen | None, now: Seen) -> Judgement:
    """Compare what a router sees with what it should, and with what it saw before the change; None: nobody looked."""
    if before is None:
        before = Seen(observation=Observation(ospf_neighbors=expected.ospf_neighbors))
    broken: list[str] = []
    already: list[str] = []
    for text, held_before in _complaints(expected, before, now):
        (broken if held_before else already).append(text)
    return Judgement(broken=tuple(broken), broken_before=tuple(already))


def judge_sessions(expected: Expected, before: Observation, now: Observation) -> tuple[str, ...]:
    """Return the sessions that should be up by now and are not."""
    was, is_now = _by_neighbor(before), _by_neighbor(now)
    return tuple(text for text, held in _session_complaints(expected, was, is_now) if held)


def _complaints(expected: Expected, before: Seen, now: Seen) -> Iterator[tuple[str, bool]]:
    """Yield what is not as it should be, and whether it can be held against the change."""
    was, is_now = _by_neighbor(before.observation), _by_neighbor(now.observation)
    yield from _session_complaints(expected, was, is_now)
    for session in expected.sessions:
        seen = is_now.get((session.neighbor, session.family))
        if seen is not None and seen.up:
            yield from _route_complaints(session, was.get((session.neighbor, session.family)), seen)
    yield from _bfd_complaints(expected, before.observation, now.observation)
    full, were = now.observation.ospf_neighbors, before.observation.ospf_neighbors
    if full < expected.ospf_neighbors:
        yield f"{full} OSPF neighbours are full, {expected.ospf_neighbors} should be", full < were
    for probe in expected.probes:
        if not now.probes.get(probe.id, False):
            yield f"{probe.id} ({probe.target}) does not answer", before.probes.get(probe.id, True)


_Sessions = Mapping[tuple[str, int], SeenSession]


def _by_neighbor(observation: Observation) -> _Sessions:
    return {(session.neighbor, session.family): session for session in observation.sessions}


def _session_complaints(expected: Expected, was: _Sessions, is_now: _Sessions) -> Iterator[tuple[str, bool]]:
    planned = {(session.neighbor, session.family): session for session in expected.sessions}
    for key, session in planned.items():
        seen = is_now.get(key)
        if seen is None or not seen.up:
            # A session that the change brings along must come up; one that was down may stay down.
            yield f"session {session.name} with {session.neighbor} is not up", key not in was or was[key].up
    for key, seen in is_now.items():
        # Nothing that the plan knows of, such as raw lines of the intent: it must only not get worse.
        if key not in planned and not seen.up and key in was and was[key].up:
            yield f"session with {seen.neighbor} (IPv{seen.family}) is not up any more", True


def _route_complaints(
    session: ExpectedSession, was: SeenSession | None, seen: SeenSession
) -> Iterator[tuple[str, bool]]:
    if was is not None and was.up and was.received and not seen.received:
        yield f"session {session.name}: no prefix comes in any more, {was.received} did before", True
    silent_before = was is not None and was.up and not was.sent
    if session.announces and not seen.sent:
        yield f"session {session.name}: none of our prefixes goes out", not silent_before


def _bfd_complaints(expected: Expected, before: Observation, now: Observation) -> Iterator[tuple[str, bool]]:
    was, is_now = ({one.neighbor: one.up for one in seen.bfd} for seen in (before, now))
    planned = dict.fromkeys(session.neighbor for session in expected.sessions if session.bfd)
    for neighbor in planned:
        if not is_now.get(neighbor, False):
            yield f"BFD with {neighbor} is not up", was.get(neighbor, True)
    for neighbor, up in is_now.items():
        if neighbor not in planned and not up and was.get(neighbor, False):
            yield f"BFD with {neighbor} is not up any more", True
