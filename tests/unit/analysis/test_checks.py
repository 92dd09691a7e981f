"""Each rule of `resilience check` finds what it looks for, says what would help, and keeps quiet otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from resilience.analysis import CHECKS, analyse
from resilience.analysis.subject import Subject, join
from resilience.intent import read_intent
from resilience.model.findings import Finding, Severity
from resilience.model.network import (
    Accept,
    Bfd,
    Link,
    Network,
    Objective,
    Platform,
    Port,
    Raw,
    RawPlace,
    RpkiServer,
    Uplink,
)
from resilience.model.plan import Plan
from resilience.plan import make_plan
from tests.support.analysis_networks import (
    ANY_ONE,
    AT,
    circle_of_preferences,
    dual_homed,
    plan_of,
    two_sites,
    with_bfd,
)

BFD = Bfd(interval_ms=100, multiplier=3)


def change_uplinks(network: Network, **changes: dict[str, Any]) -> Network:
    """Return the network with some uplinks changed."""
    uplinks = {name: replace(uplink, **changes.get(name, {})) for name, uplink in network.uplinks.items()}
    return replace(network, uplinks=uplinks)


def change(network: Network, kind: str, name: str, **changes: Any) -> Network:
    """Return the network with one thing changed."""
    things = dict(getattr(network, kind))
    things[name] = replace(things[name], **changes)
    altered: Any = {kind: things}
    return replace(network, **altered)


def raw(place: RawPlace, *lines: str) -> tuple[Raw, ...]:
    """Return raw lines that stand somewhere."""
    return (Raw(place=place, lines=lines, at=AT),)


def with_risk(network: Network, *uplinks: str) -> Network:
    """Return the network with uplinks that share the western border."""
    return change_uplinks(network, **{name: {"risks": ("border-west",)} for name in uplinks})


def with_third_uplink(network: Network) -> Network:
    """Return the two sites with a satellite at the south."""
    sky = Uplink(name="sky", router="s1", provider="beta", rank=3, at=AT)
    return replace(network, uplinks={**network.uplinks, "sky": sky})


def with_second_link(network: Network) -> Network:
    """Return the two sites with another cable between them."""
    links = {**network.links, "n1-s1-2": Link(name="n1-s1-2", ends=("n1", "s1"), capacity_bps=10**10, at=AT)}
    return replace(network, links=links)


def silent(network: Network) -> Network:
    """Return the network with a promise about silent failures."""
    return replace(network, objectives=(replace(ANY_ONE, during=("any-one-silent-failure",)),))


def lonely(network: Network) -> Network:
    """Return the two sites without their link, and without an uplink or port at the south."""
    uplinks = {name: uplink for name, uplink in network.uplinks.items() if uplink.router == "n1"}
    customers = {name: customer for name, customer in network.customers.items() if customer.routers == ("n1",)}
    return replace(network, links={}, uplinks=uplinks, customers=customers, services={}, objectives=())


@dataclass(frozen=True)
class Case:
    """A network in which a rule finds something, words of the finding, and a network in which it does not."""

    network: Callable[[], Network]
    subject: str
    words: tuple[str, ...]
    remedy: str
    quiet: Callable[[], Network]


CASES = {
    "objective-not-kept": Case(
        lambda: replace(lonely(two_sites()), objectives=(replace(ANY_ONE, whom="south"),)),
        "keep internet for south",
        ("does not hold even while everything works", "no route at s1"),
        "look at the way",
        dual_homed,
    ),
    "objective-falls": Case(
        two_sites,
        "keep internet for customers",
        ("falls when link n1-s1 fails", "n1 still announces the prefix"),
        "a second link between n1 and s1 that does not share n1-s1",
        lambda: with_second_link(two_sites()),
    ),
    "objective-late": Case(
        lambda: silent(with_bfd(dual_homed(Platform.BIRD), None)),
        "keep internet for customers",
        ("promises 3.0 s", "uplink alpha-fibre fails silently", "hold timer of 3 min at "),
        "agree on BFD with ",
        lambda: silent(with_bfd(dual_homed(Platform.BIRD), BFD)),
    ),
    "shared-risk": Case(
        lambda: with_risk(two_sites(), "west", "east"),
        "risk border-west",
        ("both uplinks (west and east) leave through border-west (Western border)",),
        "an uplink that does not share border-west",
        lambda: with_risk(two_sites(), "west"),
    ),
    "single-point-of-failure": Case(
        lambda: change_uplinks(two_sites(), east={"router": "n1"}),
        "link n1-s1",
        ("link n1-s1 is the only way to s1",),
        "a second link to s1",
        lambda: with_second_link(two_sites()),
    ),
    "partition-attracts": Case(
        two_sites,
        "link n1-s1",
        ("when link n1-s1 fails, the network falls into n1 | s1", "discard it"),
        "a second way between n1 and s1",
        lambda: with_second_link(two_sites()),
    ),
    "no-way-out": Case(
        lambda: lonely(two_sites()), "router s1", ("s1 reaches neither",), "a link to the rest", two_sites
    ),
    "single-provider": Case(
        lambda: change_uplinks(dual_homed(), **{"beta-radio": {"provider": "alpha"}}),
        "provider alpha",
        ("alpha-fibre and beta-radio all lead to one provider, alpha",),
        "a second provider",
        dual_homed,
    ),
    "single-router-site": Case(
        dual_homed,
        "site gw",
        ("site gw has a single router, gw", "every user there falls with it"),
        "a second router at gw",
        lambda: change(two_sites(), "routers", "s1", site="north"),
    ),
    "service-at-one-site": Case(
        two_sites,
        "service money",
        ("service money runs at south only",),
        "at: [south, ...]",
        lambda: change(two_sites(), "services", "money", sites=("north", "south")),
    ),
    "needs-elsewhere": Case(
        lambda: change(two_sites(), "services", "dns", sites=("north",)),
        "service money",
        ("money (south) needs dns, which runs at north only",),
        "run dns at south too",
        two_sites,
    ),
    "raw-lines": Case(
        lambda: change_uplinks(dual_homed(), **{"alpha-fibre": {"raw": raw(RawPlace.FRR_FAMILY, "weight 5")}}),
        "uplink alpha-fibre",
        ("raw lines under `frr_family` (1 line) may undo the ranks of uplinks", "Predictions do not see them"),
        "read them beside the rendered file",
        dual_homed,
    ),
    "raw-secret": Case(
        lambda: change(dual_homed(), "routers", "gw", raw=raw(RawPlace.FRR_CONF, "key chain a", " key-string abc")),
        "router gw",
        ("raw `frr.conf` seems to hold a password or key",),
        "state `password: env:NAME`",
        lambda: change(dual_homed(), "routers", "gw", raw=raw(RawPlace.FRR_CONF, "ip route 192.0.2.1/32 blackhole")),
    ),
    "maximum-too-low": Case(
        lambda: change_uplinks(dual_homed(), **{"alpha-fibre": {"maximum_prefixes": {4: 500_000}}}),
        "uplink alpha-fibre",
        ("at most 500,000 IPv4 prefixes", "a full table has more than 1,000,000"),
        "accept: partial",
        lambda: change_uplinks(
            dual_homed(), **{"alpha-fibre": {"maximum_prefixes": {4: 500}, "accept": Accept.PARTIAL}}
        ),
    ),
    "prefix-too-long": Case(
        lambda: change(two_sites(), "customers", "bank", prefixes=(ip_network("192.0.2.128/25"),)),
        "customer bank",
        ("192.0.2.128/25 of bank is longer than the Internet takes",),
        "a prefix of /24 or /48",
        lambda: change(two_sites(), "customers", "bank", prefixes=(ip_network("192.0.2.0/24"),)),
    ),
    "graceful-restart-lossy": Case(
        lambda: change_uplinks(dual_homed(Platform.BIRD), **{"beta-radio": {"graceful_restart": True, "bfd": BFD}}),
        "uplink beta-radio",
        ("uplink beta-radio on gw is left off", "BFD runs on the same sessions"),
        "remove `graceful_restart`",
        lambda: change_uplinks(dual_homed(Platform.BIRD), **{"beta-radio": {"graceful_restart": True}}),
    ),
    "platform-lacks": Case(
        dual_homed,
        "router gw",
        ("gw cannot stop the attack refused-prefixes-count", "FRR 8.4 counts what its filters let pass"),
        "declare the prefixes",
        lambda: dual_homed(Platform.BIRD),
    ),
    "management-open": Case(
        lambda: replace(dual_homed(), management=(ip_network("0.0.0.0/0"), ip_network("192.0.2.0/28"))),
        "dual-homed",
        ("management is open to everybody: 0.0.0.0/0 may log in",),
        "the prefixes of those who run this network",
        lambda: replace(dual_homed(), management=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))),
    ),
    "no-bfd": Case(
        dual_homed,
        "uplink alpha-fibre",
        ("no BFD with the provider provider-alpha", "up to 3 min", "timers at provider-alpha alone"),
        "state `bfd: true`",
        lambda: with_bfd(dual_homed(), BFD),
    ),
    "unequal-shares": Case(
        lambda: change_uplinks(two_sites(), east={"rank": 1}),
        "uplink east",
        ("west (2G) and east (1G) share load equally (rank 1): east fills up first",),
        "give east a higher rank",
        two_sites,
    ),
    "small-backup": Case(
        two_sites,
        "uplink east",
        ("east (1G) stands in for west (2G) and carries 50 % of it",),
        "more capacity",
        lambda: change_uplinks(two_sites(), east={"capacity_bps": 2 * 10**9}),
    ),
    "inbound-not-steered": Case(
        dual_homed,
        "uplink beta-radio",
        ("what beta and its customers send to us comes in over beta-radio", "rank is 2"),
        "its community that lowers preference",
        lambda: change(dual_homed(), "providers", "beta", communities={"lower-preference": "64497:70"}),
    ),
    "default-only": Case(
        lambda: change_uplinks(dual_homed(), **{"beta-radio": {"accept": Accept.DEFAULT}}),
        "uplink beta-radio",
        ("takes only a default route", "when beta loses"),
        "accept: full",
        dual_homed,
    ),
    "single-route-server": Case(
        lambda: change(two_sites(), "exchanges", "mlix", route_servers=two_sites().exchanges["mlix"].route_servers[:1]),
        "exchange mlix",
        ("a single route server",),
        "second route server",
        two_sites,
    ),
    "no-graceful-shutdown": Case(
        lambda: replace(dual_homed(), objectives=(replace(ANY_ONE, during=("maintenance",)),)),
        "provider alpha",
        ("alpha does not promise to act on graceful shutdown",),
        "honours: [gshut]",
        dual_homed,
    ),
    "no-rpki": Case(
        dual_homed,
        "dual-homed",
        ("no RPKI validator",),
        "`rpki:`",
        lambda: replace(
            dual_homed(), rpki=(RpkiServer(name="rpki", address=ip_network("192.0.2.9/32").network_address),)
        ),
    ),
    "one-family": Case(
        lambda: replace(dual_homed(), prefixes=(ip_network("198.51.100.0/24"),)),
        "dual-homed",
        ("no IPv6 prefix is declared",),
        "add an IPv6 prefix",
        dual_homed,
    ),
    "no-capacity": Case(
        dual_homed,
        "uplink alpha-fibre",
        ("no capacity is stated for uplink alpha-fibre and uplink beta-radio",),
        "state `capacity:`",
        two_sites,
    ),
    "left-out": Case(
        dual_homed,
        "keep internet for customers",
        ("says nothing about who stands inside what fails", "router gw (6 flows)"),
        "a second site or router",
        lambda: replace(dual_homed(), objectives=(replace(ANY_ONE, during=("uplink beta-radio",)),)),
    ),
    "no-objectives": Case(
        lambda: replace(dual_homed(), objectives=(replace(ANY_ONE, stated=False),)),
        "dual-homed",
        ("no objectives are stated; assumed: keep internet for customers during any-one-failure",),
        "`objectives:`",
        dual_homed,
    ),
    "documentation-numbers": Case(
        dual_homed,
        "dual-homed",
        ("AS 64500", "198.51.100.0/24", "set aside for documentation"),
        "your registry",
        lambda: replace(
            dual_homed(),
            asn=37000,
            prefixes=(ip_network("196.200.0.0/22"), ip_network("2c0f:f000::/32")),
            providers={n: replace(p, asn=37001 + i) for i, (n, p) in enumerate(dual_homed().providers.items())},
        ),
    ),
    "not-assigned": Case(
        dual_homed,
        "uplink alpha-fibre",
        ("uplink alpha-fibre: our IPv4 address is not assigned yet",),
        "ask alpha",
        lambda: replace(dual_homed(), uplinks={}, providers={}, objectives=()),
    ),
}


def find(rule: str, network: Network) -> list[Finding]:
    """Return what one rule finds; only that rule runs."""
    return find_in(rule, plan_of(network))


def find_in(rule: str, plan: Plan) -> list[Finding]:
    """Return what one rule finds in a plan."""
    check = next(check for check in CHECKS if check.rule == rule)
    subject = Subject(plan)
    return [
        Finding(
            rule=rule,
            severity=found.severity or check.severity,
            subject=found.subject,
            message=found.message,
            remedy=found.remedy,
            at=found.at,
            flows=found.flows,
        )
        for found in check.find(subject)
    ]


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_finds_what_it_looks_for(rule: str) -> None:
    """Subject, words and remedy."""
    case = CASES[rule]
    found = [finding for finding in find(rule, case.network()) if finding.subject.startswith(case.subject)]

    assert found
    assert any(all(word in finding.message for word in case.words) for finding in found), found
    assert any(case.remedy in finding.remedy for finding in found), found


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_keeps_quiet_where_nothing_is_wrong(rule: str) -> None:
    """The same subject, mended."""
    case = CASES[rule]
    found = [f for f in find(rule, case.quiet()) if f.subject.startswith(case.subject) and case.words[0] in f.message]

    assert not found


def test_every_rule_has_a_test() -> None:
    """A new rule has to be given a case here; `may-oscillate` has a test of its own."""
    assert {check.rule for check in CHECKS} - {"may-oscillate"} == set(CASES)


def test_every_rule_says_on_whose_word() -> None:
    """A source, a description, and a name of its own."""
    assert len({check.rule for check in CHECKS}) == len(CHECKS)
    assert all(check.source and check.looks_for for check in CHECKS)


def test_policies_that_chase_each_other_are_found() -> None:
    """Three networks that each prefer the way through their neighbour to their own never come to rest (RFC 4264)."""
    found = find_in("may-oscillate", circle_of_preferences(preferred=200))

    assert [finding.severity for finding in found] == [Severity.ERROR]
    assert "never agree on the way to 198.51.100.0/24" in found[0].message


def test_policies_that_do_not_chase_each_other_rest() -> None:
    """The same circle without the preference."""
    assert not find_in("may-oscillate", circle_of_preferences(preferred=100))


def test_errors_come_first_and_decide() -> None:
    """Worst first, in the order of the table."""
    findings = analyse(plan_of(two_sites()))
    severities = [finding.severity for finding in findings.findings]

    assert severities == sorted(severities, key=list(Severity).index)
    assert severities[0] is Severity.ERROR
    assert not findings.deployable


def test_the_same_plan_is_judged_the_same_twice() -> None:
    """Order and words are stable."""
    assert analyse(plan_of(two_sites())) == analyse(plan_of(two_sites()))


def test_maintenance_is_judged_on_the_drained_network() -> None:
    """Providers that honour graceful shutdown move before anything is taken down: nothing is late."""
    promise = Objective(keep="internet", whom="customers", during=("maintenance",), within_ms=0, at=AT)
    network = replace(dual_homed(), objectives=(promise,))
    honest = {name: replace(p, honours=frozenset({"gshut"})) for name, p in network.providers.items()}
    plan, numbers = make_plan(replace(network, providers=honest))

    assert not [f for f in analyse(plan, numbers).findings if f.severity is Severity.ERROR]


def test_a_first_choice_and_its_backup_behind_one_risk_are_named() -> None:
    """A third uplink does not make the first two independent."""
    found = find("shared-risk", with_risk(with_third_uplink(two_sites()), "west", "east"))

    assert any("west and east, the first choice and its backup" in f.message and "only sky" in f.message for f in found)


def test_a_site_whose_uplinks_share_a_risk_is_named() -> None:
    """Although the network as a whole has another way out."""
    found = find("shared-risk", with_risk(with_third_uplink(two_sites()), "east", "sky"))

    assert [f.message for f in found] == [
        "both uplinks of south (east and sky) leave through border-west (Western border)"
    ]


def test_two_parallel_links_are_no_single_point() -> None:
    """A graph library that counts pairs would call them a bridge."""
    network = with_second_link(change_uplinks(two_sites(), east={"router": "n1"}))

    assert "link n1-s1" not in {f.subject for f in find("single-point-of-failure", network)}
    assert "router n1" in {f.subject for f in find("single-point-of-failure", network)}


def test_a_second_port_is_another_way_out() -> None:
    """Uplinks and ports both lead outside: a router with either does not hang on its link."""
    network = change_uplinks(two_sites(), east={"router": "n1"})
    exchange = network.exchanges["mlix"]
    ports = (*exchange.ports, Port(name="mlix-s1", router="s1", at=AT))

    assert not find("single-point-of-failure", change(network, "exchanges", "mlix", ports=ports))


@pytest.mark.parametrize("example", ["dual-homed", "bamako-isp", "silent-provider"])
def test_examples_are_judged_with_remedies(checkout: Path, example: str) -> None:
    """Every error and warning of a shipped example says what to do."""
    plan, numbers = make_plan(read_intent(checkout / "inventories" / example))
    for finding in analyse(plan, numbers).findings:
        assert finding.remedy, finding.message
        assert finding.at is None or finding.at.line > 0


def test_the_smallest_example_holds(checkout: Path) -> None:
    """Ten lines declare a safe dual-homed business."""
    plan, numbers = make_plan(read_intent(checkout / "inventories" / "dual-homed"))

    assert not [f for f in analyse(plan, numbers).findings if f.severity is Severity.ERROR]


@pytest.mark.parametrize(
    ("names", "text"),
    [((), ""), (("a",), "a"), (("a", "b"), "a and b"), (("a", "b", "c"), "a, b and c")],
)
def test_names_are_joined_as_people_say_them(names: tuple[str, ...], text: str) -> None:
    """And long lists are counted."""
    assert join(names) == text
    assert join([*"abcdefgh"]) == "a, b, c, d, e, f and 2 more"
