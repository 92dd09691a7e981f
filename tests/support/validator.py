"""An RPKI validator in 60 lines: says what its arguments (`PREFIX=AS`) authorise, in the RTR protocol (RFC 8210)."""

from __future__ import annotations

import socketserver
import struct
import sys
from ipaddress import IPv4Network

PORT = 3323
SESSION, SERIAL = 7, 1
SERIAL_QUERY, RESET_QUERY, CACHE_RESPONSE, IPV4_PREFIX, END_OF_DATA = 1, 2, 3, 4, 7
REFRESH_S, RETRY_S, EXPIRE_S = 3600, 600, 7200
ANNOUNCE = 1


def pdu(version: int, kind: int, session: int, body: bytes) -> bytes:
    """Return a message: version, kind, session, length, body."""
    return struct.pack("!BBHL", version, kind, session, 8 + len(body)) + body


def payload(version: int, prefix: IPv4Network, asn: int) -> bytes:
    """Say that an AS may originate exactly this prefix."""
    lengths = struct.pack("!BBBB", ANNOUNCE, prefix.prefixlen, prefix.prefixlen, 0)
    return pdu(version, IPV4_PREFIX, 0, lengths + prefix.network_address.packed + struct.pack("!L", asn))


def end_of_data(version: int) -> bytes:
    """End an answer; version 0 knows no timers."""
    timers = struct.pack("!LLL", REFRESH_S, RETRY_S, EXPIRE_S) if version else b""
    return pdu(version, END_OF_DATA, SESSION, struct.pack("!L", SERIAL) + timers)


class Router(socketserver.StreamRequestHandler):
    """One router that asks."""

    def handle(self) -> None:
        """Answer whatever it asks until it leaves."""
        while len(header := self.rfile.read(8)) == 8:
            version, kind, _, length = struct.unpack("!BBHL", header)
            self.rfile.read(length - 8)
            told = b""
            if kind == RESET_QUERY:
                told = b"".join(payload(version, prefix, asn) for prefix, asn in AUTHORISED)
            if kind in {RESET_QUERY, SERIAL_QUERY}:
                self.wfile.write(pdu(version, CACHE_RESPONSE, SESSION, b"") + told + end_of_data(version))


class Validator(socketserver.ThreadingTCPServer):
    """Listens for routers."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    pairs = [text.partition("=") for text in sys.argv[1:]]
    AUTHORISED = [(IPv4Network(prefix), int(asn)) for prefix, _, asn in pairs]
    with Validator(("", PORT), Router) as server:
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        server.serve_forever()
