"""What a neighbour on the same LAN may make a router believe, and what the router must not say there."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from resilience.errors import LabError
from resilience.model.network import IPAddress, Platform
from resilience.proof.guards import Lines
from resilience.proof.packets import (
    ETH_ARP,
    arp_question,
    await_echo,
    packet,
    read_frames,
    redirect,
    router_advertisement,
    send_raw,
    sessions_down,
    udp,
    wire,
)
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene

_ON_A_LAN: Final = """
network: guarded
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: PLATFORM}
exchanges:
  lan:
    ports: [{router: gw}]
    peers: {college: {asn: 64510}}
"""
_PEER: Final = "peer-lan-college"
_USER: Final = "peer-lan-college-user"
_NOBODY: Final = itertools.count(1)
"""Numbers of hosts that are not there."""


def _lan(scene: Scene, family: int) -> tuple[IPAddress, IPAddress, int]:
    """Return the gateway's and the peer's address on the LAN, and the LAN's length."""
    near = scene.lab.plan.nodes["gw"].interface("ix-lan").address(family)
    if near is None:
        raise LabError(f"gw has no IPv{family} address on the LAN")
    return near.ip, scene.address(_PEER, "lan", family), near.interface.network.prefixlen


# --- ARP -------------------------------------------------------------------------------------------------------------


class ArpOnTheLan:
    """Questions on the LAN for the router's other addresses, and the router's own questions there.

    IPv6 has no such scenario: the kernel's neighbour discovery knows addresses of the interface itself only.
    """

    harms = (
        "the router answers ARP for its loopback",
        "the router asks ARP in the name of its loopback",
    )

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield what the router says on the LAN and should not."""
        loopback = scene.lab.plan.nodes["gw"].loopback(4)
        if loopback is None:
            raise LabError("gw has no IPv4 loopback")
        near, _, _ = _lan(scene, 4)
        answers = self._answers(scene, [loopback.ip, near], near)
        if near not in answers:
            raise LabError("the router does not answer ARP for its own address on the LAN")
        if loopback.ip in answers:
            yield self.harms[0]
        if loopback.ip == self._asker(scene, loopback.ip):
            yield self.harms[1]

    @staticmethod
    def _answers(scene: Scene, wanted: list[IPAddress], last: IPAddress) -> set[IPAddress]:
        """Ask for each address; return those that are answered up to the last one."""
        seen: set[IPAddress] = set()
        _, peer, _ = _lan(scene, 4)
        with wire(scene, _PEER, "ix-lan", ETH_ARP) as ears:
            mac = ears.getsockname()[4]
            for address in wanted:
                ears.send(arp_question(mac, peer, address))
            for frame in read_frames(ears):
                if frame[20:22] == b"\0\2":
                    seen.add(ip_address(frame[28:32]))
                if last in seen:
                    break
        return seen

    @staticmethod
    def _asker(scene: Scene, source: IPAddress) -> IPAddress | None:
        """Let the router send a packet from an address of its own to somebody on the LAN; return who asks for them."""
        near, _, length = _lan(scene, 4)
        first = int(near) & ~((1 << (32 - length)) - 1)
        # Each time somebody else: the kernel does not ask again at once for one who has not answered.
        nobody = ip_address(first + next(_NOBODY) % 200 + 20)
        with wire(scene, _PEER, "ix-lan", ETH_ARP) as ears:
            send_raw(scene, "gw", [udp(source, nobody, b"x")])
            for frame in read_frames(ears):
                if frame[20:22] == b"\0\1" and frame[38:42] == nobody.packed:
                    return ip_address(frame[28:32])
        return None

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield whether the router does not answer for its address on the LAN."""
        near, _, _ = _lan(scene, 4)
        if near not in self._answers(scene, [near], near):
            yield "the router does not answer ARP for its own address on the LAN"


# --- redirects and router advertisements -----------------------------------------------------------------------------


