"""OSPF: shortest paths between the routers of an AS, one area, point-to-point links."""

from __future__ import annotations

from typing import NamedTuple

import rustworkx as rx

from resilience.analysis.damage import Damage
from resilience.analysis.wires import Hop, Plug, Wires
from resilience.model.adjacency import speaks_ospf
from resilience.model.plan import Plan

STUB_COST = 65_535
"""RFC 6987: what a router that must not carry transit traffic says of its links."""


class IgpRoute(NamedTuple):
    """The way to a router: how far, and every equally short first step."""

    distance: int
    hops: tuple[Hop, ...]


class Adjacency(NamedTuple):
    """One direction of an OSPF link."""

    here: Plug
    there: Plug
    cost: int


class IgpMap:
    """Which routers OSPF could connect, and who announces which address; independent of any damage."""

    def __init__(self, plan: Plan, wires: Wires) -> None:
        self.adjacencies = tuple(_adjacencies(plan, wires))
        self.routers = tuple(node.name for node in plan.nodes.values() if node.ospf)
        self.owners: dict[int, str] = {}
        for name in self.routers:
            node = plan.nodes[name]
            spoken = [a for i in node.interfaces if i.ospf is not None for a in i.addresses]
            for address in (*node.loopbacks, *spoken):
                self.owners[int(address.ip)] = name

    def working(self, wires: Wires, damage: Damage) -> frozenset[Adjacency]:
        """Return the adjacencies that stand under some damage, once every router has noticed it."""
        mute, cables = damage.mute, wires.cables(damage)
        return frozenset(
            link
            for link in self.adjacencies
            if link.here[0] not in mute and link.there[0] not in mute and cables.passes(link.here, link.there)
        )


class Igp:
    """Converged OSPF over a set of adjacencies."""

    def __init__(self, igp_map: IgpMap, working: frozenset[Adjacency]) -> None:
        self._map = igp_map
        self._index = {name: index for index, name in enumerate(igp_map.routers)}
        links = [link for link in igp_map.adjacencies if link in working]
        self._leaving: dict[str, list[Adjacency]] = {}
        for link in links:
            self._leaving.setdefault(link.here[0], []).append(link)
        self._distance = self._all_distances(links)
        self._routes: dict[tuple[str, str], IgpRoute | None] = {}

    def _all_distances(self, links: list[Adjacency]) -> dict[int, dict[int, float]]:
        graph: rx.PyDiGraph[str, int] = rx.PyDiGraph(multigraph=True)
        graph.add_nodes_from(list(self._map.routers))
        graph.add_edges_from([(self._index[k.here[0]], self._index[k.there[0]], k.cost) for k in links])
        found = rx.all_pairs_dijkstra_path_lengths(graph, float)
        return {source: dict(targets) for source, targets in found.items()}

    def distance(self, source: str, target: str) -> int | None:
        """Return the cost from one router to another; None: no way."""
        if source == target:
            return 0
        here, there = self._index.get(source), self._index.get(target)
        if here is None or there is None:
            return None
        found = self._distance[here].get(there)
        return None if found is None else int(found)

    def route_to(self, source: str, address: int) -> IgpRoute | None:
        """Return the route from a router to an address (as a number) that OSPF announces."""
        owner = self._map.owners.get(address)
        if owner is None or owner == source:
            return None
        key = (source, owner)
        if key not in self._routes:
            self._routes[key] = self._find(source, owner)
        return self._routes[key]

    def _find(self, source: str, owner: str) -> IgpRoute | None:
        total = self.distance(source, owner)
        if total is None:
            return None
        hops = []
        for link in self._leaving.get(source, ()):
            rest = self.distance(link.there[0], owner)
            if rest is not None and link.cost + rest == total:
                hops.append(Hop(link.here[1], *link.there))
        return IgpRoute(total, tuple(hops))


def _adjacencies(plan: Plan, wires: Wires) -> list[Adjacency]:
    found = []
    for node in plan.nodes.values():
        for interface in node.interfaces:
            if interface.ospf is None or not speaks_ospf(plan, node.name, interface.name):
                continue
            here = (node.name, interface.name)
            cost = STUB_COST if node.draining else interface.ospf.cost
            found += [Adjacency(here, there, cost) for there in wires.others(here) if speaks_ospf(plan, *there)]
    return found
