"""Strangers who speak to the router itself: logging in, opening sessions, joining its IGP."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from typing import Final

from resilience.errors import LabError
from resilience.lab.daemons import Speaker
from resilience.model.configs import Configs
from resilience.model.network import IPAddress, Platform
from resilience.model.plan import Plan
from resilience.proof.guards import Lines
from resilience.proof.packets import Knock, answered, listening, loopback, read_frames, sessions_down, source_port, wire
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene

_INSIDE: Final = """
network: guarded
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
sites: {here: {}}
routers:
  gw: {site: here, platform: PLATFORM}
  core: {platform: bird}
links:
  - {between: [gw, core]}
"""
_EXCHANGE: Final = """exchanges:
  lan:
    ports: [{router: gw}]
    peers: {college: {asn: 64510}}
"""
_STATIC_CUSTOMERS: Final = """customers:
  shop: {router: gw, prefixes: [198.51.100.64/29, "2001:db8:6400:64::/64"]}
  farm: {router: core, prefixes: [198.51.100.72/29, "2001:db8:6400:72::/64"]}
"""
_BGP_CUSTOMER: Final = """customers:
  bank: {asn: 64511, router: gw, prefixes: [192.0.2.128/25, "2001:db8:b000::/36"]}
"""
_PROVIDER: Final = """providers:
  alpha: {asn: 64496}
uplinks:
  one: {router: gw, provider: alpha}
"""
_ALONE: Final = """
network: guarded
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
"""

_FAMILIES: Final = (4, 6)
_PROTECT: Final = r"^  chain protect \{.*?^  \}\n"
_REST: Final = Lines("nftables.conf", r"^    ct state established,related accept\n    counter drop\n", within=_PROTECT)
"""What nothing else has accepted."""
_PEER: Final = "peer-lan-college"


def _add_address(scene: Scene, node: str, interface: str, address: str) -> None:
    scene.run(node, "ip", "address", "replace", address, "dev", interface, "nodad")


def _lead(scene: Scene, node: str, target: IPAddress, via: IPAddress) -> None:
    """Give a node a route to an address of the router, which nobody announces to it."""
    scene.run(node, "ip", "route", "replace", f"{target}/{target.max_prefixlen}", "via", str(via))


# --- logging in ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who tries to log in to the gateway."""

    name: str
    node: str
    towards: str
    """Whom its way to the gateway leads through; what the gateway's own interface there is called after."""
    near: str
    """The gateway's end of that way; empty: there is another router in between."""


VISITORS: Final = (
    Visitor("a customer", "customer-shop", "gw", "customer-shop"),
    Visitor("a customer of another router", "customer-farm", "core", ""),
    Visitor("a user", "user-here", "gw", "user-here"),
    Visitor("a provider", "provider-alpha", "gw", "alpha"),
    Visitor("a peer", _PEER, "lan", "lan"),
)
LOGIN_PORTS: Final = (22, 2605)
"""ssh, and the port on which FRR's bgpd would take commands."""


class LoggingIn:
    """Attempts to reach the router's own services. The methods are what a `Scenario` asks for."""

    harms = tuple(
        f"{visitor.name} is answered by port {port} of the {where} over IPv{family}"
        for visitor in VISITORS
        for where in (("port", "loopback") if visitor.near else ("loopback",))
        for port in LOGIN_PORTS
        for family in _FAMILIES
    )

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield who is answered."""
        tried = {self._knock(scene, v, where, port, f): (v, where, port, f) for v, where, port, f in self._attempts()}
        with listening(scene, "gw", [22]):
            for knock in answered(scene, list(tried)):
                visitor, where, port, family = tried[knock]
                yield f"{visitor.name} is answered by port {port} of the {where} over IPv{family}"

    @staticmethod
    def _attempts() -> Iterator[tuple[Visitor, str, int, int]]:
        for visitor, port, family in itertools.product(VISITORS, LOGIN_PORTS, _FAMILIES):
            if visitor.near:
                yield visitor, "port", port, family
            yield visitor, "loopback", port, family

    @staticmethod
    def _knock(scene: Scene, visitor: Visitor, where: str, port: int, family: int) -> Knock:
        # Circuits to customers are known to their own router only: who is farther away comes from its own prefix.
        source = (
            scene.address(visitor.node, visitor.towards, family)
            if visitor.near
            else loopback(scene, visitor.node, family)
        )
        target = loopback(scene, "gw", family)
        if where == "port":
            target = scene.address("gw", visitor.near, family)
        elif visitor.near in {"alpha", "lan"}:
            _lead(scene, visitor.node, target, scene.address("gw", visitor.near, family))
        return Knock(visitor.node, source, target, port, source_port())

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield which router of ours cannot log in: from its loopback, and from next door."""
        for family in _FAMILIES:
            gateway = loopback(scene, "gw", family)
            sources = (loopback(scene, "core", family), scene.address("core", "gw", family))
            knocks = [Knock("core", source, gateway, 22, source_port()) for source in sources]
            heard = answered(scene, knocks)
            yield from (f"{knock.source} of core cannot log in" for knock in knocks if knock not in heard)