class Redirects:
    """ICMP redirects ("send that to me") in the name of a next hop, which anybody on the LAN can make up.

    IPv6 has no such scenario: a kernel that forwards IPv6 ignores redirects whatever its settings are.
    """

    harms = ("the router follows an ICMP redirect",)

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield whether packets for the peer's user go to where the attacker said."""
        near, peer, length = _lan(scene, 4)
        thief = ip_address(int(peer) ^ 1 if int(peer) ^ 1 != int(near) else int(peer) ^ 2)
        scene.run(_PEER, "ip", "address", "replace", f"{thief}/{length}", "dev", "ix-lan")
        # Each time another one: the kernel keeps an accepted redirect for minutes.
        user = self._user(scene) + (next(_NOBODY) % 200 + 1)
        # What is quoted is an answer of the router's, so that its kernel looks into its own routes.
        quoted = packet(near, user, socket.IPPROTO_ICMP, bytes(8))
        for _ in range(2):  # the first makes the kernel look for its new neighbour, the second finds it
            send_raw(scene, _PEER, [redirect(peer, near, thief, quoted)])
            await_echo(scene, _PEER, thief, near)
        route = json.loads(scene.run("gw", "ip", "-json", "route", "get", str(user)).stdout)
        if route[0].get("gateway") == str(thief):
            yield self.harms[0]

    @staticmethod
    def _user(scene: Scene) -> IPAddress:
        user = scene.lab.plan.nodes[_USER].loopback(4)
        if user is None:
            raise LabError(f"{_USER} has no IPv4 address")
        return user.ip

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield the sessions that are down, and whether the router has no route for a redirect to change."""
        yield from sessions_down(scene)
        if not any(self._user(scene) in prefix for prefix in scene.kernel("gw", 4)):
            yield f"gw has no route to {_USER}"


class RouterAdvertisements:
    """A member of the exchange advertises itself as the LAN's default router (RFC 4861).

    A kernel that forwards believes that only where an interface was told to, as images for clouds do: so here.
    """

    harms = ("the router takes a default route from an advertisement",)

    def attack(self, scene: Scene) -> Iterator[str]:
        """Yield whether the router has taken a default route."""
        near, peer, _ = _lan(scene, 6)
        links = json.loads(scene.run(_PEER, "ip", "-json", "-6", "address", "show", "dev", "ix-lan").stdout)
        local = next(entry["local"] for entry in links[0]["addr_info"] if entry.get("scope") == "link")
        # What was believed before is forgotten: the kernel itself keeps it for a while after its lifetime.
        scene.run("gw", "ip", "-6", "route", "flush", "proto", "ra")
        advertisement = router_advertisement(ip_address(local), near, lifetime_s=60)
        send_raw(scene, _PEER, [advertisement])
        await_echo(scene, _PEER, peer, near)
        if any(prefix.prefixlen == 0 for prefix in scene.kernel("gw", 6)):
            yield self.harms[0]

    def missing(self, scene: Scene) -> Iterator[str]:
        """Yield the sessions that are down."""
        return sessions_down(scene)


def _setting(key: str, value: int) -> Lines:
    """Return a setting of the kernel for all interfaces, present and to come, with its own default in its place."""
    return Lines("sysctl.conf", rf"^(net\.ipv4\.conf\.(?:all|default)\.{key}) = \d+$", rf"\1 = {value}")


_NO_REDIRECTS: Final = (
    Lines("nftables.conf", r"^    icmp type redirect counter drop\n"),
    _setting("accept_redirects", 1),
)
_NO_ADVERTISEMENTS: Final = (
    Lines("nftables.conf", r"^    icmpv6 type \{ nd-redirect, nd-router-advert \} counter drop\n"),
    Lines(
        "sysctl.conf",
        r"^net\.ipv6\.conf\.default\.accept_ra = 0$",
        "net.ipv6.conf.ix-lan.accept_ra = 2",
    ),
)
_OWN_ARP: Final = (_setting("arp_ignore", 0), _setting("arp_announce", 0))

_ARP: Final = ArpOnTheLan()
_REDIRECTS: Final = Redirects()
_ADVERTISEMENTS: Final = RouterAdvertisements()

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="arp-on-exchange",
        group=Group.PACKETS,
        protection="ARP on a LAN for the address that the router has there, and no other",
        attack_title="a member of an exchange asks for the router's loopback",
        sources=("RFC 1122 section 3.3.4.2", "rules of exchange points: no ARP for addresses off the LAN"),
        intent=_ON_A_LAN,
        guard=dict.fromkeys(Platform, _OWN_ARP),
        harms=_ARP.harms,
        attack=_ARP.attack,
        missing=_ARP.missing,
    ),
    Scenario(
        name="icmp-redirects",
        group=Group.PACKETS,
        protection="no redirects from neighbours, in the kernel and in the packet filter",
        attack_title="a member of an exchange redirects the router's packets to itself",
        sources=("RFC 1812 section 5.2.7.2", "RFC 6192"),
        intent=_ON_A_LAN,
        guard=dict.fromkeys(Platform, _NO_REDIRECTS),
        harms=_REDIRECTS.harms,
        attack=_REDIRECTS.attack,
        missing=_REDIRECTS.missing,
    ),
    Scenario(
        name="router-advertisements",
        group=Group.PACKETS,
        protection="no router advertisements from neighbours, whatever an interface's settings say",
        attack_title="a member of an exchange advertises itself as default router",
        sources=("RFC 6104", "RFC 6192"),
        intent=_ON_A_LAN,
        guard=dict.fromkeys(Platform, _NO_ADVERTISEMENTS),
        harms=_ADVERTISEMENTS.harms,
        attack=_ADVERTISEMENTS.attack,
        missing=_ADVERTISEMENTS.missing,
    ),
)
