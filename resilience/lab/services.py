"""The services of a lab: every host's listeners, answered for real by one process with one loop.

Run by a lab's keeper as `python -m resilience.lab.services LISTENERS LIFELINE`; the file holds a list of
[namespace descriptor, kind, address, port, service, zone]. The descriptors are inherited. LIFELINE is one end of a pipe
whose other end the keeper holds: the services end with it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from resilience.lab.netns import set_namespace

_IP_FREEBIND: Final = 15
_IPV6_FREEBIND: Final = 78
_IDLE_S: Final = 30.0
_HEAD_LINES: Final = 100
_TTL_S: Final = 60


def open_socket(namespace: int, address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Return a bound socket inside a namespace. The address may come later: a host may start after its services."""
    set_namespace(namespace)
    version = ipaddress.ip_address(address).version
    found = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if version == 4:
        found.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    else:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    found.bind((address, port))
    found.settimeout(0)
    return found


class Echo(asyncio.DatagramProtocol):
    """Sends every datagram back to where it came from."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way out."""
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Answer with the same bytes."""
        self._transport.sendto(self.answer(data), addr)

    def error_received(self, exc: Exception) -> None:
        """Go on: an unreachable client is what drills are about."""

    def answer(self, data: bytes) -> bytes:
        """Return what to send back."""
        return data


class Zone(Echo):
    """An authoritative name server of one zone, over datagrams."""

    def __init__(self, zone: str, address: str) -> None:
        self._zone = dns.name.from_text(zone or "example.")
        self._address = address

    def answer(self, data: bytes) -> bytes:
        """Answer a question about the zone; refuse any other."""
        return answer_question(data, self._zone, self._address)


def answer_question(data: bytes, zone: dns.name.Name, address: str) -> bytes:
    """Return the wire form of an answer: the zone's start of authority, and our address for every name in it."""
    try:
        query = dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError):
        return data[:2] + b"\x80\x01" + b"\0" * 8
    response = dns.message.make_response(query)
    if not query.question or not query.question[0].name.is_subdomain(zone):
        response.set_rcode(dns.rcode.REFUSED)
        return response.to_wire()
    response.flags |= dns.flags.AA
    name, wanted = query.question[0].name, query.question[0].rdtype
    own = dns.rdatatype.A if ipaddress.ip_address(address).version == 4 else dns.rdatatype.AAAA
    authority = f"ns.{zone} hostmaster.{zone} 1 3600 600 86400 60"
    start = dns.rrset.from_text(zone, _TTL_S, dns.rdataclass.IN, dns.rdatatype.SOA, authority)
    if wanted == own:
        response.answer.append(dns.rrset.from_text(name, _TTL_S, dns.rdataclass.IN, own, address))
    elif wanted == dns.rdatatype.SOA and name == zone:
        response.answer.append(start)
    elif wanted == dns.rdatatype.NS and name == zone:
        response.answer.append(dns.rrset.from_text(zone, _TTL_S, dns.rdataclass.IN, wanted, f"ns.{zone}"))
    else:
        response.authority.append(start)
    return response.to_wire()


async def echo_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back whatever comes, until the client has finished."""
    while data := await asyncio.wait_for(reader.read(1 << 16), _IDLE_S):
        writer.write(data)
        await writer.drain()


async def serve_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: str) -> None:
    """Answer one HTTP request with a page that names the service."""
    request = await asyncio.wait_for(reader.readline(), _IDLE_S)
    for _ in range(_HEAD_LINES):
        if (await asyncio.wait_for(reader.readline(), _IDLE_S)) in {b"\r\n", b"\n", b""}:
            break
    body = f"<!doctype html><title>{service}</title><p>{service} is up.\n".encode()
    status = b"200 OK" if request.startswith((b"GET ", b"HEAD ")) else b"405 Method Not Allowed"
    head = b"HTTP/1.1 %b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    writer.write(head % (status, len(body)) + (b"" if request.startswith(b"HEAD ") else body))
    await writer.drain()


async def serve_zone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, zone: Zone) -> None:
    """Answer questions that come over a stream (RFC 7766)."""
    while True:
        size = await asyncio.wait_for(reader.readexactly(2), _IDLE_S)
        answer = zone.answer(await asyncio.wait_for(reader.readexactly(int.from_bytes(size, "big")), _IDLE_S))
        writer.write(len(answer).to_bytes(2, "big") + answer)
        await writer.drain()


async def listen(namespace: int, kind: str, address: str, port: int, service: str, zone: str) -> None:
    """Open one listener."""
    loop = asyncio.get_running_loop()
    names = Zone(zone, address)
    if kind in {"udp", "dns"}:
        sock = open_socket(namespace, address, port, socket.SOCK_DGRAM)
        await loop.create_datagram_endpoint(lambda: names if kind == "dns" else Echo(), sock=sock)
    if kind in {"tcp", "http", "dns"}:

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A client that vanishes, stalls or talks nonsense ends its own connection, nothing else.
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                match kind:
                    case "tcp":
                        await echo_stream(reader, writer)
                    case "http":
                        await serve_page(reader, writer, service)
                    case _:
                        await serve_zone(reader, writer, names)
            writer.close()

        sock = open_socket(namespace, address, port, socket.SOCK_STREAM)
        await asyncio.start_server(answer, sock=sock, backlog=256)


async def serve(listeners: list[list[Any]], lifeline: int) -> None:
    """Open every listener and answer for as long as the lab lives."""
    for listener in listeners:
        await listen(*listener)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(lifeline, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), int(sys.argv[2])))
