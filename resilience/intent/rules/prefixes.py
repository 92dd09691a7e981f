"""Prefixes: ours are ones that the Internet accepts, customers' are theirs alone, pools are free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from resilience.intent.problems import join_names
from resilience.intent.rules.addressing import circuits
from resilience.intent.rules.context import Context, Path
from resilience.model.network import IPNetwork

_NEVER = tuple(
    (ip_network(prefix), what)
    for prefix, what in (
        ("0.0.0.0/8", "'this network' (RFC 1122)"),
        ("127.0.0.0/8", "loopback (RFC 1122)"),
        ("169.254.0.0/16", "link-local (RFC 3927)"),
        ("192.0.0.0/24", "reserved for protocols (RFC 6890)"),
        ("192.88.99.0/24", "the former 6to4 relays (RFC 7526)"),
        ("224.0.0.0/4", "multicast (RFC 5771)"),
        ("240.0.0.0/4", "reserved (RFC 1112)"),
        ("::/8", "reserved by the IETF (RFC 4291)"),
        ("2001::/32", "Teredo (RFC 4380)"),
        ("2001:10::/28", "ORCHID (RFC 4843)"),
        ("2001:20::/28", "ORCHIDv2 (RFC 7343)"),
        ("2002::/16", "6to4 (RFC 7526)"),
        ("3ffe::/16", "the former 6bone (RFC 3701)"),
        ("fe80::/10", "link-local (RFC 4291)"),
        ("ff00::/8", "multicast (RFC 4291)"),
    )
)
_PRIVATE = tuple(
    (ip_network(prefix), what)
    for prefix, what in (
        ("10.0.0.0/8", "private (RFC 1918)"),
        ("172.16.0.0/12", "private (RFC 1918)"),
        ("192.168.0.0/16", "private (RFC 1918)"),
        ("100.64.0.0/10", "shared by carriers' NAT (RFC 6598)"),
        ("198.18.0.0/15", "for benchmarks (RFC 2544)"),
        ("2001:2::/48", "for benchmarks (RFC 5180)"),
        ("fc00::/7", "private (RFC 4193)"),
    )
)
_UNICAST_V6 = ip_network("2000::/3")
_LENGTHS = {4: (8, 24), 6: (16, 48)}
_SIDES = 2


def check_own(context: Context) -> None:
    """Our prefixes are ones that others accept."""
    document = context.document
    if not document.prefixes and context.tree.stated(("prefixes",)) == []:
        hint = "state what this network originates; examples use 198.51.100.0/24 and 2001:db8:6400::/40"
        context.report("missing-key", ("prefixes",), "no prefix is stated", hint, key=True)
    for index, prefix in enumerate(document.prefixes):
        path: Path = ("prefixes", index)
        low, high = _LENGTHS[prefix.version]
        if not low <= prefix.prefixlen <= high:
            message = f"{prefix} is not accepted by the Internet, which takes /{low} to /{high} in IPv{prefix.version}"
            context.report(
                "own-prefix-length", path, message, f"originate a prefix of /{high} or shorter that holds it"
            )
        else:
            _check_bogon(context, path, prefix)
    _check_repeats(context, ("prefixes",), document.prefixes)


def check_management(context: Context) -> None:
    """Who may log in is said once."""
    _check_repeats(context, ("management",), context.document.management)


def _check_repeats(context: Context, path: Path, prefixes: Sequence[IPNetwork]) -> None:
    seen: set[IPNetwork] = set()
    for index, prefix in enumerate(prefixes):
        if prefix in seen:
            context.report("duplicate-prefix", (*path, index), f"{prefix} stands here twice", "remove one of them")
        seen.add(prefix)


def _check_bogon(context: Context, path: Path, prefix: IPNetwork) -> None:
    what = next((what for bogon, what in _NEVER if _overlap(bogon, prefix)), "")
    if not what and prefix.version == 6 and not _overlap(_UNICAST_V6, prefix):
        what = next((what for bogon, what in _PRIVATE if _overlap(bogon, prefix)), "outside 2000::/3 (RFC 4291)")
        if what.startswith("private") and context.document.lab:
            return
    if not what and not context.document.lab:
        what = next((what for bogon, what in _PRIVATE if _overlap(bogon, prefix)), "")
    if what:
        hint = "nobody carries it; networks for labs alone may use private prefixes with `lab: true`"
        context.report("bogon-prefix", path, f"{prefix} is a bogon: {what}", hint)


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _inside(inner: IPNetwork, outer: IPNetwork) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def check_customers(context: Context) -> None:
    """A customer's prefixes are its own; without an AS they lie inside ours."""
    document = context.document
    for name, customer in document.customers.items():
        path: Path = ("customers", name, "prefixes")
        _check_repeats(context, path, customer.prefixes)
        if not customer.prefixes and context.tree.stated(path) == []:
            context.report("missing-key", path, "no prefix is stated", "state what the customer uses", key=True)
        for index, prefix in enumerate(customer.prefixes):
            _check_customer_prefix(context, (*path, index), prefix, static=not context.stated("customers", name, "asn"))
    _check_overlaps(context)
    for name, exchange in document.exchanges.items():
        for peer, part in exchange.peers.items():
            path = ("exchanges", name, "peers", peer, "prefixes")
            _check_repeats(context, path, part.prefixes)
            for index, prefix in enumerate(part.prefixes):
                _check_bogon(context, (*path, index), prefix)


