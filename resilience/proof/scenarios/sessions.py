"""Sessions that should not come up: the neighbour is another than it says, is too far away, or was never agreed on.

Each network has two circuits with one provider. On the first somebody attacks; over the second the provider is as
agreed, and its session must be up in both halves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from resilience.errors import LabError
from resilience.lab.daemons import reload_configs
from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.proof.guards import Lines, rewrite
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene, wait_for

_PROVIDER: Final = "provider-alpha"
_FAR: Final = "provider-alpha-customer"
"""A router behind the provider: two hops from ours."""
_FAMILIES: Final = (4, 6)
_ON_ONE: Final = r"^protocol bgp b_one_ipv\d \{.*?^\}\n"
_LIMIT_S: Final = 20.0


def _two_circuits(stated: str = "") -> str:
    return f"""
network: two-circuits
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {{platform: PLATFORM}}
providers:
  alpha: {{asn: 64496}}
uplinks:
  one: {{router: gw, provider: alpha, address: [192.0.2.2/30, "2001:db8:ff:1::2/126"]{stated}}}
  two: {{router: gw, provider: alpha, address: [192.0.2.6/30, "2001:db8:ff:2::2/126"]{stated}}}
"""


_OURS: Final = {4: "192.0.2.2", 6: "2001:db8:ff:1::2"}
"""Our ends of the first circuit."""
_THEIRS: Final = {4: "192.0.2.1", 6: "2001:db8:ff:1::1"}
_LENGTH: Final = {4: 30, 6: 126}
_GOOD: Final = {4: "192.0.2.5", 6: "2001:db8:ff:2::1"}
"""The provider's ends of the second circuit."""
_HARMS: Final = tuple(f"the IPv{family} session comes up" for family in _FAMILIES)


def _comes_up(scene: Scene) -> Iterator[str]:
    states = scene.sessions(scene.victim)
    yield from (h for f, h in zip(_FAMILIES, _HARMS, strict=True) if states.get(_THEIRS[f]) == "Established")


def _good_is_down(scene: Scene) -> Iterator[str]:
    states = scene.sessions(scene.victim)
    for family, address in _GOOD.items():
        if (state := states.get(address)) != "Established":
            yield f"the IPv{family} session over the second circuit is {state}"


# --- roles -----------------------------------------------------------------------------------------------------------


def _says_peer(_plan: Plan, configs: Configs) -> Configs:
    role = Lines("bird.conf", r"^  local role provider;$", "  local role peer;", within=_ON_ONE)
    return rewrite(configs, [_PROVIDER], [role])


def _try_roles_again(scene: Scene) -> None:
    """Open the sessions anew, and wait until both ends have said to each other what they are."""
    for family in _FAMILIES:
        scene.bird(_PROVIDER, f"restart b_one_ipv{family}")

    def unheard() -> Iterator[str]:
        for family in _FAMILIES:
            told = scene.bird(_PROVIDER, f"show protocols all b_one_ipv{family}")
            if not re.search(r"Last error: .*role mismatch", told, re.IGNORECASE):
                yield f"nobody says that the roles of the IPv{family} session do not fit"

    wait_for("after the roles were exchanged", unheard, _LIMIT_S)


# --- GTSM ------------------------------------------------------------------------------------------------------------


def _near_without(_plan: Plan, configs: Configs) -> Configs:
    """Let the first circuit's real neighbour do without, so that a lab whose router does without comes up at all."""
    return rewrite(configs, [_PROVIDER], [Lines("bird.conf", r"^  ttl security yes;\n", within=_ON_ONE)])


def _far_comes_up(scene: Scene) -> Iterator[str]:
    _take_over(scene)
    states = scene.sessions(_FAR)
    yield from (h for f, h in zip(_FAMILIES, _HARMS, strict=True) if states.get(_OURS[f]) == "Established")


def _take_over(scene: Scene) -> None:
    """Let a router behind the provider speak with the provider's address, from now on.

    The provider's router leads our packets on to it, and gives them the life that a TTL of 1 denies them. The
    attacker's packets start with 255, the most there is, and have lost one when they reach us.
    """
    if "taken over" in scene.memory:
        return
    scene.memory["taken over"] = 1
    for family in _FAMILIES:
        scene.bird(_PROVIDER, f"disable b_one_ipv{family}")
    _do(scene, _PROVIDER, ("ip", "-batch", "-"), _leading_on(scene))
    _do(scene, _PROVIDER, ("sysctl", "-q", "-p", "-"), _ANSWERING)
    _do(scene, _PROVIDER, ("nft", "-f", "-"), _LENGTHENING)
    _do(scene, _FAR, ("ip", "-batch", "-"), _posing(scene))
    speaking = (replace(f, text=f.text + _SPEAKING) for f in scene.configs[_FAR])
    reload_configs(scene.lab, _FAR, [f for f in speaking if f.path == "bird.conf"])


def _do(scene: Scene, node: str, argv: tuple[str, ...], stdin: str) -> None:
    done = scene.run(node, *argv, stdin=stdin)
    if done.exit_code != 0:
        raise LabError(f"{argv[0]} of {node}: {done.stderr.strip()}")


def _leading_on(scene: Scene) -> str:
    lines = []
    for family in _FAMILIES:
        lines += [
            f"address del {_THEIRS[family]}/{_LENGTH[family]} dev o-one",
            f"route replace {_OURS[family]} dev o-one",
            f"route replace {_THEIRS[family]} via {scene.address(_FAR, _PROVIDER, family)}",
        ]
    return "\n".join((*lines, f"neighbor replace proxy {_THEIRS[6]} dev o-one\n"))


