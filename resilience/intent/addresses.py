"""The addresses of the language: hosts, interfaces and prefixes, each told from the others by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, ip_address, ip_interface, ip_network
from typing import Any

from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError

from resilience.intent.problems import show
from resilience.intent.scalars import Scalar, need_text, refuse
from resilience.model.network import IPAddress, IPInterface, IPNetwork

_LENGTH = re.compile(r"/[0-9]{1,3}", re.ASCII)
_MAPPED = ip_network("::ffff:0:0/96")
_RESERVED_V4 = (IPv4Network("0.0.0.0/8"), IPv4Network("240.0.0.0/4"))


@dataclass(frozen=True, slots=True)
class AddressOf(Scalar):
    """An address without a prefix length."""

    what: str = "an address"

    def read(self, value: Any) -> IPAddress:
        """Return the address."""
        text = need_text(value, self.what)
        host, slash, _ = text.partition("/")
        found = _parse_address(host, text)
        if slash:
            raise refuse("prefix-as-address", f"{self.what} stands here without a prefix length", f"write {host}")
        return refuse_special(found)

    def schema(self) -> JsonSchemaValue:
        """Return a loose pattern: the reader is exact."""
        return {"type": "string", "pattern": "^[0-9A-Fa-f:.]+$"}


@dataclass(frozen=True, slots=True)
class InterfaceAddress(Scalar):
    """An interface's address with its prefix length."""

    def read(self, value: Any) -> IPInterface:
        """Return the address with its network."""
        text = need_text(value, "an address with its prefix length")
        host, _, length = text.partition("/")
        found = _parse_address(host, text)
        if not length:
            hint = f"write {host}/{30 if found.version == 4 else 64} if that is its length"
            raise refuse("address-without-length", f"the interface's address {found} needs its prefix length", hint)
        try:
            interface = ip_interface(_with_length(text))
        except ValueError:
            raise _not_a_prefix(text) from None
        refuse_special(interface.ip)
        return interface

    def schema(self) -> JsonSchemaValue:
        """Return a loose pattern: the reader is exact."""
        return {"type": "string", "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"}


@dataclass(frozen=True, slots=True)
class Prefix(Scalar):
    """A network with its length."""

    def read(self, value: Any) -> IPNetwork:
        """Return the network."""
        text = need_text(value, "a prefix")
        host, slash, _ = text.partition("/")
        found = _parse_address(host, text)
        if not slash:
            hint = f"write {host}/{24 if found.version == 4 else 48} if that is its length"
            raise refuse("bad-prefix", f"the prefix {found} needs its length", hint)
        try:
            network = ip_network(_with_length(text), strict=False)
        except ValueError:
            raise _not_a_prefix(text) from None
        if network.network_address != found:
            message = f"{show(text)} is a host in a network, where the network itself belongs"
            raise refuse("host-in-prefix", message, f"write {network}")
        return network

    def schema(self) -> JsonSchemaValue:
        """Return a loose pattern: the reader is exact."""
        return {"type": "string", "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"}


def _parse_address(host: str, text: str) -> IPAddress:
    if "%" not in host and len(host) < 48:
        try:
            return ip_address(str(host))
        except ValueError:
            pass
    hint = "IPv4 is written as 192.0.2.1, IPv6 as 2001:db8::1"
    if re.fullmatch(r"[0-9.]+", host) and any(len(part) > 1 and part.startswith("0") for part in host.split(".")):
        hint = "numbers with leading zeros are read as base 8 by some programs: leave the zeros out"
    raise refuse("bad-address", f"{show(text)} is not an IP address", hint)


def _with_length(text: str) -> str:
    _, _, length = text.partition("/")
    if not _LENGTH.fullmatch(f"/{length}"):
        raise _not_a_prefix(text)
    return str(text)


def _not_a_prefix(text: str) -> PydanticCustomError:
    hint = "the length after '/' is 0 to 32 for IPv4, 0 to 128 for IPv6; masks such as 255.255.255.0 are not used"
    return refuse("bad-prefix", f"{show(text)} has no valid prefix length", hint)


def refuse_special(address: IPAddress) -> IPAddress:
    """Return an ordinary unicast address; refuse all others."""
    kind = ""
    if address.is_unspecified:
        kind = "the unspecified address"
    elif address.is_multicast:
        kind = "a multicast address"
    elif address.is_loopback:
        kind = "a loopback address"
    elif address.is_link_local:
        kind = "a link-local address"
    elif isinstance(address, IPv6Address):
        kind = "an IPv4 address inside IPv6" if address in _MAPPED else ""
    elif any(address in network for network in _RESERVED_V4):
        kind = "a reserved address"
    if kind:
        raise refuse("unusable-address", f"{address} is {kind}", "an ordinary unicast address belongs here")
    return address
