"""What may stand in a change: nothing by which the account that deploys could become root, or read what is root's."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.deploy.on_router.netresilience_router.content import check_content
from resilience.deploy.on_router.netresilience_router.refused import Refused

FILES = (
    "addresses.batch",
    "bird.conf",
    "daemons",
    "envvars",
    "frr.conf",
    "nftables.conf",
    "rules6.batch",
    "sysctl.conf",
    "vtysh.conf",
)
SHELL = ";&|$`(){}<>'\\*?!~\r\x0b\x0c\x85\u2028\xa0"
"""What a shell takes for more than a word, and what only some programs take for the end of a line."""


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("addresses.batch", "netns exec blue sh"),
        ("addresses.batch", "link set dev eth0 xdp object /home/netops/x.o"),
        ("addresses.batch", "link set dev eth0 xdpgeneric pinned /tmp/x"),
        ("addresses.batch", "route replace 192.0.2.0/24 encap bpf out obj /tmp/x.o dev eth0"),
        ("addresses.batch", "link set dev eth0 netns 1"),
        ("addresses.batch", "link set dev eth0 up\x0bnetns exec blue sh"),
        ("addresses.batch", "; netns exec blue sh"),
        ("addresses.batch", "address flush dev eth0"),
        ("rules6.batch", "netns exec blue sh"),
        ("rules6.batch", "rule del pref 0"),
        ("sysctl.conf", "kernel.core_pattern = |/tmp/x"),
        ("sysctl.conf", "kernel.core_pattern=core"),
        ("sysctl.conf", "-kernel.modprobe = /tmp/x"),
        ("sysctl.conf", "net.ipv4.x = |/tmp/x"),
        ("nftables.conf", 'include "/etc/shadow"'),
        ("nftables.conf", 'define x = 1; include "/etc/shadow"'),
        ("nftables.conf", 'table inet a { comment "#" }; include "/etc/shadow"'),
        ("nftables.conf", 'include\\\n"/etc/shadow"'),
        ("bird.conf", 'include "/etc/shadow";'),
        ("bird.conf", '  log "/etc/cron.d/x" all;'),
        ("bird.conf", 'router id 192.0.2.1; log "/etc/cron.d/x" all;'),
        ("bird.conf", '/* # */ log "/etc/cron.d/x" all;'),
        ("bird.conf", 'define x = "#"; mrtdump "/etc/cron.d/x";'),
        ("bird.conf", 'protocol mrt { table "x"; filename "/etc/cron.d/x"; }'),
        ("frr.conf", "log file /etc/cron.d/x"),
        ("frr.conf", "  log   file /etc/cron.d/x"),
        ("frr.conf", "log fil /etc/cron.d/x"),
        ("frr.conf", "log\x0bfile /etc/cron.d/x"),
        ("frr.conf", "log filtered-file /etc/cron.d/x"),
        ("frr.conf", "dump bgp all /etc/cron.d/x"),
        ("frr.conf", "du b a /etc/cron.d/x"),
        ("frr.conf", "username x nopassword"),
        ("frr.conf", "zebra on-rib-process script x"),
        ("vtysh.conf", "username x nopassword"),
        ("daemons", "bgpd=yes; sh"),
        ("daemons", "; sh"),
        ("daemons", 'bgpd_options="$(sh)"'),
        ("daemons", 'bgpd_options="-A 127.0.0.1 -u root"'),
        ("daemons", 'bgpd_options="-A 127.0.0.1--log syslog"'),
        ("daemons", 'watchfrr_options="-k reboot"'),
        ("daemons", "PATH=/tmp"),
        ("daemons", "\xa0bgpd=yes"),
        ("envvars", "LD_PRELOAD=/tmp/x.so"),
        ("envvars", "BIRD_RUN_USER=root"),
        ("envvars", "BIRD_ARGS=-u root"),
    ],
)
def test_a_line_that_does_more_than_routing_is_refused(name: str, line: str) -> None:
    """Also behind lines that are good, and the message says where."""
    good = {"daemons": "# zebra\nzebra=yes\n", "envvars": "BIRD_ARGS=-R\n\n"}.get(name, "\n\n")

    with pytest.raises(Refused) as raised:
        check_content(name, f"{good}{line}\n")

    assert raised.value.kind == "invalid"
    assert raised.value.message.startswith(f"{name}:3: ")
    assert (
        raised.value.message.endswith("may not be deployed") or "this line may not be deployed" in raised.value.message
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nftables.conf", '# include what we need\ntable inet a { comment "include" }\n'),
        ("nftables.conf", "table inet include-not { }\n"),
        ("bird.conf", '# log everything\nprotocol bgp a { description "the log; include"; }\n/* log\n */\n'),
        ("frr.conf", "log syslog informational\n! log file x\nrouter bgp 1\n bgp log-neighbor-changes\n"),
        ("frr.conf", "route-map dump permit 10\n description username\nlog facility daemon\n"),
        ("sysctl.conf", "; a comment\n-net.ipv6.conf.eth0/100.forwarding = 1\nnet/ipv4/ip_forward=1\n"),
        ("addresses.batch", "link add name br0 type bridge\naddress replace 2001:db8::1/64 dev br0 nodad\n"),
        ("daemons", 'bgpd=no\nbgpd_options=""\nbgpd_options="-A ::1 -M rpki"\n'),
        ("vtysh.conf", "! a comment\nservice integrated-vtysh-config\n"),
    ],
)
def test_a_harmless_line_passes(name: str, text: str) -> None:
    """Words in strings and comments do nothing."""
    check_content(name, text)


def test_every_file_that_is_rendered_may_be_deployed(checkout: Path) -> None:
    """Of all golden networks, both platforms."""
    found = [path for path in (checkout / "tests/golden/configs").rglob("*") if path.name in FILES]
    assert {path.name for path in found} == set(FILES)
    for path in found:
        check_content(path.name, path.read_text(encoding="utf-8"))


@given(st.text('abdgp=yesno_ti"-A 127.1:#\t', max_size=30), st.sampled_from(SHELL), st.text('yesno_="# -A', max_size=9))
def test_no_line_with_a_mark_of_the_shell_passes_for_daemons(before: str, mark: str, after: str) -> None:
    """A root shell reads it; only behind `#` anything may stand."""
    line = before + mark + after
    if not line.strip(" \t").startswith("#"):
        with pytest.raises(Refused):
            check_content("daemons", line)


@given(st.sampled_from(["zebra=yes", 'bgpd_options="-A ::1"', "ospfd=no"]), st.sampled_from(SHELL), st.integers(0, 30))
def test_no_good_line_of_daemons_stays_good_with_such_a_mark(line: str, mark: str, place: int) -> None:
    """Wherever it stands in it."""
    with pytest.raises(Refused):
        check_content("daemons", line[:place] + mark + line[place:])


@given(st.sampled_from(FILES), st.text(max_size=80))
def test_whatever_a_file_holds_the_answer_is_yes_or_one_refusal(name: str, text: str) -> None:
    """No text makes the check itself fail."""
    with suppress(Refused):
        check_content(name, text)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("text", "words"), [("# \0", "a NUL byte"), ("# \ud800", "it is no text")])
def test_what_is_no_text_is_refused(name: str, text: str, words: str) -> None:
    """Programs in C end where a NUL stands; half a character cannot be written down."""
    with pytest.raises(Refused, match=words):
        check_content(name, text)
