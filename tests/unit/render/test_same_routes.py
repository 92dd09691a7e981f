"""One policy on both daemons, for real: a route that one of them takes, the other takes too, with the same attributes.

A feeder announces routes of every kind to a router on FRR and to one on BIRD. Both have the same policies, made of
every condition and action there is. What they keep must be what the terms say, and what they pass on to a listener
must be the same.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, ip_network
from pathlib import Path

import pytest

from resilience.lab import Lab, open_lab
from resilience.model.configs import ConfigFile, Configs
from resilience.model.network import Platform, RpkiServer
from resilience.model.plan import (
    Interface,
    InterfaceKind,
    Node,
    Origination,
    Plan,
    Role,
    RouteUse,
    Segment,
    Session,
    SessionEnd,
    SessionKind,
    StaticRoute,
)
from resilience.model.policy import (
    AsList,
    Community,
    Direction,
    LargeCommunity,
    Match,
    Policy,
    PrefixList,
    PrefixRule,
    Term,
)
from resilience.render import render_configs
from tests.support.render_plans import a_plan, a_router_id, an_address

FEEDER, OURS, LISTENER = 64496, 64500, 64498
ROUTERS = ("on-frr", "on-bird")
LIMIT_S = 30
VALIDATOR = Path(__file__).resolve().parents[2] / "support/validator.py"


@dataclass(frozen=True)
class Route:
    """A route with what a policy may look at or change."""

    prefix: str
    path: tuple[int, ...] = (FEEDER,)
    communities: frozenset[Community] = frozenset()
    large: frozenset[LargeCommunity] = frozenset()
    med: int | None = None
    preference: int | None = None


def offered(number: int, *path: int, **attributes: object) -> Route:
    """Return a route of the feeder; each has a prefix of its own."""
    return replace(Route(f"198.18.{number}.0/24", path or (FEEDER,)), **attributes)  # type: ignore[arg-type]


OFFERED = (
    offered(1),
    offered(2, FEEDER, 64512),
    offered(3, FEEDER, 65534, 3356),
    offered(4, FEEDER, 65535),
    offered(5, FEEDER, 64511),
    offered(6, FEEDER, 4_200_000_000),
    offered(7, FEEDER, 4_294_967_294),
    offered(8, FEEDER, 4_199_999_999),
    offered(9, 64497, 64499),
    offered(10, *(FEEDER, *([3356] * 9))),
    offered(11, *(FEEDER, *([3356] * 10))),
    offered(12, communities=frozenset({(65535, 0)})),
    offered(13, communities=frozenset({(65535, 0), (64496, 1)}), large=frozenset({(OURS, 1, 1), (64496, 5, 5)})),
    offered(14, large=frozenset({(OURS, 1, 4), (OURS, 2, 9)})),
    offered(15, large=frozenset({(64496, 7, 7)})),
    offered(16, large=frozenset({(64496, 8, 8)}), med=3),
    offered(17, communities=frozenset({(64496, 17)})),
    offered(18, 64497, 64512, communities=frozenset({(64496, 18)})),
    offered(19, FEEDER, 64512, communities=frozenset({(64496, 18)})),
    replace(offered(20), prefix="10.1.0.0/16"),
    replace(offered(20), prefix="10.0.0.0/8"),
    replace(offered(20), prefix="198.19.0.0/25"),
    replace(offered(20), prefix="198.19.1.0/26"),
    replace(offered(20), prefix="0.0.0.0/0"),
    offered(21, med=77),
    offered(22, communities=frozenset({(64496, 22)})),
    offered(24, communities=frozenset({(65535, 666)})),
    offered(25, FEEDER, 3356),
    offered(26, FEEDER, 3356),
    offered(27, FEEDER, 3257),
    offered(28, FEEDER, 3257, 3257, 3257),
    offered(29, FEEDER, 3356, 3356, 3356),
    offered(30),
    offered(31),
)

AUTHORISED = {"198.18.25.0/24": 1299, "198.18.26.0/24": 3356}
"""What the validator says: prefix to the AS that may originate it."""

PREFIX_LISTS = (
    PrefixList("bogons", 4, (PrefixRule(ip_network("10.0.0.0/8"), 9, 32),)),
    PrefixList("long", 4, (PrefixRule(ip_network("0.0.0.0/0"), 26, 32), PrefixRule(ip_network("0.0.0.0/0"), 0, 7))),
    PrefixList("never", 4, ()),
    PrefixList("marked", 4, (PrefixRule(ip_network("198.18.22.0/24"), 24, 24),)),
    PrefixList("led", 4, (PrefixRule(ip_network("198.18.30.0/24"), 24, 24),)),
    PrefixList("led_astray", 4, (PrefixRule(ip_network("198.18.31.0/24"), 24, 24),)),
)
AS_LISTS = (
    AsList("private", ((64512, 65534), (4_200_000_000, 4_294_967_294))),
    AsList("nobody", ()),
    AsList("far", ((3257, 3257),)),
)
FEEDERS = ip_network("192.0.2.0/24")
"""Holds every address of the feeder, which announces no other next hop."""
ELSEWHERE = ip_network("203.0.113.0/24")

IMPORT = Policy(
    name="import_feeder",
    family=4,
    direction=Direction.IMPORT,
    terms=(
        Term(name="never", match=Match(prefixes="never"), accept=True, local_preference=1),
        Term(name="nobody", match=Match(as_path_has="nobody"), accept=True, local_preference=2),
        Term(
            name="stranger_and_private",
            match=Match(not_first_as=FEEDER, as_path_has="private", communities=((64496, 18),)),
            accept=True,
            local_preference=55,
        ),
        Term(name="bogons", match=Match(prefixes="bogons"), accept=False),
        Term(name="long", match=Match(prefixes="long"), accept=False),
        Term(name="private", match=Match(as_path_has="private"), accept=False),
        Term(name="first", match=Match(not_first_as=FEEDER), accept=False),
        Term(name="far_and_long", match=Match(as_path_has="far", path_longer_than=3), accept=False),
        Term(name="led", match=Match(prefixes="led", next_hop_outside=FEEDERS), accept=False),
        Term(name="led_astray", match=Match(prefixes="led_astray", next_hop_outside=ELSEWHERE), accept=False),
        # BIRD, which feeds here, makes no sets: that a term finds one is the scenario `as-set`'s to show.
        Term(name="with_set", match=Match(path_has_set=True), accept=False),
        Term(name="rpki", match=Match(rpki_invalid=True), accept=False),
        Term(name="long_path", match=Match(path_longer_than=10), accept=False),
        Term(
            name="drained",
            match=Match(communities=((65535, 0), (65535, 65281))),
            accept=True,
            local_preference=0,
            strip_own=True,
            add_large_communities=((OURS, 1, 4),),
        ),
        Term(
            name="blackhole",
            match=Match(communities=((65535, 666),)),
            accept=True,
            discard=True,
            add_large_communities=((OURS, 1, 6),),
        ),
        Term(
            name="either",
            match=Match(large_communities=((64496, 7, 7), (64496, 8, 8))),
            accept=True,
            metric=5,
            add_communities=((64500, 78),),
        ),
        Term(
            name="both",
            match=Match(prefixes="marked", communities=((64496, 22),)),
            accept=True,
            local_preference=22,
            add_communities=((64500, 1), (64500, 2)),
        ),
        Term(
            name="rest",
            accept=True,
            local_preference=190,
            strip_own=True,
            next_hop_peer=True,
            add_large_communities=((OURS, 1, 4), (OURS, 2, 33)),
        ),
    ),
)
EXPORT = Policy(
    name="export_listener",
    family=4,
    direction=Direction.EXPORT,
    terms=(
        Term(name="no_drained", match=Match(communities=((65535, 0),)), accept=False),
        Term(
            name="own",
            match=Match(large_communities=((OURS, 1, 5),)),
            accept=True,
            strip_own=True,
            prepend=2,
            add_communities=((65535, 0),),
        ),
        Term(name="internal", match=Match(large_communities=((OURS, 1, 6),)), accept=False),
        Term(name="marked", match=Match(prefixes="marked"), accept=True, metric=9, prepend=1, next_hop_self=True),
        Term(name="rest", accept=True, strip_own=True),
    ),
)


def decide(policy: Policy, route: Route) -> Route | None:
    """Return what a policy makes of a route, None when it is refused: the terms' meaning, in Python."""
    for term in policy.terms:
        if holds(term.match, route):
            return act(term, route) if term.accept else None
    return None


