"""Between whom a plan has OSPF adjacencies."""

from __future__ import annotations

from resilience.model.plan import Node, Plan, Role


def speaks_ospf(plan: Plan, node: str, interface: str) -> bool:
    """Say whether OSPF sends hellos on an interface."""
    here = plan.nodes[node]
    ospf = here.interface(interface).ospf
    return bool(here.ospf) and here.role is not Role.SWITCH and ospf is not None and not ospf.passive


def forms_adjacency(plan: Plan, node: str, interface: str) -> bool:
    """Say whether OSPF speaks on an interface, and so does who is at the other end of its cable."""
    return speaks_ospf(plan, node, interface) and speaks_ospf(plan, *plan.other_end(node, interface))


def adjacencies(plan: Plan, node: Node) -> tuple[tuple[int, str], ...]:
    """Return (family, interface) of each adjacency that a node should have."""
    return tuple(
        (family, interface.name)
        for interface in node.interfaces
        if forms_adjacency(plan, node.name, interface.name)
        for family in (4, 6)
        if interface.address(family)
    )
