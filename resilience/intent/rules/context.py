"""What every rule needs: the document, the names in it, and a way to report at a place of the file."""

from __future__ import annotations

from collections.abc import Iterator

from resilience.intent.document import Document, NamedPart
from resilience.intent.names import Names
from resilience.intent.problems import Problem, join_names, nearest, show
from resilience.intent.reader import Tree
from resilience.intent.shape import KINDS, label

Path = tuple[str | int, ...]


class Context:
    """One document under examination."""

    def __init__(self, document: Document, tree: Tree) -> None:
        self.document = document
        self.tree = tree
        self.problems: list[Problem] = []
        self.declared = {key: set(self.declared_in_order(key)) for key in KINDS}
        """Names that stand in the file, whether or not their nouns could be read: no error follows from another."""
        self.names = Names(document, self.declared)

    def declared_in_order(self, section: str) -> list[str]:
        """Return the names that stand in a section, in the order of the file."""
        stated = self.tree.stated((section,))
        return [str(key) for key in stated] if isinstance(stated, dict) else []

    def report(self, rule: str, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        """Note a problem at a value, or at its key, with the noun that it belongs to in front."""
        written = self.tree.original(path)
        self.problems.append(self.tree.problem(rule, written, f"{self.label(path)}: {message}", hint, key=key))

    def label(self, path: Path) -> str:
        """Return what people call the noun at a path."""
        return label(self.tree, self.tree.original(path))

    def line(self, path: Path) -> int:
        """Return the line at which a value stands."""
        return self.tree.locate(self.tree.original(path), key=True).line + 1

    def stated(self, *path: str | int) -> bool:
        """Whether a key stands here, its value readable or not."""
        written = self.tree.original(path)
        above = self.tree.stated(written[:-1])
        return isinstance(above, dict) and written[-1] in above

    def whole(self, *path: str | int) -> bool:
        """Whether a list was read whole: nothing in it was misshapen, and it is not a stand-in."""
        written = self.tree.original(path)
        return self.stated(*path) and written not in self.tree.kept and not self.tree.was_cut(written)

    def refer(self, path: Path, name: str, kind: str, section: str) -> bool:
        """Report a name that nothing of its kind bears; return whether it is known."""
        known = self.names.known[kind]
        if name in known:
            return True
        if kind == "router" and not self.stated("routers"):
            return False  # the missing key says it once for all
        near = nearest(name, known)
        if near:
            hint = f"did you mean '{near}'?"
        elif known:
            hint = f"`{section}:` declares {join_names(known, last='and')}"
        else:
            hint = f"nothing is declared under `{section}:`; declare {show(name)} there"
        self.report("unknown-name", path, f"there is no {kind} {show(name)}", hint)
        return False

    def nouns(self) -> Iterator[tuple[Path, NamedPart]]:
        """Yield everything declared, with its path."""
        document = self.document
        for section in ("risks", "sites", "routers", "providers", "uplinks", "customers", "services"):
            for name, part in getattr(document, section).items():
                yield (section, name), part
        for index, link in enumerate(document.links):
            yield ("links", index), link
        for name, exchange in document.exchanges.items():
            path: Path = ("exchanges", name)
            yield path, exchange
            yield from (((*path, "ports", index), port) for index, port in enumerate(exchange.ports))
            yield from (
                ((*path, "route_servers", index), server) for index, server in enumerate(exchange.route_servers)
            )
            yield from (((*path, "peers", peer), part) for peer, part in exchange.peers.items())
        for index, validator in enumerate(document.rpki):
            yield ("rpki", index), validator
