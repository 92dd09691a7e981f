"""Packets made by hand, sent and seen inside the nodes of a lab.

Sockets live in the nodes' network namespaces, the code does not: no program runs there, and nothing leaves the lab.
Whatever is counted is followed by a legitimate packet on the same path. Once that one has arrived, so has all that
was sent before it and was let through.
"""

from __future__ import annotations

import itertools
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from resilience.errors import LabError
from resilience.lab.netns import socket_in
from resilience.model.network import IPAddress
from resilience.proof.scene import Scene

PATIENCE_S: Final = 2.0
"""How long a legitimate packet or its answer may take; what waits for it is then asked again."""
TRIES: Final = 10
"""How often."""
PORT: Final = 40_000
"""Where the Internet's side listens."""
_COPIES: Final = 3
_LARGEST: Final = 65_535
_RECEIVE_BUFFER_FORCE: Final = 33
"""SO_RCVBUFFORCE of socket(7), which Python does not name: a flood's answers must not be lost while it is sent."""
_BUFFER_BYTES: Final = 1 << 24
_ETH_IP: Final = 0x0800
ETH_ARP: Final = 0x0806
_ECHO: Final = {4: (8, 0), 6: (128, 129)}
_ICMP: Final = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
_FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_SYN: Final = 0x02
_ICMP_ERRORS: Final = {4: (3, 11), 6: (1, 3)}
"""Unreachable, and time exceeded."""
_source_ports: Final = itertools.count()


# --- bytes -----------------------------------------------------------------------------------------------------------


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def packet(source: IPAddress, target: IPAddress, protocol: int, payload: bytes, *, ttl: int = 64) -> bytes:
    """Return a whole IP packet with any source address."""
    if source.version == 6:
        head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, ttl)
        return head + source.packed + target.packed + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, ttl, protocol, 0) + source.packed + target.packed
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def _sealed(source: IPAddress, target: IPAddress, protocol: int, message: bytes, at: int) -> bytes:
    """Return a message with its checksum over the pseudo header put in at an offset."""
    pseudo = source.packed + target.packed + struct.pack("!IHBB", len(message), 0, 0, protocol)
    return message[:at] + struct.pack("!H", checksum(pseudo + message)) + message[at + 2 :]


def udp(source: IPAddress, target: IPAddress, data: bytes, *, port: int = PORT, ttl: int = 64) -> bytes:
    """Return a UDP packet."""
    message = struct.pack("!HHHH", PORT, port, 8 + len(data), 0) + data
    sealed = _sealed(source, target, socket.IPPROTO_UDP, message, 6)
    return packet(source, target, socket.IPPROTO_UDP, sealed, ttl=ttl)


def tcp_syn(source: IPAddress, target: IPAddress, source_port: int, port: int) -> bytes:
    """Return the first packet of a TCP connection, as a direct neighbour sends it (TTL 255)."""
    message = struct.pack("!HHIIBBHHH", source_port, port, source_port, 0, 5 << 4, _SYN, 8192, 0, 0)
    return packet(source, target, socket.IPPROTO_TCP, _sealed(source, target, socket.IPPROTO_TCP, message, 16), ttl=255)


def redirect(router: IPAddress, target: IPAddress, better: IPAddress, quoted: bytes) -> bytes:
    """Return an ICMP redirect (RFC 792): "send what you quote here to `better`", in the name of `router`."""
    message = struct.pack("!BBH", 5, 1, 0) + better.packed + quoted[:28]
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return packet(router, target, socket.IPPROTO_ICMP, message)


def router_advertisement(router: IPAddress, target: IPAddress, *, lifetime_s: int) -> bytes:
    """Return "I am a default router" (RFC 4861 section 4.2), from a link-local address."""
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime_s, 0, 0)
    sealed = _sealed(router, target, socket.IPPROTO_ICMPV6, message, 2)
    return packet(router, target, socket.IPPROTO_ICMPV6, sealed, ttl=255)


def arp_question(asker_mac: bytes, asker: IPAddress, wanted: IPAddress) -> bytes:
    """Return a whole Ethernet frame: who has this address (RFC 826)?"""
    head = b"\xff" * 6 + asker_mac + struct.pack("!HHHBBH", ETH_ARP, 1, _ETH_IP, 6, 4, 1)
    return head + asker_mac + asker.packed + bytes(6) + wanted.packed


# --- sockets in nodes ------------------------------------------------------------------------------------------------