def holds(match: Match, route: Route) -> bool:
    """All given conditions hold."""
    rules = next((found.rules for found in PREFIX_LISTS if found.name == match.prefixes), ())
    ranges = next((found.ranges for found in AS_LISTS if found.name == match.as_path_has), ())
    conditions = (
        match.prefixes is None or any(covers(rule, IPv4Network(route.prefix)) for rule in rules),
        match.as_path_has is None or any(low <= asn <= high for asn in route.path for low, high in ranges),
        not match.communities or bool(route.communities & set(match.communities)),
        not match.large_communities or bool(route.large & set(match.large_communities)),
        match.not_first_as is None or route.path[:1] != (match.not_first_as,),
        match.path_longer_than is None or len(route.path) > match.path_longer_than,
        match.next_hop_outside is None or not FEEDERS.subnet_of(match.next_hop_outside),  # type: ignore[arg-type]
        not match.path_has_set,
        not match.rpki_invalid or AUTHORISED.get(route.prefix, route.path[-1]) != route.path[-1],
    )
    return all(conditions)


def covers(rule: PrefixRule, network: IPv4Network) -> bool:
    """A network lies inside a rule's prefix and has a length that it allows."""
    inside = isinstance(rule.prefix, IPv4Network) and network.subnet_of(rule.prefix)
    return inside and rule.low <= network.prefixlen <= rule.high


