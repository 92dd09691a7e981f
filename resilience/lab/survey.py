"""From a plan and its rendered files to what the keeper has to build."""

from __future__ import annotations

import hashlib
from typing import Final

from resilience.lab.spec import End, LabSpec, ListenerSpec, NodeSpec
from resilience.lab.startup import find_programs
from resilience.model.configs import Configs
from resilience.model.plan import Node, Plan, Role

FIRST_INDEX: Final = 10
"""Interface numbers count from here through the whole lab: the two ends of a cable never share one."""


def make_spec(plan: Plan, configs: Configs, *, ssh: bool = False) -> LabSpec:
    """Return what to build for a plan with its rendered files; `ssh`: the network's own routers can be logged in to."""
    numbers = {name: number for number, name in enumerate(plan.nodes)}
    interfaces: dict[str, list[tuple[str, int]]] = {name: [] for name in plan.nodes}
    cables: list[tuple[End, End]] = []
    index = FIRST_INDEX
    for segment in plan.segments.values():
        ends = []
        for node, name in segment.ends:
            ends.append(End(numbers[node], name, index, plan.nodes[node].interface(name).mtu))
            interfaces[node].append((name, index))
            index += 1
        cables.append((ends[0], ends[1]))
    return LabSpec(
        nodes=tuple(_make_node(node, configs, interfaces[name], ssh=ssh) for name, node in plan.nodes.items()),
        cables=tuple(cables),
        listeners=tuple(
            ListenerSpec(numbers[name], str(item.kind), str(item.address), item.port, item.service, item.zone)
            for name, node in plan.nodes.items()
            for item in node.listeners
        ),
    )


def _make_node(node: Node, configs: Configs, interfaces: list[tuple[str, int]], *, ssh: bool) -> NodeSpec:
    texts = {file.path: file.text for file in configs.get(node.name, ())}
    return NodeSpec(
        name=node.name,
        switch=node.role is Role.SWITCH,
        programs=find_programs(node.name, texts),
        files=tuple(texts),
        interfaces=tuple(interfaces),
        ssh=ssh and node.managed and node.role is Role.ROUTER,
    )


def fingerprint(plan: Plan) -> str:
    """Return a digest of what can be named and broken: a running lab must have been built from an equal plan."""
    digest = hashlib.sha256()
    for part in (
        tuple(plan.nodes),
        tuple((segment.name, segment.ends) for segment in plan.segments.values()),
        tuple((session.name, *(str(end.address) for end in session.ends)) for session in plan.sessions),
        tuple((element.name, element.faults, element.silent_faults) for element in plan.elements.values()),
    ):
        digest.update(repr(part).encode())
    return digest.hexdigest()
