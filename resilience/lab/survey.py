"""From a plan and its rendered files to what the keeper has to build."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from typing import Final

from resilience.errors import LabError
from resilience.lab.spec import End, LabSpec, ListenerSpec, NodeSpec, Program
from resilience.model.configs import Configs
from resilience.model.plan import Node, Plan, Role

FIRST_INDEX: Final = 10
"""Interface numbers count from here through the whole lab: the two ends of a cable never share one."""

FRR_DAEMONS: Final = ("zebra", "bgpd", "ospfd", "ospf6d", "staticd", "bfdd")
"""The daemons that the renderer may ask for, in the order in which the distribution starts them."""

_ALWAYS: Final = ("zebra", "staticd")
"""The distribution's start script runs these whatever the file `daemons` says."""


def make_spec(plan: Plan, configs: Configs) -> LabSpec:
    """Return what to build for a plan with its rendered files."""
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
        nodes=tuple(_make_node(node, configs, interfaces[name]) for name, node in plan.nodes.items()),
        cables=tuple(cables),
        listeners=tuple(
            ListenerSpec(numbers[name], str(item.kind), str(item.address), item.port, item.service, item.zone)
            for name, node in plan.nodes.items()
            for item in node.listeners
        ),
    )


def _make_node(node: Node, configs: Configs, interfaces: list[tuple[str, int]]) -> NodeSpec:
    texts = {file.path: file.text for file in configs.get(node.name, ())}
    return NodeSpec(
        name=node.name,
        switch=node.role is Role.SWITCH,
        programs=_programs(node.name, texts),
        files=tuple(texts),
        interfaces=tuple(interfaces),
    )


def _programs(node: str, texts: Mapping[str, str]) -> tuple[Program, ...]:
    if "frr.conf" in texts:
        if "daemons" not in texts:
            raise LabError(f"{node} has frr.conf but no file `daemons` that says which daemons to start")
        return read_daemons(texts["daemons"])
    if "bird.conf" in texts:
        return (Program("bird", read_envvars(texts.get("envvars", ""))),)
    return ()


def read_envvars(text: str) -> tuple[str, ...]:
    """Return the options that BIRD's file `envvars` gives the daemon, as its service file hands them on."""
    words = shlex.split(text, comments=True)
    stated = (word.removeprefix("BIRD_ARGS=") for word in words if word.startswith("BIRD_ARGS="))
    return tuple(shlex.split(next(stated, "")))


def read_daemons(text: str) -> tuple[Program, ...]:
    """Return the daemons that FRR's file `daemons` asks for, in the order of starting."""
    values: dict[str, str] = {}
    for word in shlex.split(text, comments=True):
        key, separator, value = word.partition("=")
        if separator:
            values[key] = value
    return tuple(
        Program(name, tuple(shlex.split(values.get(f"{name}_options", ""))))
        for name in FRR_DAEMONS
        if name in _ALWAYS or values.get(name, "no") not in {"no", "0", ""}
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