def act(term: Term, route: Route) -> Route:
    """Do what an accepting term says."""
    large = frozenset(c for c in route.large if not (term.strip_own and c[0] == OURS))
    return replace(
        route,
        path=(OURS,) * term.prepend + route.path,
        communities=route.communities | set(term.add_communities),
        large=large | set(term.add_large_communities),
        med=route.med if term.metric is None else term.metric,
        preference=route.preference if term.local_preference is None else term.local_preference,
    )


def a_router(name: str, platform: Platform, number: int) -> Node:
    """Return a router with a cable to the feeder and one to the listener."""
    interfaces = tuple(
        Interface(
            name=far,
            kind=InterfaceKind.UPLINK,
            segment=f"{name}-{far}",
            peer=far,
            addresses=(an_address(f"192.0.2.{number * 8 + offset}/31"),),
        )
        for far, offset in (("feeder", 0), ("listener", 2))
    )
    prefixes = (ip_network("198.51.100.0/24"), ip_network("198.51.100.80/32"), ip_network("198.51.100.128/25"))
    return Node(
        name=name,
        role=Role.ROUTER,
        managed=True,
        platform=platform,
        asn=OURS,
        router_id=a_router_id(number),
        interfaces=interfaces,
        statics=tuple(StaticRoute(prefix=prefix, use=RouteUse.ANCHOR) for prefix in prefixes),
        originations=tuple(
            Origination(prefix=prefix, own=own) for prefix, own in zip(prefixes[:2], (True, False), strict=True)
        ),
        policies=(IMPORT, EXPORT),
        prefix_lists=PREFIX_LISTS,
        as_lists=AS_LISTS,
        rpki=(RpkiServer(name="validator", address=interfaces[0].addresses[0].ip + 1),),
    )


def the_other(name: str, asn: int, number: int, routers: list[Node]) -> Node:
    """Return the feeder or the listener, with a cable to each router."""
    return Node(
        name=name,
        role=Role.PROVIDER,
        platform=Platform.BIRD,
        asn=asn,
        router_id=a_router_id(number),
        interfaces=tuple(
            Interface(
                name=router.name,
                kind=InterfaceKind.OUTSIDE,
                segment=f"{router.name}-{name}",
                peer=router.name,
                addresses=(an_address(f"{router.interface(name).addresses[0].ip + 1}/31"),),
            )
            for router in routers
        ),
    )


def a_session(router: Node, far: Node) -> Session:
    """Return a session; the feeder is a route server, so that it may announce any path."""
    feeds = far.name == "feeder"
    near_end = SessionEnd(
        node=router.name,
        asn=OURS,
        address=router.interface(far.name).addresses[0].ip,
        interface=far.name,
        import_policy=IMPORT.name if feeds else None,
        export_policy=None if feeds else EXPORT.name,
        connect_retry_ms=1000,
    )
    far_end = SessionEnd(
        node=far.name,
        asn=far.asn or 0,
        address=far.interface(router.name).addresses[0].ip,
        interface=router.name,
        connect_retry_ms=1000,
        route_server=feeds,
    )
    return Session(name=f"{router.name}-{far.name}-ipv4", family=4, kind=SessionKind.TRANSIT, ends=(near_end, far_end))


