"""Maintenance: move traffic away from an element before it is taken down, and back afterwards.

Draining is a plan like any other: the same network with the elements marked draining, rendered and loaded into the
routers that it changes. An element is drained when no transit packet was counted on it for a second. Packets are
counted in an nftables table of our own; the router's firewall is not touched.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from resilience.errors import LabError
from resilience.lab.daemons import reload_configs
from resilience.lab.seam import Lab
from resilience.model.configs import ConfigFile, Configs
from resilience.model.plan import Plan
from resilience.model.units import show_duration

TABLE = "nr_drain"
QUIET_S = 1.0
DRAIN_LIMIT_S = 20.0
_POLL_S = 0.1
_DAEMON_FILES = frozenset({"frr.conf", "bird.conf"})

Replan = Callable[[tuple[str, ...]], tuple[Plan, Configs]]
"""Return the plan and the configurations with these elements draining."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where transit packets are counted: on one interface of a router, or (None) on all."""

    node: str
    interface: str | None


@dataclass(slots=True)
class Drain:
    """Draining in one lab. `note` says what did not leave in time, empty when everything did."""

    lab: Lab
    plan: Plan
    configs: Configs
    replan: Replan
    note: str = ""
    _changed: list[str] = field(default_factory=list)
    _counting: list[Spot] = field(default_factory=list)

    def drain(self, elements: tuple[str, ...]) -> None:
        """Load the draining configurations and wait until nothing crosses the elements any more."""
        self.load(elements)
        self.wait_until_empty(elements)

    def wait_until_empty(self, elements: tuple[str, ...]) -> None:
        """Count what crosses some elements until that is nothing for a second; `note` says when it never was."""
        self._counting = list(spots_of(self.plan, elements))
        for node in dict.fromkeys(spot.node for spot in self._counting):
            _load_counters(self.lab, node, [spot for spot in self._counting if spot.node == node])
        self.note = self._wait_until_quiet(elements)

    def load(self, elements: tuple[str, ...]) -> tuple[str, ...]:
        """Load the configurations that drain these elements into the routers that they change; returns their names."""
        _plan, configs = self.replan(elements)
        changed = changed_routers(self.plan, self.configs, configs)
        self._changed = list(changed)
        for node, files in changed.items():
            reload_configs(self.lab, node, files)
        return tuple(changed)

    def undrain(self) -> None:
        """Load the ordinary configurations again and stop counting; safe to call twice."""
        self.stop_counting()
        changed, self._changed = self._changed, []
        for node in changed:
            reload_configs(self.lab, node, _daemon_files(self.configs, node))

    def stop_counting(self) -> None:
        """Take our counters away; safe to call twice."""
        for node in dict.fromkeys(spot.node for spot in self._counting):
            self.lab.run(node, ["nft", "delete", "table", "inet", TABLE])
        self._counting = []

    def _wait_until_quiet(self, elements: tuple[str, ...]) -> str:
        names = " and ".join(elements)
        deadline = time.monotonic() + DRAIN_LIMIT_S
        last, since = self._count(), time.monotonic()
        while time.monotonic() - since < QUIET_S:
            if time.monotonic() > deadline:
                return (
                    f"{names} was not empty {show_duration(DRAIN_LIMIT_S * 1_000)} after draining began: "
                    "somebody does not honour graceful shutdown (RFC 8326)"
                )
            time.sleep(_POLL_S)
            now = self._count()
            if now != last:
                last, since = now, time.monotonic()
        return ""

    def _count(self) -> int:
        return sum(count_packets(self.lab, node) for node in dict.fromkeys(spot.node for spot in self._counting))


def spots_of(plan: Plan, elements: Iterable[str]) -> Iterator[Spot]:
    """Yield where to count what crosses some elements: a router's every packet, else the own ends of its cables."""
    for name in elements:
        faults = plan.elements[name].faults
        routers = [fault.target for fault in faults if fault.target in plan.nodes]
        yield from (Spot(node, None) for node in routers if plan.nodes[node].managed)
        for fault in faults:
            if fault.target in plan.segments:
                ends = plan.segments[fault.target].ends
                yield from (Spot(node, interface) for node, interface in ends if plan.nodes[node].managed)


def changed_routers(plan: Plan, before: Configs, after: Configs) -> dict[str, tuple[ConfigFile, ...]]:
    """Return the own routers whose routing daemon gets another configuration, with its files."""
    return {
        router.name: _daemon_files(after, router.name)
        for router in plan.routers()
        if _daemon_files(before, router.name) != _daemon_files(after, router.name)
    }


def _daemon_files(configs: Configs, node: str) -> tuple[ConfigFile, ...]:
    return tuple(file for file in configs.get(node, ()) if file.path in _DAEMON_FILES)


def _load_counters(lab: Lab, node: str, spots: list[Spot]) -> None:
    rules = []
    for spot in spots:
        if spot.interface is None:
            rules.append("counter")
        else:
            rules += [f'iifname "{spot.interface}" counter', f'oifname "{spot.interface}" counter']
    text = (
        f"table inet {TABLE}\ndelete table inet {TABLE}\n"
        f"table inet {TABLE} {{ chain transit {{ type filter hook forward priority -300; policy accept;\n"
        + "\n".join(rules)
        + "\n}\n}\n"
    )
    done = lab.run(node, ["nft", "-f", "-"], stdin=text)
    if done.exit_code != 0:
        raise LabError(f"{node} cannot count transit packets: {done.stderr.strip()}")


def count_packets(lab: Lab, node: str) -> int:
    """Return how many transit packets a router has counted so far."""
    done = lab.run(node, ["nft", "-j", "list", "table", "inet", TABLE])
    if done.exit_code != 0:
        raise LabError(f"{node} does not count transit packets: {done.stderr.strip()}")
    return sum(
        int(part["counter"]["packets"])
        for item in json.loads(done.stdout)["nftables"]
        for part in item.get("rule", {}).get("expr", ())
        if "counter" in part
    )
