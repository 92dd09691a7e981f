"""What a drill file says that fails, in its few words, and what that does to the lab.

==================  ==================================================================================================
`link A:I-B:I`      the cable is pulled; the end that is named last is set down
`silent link ...`   every frame on it vanishes, carrier stays
`node A`            every cable of it is pulled at once; what it knows stays
`silent node A`     it keeps its sessions and forwards nothing
`power A`           as `node`, and it boots anew when power is back (`containerlab restart`)
`daemon A`          its BGP daemon stops without a word (SIGSTOP), and goes on later
==================  ==================================================================================================

Not offered: killing a daemon. Nobody can know whether the stranger's container starts it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from resilience.attach.processes import find_daemons
from resilience.attach.survey import Survey
from resilience.attach.topology import LinkEnd, Topology
from resilience.intent.problems import join_names, nearest, show
from resilience.model.plan import Element, ElementKind, Fault, FaultKind

_STOPPABLE: Final = frozenset({"bgpd", "bird"})
_EXAMPLE: Final = "such as `link r1:eth1-r2:eth1`, `silent link r1:eth1-r2:eth1`, `node r2`, `power r2` or `daemon r2`"


@dataclass(frozen=True, slots=True)
class Way:
    """A cable and the end of it at which faults act."""

    other: LinkEnd
    acting: LinkEnd

    @property
    def name(self) -> str:
        """The cable's name, the acting end last."""
        return f"{self.other}-{self.acting}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Something that can fail."""

    element: Element
    silent: bool = False
    ways: tuple[Way, ...] = ()
    nodes: frozenset[str] = frozenset()
    """Nodes that nobody reaches any more: flows that end there are left out."""
    ports: frozenset[tuple[str, str]] = frozenset()
    """Interfaces whose addresses nobody reaches any more."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why something cannot fail."""

    rule: str
    message: str
    hint: str = ""