def the_plan() -> Plan:
    """Return feeder, two routers, listener."""
    routers = [a_router("on-frr", Platform.FRR, 1), a_router("on-bird", Platform.BIRD, 2)]
    others = [the_other("feeder", FEEDER, 8, routers), the_other("listener", LISTENER, 9, routers)]
    cablings = [(router, far) for router in routers for far in others]
    plan = a_plan(*routers, *others, sessions=tuple(a_session(router, far) for router, far in cablings))
    cables = {
        f"{router.name}-{far.name}": Segment(
            name=f"{router.name}-{far.name}", ends=((router.name, far.name), (far.name, router.name))
        )
        for router, far in cablings
    }
    return replace(plan, segments=cables)


def the_configs(plan: Plan) -> Configs:
    """Render the plan, let the feeder announce what no plan can say, and ask the validator more often."""
    configs = {node: tuple(map(impatient, files)) for node, files in render_configs(plan).items()}
    lines = "\n".join(feeder_line(route) for route in OFFERED)
    statics = f"protocol static b_origin4 {{\n  ipv4;\n{lines}\n}}\n"
    configs["feeder"] = tuple(
        replace(file, text=file.text + statics) if file.path == "bird.conf" else file for file in configs["feeder"]
    )
    return configs


def impatient(file: ConfigFile) -> ConfigFile:
    """The validator comes up after the routers, as it may; look for it every second instead of every minute."""
    text = file.text.replace("rpki retry_interval 60", "rpki retry_interval 1").replace("retry 60;", "retry 1;")
    return replace(file, text=text)


def feeder_line(route: Route) -> str:
    """Write a route as BIRD's static protocol announces it."""
    actions = [f"bgp_path.prepend({asn});" for asn in reversed(route.path)]
    actions += [f"bgp_community.add({pair});" for pair in sorted(route.communities)]
    actions += [f"bgp_large_community.add({triple});" for triple in sorted(route.large)]
    actions += [f"bgp_med = {route.med};"] if route.med is not None else []
    return f"  route {route.prefix} blackhole {{ {' '.join(actions)} }};"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The routers, running."""
    plan = the_plan()
    with open_lab(plan, the_configs(plan)) as lab, a_validator(lab):
        ask_again(lab)
        yield lab


def ask_again(lab: Lab) -> None:
    """Let bgpd judge again what it took before it knew the validator's answers: FRR 8.4 does not do so by itself."""
    deadline = time.monotonic() + LIMIT_S
    while "198.18.26.0" not in lab.run("on-frr", ["vtysh", "-c", "show rpki prefix-table"]).stdout:
        assert time.monotonic() < deadline, "bgpd does not find the validator"
        time.sleep(0.1)
    neighbor = lab.plan.nodes["feeder"].interface("on-frr").addresses[0].ip
    lab.run("on-frr", ["vtysh", "-c", f"clear bgp ipv4 unicast {neighbor} soft in"])


@contextmanager
def a_validator(lab: Lab) -> Iterator[None]:
    """Run an RPKI validator beside the feeder, told what is authorised."""
    said = [f"{prefix}={asn}" for prefix, asn in AUTHORISED.items()]
    command = ["nsenter", f"--net={lab.namespace('feeder')}", sys.executable, str(VALIDATOR), *said]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            yield
        finally:
            process.kill()


def await_routes(read: Callable[[], dict[str, Route]], expected: dict[str, Route]) -> dict[str, Route]:
    """Read until it is as expected, or until nothing can be expected any more."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        found = read()
        if found == expected or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def frr_routes(lab: Lab, node: str, neighbor: str) -> dict[str, Route]:
    """Return what bgpd keeps of a neighbour's routes."""
    table = json.loads(lab.run(node, ["vtysh", "-c", "show bgp ipv4 unicast json detail"]).stdout)
    found = {}
    for prefix, (_, *paths) in table["routes"].items():
        for path in paths:
            if path["peer"]["peerId"] == neighbor:
                found[prefix] = Route(
                    prefix=prefix,
                    path=tuple(asn for segment in path["aspath"]["segments"] for asn in segment["list"]),
                    communities=pairs(path.get("community", {}).get("list", [])),
                    large=frozenset(map(triple, path.get("largeCommunity", {}).get("list", ()))),
                    med=path.get("metric"),
                    preference=path.get("locPrf", 100),
                )
    return found


WELL_KNOWN = {"gracefulShutdown": (65535, 0), "blackhole": (65535, 666)}


