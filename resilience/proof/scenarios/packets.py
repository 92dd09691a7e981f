"""Packets that should not pass: spoofed sources, and traffic for which we are nobody's provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.proof.guards import Lines
from resilience.proof.packets import Shot, arrivals, judge, loopback
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene

_ONE_ROUTER: Final = """
network: guarded
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
sites: {here: {}}
routers:
  gw: {site: here, platform: PLATFORM}
providers:
  alpha: {asn: 64496}
uplinks:
  one: {router: gw, provider: alpha}
"""
_TWO_ROUTERS: Final = _ONE_ROUTER.replace("routers:\n", "routers:\n  core: {platform: bird}\n") + (
    "links:\n  - {between: [gw, core]}\n"
)
_STATIC_CUSTOMER: Final = """customers:
  shop: {router: gw, prefixes: [198.51.100.64/29, "2001:db8:6400:64::/64"]}
"""
_BGP_CUSTOMER: Final = """customers:
  bank: {asn: 64511, router: gw, prefixes: [192.0.2.128/25, "2001:db8:b000::/36"]}
"""
_MULTIHOMED: Final = """customers:
  bank: {asn: 64511, routers: [gw, core], prefixes: [192.0.2.128/25, "2001:db8:b000::/36"]}
"""
_EXCHANGE: Final = """exchanges:
  lan:
    ports: [{router: gw}]
    peers: {college: {asn: 64510}}
"""

_STRANGER: Final = ("203.0.113.66", "2001:db8:bad::66")
"""Nobody has these, and no route leads there."""
_OURS: Final = ("198.51.100.200", "2001:db8:6400:77::1")
"""Inside our prefixes, and neither the customer's nor the user's."""
_LOOPBACK: Final = ("10.255.200.1", "2001:db8:64ff:ffff::200:1")
"""Where our routers' loopbacks come from."""
_LINK: Final = ("10.200.200.1", "2001:db8:64ff:200::1")
"""Where our links come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoofing:
    """Packets with foreign sources among legitimate ones. Its methods are what a `Scenario` asks for."""

    sender: str
    bad: Mapping[str, tuple[str, str]]
    """Whom the packets claim to come from: what they are called, and their address of each family."""
    listener: str = "internet-1"
    owner: str = ""
    """Whose addresses the sender may use; its own where empty."""

    @property
    def harms(self) -> tuple[str, ...]:
        """A packet from each source, in both families."""
        return tuple(self._harm(name, family) for name in self.bad for family in (4, 6))

    def _harm(self, name: str, family: int) -> str:
        return f"a packet from {name} reaches {self.listener} over IPv{family}"

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield what arrives and should not."""
        for family in (4, 6):
            bad = {
                name: Shot(self.sender, ip_address(pair[0 if family == 4 else 1]), self.listener)
                for name, pair in self.bad.items()
            }
            seen = judge(scene, tuple(bad.values()), (self._good(scene, family),))
            yield from (self._harm(name, family) for name, shot in bad.items() if shot in seen)

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield what does not arrive and should."""
        for family in (4, 6):
            good = self._good(scene, family)
            if good not in arrivals(scene, (), (good,)):
                yield f"a packet from {good.source} does not reach {self.listener}"

    def _good(self, scene: Scene, family: int) -> Shot:
        return Shot(self.sender, loopback(scene, self.owner or self.sender, family), self.listener)


@dataclass(frozen=True, slots=True)
class TransitTheft:
    """A member of an exchange sends us what is for the Internet. The methods are what a `Scenario` asks for."""

    thief: str = "peer-lan-college"
    """Has a route of its own making that leads to our port."""
    user: str = "peer-lan-college-user"
    stolen: str = "internet-1"
    ours: str = "user-here"

    harms = ("IPv4 leaves through our provider", "IPv6 leaves through our provider")

    def hostile(self, plan: Plan, configs: Configs) -> Configs:
        """Let the thief send what is for one network of the Internet to our port on the LAN."""
        gateway = plan.nodes["gw"].interface("ix-lan")
        text = ""
        for target in plan.nodes[self.stolen].loopbacks:
            via = gateway.address(target.ip.version)
            if via is not None:
                text += (
                    f"protocol static b_steal{target.ip.version} {{\n  ipv{target.ip.version};\n"
                    f"  route {target.interface.network} via {via.ip};\n}}\n"
                )
        files = (replace(f, text=f.text + text) if f.path == "bird.conf" else f for f in configs[self.thief])
        return {**configs, self.thief: tuple(files)}

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield what gets to the Internet through us."""
        for family in (4, 6):
            bad = Shot(self.user, loopback(scene, self.user, family), self.stolen)
            # The second good one goes the rest of the way that a stolen packet would have to go.
            good = (replace(bad, listener=self.ours), Shot(self.ours, loopback(scene, self.ours, family), self.stolen))
            if bad in judge(scene, (bad,), good):
                yield f"IPv{family} leaves through our provider"

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield what should arrive and does not, and whether the thief forwards by its own route yet."""
        for family in (4, 6):
            port = scene.address("gw", "lan", family)
            target = scene.lab.plan.nodes[self.stolen].loopback(family)
            route = scene.kernel(self.thief, family).get(target.interface.network) if target else None
            if route is None or [hop.gateway for hop in route.next_hops] != [port]:
                yield f"{self.thief} does not send IPv{family} for {self.stolen} to our port"
            good = (
                Shot(self.user, loopback(scene, self.user, family), self.ours),
                Shot(self.ours, loopback(scene, self.ours, family), self.stolen),
            )
            seen = arrivals(scene, (), good)
            yield from (f"a packet from {s.source} does not reach {s.listener}" for s in good if s not in seen)


def strict_filter(first: str) -> tuple[Lines, ...]:
    """Return what lets an interface's declared sources in and nothing else; `first` is one of them."""
    chain = rf"^  chain from_\d+ \{{\n(?:    [^\n]*\n)*?    ip saddr [^\n]*{first}[^\n]*\n(?:    [^\n]*\n)*  \}}\n"
    return (Lines("nftables.conf", r"^(?:    ip6? saddr [^\n]* return\n)+    counter drop\n", within=chain),)


