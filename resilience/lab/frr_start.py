"""Handing FRR's daemons their own sections of `frr.conf` as they start.

On a router one `vtysh -b` reads the integrated file and tells each daemon its lines, one by one. FRR's daemons read
the same lines from a file of their own as well, side by side while they start and without a vtysh for each router. So
a lab deals the file out, line for line; a test compares the running configurations of both ways. A file with a section
that is not known here goes the router's way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

_VTYSH_ONLY: Final = "service integrated-vtysh-config"
"""Says how vtysh is to behave; no daemon knows it."""

_EVERYBODY: Final = ("frr ", "hostname ", "service ", "log ", "no log ", "password ", "line vty", "debug ")
_OWNERS: Final = (
    ("router bgp ", "bgpd"),
    ("bgp ", "bgpd"),
    ("no bgp ", "bgpd"),
    ("rpki", "bgpd"),
    # Says which routes may lead to a next hop; `ip nht` refers to it.
    ("route-map next-hops ", "zebra"),
    ("ip nht ", "zebra"),
    ("ipv6 nht ", "zebra"),
    ("route-map ", "bgpd"),
    ("ip prefix-list ", "bgpd"),
    ("ipv6 prefix-list ", "bgpd"),
    ("ip route ", "staticd"),
    ("ipv6 route ", "staticd"),
    ("ip forwarding", "zebra"),
    ("ipv6 forwarding", "zebra"),
    ("no ip forwarding", "zebra"),
    ("no ipv6 forwarding", "zebra"),
    ("zebra ", "zebra"),
    ("no zebra ", "zebra"),
    ("router ospf6", "ospf6d"),
    ("router ospf", "ospfd"),
    ("bfd", "bfdd"),
)
"""The first that a section's head begins with owns it. Other route maps and prefix lists are bgpd's alone as long as
nothing else refers to them; see `_refers_to_lists`."""

_INTERFACE_OWNERS: Final = (("ip ospf ", "ospfd"), ("ipv6 ospf6 ", "ospf6d"))


@dataclass(frozen=True, slots=True)
class Section:
    """A line at the left margin with the indented lines below it, its `exit` included."""

    head: str
    body: tuple[str, ...]

    def text(self) -> str:
        """Return the lines as they stood."""
        return "\n".join((self.head, *self.body)) + "\n"


def deal_out(text: str, daemons: Collection[str]) -> dict[str, str] | None:
    """Return each daemon's part of an integrated configuration; None when a section has no known owner."""
    parts = dict.fromkeys(daemons, "")
    for section in read_sections(text):
        dealt = _deal(section)
        if dealt is None:
            return None
        for daemon, part in dealt:
            for receiver in daemons if daemon == "*" else (daemon,):
                if receiver not in parts:
                    return None
                parts[receiver] += part
    return parts


def in_one_go(text: str) -> str:
    """Return a daemon's lines between the two commands by which `vtysh -b` begins and ends.

    Without them the daemon copies and checks its whole configuration after every line of a route map: 12 s instead of
    3 s for a router of 18 sessions.
    """
    return f"XFRR_start_configuration\n{text}XFRR_end_configuration\n"


def read_sections(text: str) -> Iterator[Section]:
    """Yield the sections of a configuration in order; comments are left out."""
    head = ""
    body: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("!"):
            continue
        if line.startswith(" ") or line == "exit":
            body.append(line)
            continue
        if head:
            yield Section(head, tuple(body))
        head, body = line, []
    if head:
        yield Section(head, tuple(body))


def _deal(section: Section) -> list[tuple[str, str]] | None:
    if section.head == _VTYSH_ONLY:
        return []
    if section.head.startswith("interface "):
        return _deal_interface(section)
    if section.head.startswith(_EVERYBODY):
        return [("*", section.text())]
    owner = next((owner for start, owner in _OWNERS if section.head.startswith(start)), None)
    if owner is None or (owner in {"ospfd", "ospf6d"} and _refers_to_lists(section)):
        return None
    return [(owner, section.text())]


def _deal_interface(section: Section) -> list[tuple[str, str]]:
    parts: dict[str, list[str]] = {}
    for line in section.body:
        if line == "exit":
            continue
        bare = line.strip().removeprefix("no ")
        owner = next((owner for start, owner in _INTERFACE_OWNERS if bare.startswith(start)), "zebra")
        parts.setdefault(owner, []).append(line)
    return [(owner, Section(section.head, (*lines, "exit")).text()) for owner, lines in parts.items()]


def _refers_to_lists(section: Section) -> bool:
    return any(word in line for line in section.body for word in ("route-map", "distribute-list", "filter-list"))
