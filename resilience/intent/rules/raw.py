"""Raw lines: they fit the router's platform and cannot leave the place where they are put.

What they do there is nobody's business but their author's; `check` says what they may undo.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from resilience.intent.convert import raw_texts, routers_of
from resilience.intent.document import RouterRawPart, SessionRawPart
from resilience.intent.problems import join_names
from resilience.intent.rules.context import Context, Path
from resilience.model.network import RawPlace

Fault = tuple[int, str, str]
"""Index of the line, what is wrong, what would be right."""

_FRR_LEAVES: Final = frozenset({"end", "quit", "do", "write", "copy", "configure", "terminal", "show", "clear", "find"})
_FRR_ABSENT: Final = (
    *(f"router {name}" for name in ("rip", "ripng", "isis", "eigrp", "babel", "openfabric", "pim", "pim6")),
    "mpls ldp",
    "nhrp",
    "pbr-map",
    "vrrp",
    "segment-routing",
)
"""Statements of daemons that our `daemons` file does not start."""
_FRR_FILES: Final = ("log file", "dump bgp")
_BEFORE_ADDRESS: Final = frozenset({"neighbor", "exit", "end", "quit", "do", "no"})
_FRR_ELSEWHERE: Final = _BEFORE_ADDRESS | {"router", "address-family", "bgp", "network"}
_FRR_FAMILY: Final = frozenset(
    {
        "activate",
        "addpath-tx-all-paths",
        "addpath-tx-bestpath-per-as",
        "advertise-map",
        "allowas-in",
        "as-override",
        "attribute-unchanged",
        "default-originate",
        "disable-addpath-rx",
        "distribute-list",
        "filter-list",
        "maximum-prefix",
        "maximum-prefix-out",
        "next-hop-self",
        "nexthop-local",
        "prefix-list",
        "remove-private-as",
        "route-map",
        "route-reflector-client",
        "route-server-client",
        "send-community",
        "soft-reconfiguration",
        "soo",
        "unsuppress-map",
        "weight",
    }
)
"""What FRR knows of a neighbour by address family. Outside of one it means IPv4 alone, without a word to say so."""
_SETTING: Final = re.compile(r"-?net(?:[./][A-Za-z0-9_-]+)+\s*=\s*\S.*")
_MARK: Final = re.compile(r"(?i)-\s*(?:end of )?raw lines")
"""What rendering puts around raw lines. What follows an imitation would look as if it were rendered."""
_CLOSERS: Final = {")": "(", "]": "[", "}": "{"}
_BIRD_FILES: Final = re.compile(r"\b(?:include|mrtdump|filename)\b|\blog\b(?!\s+(?:syslog|stderr)\b)")
_NFT_FILES: Final = re.compile(r"\binclude\b")
_ON_THIS_MACHINE: Final = "labs run on machines where that file is somebody else's; write the lines themselves here"


def check_raw(context: Context) -> None:
    """Raw lines are for the platform of their router, and stay where they are put."""
    for path, part, routers in _raw_parts(context):
        for place, text in raw_texts(part):
            at: Path = (*path, "raw", place)
            _check_platform(context, at, place, routers)
            lines = text.split("\n")
            for line, message, hint in (*_check_marks(lines), *_CHECKS[place](lines, context)):
                _report_line(context, at, line, message, hint)


def _raw_parts(context: Context) -> Iterator[tuple[Path, RouterRawPart | SessionRawPart, list[str]]]:
    """Yield everything that may have raw lines, and the routers whose files they would go into."""
    document = context.document
    for name, router in document.routers.items():
        yield ("routers", name), router.raw, [name]
    for name, uplink in document.uplinks.items():
        yield ("uplinks", name), uplink.raw, [uplink.router]
    for name, exchange in document.exchanges.items():
        routers = [port.router for port in exchange.ports]
        for index, server in enumerate(exchange.route_servers):
            yield ("exchanges", name, "route_servers", index), server.raw, routers
        for peer, part in exchange.peers.items():
            yield ("exchanges", name, "peers", peer), part.raw, routers
    for name, customer in document.customers.items():
        yield ("customers", name), customer.raw, list(routers_of(customer, document))


def _check_platform(context: Context, at: Path, place: RawPlace, routers: list[str]) -> None:
    known = [name for name in routers if name in context.document.routers]
    platforms = {name: context.document.routers[name].platform for name in known}
    cut = any(context.tree.was_cut(("routers", name, "platform")) for name in known)
    if place.platform is None or cut or not known or place.platform in platforms.values():
        return
    runs = join_names((f"{name} runs {platform}" for name, platform in platforms.items()), last="and")
    kind = RouterRawPart if at[0] == "routers" else SessionRawPart
    keys = [field.alias or name for name, field in kind.model_fields.items()]
    right = [key for key in keys if RawPlace(key).platform in {None, *platforms.values()}]
    message = f"nothing here reads `{place}`: {runs}"
    context.report("raw-platform", at, message, f"its keys are {join_names(right, last='and')}", key=True)


def _report_line(context: Context, at: Path, line: int, message: str, hint: str) -> None:
    """Report at a line of the file where the text is one below `|`, else at the text."""
    written = context.tree.original(at)
    spot = context.tree.locate(written)
    if not spot.block:
        context.report("raw-place", at, f"raw line {line + 1}: {message}", hint)
        return
    source, number = context.tree.source, spot.line + 1 + line
    shown = source.lines[number] if number < len(source.lines) else ""
    column = len(shown) - len(shown.lstrip())
    said = f"{context.label(at)}: {message}"
    context.problems.append(source.problem("raw-place", number, column, said, hint))


# --- what may stand where: each yields the faults of a text --------------------------------------------------------


def _check_marks(lines: list[str]) -> Iterator[Fault]:
    for index, line in enumerate(lines):
        if _MARK.search(line):
            yield index, "this line imitates the marks around raw lines", "write the comment in other words"


def _check_frr_conf(lines: list[str], context: Context) -> Iterator[Fault]:
    opened = False
    for index, line in enumerate(lines):
        words = " ".join(line.split())
        if not words or words[0] in "!#":
            continue
        yield from _frr_fault(index, words, context.document.asn)
        if not opened and line.startswith(" "):
            yield index, "an indented line without a section above it", "begin at the left margin"
        elif not opened and words == "exit":
            yield index, "`exit` without a section would leave the configuration", "remove it"
        elif not line.startswith(" "):
            opened = words != "exit"


def _frr_fault(index: int, words: str, asn: int) -> Iterator[Fault]:
    bare = words.removeprefix("no ")
    if words.split()[0] in _FRR_LEAVES:
        yield index, f"`{words.split()[0]}` is no configuration: it leaves the place of these lines", "remove it"
    if re.fullmatch(r"router bgp \d+", bare) and bare != f"router bgp {asn}":
        yield index, "this router's BGP has another AS number", f"write router bgp {asn}"
    absent = next((head for head in _FRR_ABSENT if f"{bare} ".startswith(f"{head} ")), None)
    if absent is not None:
        hint = "zebra, bgpd, ospfd, ospf6d, bfdd and staticd do; use another program beside them for the rest"
        yield index, f"no daemon that runs here reads `{absent}`", hint
    file = next((head for head in _FRR_FILES if f"{bare} ".startswith(f"{head} ")), None)
    if file is not None:
        yield index, f"`{file}` names a file of the machine", _ON_THIS_MACHINE


def _check_frr_neighbor(lines: list[str], _context: Context) -> Iterator[Fault]:
    for index, word in _neighbor_words(lines):
        if word in _FRR_FAMILY:
            hint = "write it under `frr_family`: here FRR would take it for IPv4 alone, and not say so"
            yield index, f"`{word}` belongs to an address family", hint
        else:
            yield from _outside_neighbor(index, word)


def _check_frr_family(lines: list[str], _context: Context) -> Iterator[Fault]:
    for index, word in _neighbor_words(lines):
        yield from _outside_neighbor(index, word)


def _neighbor_words(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the first word of each line, `no` left out."""
    for index, line in enumerate(lines):
        words = line.split()
        if not words or words[0][0] in "!#":
            continue
        yield index, (words[1] if words[0] == "no" and len(words) > 1 else words[0]).lower()


