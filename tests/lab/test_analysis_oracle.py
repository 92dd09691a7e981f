"""The model of analysis against the kernels of real daemons: every node's way to every end of every flow."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resilience.analysis.damage import NOTHING, damage_of_faults
from resilience.analysis.forwarding import End, look_up
from resilience.analysis.world import Situation, World
from resilience.intent import read_intent
from resilience.lab import Lab, open_lab
from resilience.lab.faults import arm
from resilience.lab.ready import wait_ready
from resilience.model.network import IPAddress
from resilience.model.plan import Fault, Plan, Role
from resilience.plan import make_plan, read_numbers
from resilience.render import render_configs

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

_SETTLES_WITHIN_S = 60
"""Longer than any BFD; failures that only a hold time of 180 s notices are left out of the cases."""
_LOCAL = "here"
_NOWHERE = "nowhere"

CASES = {
    "bamako-isp": (
        "",
        "uplink dakar",
        "uplink abidjan",
        "link bko1-bko2",
        "provider senegal-carrier",
        "exchange mlix",
        "route-server mlix-rs1",
        "silent uplink dakar",
        "site badala",
    ),
    "national-isp": (
        "",
        "uplink west-a",
        "link cap1-wst1",
        "router wst1",
        "risk gateway-west",
        "provider gulf-carrier",
    ),
}


@pytest.fixture(scope="module", params=list(CASES))
def running(request: pytest.FixtureRequest, checkout: Path) -> Iterator[tuple[Lab, World]]:
    """A lab of an example, with the model of the same plan."""
    folder = checkout / "inventories" / request.param
    plan, _ = make_plan(read_intent(folder), read_numbers(folder))
    with open_lab(plan, render_configs(plan)) as lab:
        yield lab, World(plan)


def test_kernels_send_where_the_model_says(running: tuple[Lab, World]) -> None:
    """While all is well and under each failure: every node's `ip route get` takes a leg that the model has."""
    lab, world = running
    network = world.plan.network.name
    for name in CASES[network]:
        wait_ready(lab)
        faults = _faults(world.plan, name)
        with arm(lab, world.plan, faults) as armed:
            armed.fire()
            different = _wait_for_agreement(lab, world.settle(damage_of_faults(faults) if faults else NOTHING))
        assert not different, f"{name or 'whole'}: {len(different)} differ, such as {different[:12]}"


def _faults(plan: Plan, name: str) -> tuple[Fault, ...]:
    if not name:
        return ()
    silent = name.startswith("silent ")
    element = plan.elements[name.removeprefix("silent ")]
    return element.silent_faults if silent else element.faults


def _wait_for_agreement(lab: Lab, situation: Situation) -> list[str]:
    """Return what still differs when the time is over; nothing as soon as all agree."""
    deadline = time.monotonic() + _SETTLES_WITHIN_S
    addresses = _addresses(situation.world.plan)
    different = ["not looked yet"]
    while different and time.monotonic() < deadline:
        different = [
            text
            for node in situation.world.plan.nodes.values()
            if node.role is not Role.SWITCH and node.name not in situation.damage.mute
            for text in _differences(lab, situation, node.name, addresses)
        ]
    return different


def _addresses(plan: Plan) -> tuple[IPAddress, ...]:
    ends = (end.address for planned in plan.objectives for flow in planned.flows for end in (flow.source, flow.target))
    return tuple(dict.fromkeys(ends))


def _differences(lab: Lab, situation: Situation, node: str, addresses: tuple[IPAddress, ...]) -> list[str]:
    told = _ask_kernel(lab, node, addresses)
    found = []
    for address in addresses:
        expected = _expected(situation, node, address)
        if told[address] not in expected:
            found.append(f"{node} to {address}: kernel {told[address]}, model {sorted(expected)}")
    return found


def _expected(situation: Situation, node: str, address: IPAddress) -> set[str]:
    """Return every answer that the kernel may give: `interface`, and `interface via GATEWAY`."""
    if address in situation.world.addresses[node]:
        return {_LOCAL}
    steps = look_up(situation, node, address)
    if isinstance(steps, End):
        return {_NOWHERE}
    answers = set()
    for hop in steps:
        answers.add(hop.interface)
        far = situation.world.wires.interfaces[hop.node, hop.far_interface]
        answers |= {f"{hop.interface} via {a.ip}" for a in far.addresses}
    return answers


def _ask_kernel(lab: Lab, node: str, addresses: tuple[IPAddress, ...]) -> dict[IPAddress, str]:
    """Ask a node's kernel for its way to each address; a link-local gateway is told by its interface alone."""
    asked = "".join(f"route get {address}\n" for address in addresses)
    done = lab.run(node, ["ip", "-json", "-force", "-batch", "-"], stdin=asked)
    failed = {int(number) for number in re.findall(r"Command failed -:(\d+)", done.stderr)}
    answers = iter(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    told = {}
    for number, address in enumerate(addresses, 1):
        told[address] = _NOWHERE if number in failed else _way(next(answers)[0])
    return told


def _way(route: dict[str, Any]) -> str:
    if route.get("type") in {"blackhole", "unreachable", "prohibit"}:
        return _NOWHERE
    if route.get("type") == "local" or route["dev"] == "lo":
        return _LOCAL
    gateway = route.get("gateway") or route.get("via", {}).get("host", "")
    device = str(route["dev"])
    return device if not gateway or gateway.startswith("fe80") else f"{device} via {gateway}"
