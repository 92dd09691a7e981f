"""Services and objectives: what is promised can exist, and there is somebody to whom it is promised."""

from __future__ import annotations

from collections.abc import Iterable

from resilience.intent.document import Document, ObjectivePart, ServicePart
from resilience.intent.names import CLASSES, ELEMENTS, INTERNET, KEPT, USERS, WHOM, Resolved
from resilience.intent.problems import join_names, nearest, show
from resilience.intent.rules.context import Context, Path
from resilience.intent.rules.naming import find_circles, show_circle

_DNS_PORT = 53
_LISTENERS = ("tcp", "udp", "http", "dns")


def check_services(context: Context) -> None:
    """A service listens, at sites that have routers, each listener at a port of its own."""
    populated = {router.site or name for name, router in context.document.routers.items()}
    for name, service in context.document.services.items():
        path: Path = ("services", name)
        if not any(context.stated(*path, key) for key in _LISTENERS):
            hint = "state a `tcp`, `udp` or `http` port, or a `dns` zone: labs ask it whether it is there"
            context.report("service-silent", path, "this service listens on nothing", hint, key=True)
        if context.tree.stated((*path, "at")) == []:
            context.report("service-site", (*path, "at"), "no site is stated", "write at: SITE", key=True)
        for index, site in enumerate(service.at):
            known = site in context.names.known["site"]
            if known and site not in populated and _routers_whole(context):
                message = f"no router stands at {show(site)}: this service would be connected to nothing"
                hint = f"routers stand at {join_names(sorted(populated), last='and')}"
                context.report("service-site", (*path, "at", index), message, hint)
        _check_ports(context, path, service)


def _routers_whole(context: Context) -> bool:
    """Whether every router's site could be read: else a site may only seem to be without one."""
    cut = any(context.tree.was_cut(("routers", name, "site")) for name in context.declared["routers"])
    return not cut and set(context.document.routers) == context.declared["routers"]


def _check_ports(context: Context, path: Path, service: ServicePart) -> None:
    used: dict[tuple[str, int], str] = {}
    if service.dns is not None:
        used = {("tcp", _DNS_PORT): "dns", ("udp", _DNS_PORT): "dns"}
    for key, protocol, port in (
        ("tcp", "tcp", service.tcp),
        ("udp", "udp", service.udp),
        ("http", "tcp", service.http),
    ):
        if port is None:
            continue
        other = used.setdefault((protocol, port), key)
        if other != key:
            message = f"`{key}` and `{other}` both listen on {protocol.upper()} port {port}"
            context.report("service-ports", (*path, key), message, "give each a port of its own")


def check_circles(context: Context) -> None:
    """A service never waits for itself."""
    graph = {name: service.needs for name, service in context.document.services.items()}
    for circle in find_circles(graph):
        way = show_circle(circle, "needs")
        path: Path = ("services", circle[-2], "needs", graph[circle[-2]].index(circle[-1]))
        context.report("service-circle", path, f"this closes a circle: {way}", "none of them could ever start")


def check_objectives(context: Context) -> None:
    """Every word of a promise means something, and somebody is there."""
    seen: dict[tuple[str, str, tuple[str, ...], int | None], Path] = {}
    for index, objective in enumerate(context.document.objectives):
        path: Path = ("objectives", index)
        kept = _check_keep(context, path, objective)
        whom = _check_whom(context, path, objective)
        during = _check_during(context, path, objective)
        if kept and whom and kept == whom:
            message = f"{show(kept)} is kept for itself"
            context.report("objective-itself", (*path, "for"), message, "name somebody else who uses it")
        promise = (kept, whom, during, objective.within)
        first = seen.setdefault(promise, path)
        if first != path and kept and whom and all(during):
            message = f"this promise stands at line {context.line(first)} already"
            context.report("duplicate-objective", path, message, "remove one of them", key=True)


def _check_keep(context: Context, path: Path, objective: ObjectivePart) -> str:
    at = (*path, "keep")
    if objective.keep == INTERNET:
        if not context.declared["uplinks"]:
            hint = "declare a provider and an uplink: `providers: {NAME: {asn: N}}`, `uplinks: {NAME: {...}}`"
            context.report("objective-nothing", at, "there is no way to the Internet to keep", hint)
        return INTERNET
    found = context.names.resolve_keep(objective.keep)
    _report_unresolved(context, at, objective.keep, found, KEPT, (INTERNET,))
    return found.text


