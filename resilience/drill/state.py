"""What a network looks like: kernel routes, BGP sessions, OSPF adjacencies. Taken before a fault and after healing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from resilience.errors import LabError, NotReady
from resilience.lab.daemons import Speaker
from resilience.lab.kernel import KernelRoute, RouteDump, dump_kernel_routes
from resilience.lab.seam import Lab
from resilience.model.adjacency import adjacencies
from resilience.model.network import IPNetwork
from resilience.model.plan import Plan

_DAEMON = " routing daemon"
_OSPF = " ospf"
_TO_A_LINK = " ospf, to a link"
_OUR_OWN = " bgp, a prefix of ours"
_REST_S = 5.0
"""MinLSInterval (RFC 2328 appendix B): a router that has just told of its links tells of the next change only after it.
What fails sooner is not one failure but the second of two. And longer than the steps of a routing daemon that starts
are apart, such as those between OSPF hellos in a lab."""
_REST_LOOK_S = 0.25
_REST_LIMIT_S = 120.0
_MOST_NAMED = 12
"""A journal is read by people: differences beyond these are counted."""


@dataclass(frozen=True, slots=True)
class State:
    """Facts by their subject, such as `gw route 0.0.0.0/0` and where it leads."""

    facts: Mapping[str, str]

    def silent_daemons(self) -> tuple[str, ...]:
        """Return what routers say of daemons that do not answer: no state to begin with."""
        return tuple(f"{subject}: {text}" for subject, text in self.facts.items() if subject.endswith(_DAEMON))

    def differences(self, later: State) -> tuple[str, ...]:
        """Return what is not in a later state as it is here, in words."""
        found = [
            f"{subject}: {self.facts.get(subject, 'was not there')}, now {later.facts.get(subject, 'gone')}"
            for subject in dict.fromkeys((*self.facts, *later.facts))
            if self.facts.get(subject) != later.facts.get(subject)
        ]
        if len(found) > _MOST_NAMED:
            found = [*found[:_MOST_NAMED], f"and {len(found) - _MOST_NAMED} more"]
        return tuple(found)

    def is_as_good(self, later: State) -> bool:
        """Say whether all that differs are ways inside the network that traffic does not miss.

        Which of several equally good ways OSPF keeps depends on the order in which it heard of them; every route is
        there. And nothing but a ping goes to the network of a link, as next hops of IPv6 are link-local and sessions
        run between loopbacks: FRR's ospf6d 8.4 can lose that route for good (docs/explanation/failover.md). Our own
        prefix as a whole is for addresses that nobody has: a router that lacked it, and has it now, has lost nothing.
        """
        return all(
            subject.endswith(_TO_A_LINK)
            or (subject not in self.facts and subject.endswith(_OUR_OWN))
            or (subject in self.facts and subject in later.facts and subject.endswith(_OSPF))
            for subject in dict.fromkeys((*self.facts, *later.facts))
            if self.facts.get(subject) != later.facts.get(subject)
        )


class Observer:
    """Looks at a lab's routers; connections to the network's own stay open."""

    def __init__(self, lab: Lab, plan: Plan) -> None:
        self._lab = lab
        self._plan = plan
        self._links = frozenset(_link_networks(plan))
        self._speakers: dict[str, Speaker] = {}
        self._seen: dict[str, tuple[RouteDump, dict[str, str]]] = {}
        """Of each node, its routes when they were read last. Few change from one look to the next, and reading them
        takes time of the processors that the daemons need to recover."""
        self._last: State | None = None
        self.unchanged_since = time.monotonic()
        """Since when every look has found the same, in seconds of the monotonic clock."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.forget()

    def forget(self, nodes: Sequence[str] | None = None) -> None:
        """Close the connections to some nodes' daemons, or to all; with all, whatever was seen is of another time."""
        if nodes is None:
            self._last = None
        for node in list(self._speakers) if nodes is None else nodes:
            speaker = self._speakers.pop(node, None)
            if speaker is not None:
                speaker.close()

    def look(self) -> State:
        """Return the state now. A daemon that does not answer is a fact too.

        Kernel routes of every router, sessions of the network's own: a backup provider that has not yet heard our
        prefixes again would turn the next drill's failover into an outage that nobody's design has.
        """
        state = State(self._facts())
        if state != self._last:
            self._last, self.unchanged_since = state, time.monotonic()
        return state

    def _facts(self) -> dict[str, str]:
        facts: dict[str, str] = {}
        for node in self._plan.nodes.values():
            if node.asn is not None or node.managed:
                facts |= self._routes(node.name)
            if node.managed and node.platform is not None:
                facts |= self._protocols(node.name)
        return facts

    def _routes(self, node: str) -> dict[str, str]:
        dump = dump_kernel_routes(self._lab, node)
        before, facts = self._seen.get(node, (None, {}))
        if dump != before:
            facts = {f"{node} route {self._name(node, route)}": _tell(route) for route in dump.routes()}
            self._seen[node] = (dump, facts)
        return facts

    def _name(self, node: str, route: KernelRoute) -> str:
        kind = route.protocol
        if kind == "ospf" and route.prefix in self._links:
            kind = _TO_A_LINK.strip()
        if kind == "bgp" and route.prefix in self._plan.network.prefixes and self._plan.nodes[node].managed:
            kind = _OUR_OWN.strip()
        return f"{route.prefix} table {route.table} metric {route.metric} {kind}"

    def _protocols(self, node: str) -> dict[str, str]:
        try:
            speaker = self._speakers.setdefault(node, Speaker(self._lab, node))
            states = speaker.bgp_states()
            adjacencies = speaker.full_adjacencies()
        except (LabError, OSError, ValueError, KeyError, EOFError) as error:
            self.forget((node,))
            return {f"{node}{_DAEMON}": f"does not answer ({error})"}
        names = {str(neighbor.remote.address): neighbor.session.name for neighbor in self._plan.neighbors(node)}
        facts = {
            f"{node} BGP {names.get(address, address)}": "established" if state == "Established" else "down"
            for address, state in states.items()
        }
        return facts | {f"{node} OSPF ipv{family} on {interface}": "full" for family, interface in adjacencies}


def wait_until_at_rest(observer: Observer, tell: Callable[[str], None]) -> State:
    """Wait until nothing has changed for a while; return what the network looks like then.

    An observer that has been looking need not begin anew. Raises NotReady where it does not come to rest.
    """
    began = time.monotonic()
    now = observer.look()
    while time.monotonic() - observer.unchanged_since < _REST_S:
        tell("waiting until the lab is at rest")
        time.sleep(_REST_LOOK_S)
        before, now = now, observer.look()
        if now != before and observer.unchanged_since - began > _REST_LIMIT_S:
            raise NotReady(
                f"the lab does not come to rest in {_REST_LIMIT_S:.0f} s: {before.differences(now)[0]}",
                hint="drills begin with a lab in which nothing changes by itself",
            )
    return now


def _link_networks(plan: Plan) -> Iterator[IPNetwork]:
    """Yield the IPv6 networks of links on which OSPF has adjacencies."""
    for node in plan.routers():
        for family, name in adjacencies(plan, node):
            address = node.interface(name).address(family)
            if family == 6 and address is not None:
                yield address.interface.network


def _tell(route: KernelRoute) -> str:
    hops = sorted(
        f"{hop.gateway or 'direct'} through {hop.interface}{'' if hop.alive else ' (dead)'}"
        for hop in route.next_hops
        if hop.interface
    )
    return ", ".join(hops) or route.kind