def open_socket(scene: Scene, node: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Return a socket that lives in a node; it never waits longer than it must for a legitimate packet."""
    made = socket_in(scene.lab.namespace(node), family, kind, protocol)
    made.settimeout(PATIENCE_S)
    return made


def send_raw(scene: Scene, node: str, packets: Iterable[bytes]) -> None:
    """Send whole IP packets from a node as they are, towards whatever target they name."""
    with ExitStack() as stack:
        senders = {
            version: stack.enter_context(open_socket(scene, node, family, socket.SOCK_RAW, socket.IPPROTO_RAW))
            for version, family in _FAMILY.items()
        }
        for one in packets:
            version = one[0] >> 4
            target = ip_address(one[16:20] if version == 4 else one[24:40])
            senders[version].sendto(one, (str(target), 0))


def source_port() -> int:
    """Return a port that no earlier attempt came from: neither end may remember it."""
    return 20_000 + next(_source_ports) % 20_000


def sessions_down(scene: Scene) -> Iterator[str]:
    """Yield the BGP sessions of the router under attack that are not up."""
    for address, state in scene.sessions(scene.victim).items():
        if state != "Established":
            yield f"the session with {address} is {state}"


@contextmanager
def listening(scene: Scene, node: str, ports: Iterable[int]) -> Iterator[None]:
    """Let TCP listeners of both families stand in a node for a while, as a program that an operator forgot would."""
    with ExitStack() as stack:
        for port in ports:
            listener = stack.enter_context(open_socket(scene, node, socket.AF_INET6, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("::", port))
            listener.listen(64)
        yield


def loopback(scene: Scene, node: str, family: int) -> IPAddress:
    """Return a node's first loopback address of a family; KeyError where it has none."""
    found = scene.lab.plan.nodes[node].loopback(family)
    if found is None:
        raise KeyError(f"{node} has no IPv{family} loopback")
    return found.ip


# --- one-way packets -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shot:
    """A packet from a node towards the loopback address of another, with any source."""

    sender: str
    source: IPAddress
    listener: str


def arrivals(scene: Scene, bad: Sequence[Shot], good: Sequence[Shot]) -> set[Shot]:
    """Send packets, then legitimate ones one after the other; return which of them arrive.

    A bad packet would have to travel before a good one, so choose the good ones such that they close its path.
    """
    with ExitStack() as stack:
        inboxes = {place: _inbox(scene, stack, *place) for place in dict.fromkeys(map(_place, (*bad, *good)))}
        shots = (*bad, *good)
        seen: set[Shot] = set()
        for number, shot in enumerate(shots):
            target = loopback(scene, shot.listener, shot.source.version)
            send_raw(scene, shot.sender, [udp(shot.source, target, struct.pack("!I", number))] * _COPIES)
            if shot in good:
                _read_until_seen(inboxes[_place(shot)], shots, shot, seen)
        for inbox in inboxes.values():
            inbox.settimeout(0)
            _read_until_seen(inbox, shots, None, seen)
    return seen


def judge(scene: Scene, bad: Sequence[Shot], good: Sequence[Shot]) -> set[Shot]:
    """Return which of the bad ones arrive.

    Raises:
        LabError: the good ones do not, so that nothing can be said of the others.
    """
    for _ in range(TRIES):
        seen = arrivals(scene, bad, good)
        if seen.issuperset(good):
            return seen.difference(good)
    raise LabError(f"legitimate packets from {good[0].sender} to {good[0].listener} do not arrive")


def _place(shot: Shot) -> tuple[str, int]:
    return shot.listener, shot.source.version


def _inbox(scene: Scene, stack: ExitStack, node: str, family: int) -> socket.socket:
    inbox = stack.enter_context(open_socket(scene, node, _FAMILY[family], socket.SOCK_DGRAM))
    inbox.bind((str(loopback(scene, node, family)), PORT))
    return inbox


def _read_until_seen(inbox: socket.socket, shots: Sequence[Shot], last: Shot | None, seen: set[Shot]) -> None:
    try:
        while last is None or last not in seen:
            (number,) = struct.unpack("!I", inbox.recv(_LARGEST))
            seen.add(shots[number])
    except (TimeoutError, BlockingIOError):
        return


# --- connections -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Knock:
    """The first packet of a TCP connection to a router. `source` is one of the node's own addresses."""

    node: str
    source: IPAddress
    target: IPAddress
    port: int
    source_port: int


def answered(scene: Scene, knocks: Sequence[Knock]) -> set[Knock]:
    """Knock; return what is answered, be it with a connection or with a refusal.

    An echo from the same source to the same target follows: once it is answered, silence is known to be silence.
    """
    found: set[Knock] = set()
    for node, family in dict.fromkeys((knock.node, knock.target.version) for knock in knocks):
        mine = [knock for knock in knocks if (knock.node, knock.target.version) == (node, family)]
        with open_socket(scene, node, _FAMILY[family], socket.SOCK_RAW, socket.IPPROTO_TCP) as ears:
            ears.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, _BUFFER_BYTES)
            ears.settimeout(0)
            send_raw(scene, node, (tcp_syn(k.source, k.target, k.source_port, k.port) for k in mine))
            for source, target in dict.fromkeys((knock.source, knock.target) for knock in mine):
                await_echo(scene, node, source, target)
            heard = set(_heard(ears, family))
        found |= {knock for knock in mine if (knock.target, knock.port, knock.source_port) in heard}
    return found


