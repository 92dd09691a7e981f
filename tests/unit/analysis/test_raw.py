"""What raw lines may undo is told by their words, and never by their secrets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resilience.analysis import analyse
from resilience.analysis.raw import TOUCHES, touched
from resilience.model.findings import Severity
from resilience.model.network import Raw, RawPlace
from tests.support.analysis_networks import AT, dual_homed, plan_of

CONF, FAMILY, BIRD, CHANNEL = RawPlace.FRR_CONF, RawPlace.FRR_FAMILY, RawPlace.BIRD_CONF, RawPlace.BIRD_CHANNEL
FILTER, KERNEL = RawPlace.NFTABLES_CONF, RawPlace.SYSCTL_CONF
WORDS = [
    (CONF, " no bgp ebgp-requires-policy", "RFC 8212"),
    (FAMILY, "route-map OPEN in", "leak protection"),
    (CHANNEL, "import all;", "leak protection"),
    (BIRD, "filter mine { accept; }", "leak protection"),
    (FAMILY, "no maximum-prefix", "limit of prefixes"),
    (CHANNEL, "import limit 5 action warn;", "limit of prefixes"),
    (RawPlace.FRR, "no ttl-security hops 1", "GTSM"),
    (RawPlace.FRR, "password hunter2", "the session's password"),
    (RawPlace.BIRD, "local role peer;", "RFC 9234"),
    (RawPlace.FRR, "no enforce-first-as", "first AS"),
    (CONF, "no rpki", "RFC 6811"),
    (FAMILY, "send-community standard", "communities"),
    (FAMILY, "weight 5", "ranks of uplinks"),
    (RawPlace.BIRD, "graceful restart on;", "no stale route"),
    (RawPlace.FRR, "no bfd", "failover"),
    (CONF, "ip route 0.0.0.0/0 192.0.2.1", "ways that packets take"),
    (FILTER, "flush ruleset", "anti-spoofing"),
    (FILTER, "insert rule inet netresilience protect accept", "locked management plane"),
    (FILTER, "table inet mine { chain x { type filter hook input priority -500; accept } }", "anti-spoofing"),
    (FILTER, "delete table inet netresilience", "anti-spoofing"),
    (FILTER, "add rule inet mine out masquerade", "services"),
    (KERNEL, "net.ipv4.conf.all.rp_filter = 1", "anti-spoofing"),
    (KERNEL, "net.ipv6.conf.default.accept_redirects = 1", "turn our traffic away"),
    (KERNEL, "net.ipv4.ip_forward = 0", "forwarding"),
]


@pytest.mark.parametrize(("place", "line", "undone"), WORDS)
def test_words_name_what_they_may_undo(place: RawPlace, line: str, undone: str) -> None:
    """On each platform in its own words."""
    found, silent = touched(Raw(place=place, lines=(line,)))

    assert any(undone in what for what in found), found
    assert silent == 0


def test_every_protection_of_the_table_is_tried() -> None:
    """A row that no line reaches is a row that nobody has seen work."""
    reached = {what for place, line, _ in WORDS for what in touched(Raw(place=place, lines=(line,)))[0]}

    assert {touch.undoes for touch in TOUCHES} == reached


@pytest.mark.parametrize(
    ("place", "lines"),
    [
        (
            FILTER,
            ("table inet mine", "delete table inet mine", "table inet mine {", "  chain x {", "    counter", "}}"),
        ),
        (FILTER, ("type filter hook forward priority 10; policy accept;", "udp dport 53 counter")),
        (CONF, ("router bgp 64500", " address-family ipv4 unicast", " exit-address-family", "exit")),
        (FILTER, ("# flush ruleset",)),
        (CONF, ("! route-map",)),
        (RawPlace.FRR, ("description by hand",)),
    ],
)
def test_comments_and_what_stands_for_itself_undo_nothing(place: RawPlace, lines: tuple[str, ...]) -> None:
    """A finding that always says everything would say nothing."""
    assert touched(Raw(place=place, lines=lines)) == ([], 0)


def test_a_line_without_a_known_word_may_undo_anything() -> None:
    """What is not understood is not believed to be harmless."""
    raw = Raw(place=CONF, lines=("zebra frobnicate",), at=AT)
    network = dual_homed()
    gateway = replace(network.routers["gw"], raw=(raw,))
    findings = analyse(plan_of(replace(network, routers={"gw": gateway}))).findings

    found = [finding for finding in findings if finding.rule == "raw-lines"]
    assert [finding.severity for finding in found] == [Severity.WARNING]
    assert "anything in this file (1 line not understood)" in found[0].message
    assert "Predictions do not see them" in found[0].message


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (RawPlace.FRR, "password hunter2"),
        (RawPlace.BIRD, 'password "hunter2";'),
        (BIRD, 'authentication md5; password "hunter2" { };'),
        (CONF, " ip ospf message-digest-key 1 md5 hunter2"),
    ],
)
def test_a_secret_in_raw_lines_is_told_and_not_shown(place: RawPlace, line: str) -> None:
    """It stands in clear in the intent already; a report must not spread it further."""
    network = dual_homed()
    gateway = replace(network.routers["gw"], raw=(Raw(place=place, lines=(line,), at=AT),))
    plan = plan_of(replace(network, routers={"gw": gateway}))
    findings = analyse(plan).findings

    assert "raw-secret" in {finding.rule for finding in findings}
    assert "hunter2" not in repr(findings)
    assert "hunter2" not in repr(plan.network)