_SHOP: Final = Spoofing(sender="customer-shop", bad={"a stranger": _STRANGER, "another customer": _OURS})
_BANK: Final = Spoofing(
    sender="customer-bank",
    owner="customer-bank-user",
    bad={"a stranger": _STRANGER, "ourselves": _OURS, "a router of ours": _LOOPBACK},
)
_MULTIHOMED_BANK: Final = replace(_BANK, bad={**_BANK.bad, "a link of ours": _LINK})
_USER: Final = Spoofing(sender="user-here", bad={"a stranger": _STRANGER, "a customer": _OURS})
_FROM_OUTSIDE: Final = {"our own prefix": _OURS, "a router of ours": _LOOPBACK, "a link of ours": _LINK}
_PROVIDER: Final = Spoofing(sender="provider-alpha", owner="internet-1", listener="user-here", bad=_FROM_OUTSIDE)
_PEER: Final = Spoofing(
    sender="peer-lan-college", owner="peer-lan-college-user", listener="user-here", bad=_FROM_OUTSIDE
)
_THEFT: Final = TransitTheft()

_BCP38: Final = ("BCP 38 (RFC 2827)", "BCP 84 (RFC 3704)", "MANRS action 2")
_OWN_SOURCES: Final = (Lines("nftables.conf", r"^    ip6? saddr @ours[46] counter drop\n"),)
_LOOSE: Final = (*_OWN_SOURCES, Lines("nftables.conf", r"^    fib saddr oif missing counter drop\n"))
_NO_TRANSIT: Final = (Lines("nftables.conf", r"^    iifname [^\n]* ip6? daddr != @reachable[46] counter drop\n"),)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="spoofing-static-customer",
        group=Group.PACKETS,
        protection="source filter for a customer without an AS: its declared prefixes only",
        attack_title="a customer's machine sends packets with foreign sources",
        sources=_BCP38,
        intent=_ONE_ROUTER + _STATIC_CUSTOMER,
        guard=dict.fromkeys(Platform, strict_filter(r"198\.51\.100\.64/29")),
        harms=_SHOP.harms,
        attack=_SHOP.attack,
        missing=_SHOP.missing,
    ),
    Scenario(
        name="spoofing-bgp-customer",
        group=Group.PACKETS,
        protection="source filter for a customer with an AS and one circuit: its declared prefixes only",
        attack_title="a customer network sends packets with foreign sources, our routers' own among them",
        sources=_BCP38,
        intent=_ONE_ROUTER + _BGP_CUSTOMER,
        guard=dict.fromkeys(Platform, strict_filter(r"192\.0\.2\.128/25")),
        harms=_BANK.harms,
        attack=_BANK.attack,
        missing=_BANK.missing,
    ),
    Scenario(
        name="spoofing-multihomed-customer",
        group=Group.PACKETS,
        protection="source filter for a customer with several circuits: any source that has a route and is not ours",
        attack_title="a multihomed customer sends packets with sources that nobody has, or that are ours",
        sources=("BCP 84 (RFC 3704, RFC 8704)", "MANRS action 2"),
        intent=_TWO_ROUTERS + _MULTIHOMED,
        guard=dict.fromkeys(Platform, _LOOSE),
        harms=_MULTIHOMED_BANK.harms,
        attack=_MULTIHOMED_BANK.attack,
        missing=_MULTIHOMED_BANK.missing,
        victims=("gw", "core"),
    ),
    Scenario(
        name="spoofing-user",
        group=Group.PACKETS,
        protection="source filter for our own users and servers: the host's addresses only",
        attack_title="a user at a site of ours sends packets with foreign sources",
        sources=_BCP38,
        intent=_ONE_ROUTER,
        guard=dict.fromkeys(Platform, strict_filter(r"198\.51\.100\.\d+/32")),
        harms=_USER.harms,
        attack=_USER.attack,
        missing=_USER.missing,
    ),
    Scenario(
        name="own-sources-from-provider",
        group=Group.PACKETS,
        protection="filter for our own sources in what comes from a provider",
        attack_title="packets arrive from a provider in the name of our own users and routers",
        sources=("BCP 84 (RFC 3704)", "RFC 6192"),
        intent=_ONE_ROUTER,
        guard=dict.fromkeys(Platform, _OWN_SOURCES),
        harms=_PROVIDER.harms,
        attack=_PROVIDER.attack,
        missing=_PROVIDER.missing,
    ),
    Scenario(
        name="own-sources-from-peer",
        group=Group.PACKETS,
        protection="filter for our own sources in what comes from an exchange LAN",
        attack_title="packets arrive from a peer in the name of our own users and routers",
        sources=("BCP 84 (RFC 3704)", "RFC 6192"),
        intent=_ONE_ROUTER + _EXCHANGE,
        guard=dict.fromkeys(Platform, _OWN_SOURCES),
        harms=_PEER.harms,
        attack=_PEER.attack,
        missing=_PEER.missing,
    ),
    Scenario(
        name="transit-theft",
        group=Group.PACKETS,
        protection="from an exchange LAN only packets for our own and our customers' prefixes",
        attack_title="a member of an exchange points a static route for the Internet at our port",
        sources=("rules of exchange points: no default route towards a member",),
        intent=_ONE_ROUTER + _EXCHANGE,
        guard=dict.fromkeys(Platform, _NO_TRANSIT),
        harms=_THEFT.harms,
        attack=_THEFT.attack,
        missing=_THEFT.missing,
        hostile=_THEFT.hostile,
    ),
)
