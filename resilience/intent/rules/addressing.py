"""Addresses and ports: each is given once, and both ends of a cable can speak to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from resilience.intent.convert import routers_of
from resilience.intent.document import ExchangePart, LinkPart, UplinkPart
from resilience.intent.problems import show
from resilience.intent.rules.context import Context, Path
from resilience.intent.scalars import ANY_ROUTER
from resilience.model.network import IPAddress, IPInterface, IPNetwork


@dataclass(frozen=True, slots=True)
class Holding:
    """An address that somebody has: stated, or following from one that is."""

    address: IPAddress
    path: Path
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Circuit:
    """An address with its network, and the circuit or LAN that it belongs to."""

    interface: IPInterface
    path: Path
    owner: Path


def circuits(context: Context) -> Iterator[Circuit]:
    """Yield every stated address of an interface."""
    for path, owner, addresses in _interface_lists(context):
        for index, interface in enumerate(addresses):
            yield Circuit(interface, (*path, index), owner)


def _interface_lists(context: Context) -> Iterator[tuple[Path, Path, Sequence[IPInterface]]]:
    """Yield every list of interface addresses with its path and the circuit or LAN that it belongs to."""
    document = context.document
    for name, uplink in document.uplinks.items():
        yield ("uplinks", name, "address"), ("uplinks", name), uplink.address
    for number, link in enumerate(document.links):
        for router, addresses in link.address.items():
            yield ("links", number, "address", router), ("links", number), addresses
    for name, exchange in document.exchanges.items():
        for number, port in enumerate(exchange.ports):
            yield ("exchanges", name, "ports", number, "address"), ("exchanges", name), port.address
    for name, customer in document.customers.items():
        for router, addresses in customer.address.items():
            yield ("customers", name, "address", router), ("customers", name, router), addresses


def _host_lists(context: Context) -> Iterator[tuple[Path, Sequence[IPAddress]]]:
    """Yield every list of stated addresses without a prefix length."""
    document = context.document
    for name, uplink in document.uplinks.items():
        yield ("uplinks", name, "neighbor"), uplink.neighbor
    for name, router in document.routers.items():
        yield ("routers", name, "loopback"), router.loopback
    for name, service in document.services.items():
        yield ("services", name, "address"), service.address
    for name, exchange in document.exchanges.items():
        for index, server in enumerate(exchange.route_servers):
            yield ("exchanges", name, "route_servers", index, "address"), server.address
        for peer, part in exchange.peers.items():
            yield ("exchanges", name, "peers", peer, "address"), part.address


def other_end(interface: IPInterface) -> IPAddress | None:
    """Return the only other host of a /30, /31, /126 or /127; None where there are several or none."""
    length = interface.network.prefixlen - (interface.max_prefixlen - 2)
    first = int(interface.network.network_address) + (1 if length == 0 else 0)
    if length not in {0, 1} or int(interface.ip) not in {first, first + 1}:
        return None
    return ip_address(type(interface.ip)(2 * first + 1 - int(interface.ip)))


def check_addresses(context: Context) -> None:
    """One address a family, each given once, none of them a network's own."""
    _check_families(context)
    seen: dict[IPAddress, Holding] = {}
    reported: set[frozenset[Path]] = set()
    for holding in _holdings(context):
        before = seen.setdefault(holding.address, holding)
        pair = frozenset((before.path, holding.path))
        if before is not holding and pair not in reported:
            _report_duplicate(context, before, holding)
            reported.add(pair)
    for circuit in circuits(context):
        _check_host(context, circuit.path, circuit.interface.ip, circuit.interface.network)
        if circuit.interface.network.prefixlen == circuit.interface.max_prefixlen:
            hint = "a circuit is a /31 or /30, a /127, /126 or /64; an exchange's LAN is larger"
            message = f"{circuit.interface} has no room for the other end"
            context.report("circuit-without-room", circuit.path, message, hint)


def _check_families(context: Context) -> None:
    lists: list[tuple[Path, list[int]]] = [
        (path, [address.version for address in addresses]) for path, addresses in _host_lists(context)
    ]
    grouped: dict[Path, list[int]] = {}
    for circuit in circuits(context):
        grouped.setdefault(circuit.path[:-1], []).append(circuit.interface.version)
    for path, families in (*lists, *grouped.items()):
        for index, family in enumerate(families):
            if family in families[:index]:
                message = f"a second IPv{family} address; there is one a family at most"
                context.report("one-per-family", (*path, index), message, "remove one of them")


