"""Where kinds of names mix: what a word of an objective refers to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from resilience.intent.document import Document, LinkPart

CLASSES = ("any-one-failure", "any-one-silent-failure", "any-two-failures", "international-cut", "maintenance")
"""Words of `during` that stand for sets of failures."""
WHOM = ("customers", "everyone", "internet")
"""Words of `for` that stand for sets of users."""
INTERNET = "internet"
RESERVED = frozenset({*CLASSES, *WHOM})
ELEMENTS = (
    "router",
    "site",
    "link",
    "uplink",
    "port",
    "provider",
    "exchange",
    "route-server",
    "peer",
    "risk",
)
"""Kinds of what can fail, as `during` qualifies a name with them."""
KEPT = ("service", "exchange", "customer")
USERS = ("exchange", "customer", "site")


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a word refers to. `kind` is empty for words of the language; nothing was found where `text` is empty."""

    text: str = ""
    kind: str = ""
    name: str = ""
    candidates: tuple[str, ...] = ()
    """The kinds that bear a name, where they are several."""


class Names:
    """Every name of a network, by kind. `declared` may hold names whose nouns could not be read."""

    def __init__(self, document: Document, declared: dict[str, set[str]] | None = None) -> None:
        declared = declared or {}
        exchanges = document.exchanges.items()
        self.known: dict[str, dict[str, None]] = {
            "router": _ordered(document.routers, declared.get("routers")),
            "site": _ordered((*document.sites, *_derived_sites(document)), declared.get("sites")),
            "link": dict.fromkeys(name_links(document.links)),
            "uplink": _ordered(document.uplinks, declared.get("uplinks")),
            "port": dict.fromkeys(f"{name}-{port.router}" for name, exchange in exchanges for port in exchange.ports),
            "provider": _ordered(document.providers, declared.get("providers")),
            "exchange": _ordered(document.exchanges, declared.get("exchanges")),
            "route-server": dict.fromkeys(
                server.name or name_route_server(name, index)
                for name, exchange in exchanges
                for index, server in enumerate(exchange.route_servers)
            ),
            "peer": dict.fromkeys(f"{name}-{peer}" for name, exchange in exchanges for peer in exchange.peers),
            "risk": _ordered(document.risks, declared.get("risks")),
            "customer": _ordered(document.customers, declared.get("customers")),
            "service": _ordered(document.services, declared.get("services")),
        }

    def resolve_during(self, word: str) -> Resolved:
        """Return a class of failures, or an element in its qualified form."""
        if word in CLASSES:
            return Resolved(text=word)
        found = self._resolve(word, ELEMENTS)
        return Resolved(f"{found.kind} {found.name}", found.kind, found.name) if found.text else found

    def resolve_keep(self, word: str) -> Resolved:
        """Return what a promise keeps: its name alone, which one kind bears."""
        return Resolved(text=word) if word == INTERNET else self._resolve_bare(word, KEPT)

    def resolve_whom(self, word: str) -> Resolved:
        """Return to whom a promise is made: a name alone, which one kind bears."""
        return Resolved(text=word) if word in WHOM else self._resolve_bare(word, USERS)

    def _resolve_bare(self, word: str, kinds: tuple[str, ...]) -> Resolved:
        """Return a name of one of a few kinds; it must be clear alone, as reports show it alone."""
        name = word.rpartition(" ")[2]
        bearers = tuple(kind for kind in kinds if name in self.known[kind])
        if len(bearers) > 1:
            return Resolved(candidates=bearers)
        return self._resolve(word, kinds)

    def _resolve(self, word: str, kinds: Iterable[str]) -> Resolved:
        qualifier, space, name = word.partition(" ")
        if not space:
            name = word
        bearers = tuple(kind for kind in kinds if name in self.known[kind] and (not space or kind == qualifier))
        if len(bearers) == 1:
            return Resolved(name, bearers[0], name)
        return Resolved(candidates=bearers)


def _ordered(names: Iterable[str], more: set[str] | None) -> dict[str, None]:
    return dict.fromkeys((*names, *sorted(more or ())))


def _derived_sites(document: Document) -> list[str]:
    return [name for name, router in document.routers.items() if router.site is None]


def name_route_server(exchange: str, index: int) -> str:
    """Return the name of a route server that has none stated."""
    return f"{exchange}-rs{index + 1}"


def name_links(links: list[LinkPart]) -> list[str]:
    """Return each link's name: stated, or its ends, with a number for the second and later parallel ones."""
    seen: Counter[frozenset[str]] = Counter()
    names = []
    for link in links:
        pair = frozenset(link.between)
        seen[pair] += 1
        derived = "-".join(link.between) + (f"-{seen[pair]}" if seen[pair] > 1 else "")
        names.append(link.name or derived)
    return names
