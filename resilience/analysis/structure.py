"""Checks of the shape: what a single failure separates, and what falls together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import rustworkx as rx

from resilience.analysis.subject import Found, Subject, join, place
from resilience.analysis.world import Situation
from resilience.model.network import Uplink
from resilience.model.plan import Element, ElementKind, SessionKind

_OUTSIDE = "the outside"
_BREAKS_APART = {ElementKind.LINK, ElementKind.ROUTER, ElementKind.SITE, ElementKind.RISK}


def find_shared_risks(subject: Subject) -> Iterator[Found]:
    """Name risks that take every way out at once: of the network, of a site, or the first choice and its backup."""
    uplinks = subject.network.uplinks
    for risk, taken in subject.taken_by.items():
        element = subject.plan.elements[f"risk {risk}"]
        name = f"{risk} ({element.title})" if element.title else risk
        if len(uplinks) > 1 and set(taken) == set(uplinks):
            message = f"{_all(len(taken))} uplinks ({join(taken)}) leave through {name}: it cuts the whole network off"
            yield Found(element.name, message, f"an uplink that does not share {risk}", place(element))
            continue
        for site in dict.fromkeys(subject.site_of(uplink) for uplink in uplinks.values()):
            here = [uplink.name for uplink in uplinks.values() if subject.site_of(uplink) == site]
            if len(here) > 1 and set(here) <= set(taken):
                message = f"{_all(len(here))} uplinks of {site} ({join(here)}) leave through {name}"
                yield Found(
                    element.name, message, f"move one of them to a way that does not share {risk}", place(element)
                )
        yield from _first_and_backup(subject, element, name, taken)


def _all(count: int) -> str:
    return "both" if count == 2 else f"all {count}"


def _first_and_backup(subject: Subject, element: Element, name: str, taken: tuple[str, ...]) -> Iterator[Found]:
    ranks = sorted({uplink.rank for uplink in subject.network.uplinks.values()})
    if len(ranks) < 3:
        return
    two = [uplink.name for uplink in subject.network.uplinks.values() if uplink.rank in ranks[:2]]
    if set(two) <= set(taken):
        third = _names(subject.network.uplinks.values(), ranks[2])
        message = f"{join(two)}, the first choice and its backup, share {name}: only {third} is left when it fails"
        yield Found(element.name, message, f"a backup that does not share {element.short}", place(element))


def _names(uplinks: Iterable[Uplink], rank: int) -> str:
    return join([uplink.name for uplink in uplinks if uplink.rank == rank])


def find_single_points(subject: Subject) -> Iterator[Found]:
    """Name links (bridges) and routers (articulation points) that some of our routers need to reach everybody else."""
    graph, index, cables = _cabling(subject)
    names = list(index)
    for ends in sorted(tuple(edge) for edge in rx.bridges(graph)):
        elements = cables[frozenset(ends)]
        lost = _cut_off(graph, index, names, cable=(ends[0], ends[-1]))
        if lost and len(elements) == 1 and elements[0].startswith("link "):  # parallel cables count as one edge there
            yield _say_separated(subject, elements[0], lost)
    for point in sorted(rx.articulation_points(graph)):
        lost = _cut_off(graph, index, names, node=point)
        if lost and names[point] != _OUTSIDE:
            yield _say_separated(subject, f"router {names[point]}", lost)


def _cabling(subject: Subject) -> tuple[rx.PyGraph[str, None], dict[str, int], dict[frozenset[int], list[str]]]:
    """Return our routers and one node for everybody outside; parallel cables are two edges."""
    routers = [node.name for node in subject.plan.routers()]
    graph: rx.PyGraph[str, None] = rx.PyGraph(multigraph=True)
    index = {name: graph.add_node(name) for name in [*routers, _OUTSIDE]}
    pairs: list[tuple[str, str, str]] = [(*link.ends, f"link {link.name}") for link in subject.network.links.values()]
    pairs += [(u.router, _OUTSIDE, f"uplink {u.name}") for u in subject.network.uplinks.values()]
    ports = [port for exchange in subject.network.exchanges.values() for port in exchange.ports]
    pairs += [(port.router, _OUTSIDE, f"port {port.name}") for port in ports]
    cables: dict[frozenset[int], list[str]] = {}
    for first, second, element in pairs:
        graph.add_edge(index[first], index[second], None)
        cables.setdefault(frozenset((index[first], index[second])), []).append(element)
    return graph, index, cables


def _cut_off(
    graph: rx.PyGraph[str, None],
    index: dict[str, int],
    names: list[str],
    *,
    cable: tuple[int, int] | None = None,
    node: int | None = None,
) -> list[str]:
    """Return the routers that no longer reach the outside, or, where nothing leads outside, the smaller part."""
    rest = graph.copy()
    if cable is not None:
        rest.remove_edge(*cable)
    if node is not None:
        rest.remove_node(node)
    parts = rx.connected_components(rest)
    home = index[_OUTSIDE]
    if node == home or not graph.degree(home):
        largest = max(parts, key=len)
        return sorted(names[i] for part in parts if part is not largest for i in part if i != home)
    return sorted(names[i] for part in parts if home not in part for i in part)


def _say_separated(subject: Subject, element: str, lost: list[str]) -> Found:
    found = subject.plan.elements.get(element)
    return Found(
        element,
        f"{element} is the only way to {join(lost)}",
        f"a second link to {join(lost, 2)} that avoids {element}",
        place(found),
    )


def find_attracting_partitions(subject: Subject) -> Iterator[Found]:
    """Name the breaks after which a border router still announces our prefixes and discards what it cannot deliver."""
    found: dict[tuple[tuple[str, ...], ...], list[Element]] = {}
    for element in subject.plan.elements.values():
        if element.kind not in _BREAKS_APART:
            continue
        situation = subject.fall_of(element)
        attracting = tuple(half for half in subject.halves(situation) if _is_announced(subject, situation, half))
        if len(attracting) > 1:
            found.setdefault(attracting, []).append(element)
    for halves, elements in found.items():
        parts = " | ".join(join(half) for half in halves)
        yield Found(
            elements[0].name,
            f"when {' or '.join(e.name for e in elements)} fails, the network falls into {parts}; border routers "
            "of each part still announce all our prefixes, attract traffic for the others and discard it",
            f"a second way between {halves[0][0]} and {halves[1][0]} that shares nothing with the first",
            place(elements[0]),
        )


def _is_announced(subject: Subject, situation: Situation, half: tuple[str, ...]) -> bool:
    """Say whether some router of this part still tells the outside about our prefixes."""
    outside = {SessionKind.TRANSIT, SessionKind.PEER, SessionKind.ROUTE_SERVER}
    ends = subject.world.speakers.ends
    return any(situation.works(end.number) for end in ends if end.session.kind in outside and end.local.node in half)


def find_no_way_out(subject: Subject) -> Iterator[Found]:
    """Name routers that reach no other router and have no uplink or port of their own."""
    halves = subject.halves(subject.world.whole)
    if len(halves) < 2:
        return
    for half in halves[1:]:
        router = subject.network.routers[half[0]]
        if not _is_announced(subject, subject.world.whole, half):
            message = f"{join(half)} reaches neither another router nor the outside"
            yield Found(f"router {half[0]}", message, "a link to the rest of the network", place(router))
