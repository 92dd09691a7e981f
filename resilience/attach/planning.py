"""A plan of somebody else's lab: only what breaking and measuring need, made of its topology and of a drill file.

Which end of a cable acts. A cable is pulled by setting one end down: that router sees its own interface go down, the
other one sees loss of carrier. The end that the drill file names last is set down, since people name first what they
look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from resilience.attach.drill_file import DrillFile, StatedFailure, StatedFlow, invalid
from resilience.attach.failures import Broken, Failures, Way
from resilience.attach.survey import Place, Survey
from resilience.attach.topology import LinkEnd, Topology
from resilience.intent.problems import Problem, join_names, nearest, show
from resilience.model.network import IPAddress, Network, Objective
from resilience.model.plan import (
    Address,
    Endpoint,
    Failure,
    FailureKind,
    Flow,
    Interface,
    InterfaceKind,
    Node,
    Origin,
    Plan,
    PlannedObjective,
    Protocol,
    Provenance,
    Role,
    Segment,
    Trial,
)

MOST_FLOWS: Final = 40
"""More cannot be measured finely at once."""


@dataclass(frozen=True, slots=True)
class _End:
    """An end of a flow, or None for what is wrong with it."""

    place: Place
    address: IPAddress


def plan_drills(topology: Topology, found: Survey, drills: DrillFile, *, can_restart: bool) -> Plan:
    """Return the plan of a drill file on a running lab; IntentError with everything that cannot be.

    `can_restart`: this containerlab can start a node anew without losing its cables.
    """
    return _Planner(topology, found, drills, can_restart=can_restart).plan()


class _Planner:
    """Collects problems while it plans."""

    def __init__(self, topology: Topology, found: Survey, drills: DrillFile, *, can_restart: bool) -> None:
        self._topology = topology
        self._found = found
        self._drills = drills
        self._failures = Failures(topology, found, can_restart=can_restart)
        self._problems: list[Problem] = []

    def plan(self) -> Plan:
        """Return the plan."""
        flows = tuple(self._flows())
        broken = {stated.index: self._break(stated) for stated in self._drills.failures}
        if len(flows) > MOST_FLOWS:
            message = f"these are {len(flows)} flows; at most {MOST_FLOWS} can be measured at once"
            self._problems.append(self._drills.problem("bad-number", ("flows",), message, "make several drill files"))
        if self._problems:
            raise invalid(self._problems)
        named = _name_flows(flows)
        objectives = tuple(self._promise(stated, broken[stated.index], named) for stated in self._drills.failures)
        return Plan(
            network=Network(
                name=self._topology.name,
                file=self._drills.tree.source.file,
                asn=0,
                prefixes=(),
                lab=True,
                digest=self._drills.digest,
            ),
            nodes=_nodes(self._topology, self._found.places),
            segments=_segments(
                (way for parts in broken.values() for part in parts for way in part.ways), self._found.places
            ),
            sessions=(),
            elements={part.element.name: part.element for parts in broken.values() for part in parts},
            objectives=objectives,
        )

    # --- flows --------------------------------------------------------------------------------------------------------

    def _flows(self) -> Iterator[tuple[StatedFlow, _End, _End]]:
        for stated in self._drills.flows:
            source = self._end(stated, "from", stated.source, "source_address", stated.source_address)
            target = self._end(stated, "to", stated.target, "address", stated.address)
            if source is None or target is None:
                continue
            if source.address.version != target.address.version:
                message = f"{source.address} and {target.address} are of different families"
                self._report("bad-address", stated, "address", message, "state addresses of one family")
            elif source.address == target.address:
                self._report("objective-itself", stated, "to", "a flow has two different ends")
            else:
                yield stated, source, target

    def _end(self, stated: StatedFlow, key: str, node: str, address_key: str, wanted: IPAddress | None) -> _End | None:
        place = self._found.places.get(node)
        if place is None:
            self._report("unknown-name", stated, key, *self._no_place(node))
            return None
        address = self._choose(stated, key, place) if wanted is None else wanted
        if address is not None and place.port_of(address) is None:
            has = join_names(map(str, (*place.choices(4), *place.choices(6))), last="and") or "none that can be used"
            message = f"{node} has no address {address} that this machine can see"
            self._report("bad-address", stated, address_key if wanted else key, message, f"it has {has}")
            return None
        return None if address is None else _End(place, address)

    def _choose(self, stated: StatedFlow, key: str, place: Place) -> IPAddress | None:
        choices = place.choices(stated.family)
        if len(choices) == 1:
            return choices[0]
        state = "address" if key == "to" else "source_address"
        has = f"has the IPv{stated.family} addresses {join_names(map(str, choices), last='and')}"
        message = f"{place.node} {has if choices else f'has no IPv{stated.family} address'}"
        self._report("bad-address", stated, key, message, f"state one as `{state}:`" if choices else "")
        return None

    def _no_place(self, node: str) -> tuple[str, str]:
        if node in self._found.missing:
            return f"{self._found.missing[node]}: nothing can be measured there", ""
        near = nearest(node, self._found.places)
        known = f"its nodes are {join_names(self._found.places, last='and')}"
        return f"the lab {self._topology.name} has no node {show(node)}", f"did you mean {near}?" if near else known

    def _report(self, rule: str, stated: StatedFlow, key: str, message: str, hint: str = "") -> None:
        # A single flow may stand without a list around it; the place of the list is near enough then.
        self._problems.append(self._drills.problem(rule, ("flows", stated.index, key), message, hint))

    # --- failures -----------------------------------------------------------------------------------------------------

    def _break(self, stated: StatedFailure) -> tuple[Broken, ...]:
        found = []
        for index, text in enumerate(stated.what):
            outcome = self._failures.read(text)
            if isinstance(outcome, Broken):
                found.append(outcome)
            else:
                path = self._path(stated, index)
                self._problems.append(self._drills.problem(outcome.rule, path, outcome.message, outcome.hint))
        if len({part.silent for part in found}) > 1:
            message = "what fails at once fails silently, or all of it does not"
            self._problems.append(self._drills.problem("bad-choice", self._path(stated, 0), message))
        return tuple(found)

    def _path(self, stated: StatedFailure, index: int) -> tuple[str | int, ...]:
        """Return the path of one of the things that fail at once, in whichever form it is written."""
        at: tuple[str | int, ...] = ("fail", stated.index)
        if isinstance(self._drills.tree.stated(at), dict):
            at = (*at, "what")
        return (*at, index)

    def _promise(self, stated: StatedFailure, broken: Sequence[Broken], flows: Mapping[str, Flow]) -> PlannedObjective:
        kind = FailureKind.SILENT if broken[0].silent else FailureKind.NATURAL
        name = " and ".join(part.element.name for part in broken)
        failure = Failure(
            name=f"silent {name}" if broken[0].silent else name,
            kind=kind,
            elements=tuple(dict.fromkeys(part.element.name for part in broken)),
        )
        lost = {flow.name for flow in flows.values() if any(self._ends_in(flow, part) for part in broken)}
        trial = Trial(
            failure=failure,
            flows=tuple(flow for flow in flows if flow not in lost),
            left_out=tuple(flow for flow in flows if flow in lost),
        )
        objective = Objective(
            keep="traffic", whom=f"lab {self._topology.name}", during=(failure.name,), within_ms=stated.within_ms
        )
        return PlannedObjective(objective=objective, flows=tuple(flows.values()), trials=(trial,), failures_possible=1)

    def _ends_in(self, flow: Flow, part: Broken) -> bool:
        """Say whether a flow ends in what fails: at a node that is cut off, or at an address of a pulled cable."""
        for end in (flow.source, flow.target):
            port = self._found.places[end.nodes[0]].port_of(end.address)
            if end.nodes[0] in part.nodes or (port is not None and (end.nodes[0], port.name) in part.ports):
                return True
        return False


def _name_flows(found: Sequence[tuple[StatedFlow, _End, _End]]) -> dict[str, Flow]:
    """Return flows by names that people can tell apart: the ends, and the addresses where that is not enough."""
    flows: dict[str, Flow] = {}
    short = [f"{stated.source}-{stated.target}-ipv{source.address.version}" for stated, source, _ in found]
    for name, (stated, source, target) in zip(short, found, strict=True):
        chosen = (
            name if short.count(name) == 1 else f"{stated.source}-{stated.target} {source.address}-{target.address}"
        )
        flows[chosen] = Flow(
            name=chosen,
            source=Endpoint(label=stated.source, nodes=(stated.source,), address=source.address),
            target=Endpoint(label=stated.target, nodes=(stated.target,), address=target.address),
            family=source.address.version,
            protocol=Protocol.UDP,
        )
    return flows


def _nodes(topology: Topology, places: Mapping[str, Place]) -> dict[str, Node]:
    ports: dict[str, list[Interface]] = {name: [] for name in places}
    for link in topology.links:
        for near, far in (link, link[::-1]):
            port = places[near.node].port(near.interface) if near.node in places else None
            if port is not None:
                ports[near.node].append(
                    Interface(name=port.name, kind=InterfaceKind.LINK, segment=Way(far, near).name, peer=far.node)
                )
    return {
        name: Node(
            name=name,
            role=Role.ROUTER,
            managed=True,
            platform=place.platform,
            interfaces=tuple(ports[name]),
            loopbacks=tuple(
                Address(interface=address, origin=Origin(Provenance.LAB))
                for port in place.ports
                if port.name == "lo"
                for address in port.addresses
                if not address.ip.is_loopback
            ),
        )
        for name, place in places.items()
    }


def _segments(ways: Iterable[Way], places: Mapping[str, Place]) -> dict[str, Segment]:
    """Return cables with the acting end last. One that we may not touch is no node of the plan: both ends act then."""
    return {
        way.name: Segment(
            name=way.name, ends=(_end_of(way.other if way.other.node in places else way.acting), _end_of(way.acting))
        )
        for way in ways
    }


def _end_of(end: LinkEnd) -> tuple[str, str]:
    return end.node, end.interface
