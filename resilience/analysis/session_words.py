"""One end of a BGP session in plain words: who with whom, timers, protections, and what is sent beside the policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resilience.model.explanation import Statement
from resilience.model.network import Bfd, IPNetwork, Platform
from resilience.model.plan import (
    GRACEFUL_RESTART_S,
    BgpRole,
    GracefulRestart,
    Interface,
    InterfaceKind,
    Node,
    Plan,
    Provenance,
    Session,
    SessionEnd,
    SessionKind,
    SourceFilter,
)
from resilience.model.units import show_duration

PLATFORM_WORDS = {Platform.FRR: "FRR", Platform.BIRD: "BIRD"}
_OUTWARD = (InterfaceKind.UPLINK, InterfaceKind.PORT)
_SHORT = 4
_FRR_WAIT_AFTER_MAXIMUM_MS = 15 * 60_000
"""As the template writes it."""

_RELATION_WORDS = {
    SessionKind.TRANSIT: "the neighbour is a provider of ours",
    SessionKind.PEER: "the neighbour is a peer: each side sends its own and its customers' prefixes, nothing else",
    SessionKind.ROUTE_SERVER: "the neighbour is a route server: it passes on what many members of an exchange send",
    SessionKind.CUSTOMER: "the neighbour is a customer of ours",
    SessionKind.IBGP: "both routers are ours: what was judged at the border is passed on inside (iBGP)",
    SessionKind.OUTSIDE: "both ends are strangers: a lab's picture of the outside, nothing that we configure",
}
_FITTING = {
    BgpRole.PROVIDER: BgpRole.CUSTOMER,
    BgpRole.CUSTOMER: BgpRole.PROVIDER,
    BgpRole.PEER: BgpRole.PEER,
    BgpRole.RS_SERVER: BgpRole.RS_CLIENT,
    BgpRole.RS_CLIENT: BgpRole.RS_SERVER,
}


@dataclass(frozen=True, slots=True)
class View:
    """A session as one of its ends sees it, with all that is needed to speak of it."""

    plan: Plan
    session: Session
    local: SessionEnd
    remote: SessionEnd

    @property
    def node(self) -> Node:
        """The node of this end."""
        return self.plan.nodes[self.local.node]

    @property
    def external(self) -> bool:
        """Whether the other end belongs to another AS."""
        return self.local.asn != self.remote.asn

    @property
    def interface(self) -> Interface | None:
        """The interface of this end; none between loopbacks."""
        return self.node.interface(self.local.interface) if self.local.interface else None


def about(view: View) -> tuple[Statement, ...]:
    """Say who speaks with whom, how a failure is noticed, how the session is protected."""
    return _statements(view, _ABOUT)


def beside_import(view: View) -> tuple[Statement, ...]:
    """Say what bounds or widens what comes in, beside the policy."""
    return _statements(view, _BESIDE_IMPORT)


def beside_export(view: View) -> tuple[Statement, ...]:
    """Say what is sent beside what the policy lets through."""
    return _statements(view, _BESIDE_EXPORT)


def packet_filter(view: View) -> tuple[Statement, ...]:
    """Say which packets the router drops where the session's packets come in."""
    if not view.node.managed:
        return (Statement(subject="packet filter", text="none: this node belongs to the outside of a lab"),)
    return _statements(view, _PACKETS)


def platform_limits(view: View) -> tuple[Statement, ...]:
    """Say what the platform of this end cannot do."""
    if view.node.platform is None:
        return ()
    return _statements(view, _LIMITS)


def _statements(view: View, makers: tuple[tuple[str, Callable[[View], str]], ...]) -> tuple[Statement, ...]:
    told = ((subject, make(view)) for subject, make in makers)
    return tuple(Statement(subject=subject, text=text) for subject, text in told if text)


