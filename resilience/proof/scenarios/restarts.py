"""Daemons that die and come back, and route servers that leave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from resilience.lab.daemons import Speaker, read_bird_protocols
from resilience.lab.faults import arm
from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Fault, FaultKind, Plan, index_neighbors
from resilience.proof.announce import Announcement, announce
from resilience.proof.guards import Lines, Unavailable, bird_term, frr_term, rewrite
from resilience.proof.packets import echo_answers, loopback
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene, persists, wait_for
from resilience.proof.stream import Stream

_LIMIT_S: Final = 40.0
"""Generous for two busy processors, and nothing beside the 120 s and 180 s of the daemons' own timers."""
_AWAY_PACKETS: Final = 150
"""1.5 s: zebra counts the age of routes in seconds, and does not call stale what came back within one."""
_USER, _BEYOND = "user-gw", "internet-1"
_HELPS: Final = Lines("bird.conf", r"^  graceful restart off;\n")
"""The neighbour has BIRD's default: it helps whoever says that it can restart."""
_CLAIMS: Final = Lines("bird.conf", r"^  graceful restart off;\n", "  graceful restart on;\n")
"""The neighbour says that it goes on forwarding while its daemon is away."""
_ON_BIRD: Final = (
    Lines("bird.conf", r"^  graceful restart on;\n  graceful restart time 30;\n", "  graceful restart off;\n"),
    Lines("bird.conf", r"^  graceful restart yes;\n"),
)
_ON_FRR: Final = (
    Lines("frr.conf", r"^ neighbor \S+ graceful-restart\n"),
    Lines("frr.conf", r"^ bgp graceful-restart (?:restart-time|rib-stale-time|select-defer-time|preserve).*\n"),
)
_OFF_BIRD: Final = Lines("bird.conf", r"^  graceful restart off;\n")
_OFF_FRR: Final = Lines("frr.conf", r"^ bgp graceful-restart-disable\n")


# --- daemons that die ------------------------------------------------------------------------------------------------


def keep_loaded(scene: Scene, node: str) -> None:
    """Make what was loaded into a node last its start-up files, as a deployment does: a daemon starts from those."""
    for loaded, start_up in (("/run/bird/reload.conf", "bird/bird.conf"), ("/run/frr/reload/frr.conf", "frr/frr.conf")):
        if scene.run(node, "test", "-e", loaded).exit_code == 0:
            scene.run(node, "tee", f"/etc/{start_up}", stdin=scene.run(node, "cat", loaded).stdout)


@contextmanager
def killed(scene: Scene, node: str) -> Iterator[None]:
    """Kill a node's routing daemon; it stays away for as long as the context lasts and then starts from its files."""
    with arm(scene.lab, scene.lab.plan, [Fault(FaultKind.KILL, node)]) as armed:
        armed.fire()
        wait_for("the daemon dies", lambda: _alive(scene, node), _LIMIT_S)
        keep_loaded(scene, node)
        yield


def _alive(scene: Scene, node: str) -> Iterator[str]:
    yield from (d.name for d in scene.lab.daemons(node) if d.running and d.name in {"bird", "bgpd"})


def down(scene: Scene, node: str, towards: str | None = None) -> Iterator[str]:
    """Yield the sessions of a node, with another one or with all, that are not established."""
    states = scene.sessions(node)
    for neighbor in scene.lab.plan.neighbors(node):
        if towards in {None, neighbor.remote.node} and states.get(str(neighbor.remote.address)) != "Established":
            yield f"{neighbor.session.name} at {node} is down"


def up(scene: Scene, node: str, towards: str) -> Iterator[str]:
    """Yield the sessions of a node with another one that are established."""
    dead = set(down(scene, node, towards))
    for neighbor in scene.lab.plan.neighbors(node):
        if neighbor.remote.node == towards and f"{neighbor.session.name} at {node} is down" not in dead:
            yield f"{neighbor.session.name} at {node} is up"


# --- graceful restart, on --------------------------------------------------------------------------------------------


_PROVIDER: Final = "provider-alpha"
ONE_UPLINK: Final = """
network: one-uplink
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
providers:
  alpha: {asn: 64496}
uplinks:
  one: {router: gw, provider: alpha}
"""