# --- sessions with strangers -----------------------------------------------------------------------------------------


class Strangers:
    """Attempts to open BGP sessions by those who have none. The methods are what a `Scenario` asks for."""

    harms = tuple(
        f"{what} over IPv{family}"
        for what in (
            "port 179 answers a customer without a session",
            "port 179 answers a stranger on the exchange LAN",
            "port 22 answers a peer that speaks from port 179",
        )
        for family in _FAMILIES
    )

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield who is answered."""
        for family in _FAMILIES:
            target = scene.address("gw", "lan", family)
            stranger = self._stranger(scene, family)
            shop = scene.address("customer-shop", "gw", family)
            peer = scene.address(_PEER, "lan", family)
            tried = {
                Knock("customer-shop", shop, scene.address("gw", "customer-shop", family), 179, source_port()): 0,
                Knock(_PEER, stranger, target, 179, source_port()): 1,
                Knock(_PEER, peer, target, 22, 179): 2,
            }
            with listening(scene, "gw", [22]):
                found = {tried[knock] for knock in answered(scene, list(tried))}
            yield from (self.harms[2 * number + family // 6] for number in found)

    @staticmethod
    def _stranger(scene: Scene, family: int) -> IPAddress:
        """Give the peer an address of the LAN that has no session."""
        network = next(
            address.interface.network
            for address in scene.lab.plan.nodes["gw"].interface("ix-lan").addresses
            if address.ip.version == family
        )
        stranger = network[251]
        _add_address(scene, _PEER, "ix-lan", str(ip_interface(f"{stranger}/{network.prefixlen}")))
        return stranger

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield the sessions that are not up."""
        return sessions_down(scene)


# --- the IGP ---------------------------------------------------------------------------------------------------------

_INTRUDERS: Final = {
    "ix-lan": (_PEER, "ix-lan", "31.40.16.0/24", "2a02:bb8:16::/48"),
    "cu-bank": ("customer-bank", "up-gw", "31.40.17.0/24", "2a02:bb8:17::/48"),
}
"""The gateway's interface to who speaks OSPF there, on which of its interfaces, and what it injects."""
_HELLOS: Final = 3
_OSPF: Final = 89


class OspfIntruders:
    """A member of an exchange and a customer join our IGP. The methods are what a `Scenario` asks for."""

    harms = tuple(
        harm
        for interface, (_, _, *lies) in _INTRUDERS.items()
        for family, lie in zip(_FAMILIES, lies, strict=True)
        for harm in (f"OSPF for IPv{family} is adjacent over {interface}", f"{lie} is in the kernel")
    )

    def hostile(self, _plan: Plan, configs: Configs) -> Configs:
        """Let the intruders speak OSPF towards the gateway and inject a route each, per family."""
        changed = dict(configs)
        for node, interface, *lies in _INTRUDERS.values():
            text = "".join(
                f"protocol static b_lie{family} {{\n  ipv{family};\n  route {lie} blackhole;\n}}\n"
                f"protocol ospf {'v2' if family == 4 else 'v3'} b_intruder{family} {{\n"
                f'  ipv{family} {{ import none; export where proto = "b_lie{family}"; }};\n'
                f'  area 0 {{ interface "{interface}" {{ type ptp; hello 1; dead 10; }}; }};\n}}\n'
                for family, lie in zip(_FAMILIES, lies, strict=True)
            )
            changed[node] = tuple(
                replace(file, text=file.text + text) if file.path == "bird.conf" else file for file in configs[node]
            )
        return changed

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield the adjacencies and routes that stand."""
        adjacent = self._adjacent(scene)
        kernel = {str(prefix) for family in _FAMILIES for prefix in scene.kernel("gw", family)}
        for interface, (_, _, *lies) in _INTRUDERS.items():
            for family, lie in zip(_FAMILIES, lies, strict=True):
                if (family, interface) in adjacent:
                    yield f"OSPF for IPv{family} is adjacent over {interface}"
                if lie in kernel:
                    yield f"{lie} is in the kernel"

    @staticmethod
    def _adjacent(scene: Scene) -> frozenset[tuple[int, str]]:
        speaker = Speaker(scene.lab, "gw")
        try:
            return speaker.full_adjacencies()
        finally:
            speaker.close()

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield the adjacencies of our own that do not stand."""
        adjacent = self._adjacent(scene)
        yield from (
            f"OSPF for IPv{f} is not adjacent over ln-core" for f in _FAMILIES if (f, "ln-core") not in adjacent
        )

    def again(self, scene: Scene) -> None:
        """Let the intruders begin anew, and wait until the gateway's cables have carried several of their hellos."""
        with ExitStack() as stack:
            cables = []
            for interface, (node, *_) in _INTRUDERS.items():
                for family, ethertype, offset in ((4, 0x0800, 23), (6, 0x86DD, 20)):
                    cables.append((stack.enter_context(wire(scene, "gw", interface, ethertype)), offset, node))
                    scene.bird(node, f"restart b_intruder{family}")
            for ears, offset, node in cables:
                hellos = (frame for frame in read_frames(ears) if frame[offset] == _OSPF)
                if sum(1 for _ in itertools.islice(hellos, _HELLOS)) < _HELLOS:
                    raise LabError(f"{node} has stopped speaking OSPF")