def _holdings(context: Context) -> Iterator[Holding]:
    for circuit in circuits(context):
        yield Holding(circuit.interface.ip, circuit.path)
    for path, addresses in _host_lists(context):
        for index, address in enumerate(addresses):
            yield Holding(address, (*path, index))
    for name, uplink in context.document.uplinks.items():
        stated = {address.version for address in uplink.neighbor}
        for index, interface in enumerate(uplink.address):
            other = other_end(interface)
            if other is not None and interface.version not in stated:
                yield Holding(other, ("uplinks", name, "address", index), derived=True)


def _report_duplicate(context: Context, before: Holding, holding: Holding) -> None:
    owner, other = context.label(holding.path), context.label(before.path)
    if holding.derived and before.path == holding.path:
        return
    where = f"line {context.line(before.path)}"
    if holding.derived:
        message = f"the other end of this circuit, {holding.address}, is given to {other} at {where}"
    elif owner == other and holding.path[0] == "links":
        message = f"both ends of the link have {holding.address}"
    elif owner == other:
        message = f"{holding.address} is stated here already, at {where}"
    else:
        message = f"{holding.address} is given to {other} already, at {where}"
    context.report("duplicate-address", holding.path, message, "every interface and host has an address of its own")


def _check_host(context: Context, path: Path, address: IPAddress, network: IPNetwork) -> None:
    """Report a network's first or last address where a host's belongs."""
    spare = network.max_prefixlen - network.prefixlen
    if spare < 2:
        return
    if address == network.network_address:
        kind = "the address of the network itself" if network.version == 4 else "the anycast address of its routers"
    elif network.version == 4 and address == network.broadcast_address:
        kind = "the broadcast address"
    else:
        return
    context.report("network-or-broadcast", path, f"{address} is {kind} in {network}", "write a host's address")


def check_neighbors(context: Context) -> None:
    """A neighbor is a host in the circuit's network."""
    for name, uplink in context.document.uplinks.items():
        for index, neighbor in enumerate(uplink.neighbor):
            _check_neighbor(context, uplink, neighbor, ("uplinks", name, "neighbor", index))


def _check_neighbor(context: Context, uplink: UplinkPart, neighbor: IPAddress, path: Path) -> None:
    ours = next((one for one in uplink.address if one.version == neighbor.version), None)
    if ours is None:
        if context.whole(*path[:2], "address") or not context.stated(*path[:2], "address"):
            message = f"our own IPv{neighbor.version} address is missing beside the neighbor {neighbor}"
            context.report("neighbor-without-address", path, message, "state `address` with its prefix length")
    elif neighbor not in ours.network:
        hint = f"the provider's address lies in {ours.network}, or our length is not {ours.network.prefixlen}"
        context.report("neighbor-outside", path, f"{neighbor} is not in the network of {ours}", hint)
    else:
        _check_host(context, path, neighbor, ours.network)


def check_link_addresses(context: Context) -> None:
    """Both ends of a link lie in one network, and are stated together."""
    for index, link in enumerate(context.document.links):
        if len(link.between) == 2 and link.between[0] != link.between[1]:
            for family in (4, 6):
                _check_link_family(context, index, link, family)


def _check_link_family(context: Context, index: int, link: LinkPart, family: int) -> None:
    path: Path = ("links", index, "address")
    found = {
        router: next((one for one in link.address.get(router, []) if one.version == family), None)
        for router in link.between
    }
    first, second = (found[router] for router in link.between)
    if first is not None and second is not None:
        if first.network != second.network:
            message = f"{first} and {second} do not lie in one network"
            context.report(
                "link-subnet", (*path, link.between[1]), message, "both ends have the same network and length"
            )
    elif (first or second) is not None and not context.tree.was_cut(context.tree.original(path)):
        missing = link.between[0] if first is None else link.between[1]
        message = f"the IPv{family} address of {show(missing)} is missing"
        context.report("link-subnet", path, message, "state both ends, or neither: then both are derived", key=True)