@dataclass(frozen=True, slots=True)
class DaemonRestart:
    """The daemon of our router is killed and started again, and packets are counted meanwhile."""

    families: tuple[int, ...]

    @property
    def harms(self) -> tuple[str, ...]:
        """Packets both ways, each family."""
        return tuple(
            f"IPv{family} packets {way} are lost"
            for family in self.families
            for way in ("out of the network", "into the network")
        )

    def hostile(self, plan: Plan, configs: Configs) -> Configs:
        """Let the provider announce something new when asked to: once it has arrived, all before it has been done."""
        markers = (Announcement("31.40.8.0/22"), Announcement("2a02:bb8::/32"))
        routes = (route for route in markers if route.family in self.families)
        return announce(plan, configs, _PROVIDER, "marker", routes)

    def attack(self, scene: Scene) -> Iterator[str]:
        """Kill the daemon, start it again, and wait until it has done everything that a start brings."""
        self._mark(scene, "disable")
        with Stream(scene, _USER, _BEYOND, self.families) as stream:
            since = stream.await_flow(_LIMIT_S)
            with killed(scene, scene.victim):
                stream.advance(_AWAY_PACKETS)
            wait_for("after the restart", lambda: down(scene, scene.victim), _LIMIT_S)
            wait_for("the provider drops what is stale", lambda: _still_helping(scene), _LIMIT_S)
            self._mark(scene, "enable")
            lost = stream.lost(since, stream.await_flow(_LIMIT_S))
        yield from (f"{lane} are lost" for lane, count in lost.items() if count)

    def _mark(self, scene: Scene, verb: str) -> None:
        for family in self.families:
            scene.bird(_PROVIDER, f"{verb} b_origin_marker{family}")
        wait_for(f"{verb} the marker", lambda: self._unmarked(scene, wanted=verb == "enable"), _LIMIT_S)

    def _unmarked(self, scene: Scene, *, wanted: bool) -> Iterator[str]:
        for family, prefix in ((4, "31.40.8.0/22"), (6, "2a02:bb8::/32")):
            if family in self.families:
                there = prefix in {str(one) for one in scene.kernel(scene.victim, family)}
                if there is not wanted:
                    yield f"{prefix} is {'not yet' if wanted else 'still'} in the kernel"


def _still_helping(scene: Scene) -> Iterator[str]:
    """Yield something until our End-of-RIB has come: a daemon that dies before that is not waited for (RFC 4724)."""
    if "Neighbor graceful restart active" in scene.bird(_PROVIDER, "show protocols all"):
        yield "the provider waits for our End-of-RIB"


def all_up(scene: Scene) -> Iterator[str]:
    """Yield what is down of the sessions of the router under attack."""
    return down(scene, scene.victim)


def _restart_scenario(
    name: str, families: tuple[int, ...], protection: str, frr: tuple[Lines, ...] | Unavailable
) -> Scenario:
    restart = DaemonRestart(families)
    intent = ONE_UPLINK.replace("provider: alpha}", "provider: alpha, graceful_restart: true}")
    return Scenario(
        name=name,
        group=Group.FAILURES,
        protection=protection,
        attack_title="the routing daemon is killed and starts again",
        sources=("RFC 4724",),
        intent=intent if len(families) > 1 else intent.replace(', "2001:db8:6400::/40"', ""),
        guard={Platform.FRR: frr, Platform.BIRD: _ON_BIRD},
        harms=restart.harms,
        attack=restart.attack,
        missing=all_up,
        hostile=restart.hostile,
        limit_s=_LIMIT_S,
        judged=3,  # FRR with both families loses packets in about half of the restarts
    )


# --- graceful restart, off -------------------------------------------------------------------------------------------


_TWO_UPLINKS: Final = """
network: two-uplinks
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
providers:
  alpha: {asn: 64496}
  beta: {asn: 64497}
uplinks:
  one: {router: gw, provider: alpha, rank: 1}
  two: {router: gw, provider: beta, rank: 2}
"""
_FAMILIES: Final = (4, 6)
_LOST_TO_DEAD: Final = "IPv{} packets go to the provider whose daemon is dead"
_STILL_SENT: Final = "alpha sends IPv{} packets to the router whose daemon is dead"
_RS_STALE: Final = "IPv{} routes of the route server stay"
_MEMBER_LOST: Final = "IPv{} packets to the member are lost"


def each_family(harm: str) -> tuple[str, ...]:
    """Return a harm in both families."""
    return tuple(harm.format(family) for family in _FAMILIES)


def unreachable(scene: Scene, target: str, harm: str) -> Iterator[str]:
    """Yield the harm for each family in which our user gets no echo from a host outside."""
    for family in _FAMILIES:
        source, far = (loopback(scene, node, family) for node in (_USER, target))
        if not echo_answers(scene, _USER, source, far, 2)[0]:
            yield harm.format(family)


def claims(_plan: Plan, configs: Configs) -> Configs:
    """Let the first provider claim what it does not do."""
    return rewrite(configs, [_PROVIDER], (_CLAIMS,))


