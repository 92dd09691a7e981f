"""What a network must be beyond its shape: one module a subject, every problem found in one pass."""

from __future__ import annotations

from collections.abc import Callable

from resilience.intent.document import Document
from resilience.intent.problems import Problem
from resilience.intent.reader import Tree
from resilience.intent.rules import addressing, naming, prefixes, promises, raw, routing
from resilience.intent.rules.context import Context

CHECKS: tuple[Callable[[Context], None], ...] = (
    naming.check_routers_there,
    naming.check_references,
    naming.check_links,
    naming.check_customers,
    naming.check_customers_without_as,
    naming.check_uniqueness,
    naming.check_reserved,
    naming.check_node_names,
    naming.check_renames,
    naming.check_risk_circles,
    naming.check_words_repeated,
    addressing.check_addresses,
    addressing.check_neighbors,
    addressing.check_link_addresses,
    addressing.check_exchanges,
    addressing.check_subnets,
    addressing.check_interfaces,
    prefixes.check_own,
    prefixes.check_management,
    prefixes.check_customers,
    prefixes.check_services,
    prefixes.check_pools,
    routing.check_as_numbers,
    routing.check_private,
    routing.check_limits,
    routing.check_timers,
    routing.check_validators,
    raw.check_raw,
    promises.check_services,
    promises.check_circles,
    promises.check_objectives,
)
"""Each looks at one thing; the order does not matter, since problems are sorted by their place."""


def find_problems(document: Document, tree: Tree) -> list[Problem]:
    """Return everything that is wrong with a document whose shape is right."""
    context = Context(document, tree)
    for check in CHECKS:
        check(context)
    return context.problems
