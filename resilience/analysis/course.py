"""How a failure unfolds: who notices it by which means and when, how the news travels, when each kernel changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from resilience.analysis import constants
from resilience.analysis.clock import START, Cause, Clock, Pace
from resilience.analysis.constants import Bounds, daemon_of
from resilience.analysis.damage import Damage
from resilience.analysis.igp import Adjacency, Igp
from resilience.analysis.propagation import Change, Event, Kind, Propagation, Selected
from resilience.analysis.route import Destination
from resilience.analysis.wires import Plug
from resilience.analysis.world import Situation, World, resolve
from resilience.model.network import Bfd, IPAddress, Platform
from resilience.model.plan import GracefulRestart, SessionEnd
from resilience.model.units import show_duration


class Course:
    """One failure at one pace. Both paces together give the bounds."""

    def __init__(self, world: World, damage: Damage, pace: Pace, *, first: Cause = START) -> None:
        self.world = world
        self.damage = damage
        self.clock = Clock(pace)
        self.settled: Situation = world.settle(damage)
        self.cables = self.settled.cables
        self._before = world.whole
        self.first = first
        self.lost = dict(self._lost_sessions())
        self._detours: dict[str, tuple[str, ...]] = {}
        self.turns = self._igp_turns()
        self._changes: dict[Destination, dict[str, list[Change]]] = {}

    # What propagation asks

    def resolve_at(self, at_ms: float, node: str, next_hop: int) -> int | None:
        """Return the distance of a next hop as a router sees it at a moment."""
        return resolve(self.world, self.cables, self.igp_at(at_ms, node), node, next_hop)

    def works(self, end: int) -> bool:
        """Say whether messages still get through a session."""
        return self.settled.works(end)

    def is_mute(self, node: str) -> bool:
        """Say whether a router's daemon is gone."""
        return node in self.damage.mute

    # What forwarding asks, at a moment

    def igp_at(self, at_ms: float, node: str) -> Igp:
        """Return OSPF as a node follows it at a moment."""
        turn = self.turns.get(node)
        return self.settled.igp if turn is not None and turn.at_ms <= at_ms else self._before.igp

    def detours(self, node: str) -> tuple[str, ...]:
        """Return where else OSPF may lead a node for a moment, while it has heard of some lost links but not of all."""
        return self._detours.get(node, ())

    def selected_at(self, at_ms: float, node: str, destination: Destination) -> Selected:
        """Return the BGP routes that a node's kernel follows at a moment."""
        before = self._before.state(destination).selected.get(node, ())
        for change in reversed(self.changes(destination).get(node, ())):
            if change.cause.at_ms <= at_ms:
                return change.selected
        return before

    def changes(self, destination: Destination) -> dict[str, list[Change]]:
        """Return each node's changes of one prefix, in order."""
        if destination not in self._changes:
            self._changes[destination] = self._propagate(destination)
        return self._changes[destination]

    def moments(self, addresses: Iterable[IPAddress]) -> list[tuple[float, dict[str, Cause]]]:
        """Return every moment at which kernels change what they do with these addresses: when, and each by what."""
        causes = list(self.turns.items())
        for destination in {d: None for address in addresses for d in self.world.covering(address)}:
            changes = self.changes(destination)
            causes += [(node, change.cause) for node, made in changes.items() for change in made]
        found: dict[float, dict[str, Cause]] = {}
        for node, cause in causes:
            found.setdefault(cause.at_ms, {})[node] = cause
        return sorted(found.items(), key=lambda item: item[0])

    def _propagate(self, destination: Destination) -> dict[str, list[Change]]:
        base = self._before.state(destination)
        if self.settled.state(destination).selected == base.selected:
            return {}  # what was lost nobody had chosen, and both views of OSPF lead to the same choices
        propagation = Propagation(self.world.speakers, base.copy(), self)
        propagation.run(self._events(destination))
        found: dict[str, list[Change]] = {}
        for change in propagation.changes:
            found.setdefault(change.node, []).append(change)
        return found

    def _events(self, destination: Destination) -> list[Event]:
        ends = self.world.speakers.ends
        events = [Event(Kind.LOST, cause, ends[end].local.node, end=end) for end, cause in self.lost.items()]
        for event in self.settled.lost_originations(destination):
            notice = daemon_of(self.world.plan.nodes[event.node].platform).notice
            text = f"loss of carrier towards the host, noticed by {event.node}"
            events.append(event._replace(cause=self.clock.after(self.first, notice, text)))
        turned = self.settled.turned(self._before.state(destination))
        events += [Event(Kind.TURN, self.turns[node], node) for node in turned if node in self.turns]
        return events

    # Who notices

    def _lost_sessions(self) -> Iterable[tuple[int, Cause]]:
        for number in self.settled.broken_ends():
            end = self.world.speakers.ends[number]
            if not self.is_mute(end.local.node):
                yield number, self._notice_session(number)

    def _notice_session(self, number: int) -> Cause:
        """Return when one end declares its session dead: by the quickest means that it has."""
        end = self.world.speakers.ends[number]
        local, remote = end.local, end.remote
        daemon = daemon_of(self.world.plan.nodes[local.node].platform)
        if end.session.name in self.damage.closed or remote.node in self.damage.killed:
            if remote.node in self.damage.killed and _waits(local, remote):
                text = f"{local.node} has waited for the daemon of {remote.node} (graceful restart)"
                return self.clock.after(self.first, constants.GRACEFUL_RESTART, text)
            return self.clock.after(
                self.first, constants.CLOSE, f"{local.node} sees the session {end.session.name} end"
            )
        if local.interface is not None and not self._has_carrier((local.node, local.interface)):
            text = f"loss of carrier, noticed by {local.node}"
            return self.clock.after(self.first, daemon.notice, text)
        means = [_hold(self.clock, self.first, local, remote, daemon.hold_jitter)]
        if local.bfd is not None and remote.bfd is not None and not self._answers_still(remote.node):
            text = f"BFD detection at {local.node} ({_bfd_words(local.bfd, remote.bfd)})"
            detected = self.clock.after(self.first, _bfd(local.bfd, remote.bfd), text)
            means.append(self.clock.after(detected, constants.BFD_NOTICE, f"{local.node} acts on BFD"))
        return min(means, key=lambda cause: cause.at_ms)

    def _answers_still(self, node: str) -> bool:
        """Say whether a node's BFD goes on although its routing daemon does not: FRR's is a process of its own."""
        return node in self.damage.frozen and self.world.plan.nodes[node].platform is Platform.FRR

    def _has_carrier(self, plug: Plug) -> bool:
        return self.cables.has_carrier(plug)

    # How OSPF learns

    def _igp_turns(self) -> dict[str, Cause]:
        """Return when each router's OSPF has its new routes; nothing where OSPF stays as it was."""
        if self.settled.igp is self._before.igp:
            return {}
        standing = self.world.igp_map.working(self.world.wires, self.damage)
        lost = self.world.igp_map.working(self.world.wires, self._before.damage) - standing
        pairs = {tuple(sorted((link.here, link.there))) for link in lost}
        hops = _Hops(standing)
        if len(pairs) > 1:
            self._detours = {node: hops.beside(node) for node in self.world.igp_map.routers}
        turns: dict[str, Cause] = {}
        for first, second in sorted(pairs):
            for router, cause in self._news_of_link(first, second, hops).items():
                if router not in turns or cause.at_ms > turns[router].at_ms:
                    turns[router] = cause
        return turns

    def _news_of_link(self, first: Plug, second: Plug, hops: _Hops) -> dict[str, Cause]:
        """Return when each router has acted on the loss of one link: the quicker of both ends tells it."""
        found: dict[str, Cause] = {}
        for here, there in ((first, second), (second, first)):
            if self.is_mute(here[0]):
                continue
            noticed = self._notice_link(here, there)
            for router, distance in hops.from_router(here[0]).items():
                cause = self._turn(router, noticed, distance, here[0])
                if router not in found or cause.at_ms < found[router].at_ms:
                    found[router] = cause
        return found

    def _turn(self, router: str, noticed: Cause, distance: int, origin: str) -> Cause:
        """Return when a router has new routes: whoever noticed it calculates at once, others wait for its LSA."""
        if distance:
            daemon, flood = daemon_of(self.world.plan.nodes[origin].platform), constants.FLOOD
            noticed = self.clock.after(noticed, daemon.originate_lsa, f"{origin} writes a new router LSA")
            bounds = Bounds(flood.low_ms * distance, flood.high_ms * distance, flood.source)
            noticed = self.clock.after(noticed, bounds, f"flooding from {origin} to {router} over {distance} links")
        return self.clock.after(
            noticed, daemon_of(self.world.plan.nodes[router].platform).spf, f"OSPF routes on {router}"
        )

    def _notice_link(self, here: Plug, there: Plug) -> Cause:
        node = self.world.plan.nodes[here[0]]
        if not self._has_carrier(here):
            return self.clock.after(
                self.first, daemon_of(node.platform).notice, f"loss of carrier, noticed by {node.name}"
            )
        local, remote = (self.world.wires.interfaces[plug].bfd for plug in (here, there))
        if local is None or remote is None:
            return self.clock.after(self.first, constants.OSPF_DEAD, f"OSPF dead interval at {node.name}")
        text = f"BFD detection at {node.name} ({_bfd_words(local, remote)})"
        detected = self.clock.after(self.first, _bfd(local, remote), text)
        return self.clock.after(detected, constants.BFD_NOTICE, f"{node.name} acts on BFD")


