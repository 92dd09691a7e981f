"""What a kernel announces by itself (rtnetlink(7)): carrier, routes and neighbours that change, in words."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network

from resilience.drill.daemon_events import PREFIX, Step
from resilience.lab.netlink import attributes
from resilience.model.network import IPAddress
from resilience.model.plan import FLOATING_TABLE, MAIN_TABLE

GROUPS = 0x1 | 0x4 | 0x40 | 0x400
"""RTMGRP_LINK, RTMGRP_NEIGH, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE."""

_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_LINK = struct.Struct("=BxHiII")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_HOP = struct.Struct("=HBBi")
_NEWLINK, _DELLINK, _NEWROUTE, _DELROUTE, _NEWNEIGH = 16, 17, 24, 25, 28
_DST, _OIF, _GATEWAY, _MULTIPATH, _TABLE, _VIA = 1, 4, 5, 9, 15, 18
_IFNAME = 3
_IFF_LOWER_UP = 0x10000
_CLONED = 0x200
_FAILED = 0x20
_KINDS = {1: "", 6: "discarded", 7: "unreachable", 8: "prohibited"}
_TABLES = {MAIN_TABLE: "", FLOATING_TABLE: " in the floating table"}


def read_messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, body) of each message of a datagram."""
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, position)
        if length < _HEADER.size:
            return
        yield kind, data[position + _HEADER.size : position + length]
        position += (length + 3) & ~3


def is_route_change(data: bytes) -> bool:
    """Say whether a datagram begins with a route: enough to know that the control plane is still at work."""
    return len(data) >= _HEADER.size and _HEADER.unpack_from(data)[1] in {_NEWROUTE, _DELROUTE}


def tell_message(kind: int, body: bytes, names: Mapping[int, str]) -> Step | None:
    """Return a message in words; None for what nobody needs to read."""
    if kind in {_NEWROUTE, _DELROUTE}:
        return _tell_route(kind, body, names)
    if kind in {_NEWLINK, _DELLINK}:
        return _tell_link(kind, body)
    if kind == _NEWNEIGH:
        return _tell_neighbour(body, names)
    return None


def _tell_link(kind: int, body: bytes) -> Step | None:
    flags = _LINK.unpack_from(body)[3]
    raw = next((payload for number, payload in attributes(body[_LINK.size :]) if number == _IFNAME), b"")
    name = raw.rstrip(b"\0").decode(errors="replace")
    if not name:
        return None
    if kind == _DELLINK:
        return Step(f"{name} is gone")
    return Step(f"{name} {'has carrier' if flags & _IFF_LOWER_UP else 'lost carrier'}")


def _tell_neighbour(body: bytes, names: Mapping[int, str]) -> Step | None:
    _family, index, state, _flags, _kind = _NEIGHBOUR.unpack_from(body)
    raw = next((payload for number, payload in attributes(body[_NEIGHBOUR.size :]) if number == _DST), b"")
    if not state & _FAILED or len(raw) not in {4, 16}:
        return None
    name = names.get(index, str(index))
    return Step(f"neighbour {ip_address(raw)} on {name} does not answer")


def _tell_route(kind: int, body: bytes, names: Mapping[int, str]) -> Step | None:
    family, length, _source, _tos, short_table, _protocol, _scope, route_kind, flags = _ROUTE.unpack_from(body)
    parts = dict(attributes(body[_ROUTE.size :]))
    table = int.from_bytes(parts[_TABLE], "little") if _TABLE in parts else short_table
    if flags & _CLONED or route_kind not in _KINDS or table not in _TABLES:
        return None
    prefix = ip_network((parts.get(_DST, bytes(4 if family == socket.AF_INET else 16)), length), strict=False)
    where = f"route {PREFIX}{_TABLES[table]}"
    ways = ", ".join(_ways(parts, names)) or _KINDS[route_kind]
    if kind == _DELROUTE:
        return Step(f"{where} {f'through {ways} ' if ways else ''}removed", prefix)
    return Step(f"{where} now {f'through {ways}' if ways not in _KINDS.values() else ways}", prefix)


def _ways(parts: Mapping[int, bytes], names: Mapping[int, str]) -> Iterator[str]:
    if _OIF in parts:
        yield _way(parts, int.from_bytes(parts[_OIF], "little"), names)
    data = parts.get(_MULTIPATH, b"")
    while len(data) >= _HOP.size:
        length, _flags, _weight, index = _HOP.unpack_from(data)
        if length < _HOP.size:
            return
        yield _way(dict(attributes(data[_HOP.size : length])), index, names)
        data = data[(length + 3) & ~3 :]


def _way(parts: Mapping[int, bytes], index: int, names: Mapping[int, str]) -> str:
    name = names.get(index, str(index))
    raw = parts.get(_GATEWAY) or parts.get(_VIA, b"")[2:]
    return f"{name} ({_show(raw)})" if raw else name


def _show(raw: bytes) -> IPAddress | str:
    return ip_address(raw) if len(raw) in {4, 16} else "?"
