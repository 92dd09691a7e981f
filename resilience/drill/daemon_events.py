"""What routing daemons say in their logs, in words that are the same for FRR and BIRD."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from resilience.model.network import IPNetwork
from resilience.model.plan import Plan

PREFIX = "{}"
"""Stands for the prefix in the text of a step that is about one."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step in words; `text` holds `PREFIX` where `prefix` belongs."""

    text: str
    prefix: IPNetwork | None = None


class Names:
    """Sessions of a plan by the names that daemons have for them."""

    def __init__(self, plan: Plan) -> None:
        self._by_protocol = {bird_name(session.name): session.name for session in plan.sessions}
        self._by_address = {
            (node, str(neighbor.remote.address)): neighbor.session.name
            for node in plan.nodes
            for neighbor in plan.neighbors(node)
        }

    def of_protocol(self, protocol: str) -> str | None:
        """Return the session that a BIRD protocol runs."""
        return self._by_protocol.get(protocol)

    def of_address(self, node: str, address: str) -> str:
        """Return the session of a node with a neighbour's address; the address itself for strangers."""
        return self._by_address.get((node, address), address)


def bird_name(session: str) -> str:
    """Return what BIRD calls a session: its symbols have no `-`."""
    return "b_" + session.replace("-", "_")


_BIRD_STATE = re.compile(r"^(\w+): State changed to (up|stop)$")
_BIRD_ROUTE = re.compile(r"^(\w+)\.\w+ > (added|replaced|removed) \[(?:best|sole)\] (\S+/\d+) ")
_BIRD_BFD = re.compile(r"^\w+: Session to (\S+).* (Up|Down|up|down)\b")
_BIRD_ROUTE_WORDS = {"added": "learned", "replaced": "learned", "removed": "withdrawn"}


def tell_bird_line(line: str, names: Names) -> Step | None:
    """Return a debugging message of BIRD as a step; None for what explains no outage."""
    if match := _BIRD_STATE.match(line):
        session = names.of_protocol(match[1])
        return None if session is None else Step(f"session {session} {'established' if match[2] == 'up' else 'ended'}")
    if match := _BIRD_ROUTE.match(line):
        session = names.of_protocol(match[1])
        where = f" by session {session}" if session else ""
        return _with_prefix(f"best path {PREFIX} {_BIRD_ROUTE_WORDS[match[2]]}{where}", match[3])
    if match := _BIRD_BFD.match(line):
        return Step(f"BFD with {match[1]} {match[2].lower()}")
    return None


_FRR_RULES: Mapping[str, re.Pattern[str]] = {
    "ended": re.compile(r"%ADJCHANGE: neighbor ([^\s(]+)\S* in vrf \S+ Down ?(.*)$"),
    "established": re.compile(r"%ADJCHANGE: neighbor ([^\s(]+)\S* in vrf \S+ Up"),
    "withdrawn": re.compile(r"([^\s(]+)\S* rcvd UPDATE about (\S+/\d+) .*withdrawn"),
    "zebra": re.compile(r"Tx route (add|delete) VRF \d+ (\S+/\d+)"),
    "bfd": re.compile(r"state-change: \[.*?peer:([^\s\]]+).*?\] (\w+) -> (\w+)(?: reason:(.*))?"),
    "ospf": re.compile(r"AdjChg: Nbr (\S+?)\(\S*\) on ([^\s:]+)\S* (\w+) -> (\w+)"),
}


def tell_frr_line(node: str, line: str, names: Names) -> Step | None:
    """Return a line of an FRR daemon's log, without its time, as a step; None for what explains no outage."""
    for rule, pattern in _FRR_RULES.items():
        match = pattern.search(line)
        if match is not None:
            return _tell_frr(rule, node, match, names)
    return None


def _tell_frr(rule: str, node: str, match: re.Match[str], names: Names) -> Step | None:
    match rule:
        case "ended":
            why = f": {match[2].strip()}" if match[2] else ""
            return Step(f"session {names.of_address(node, match[1])} ended{why}")
        case "established":
            return Step(f"session {names.of_address(node, match[1])} established")
        case "withdrawn":
            return _with_prefix(f"{PREFIX} withdrawn by session {names.of_address(node, match[1])}", match[2])
        case "zebra":
            what = "best path for {} chosen" if match[1] == "add" else "no path for {} left"
            return _with_prefix(what, match[2])
        case "bfd":
            why = f": {match[4].strip()}" if match[4] else ""
            return Step(f"BFD with {match[1]} {match[3]}{why}")
        case _:
            return Step(f"OSPF neighbour {match[1]} on {match[2]}: {match[3]} to {match[4]}")


def _with_prefix(text: str, prefix: str) -> Step | None:
    try:
        return Step(text, ip_network(prefix, strict=False))
    except ValueError:
        return None
