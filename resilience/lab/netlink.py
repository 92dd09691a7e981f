"""Messages to the Linux kernel: links, routes and nftables over netlink, built beforehand and sent without forking.

A fault has to act within a millisecond of being asked for, and a lab of 500 nodes is wired in a second: both want
many prepared messages in one system call. What is here is what labs need, no more (rtnetlink(7), netlink(7)).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

NETLINK_ROUTE: Final = 0
NETLINK_NETFILTER: Final = 12

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_LINK: Final = struct.Struct("=BxHiII")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")

_F_REQUEST, _F_ACK, _F_DUMP, _F_EXCL, _F_CREATE, _F_REPLACE = 0x1, 0x4, 0x300, 0x200, 0x400, 0x100
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWLINK, _RTM_GETLINK, _RTM_NEWROUTE, _RTM_GETROUTE = 16, 18, 24, 26
_IFF_UP = 0x1
_NESTED = 0x8000

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_BR_FORWARD_DELAY, _BR_STP_STATE, _BR_MCAST_SNOOPING = 1, 5, 23

_RECEIVE_BYTES: Final = 1 << 18

Message = tuple[int, int, bytes]
"""Kind, flags, body: everything but the sequence number."""


class NetlinkError(OSError):
    """The kernel refused a message; `errno` says why, `position` which one of the batch."""

    def __init__(self, code: int, position: int) -> None:
        super().__init__(code, os.strerror(code))
        self.position = position


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def nested(kind: int, *children: bytes) -> bytes:
    """Return an attribute that holds others."""
    return attribute(kind | _NESTED, b"".join(children))


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, payload) of each attribute in `data`."""
    position = 0
    while position + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < 4:
            return
        yield kind & 0x3FFF, data[position + 4 : position + length]
        position += (length + 3) & ~3


def _text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


class Netlink:
    """A netlink socket in the network namespace in which it was made; stays there for good."""

    def __init__(self, protocol: int = NETLINK_ROUTE, *, groups: int = 0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, groups))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the file descriptor, for pollers."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket; it may have held its namespace alive."""
        self._socket.close()

    def pack(self, messages: Iterable[Message]) -> tuple[bytes, dict[int, int]]:
        """Return the bytes of a batch, and the position of each sequence number that will be acknowledged."""
        parts: list[bytes] = []
        positions: dict[int, int] = {}
        for position, (kind, flags, body) in enumerate(messages):
            self._sequence += 1
            if flags & _F_ACK:
                positions[self._sequence] = position
            parts.append(_HEADER.pack(16 + len(body), kind, flags | _F_REQUEST, self._sequence, 0) + body)
        return b"".join(parts), positions

    def send(self, packed: bytes) -> None:
        """Hand a packed batch to the kernel; on return it has acted. The answers wait in the socket."""
        self._socket.send(packed)

    def collect(self, positions: dict[int, int], *, ignore: frozenset[int] = frozenset()) -> None:
        """Read the answers of a batch that was sent; NetlinkError for the first refusal not in `ignore`."""
        waiting = dict(positions)
        refused: NetlinkError | None = None
        while waiting:
            for kind, sequence, body in self._receive():
                if kind != _NLMSG_ERROR or sequence not in waiting:
                    continue
                position = waiting.pop(sequence)
                code = -int.from_bytes(body[:4], "little", signed=True)
                if code and code not in ignore and refused is None:
                    refused = NetlinkError(code, position)
        if refused is not None:
            raise refused

    def request(self, messages: Iterable[Message], *, ignore: frozenset[int] = frozenset()) -> None:
        """Send a batch and wait until the kernel acknowledged each message."""
        packed, positions = self.pack(messages)
        self.send(packed)
        self.collect(positions, ignore=ignore)

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """Yield the body of each answer to a dump request."""
        packed, _ = self.pack([(kind, _F_DUMP, body)])
        sequence = self._sequence
        self._socket.send(packed)
        while True:
            for answer, number, data in self._receive():
                if number != sequence:
                    continue
                if answer == _NLMSG_DONE:
                    return
                if answer == _NLMSG_ERROR:
                    raise NetlinkError(-int.from_bytes(data[:4], "little", signed=True), 0)
                yield data

    def drain(self) -> bool:
        """Throw away whatever notifications wait; True when there were some (or too many to hold)."""
        found = False
        while True:
            try:
                self._socket.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
            found = True

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        data = self._socket.recv(_RECEIVE_BYTES)
        position = 0
        while position + 16 <= len(data):
            length, kind, _, sequence, _ = _HEADER.unpack_from(data, position)
            yield kind, sequence, data[position + 16 : position + length]
            position += (length + 3) & ~3


# --- links -----------------------------------------------------------------------------------------------------------


def set_link(index: int, *, up: bool) -> Message:
    """Return the message that raises or takes down an interface; a veth's other end follows with its carrier."""
    return _RTM_NEWLINK, _F_ACK, _LINK.pack(0, 0, index, _IFF_UP if up else 0, _IFF_UP)


def enslave(index: int, bridge: int) -> Message:
    """Return the message that plugs an interface into a bridge."""
    return _RTM_NEWLINK, _F_ACK, _LINK.pack(0, 0, index, 0, 0) + _number(_IFLA_MASTER, bridge)


def new_bridge(name: str, index: int) -> Message:
    """Return the message that makes a bridge that forwards at once: no spanning tree, no snooping."""
    data = nested(
        _INFO_DATA,
        _number(_BR_FORWARD_DELAY, 0),
        _number(_BR_STP_STATE, 0),
        attribute(_BR_MCAST_SNOOPING, b"\0"),
    )
    body = _LINK.pack(0, 0, index, 0, 0) + _text(_IFLA_IFNAME, name)
    return _RTM_NEWLINK, _F_ACK | _F_CREATE | _F_EXCL, body + nested(_IFLA_LINKINFO, _text(_INFO_KIND, "bridge"), data)