def _heard(ears: socket.socket, family: int) -> Iterator[tuple[IPAddress, int, int]]:
    """Yield (sender, its port, our port) of each TCP packet that has come."""
    try:
        while True:
            data, (sender, *_) = ears.recvfrom(_LARGEST)
            head = data[20:24] if family == 4 else data[:4]
            yield ip_address(sender), *struct.unpack("!HH", head)
    except BlockingIOError:
        return


# --- echoes ----------------------------------------------------------------------------------------------------------


def await_echo(scene: Scene, node: str, source: IPAddress, target: IPAddress) -> None:
    """Send echo requests until one is answered: a limit may be used up for a moment.

    Raises:
        LabError: none is.
    """
    if not any(echo_answers(scene, node, source, target, 1)[0] for _ in range(TRIES)):
        raise LabError(f"{target} does not answer an echo request of {node} from {source}")


def echo_answers(scene: Scene, node: str, source: IPAddress, target: IPAddress, count: int) -> tuple[int, float]:
    """Send echo requests as fast as they go; return how many are answered, and how many seconds all took.

    Answers are awaited until the last one has come, or none for a while.
    """
    family = target.version
    request, reply = _ECHO[family]
    with open_socket(scene, node, _FAMILY[family], socket.SOCK_RAW, _ICMP[family]) as both:
        both.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, _BUFFER_BYTES)
        both.bind((str(source), 0))
        both.settimeout(PATIENCE_S if count == 1 else 0.5)
        started = time.monotonic()
        mark = time.monotonic_ns() & 0xFFFF
        for number in range(count):
            message = struct.pack("!BBHHH", request, 0, 0, mark, number)
            sealed = message[:2] + struct.pack("!H", checksum(message)) + message[4:] if family == 4 else message
            both.sendto(sealed, (str(target), 0))
        seen: set[int] = set()
        last = started
        try:
            while len(seen) < count:
                got = both.recv(_LARGEST)
                kind, _, _, whose, number = struct.unpack("!BBHHH", got[20:28] if family == 4 else got[:8])
                if (kind, whose) == (reply, mark):
                    seen.add(number)
                    last = time.monotonic()
        except TimeoutError:
            pass
    return len(seen), last - started


def icmp_errors(scene: Scene, node: str, source: IPAddress, target: IPAddress, packets: Iterable[bytes]) -> int:
    """Send packets of a node; return how many are answered by an ICMP error before the router answers an echo."""
    family = target.version
    count = 0
    with open_socket(scene, node, _FAMILY[family], socket.SOCK_RAW, _ICMP[family]) as ears:
        ears.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, _BUFFER_BYTES)
        ears.settimeout(0)
        send_raw(scene, node, packets)
        await_echo(scene, node, source, target)
        for got in read_frames(ears):
            count += got[20 if family == 4 else 0] in _ICMP_ERRORS[family]
    return count


# --- frames ----------------------------------------------------------------------------------------------------------


@contextmanager
def wire(scene: Scene, node: str, interface: str, kind: int) -> Iterator[socket.socket]:
    """Open an Ethernet socket on a node's interface, for frames of one kind."""
    with open_socket(scene, node, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind)) as ears:
        ears.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, _BUFFER_BYTES)
        ears.bind((interface, kind))
        yield ears


def read_frames(ears: socket.socket) -> Iterator[bytes]:
    """Yield frames until none comes for a while."""
    try:
        while True:
            yield ears.recv(_LARGEST)
    except (TimeoutError, BlockingIOError):
        return
