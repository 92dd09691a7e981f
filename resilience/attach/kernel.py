"""What a node's kernel forgets when one of its interfaces goes down, and how it is given back.

Taking an end of a cable down loses IPv6 addresses, routes made by hand and neighbours made by hand, here and on VLANs
above it. Routing daemons bring their own back; what nobody brings back is kept as lines for `ip -batch`, so that what
is missing afterwards can be said again in the same words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path
from typing import Any, Final

from resilience.errors import LabError
from resilience.lab.inside import run_inside
from resilience.model.network import IPInterface

_FAMILIES: Final = (4, 6)
_BY_HAND: Final = ("3", "4")
"""RTPROT_BOOT and RTPROT_STATIC: routes that people make; every daemon has a number of its own."""
_SAID_ONLY: Final = frozenset({"linkdown", "dead", "onlink", "offload", "trap", "notify"})
"""Words about a route's state, which are no part of it."""
_UP: Final = "UP"


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """A line for `ip -FAMILY -batch`. Facts are given back in this order: links, addresses, neighbours, routes."""

    order: int
    family: int
    line: str

    def __str__(self) -> str:
        return self.line


@dataclass(frozen=True, slots=True)
class Port:
    """An interface as it is called in its namespace, and as it may also be called."""

    name: str
    aliases: tuple[str, ...]
    addresses: tuple[IPInterface, ...]


def read_ports(node: str, network: Path) -> tuple[Port, ...]:
    """Return the interfaces of a namespace."""
    return tuple(_port(link) for link in _links(node, network))


def read_facts(node: str, network: Path) -> frozenset[Fact]:
    """Return what could be forgotten in a namespace."""
    links = _links(node, network)
    return frozenset((*_link_facts(links), *_neighbour_facts(node, network), *_route_facts(node, network)))


def give_back(node: str, network: Path, facts: Iterable[Fact]) -> None:
    """Say again what is missing of some facts; what cannot be said stays missing, and is told by whoever compares."""
    missing = sorted(frozenset(facts) - read_facts(node, network))
    for family in _FAMILIES:
        lines = [fact.line for fact in missing if fact.family == family]
        if lines:
            # Forced, and twice: a route may need another that stands behind it.
            text = "\n".join(lines * 2) + "\n"
            _run(node, network, [f"-{family}", "-force", "-batch", "-"], stdin=text, check=False)


def _links(node: str, network: Path) -> list[dict[str, Any]]:
    return [link for link in json.loads(_run(node, network, ["-j", "address", "show"]) or "[]") if "ifname" in link]


def _port(link: dict[str, Any]) -> Port:
    return Port(
        name=link["ifname"],
        aliases=tuple(link.get("altnames", ())),
        addresses=tuple(
            address for info in link.get("addr_info", ()) if (address := _address(info)) and not _is_local(info)
        ),
    )


def _address(info: dict[str, Any]) -> IPv4Interface | IPv6Interface | None:
    return ip_interface(f"{info['local']}/{info['prefixlen']}") if "local" in info else None


def _link_facts(links: list[dict[str, Any]]) -> Iterator[Fact]:
    for link in links:
        name = link["ifname"]
        if _UP in link.get("flags", ()):
            yield Fact(0, 4, f"link set dev {name} up")
        for info in link.get("addr_info", ()):
            # A dynamic one comes from elsewhere; a link-local one of IPv6 the kernel makes itself.
            if not info.get("dynamic") and "local" in info and not (info["family"] == "inet6" and _is_local(info)):
                peer = f" peer {info['address']}" if "address" in info else ""
                broadcast = f" broadcast {info['broadcast']}" if "broadcast" in info else ""
                where = f"{info['local']}{peer}/{info['prefixlen']}{broadcast}"
                yield Fact(1, _family(info), f"address replace {where} dev {name} scope {info.get('scope', 'global')}")


def _family(info: dict[str, Any]) -> int:
    return 6 if info["family"] == "inet6" else 4


def _is_local(info: dict[str, Any]) -> bool:
    return bool(info.get("scope") == "link")


def _neighbour_facts(node: str, network: Path) -> Iterator[Fact]:
    for one in json.loads(_run(node, network, ["-j", "neighbour", "show", "nud", "permanent"]) or "[]"):
        if "lladdr" in one:
            line = f"neighbour replace {one['dst']} lladdr {one['lladdr']} dev {one['dev']} nud permanent"
            yield Fact(2, 6 if ":" in one["dst"] else 4, line)


def _route_facts(node: str, network: Path) -> Iterator[Fact]:
    for family in _FAMILIES:
        for protocol in _BY_HAND:
            argv = ["-N", "-o", f"-{family}", "route", "show", "table", "all", "proto", protocol]
            for line in _run(node, network, argv).splitlines():
                words = " ".join(word for word in line.replace("\\", " ").split() if word not in _SAID_ONLY)
                if words:
                    yield Fact(3, family, f"route replace {words.partition(' error ')[0]} proto {protocol}")


def _run(node: str, network: Path, arguments: list[str], *, stdin: str = "", check: bool = True) -> str:
    done = run_inside(node, network, None, ["ip", *arguments], timeout_s=30, stdin=stdin)
    if check and done.exit_code != 0:
        raise LabError(f"{node}: ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
