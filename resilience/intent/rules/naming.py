"""Names: what is referred to exists, what must be unique is, and nothing goes round in a circle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from resilience.intent.convert import routers_of
from resilience.intent.names import RESERVED, name_links, name_route_server
from resilience.intent.problems import join_names, show
from resilience.intent.rules.context import Context, Path
from resilience.intent.scalars import ANY_ROUTER

LAB_PREFIXES = (
    "provider-",
    "transit-",
    "internet-",
    "customer-",
    "exchange-",
    "rs-",
    "peer-",
    "member-",
    "user-",
    "service-",
)
"""How the names of the outside's lab nodes begin; routers bear their own names beside them."""
_DERIVED_MEMBERS = 3
_CIRCLE_ENDS = 4


def check_references(context: Context) -> None:
    """Every name that one noun uses for another is declared."""
    document = context.document
    for path, part in context.nouns():
        _refer_all(context, (*path, "risks"), getattr(part, "risks", []), "risk", "risks")
    for name, risk in document.risks.items():
        _refer_all(context, ("risks", name, "includes"), risk.includes, "risk", "risks")
    for name, router in document.routers.items():
        if router.site is not None:
            context.refer(("routers", name, "site"), router.site, "site", "sites")
    for name, uplink in document.uplinks.items():
        context.refer(("uplinks", name, "router"), uplink.router, "router", "routers")
        context.refer(("uplinks", name, "provider"), uplink.provider, "provider", "providers")
    for name, exchange in document.exchanges.items():
        for index, port in enumerate(exchange.ports):
            context.refer(("exchanges", name, "ports", index, "router"), port.router, "router", "routers")
    for name, service in document.services.items():
        _refer_all(context, ("services", name, "at"), service.at, "site", "sites")
        _refer_all(context, ("services", name, "needs"), service.needs, "service", "services")


def _refer_all(context: Context, path: Path, names: Sequence[str], kind: str, section: str) -> None:
    for index, name in enumerate(names):
        context.refer((*path, index), name, kind, section)
        if name in names[:index]:
            context.report("repeated-value", (*path, index), f"{show(name)} stands here twice", "remove one of them")


def check_links(context: Context) -> None:
    """A link has two different ends, and only they have ports and addresses."""
    for index, link in enumerate(context.document.links):
        path: Path = ("links", index, "between")
        known = [context.refer((*path, at), end, "router", "routers") for at, end in enumerate(link.between)]
        written = context.tree.stated(context.tree.original(path))
        if isinstance(written, list) and len(written) != 2:
            message = f"`between` names {len(written)} router{'' if len(written) == 1 else 's'}; a link has two ends"
            context.report("bad-between", path, message, "write between: [router, other-router]")
        elif len(link.between) == 2 and link.between[0] == link.between[1]:
            message = f"this link leads from {show(link.between[0])} to itself"
            context.report("link-to-itself", (*path, 1), message, "name the router at its other end")
        elif all(known):
            _refer_ends(context, ("links", index, "interface"), link.interface, link.between)
            _refer_ends(context, ("links", index, "address"), link.address, link.between)


def _refer_ends(context: Context, path: Path, stated: Iterable[str], ends: Sequence[str]) -> None:
    for router in stated:
        if router not in ends:
            hint = f"its ends are {join_names(ends, last='and')}"
            context.report("unknown-name", (*path, router), f"{show(router)} is no end of this link", hint, key=True)


def check_customers(context: Context) -> None:
    """A customer is connected to routers that are there, stated where there are several."""
    for name, customer in context.document.customers.items():
        path: Path = ("customers", name)
        _refer_all(context, (*path, "routers"), customer.routers, "router", "routers")
        if customer.router is not None:
            context.refer((*path, "router"), customer.router, "router", "routers")
        stated = context.stated(*path, "router"), context.stated(*path, "routers")
        if all(stated):
            hint = "keep `routers`, with all of them in it"
            context.report(
                "customer-routers", (*path, "router"), "`router` and `routers` are both stated", hint, key=True
            )
        elif not any(stated) and len(context.declared["routers"]) > 1:
            routers = join_names(context.declared_in_order("routers"))
            message = "it is not stated to which router this customer is connected"
            context.report("customer-routers", path, message, f"write router: {routers}", key=True)
        _check_per_router(context, path, customer.address, "address", routers_of(customer, context.document))
        _check_per_router(context, path, customer.interface, "interface", routers_of(customer, context.document))


