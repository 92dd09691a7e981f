"""A stranger's topology file for containerlab, as far as drills need it: the lab's name, its nodes and its cables.

Only what is used is looked at, since containerlab knows more keys with every version, and looks at the rest itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from resilience.errors import IntentError
from resilience.intent.problems import order, show
from resilience.intent.reader import Genre, Tree, Unreadable, parse, read_file

GENRE: Final = Genre(
    noun="a topology file",
    begins="it begins with `name:` and `topology:`",
    start="it is the file that the lab was deployed from",
    where="name the file that the lab was deployed from, such as lab.clab.yml",
)
_LENIENT: Final = frozenset({"yaml-boolean", "yaml-sexagesimal", "yaml-tag", "yaml-merge"})
"""What our own language refuses and containerlab reads. Merged values are nodes' settings, which are not looked at."""
_LAB_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}")
_NODE_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._|-]{0,127}")
_INTERFACE: Final = re.compile(r"[^\s/:$]{1,64}")
_DOLLAR: Final = re.compile(r"(?<!\$)(?:\$\$)*\$(?!\$)")
_ELSEWHERE: Final = frozenset({"host", "mgmt-net", "macvlan"})
"""What containerlab itself means by these names of nodes in a link."""

_Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class LinkEnd:
    """One end of a cable, as the file names it."""

    node: str
    interface: str

    def __str__(self) -> str:
        return f"{self.node}:{self.interface}"


@dataclass(frozen=True, slots=True)
class Topology:
    """What a topology file says."""

    file: Path
    name: str
    nodes: tuple[str, ...]
    links: tuple[tuple[LinkEnd, LinkEnd], ...]
    elsewhere: tuple[LinkEnd, ...] = ()
    """Ends whose cable leaves the lab, or is none: they cannot fail here."""


def read_topology(path: Path) -> Topology:
    """Return what a topology file says; IntentError with every problem that keeps us from understanding it."""
    try:
        name, data = read_file(path, GENRE)
        tree = parse(name, data, GENRE)
    except Unreadable as stopped:
        raise IntentError(stopped.problems, hint=_template_hint(path)) from None
    try:
        return _Reader(tree).read(path)
    except IntentError as error:
        raise IntentError(error.problems, hint=_template_hint(path)) from None


def _template_hint(path: Path) -> str:
    if path.suffix in {".gotmpl", ".j2"}:
        return "this is a template: `containerlab deploy -t FILE --export-rendered OUT.clab.yml` writes what it means"
    return ""


class _Reader:
    """Reads a tree, collecting what is wrong."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._problems = [problem for problem in tree.problems if problem.rule not in _LENIENT]
        self._used: dict[LinkEnd, int] = {}

    def read(self, path: Path) -> Topology:
        """Return the whole."""
        name = self._name()
        nodes = self._nodes()
        links: list[tuple[LinkEnd, LinkEnd]] = []
        elsewhere: list[LinkEnd] = []
        for index, link in enumerate(self._links()):
            ends = self._ends(("topology", "links", index), link, nodes)
            inside = [end for end in ends if end.node not in _ELSEWHERE or end.node in nodes]
            # Other types than veth, the default, have one end here or a stitch between: no cable that could be pulled.
            if len(inside) == 2 and link.get("type") in {None, "veth"}:
                links.append((inside[0], inside[1]))
            else:
                elsewhere += inside
        if self._problems:
            raise IntentError(order(self._problems))
        return Topology(path.resolve(), name, tuple(nodes), tuple(links), tuple(elsewhere))

    def _report(self, rule: str, where: _Where, message: str, hint: str = "", *, key: bool = False) -> None:
        self._problems.append(self._tree.problem(rule, where, message, hint, key=key))

    # --- names --------------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        value = self._tree.value.get("name")
        if not isinstance(value, str):
            self._report("missing-key", (), "the topology file has no `name:`", "every lab of containerlab has one")
            return ""
        return self._text(("name",), value, _LAB_NAME, "the name of a lab") or ""

    def _nodes(self) -> dict[str, None]:
        nodes = self._topology().get("nodes")
        if not isinstance(nodes, dict) or not nodes:
            self._report("missing-key", ("topology",), "the topology has no `nodes:`", "a lab has nodes", key=True)
            return {}
        found = {
            name: self._text(("topology", "nodes", name), name, _NODE_NAME, "the name of a node", key=True)
            for name in nodes
        }
        return {name: None for name in found.values() if name is not None}

    def _topology(self) -> dict[str, Any]:
        value = self._tree.value.get("topology")
        return value if isinstance(value, dict) else {}

    def _text(self, where: _Where, text: str, pattern: re.Pattern[str], what: str, *, key: bool = False) -> str | None:
        """Return a text as containerlab reads it: two dollars are one, a single one begins a variable."""
        if _DOLLAR.search(text):
            self._report(
                "unknown-name",
                where,
                f"{show(text)} holds a variable, which containerlab fills in from the environment of `deploy`",
                "write what it stands for, or a file without variables",
                key=key,
            )
            return None
        plain = text.replace("$$", "$")
        if not pattern.fullmatch(plain):
            self._report("bad-name", where, f"{show(plain)} cannot be {what}", key=key)
            return None
        return plain

    # --- cables -------------------------------------------------------------------------------------------------------

    def _links(self) -> list[Any]:
        links = self._topology().get("links")
        if links is None:
            return []
        if not isinstance(links, list):
            self._report("wrong-type", ("topology", "links"), f"`links` is a list, this is {show(links)}", key=True)
            return []
        return links

    def _ends(self, where: _Where, link: Any, nodes: dict[str, None]) -> list[LinkEnd]:
        """Return the ends of a link that are in nodes of the lab, or are called as if they were."""
        if not isinstance(link, dict):
            self._report("wrong-type", where, f"a link is a mapping with `endpoints`, this is {show(link)}")
            return []
        stated = link.get("endpoints", link.get("endpoint"))
        many = stated if isinstance(stated, list) else [stated] if stated is not None else []
        at = (*where, "endpoints" if "endpoints" in link else "endpoint")
        if not many or len(many) > 2:
            self._report("bad-between", where, f"a link has two endpoints, this has {len(many)}")
            return []
        ends = [end for index, value in enumerate(many) for end in self._end((*at, index), value)]
        for end in ends:
            self._check(where, end, nodes)
        return ends

    def _end(self, where: _Where, value: Any) -> Iterator[LinkEnd]:
        if isinstance(value, dict):
            node, interface = value.get("node"), value.get("interface")
        elif isinstance(value, str):
            node, _, interface = value.partition(":")
        else:
            node = interface = None
        if not isinstance(node, str) or not isinstance(interface, str) or not node or not interface:
            hint = 'write "r1:eth1", or {node: r1, interface: eth1}'
            self._report("bad-between", where, f"an endpoint is a node and an interface, this is {show(value)}", hint)
            return
        name = self._text(where, node, _NODE_NAME, "the name of a node")
        port = self._text(where, interface, _INTERFACE, "the name of an interface")
        if name and port:
            yield LinkEnd(name, port)

    def _check(self, where: _Where, end: LinkEnd, nodes: dict[str, None]) -> None:
        if end.node in _ELSEWHERE and end.node not in nodes:
            return
        if nodes and end.node not in nodes:
            self._report("unknown-name", where, f"the link ends at {show(end.node)}, which is no node of the lab")
        if end in self._used:
            self._report("duplicate-interface", where, f"{end} has a cable already, at line {self._used[end]}")
        self._used.setdefault(end, self._tree.locate(where).line + 1)
