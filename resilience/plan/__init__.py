"""`Network` to `Plan`: addresses, interfaces, sessions, policies, timers and the outside world.

Pure and deterministic: the same intent and the same numbers make the same plan. `read_numbers` and `write_numbers` are
the only functions here that touch a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from resilience.model.network import IPNetwork, Network, Noun
from resilience.model.plan import Plan, index_neighbors
from resilience.plan.borders import add_floating, add_lists, anchor_borders, plan_bgp_customer, plan_uplink
from resilience.plan.draft import Draft
from resilience.plan.elements import expand_draining, plan_elements
from resilience.plan.exchanges import plan_exchange
from resilience.plan.lockfile import LOCK_NAME, read_numbers, write_numbers
from resilience.plan.numbers import Allocator, Numbers
from resilience.plan.objectives import failure_faults, find_element, plan_objectives
from resilience.plan.own import plan_hosts, plan_ibgp, plan_links, plan_routers, plan_static_customers
from resilience.plan.pools import make_pools
from resilience.plan.restart import apply_restarts
from resilience.plan.world import plan_provider, plan_transits

__all__ = [
    "LOCK_NAME",
    "Numbers",
    "failure_faults",
    "find_element",
    "make_plan",
    "prune_numbers",
    "read_numbers",
    "write_numbers",
]


def make_plan(
    network: Network, numbers: Numbers | None = None, *, draining: Iterable[str] = ()
) -> tuple[Plan, Numbers]:
    """Return the plan of a network, and the numbers it uses (locked ones and new ones).

    Args:
        network: the declared network.
        numbers: what was given before; None when nothing was.
        draining: names of elements that are being drained (`uplink dakar`).

    Raises:
        UsageError: two elements would make nodes or interfaces of one name.
        NumbersError: a pool or the documentation AS numbers are exhausted.
    """
    allocator = Allocator(numbers or Numbers(), dict(_renames(network)))
    draft = Draft(network, allocator, make_pools(network), expand_draining(network, draining))
    _reserve(draft)
    plan_routers(draft)
    plan_links(draft)
    plan_hosts(draft)
    plan_static_customers(draft)
    plan_transits(draft)
    for provider in network.providers.values():
        plan_provider(draft, provider)
    for uplink in network.uplinks.values():
        plan_uplink(draft, uplink)
    for exchange in network.exchanges.values():
        plan_exchange(draft, exchange)
    for customer in network.customers.values():
        if customer.asn is not None:
            plan_bgp_customer(draft, customer)
    plan_ibgp(draft)
    apply_restarts(draft)
    anchor_borders(draft)
    add_floating(draft)
    add_lists(draft)
    plan_elements(draft)
    sessions = tuple(draft.sessions)
    plan = Plan(
        network=network,
        nodes=draft.freeze_nodes(),
        segments=draft.segments,
        sessions=sessions,
        elements=draft.elements,
        objectives=plan_objectives(draft),
        missing=tuple(dict.fromkeys(draft.missing)),
        draining=tuple(sorted(draft.draining)),
        _neighbors=index_neighbors(sessions),
    )
    return plan, allocator.numbers()


def prune_numbers(network: Network, numbers: Numbers) -> Numbers:
    """Return only the numbers that the network still uses."""
    _, all_numbers = make_plan(network, numbers)
    _, fresh = make_plan(network, Numbers())
    return all_numbers.without(key for key in all_numbers.given if key not in fresh.given)


def _renames(network: Network) -> Iterator[tuple[str, str]]:
    """Yield (qualified new name, old name) of everything that says `was:`."""
    nouns: list[tuple[str, Iterable[Noun]]] = [
        ("router", network.routers.values()),
        ("site", network.sites.values()),
        ("link", network.links.values()),
        ("uplink", network.uplinks.values()),
        ("customer", network.customers.values()),
        ("service", network.services.values()),
        ("exchange", network.exchanges.values()),
    ]
    for kind, elements in nouns:
        for element in elements:
            if element.was is not None:
                yield f"{kind} {element.name}", element.was


def _reserve(draft: Draft) -> None:
    """Keep every stated number from being given to anybody else."""
    for network in _stated_networks(draft.network):
        draft.allocator.reserve(network)
    for asn in _stated_as(draft.network):
        draft.allocator.reserve_integer("as", asn)


def _stated_networks(network: Network) -> Iterator[IPNetwork]:
    for uplink in network.uplinks.values():
        yield from (interface.network for interface in uplink.addresses)
    for exchange in network.exchanges.values():
        yield from (interface.network for port in exchange.ports for interface in port.addresses)
    for link in network.links.values():
        yield from (interface.network for addresses in link.addresses.values() for interface in addresses)
    for customer in network.customers.values():
        yield from (interface.network for addresses in customer.addresses.values() for interface in addresses)
    for router in network.routers.values():
        yield from (ip_network(loopback) for loopback in router.loopbacks)


def _stated_as(network: Network) -> Iterator[int]:
    yield network.asn
    yield from (provider.asn for provider in network.providers.values())
    yield from (customer.asn for customer in network.customers.values() if customer.asn is not None)
    for exchange in network.exchanges.values():
        yield from (server.asn for server in exchange.route_servers)
        yield from (peer.asn for peer in exchange.peers.values())
