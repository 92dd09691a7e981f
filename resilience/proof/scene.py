"""The stage of a scenario: a running lab, seen with the eyes of whoever judges the attack."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from resilience.errors import LabError
from resilience.lab import Completed, Lab
from resilience.lab.daemons import Speaker, bird_command, frr_command, read_bird_protocols, reload_configs, runs
from resilience.lab.kernel import KernelRoute, kernel_routes
from resilience.model.configs import Configs
from resilience.model.network import IPAddress, IPNetwork, Platform
from resilience.model.plan import SessionEnd
from resilience.model.policy import Community, LargeCommunity

POLL_S: Final = 0.1
_AT_ONCE_S: Final = 3.0
_FRR_NAMED: Final = {
    "gracefulShutdown": (65535, 0),
    "blackhole": (65535, 666),
    "noExport": (65535, 65281),
    "noAdvertise": (65535, 65282),
    "noPeer": (65535, 65284),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRoute:
    """A route that a router's BGP has accepted, as both daemons would say it."""

    prefix: IPNetwork
    neighbor: IPAddress | None
    """Who sent it; None: originated here."""
    best: bool
    path: tuple[int, ...]
    communities: frozenset[Community]
    large: frozenset[LargeCommunity]
    preference: int
    next_hop: IPAddress | None


class Scene:
    """A lab with one router under attack (`victim`), and the configurations that it was rendered."""

    def __init__(self, lab: Lab, configs: Configs, platform: Platform, victims: tuple[str, ...]) -> None:
        self.lab = lab
        self.configs = configs
        """As rendered, the attackers' additions included, every protection in place."""
        self.platform = platform
        self.victims = victims
        self.memory: dict[str, float] = {}
        """What an attack wants to know again when it is called the next time, such as a counter's state."""

    @property
    def victim(self) -> str:
        """The first router under attack."""
        return self.victims[0]

    def run(self, node: str, *argv: str, stdin: str = "", timeout_s: float = 30) -> Completed:
        """Run a command in a node."""
        return self.lab.run(node, argv, stdin=stdin, timeout_s=timeout_s)

    def bird(self, node: str, command: str) -> str:
        """Say something to a node's BIRD."""
        return bird_command(self.lab, node, command)

    def frr(self, node: str, command: str) -> str:
        """Say something to a node's FRR."""
        return frr_command(self.lab, node, command)

    def load(self, configs: Configs) -> None:
        """Load these configurations into the routers under attack, as deployment would."""
        for victim in self.victims:
            reload_configs(self.lab, victim, configs[victim])

    def address(self, node: str, towards: str, family: int) -> IPAddress:
        """Return a node's address on its cable towards another node (on a LAN: towards anybody there)."""
        for interface in self.lab.plan.nodes[node].interfaces:
            far, _ = self.lab.plan.other_end(node, interface.name)
            if towards in {far, interface.peer}:
                address = interface.address(family)
                if address is not None:
                    return address.ip
        raise LabError(f"{node} has no IPv{family} address towards {towards}")

    def session_address(self, node: str, towards: str, family: int) -> IPAddress:
        """Return the address of a node's end of its session with another node."""
        return self._session_end(node, towards, family).address

    def session_interface(self, node: str, towards: str, family: int) -> str | None:
        """Return the interface of a node's end of its session with another node; None: between loopbacks."""
        return self._session_end(node, towards, family).interface

    def _session_end(self, node: str, towards: str, family: int) -> SessionEnd:
        for neighbor in self.lab.plan.neighbors(node):
            if neighbor.remote.node == towards and neighbor.session.family == family:
                return neighbor.local
        raise LabError(f"{node} has no IPv{family} session with {towards}")

    def interface(self, node: str, towards: str) -> str:
        """Return the name of a node's interface towards another node."""
        for interface in self.lab.plan.nodes[node].interfaces:
            far, _ = self.lab.plan.other_end(node, interface.name)
            if towards in {far, interface.peer}:
                return interface.name
        raise LabError(f"{node} has no interface towards {towards}")

    def kernel(self, node: str, family: int) -> dict[IPNetwork, KernelRoute]:
        """Return what the kernel of a node forwards by, of one family."""
        return {route.prefix: route for route in kernel_routes(self.lab, node) if route.family == family}

    def rib(self, node: str, family: int) -> tuple[SeenRoute, ...]:
        """Return every route that a node's BGP has accepted, of one family."""
        if runs(self.lab, node, "bird"):
            return tuple(self._bird_rib(node, family))
        return tuple(_frr_rib(json.loads(self.frr(node, f"show bgp ipv{family} unicast json detail") or "{}")))

    def _bird_rib(self, node: str, family: int) -> Iterator[SeenRoute]:
        names = {name: address for address, name in read_bird_protocols(self.bird(node, "show protocols all")).items()}
        yield from _read_bird_routes(self.bird(node, f"show route table master{family} all"), names)

    def prefixes(self, node: str, family: int) -> frozenset[str]:
        """Return the prefixes that a node's BGP has accepted from somebody, of one family."""
        return frozenset(str(route.prefix) for route in self.rib(node, family) if route.neighbor is not None)

    def told(self, node: str, speaker: str, family: int) -> tuple[SeenRoute, ...]:
        """Return the routes that a node's BGP has accepted from another node, of one family."""
        around = self.lab.plan.neighbors(node)
        speakers = {n.remote.address for n in around if n.remote.node == speaker and n.session.family == family}
        return tuple(route for route in self.rib(node, family) if route.neighbor in speakers)

    def sessions(self, node: str) -> dict[str, str]:
        """Return the state of each BGP session of a node by the neighbour's address, such as `Established`."""
        speaker = Speaker(self.lab, node)
        try:
            return dict(speaker.bgp_states())
        finally:
            speaker.close()

    def holds_updates(self, node: str) -> Iterator[str]:
        """Yield something while a node's daemon holds back its first updates to a session that has just come up.

        What is withdrawn in that second is sometimes never withdrawn from that neighbour by FRR 8.4.4.
        """
        speaker = Speaker(self.lab, node)
        try:
            if speaker.updates_held():
                yield f"{node} holds back its first updates"
        finally:
            speaker.close()


