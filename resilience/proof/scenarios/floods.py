"""Floods within polite bounds: what a router answers of them, and what stays up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from resilience.lab.daemons import Speaker
from resilience.model.network import Platform
from resilience.proof.guards import Lines
from resilience.proof.packets import (
    Knock,
    answered,
    echo_answers,
    icmp_errors,
    loopback,
    sessions_down,
    source_port,
    udp,
)
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene

_ONE_ROUTER: Final = """
network: guarded
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
providers:
  alpha: {asn: 64496}
uplinks:
  one: {router: gw, provider: alpha, bfd: {interval: 1s, multiplier: 5}}
"""

_FAMILIES: Final = (4, 6)
_PROTECT: Final = r"^  chain protect \{.*?^  \}\n"


def _flooded(answers: int, burst: int, rate_per_s: int, took_s: float) -> bool:
    """Tell whether more was answered than a limit lets through in that time, with a fifth of margin."""
    return answers > 1.2 * (burst + rate_per_s * took_s)


class Floods:
    """What the floods of a neighbour have in common."""

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield the neighbour's sessions that are not up, BFD's among them."""
        yield from sessions_down(scene)
        speaker = Speaker(scene.lab, "gw")
        try:
            peers = speaker.bfd_peers()
        finally:
            speaker.close()
        up = {peer.address for peer in peers if peer.up}
        for family in _FAMILIES:
            if str(scene.address("provider-alpha", "gw", family)) not in up:
                yield f"BFD with the provider over IPv{family} is not up"


class EchoFlood(Floods):
    """A few thousand echo requests at once. The methods are what a `Scenario` asks for."""

    harms = ("ICMP echoes are answered without limit", "ICMPv6 echoes are answered without limit")
    _COUNT = 3_000

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield which family is answered beyond the limit, and what falls by the flood."""
        for family, harm in zip(_FAMILIES, self.harms, strict=True):
            source, target = scene.address("provider-alpha", "gw", family), scene.address("gw", "alpha", family)
            answers, took_s = echo_answers(scene, "provider-alpha", source, target, self._COUNT)
            if _flooded(answers, 500, 1_000, took_s):
                yield harm
        yield from self.missing(scene)


class ConnectionFlood(Floods):
    """A neighbour opens hundreds of BGP connections at once. The methods are what a `Scenario` asks for."""

    harms = ("a flood of BGP connections over IPv4 is answered", "a flood of BGP connections over IPv6 is answered")
    _COUNT = 400

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield which family is answered beyond the limit, and what falls by the flood."""
        for family, harm in zip(_FAMILIES, self.harms, strict=True):
            source, target = scene.address("provider-alpha", "gw", family), scene.address("gw", "alpha", family)
            knocks = [Knock("provider-alpha", source, target, 179, source_port()) for _ in range(self._COUNT)]
            started = time.monotonic()
            answers = len(answered(scene, knocks))
            if _flooded(answers, 20, 5, time.monotonic() - started):
                yield harm
        yield from self.missing(scene)


class ExpiringFlood(Floods):
    """Hundreds of packets that expire at the router. The methods are what a `Scenario` asks for."""

    harms = ("expired IPv4 packets are answered without limit", "expired IPv6 packets are answered without limit")
    _COUNT = 600
    _BURST = 12
    """Twice what the kernel lets through at once; it then answers one a second."""

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield which family is answered beyond the limit, and what falls by the flood."""
        for family, harm in zip(_FAMILIES, self.harms, strict=True):
            source, gateway = scene.address("provider-alpha", "gw", family), scene.address("gw", "alpha", family)
            expiring = udp(source, loopback(scene, "user-gw", family), b"x", ttl=1)
            started = time.monotonic()
            answers = icmp_errors(scene, "provider-alpha", source, gateway, [expiring] * self._COUNT)
            if _flooded(answers, self._BURST, 1, time.monotonic() - started):
                yield harm
        yield from self.missing(scene)


class ClosedPorts(Floods):
    """Connections to ports on which nobody listens. The methods are what a `Scenario` asks for.

    By TCP, since the kernel refuses those however many there are; UDP's answers fall under its own limit of errors.
    """

    harms = ("closed ports are answered over IPv4", "closed ports are answered over IPv6")

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield which family tells strangers what is closed, and what falls by the flood."""
        for family, harm in zip(_FAMILIES, self.harms, strict=True):
            source, gateway = scene.address("provider-alpha", "gw", family), scene.address("gw", "alpha", family)
            knocks = [Knock("provider-alpha", source, gateway, port, source_port()) for port in range(33_000, 33_300)]
            if answered(scene, knocks):
                yield harm
        yield from self.missing(scene)


