"""What raw lines may undo, judged by the words in them: nothing else in this program reads these lines.

The words tell what a line is about, not what it does: a finding is a question to whoever wrote the lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from resilience.analysis.subject import Found, Subject
from resilience.model.network import RAW_SECRET, Raw, RawPlace

_ROUTING: Final = frozenset(RawPlace) - {RawPlace.NFTABLES_CONF, RawPlace.SYSCTL_CONF}
_FILTER: Final = frozenset({RawPlace.NFTABLES_CONF})
_KERNEL: Final = frozenset({RawPlace.SYSCTL_CONF})


@dataclass(frozen=True, slots=True)
class Touch:
    """A protection, and the words that lines about it use in some places."""

    places: frozenset[RawPlace]
    words: re.Pattern[str]
    undoes: str


def _touch(places: frozenset[RawPlace], words: str, undoes: str) -> Touch:
    return Touch(places, re.compile(rf"(?i)(?<![\w-])(?:{words})(?![\w-])"), undoes)


TOUCHES: Final = (
    _touch(_ROUTING, "ebgp-requires-policy", "that nothing is exchanged without a policy (RFC 8212)"),
    _touch(
        _ROUTING,
        "route-map|prefix-list|filter-list|distribute-list|unsuppress-map|advertise-map|filter|import|export|"
        "accept|reject|as-path|community-list|large-community-list|redistribute|network|aggregate-address|"
        "attribute-unchanged|set|match|preference|default-originate|where",
        "prefix filters and leak protection (RFC 7454, RFC 9234)",
    ),
    _touch(_ROUTING, "maximum-prefix|maximum-prefix-out|limit|receive", "the limit of prefixes (RFC 7454 section 8)"),
    _touch(
        _ROUTING,
        "ttl-security|ebgp-multihop|disable-connected-check|disable-ebgp-connected-route-check|ttl|multihop",
        "GTSM (RFC 5082)",
    ),
    _touch(_ROUTING, "password|authentication|md5|key", "the session's password (RFC 2385, RFC 5925)"),
    _touch(_ROUTING, "local-role|role|roles", "the role of the session (RFC 9234)"),
    _touch(
        _ROUTING,
        "enforce-first-as|allowas-in|as-override|remove-private-as|replace-as|local-as|allow|enforce|first|bgp_path",
        "the check of the path's first AS, and of our own AS in it",
    ),
    _touch(_ROUTING, "rpki|roa|roa4|roa6|roa_check|validate", "RPKI validation (RFC 6811)"),
    _touch(
        _ROUTING,
        "send-community|community|large-community|comm-list|large-comm-list|bgp_community|bgp_large_community",
        "the communities that keep origin and relationship apart, and graceful shutdown (RFC 8326)",
    ),
    _touch(
        _ROUTING,
        "weight|local-preference|bgp_local_pref|local_pref|bestpath|prepend|metric|med|bgp_med|default",
        "the ranks of uplinks",
    ),
    _touch(_ROUTING, "graceful-restart|graceful|long-lived", "that no stale route is kept (RFC 4724)"),
    _touch(
        _ROUTING,
        "timers|hold|keepalive|bfd|interval|multiplier|connect|shutdown|disabled|passive|remote-as|neighbor|"
        "peer-group|next-hop-self|next|nht|update-source|soft-reconfiguration|ospf|ospf6|area|cost|fast-convergence",
        "failover and its times: sessions, next hops, BFD, OSPF",
    ),
    _touch(_ROUTING, "route|blackhole|unreachable|static|kernel|table|pipe", "the ways that packets take"),
    _touch(
        _FILTER,
        "accept|flush|delete|destroy|replace|insert|netresilience|return|notrack",
        "anti-spoofing (BCP 38) and the locked management plane",
    ),
    _touch(
        _FILTER, "drop|reject|queue|dnat|snat|masquerade|redirect|mark", "that traffic of services passes unchanged"
    ),
    _touch(_KERNEL, r"[\w./-]*rp_filter", "that return traffic may take another way, and anti-spoofing (BCP 84)"),
    _touch(
        _KERNEL,
        r"[\w./-]*(?:redirects|accept_source_route|accept_ra\w*|arp_\w+|proxy_\w+|accept_dad)",
        "that nobody on a cable can turn our traffic away (redirects, router advertisements, ARP)",
    ),
    _touch(
        _KERNEL,
        r"[\w./-]*(?:forwarding|ip_forward|linkdown|multipath_hash_policy|keep_addr_on_down)",
        "forwarding and immediate failover",
    ),
)
"""Every word that says something, in one place."""
_FRAME: Final = re.compile(
    r"exit(?:-address-family)?|router bgp \d+|address-family ipv[46] unicast|interface \S+|description\s.*|"
    r"(?:(?:delete|destroy|flush) )?table \w+ (?!netresilience\b)\w+|"
    r"(?:table \w+ (?!netresilience\b)\w+|chain \w+|set \w+|map \w+) \{(?: ?\})?|"
    r"type \w+ hook \w+ (?:device \S+ )?priority [\w+ -]+;(?: policy accept;)?"
)
"""Lines that only say where others stand, or what a thing is called."""
_COUNTING: Final = re.compile(r"(?:[\w.:,{}@\"/ -]+ )?counter")
"""A rule of a packet filter that counts and decides nothing."""


def find_raw_lines(subject: Subject) -> Iterator[Found]:
    """Say of each raw text what it may undo, and that nothing here has read it."""
    for owner, raw in _stated(subject):
        found, silent = touched(raw)
        if silent:
            found.append(f"{_where(raw)} ({_count(silent)} not understood)")
        what = f"may undo {'; '.join(found)}" if found else "speak of no protection"
        yield Found(
            owner,
            f"{owner}: raw lines under `{raw.place}` ({_count(len(raw.lines))}) {what}. Predictions do not see them",
            "read them beside the rendered file, run the drills, and keep only what the language cannot say",
            raw.at if raw.at.line else None,
        )


def find_raw_secrets(subject: Subject) -> Iterator[Found]:
    """Name raw texts in which a secret seems to stand."""
    for owner, raw in _stated(subject):
        if any(RAW_SECRET.search(line) for line in raw.lines):
            yield Found(
                owner,
                f"{owner}: raw `{raw.place}` seems to hold a password or key: it stands in the intent and in every "
                "copy of it, in clear",
                "state `password: env:NAME` at the session, and change the secret: others have read it",
                raw.at if raw.at.line else None,
            )


def touched(raw: Raw) -> tuple[list[str], int]:
    """Return the protections that raw lines speak of, and the number of lines that speak of none."""
    known = [touch for touch in TOUCHES if raw.place in touch.places]
    found: dict[str, None] = {}
    silent = 0
    for line in raw.lines:
        code = line.strip()
        comment = code.startswith(("!", "#", ";")) or not any(character.isalnum() for character in code)
        if comment or _FRAME.fullmatch(code):
            continue
        hits = [touch.undoes for touch in known if touch.words.search(code)]
        found |= dict.fromkeys(hits)
        silent += not hits and _COUNTING.fullmatch(code) is None
    return list(found), silent


def _stated(subject: Subject) -> Iterator[tuple[str, Raw]]:
    """Yield each raw text once, with the element that it stands at: sessions of both families share one."""
    network = subject.network
    owners: list[tuple[str, Iterable[Raw]]] = [(f"router {r.name}", r.raw) for r in network.routers.values()]
    owners += [(f"uplink {uplink.name}", uplink.raw) for uplink in network.uplinks.values()]
    for exchange in network.exchanges.values():
        owners += [(f"route-server {server.name}", server.raw) for server in exchange.route_servers]
        owners += [(f"peer {peer.name}", peer.raw) for peer in exchange.peers.values()]
    owners += [(f"customer {customer.name}", customer.raw) for customer in network.customers.values()]
    for owner, stated in owners:
        for raw in stated:
            yield owner, raw


def _where(raw: Raw) -> str:
    if raw.place in _KERNEL:
        return "how the kernel treats packets"
    return "anything in this file" if "." in raw.place else "anything in this session"


def _count(lines: int) -> str:
    return f"{lines} line{'' if lines == 1 else 's'}"