def lose_provider(scene: Scene) -> tuple[str, ...]:
    """Kill the daemon of the better provider, which takes its kernel's routes along; see where packets go."""
    wait_for("before the daemon dies", lambda: all_up(scene), _LIMIT_S)
    with killed(scene, _PROVIDER):
        for family in _FAMILIES:
            scene.run(_PROVIDER, "ip", f"-{family}", "route", "flush", "proto", "bird")
        wait_for("the session ends", lambda: up(scene, scene.victim, _PROVIDER), _LIMIT_S)
        return persists(lambda: unreachable(scene, _BEYOND, _LOST_TO_DEAD))


def helps(_plan: Plan, configs: Configs) -> Configs:
    """Give the provider BIRD's own default."""
    return rewrite(configs, [_PROVIDER], (_HELPS,))


def lose_router(scene: Scene) -> tuple[str, ...]:
    """Kill the daemon of our own router; see whether its provider goes on sending."""
    wait_for("before the daemon dies", lambda: all_up(scene), _LIMIT_S)
    with killed(scene, scene.victim):
        wait_for("the session ends", lambda: up(scene, _PROVIDER, scene.victim), _LIMIT_S)
        return persists(lambda: _still_sent(scene))


def _still_sent(scene: Scene) -> Iterator[str]:
    ours = {str(prefix) for prefix in scene.lab.plan.network.prefixes}
    for family in _FAMILIES:
        if ours & {str(prefix) for prefix in scene.kernel(_PROVIDER, family)}:
            yield _STILL_SENT.format(family)


# --- route servers ---------------------------------------------------------------------------------------------------


_SERVER, _MEMBER = "rs-mlix-1", "member-mlix-1"
_EXCHANGE: Final = (
    ONE_UPLINK
    + """
exchanges:
  mlix:
    ports: [{router: gw, address: [203.0.113.10/24, "2001:db8:203::10/64"]}]
    route_servers:
      - {asn: 64503, address: [203.0.113.1, "2001:db8:203::1"], bfd: {interval: 100ms, multiplier: 3}}
"""
)


def of_member(scene: Scene, family: int) -> bool:
    """Say whether the router has a route from the route server to the member that is the example here."""
    asn = scene.lab.plan.nodes[_MEMBER].asn
    return any(asn in route.path for route in scene.told(scene.victim, _SERVER, family))


def untold(scene: Scene) -> Iterator[str]:
    """Yield what is missing while nothing is wrong: sessions, the member's routes, and the way to it."""
    yield from all_up(scene)
    yield from (f"no IPv{family} route to the member" for family in _FAMILIES if not of_member(scene, family))
    yield from unreachable(scene, f"{_MEMBER}-user", _MEMBER_LOST)


def told_still(scene: Scene) -> Iterator[str]:
    """Yield the families in which the route server's routes are still there."""
    yield from (_RS_STALE.format(family) for family in _FAMILIES if scene.told(scene.victim, _SERVER, family))


def withdraw(scene: Scene) -> tuple[str, ...]:
    """Let the route server lose the member and so withdraw its routes; see whether it is reached another way."""
    names = read_bird_protocols(scene.bird(_SERVER, "show protocols all"))
    members = [names[str(n.remote.address)] for n in scene.lab.plan.neighbors(_SERVER) if n.remote.node == _MEMBER]
    try:
        for name in members:
            scene.bird(_SERVER, f"disable {name}")
        wait_for("the routes go", lambda: (f"IPv{f}" for f in _FAMILIES if of_member(scene, f)), _LIMIT_S)
        return persists(lambda: unreachable(scene, f"{_MEMBER}-user", _MEMBER_LOST))
    finally:
        for name in members:
            scene.bird(_SERVER, f"enable {name}")


def disappear(scene: Scene) -> tuple[str, ...]:
    """Let every packet to and from the route server vanish while its cable looks alive."""
    wait_for("before the silence", lambda: (*untold(scene), *deaf(scene)), _LIMIT_S)
    with arm(scene.lab, scene.lab.plan, [Fault(FaultKind.SILENT, "port-mlix-rs-1")]) as armed:
        armed.fire()
        return persists(lambda: told_still(scene))


def without_bfd(plan: Plan) -> Plan:
    """Return the plan as it stands without our router's BFD: the lab must not wait for that before it is ready."""
    sessions = tuple(replace(s, ends=(replace(s.ends[0], bfd=None), s.ends[1])) for s in plan.sessions)
    return replace(plan, sessions=sessions, _neighbors=index_neighbors(sessions))