def _check_per_router(context: Context, path: Path, stated: Iterable[str], key: str, routers: Sequence[str]) -> None:
    for router in stated:
        if router == ANY_ROUTER and len(routers) > 1:
            message = f"`{key}` does not say at which router, and there are {len(routers)}"
            context.report("customer-routers", (*path, key), message, f"write {key}: {{{routers[0]}: ...}}", key=True)
        elif router not in (ANY_ROUTER, *routers):
            hint = f"it is connected to {join_names(routers, last='and')}"
            message = f"this customer is not connected to {show(router)}"
            context.report("unknown-name", (*path, key, router), message, hint, key=True)


def check_customers_without_as(context: Context) -> None:
    """What only BGP has is stated only where there is BGP."""
    for name, customer in context.document.customers.items():
        if customer.asn is not None or context.stated("customers", name, "asn"):
            continue
        for key in ("send", "bfd", "graceful_restart", "hold", "ttl_security", "password", "maximum_prefixes", "raw"):
            if context.stated("customers", name, key):
                message = f"`{key}` belongs to BGP, and this customer has no AS number"
                hint = f"state its `asn`, or remove `{key}`"
                context.report("customer-without-as", ("customers", name, key), message, hint, key=True)


def check_uniqueness(context: Context) -> None:
    """Derived and stated names meet nowhere within their kind."""
    document = context.document
    links = [(("links", index), name) for index, name in enumerate(name_links(document.links))]
    _report_twice(context, "link", links, "state another `name`")
    ports, servers, peers = [], [], []
    for name, exchange in document.exchanges.items():
        path: Path = ("exchanges", name)
        ports += _ports_without_repeats(context, name)
        servers += [
            ((*path, "route_servers", index), server.name or name_route_server(name, index))
            for index, server in enumerate(exchange.route_servers)
        ]
        peers += [((*path, "peers", peer), f"{name}-{peer}") for peer in exchange.peers]
    _report_twice(context, "port", ports, "rename the exchange")
    _report_twice(context, "route server", servers, "state another `name`")
    _report_twice(context, "peer", peers, "rename the exchange or the peer")
    _report_twice(
        context,
        "validator",
        [(("rpki", index), part.name or f"rpki-{index + 1}") for index, part in enumerate(document.rpki)],
        "state another `name`",
    )


def _ports_without_repeats(context: Context, exchange: str) -> list[tuple[Path, str]]:
    """Return an exchange's ports; a second one at the same router is a mistake of its own."""
    seen: dict[str, Path] = {}
    for index, port in enumerate(context.document.exchanges[exchange].ports):
        path: Path = ("exchanges", exchange, "ports", index)
        if port.router in seen:
            message = (
                f"{show(port.router)} has a port at this exchange already, at line {context.line(seen[port.router])}"
            )
            hint = "one port carries the sessions of both families; a second one belongs to another router"
            context.report("two-ports", (*path, "router"), message, hint)
        else:
            seen[port.router] = path
    return [(path, f"{exchange}-{router}") for router, path in seen.items()]


def _report_twice(context: Context, kind: str, named: Iterable[tuple[Path, str]], hint: str) -> None:
    seen: dict[str, Path] = {}
    for path, name in named:
        if name in seen:
            message = f"the name {show(name)} belongs to another {kind} already, at line {context.line(seen[name])}"
            context.report("duplicate-name", path, message, hint, key=True)
        else:
            seen[name] = path


def check_reserved(context: Context) -> None:
    """Names of routers stay clear of the lab's own nodes, and no name is a word of the language."""
    for name in context.document.routers:
        prefix = next((one for one in LAB_PREFIXES if name.startswith(one)), None)
        if prefix is not None:
            message = f"names that begin with '{prefix}' belong to the outside world of labs"
            rest = name.removeprefix(prefix)
            context.report("reserved-name", ("routers", name), message, f"perhaps 'r-{rest}'", key=True)
    for path, _part in context.nouns():
        name = str(path[-1])
        if name in RESERVED:
            message = f"{show(name)} is a word of the language of objectives"
            context.report("reserved-name", path, message, "choose another name", key=True)


def check_node_names(context: Context) -> None:
    """No two nodes of the lab get one name."""
    seen: dict[str, Path] = {}
    for node, path in _node_names(context):
        if node in seen and seen[node] != path:
            other = context.label(seen[node])
            message = f"the lab's node '{node}' would stand for this and for {other}"
            context.report("name-clash", path, message, "rename one of them", key=True)
        seen.setdefault(node, path)


