"""Every check that `resilience check` makes, in one table: what it is called, how bad it is, and on whose word."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from resilience.analysis import limits, lint, promises, raw, structure
from resilience.analysis.subject import Found, Subject
from resilience.model.findings import Severity


@dataclass(frozen=True, slots=True)
class Check:
    """One rule."""

    rule: str
    severity: Severity
    looks_for: str
    source: str
    find: Callable[[Subject], Iterable[Found]]


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

CHECKS: Final = (
    Check(
        "objective-not-kept",
        _E,
        "a promise that does not hold even while everything works",
        "the network's own objectives",
        promises.find_never_kept,
    ),
    Check(
        "objective-falls",
        _E,
        "a failure after which a promise is never kept again",
        "the network's own objectives",
        promises.find_falls,
    ),
    Check(
        "objective-late",
        _E,
        "a failure after which a promise is kept later than `within` (a warning where it only may be)",
        "the network's own objectives; RFC 4271, RFC 5880 and the daemons' constants",
        promises.find_late,
    ),
    Check(
        "may-oscillate",
        _E,
        "policies without a settled state",
        "RFC 4264 (BGP wedgies), RFC 3345",
        promises.find_oscillation,
    ),
    Check(
        "shared-risk",
        _W,
        "ways out that look separate and fall together",
        "RFC 4202 section 2.3 (shared risk link groups)",
        structure.find_shared_risks,
    ),
    Check(
        "single-point-of-failure",
        _W,
        "a link or router without which others reach nobody",
        "bridges and articulation points of the cabling",
        structure.find_single_points,
    ),
    Check(
        "partition-attracts",
        _W,
        "a break after which cut-off border routers attract traffic that they discard",
        "RFC 7454 section 6; the anchors of this plan",
        structure.find_attracting_partitions,
    ),
    Check("no-way-out", _W, "a router that reaches nobody", "the plan's links", structure.find_no_way_out),
    Check(
        "single-provider",
        _W,
        "all transit from one provider, or none",
        "MANRS; RFC 4116 (multihoming)",
        lint.find_single_provider,
    ),
    Check(
        "single-router-site", _W, "a site that one router carries", "the plan's sites", lint.find_single_router_sites
    ),
    Check(
        "service-at-one-site",
        _W,
        "a service that lives in one place",
        "RFC 4786 (anycast)",
        lint.find_services_at_one_site,
    ),
    Check(
        "needs-elsewhere",
        _W,
        "a service that needs another one far away",
        "LANGUAGE, services: needs",
        lint.find_needs_elsewhere,
    ),
    Check(
        "raw-lines",
        _W,
        "lines of a platform's own language, and the protections that they may undo",
        "the protections' own sources; LANGUAGE, raw",
        raw.find_raw_lines,
    ),
    Check("raw-secret", _W, "a password or key in raw lines", "LANGUAGE, secrets", raw.find_raw_secrets),
    Check(
        "maximum-too-low",
        _W,
        "a limit of prefixes below what a full table has",
        "RFC 7454 section 8; the size of the Internet's table",
        limits.find_low_maximum,
    ),
    Check(
        "prefix-too-long",
        _W,
        "a customer's prefix that the Internet does not take",
        "RFC 7454 section 6.1.3",
        limits.find_long_prefixes,
    ),
    Check(
        "management-open",
        _W,
        "routers that strangers or customers may log in to",
        "RFC 7454 section 4, RFC 6192",
        limits.find_open_management,
    ),
    Check(
        "no-bfd",
        _W,
        "a neighbour whose hold time alone notices a silent failure",
        "RFC 5880, RFC 5882 section 4.3; RFC 4271 section 10",
        lint.find_no_bfd,
    ),
    Check(
        "graceful-restart-lossy",
        _W,
        "a session that is to survive a restart of its daemon on a router that would lose packets",
        "RFC 4724 section 4.1, RFC 5882 section 4.3; measured on the daemons (decision 0010)",
        lint.find_lossy_restarts,
    ),
    Check(
        "platform-lacks",
        _W,
        "a protection that a router's platform has not",
        "`resilience prove`: the scenario whose attack works on that platform",
        lint.find_platform_lacks,
    ),
    Check(
        "unequal-shares",
        _W,
        "uplinks of equal rank and different capacity",
        "LANGUAGE: equal ranks share load",
        lint.find_unequal_shares,
    ),
    Check(
        "small-backup", _W, "a backup that carries less than what it stands in for", "RFC 4116", lint.find_small_backups
    ),
    Check(
        "inbound-not-steered",
        _W,
        "a backup that its own provider's customers use anyway",
        "RFC 1998 (preference by community); RFC 9234 section 1 (customers first)",
        lint.find_unsteered,
    ),
    Check(
        "default-only",
        _N,
        "an uplink that cannot tell what its provider lost",
        "RFC 4116 section 3",
        lint.find_default_only,
    ),
    Check(
        "single-route-server",
        _N,
        "an exchange reached over one route server",
        "RFC 7948 (operations of route servers)",
        lint.find_single_route_server,
    ),
    Check("no-graceful-shutdown", _N, "a provider that maintenance cannot drain", "RFC 8326", lint.find_no_gshut),
    Check("no-rpki", _N, "no validator for the origin of routes", "RFC 6811, RFC 7115, MANRS", lint.find_no_validator),
    Check("one-family", _N, "no prefix of IPv4 or of IPv6", "RFC 6540", lint.find_one_family),
    Check("no-capacity", _N, "links and uplinks without a stated capacity", "LANGUAGE", lint.find_no_capacity),
    Check("left-out", _N, "failures inside which an end of a flow stands", "LANGUAGE, objectives", lint.find_left_out),
    Check("no-objectives", _N, "promises that nobody stated", "LANGUAGE, objectives", lint.find_no_objectives),
    Check(
        "documentation-numbers",
        _N,
        "numbers that cannot be used on the Internet",
        "RFC 5398, RFC 5737, RFC 3849, RFC 9637, RFC 1918, RFC 6996",
        lint.find_documentation,
    ),
    Check(
        "not-assigned",
        _N,
        "what another party has to assign before deployment",
        "LANGUAGE, ends of a circuit",
        lint.find_missing,
    ),
)