def pairs(texts: list[str]) -> frozenset[Community]:
    """Read communities as FRR shows them. To a blackhole FRR adds by itself that it goes no farther (RFC 7999)."""
    return frozenset(pair(text) for text in texts if text != "noExport")


def pair(text: str) -> Community:
    """Read a community as FRR shows it."""
    first, _, second = text.partition(":")
    return WELL_KNOWN[text] if text in WELL_KNOWN else (int(first), int(second))


def triple(text: str) -> LargeCommunity:
    """Read a large community as FRR shows it."""
    first, second, third = map(int, text.split(":"))
    return first, second, third


def bird_routes(lab: Lab, node: str, protocol: str) -> dict[str, Route]:
    """Return what BIRD keeps of a protocol's routes."""
    text = lab.run(node, ["birdc", "show", "route", "all", "protocol", protocol]).stdout
    found = {}
    for block in re.split(r"\n(?=\S+/\d+ )", text)[1:]:
        prefix = block.split(" ", 1)[0]
        values = dict(re.findall(r"^\tBGP\.(\w+): (.*)$", block, re.MULTILINE))
        found[prefix] = Route(
            prefix=prefix,
            path=tuple(map(int, values["as_path"].split())),
            communities=frozenset(
                (int(a), int(b)) for a, b in re.findall(r"\((\d+),(\d+)\)", values.get("community", ""))
            ),
            large=frozenset(
                (int(a), int(b), int(c))
                for a, b, c in re.findall(r"\((\d+), (\d+), (\d+)\)", values.get("large_community", ""))
            ),
            # FRR announces its own prefixes with 0, BIRD without: the same to everybody (RFC 4271 section 9.1.2.2).
            med=int(values.get("med", 0)) or None,
            preference=int(values["local_pref"]),
        )
    return found


def expected_import() -> dict[str, Route]:
    """What the terms make of what is offered; both daemons give 100 where nobody says a preference."""
    kept = (decide(IMPORT, route) for route in OFFERED)
    return {
        route.prefix: replace(route, preference=100 if route.preference is None else route.preference)
        for route in kept
        if route is not None
    }


def expected_export() -> dict[str, Route]:
    """What the listener gets: paths with our AS in front, no metric of others, what we originate."""
    own = Route("198.51.100.0/24", path=(), large=frozenset({(OURS, 1, 5)}))
    internal = Route("198.51.100.80/32", path=(), large=frozenset({(OURS, 1, 6)}))
    # The metric that came in does not go out again (RFC 4271 section 5.1.4).
    known = [*(replace(route, med=None) for route in expected_import().values()), own, internal]
    sent = (decide(EXPORT, route) for route in known)
    return {
        route.prefix: replace(route, path=(OURS, *route.path), preference=100) for route in sent if route is not None
    }


@pytest.mark.lab
@pytest.mark.parametrize("node", ROUTERS)
def test_imports_are_what_the_terms_say(lab: Lab, node: str) -> None:
    """Every offered route, kept or refused, with every attribute."""
    neighbor = str(lab.plan.nodes["feeder"].interface(node).addresses[0].ip)
    expected = expected_import()
    read = (
        (lambda: frr_routes(lab, node, neighbor))
        if node == "on-frr"
        else (lambda: bird_routes(lab, node, "b_on_bird_feeder_ipv4"))
    )
    assert await_routes(read, expected) == expected


@pytest.mark.lab
@pytest.mark.parametrize("node", ROUTERS)
def test_exports_are_what_the_terms_say(lab: Lab, node: str) -> None:
    """What the listener received from each: the same, untagged statics never."""
    expected = expected_export()
    found = await_routes(lambda: bird_routes(lab, "listener", f"b_{node.replace('-', '_')}_listener_ipv4"), expected)
    assert found == expected


@pytest.mark.lab
@pytest.mark.parametrize("node", ROUTERS)
def test_discarded_traffic_is_dropped(lab: Lab, node: str) -> None:
    """A packet to what the policy discards finds no way out of the router."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        answer = lab.run(node, ["ip", "route", "get", "198.18.24.1"])
        if answer.exit_code != 0 or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert answer.exit_code != 0, answer.stdout
    assert "198.18.24.0/24" in lab.run(node, ["ip", "route"]).stdout


def test_the_terms_keep_and_refuse() -> None:
    """The comparison means something: routes of both kinds are offered."""
    assert 5 < len(expected_import()) < len(OFFERED) - 5
    assert "198.51.100.0/24" in expected_export()
    assert "198.51.100.80/32" not in expected_export()
