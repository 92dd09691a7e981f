"""What draining a router means to the IGP: nobody passes through it, and everybody still reaches it."""

from __future__ import annotations

from resilience.model.plan import Node, OspfInterface

MAXIMUM_COST = 65_535


def ospf_cost(node: Node, interface: OspfInterface) -> int:
    """Return the cost of an interface: the highest on the links of a router that is being drained (RFC 6987).

    Both daemons have a word for this, but in OSPFv3 it clears the R bit, and FRR 8.4 then loses its own IPv6 routes.
    """
    return MAXIMUM_COST if node.draining and not interface.passive else interface.cost
