"""Cables and LANs: who hears whom, and who still has carrier."""

from __future__ import annotations

from typing import NamedTuple

from resilience.analysis.damage import Damage
from resilience.model.network import IPAddress
from resilience.model.plan import Interface, Plan, Role


class Hop(NamedTuple):
    """One step of a packet: out through `interface`, to `node`, in through `far_interface`."""

    interface: str
    node: str
    far_interface: str


Plug = tuple[str, str]
"""A node and the name of one of its interfaces."""


class Cables(NamedTuple):
    """What some damage did to the wires: only the ends that suffer are listed, so that asking is quick."""

    carrierless: frozenset[Plug]
    """Interfaces without carrier."""
    blocked: frozenset[Plug]
    """Interfaces through which nothing passes: those, and the ends of silent cables."""

    def has_carrier(self, plug: Plug) -> bool:
        """Say whether an interface has carrier."""
        return plug not in self.carrierless

    def passes(self, here: Plug, there: Plug) -> bool:
        """Say whether packets get from one interface to another one of the same wire."""
        return here not in self.blocked and there not in self.blocked


class Wires:
    """The cabling of a plan, indexed. A switch is a wire with many ends."""

    def __init__(self, plan: Plan) -> None:
        self.interfaces: dict[Plug, Interface] = {
            (node.name, interface.name): interface for node in plan.nodes.values() for interface in node.interfaces
        }
        self._far: dict[Plug, Plug] = {}
        for segment in plan.segments.values():
            first, second = segment.ends
            self._far[first], self._far[second] = second, first
        self._switches = frozenset(n.name for n in plan.nodes.values() if n.role is Role.SWITCH)
        self._members: dict[str, list[Plug]] = {}
        for plug, far in self._far.items():
            if far[0] in self._switches:
                self._members.setdefault(far[0], []).append(plug)
        self._cables: dict[Damage, Cables] = {}
        self._owners: dict[tuple[Plug, IPAddress], Hop] = {}
        for plug in self.interfaces:
            for other in self.others(plug):
                for address in self.interfaces[other].addresses:
                    self._owners[plug, address.ip] = Hop(plug[1], *other)

    def others(self, plug: Plug) -> list[Plug]:
        """Return the interfaces that a frame sent out of this one can reach."""
        far = self._far.get(plug)
        if far is None:
            return []
        if far[0] not in self._switches:
            return [far]
        return [member for member in self._members[far[0]] if member != plug]

    def owner(self, node: str, interface: str, address: IPAddress) -> Hop | None:
        """Return the step towards whoever has this address on the same wire."""
        return self._owners.get(((node, interface), address))

    def cables(self, damage: Damage) -> Cables:
        """Return the wires under some damage: carrier needs a whole cable and power at both ends."""
        if damage not in self._cables:
            carrierless = frozenset(plug for plug in self.interfaces if not self._has_carrier(damage, plug))
            silent = (plug for plug, interface in self.interfaces.items() if interface.segment in damage.silent)
            self._cables[damage] = Cables(carrierless, carrierless.union(silent))
        return self._cables[damage]

    def _has_carrier(self, damage: Damage, plug: Plug) -> bool:
        far = self._far.get(plug)
        if far is None or self.interfaces[plug].segment in damage.cut:
            return False
        return plug[0] not in damage.dead and far[0] not in damage.dead

    def segments(self, here: Plug, there: Plug) -> tuple[str, ...]:
        """Return the cables that a packet crosses from one interface to another one of the same wire."""
        first, second = self.interfaces[here].segment, self.interfaces[there].segment
        return (first,) if first == second else (first, second)