def _end_words(view: View, end: SessionEnd) -> str:
    node = view.plan.nodes[end.node]
    platform = f"{PLATFORM_WORDS[node.platform]}, " if node.platform is not None and node.managed else ""
    where = f" on {end.interface}" if end.interface else " on its loopback"
    return f"{end.node} ({platform}AS {end.asn}), {end.address}{where if node.managed else ''}"


def _here(view: View) -> str:
    return _end_words(view, view.local)


def _there(view: View) -> str:
    return _end_words(view, view.remote)


def _assigned(view: View) -> str:
    if view.session.assigned is not Provenance.LAB:
        return ""
    return "made up for labs: another party still has to assign them, resilience check says whom to ask"


def _relation(view: View) -> str:
    rank = "" if view.session.rank is None else f", rank {view.session.rank} among the uplinks"
    return _RELATION_WORDS[view.session.kind] + rank


def _role(view: View) -> str:
    local, remote = view.local.role, view.remote.role
    if not view.external:
        return ""
    if local is None:
        return "none declared (RFC 9234): leaks are stopped by the policies alone"
    if remote is None:
        return f"we say {local}, they say nothing; our side still marks and refuses leaked routes (RFC 9234)"
    if _FITTING[local] is not remote:
        return f"we say {local}, they say {remote}: this does not fit, so BGP refuses the session (RFC 9234)"
    return f"we say {local}, they say {remote}; what does not fit ends the session, leaked routes are marked (RFC 9234)"