def deaf(scene: Scene) -> Iterator[str]:
    """Yield the neighbours that our router watches by BFD and does not hear yet."""
    speaker = Speaker(scene.lab, scene.victim)
    try:
        yield from (f"no BFD from {peer.address}" for peer in speaker.bfd_peers() if not peer.up)
    finally:
        speaker.close()


def claims_to_restart(_plan: Plan, configs: Configs) -> Configs:
    """Let the route server claim that its routes may be kept while it is away."""
    return rewrite(configs, [_SERVER], (_CLAIMS,))


def die(scene: Scene) -> tuple[str, ...]:
    """Kill the route server's daemon: it can say nothing any more, and never withdraws what it said."""
    wait_for("before the daemon dies", lambda: untold(scene), _LIMIT_S)
    with killed(scene, _SERVER):
        wait_for("the session ends", lambda: up(scene, scene.victim, _SERVER), _LIMIT_S)
        return persists(lambda: told_still(scene))


_OFF: Final = {Platform.FRR: (_OFF_FRR,), Platform.BIRD: (_OFF_BIRD,)}
_CANNOT: Final = Unavailable.on(Platform.FRR, "daemon-killed-restarted")

SCENARIOS: Final[tuple[Scenario, ...]] = (
    _restart_scenario(
        "daemon-killed-restarted", _FAMILIES, "graceful restart, stated, where forwarding survives it", _CANNOT
    ),
    _restart_scenario(
        "daemon-killed-restarted-ipv4", (4,), "graceful restart, stated, in a network of one family", _ON_FRR
    ),
    Scenario(
        name="no-stale-routes",
        group=Group.FAILURES,
        protection="no graceful restart unless stated: routes of a dead daemon go at once",
        attack_title="a provider that said it would forward on loses its daemon and its kernel's routes",
        sources=("RFC 4724 section 4.2",),
        intent=_TWO_UPLINKS,
        guard=_OFF,
        harms=each_family(_LOST_TO_DEAD),
        attack=lose_provider,
        missing=all_up,
        hostile=claims,
        limit_s=_LIMIT_S,
    ),
    Scenario(
        name="no-stale-routes-elsewhere",
        group=Group.FAILURES,
        protection="no promise to forward while the daemon is dead, unless stated: neighbours let go at once",
        attack_title="our routing daemon is killed and stays away, and a provider would help it",
        sources=("RFC 4724 section 4.1",),
        intent=ONE_UPLINK,
        # BIRD's own default promises nothing; the line that many guides show does.
        guard={**_OFF, Platform.BIRD: (replace(_OFF_BIRD, without="  graceful restart on;\n"),)},
        harms=each_family(_STILL_SENT),
        attack=lose_router,
        missing=all_up,
        hostile=helps,
        limit_s=_LIMIT_S,
    ),
    Scenario(
        name="route-server-withdraws",
        group=Group.FAILURES,
        protection="members of an exchange are reached through providers too, at once",
        attack_title="a route server withdraws the routes of a member",
        sources=("RFC 7947 section 2.2", "RFC 4271 section 9.1"),
        intent=_EXCHANGE,
        guard={
            Platform.FRR: (frr_term("accept", policy="import_one_ipv[46]"),),
            Platform.BIRD: (bird_term("accept", policy="import_one_ipv[46]"),),
        },
        harms=each_family(_MEMBER_LOST),
        attack=withdraw,
        missing=untold,
        limit_s=_LIMIT_S,
    ),
    Scenario(
        name="route-server-disappears",
        group=Group.FAILURES,
        protection="BFD with a route server that agrees to it",
        attack_title="a route server vanishes without a word while its cable looks alive",
        sources=("RFC 5880", "RFC 5882 section 4.3"),
        intent=_EXCHANGE,
        guard={
            Platform.FRR: (Lines("frr.conf", r"^ neighbor \S+ bfd(?: profile \S+)?\n"),),
            Platform.BIRD: (Lines("bird.conf", r"^  bfd \{\n(?:    [^\n]*\n)+  \};\n"),),
        },
        harms=each_family(_RS_STALE),
        attack=disappear,
        missing=untold,
        weakened=without_bfd,
        limit_s=_LIMIT_S,
    ),
    Scenario(
        name="route-server-daemon-dies",
        group=Group.FAILURES,
        protection="no graceful restart unless stated: routes of a dead route server go at once",
        attack_title="a route server that said it would come back loses its daemon",
        sources=("RFC 4724 section 4.2",),
        # Without BFD, which would end the session as well.
        intent=_EXCHANGE.replace(", bfd: {interval: 100ms, multiplier: 3}", ""),
        guard=_OFF,
        harms=each_family(_RS_STALE),
        attack=die,
        missing=untold,
        hostile=claims_to_restart,
        limit_s=_LIMIT_S,
    ),
)