class CableEnd:
    """One end of a veth pair: where it is born and what it is called there."""

    __slots__ = ("index", "mtu", "name", "namespace")

    def __init__(self, namespace: int, name: str, index: int, mtu: int) -> None:
        self.namespace = namespace
        self.name = name
        self.index = index
        self.mtu = mtu

    def pack(self) -> bytes:
        """Return the interface header and attributes of this end, in a namespace given by file descriptor."""
        return (
            _LINK.pack(0, 0, self.index, 0, 0)
            + _text(_IFLA_IFNAME, self.name)
            + _number(_IFLA_MTU, self.mtu)
            + attribute(_IFLA_ADDRESS, b"\x02\0" + struct.pack("!I", self.index))
            + _number(_IFLA_NET_NS_FD, self.namespace)
        )


def new_cable(near: CableEnd, far: CableEnd) -> Message:
    """Return the message that makes a veth pair with each end directly in its own namespace.

    The two ends get different interface numbers: with equal ones, tools take an end for its own peer.
    """
    peer = nested(_INFO_DATA, attribute(_VETH_PEER | _NESTED, far.pack()))
    info = nested(_IFLA_LINKINFO, _text(_INFO_KIND, "veth"), peer)
    return _RTM_NEWLINK, _F_ACK | _F_CREATE | _F_EXCL, near.pack() + info


def link_indexes(netlink: Netlink) -> dict[str, int]:
    """Return the number of each interface of a namespace, by name."""
    found: dict[str, int] = {}
    for body in netlink.dump(_RTM_GETLINK, _LINK.pack(0, 0, 0, 0, 0)):
        index = _LINK.unpack_from(body)[2]
        name = next((payload for kind, payload in attributes(body[16:]) if kind == _IFLA_IFNAME), b"")
        found[name.rstrip(b"\0").decode()] = index
    return found


# --- routes ----------------------------------------------------------------------------------------------------------

ROUTE_GROUPS: Final = (1 << 6) | (1 << 10)
"""Notifications of IPv4 and IPv6 routes (RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE)."""


def dump_routes(netlink: Netlink, family: int) -> Iterator[bytes]:
    """Yield the raw body of every route of an address family (socket.AF_INET or AF_INET6)."""
    return netlink.dump(_RTM_GETROUTE, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))


def replace_route(body: bytes) -> Message:
    """Return the message that makes a route what `body` says (a body as `dump_routes` yields it)."""
    return _RTM_NEWROUTE, _F_ACK | _F_CREATE | _F_REPLACE, body


# --- nftables --------------------------------------------------------------------------------------------------------

_NFT_SUBSYSTEM, _BATCH_BEGIN, _BATCH_END = 10, 16, 17
_NEWTABLE, _DELTABLE, _NEWCHAIN = 0, 2, 3
_NFPROTO_INET, _NFPROTO_NETDEV = 1, 5
_DROP = 0

HOOK_INGRESS: Final = 0
HOOK_EGRESS: Final = 1
_HOOK_FORWARD: Final = 2


def _nfgen(family: int) -> bytes:
    return struct.pack("!BBH", family, 0, 0)


def _batch(*messages: Message) -> tuple[Message, ...]:
    edge = struct.pack("!BBH", 0, 0, _NFT_SUBSYSTEM)
    return (_BATCH_BEGIN, 0, edge), *messages, (_BATCH_END, 0, edge)


def _nft(kind: int, flags: int, family: int, *parts: bytes) -> Message:
    return (_NFT_SUBSYSTEM << 8) | kind, flags | _F_ACK, _nfgen(family) + b"".join(parts)


def _drop_chain(family: int, table: str, name: str, hook: tuple[bytes, ...]) -> Message:
    """Return a base chain without rules whose policy drops: nothing cheaper can lose every packet."""
    return _nft(
        _NEWCHAIN,
        _F_CREATE,
        family,
        _text(1, table),
        _text(3, name),
        nested(4, *hook),
        attribute(5, struct.pack("!I", _DROP)),
        _text(7, "filter"),
    )


def drop_on_device(table: str, device: str, hooks: Iterable[int]) -> tuple[Message, ...]:
    """Return the batch that loses every frame, of any protocol, on an interface: what enters it, leaves it, or both."""
    chains = [
        _drop_chain(
            _NFPROTO_NETDEV,
            table,
            f"hook{hook}",
            (
                attribute(1, struct.pack("!I", hook)),
                attribute(2, struct.pack("!i", -500)),
                _text(3, device),
            ),
        )
        for hook in hooks
    ]
    return _batch(_nft(_NEWTABLE, _F_CREATE, _NFPROTO_NETDEV, _text(1, table)), *chains)


def drop_forwarded(table: str) -> tuple[Message, ...]:
    """Return the batch that loses every packet that a node would forward; its own stay."""
    hook = (attribute(1, struct.pack("!I", _HOOK_FORWARD)), attribute(2, struct.pack("!i", -500)))
    chain = _drop_chain(_NFPROTO_INET, table, "forward", hook)
    return _batch(_nft(_NEWTABLE, _F_CREATE, _NFPROTO_INET, _text(1, table)), chain)


def delete_table(table: str, *, device: bool) -> tuple[Message, ...]:
    """Return the batch that takes a table of faults away with all that is in it."""
    return _batch(_nft(_DELTABLE, 0, _NFPROTO_NETDEV if device else _NFPROTO_INET, _text(1, table)))