def _check_customer_prefix(context: Context, path: Path, prefix: IPNetwork, *, static: bool) -> None:
    own = context.document.prefixes
    held = next((one for one in own if _inside(one, prefix)), None)
    if held is not None:
        message = f"{prefix} holds our own prefix {held}: it would draw all our traffic"
        context.report("customer-covers", path, message, "a customer has a part of our prefix, or prefixes of its own")
    elif not static:
        _check_bogon(context, path, prefix)
    elif context.whole("prefixes") and not any(_inside(prefix, one) for one in own):
        message = f"{prefix} is not inside our prefixes, and this customer has no AS to announce it from"
        hint = f"our prefixes are {join_names((str(one) for one in own), last='and')}; or state the customer's `asn`"
        context.report("customer-outside", path, message, hint)


def _check_overlaps(context: Context) -> None:
    named = [
        (prefix, ("customers", name, "prefixes", index), name)
        for name, customer in context.document.customers.items()
        for index, prefix in enumerate(customer.prefixes)
    ]
    for first, second in _overlapping(named):
        if first[2] != second[2]:
            earlier, later = sorted((first, second), key=lambda one: context.line(one[1]))
            message = f"{later[0]} overlaps {earlier[0]} of customer {earlier[2]} at line {context.line(earlier[1])}"
            context.report("customer-overlap", later[1], message, "each customer has prefixes of its own")


def _overlapping(
    named: Sequence[tuple[IPNetwork, Path, str]],
) -> Iterator[tuple[tuple[IPNetwork, Path, str], tuple[IPNetwork, Path, str]]]:
    """Yield each prefix with the widest one before it in address order that overlaps it."""
    ordered = sorted(named, key=lambda one: (one[0].version, int(one[0].network_address), one[0].prefixlen))
    widest: tuple[IPNetwork, Path, str] | None = None
    for one in ordered:
        if widest is not None and _overlap(widest[0], one[0]):
            yield widest, one
        else:
            widest = one


def check_services(context: Context) -> None:
    """A service's address is ours to give, and no customer's."""
    own = context.document.prefixes
    customers = [(p, name) for name, customer in context.document.customers.items() for p in customer.prefixes]
    for name, service in context.document.services.items():
        for index, address in enumerate(service.address):
            path: Path = ("services", name, "address", index)
            host = ip_network(address)
            if context.whole("prefixes") and not any(_inside(host, prefix) for prefix in own):
                hint = f"our prefixes are {join_names((str(one) for one in own), last='and')}"
                context.report("service-outside", path, f"{address} is not inside our prefixes", hint)
            owner = next((customer for prefix, customer in customers if _inside(host, prefix)), None)
            if owner is not None:
                message = f"{address} lies in a prefix of customer {owner}"
                context.report("service-outside", path, message, "choose an address that is not the customer's")


def check_pools(context: Context) -> None:
    """Pools are free for derived numbers, and large enough."""
    pools = context.document.pools
    named = [(prefix, ("pools", "loopbacks", index), "loopbacks") for index, prefix in enumerate(pools.loopbacks)]
    named += [(prefix, ("pools", "links", index), "links") for index, prefix in enumerate(pools.links)]
    for first, second in _overlapping(named):
        earlier, later = sorted((first, second), key=lambda one: context.line(one[1]))
        message = f"{later[0]} of `{later[2]}` overlaps {earlier[0]} of `{earlier[2]}`"
        context.report("pool-overlap", later[1], message, "numbers come out of one pool only: split it")
    for prefix, path, _ in named:
        _check_pool(context, prefix, path)
    _check_sizes(context)


def _check_pool(context: Context, pool: IPNetwork, path: Path) -> None:
    document = context.document
    bogon = next((what for one, what in _NEVER if _overlap(one, pool)), None)
    if bogon is not None:
        context.report("bogon-prefix", path, f"{pool} cannot be given to anybody: {bogon}")
    held = next((own for own in document.prefixes if _inside(own, pool)), None)
    if held is not None:
        message = f"the pool {pool} takes all of our prefix {held}: nothing would be left for services and customers"
        context.report("pool-overlap", path, message, "give the pool a part of it, or private space")
    for name, customer in document.customers.items():
        taken = next((prefix for prefix in customer.prefixes if _overlap(prefix, pool)), None)
        if taken is not None:
            message = f"the pool {pool} overlaps {taken} of customer {name}"
            context.report("pool-overlap", path, message, "derived numbers would be taken from the customer")
    for circuit in circuits(context):
        if circuit.owner[0] in {"uplinks", "exchanges"} and _overlap(circuit.interface.network, pool):
            message = f"the pool {pool} overlaps {circuit.interface.network} of {context.label(circuit.path)}"
            context.report("pool-overlap", path, message, "that network belongs to somebody else")
            break


def _check_sizes(context: Context) -> None:
    document = context.document
    routers, links = len(document.routers), len(document.links)
    for key, prefixes, needed, what in (
        ("loopbacks", document.pools.loopbacks, routers, f"{routers} routers"),
        ("links", document.pools.links, _SIDES * links, f"both ends of {links} links"),
    ):
        for family in (4, 6):
            held = sum(prefix.num_addresses for prefix in prefixes if prefix.version == family)
            if 0 < held < needed:
                message = f"`{key}` holds {held} IPv{family} addresses, too few for {what}"
                context.report("pool-too-small", ("pools", key), message, "state a shorter prefix", key=True)
