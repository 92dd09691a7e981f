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

    def has_carrier(self, damage: Damage, plug: Plug) -> bool:
        """Say whether an interface has carrier: its cable is whole and something with power holds the other end."""
        far = self._far.get(plug)
        if far is None:
            return False
        return (
            self.interfaces[plug].segment not in damage.cut and plug[0] not in damage.dead and far[0] not in damage.dead
        )

    def passes(self, damage: Damage, here: Plug, there: Plug) -> bool:
        """Say whether packets get from one interface to another one of the same wire."""
        return all(
            self.has_carrier(damage, plug) and self.interfaces[plug].segment not in damage.silent
            for plug in (here, there)
        )

    def segments(self, here: Plug, there: Plug) -> tuple[str, ...]:
        """Return the cables that a packet crosses from one interface to another one of the same wire."""
        first, second = self.interfaces[here].segment, self.interfaces[there].segment
        return (first,) if first == second else (first, second)
