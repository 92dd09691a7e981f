"""The scalars of the language: how each is read from text, what is said when it cannot be, and its JSON Schema.

Each class stands in `Annotated` beside the Python type that it yields. `refuse` carries our own words
through pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from resilience.intent.problems import REFERENCE, join_names, nearest, show
from resilience.intent.reader import Quoted
from resilience.model.network import SecretRef
from resilience.model.units import parse_capacity_bps, parse_duration_ms

NAME_LENGTH = 40
RAW_LINES = 200
RAW_WIDTH = 200
ANY_ROUTER = "*"
"""The key under which a value stands that is stated for the only router, without naming it."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_RATE = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?/(?:day|week|month|year)", re.ASCII)
_COMMUNITY = re.compile(r"[0-9]{1,5}:[0-9]{1,5}", re.ASCII)
_WELL_KNOWN = {
    "65535:0": "graceful shutdown (RFC 8326)",
    "65535:666": "blackhole (RFC 7999)",
    "65535:65281": "no-export (RFC 1997)",
    "65535:65282": "no-advertise (RFC 1997)",
    "65535:65283": "no-export to a confederation (RFC 1997)",
    "65535:65284": "no-peer (RFC 3765)",
}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_NOT_PRINTABLE = re.compile(r"[^ -~]")
_TEXT_LENGTH = 200
_NUMBER_LENGTH = 12
_RESERVED_AS = (
    (0, 0, "it means no AS at all (RFC 7607)"),
    (23456, 23456, "it is AS_TRANS, which stands for numbers above 65535 (RFC 6793)"),
    (65535, 65535, "it is reserved (RFC 7300)"),
    (65552, 131071, "it is reserved by IANA"),
    (4294967295, 4294967295, "it is reserved (RFC 7300)"),
)
_INTERFACE_WORDS = frozenset(
    [
        "lo",
        "all",
        "default",
        "dev",
        "type",
        "name",
        "up",
        "down",
        "via",
        "src",
        "table",
        "metric",
        "proto",
        "scope",
        "onlink",
        "nexthop",
        "peer",
        "broadcast",
        "label",
        "local",
        "mtu",
        "link",
        "netns",
        "master",
        "vrf",
        "alias",
        "group",
        "index",
        "parentdev",
        "set",
        "add",
        "del",
        "show",
        "help",
    ]
)


def refuse(rule: str, message: str, hint: str = "") -> PydanticCustomError:
    """Make the error by which a reader of values says what is wrong."""
    return PydanticCustomError(rule, "{message}", {"message": message, "hint": hint})


def need_text(value: Any, what: str) -> str:
    """Return a scalar's text; refuse lists, mappings and nothing."""
    if value is None:
        raise refuse("empty-value", f"{what} is missing after this key", "give a value, or remove the key")
    if not isinstance(value, str):
        raise refuse("wrong-type", f"{what} belongs here, this is {show(value)}")
    return value