class Failures:
    """What can fail in a running lab."""

    def __init__(self, topology: Topology, found: Survey, *, can_restart: bool) -> None:
        self._topology = topology
        self._found = found
        self._can_restart = can_restart
        self._spellings: dict[str, list[tuple[LinkEnd, LinkEnd]]] = {}
        for first, second in topology.links:
            for other, last in ((first, second), (second, first)):
                for text in (f"{other}-{last}", f"{last}", f"{other.node}-{last.node}"):
                    self._spellings.setdefault(text, []).append((other, last))

    def read(self, text: str) -> Broken | Refused:
        """Return what a failure in words does."""
        silent = text.startswith("silent ")
        verb, _, name = text.removeprefix("silent ").partition(" ")
        name = name.strip()
        if verb == "link" and name:
            return self._link(name, silent=silent)
        if verb == "node" and name:
            return self._cut_off(name, silent=silent)
        if verb == "power" and name and not silent:
            return self._power(name)
        if verb == "daemon" and name and not silent:
            return self._daemon(name)
        return Refused("bad-choice", f"{show(text)} is nothing that can fail", f"write what fails {_EXAMPLE}")

    # --- cables -------------------------------------------------------------------------------------------------------

    def _link(self, name: str, *, silent: bool) -> Broken | Refused:
        found = self._spellings.get(name, [])
        if len(found) > 1:
            ways = join_names((Way(*ends).name for ends in found), most=4)
            return Refused("ambiguous-name", f"several links are called {show(name)}", f"write {ways}")
        if not found:
            return self._no_link(name)
        way = self._way(*found[0])
        if isinstance(way, Refused):
            return way
        written = f"link {Way(*found[0]).name}"
        carrier = (Fault(FaultKind.CARRIER, way.name),)
        return Broken(
            element=Element(
                name=written,
                kind=ElementKind.LINK,
                short=name,
                faults=carrier,
                silent_faults=(Fault(FaultKind.SILENT, way.name),),
            ),
            silent=silent,
            ways=(way,),
            ports=frozenset((end.node, end.interface) for end in (way.other, way.acting)),
        )

    def _way(self, other: LinkEnd, last: LinkEnd) -> Way | Refused:
        """Return a cable with real interfaces. Faults act where we may: never in the network of this machine."""
        if last.node not in self._found.places:
            other, last = last, other
        if last.node not in self._found.places:
            return Refused("unknown-name", f"{self._found.missing[last.node]}: nothing can be broken there")
        ends = []
        for end in (other, last):
            place = self._found.places.get(end.node)
            port = place.port(end.interface) if place is not None else None
            if place is not None and port is None:
                has = join_names((one.name for one in place.ports if one.name != "lo"), last="and")
                return Refused("unknown-name", f"{end.node} has no interface {end.interface} now", f"it has {has}")
            ends.append(LinkEnd(end.node, port.name) if port is not None else end)
        return Way(ends[0], ends[1])

    def _no_link(self, name: str) -> Refused:
        leaving = [end for end in self._topology.elsewhere if name in {str(end), end.node}]
        if leaving:
            return Refused("unknown-name", f"{leaving[0]} has no cable to another node, so that none can be pulled")
        near = nearest(name, self._spellings)
        known = [f"{first}-{second}" for first, second in self._topology.links]
        hint = f"did you mean {near}?" if near else f"the links are {join_names(known, last='and') or 'none'}"
        return Refused("unknown-name", f"the lab {self._topology.name} has no link {show(name)}", hint)

    # --- nodes --------------------------------------------------------------------------------------------------------

    def _no_node(self, name: str) -> Refused | None:
        if name in self._found.places:
            return None
        if name in self._found.missing:
            return Refused("unknown-name", f"{self._found.missing[name]}: it cannot be made to fail")
        near = nearest(name, self._found.places)
        known = f"its nodes are {join_names(self._found.places, last='and')}"
        return Refused(
            "unknown-name",
            f"the lab {self._topology.name} has no node {show(name)}",
            f"did you mean {near}?" if near else known,
        )

    def _cut_off(self, name: str, *, power: bool = False, silent: bool = False) -> Broken | Refused:
        refused = self._no_node(name)
        if refused is not None:
            return refused
        ways = []
        for first, second in self._topology.links:
            if name in {first.node, second.node}:
                way = self._way(*((first, second) if second.node == name else (second, first)))
                if isinstance(way, Refused):
                    return way
                ways.append(way)
        if not ways:
            return Refused("unknown-name", f"{name} has no cable to another node")
        pulled = tuple(Fault(FaultKind.CARRIER, way.name) for way in ways)
        element = Element(
            name=f"power {name}" if power else f"node {name}",
            kind=ElementKind.ROUTER,
            short=name,
            faults=(Fault(FaultKind.CRASH, name),) if power else pulled,
            silent_faults=() if power else (Fault(FaultKind.GREY, name),),
        )
        unreachable: frozenset[str] = frozenset() if silent else frozenset({name})
        return Broken(element=element, silent=silent, ways=tuple(ways), nodes=unreachable)

    def _power(self, name: str) -> Broken | Refused:
        if not self._can_restart:
            hint = f"`node {name}` pulls all its cables, and it keeps what it knows"
            return Refused("bad-choice", "starting a node anew needs containerlab 0.75 or later: cables are lost", hint)
        return self._cut_off(name, power=True)

    def _daemon(self, name: str) -> Broken | Refused:
        refused = self._no_node(name)
        if refused is not None:
            return refused
        daemons = find_daemons(self._found.places[name].container.pid)
        if not any(daemon.name in _STOPPABLE for daemon in daemons):
            return Refused("bad-choice", f"{name} runs neither FRR's bgpd nor BIRD", "those can be stopped")
        frozen = (Fault(FaultKind.FREEZE, name),)
        return Broken(element=Element(name=f"daemon {name}", kind=ElementKind.ROUTER, short=name, faults=frozen))