class Moment:
    """The view of a course at one moment."""

    def __init__(self, course: Course, at_ms: float) -> None:
        self.world = course.world
        self.damage = course.damage
        self.cables = course.cables
        self._course = course
        self._at_ms = at_ms

    def igp_of(self, node: str) -> Igp:
        """Return OSPF as a node's kernel follows it."""
        return self._course.igp_at(self._at_ms, node)

    def selected(self, node: str, destination: Destination) -> Selected:
        """Return the BGP routes of a prefix that a node's kernel follows."""
        return self._course.selected_at(self._at_ms, node, destination)


class _Hops:
    """How many routers an LSA crosses."""

    def __init__(self, standing: frozenset[Adjacency]) -> None:
        self._next: dict[str, set[str]] = {}
        for link in standing:
            self._next.setdefault(link.here[0], set()).add(link.there[0])
        self._found: dict[str, dict[str, int]] = {}

    def beside(self, node: str) -> tuple[str, ...]:
        """Return a router's neighbours."""
        return tuple(sorted(self._next.get(node, ())))

    def from_router(self, start: str) -> dict[str, int]:
        """Return the distance in routers from one to every one that still hears it."""
        if start not in self._found:
            found, queue = {start: 0}, deque([start])
            while queue:
                here = queue.popleft()
                for there in sorted(self._next.get(here, ())):
                    if there not in found:
                        found[there] = found[here] + 1
                        queue.append(there)
            self._found[start] = found
        return self._found[start]