def _node_names(context: Context) -> Iterator[tuple[str, Path]]:
    document = context.document
    for name in document.providers:
        for suffix in ("", "-customer", "-peer"):
            yield f"provider-{name}{suffix}", ("providers", name)
    for name, customer in document.customers.items():
        yield f"customer-{name}", ("customers", name)
        if customer.asn is not None:
            yield f"customer-{name}-user", ("customers", name)
    for name in document.exchanges:
        yield from _exchange_node_names(context, name)
    for name, service in document.services.items():
        for site in dict.fromkeys(service.at):
            yield f"service-{name}-{site}", ("services", name)


def _exchange_node_names(context: Context, name: str) -> Iterator[tuple[str, Path]]:
    exchange = context.document.exchanges[name]
    path: Path = ("exchanges", name)
    yield f"exchange-{name}", path
    for index in range(len(exchange.route_servers)):
        yield f"rs-{name}-{index + 1}", (*path, "route_servers", index)
    members = [(f"peer-{name}-{peer}", (*path, "peers", peer)) for peer in exchange.peers]
    members = members or [(f"member-{name}-{index + 1}", path) for index in range(_DERIVED_MEMBERS)]
    for node, at in members:
        yield node, at
        yield f"{node}-user", at


def check_renames(context: Context) -> None:
    """`was:` names something that is gone, and one thing only takes its numbers over."""
    taken: dict[tuple[str, str], Path] = {}
    for path, part in context.nouns():
        if part.was is None:
            continue
        kind = str(path[0] if len(path) <= 2 else path[2])
        at = (*path, "was")
        siblings = context.declared[kind] if len(path) == 2 and kind != "links" else context.names.known["link"]
        if part.was in siblings and kind not in {"ports", "route_servers", "peers", "rpki"}:
            context.report("was-exists", at, f"{show(part.was)} is still there", "`was` is the name before a rename")
        elif (kind, part.was) in taken:
            line = context.line(taken[kind, part.was])
            message = f"line {line} says already that it was {show(part.was)}"
            context.report("was-exists", at, message, "only one thing can take its numbers over")
        taken.setdefault((kind, part.was), at)


def check_risk_circles(context: Context) -> None:
    """Risks include other risks, never themselves."""
    graph = {name: risk.includes for name, risk in context.document.risks.items()}
    for circle in find_circles(graph):
        way = show_circle(circle, "includes")
        path: Path = ("risks", circle[-2], "includes", graph[circle[-2]].index(circle[-1]))
        context.report("risk-circle", path, f"this closes a circle: {way}", "remove one of these inclusions")


def show_circle(circle: list[str], verb: str) -> str:
    """Return a circle in words; the middle of a long one is left out."""
    middle = [f"... ({len(circle) - 2 * _CIRCLE_ENDS} more) ..."] if len(circle) > 2 * _CIRCLE_ENDS else []
    shown = [*circle[:_CIRCLE_ENDS], *middle, *circle[-_CIRCLE_ENDS:]] if middle else circle
    return f" {verb} ".join(shown)


def find_circles(graph: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Yield one circle for each reference that closes one: `[a, b, a]`. No recursion: chains may be long."""
    done: set[str] = set()
    for start in graph:
        if start in done:
            continue
        way = [start]
        branches = [iter(graph[start])]
        on_way = {start}
        while way:
            for name in branches[-1]:
                if name in on_way:
                    yield [*way[way.index(name) :], name]
                elif name in graph and name not in done:
                    way.append(name)
                    on_way.add(name)
                    branches.append(iter(graph[name]))
                    break
            else:
                on_way.discard(way[-1])
                done.add(way.pop())
                branches.pop()


def check_words_repeated(context: Context) -> None:
    """Lists of words name each once."""
    for name, provider in context.document.providers.items():
        for key, words in (("honours", provider.honours), ("via", provider.via)):
            for word, count in Counter(words).items():
                if count > 1:
                    message = f"{show(word)} stands here {count} times"
                    context.report("repeated-value", ("providers", name, key), message, "write it once")


def check_routers_there(context: Context) -> None:
    """A network has a router, an exchange a port."""
    if not context.document.routers and context.whole("routers"):
        hint = "write routers: {gw: {platform: frr}}"
        context.report("no-routers", ("routers",), "a network needs a router", hint, key=True)
    for name, exchange in context.document.exchanges.items():
        if not exchange.ports and context.tree.stated(("exchanges", name, "ports")) == []:
            hint = "write ports: [{router: NAME}]"
            context.report("missing-key", ("exchanges", name, "ports"), "no port of ours is stated", hint, key=True)
