"""A session that somebody has configured by hand and given no policy (RFC 8212)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from resilience.errors import LabError
from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.proof.announce import EXPORT_ALL, IMPORT_ALL, Announcement, announce
from resilience.proof.guards import Lines, rewrite
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene

_INTENT: Final = """
network: two-providers
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
providers:
  alpha: {asn: 64496}
  beta: {asn: 64497}
uplinks:
  one: {router: gw, provider: alpha, address: [192.0.2.2/30, "2001:db8:ff:1::2/126"]}
  two: {router: gw, provider: beta, address: [192.0.2.6/30, "2001:db8:ff:2::2/126"]}
"""
_ALPHA: Final = "provider-alpha"
_BETA: Final = "provider-beta"
_ADDRESS: Final = {4: "192.0.2.1", 6: "2001:db8:ff:1::1"}
"""The neighbour whose session has no policy."""
_BAD: Final = {4: Announcement("10.20.0.0/16"), 6: Announcement("fd00:20::/32")}
_OTHER: Final = {4: Announcement("31.40.8.0/22"), 6: Announcement("2a02:bb8::/32")}
"""What the other provider announces to us."""
_HARMS: Final = tuple(
    harm
    for family in (4, 6)
    for harm in (f"{_BAD[family].prefix} is accepted", f"{_OTHER[family].prefix} is announced to the neighbour")
)
_ON_ONE: Final = r"^protocol bgp b_one_ipv\d \{.*?^\}\n"
_ROLE: Final = Lines("bird.conf", r"^  local role \w+;\n", within=_ON_ONE)
_POLICIES: Final = tuple(
    Lines("bird.conf", pattern, every, within=_ON_ONE)
    for pattern, every in (
        (r"^    import filter \{ [^\n]* \};$", "    import all;"),
        (r"^    export filter \{\n(?:      [^\n]*\n)*    \};$", "    export all;"),
    )
)


def _hostile(plan: Plan, configs: Configs) -> Configs:
    """Let alpha tell all and take all; leave our session with it as somebody in a hurry writes it.

    It has no role either, else RFC 9234 would stop a part of the harm. FRR's has no route maps; BIRD's keeps its
    filters, without which BIRD would not even start.
    """
    one = rf"^ +neighbor (?:{'|'.join(_ADDRESS.values())})"
    if plan.nodes["gw"].platform is Platform.FRR:
        roles, maps = (
            Lines("frr.conf", rf"{one} {rest}\n") for rest in (r"local-role \S+", r"route-map \S+ (?:in|out)")
        )
        configs = rewrite(configs, ["gw"], [roles, maps])
    else:
        configs = rewrite(configs, ["gw"], [_ROLE])
    configs = rewrite(configs, [_ALPHA], [_ROLE, EXPORT_ALL, IMPORT_ALL])
    configs = announce(plan, configs, _ALPHA, "bad", _BAD.values())
    return announce(plan, configs, _BETA, "other", _OTHER.values())


def _attack(scene: Scene) -> Iterator[str]:
    _open_anew_when_changed(scene)
    for family in (4, 6):
        if _BAD[family].prefix in _taken(scene, "gw", _ALPHA, family):
            yield f"{_BAD[family].prefix} is accepted"
        if _OTHER[family].prefix in _taken(scene, _ALPHA, "gw", family):
            yield f"{_OTHER[family].prefix} is announced to the neighbour"


def _open_anew_when_changed(scene: Scene) -> None:
    """Do what an operator has to: what FRR already took stays until the session is opened anew."""
    if scene.platform is Platform.FRR and "opened" not in scene.memory:
        running = scene.run("gw", "vtysh", "-d", "bgpd", "-c", "show running-config").stdout
        if "no bgp ebgp-requires-policy" not in running:
            scene.memory["opened"] = 1
            _open_anew(scene)


def _open_anew(scene: Scene) -> None:
    for family in (4, 6):
        scene.bird(_ALPHA, f"restart b_one_ipv{family}")


def _taken(scene: Scene, node: str, sender: str, family: int) -> set[str]:
    neighbor = scene.address(sender, node, family)
    return {str(route.prefix) for route in scene.rib(node, family) if route.neighbor == neighbor}


def _missing(scene: Scene) -> Iterator[str]:
    states = scene.sessions("gw")
    for family in (4, 6):
        if states.get(_ADDRESS[family]) != "Established":
            yield f"the IPv{family} session without a policy is not up"
        if _OTHER[family].prefix not in _taken(scene, "gw", _BETA, family):
            yield f"{_OTHER[family].prefix} is not accepted from the other provider"


def _again(scene: Scene) -> None:
    """Open the sessions anew. Where the daemon is BIRD, see also that it refuses a session without a policy."""
    if scene.platform is Platform.BIRD:
        _see_bird_refuse(scene)
    _open_anew(scene)


def _see_bird_refuse(scene: Scene) -> None:
    bare = [Lines(lines.file, rf"{lines.pattern}\n", "", lines.within) for lines in _POLICIES]
    for one in bare:
        text = next(f.text for f in rewrite(scene.configs, ["gw"], [one])["gw"] if f.path == "bird.conf")
        done = scene.run("gw", "bird", "-p", "-c", "/dev/stdin", stdin=text)
        if done.exit_code == 0 or "requires explicit" not in done.stderr:
            raise LabError("BIRD takes an external session without a policy", hint=done.stderr.strip())


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="no-policy",
        group=Group.SESSIONS,
        protection="external sessions without a policy pass nothing",
        attack_title="an operator adds a session by hand and gives it no policy",
        sources=("RFC 8212", "RFC 7454 section 6"),
        intent=_INTENT,
        guard={
            # FRR's own default under this profile, switched off where the neighbours begin.
            Platform.FRR: (
                Lines("frr.conf", r"^frr defaults traditional$", "frr defaults traditional"),
                Lines("frr.conf", r"(?<=^ no bgp default ipv4-unicast\n)", " no bgp ebgp-requires-policy\n"),
            ),
            Platform.BIRD: _POLICIES,
        },
        harms=_HARMS,
        attack=_attack,
        missing=_missing,
        hostile=_hostile,
        again=_again,
    ),
)