def wait_for(what: str, holds: Callable[[], Iterable[str]], limit_s: float) -> None:
    """Wait until nothing is missing.

    Raises:
        LabError: something still is after `limit_s`; the message names it.
    """
    deadline = time.monotonic() + limit_s
    while missing := tuple(holds()):
        if time.monotonic() > deadline:
            raise LabError(f"{what}: {'; '.join(missing[:4])}")
        time.sleep(POLL_S)


def persists(harm: Callable[[], Iterable[str]]) -> tuple[str, ...]:
    """Return the harm that is still there after more time than a daemon needs to act."""
    deadline = time.monotonic() + _AT_ONCE_S
    while (seen := tuple(harm())) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return seen


# --- reading FRR -----------------------------------------------------------------------------------------------------


def _frr_rib(table: dict[str, object]) -> Iterator[SeenRoute]:
    routes = table.get("routes", {})
    for prefix, entry in routes.items() if isinstance(routes, dict) else ():
        # FRR 8.4 puts a summary before the paths.
        paths = entry if isinstance(entry, list) else entry.get("paths", [])
        for path in paths:
            if "peer" in path:
                yield _frr_route(prefix, path)


def _frr_route(prefix: str, path: dict[str, object]) -> SeenRoute:
    found = json.loads(json.dumps(path))
    peer = found["peer"]["peerId"]
    hops = [hop["ip"] for hop in found.get("nexthops", ()) if hop.get("scope", "global") == "global"]
    return SeenRoute(
        prefix=ip_network(prefix),
        neighbor=None if peer in {"0.0.0.0", "::"} else ip_address(peer),  # noqa: S104 - FRR's word for itself
        best=bool(found.get("bestpath", {}).get("overall")),
        path=tuple(asn for segment in found.get("aspath", {}).get("segments", ()) for asn in segment["list"]),
        communities=frozenset(map(_pair, found.get("community", {}).get("list", ()))),
        large=frozenset(map(_triple, found.get("largeCommunity", {}).get("list", ()))),
        preference=int(found.get("locPrf", 100)),
        next_hop=ip_address(hops[0]) if hops else None,
    )


def _pair(text: str) -> Community:
    if text in _FRR_NAMED:
        return _FRR_NAMED[text]
    first, _, second = text.partition(":")
    return int(first), int(second)


def _triple(text: str) -> LargeCommunity:
    first, second, third = map(int, text.split(":"))
    return first, second, third


# --- reading BIRD ----------------------------------------------------------------------------------------------------


def _read_bird_routes(text: str, names: dict[str, str]) -> Iterator[SeenRoute]:
    """Read `show route all`: a prefix stands before its first path only."""
    prefix = ""
    for block in re.split(r"\n(?=\S|\s{2,}\S+ \[|\s{10,}(?:unicast|blackhole|unreachable|prohibit) \[)", text):
        head = re.match(r"(\S*)\s+(\w+) \[(\w+) [^\]]*\](?: (\*))?", block)
        if head is None:
            continue
        prefix = head[1] or prefix
        values = dict(re.findall(r"^\tBGP\.(\w+): (.*)$", block, re.MULTILINE))
        if "/" in prefix and "as_path" in values:
            yield _bird_route(prefix, names.get(head[3]), best=head[4] is not None, values=values)


def _bird_route(prefix: str, neighbor: str | None, *, best: bool, values: dict[str, str]) -> SeenRoute:
    hop = values.get("next_hop", "").split()
    return SeenRoute(
        prefix=ip_network(prefix),
        neighbor=ip_address(neighbor) if neighbor else None,
        best=best,
        path=tuple(int(word) for word in re.findall(r"\d+", values["as_path"])),
        communities=frozenset((int(a), int(b)) for a, b in re.findall(r"\((\d+),(\d+)\)", values.get("community", ""))),
        large=frozenset(
            (int(a), int(b), int(c))
            for a, b, c in re.findall(r"\((\d+), (\d+), (\d+)\)", values.get("large_community", ""))
        ),
        preference=int(values.get("local_pref", 100)),
        next_hop=ip_address(hop[0]) if hop else None,
    )
