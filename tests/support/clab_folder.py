"""What is wrong with a folder for containerlab, as far as containerlab's own schema does not see it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

NODE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
INTERFACE_LENGTH = 15


def read_topology(folder: Path) -> dict[str, Any]:
    """Return the one topology file of a folder, `$$` read as containerlab reads it."""
    (path,) = folder.glob("*.clab.yml")
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8").replace("$$", "$"))
    return document


def wrong_with(folder: Path) -> list[str]:
    """Return every fault of a folder in words; empty: none."""
    (path,) = folder.glob("*.clab.yml")
    text, document = path.read_text(encoding="utf-8"), read_topology(folder)
    topology = document["topology"]
    return [
        *_expanded(text),
        *_empty("", document),
        *(f"{name}: no name for a node" for name in topology["nodes"] if not NODE_NAME.fullmatch(name)),
        *_links(topology),
        *(fault for name, node in topology["nodes"].items() for fault in _binds(folder, name, node)),
    ]


def _expanded(text: str) -> Iterator[str]:
    if re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", text):
        yield "a single dollar: containerlab would expand it"


def _empty(where: str, value: Any) -> Iterator[str]:
    """Containerlab refuses empty lists."""
    if value in ([], {}):
        yield f"{where}: empty"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _empty(f"{where}.{key}", inner)


def _links(topology: Mapping[str, Any]) -> Iterator[str]:
    ends = Counter(end for link in topology.get("links", ()) for end in link["endpoints"])
    for link in topology.get("links", ()):
        if len(link["endpoints"]) != 2:
            yield f"{link['endpoints']}: a cable has two ends"
        if not isinstance(link.get("mtu"), int):
            yield f"{link['endpoints']}: without mtu it has 9500 bytes"
    for end, times in ends.items():
        node, separator, interface = end.partition(":")
        if not separator or node not in topology["nodes"]:
            yield f"{end}: no such node"
        if not 0 < len(interface) <= INTERFACE_LENGTH or re.search(r"[\s/]", interface) or interface == "eth0":
            yield f"{end}: no name for an interface"
        if times > 1:
            yield f"{end}: used {times} times"


def _binds(folder: Path, name: str, node: Mapping[str, Any]) -> Iterator[str]:
    for bind in node.get("binds", ()):
        source = bind.split(":")[0]
        if source.startswith("/") or ".." in source.split("/"):
            yield f"{name}: {source} is outside of the folder"
        elif not (folder / source).exists():
            yield f"{name}: {source} does not exist"
