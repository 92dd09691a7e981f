"""AS numbers: each network of the outside is another one, and private numbers stay at home."""

from __future__ import annotations

from collections.abc import Iterator

from resilience.intent.convert import limits_of
from resilience.intent.document import CustomerPart, PeerPart, RouteServerPart, UplinkPart
from resilience.intent.rules.context import Context, Path
from resilience.model.network import IPAddress
from resilience.model.units import show_duration

_PRIVATE_AS = (range(64_512, 65_535), range(4_200_000_000, 4_294_967_295))
_HOLD_MS = 180_000
"""What is proposed where nothing is stated."""
_Neighbor = UplinkPart | RouteServerPart | PeerPart | CustomerPart
_MAY_SHARE = frozenset(
    {
        ("route server", "route server"),
        ("route server", "peer"),
        ("peer", "route server"),
        ("peer", "peer"),
        ("peer", "customer"),
        ("customer", "peer"),
    }
)
"""What may be one network: an exchange's route servers, one network at two exchanges, a customer that peers too."""


def _neighbors(context: Context) -> Iterator[tuple[str, int, Path]]:
    document = context.document
    for name, provider in document.providers.items():
        yield "provider", provider.asn, ("providers", name, "asn")
    for name, exchange in document.exchanges.items():
        for index, server in enumerate(exchange.route_servers):
            yield "route server", server.asn, ("exchanges", name, "route_servers", index, "asn")
        for peer, part in exchange.peers.items():
            yield "peer", part.asn, ("exchanges", name, "peers", peer, "asn")
    for name, customer in document.customers.items():
        if customer.asn is not None:
            yield "customer", customer.asn, ("customers", name, "asn")


def check_as_numbers(context: Context) -> None:
    """Nobody has our AS number, and different parts have different ones."""
    own = context.document.asn if context.whole("asn") else None
    seen: dict[int, list[tuple[str, Path]]] = {}
    for kind, asn, path in _neighbors(context):
        if asn == own:
            message = f"AS {asn} is our own number, at line {context.line(('asn',))}"
            context.report("own-as", path, message, f"state the AS number of the {kind}")
            continue
        other = next((before for before in seen.get(asn, []) if (before[0], kind) not in _MAY_SHARE), None)
        if other is not None:
            message = f"AS {asn} is {context.label(other[1])} already, at line {context.line(other[1])}"
            hint = "one provider with two circuits is one provider with two uplinks" if kind == "provider" else ""
            context.report("duplicate-as", path, message, hint or "one network plays one part here")
        seen.setdefault(asn, []).append((kind, path))


def check_private(context: Context) -> None:
    """Private AS numbers are dropped by everybody outside, and so are routes with one in their path."""
    document = context.document
    if document.lab or context.tree.was_cut(("lab",)):
        return
    hint = "use the number that a registry gave; networks for labs alone say `lab: true` at the top"
    if _is_private(document.asn) and (document.providers or document.exchanges):
        message = f"AS {document.asn} is private (RFC 6996): providers and exchanges do not accept it"
        context.report("private-as", ("asn",), message, hint)
    for kind, asn, path in _neighbors(context):
        if kind != "route server" and _is_private(asn):
            message = f"AS {asn} is private (RFC 6996): routes with it in their path are dropped by the Internet"
            context.report("private-as", path, message, hint)


def _is_private(asn: int) -> bool:
    return any(asn in numbers for numbers in _PRIVATE_AS)


def check_limits(context: Context) -> None:
    """A maximum leaves room for the prefixes that the neighbour is declared to have; else its session ends."""
    parts: list[tuple[Path, PeerPart | CustomerPart]] = [
        (("exchanges", name, "peers", peer), part)
        for name, exchange in context.document.exchanges.items()
        for peer, part in exchange.peers.items()
    ]
    parts += [(("customers", name), customer) for name, customer in context.document.customers.items()]
    for path, part in parts:
        for family, most in limits_of(part.maximum_prefixes).items():
            present = sum(prefix.version == family for prefix in part.prefixes)
            if most < present:
                message = f"it has {present} IPv{family} prefixes, and more than {most} would end the session"
                hint = f"state {present} or more, with room for what comes; or remove the key"
                at: Path = (*path, "maximum_prefixes", f"ipv{family}")
                context.report("maximum-below-present", at, message, hint)


def check_timers(context: Context) -> None:
    """BFD that is slower than the hold time only costs packets: the session has ended before it speaks."""
    for path, part, proposed_ms in _sessions(context):
        detection_ms = part.bfd.interval * part.bfd.multiplier if part.bfd is not None else 0
        if detection_ms >= proposed_ms:
            hold, bfd = show_duration(proposed_ms), show_duration(detection_ms)
            message = f"BFD needs {bfd} to notice a failure, and the hold time ends the session after {hold}"
            context.report("bfd-too-slow", (*path, "bfd"), message, "300 ms three times (`bfd: true`) is usual")


def _sessions(context: Context) -> Iterator[tuple[Path, _Neighbor, int]]:
    """Yield everything that BGP is spoken with, and the hold time that is proposed to it."""
    document = context.document
    for name, uplink in document.uplinks.items():
        provider = document.providers.get(uplink.provider)
        yield ("uplinks", name), uplink, uplink.hold or (provider.hold if provider is not None else _HOLD_MS)
    for name, exchange in document.exchanges.items():
        for index, server in enumerate(exchange.route_servers):
            yield ("exchanges", name, "route_servers", index), server, server.hold or _HOLD_MS
        for peer, part in exchange.peers.items():
            yield ("exchanges", name, "peers", peer), part, part.hold or _HOLD_MS
    for name, customer in document.customers.items():
        yield ("customers", name), customer, customer.hold or _HOLD_MS


def check_validators(context: Context) -> None:
    """Two validators are two: the second is there for when the first is gone."""
    seen: dict[tuple[IPAddress, int], Path] = {}
    for index, validator in enumerate(context.document.rpki):
        path: Path = ("rpki", index)
        first = seen.setdefault((validator.address, validator.port), path)
        if first != path:
            message = f"{validator.address} port {validator.port} stands at line {context.line(first)} already"
            hint = "a second validator is another machine; otherwise remove it"
            context.report("duplicate-validator", (*path, "address"), message, hint)