_ANSWERING: Final = "net.ipv4.conf.o-one.proxy_arp = 1\nnet.ipv6.conf.o-one.proxy_ndp = 1\n"
_LENGTHENING: Final = """
table inet life {
  chain lengthen {
    type filter hook prerouting priority raw;
    iifname "o-one" ip ttl 1 ip ttl set 64
    iifname "o-one" ip6 hoplimit 1 ip6 hoplimit set 64
  }
}
"""
_SPEAKING: Final = "".join(
    f"""
protocol bgp b_far{family} {{
  local {_THEIRS[family]} as 64496;
  neighbor {_OURS[family]} as 64500;
  multihop 255;
  local role provider;
  connect retry time 1;
  connect delay time 1;
  error wait time 1, 1;
  ipv{family} {{ import none; export none; }};
}}
"""
    for family in _FAMILIES
)


def _posing(scene: Scene) -> str:
    lines = []
    for family in _FAMILIES:
        lines += [
            f"address replace {_THEIRS[family]} dev lo",
            f"route replace {_OURS[family]} via {scene.address(_PROVIDER, _FAR, family)}",
        ]
    return "\n".join((*lines, ""))


# --- packets that the kernel throws away -----------------------------------------------------------------------------


def _dropped(scene: Scene, counter: str) -> int:
    """Return how many segments the kernel of our router has thrown away for one reason."""
    lines = scene.run(scene.victim, "cat", "/proc/net/netstat").stdout.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        found = dict(zip(names.split(), values.split(), strict=True))
        if counter in found:
            return int(found[counter])
    raise LabError(f"this kernel does not count {counter}")


def _await_drops(scene: Scene, node: str, protocols: str, counter: str) -> None:
    """Let one family alone try to come in, and wait until our kernel has thrown a segment of its away; then the other.

    The two share a counter, so they take turns.
    """
    for family, other in ((4, 6), (6, 4)):
        scene.bird(node, f"disable {protocols}{other}")
        scene.bird(node, f"restart {protocols}{family}")
        before = _dropped(scene, counter)
        wait_for(f"IPv{family} attempts", lambda: _none_since(scene, counter, before), _LIMIT_S)  # noqa: B023
        scene.bird(node, f"enable {protocols}{other}")


def _none_since(scene: Scene, counter: str, before: int) -> Iterator[str]:
    if _dropped(scene, counter) <= before:
        yield f"{counter} does not rise"


def _try_distance_again(scene: Scene) -> None:
    _await_drops(scene, _FAR, "b_far", "TCPMinTTLDrop")


# --- passwords -------------------------------------------------------------------------------------------------------

_PASSWORD: Final = Lines("bird.conf", r'^  password "[^"\n]*";\n', within=_ON_ONE)


def _knows_no_password(_plan: Plan, configs: Configs) -> Configs:
    return rewrite(configs, [_PROVIDER], [_PASSWORD])


def _try_passwords_again(scene: Scene) -> None:
    """Try without a password, then with a wrong one."""
    _await_drops(scene, _PROVIDER, "b_one_ipv", "TCPMD5NotFound")
    wrong = Lines("bird.conf", r"^(  local role provider;)$", r'\1\n  password "guessed";', within=_ON_ONE)
    reload_configs(scene.lab, _PROVIDER, rewrite(scene.configs, [_PROVIDER], [wrong])[_PROVIDER])
    _await_drops(scene, _PROVIDER, "b_one_ipv", "TCPMD5Failure")


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="role-mismatch",
        group=Group.SESSIONS,
        protection="BGP roles agreed in OPEN messages",
        attack_title="a provider has configured us as its peer",
        sources=("RFC 9234 section 4.2",),
        intent=_two_circuits(),
        guard={
            Platform.FRR: (Lines("frr.conf", r"^ neighbor \S+ local-role \S+\n"),),
            Platform.BIRD: (Lines("bird.conf", r"^  local role \w+;\n"),),
        },
        harms=_HARMS,
        attack=_comes_up,
        missing=_good_is_down,
        hostile=_says_peer,
        again=_try_roles_again,
    ),
    Scenario(
        name="gtsm",
        group=Group.SESSIONS,
        protection="GTSM: only packets that no router has forwarded",
        attack_title="a router two hops away speaks BGP with the neighbour's address",
        sources=("RFC 5082", "RFC 7454 section 5.1"),
        intent=_two_circuits(", ttl_security: true"),
        guard={
            Platform.FRR: (Lines("frr.conf", rf"^ neighbor (?:{'|'.join(_THEIRS.values())}) ttl-security hops 1\n"),),
            Platform.BIRD: (Lines("bird.conf", r"^  ttl security yes;\n", within=_ON_ONE),),
        },
        harms=_HARMS,
        attack=_far_comes_up,
        missing=_good_is_down,
        hostile=_near_without,
        again=_try_distance_again,
    ),
    Scenario(
        name="password",
        group=Group.SESSIONS,
        protection="TCP MD5 signatures",
        attack_title="somebody with the neighbour's address knows no password, or a wrong one",
        sources=("RFC 2385", "RFC 7454 section 5.1"),
        intent=_two_circuits(', password: "env:ALPHA_PASSWORD"'),
        guard={
            Platform.FRR: (Lines("frr.conf", rf"^ neighbor (?:{'|'.join(_THEIRS.values())}) password \S+\n"),),
            Platform.BIRD: (_PASSWORD,),
        },
        harms=_HARMS,
        attack=_comes_up,
        missing=_good_is_down,
        hostile=_knows_no_password,
        again=_try_passwords_again,
    ),
)
