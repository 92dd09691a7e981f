"""What every rule needs: the document, the names in it, and a way to report at a place of the file."""

from __future__ import annotations

from resilience.intent.document import Document
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
        self.declared = {key: set(_keys(tree.stated((key,)))) for key in KINDS}
        """Names that stand in the file, whether or not their nouns could be read: no error follows from another."""
        self.names = Names(document, self.declared)

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
        """Whether something stands here, readable or not."""
        return self.tree.stated(self.tree.original(path)) is not None

    def refer(self, path: Path, name: str, kind: str, section: str) -> bool:
        """Report a name that nothing of its kind bears; return whether it is known."""
        known = self.names.known[kind]
        if name in known:
            return True
        near = nearest(name, known)
        if near:
            hint = f"did you mean '{near}'?"
        elif known:
            hint = f"declared under `{section}:` {'is' if len(known) == 1 else 'are'} {join_names(known, last='and')}"
        else:
            hint = f"nothing is declared under `{section}:`; declare {show(name)} there"
        self.report("unknown-name", path, f"there is no {kind} {show(name)}", hint)
        return False


def _keys(value: object) -> list[str]:
    return [str(key) for key in value] if isinstance(value, dict) else []