def _hold(view: View) -> str:
    ours, theirs = view.local.hold_ms, view.remote.hold_ms
    agreed = min(ours, theirs)
    keepalive = min(view.local.keepalive_ms, agreed // 3)
    offered = "both ends offer" if ours == theirs else f"we offer {show_duration(ours)}, they {show_duration(theirs)}:"
    return (
        f"{offered} {show_duration(agreed)} without a word, with a keepalive every {show_duration(keepalive)} "
        "(RFC 4271 section 4.2)"
    )


def _bfd(view: View) -> str:
    local, remote = view.local.bfd, view.remote.bfd
    if local is None and remote is None:
        return "off: silent loss is noticed by the hold time alone"
    if local is None or remote is None:
        who = "we speak it, they do not" if local is not None else "they speak it, we do not"
        return f"{who}: it never comes up, silent loss is noticed by the hold time alone"
    interval_ms = max(local.interval_ms, remote.interval_ms)
    seen_after = show_duration(interval_ms * remote.multiplier)
    timers = f"{_bfd_words(local)} here, {_bfd_words(remote)} there"
    return f"on: silent loss is noticed after {seen_after} ({timers}; RFC 5880)"


def _bfd_words(bfd: Bfd) -> str:
    return f"{bfd.interval_ms} ms x {bfd.multiplier}"


def _carrier(view: View) -> str:
    if view.local.interface is None:
        return "none of a single cable: the session stands while the IGP has a way to the other loopback"
    return f"loss of carrier on {view.local.interface} ends the session at once"


def _retry(view: View) -> str:
    return f"a session that is down is tried again every {show_duration(view.local.connect_retry_ms)}"


def _authentication(view: View) -> str:
    if view.local.password is None:
        asked = "" if view.remote.password is None else "; the other end asks for one, so the session cannot come up"
        return f"no TCP password{asked}"
    return f"TCP MD5 (RFC 2385), the password is kept in {view.local.password}"


def _gtsm(view: View) -> str:
    if not view.external:
        return ""
    if not view.local.ttl_security:
        asked = "" if not view.remote.ttl_security else "; the other end asks for it, so the session cannot come up"
        filtered = ": the packet filter alone keeps strangers away" if view.node.managed else ""
        return f"off{filtered}{asked}"
    asked = "" if view.remote.ttl_security else "; the other end does not send so, and the session cannot come up"
    return f"on: only packets that passed no router count, TTL 255 (RFC 5082){asked}"


_RESTARTING = {
    (GracefulRestart.RESTARTS, GracefulRestart.RESTARTS): "either",
    (GracefulRestart.RESTARTS, GracefulRestart.HELPS): "our",
    (GracefulRestart.HELPS, GracefulRestart.RESTARTS): "the other",
}


def _restart(view: View) -> str:
    off = GracefulRestart.OFF
    ends = (view.local.graceful_restart, view.remote.graceful_restart)
    if off in ends:
        at = "" if ends == (off, off) else " at this end" if ends[0] is off else " at the other end"
        return f"off{at}: routes go with the session, so that no stale ones draw traffic (RFC 4724)"
    restarting = _RESTARTING.get(ends)
    if restarting is None:
        return "help only: neither router promises to forward while its daemon is away (RFC 4724)"
    return (
        f"on: while {restarting} daemon restarts, {GRACEFUL_RESTART_S} s at most, routes stay and the kernel forwards "
        "by them (RFC 4724); loss of carrier ends that at once, and nothing else does"
    )


def _draining(view: View) -> str:
    if not view.local.draining:
        return ""
    return "this end is being drained: neighbours are asked to prefer other ways (RFC 8326)"


def _maximum(view: View) -> str:
    most = view.local.maximum_prefixes
    if most is None:
        return "" if not view.external else "no limit"
    return f"{most}; {_after_maximum(view)} (RFC 7454 section 8)"


def _after_maximum(view: View) -> str:
    if view.node.platform is Platform.FRR:
        wait = show_duration(_FRR_WAIT_AFTER_MAXIMUM_MS)
        return f"with more of them accepted the session is closed and tried again after {wait}"
    # BIRD would try again after a second, and flap before everybody as long as the flood lasts.
    return "with more of them sent, refused ones too, the session is closed and stays so until an operator enables it"


def _paths_taken(view: View) -> str:
    return "the other end sends every path it may use, not only its best (RFC 7911)" if view.remote.add_path else ""


def _their_maximum(view: View) -> str:
    most = view.remote.maximum_prefixes
    return "" if most is None else f"the other end takes {most} from us at most"


def _default_route(view: View) -> str:
    if not view.local.default_originate:
        return ""
    return "made here and always announced, whatever this router's own table holds; the policy does not judge it"


def _next_hop(view: View) -> str:
    if not view.local.next_hop_self:
        return ""
    return "this router, for routes from outside: nobody inside needs to know the border's circuits"


def _reflection(view: View) -> str:
    if not view.local.route_reflector_client:
        return ""
    return "the other end is our client: it gets what other routers of our network told us (RFC 4456)"


def _paths_sent(view: View) -> str:
    if not view.local.add_path:
        return ""
    return "every path that may be used is sent, not only the best (RFC 7911)"


def _route_server(view: View) -> str:
    return (
        "this end is one: next hop and AS path are passed on as they came (RFC 7947)" if view.local.route_server else ""
    )


def _sources(view: View) -> str:
    interface = view.interface
    if interface is None:
        return ""
    if interface.kind in _OUTWARD:
        return _outward_words(view, interface)
    return _SOURCE_FILTERS[interface.source_filter](interface)


def _outward_words(view: View, interface: Interface) -> str:
    prefixes = view.plan.network.prefixes
    networks = [address.interface.network for address in interface.addresses]
    inside = any(net.version == own.version and net.overlaps(own) for net in networks for own in prefixes)
    spared = ", those of the circuit itself apart," if inside else ""
    return (
        f"on {interface.name}, packets that claim to come from our own prefixes ({_list_words(prefixes)}){spared} "
        "from our routers, or from loopback or multicast addresses are dropped (BCP 38, RFC 3704)"
    )


def _strict_words(interface: Interface) -> str:
    allowed = _list_words(interface.source_prefixes)
    return f"on {interface.name}, only packets from {allowed} and from the circuit itself come in (BCP 38, RFC 2827)"


_SOURCE_FILTERS: dict[SourceFilter, Callable[[Interface], str]] = {
    SourceFilter.NONE: lambda interface: f"on {interface.name}, sources are not checked",
    SourceFilter.STRICT: _strict_words,
    SourceFilter.LOOSE: lambda interface: (
        f"on {interface.name}, only packets whose source has a route come in, for the neighbour has other ways too; "
        "what it has not been given of our addresses does not (BCP 84, RFC 8704)"
    ),
}


def _transit(view: View) -> str:
    interface = view.interface
    if interface is None or interface.kind is not InterfaceKind.PORT:
        return ""
    return (
        f"on {interface.name}, only packets for our own and our customers' prefixes are forwarded: "
        "nobody at an exchange can make us their provider"
    )


def _list_words(entries: tuple[IPNetwork, ...]) -> str:
    return ", ".join(map(str, entries)) if len(entries) <= _SHORT else f"{len(entries)} prefixes"


def _to_the_router(view: View) -> str:
    bfd = " and BFD" if view.local.bfd is not None else ""
    where = f" through {view.local.interface}" if view.local.interface else ""
    opening = ", at most 5 new BGP connections a second among it" if view.local.interface else ""
    return (
        f"from {view.remote.address}{where}, only BGP{bfd} to {view.local.address}, ICMP within a rate and answers to "
        f"what it asked itself reach this router{opening}; all else is dropped (RFC 6192, RFC 7454 section 4)"
    )


def _management(view: View) -> str:
    interface = view.interface
    if interface is None:
        return "SSH reaches the router from our own routers' loopbacks over our own links only"
    if interface.kind is InterfaceKind.LINK:
        return "SSH reaches the router from our own routers' loopbacks, and from the router next door"
    return f"nobody reaches SSH through {interface.name}; OSPF is neither spoken nor heard there"


def _no_tcp_ao(view: View) -> str:
    if not view.external:
        return ""
    return f"{_platform(view)} has no TCP-AO (RFC 5925): a password is TCP MD5, which RFC 5925 calls obsolete"


def _no_source_filter(view: View) -> str:
    if not view.external:
        return ""
    return f"{_platform(view)} judges routes, not packets: nftables.conf beside its file stops spoofed sources"


def _whole_seconds(view: View) -> str:
    if view.local.bfd is not None and view.remote.bfd is not None:
        return ""
    return f"{_platform(view)} counts hold times in whole seconds, 3 at least: anything faster needs BFD at both ends"


def _no_path_check(view: View) -> str:
    if not view.remote.route_server:
        return ""
    return "a route server leaves its own AS out of the path (RFC 7947): that paths begin with it cannot be checked"


def _platform(view: View) -> str:
    return PLATFORM_WORDS[view.node.platform] if view.node.platform is not None else ""


_Makers = tuple[tuple[str, Callable[[View], str]], ...]

_ABOUT: _Makers = (
    ("this end", _here),
    ("other end", _there),
    ("addresses", _assigned),
    ("relation", _relation),
    ("role", _role),
    ("hold time", _hold),
    ("BFD", _bfd),
    ("carrier", _carrier),
    ("connecting", _retry),
    ("authentication", _authentication),
    ("GTSM", _gtsm),
    ("graceful restart", _restart),
    ("maintenance", _draining),
)
_BESIDE_IMPORT: _Makers = (("maximum prefixes", _maximum), ("several paths", _paths_taken))
_BESIDE_EXPORT: _Makers = (
    ("default route", _default_route),
    ("next hop", _next_hop),
    ("reflection", _reflection),
    ("several paths", _paths_sent),
    ("route server", _route_server),
    ("their limit", _their_maximum),
)
_PACKETS: _Makers = (
    ("sources", _sources),
    ("transit", _transit),
    ("the router itself", _to_the_router),
    ("management", _management),
)
_LIMITS: _Makers = (
    ("authentication", _no_tcp_ao),
    ("packets", _no_source_filter),
    ("timers", _whole_seconds),
    ("first AS", _no_path_check),
)