def check_exchanges(context: Context) -> None:
    """Everybody at an exchange has an address in its LAN."""
    for name, exchange in context.document.exchanges.items():
        lans: dict[int, tuple[IPNetwork, Path]] = {}
        for number, port in enumerate(exchange.ports):
            for index, interface in enumerate(port.address):
                path: Path = ("exchanges", name, "ports", number, "address", index)
                lan, first = lans.setdefault(interface.version, (interface.network, path))
                if lan != interface.network:
                    message = f"{interface} is not in the LAN {lan} of the port at line {context.line(first)}"
                    context.report("exchange-lan", path, message, "an exchange is one LAN with one length")
        _check_members(context, name, exchange, {family: lan for family, (lan, _) in lans.items()})


def _check_members(context: Context, name: str, exchange: ExchangePart, lans: dict[int, IPNetwork]) -> None:
    hosts: list[tuple[Path, IPAddress]] = []
    for index, server in enumerate(exchange.route_servers):
        path: Path = ("exchanges", name, "route_servers", index, "address")
        hosts += [((*path, at), address) for at, address in enumerate(server.address)]
    for peer, part in exchange.peers.items():
        path = ("exchanges", name, "peers", peer, "address")
        hosts += [((*path, at), address) for at, address in enumerate(part.address)]
    for path, address in hosts:
        lan = lans.get(address.version)
        if lan is not None and address not in lan:
            context.report("exchange-lan", path, f"{address} is not in the exchange's LAN {lan}", "check both")
        elif lan is not None:
            _check_host(context, path, address, lan)


def check_subnets(context: Context) -> None:
    """No two circuits share a network."""
    found = sorted(
        circuits(context),
        key=lambda one: (
            one.interface.version,
            int(one.interface.network.network_address),
            one.interface.network.prefixlen,
        ),
    )
    widest: Circuit | None = None
    reported: set[tuple[Path, Path]] = set()
    for circuit in found:
        network = circuit.interface.network
        if widest is not None and _overlap(widest.interface.network, network):
            pair = (widest.owner, circuit.owner)
            if widest.owner != circuit.owner and pair not in reported:
                reported.add(pair)
                _report_overlap(context, *sorted((widest, circuit), key=lambda one: context.line(one.path)))
            if network.broadcast_address <= widest.interface.network.broadcast_address:  # type: ignore[operator]
                continue
        widest = circuit


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _report_overlap(context: Context, first: Circuit, second: Circuit) -> None:
    one, other_one = first.interface, second.interface
    if one.ip in (other_one.ip, other_end(other_one)) or other_one.ip == other_end(one):
        return  # the duplicate address says it
    other = f"{context.label(first.path)} at line {context.line(first.path)}"
    message = f"{second.interface.network} overlaps {first.interface.network} of {other}"
    context.report(
        "overlapping-subnets", second.path, message, "each circuit and each exchange has a network of its own"
    )


def check_interfaces(context: Context) -> None:
    """A port of a router, with a VLAN or without, is used once."""
    seen: dict[tuple[str, str, int | None], Path] = {}
    for router, interface, vlan, path in _interfaces(context):
        before = seen.setdefault((router, interface, vlan), path)
        if before != path:
            tagged = "" if vlan is None else f" with VLAN {vlan}"
            other = f"{context.label(before)} at line {context.line(before)}"
            message = f"{show(interface)}{tagged} of {router} is used by {other} already"
            context.report("duplicate-interface", path, message, "state another port, or a `vlan` of its own")


def _interfaces(context: Context) -> Iterator[tuple[str, str, int | None, Path]]:
    document = context.document
    for name, uplink in document.uplinks.items():
        if uplink.interface is not None:
            yield uplink.router, uplink.interface, uplink.vlan, ("uplinks", name, "interface")
    for index, link in enumerate(document.links):
        for router, interface in link.interface.items():
            yield router, interface, link.vlan, ("links", index, "interface", router)
    for name, exchange in document.exchanges.items():
        for index, port in enumerate(exchange.ports):
            if port.interface is not None:
                path: Path = ("exchanges", name, "ports", index, "interface")
                yield port.router, port.interface, port.vlan, path
    for name, customer in document.customers.items():
        for router, interface in customer.interface.items():
            at = next(iter(routers_of(customer, document)), router) if router == ANY_ROUTER else router
            yield at, interface, None, ("customers", name, "interface", router)
