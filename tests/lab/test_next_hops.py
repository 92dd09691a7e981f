"""Next hops of routers that are gone: FRR drops what they announced as soon as OSPF knows, not when BFD speaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resilience.intent import read_intent
from resilience.lab import Lab, open_lab
from resilience.lab.faults import arm
from resilience.model.configs import ConfigFile
from resilience.plan import make_plan
from resilience.render import render_configs

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

LIMIT_S = 20
STATICS_OF_LOST = " blackhole 254\n"
# The border runs FRR: its OSPF tells of a dead neighbour within 0.2 s, long before BFD ends the sessions.
INTENT = """
network: three-routers
asn: 64500
prefixes: ["2001:db8:6400::/40", 198.51.100.0/24]
routers:
  border: {platform: frr}
  inner: {platform: frr}
  gone: {platform: bird}
links: [{between: [border, inner]}, {between: [inner, gone]}, {between: [border, gone]}]
providers: {alpha: {asn: 64496}}
uplinks: {one: {router: border, provider: alpha}}
"""


def labs(folder: Path, *, whole: bool) -> Iterator[Lab]:
    """Yield the lab as rendered, or without the routes that stand in for lost routers."""
    (folder / "network.yaml").write_text(INTENT, encoding="utf-8")
    plan, _ = make_plan(read_intent(folder))
    configs = dict(render_configs(plan))
    if not whole:
        configs["inner"] = tuple(without(file) for file in configs["inner"])
    with open_lab(plan, configs) as lab:
        yield lab


def without(file: ConfigFile) -> ConfigFile:
    """Return a file without the routes that stand in for lost routers."""
    lines = file.text.splitlines(keepends=True)
    kept = "".join(line for line in lines if not line.endswith(STATICS_OF_LOST))
    assert file.path != "frr.conf" or kept != file.text
    return ConfigFile(file.path, kept, file.mode)


@pytest.mark.parametrize("whole", [True, False])
def test_a_lost_router_is_no_next_hop_although_our_own_prefix_covers_it(tmp_path: Path, *, whole: bool) -> None:
    """The prefix itself comes by iBGP; without the routes to nowhere FRR takes that for a way, and a near one.

    Should the control begin to fail, this FRR asks its route map about recursive routes, and the routes can go.
    """
    for lab in labs(tmp_path, whole=whole):
        lost = str(next(a.ip for a in lab.plan.nodes["gone"].loopbacks if a.ip.version == 6))
        user = next(a.ip for a in lab.plan.nodes["user-gone"].loopbacks if a.ip.version == 6)
        await_words(lab, f"show bgp nexthop {lost}", "valid")
        await_words(lab, "show ipv6 route 2001:db8:6400::/40", "bgp")
        with arm(lab, lab.plan, lab.plan.elements["router gone"].faults) as armed:
            armed.fire()
            await_words(lab, f"show ipv6 route {lost}", "ospf6", gone=True)
            # Says `(metric N)` beside a next hop with a distance, `(inaccessible)` beside one that nothing leads to.
            found = await_words(lab, f"show bgp ipv6 unicast {user}/128", "(metric", gone=True)
        assert f"{lost} (inaccessible)" in found if whole else f"{lost} from" in found, found


def await_words(lab: Lab, command: str, *words: str, gone: bool = False) -> str:
    """Return what the inner router's FRR says once it says one of some words, or no longer says any."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        said = lab.run("inner", ["vtysh", "-c", command]).stdout
        if any(word in said for word in words) is not gone:
            return said
        assert time.monotonic() < deadline, f"{command}: {said}"
        time.sleep(0.01)