def _outside_neighbor(index: int, word: str) -> Iterator[Fault]:
    if word in _FRR_ELSEWHERE:
        hint = "write what follows the address: `weight 50`, `no send-community extended`"
        if word not in _BEFORE_ADDRESS:
            hint = "lines beside the neighbour stand under the router: raw: {frr.conf: ...}"
        yield index, f"`neighbor ADDRESS` is put before each line here, and `{word}` cannot follow it", hint


def _check_bird(lines: list[str], _context: Context) -> Iterator[Fault]:
    yield from _check_braces(lines, long_comments=True, files=_BIRD_FILES)


def _check_nftables(lines: list[str], _context: Context) -> Iterator[Fault]:
    yield from _check_braces(lines, long_comments=False, files=_NFT_FILES)
    last = next((index for index in reversed(range(len(lines))) if lines[index].strip()), 0)
    if lines[last].endswith("\\"):
        yield last, "the last line goes on into what follows these lines", "remove the `\\` at its end"


def _check_sysctl(lines: list[str], _context: Context) -> Iterator[Fault]:
    for index, line in enumerate(lines):
        text = line.strip()
        if text and text[0] not in "#;" and not _SETTING.fullmatch(text):
            hint = "write net.ipv4.NAME = VALUE: labs share the rest of the kernel with the machine that they run on"
            yield index, "this is no setting of the network", hint