def _waits(local: SessionEnd, remote: SessionEnd) -> bool:
    """Say whether an end keeps the routes of another one whose daemon died (RFC 4724); BFD would not let it."""
    helps = local.graceful_restart is not GracefulRestart.OFF
    return helps and remote.graceful_restart is GracefulRestart.RESTARTS and local.bfd is None


def _bfd(local: Bfd, remote: Bfd) -> Bounds:
    """Return the detection time counted from the failure: the last packet was up to one interval old (RFC 5880)."""
    interval = max(local.interval_ms, remote.interval_ms)
    longest = interval * remote.multiplier
    return Bounds(longest - interval, longest, "RFC 5880 section 6.8.4")


def _bfd_words(local: Bfd, remote: Bfd) -> str:
    return f"{max(local.interval_ms, remote.interval_ms)} ms x {remote.multiplier}"


def _hold(clock: Clock, first: Cause, local: SessionEnd, remote: SessionEnd, jitter: float) -> Cause:
    """Return the end of the hold time counted from the failure: the last keepalive was up to a third of it old."""
    agreed = min(local.hold_ms, remote.hold_ms)
    low = agreed * jitter - agreed / constants.KEEPALIVES_PER_HOLD
    bounds = Bounds(low, agreed + constants.BFD_NOTICE.high_ms, "RFC 4271 section 10")
    return clock.after(first, bounds, f"hold timer of {show_duration(agreed)} at {local.node}")
