"""AS numbers: each network of the outside is another one, and private numbers stay at home."""

from __future__ import annotations

from collections.abc import Iterator

from resilience.intent.rules.context import Context, Path

_PRIVATE_AS = (range(64_512, 65_535), range(4_200_000_000, 4_294_967_295))
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