_ECHO_LIMIT: Final = (
    Lines(
        "nftables.conf", r"^(    meta l4proto \{ 1, 58 \}) limit rate [^\n]* accept\n[^\n]* counter drop$", r"\1 accept"
    ),
)
_OPENING_LIMIT: Final = (Lines("nftables.conf", r"^    tcp dport 179 tcp flags [^\n]*drop\n", within=_PROTECT),)

_ERROR_LIMIT: Final = (
    Lines("sysctl.conf", r"^(net\.ipv4\.icmp_ratelimit) = \d+$", r"\1 = 0"),
    Lines("sysctl.conf", r"^(net\.ipv6\.icmp\.ratelimit) = \d+$", r"\1 = 0"),
)
_SILENCE: Final = (
    Lines("nftables.conf", r"^    ct state established,related accept\n    counter drop\n", within=_PROTECT),
)

_ECHO_FLOOD: Final = EchoFlood()
_CONNECTION_FLOOD: Final = ConnectionFlood()
_EXPIRING_FLOOD: Final = ExpiringFlood()
_CLOSED_PORTS: Final = ClosedPorts()

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="icmp-flood",
        group=Group.PACKETS,
        protection="limit on ICMP and ICMPv6 to the router itself",
        attack_title="a neighbour sends thousands of echo requests at once",
        sources=("RFC 6192", "RFC 7454 section 4"),
        intent=_ONE_ROUTER,
        guard=dict.fromkeys(Platform, _ECHO_LIMIT),
        harms=_ECHO_FLOOD.harms,
        attack=_ECHO_FLOOD.attack,
        missing=_ECHO_FLOOD.missing,
    ),
    Scenario(
        name="bgp-connection-flood",
        group=Group.PACKETS,
        protection="limit on new BGP connections from each neighbour",
        attack_title="a neighbour opens hundreds of BGP connections at once",
        sources=("RFC 6192", "RFC 7454 section 4"),
        intent=_ONE_ROUTER,
        guard=dict.fromkeys(Platform, _OPENING_LIMIT),
        harms=_CONNECTION_FLOOD.harms,
        attack=_CONNECTION_FLOOD.attack,
        missing=_CONNECTION_FLOOD.missing,
    ),
    Scenario(
        name="expiring-flood",
        group=Group.PACKETS,
        protection="limit on ICMP errors to each address",
        attack_title="a neighbour sends hundreds of packets that expire at the router",
        sources=("RFC 1812 section 4.3.2.8", "RFC 4443 section 2.4", "RFC 6192"),
        intent=_ONE_ROUTER,
        guard=dict.fromkeys(Platform, _ERROR_LIMIT),
        harms=_EXPIRING_FLOOD.harms,
        attack=_EXPIRING_FLOOD.attack,
        missing=_EXPIRING_FLOOD.missing,
    ),
    Scenario(
        name="closed-ports",
        group=Group.PACKETS,
        protection="silence on whatever the router does not serve",
        attack_title="a neighbour looks for open ports among hundreds",
        sources=("RFC 6192", "RFC 7454 section 4"),
        intent=_ONE_ROUTER,
        guard=dict.fromkeys(Platform, _SILENCE),
        harms=_CLOSED_PORTS.harms,
        attack=_CLOSED_PORTS.attack,
        missing=_CLOSED_PORTS.missing,
    ),
)
