"""A neighbour that says what no daemon would: BGP messages written by hand (RFC 4271, RFC 4760)."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import ip_network
from select import select
from typing import Final

from resilience.errors import LabError
from resilience.model.plan import SessionEnd
from resilience.proof.packets import open_socket
from resilience.proof.scene import POLL_S, Scene

_PORT: Final = 179
_OPEN, _UPDATE, _NOTIFICATION, _KEEPALIVE, _REFRESH = 1, 2, 3, 4, 5
_HEADER: Final = struct.Struct("!16sHB")
_MARKER: Final = b"\xff" * 16
_HOLD_S: Final = 180
"""Longer than any scenario, so that no keepalives need be sent."""
_AS_TRANS: Final = 23456
_WELL_KNOWN, _OPTIONAL = 0x40, 0x80
_ORIGIN, _AS_PATH, _NEXT_HOP, _MP_REACH = 1, 2, 3, 14
_SET, _SEQUENCE = 1, 2
_LIMIT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Update:
    """A route as it is put on the wire. `path` in order; `as_set` stands behind it without one."""

    prefix: str
    path: tuple[int, ...]
    as_set: tuple[int, ...] = ()


class HandSpeaker:
    """One end of a session, in the place of a node's own daemon."""

    def __init__(self, scene: Scene, node: str, towards: str, family: int) -> None:
        """Take the daemon's session down and open one in its stead.

        Raises:
            LabError: the other end does not take part.
        """
        neighbor = next(
            n for n in scene.lab.plan.neighbors(node) if n.remote.node == towards and n.session.family == family
        )
        self._local: SessionEnd = neighbor.local
        self._family = family
        self._said: list[Update] = []
        scene.bird(node, f"disable b_{neighbor.session.name.replace('-', '_')}")
        deadline = time.monotonic() + _LIMIT_S
        while True:
            try:
                self._socket = self._meet(scene, str(neighbor.remote.address))
            except (OSError, struct.error) as error:
                if time.monotonic() > deadline:
                    raise LabError(f"{towards} opens no IPv{family} session with {node}: {error}") from None
                time.sleep(POLL_S)
            else:
                return

    def _meet(self, scene: Scene, target: str) -> socket.socket:
        family = socket.AF_INET if self._family == 4 else socket.AF_INET6
        made = open_socket(scene, self._local.node, family, socket.SOCK_STREAM)
        try:
            made.bind((str(self._local.address), 0))
            made.connect((target, _PORT))
            made.sendall(_message(_OPEN, self._open()))
            _await(made, _OPEN)
            made.sendall(_message(_KEEPALIVE, b""))
            _await(made, _KEEPALIVE)
        except BaseException:
            made.close()
            raise
        return made

    def _open(self) -> bytes:
        """Offer the family, to say everything again (RFC 2918), and AS numbers of four bytes; nothing else."""
        multiprotocol = struct.pack("!BBHBB", 1, 4, 1 if self._family == 4 else 2, 0, 1)
        four_bytes = struct.pack("!BBI", 65, 4, self._local.asn)
        options = multiprotocol + struct.pack("!BB", 2, 0) + four_bytes
        asn = self._local.asn if self._local.asn < 1 << 16 else _AS_TRANS
        identifier = socket.inet_aton("10.255.255.254")
        head = struct.pack("!BHH4sB", 4, asn, _HOLD_S, identifier, len(options) + 2)
        return head + struct.pack("!BB", 2, len(options)) + options

    def listen(self) -> None:
        """Read what the other end has said by now, and say everything again where it asks for that."""
        while select([self._socket], [], [], 0)[0]:
            try:
                kind, _ = _receive(self._socket)
            except OSError:
                return
            if kind == _REFRESH:
                for update in self._said:
                    self._send(update)

    def announce(self, update: Update) -> None:
        """Announce a route."""
        self._said.append(update)
        self._send(update)

    def _send(self, update: Update) -> None:
        prefix = ip_network(update.prefix)
        reach = bytes([prefix.prefixlen]) + prefix.network_address.packed[: (prefix.prefixlen + 7) // 8]
        next_hop = self._local.address.packed
        attributes = _attribute(_WELL_KNOWN, _ORIGIN, b"\0") + _attribute(_WELL_KNOWN, _AS_PATH, _path(update))
        if self._family == 4:
            attributes += _attribute(_WELL_KNOWN, _NEXT_HOP, next_hop)
        else:
            head = struct.pack("!HBB", 2, 1, len(next_hop))
            attributes += _attribute(_OPTIONAL, _MP_REACH, head + next_hop + b"\0" + reach)
        rest = reach if self._family == 4 else b""
        self._socket.sendall(_message(_UPDATE, struct.pack("!HH", 0, len(attributes)) + attributes + rest))

    def close(self) -> None:
        """End the session."""
        self._socket.close()


def _message(kind: int, body: bytes) -> bytes:
    return _HEADER.pack(_MARKER, _HEADER.size + len(body), kind) + body


def _attribute(flags: int, kind: int, value: bytes) -> bytes:
    return struct.pack("!BBB", flags, kind, len(value)) + value


def _path(update: Update) -> bytes:
    return b"".join(
        struct.pack(f"!BB{len(numbers)}I", kind, len(numbers), *numbers)
        for kind, numbers in ((_SEQUENCE, update.path), (_SET, update.as_set))
        if numbers
    )


def _await(connection: socket.socket, wanted: int) -> None:
    """Read until a message of that kind; OSError when the other end refuses or goes away."""
    while True:
        kind, body = _receive(connection)
        if kind == wanted:
            return
        if kind == _NOTIFICATION:
            raise ConnectionError(f"NOTIFICATION {body[0]}/{body[1]}")


def _receive(connection: socket.socket) -> tuple[int, bytes]:
    _, length, kind = _HEADER.unpack(_read(connection, _HEADER.size))
    return kind, _read(connection, length - _HEADER.size)


def _read(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            raise ConnectionError("the connection was closed")
        found += part
    return found