def _check_whom(context: Context, path: Path, objective: ObjectivePart) -> str:
    at = (*path, "for")
    if objective.whom == INTERNET and not context.declared["uplinks"]:
        hint = "declare a provider and an uplink, or promise it to `customers`"
        context.report("objective-nobody", at, "nobody is there: this network has no way to the Internet", hint)
    if objective.whom in WHOM:
        return objective.whom
    found = context.names.resolve_whom(objective.whom)
    _report_unresolved(context, at, objective.whom, found, USERS, WHOM)
    populated = {router.site or name for name, router in context.document.routers.items()}
    if found.kind == "site" and found.name not in populated and _routers_whole(context):
        hint = f"put a router there (`site: {found.name}`), or name one of {join_names(sorted(populated))}"
        context.report("objective-nobody", at, f"nobody is at {show(found.name)}: no router stands there", hint)
    return found.text


def _check_during(context: Context, path: Path, objective: ObjectivePart) -> tuple[str, ...]:
    at = (*path, "during")
    if not objective.during and context.tree.stated(context.tree.original(at)) == []:
        hint = f"name {join_names(CLASSES)}, or an element"
        context.report("missing-key", at, "no failure is stated", hint, key=True)
    texts: list[str] = []
    for index, word in enumerate(objective.during):
        found = context.names.resolve_during(word)
        _report_unresolved(context, (*at, index), word, found, ELEMENTS, CLASSES)
        _check_possible(context, (*at, index), found.text)
        if found.text and found.text in texts:
            context.report("repeated-value", (*at, index), f"{show(word)} stands here twice", "remove one of them")
        texts.append(found.text)
    return tuple(texts)


def _check_possible(context: Context, path: Path, during: str) -> None:
    """Report a class of failures that holds none here: its promise would be kept without a trial."""
    document = context.document
    if any(context.tree.was_cut((section,)) for section in ("uplinks", "providers", "exchanges", "customers", "links")):
        return
    if during == "any-one-silent-failure" and not (document.links or document.uplinks or document.exchanges):
        hint = "declare a link, an uplink or an exchange, or promise it during any-one-failure"
        message = "nothing here can fail silently: there is neither a link, nor an uplink, nor an exchange"
        context.report("objective-no-failure", path, message, hint)
    if during == "international-cut" and not _is_international(document):
        hint = "state `international: true` at an exchange or customer whose way crosses the border"
        if document.uplinks:
            hint = (
                "providers are international unless they say otherwise: remove `international: false` where it is wrong"
            )
        context.report("objective-no-failure", path, "nothing here is international: no cut can happen", hint)


def _is_international(document: Document) -> bool:
    """Whether an international cut takes anything down."""
    bought = [(uplink, document.providers.get(uplink.provider)) for uplink in document.uplinks.values()]
    return (
        any(uplink.international or provider is None or provider.international for uplink, provider in bought)
        or any(exchange.international for exchange in document.exchanges.values())
        or any(customer.international for customer in document.customers.values())
    )


def _report_unresolved(
    context: Context, path: Path, word: str, found: Resolved, kinds: tuple[str, ...], words: Iterable[str]
) -> None:
    if found.text:
        return
    if found.candidates:
        bearers = join_names(f"{kind} {word.rpartition(' ')[2]}" for kind in found.candidates)
        hint = f"write {bearers}" if "risk" in kinds else "promises are shown by names alone: rename one of them"
        context.report("ambiguous-name", path, f"{show(word)} may mean {bearers}", hint)
        return
    hint = _suggest(context, word, kinds) or f"it is {join_names(words, last='or')}, or the name of {_any_of(kinds)}"
    context.report("unknown-name", path, f"nothing is called {show(word)}", hint)


def _suggest(context: Context, word: str, kinds: tuple[str, ...]) -> str:
    kind, space, name = word.partition(" ")
    if space:
        meant = kind if kind in kinds else nearest(kind, kinds)
        if meant is None:
            return f"before a name stands its kind: {join_names(kinds)}"
        near = name if name in context.names.known[meant] else nearest(name, context.names.known[meant])
        return f"did you mean '{meant} {near}'?" if near else ""
    known = [*(CLASSES if "risk" in kinds else WHOM if "site" in kinds else (INTERNET,))]
    known += [one for wanted in kinds for one in context.names.known[wanted]]
    near = nearest(word, known)
    return f"did you mean '{near}'?" if near else ""


def _any_of(kinds: tuple[str, ...]) -> str:
    return join_names((f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}" for kind in kinds), most=12)