def is_name(text: str) -> bool:
    """Whether a text may be a name."""
    return len(text) <= NAME_LENGTH and _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar of the language: `read` makes the typed value of text or raises a refusal."""

    def read(self, value: Any) -> Any:
        """Return the typed value."""
        raise NotImplementedError

    def schema(self) -> JsonSchemaValue:
        """Return what an editor checks."""
        return {"type": "string"}

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic to read with `read` alone."""
        return core_schema.no_info_plain_validator_function(
            self.read, metadata={"pydantic_js_functions": [self._json_schema]}
        )

    def _json_schema(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return self.schema()


@dataclass(frozen=True, slots=True)
class NameOf(Scalar):
    """A name: a DNS label."""

    what: str = "a name"
    wild: bool = False
    """Whether `ANY_ROUTER` may stand for it."""

    def read(self, value: Any) -> str:
        """Return the name."""
        text = need_text(value, self.what)
        if self.wild and text == ANY_ROUTER:
            return ANY_ROUTER
        if is_name(text):
            return str(text)
        hint = f"names hold a-z, 0-9 and '-' inside, at most {NAME_LENGTH} characters"
        better = re.sub(r"[^a-z0-9]+", "-", text.lower()[: 2 * NAME_LENGTH]).strip("-")[:NAME_LENGTH].strip("-")
        if len(text) > NAME_LENGTH:
            raise refuse("bad-name", f"the name {show(text)} has {len(text)} characters", hint)
        if better and better != text:
            hint += f": perhaps '{better}'"
        raise refuse("bad-name", f"{show(text)} cannot be a name", hint)

    def schema(self) -> JsonSchemaValue:
        """Return the pattern of a DNS label."""
        return {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"}


@dataclass(frozen=True, slots=True)
class ReferenceTo(Scalar):
    """A word that a rule resolves later: a name, or a kind and a name."""

    what: str = "a name"

    def read(self, value: Any) -> str:
        """Return the words with single spaces between them."""
        return " ".join(need_text(value, self.what).split())


@dataclass(frozen=True, slots=True)
class Whole(Scalar):
    """A whole number in a range."""

    what: str
    low: int
    high: int

    def read(self, value: Any) -> int:
        """Return the number."""
        number = read_integer(value, self.what)
        if not self.low <= number <= self.high:
            raise refuse("bad-number", f"{self.what} lies between {self.low} and {self.high}, this is {number}")
        return number

    def schema(self) -> JsonSchemaValue:
        """Return the range."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


def read_integer(value: Any, what: str) -> int:
    """Return a whole number written in base 10, without quotes."""
    text = need_text(value, what)
    if not _INTEGER.fullmatch(text):
        raise refuse("bad-number", f"{what} is a whole number, this is {show(text)}")
    digits = text.lstrip("+-")
    if isinstance(value, Quoted):
        raise refuse("bad-number", f"{what} is a number, this is text in quotes", f"write {int(text)}")
    if len(digits) > 1 and digits.startswith("0"):
        hint = f"write {int(text)} without leading zeros"
        raise refuse("bad-number", f"{text} is a number of base 8 to many YAML readers", hint)
    return int(text)


@dataclass(frozen=True, slots=True)
class AsNumber(Scalar):
    """An AS number that may be used."""

    def read(self, value: Any) -> int:
        """Return the number."""
        if isinstance(value, str) and re.fullmatch(r"[Aa][Ss] ?[0-9]{1,10}", value):
            raise refuse("bad-number", f"an AS number is a number, this is {show(value)}", f"write {value[2:].strip()}")
        number = read_integer(value, "an AS number")
        if not 0 <= number <= 4_294_967_295:
            raise refuse("bad-asn", f"there is no AS {number}", "AS numbers lie between 1 and 4294967294")
        for low, high, why in _RESERVED_AS:
            if low <= number <= high:
                raise refuse(
                    "bad-asn",
                    f"AS {number} cannot be used: {why}",
                    "examples use 64496-64511 and 65536-65551 (RFC 5398)",
                )
        return number

    def schema(self) -> JsonSchemaValue:
        """Return the range."""
        return {"type": "integer", "minimum": 1, "maximum": 4_294_967_294}


@dataclass(frozen=True, slots=True)
class Switch(Scalar):
    """True or false."""

    def read(self, value: Any) -> bool:
        """Return the truth value."""
        text = need_text(value, "true or false")
        if isinstance(value, Quoted) or text.lower() not in {"true", "false", "yes", "no", "on", "off"}:
            raise refuse("wrong-type", f"true or false belongs here, this is {show(text)}", "write true or false")
        return text.lower() in {"true", "yes", "on"}

    def schema(self) -> JsonSchemaValue:
        """Return a boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Choice(Scalar):
    """One of a few words; yields what `make` makes of it."""

    what: str
    words: tuple[str, ...]
    make: Callable[[str], Any] = str

    def read(self, value: Any) -> Any:
        """Return the word."""
        text = need_text(value, self.what)
        if text not in self.words:
            near = nearest(text, self.words)
            hint = f"did you mean '{near}'?" if near else ""
            raise refuse("bad-choice", f"{self.what} is {join_names(self.words)}, not {show(text)}", hint)
        return self.make(str(text))

    def schema(self) -> JsonSchemaValue:
        """Return the words."""
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Duration(Scalar):
    """A duration with its unit; yields milliseconds."""

    what: str
    low_ms: int
    high_ms: int
    why: str = ""

    def read(self, value: Any) -> int:
        """Return milliseconds."""
        text = need_text(value, self.what)
        if len(text) <= _NUMBER_LENGTH and text.isascii():
            try:
                value_ms = parse_duration_ms(text)
            except ValueError:
                pass
            else:
                return self._within(value_ms)
        hint = "a duration is a number with a unit: 300ms, 9s, 3m, 1h"
        if isinstance(value, str) and _INTEGER.fullmatch(text):
            hint = f"a duration needs its unit: {text}ms, {text}s"
        raise refuse("bad-duration", f"{self.what} is a duration, this is {show(text)}", hint)

    def _within(self, value_ms: int) -> int:
        if self.low_ms <= value_ms <= self.high_ms:
            return value_ms
        low, high = _write_duration(self.low_ms), _write_duration(self.high_ms)
        message = f"{self.what} lies between {low} and {high}, this is {_write_duration(value_ms)}"
        raise refuse("bad-duration", message, self.why)

    def schema(self) -> JsonSchemaValue:
        """Return the pattern."""
        return {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$"}


def _write_duration(value_ms: int) -> str:
    """Return a duration as it is written in an intent."""
    if value_ms % 1_000:
        return f"{value_ms}ms"
    seconds = value_ms // 1_000
    if seconds >= 3_600 and seconds % 3_600 == 0:
        return f"{seconds // 3_600}h"
    return f"{seconds}s"


@dataclass(frozen=True, slots=True)
class Capacity(Scalar):
    """Bits a second with a unit."""

    def read(self, value: Any) -> int:
        """Return bits a second."""
        text = need_text(value, "a capacity")
        if len(text) <= _NUMBER_LENGTH and text.isascii():
            try:
                found = parse_capacity_bps(text)
            except ValueError:
                pass
            else:
                return self._within(text, found)
        hint = "a capacity is a number of bits a second with a unit: 512k, 50M, 10G"
        amount = re.match(r"\d{1,9}", text, re.ASCII)
        if amount and text[amount.end() :].strip().lower() in {"m", "mb", "mbps", "mbit", "mbit/s", "mb/s"}:
            hint = f"write {amount[0]}M"
        elif amount and text[amount.end() :].strip().lower() in {"g", "gb", "gbps", "gbit", "gbit/s", "gb/s"}:
            hint = f"write {amount[0]}G"
        raise refuse("bad-capacity", f"{show(text)} is not a capacity", hint)

    def _within(self, text: str, found: int) -> int:
        if 1_000 <= found <= 100 * 10**12:
            return found
        raise refuse("bad-capacity", f"a capacity lies between 1k and 100T bits a second, this is {show(text)}")

    def schema(self) -> JsonSchemaValue:
        """Return the pattern."""
        return {"type": ["string", "integer"], "pattern": r"^[0-9]+(\.[0-9]+)?[kMGT]?$"}


@dataclass(frozen=True, slots=True)
class FreeText(Scalar):
    """One line of text for people."""

    what: str

    def read(self, value: Any) -> str:
        """Return the text."""
        text = need_text(value, self.what).strip()
        if len(text) > _TEXT_LENGTH:
            raise refuse("bad-text", f"{self.what} has {len(text)} characters; at most {_TEXT_LENGTH} are allowed")
        if not text.isprintable():
            hint = "configurations carry it in a comment, which a line break would end"
            raise refuse("bad-text", f"{self.what} is one line without control characters", hint)
        return text

    def schema(self) -> JsonSchemaValue:
        """Return the length."""
        return {"type": "string", "maxLength": _TEXT_LENGTH}


@dataclass(frozen=True, slots=True)
class RawText(Scalar):
    """Lines in a platform's own language. What they may say depends on where they stand: see the rules on raw lines."""

    def read(self, value: Any) -> str:
        """Return the text."""
        text = need_text(value, "a text of raw lines")
        lines = text.removesuffix("\n").split("\n")
        if not text.strip():
            raise refuse("empty-value", "there are no raw lines here", "write them below `|`, or remove the key")
        if len(lines) > RAW_LINES:
            hint = "the escape hatch is for a few lines; more is a configuration of your own"
            raise refuse("bad-raw", f"raw text has {len(lines)} lines; at most {RAW_LINES} are allowed", hint)
        for number, line in enumerate(lines, 1):
            if len(line) > RAW_WIDTH:
                message = f"raw line {number} has {len(line)} characters; at most {RAW_WIDTH} are allowed"
                raise refuse("bad-raw", message)
            if _NOT_PRINTABLE.search(line):
                hint = "write letters without accents, spaces instead of tabs, and one statement a line"
                message = f"raw line {number} holds a character that is no printable ASCII"
                raise refuse("bad-raw", message, hint)
        return str(text)

    def schema(self) -> JsonSchemaValue:
        """Return text."""
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Rate(Scalar):
    """How often something is expected: a number a period."""

    def read(self, value: Any) -> str:
        """Return the rate."""
        text = need_text(value, "a rate")
        if not _RATE.fullmatch(text):
            hint = "how often it happens: 4/year, 0.5/month; the periods are day, week, month and year"
            raise refuse("bad-rate", f"{show(text)} is not a rate", hint)
        return str(text)

    def schema(self) -> JsonSchemaValue:
        """Return the pattern."""
        return {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?/(day|week|month|year)$"}


@dataclass(frozen=True, slots=True)
class Community(Scalar):
    """A BGP community (RFC 1997)."""

    def read(self, value: Any) -> str:
        """Return the community's text."""
        text = need_text(value, "a community")
        if re.fullmatch(r"(?:[0-9]{1,10}:){2}[0-9]{1,10}", text, re.ASCII):
            hint = 'providers that act on large communities have an ordinary one for this too: ask for it, "64496:70"'
            message = f"{show(text)} is a large community (RFC 8092); two numbers belong here"
            raise refuse("bad-community", message, hint)
        if not _COMMUNITY.fullmatch(text) or max(int(part) for part in text.split(":")) > 65_535:
            hint = 'write "64496:70": two numbers up to 65535, in quotes'
            raise refuse("bad-community", f"{show(text)} is not a BGP community", hint)
        self._refuse_reserved(text)
        return str(text)

    @staticmethod
    def _refuse_reserved(text: str) -> None:
        """Refuse what no provider can have given a meaning of its own."""
        high = int(text.partition(":")[0])
        if high not in {0, 65_535}:
            return
        known = _WELL_KNOWN.get(text)
        message = f"{show(text)} is {known}" if known else f"{show(text)} is reserved (RFC 1997)"
        hint = "state the value from the provider's own list; what it does with well-known ones stands under `honours:`"
        raise refuse("bad-community", f"{message}, no provider's own community", hint)

    def schema(self) -> JsonSchemaValue:
        """Return the pattern."""
        return {"type": "string", "pattern": "^[0-9]{1,5}:[0-9]{1,5}$"}


@dataclass(frozen=True, slots=True)
class InterfaceName(Scalar):
    """A name that Linux gives to a port."""

    def read(self, value: Any) -> str:
        """Return the name."""
        text = need_text(value, "an interface name")
        if len(text) > 15:
            message = f"the interface name {show(text)} has {len(text)} characters; Linux allows 15"
            raise refuse("bad-interface", message)
        if not _INTERFACE.fullmatch(text):
            hint = "letters, digits and - _ . are allowed; a VLAN is stated by `vlan:`"
            raise refuse("bad-interface", f"{show(text)} cannot be an interface name", hint)
        if text.lower() in _INTERFACE_WORDS:
            message = f"{show(text)} is a word of the ip command or the kernel, not a port"
            raise refuse("bad-interface", message, "state the port's real name, such as eth0, ether1 or enp1s0")
        return str(text)

    def schema(self) -> JsonSchemaValue:
        """Return the pattern."""
        return {"type": "string", "pattern": f"^{_INTERFACE.pattern}$"}


@dataclass(frozen=True, slots=True)
class Zone(Scalar):
    """A DNS zone's name."""

    def read(self, value: Any) -> str:
        """Return the name in lower case, without a final dot."""
        text = need_text(value, "a DNS zone").lower()
        labels = text.removesuffix(".").split(".")
        if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
            hint = "a zone is a domain name: labels of a-z, 0-9 and '-', at most 63 characters each, with dots between"
            raise refuse("bad-zone", f"{show(text)} is not a DNS zone", hint)
        return ".".join(labels)

    def schema(self) -> JsonSchemaValue:
        """Return the pattern."""
        return {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$", "maxLength": 253}


@dataclass(frozen=True, slots=True)
class Secret(Scalar):
    """Where a secret is kept. What is refused is never shown: it may be the secret."""

    def read(self, value: Any) -> SecretRef:
        """Return the reference."""
        hint = "write where it is kept: env:NAME, file:PATH or vault:PATH"
        if value is None:
            raise refuse("empty-value", "a secret's reference is missing after this key", hint)
        if not isinstance(value, str):
            raise refuse("wrong-type", f"a secret's reference belongs here, this is {show(value)}", hint)
        if REFERENCE.fullmatch(value):
            return SecretRef(str(value))
        message = "a secret never stands in an intent"
        if value.startswith(("env:", "file:", "vault:")):
            message = "this reference to a secret is not well-formed"
        raise refuse("literal-secret", message, hint)

    def schema(self) -> JsonSchemaValue:
        """Return the pattern."""
        return {"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|(file|vault):.+)$"}