_FRR_OSPF: Final = "".join(
    f" {family} area 0\n {family} network point-to-point\n {family} hello-interval 1\n {family} dead-interval 10\n"
    for family in ("ip ospf", "ipv6 ospf6")
)
_BIRD_OSPF: Final = "".join(
    f'    interface "{interface}" {{\n      type ptp;\n      hello 1;\n      dead 10;\n    }};\n'
    for interface in _INTRUDERS
)
_OSPF_FILTER: Final = Lines(
    "nftables.conf", r"^    iifname [^\n]*( meta l4proto 89 accept)$", r"   \1", within=_PROTECT
)
_LOGIN: Final = (Lines("nftables.conf", r"^    [^\n]*tcp dport 22 [^\n]*accept\n", within=_PROTECT), _REST)
_BGP_ONLY: Final = (Lines("nftables.conf", r"^    tcp [ds]port 179 [^\n]*accept\n", within=_PROTECT), _REST)

_LOGGING_IN: Final = LoggingIn()
_STRANGERS: Final = Strangers()
_INTRUSION: Final = OspfIntruders()

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="management-plane",
        group=Group.PACKETS,
        protection="locked management plane: only our own routers and `management:` may log in",
        attack_title="customers, users, providers and peers try to reach the router's own services",
        sources=("RFC 6192", "RFC 7454 section 4"),
        intent=_INSIDE + _PROVIDER + _EXCHANGE + _STATIC_CUSTOMERS,
        guard=dict.fromkeys(Platform, _LOGIN),
        harms=_LOGGING_IN.harms,
        attack=_LOGGING_IN.attack,
        missing=_LOGGING_IN.missing,
    ),
    Scenario(
        name="bgp-from-strangers",
        group=Group.PACKETS,
        protection="BGP's port open to configured neighbours only, each on its own interface",
        attack_title="strangers open BGP sessions, and a neighbour speaks to other ports from BGP's own",
        sources=("RFC 7454 section 4", "RFC 6192"),
        intent=_ALONE + _EXCHANGE + _STATIC_CUSTOMERS.partition("  farm")[0],
        guard=dict.fromkeys(Platform, _BGP_ONLY),
        harms=_STRANGERS.harms,
        attack=_STRANGERS.attack,
        missing=_STRANGERS.missing,
    ),
    Scenario(
        name="ospf-outside",
        group=Group.PACKETS,
        protection="OSPF on our own links only, in the daemon and in the packet filter",
        attack_title="a member of an exchange and a customer speak OSPF to us and inject routes",
        sources=("RFC 6192", "RFC 7454 section 4"),
        intent=_INSIDE + _EXCHANGE + _BGP_CUSTOMER,
        guard={
            Platform.FRR: (
                _OSPF_FILTER,
                Lines("frr.conf", r"^interface (?:ix-lan|cu-bank)\n description [^\n]*\n", rf"\g<0>{_FRR_OSPF}"),
            ),
            Platform.BIRD: (
                _OSPF_FILTER,
                Lines("bird.conf", r"^(  area 0 \{\n)((?:    [^\n]*\n)*)", rf"\1{_BIRD_OSPF}\2"),
            ),
        },
        harms=_INTRUSION.harms,
        attack=_INTRUSION.attack,
        missing=_INTRUSION.missing,
        hostile=_INTRUSION.hostile,
        again=_INTRUSION.again,
    ),
)