def _check_braces(lines: list[str], *, long_comments: bool, files: re.Pattern[str]) -> Iterator[Fault]:
    """Yield what would reach beyond these lines: braces, quotes and comments that do not end where they began."""
    opened: list[tuple[str, int]] = []
    comment: int | None = None
    for index, line in enumerate(lines):
        code, ends_inside, unquoted = _code_of(line, inside=comment is not None, long_comments=long_comments)
        comment = (index if comment is None else comment) if ends_inside else None
        if not unquoted:
            yield index, "a quotation mark that no other closes on this line", "close it on the same line"
            return
        found = files.search(code)
        if found is not None:
            yield index, f"`{found[0]}` names a file of the machine", _ON_THIS_MACHINE
        for character in code:
            if character in _CLOSERS.values():
                opened.append((character, index))
            elif character in _CLOSERS and (not opened or opened.pop()[0] != _CLOSERS[character]):
                yield index, f"`{character}` closes what these lines did not open", "raw lines open and close their own"
                return
    if comment is not None:
        yield comment, "a comment that is never closed would swallow what follows", "close it with */"
    elif opened:
        character, index = opened[-1]
        yield index, f"`{character}` is never closed", "raw lines open and close their own"


def _code_of(line: str, *, inside: bool, long_comments: bool) -> tuple[str, bool, bool]:
    """Return a line without comments and quoted text, whether a long comment goes on, and whether its quotes close."""
    code: list[str] = []
    rest = line
    while rest:
        if inside:
            _, end, rest = rest.partition("*/")
            inside = not end
            continue
        if rest[0] == "#":
            break
        if long_comments and rest.startswith("/*"):
            inside, rest = True, rest[2:]
        elif rest[0] == '"':
            _, end, rest = rest[1:].partition('"')
            code.append('""')
            if not end:
                return "".join(code), False, False
        else:
            code.append(rest[0])
            rest = rest[1:]
    return "".join(code), inside, True


_CHECKS: Final[dict[RawPlace, Callable[[list[str], Context], Iterator[Fault]]]] = {
    RawPlace.FRR_CONF: _check_frr_conf,
    RawPlace.BIRD_CONF: _check_bird,
    RawPlace.NFTABLES_CONF: _check_nftables,
    RawPlace.SYSCTL_CONF: _check_sysctl,
    RawPlace.FRR: _check_frr_neighbor,
    RawPlace.FRR_FAMILY: _check_frr_family,
    RawPlace.BIRD: _check_bird,
    RawPlace.BIRD_CHANNEL: _check_bird,
}
