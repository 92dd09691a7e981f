"""Raw lines in the output: between marks, at the place that they were meant for, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resilience.errors import ResilienceError
from resilience.intent import read_intent_bytes
from resilience.model.configs import Configs
from resilience.model.network import Raw, RawPlace
from resilience.plan import make_plan
from resilience.render import render_configs
from resilience.render.frr_replaced import take_out_replaced

INTENT = """
network: by-hand
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  east: {platform: frr, raw: {RAW_EAST}}
  west: {platform: bird, raw: {RAW_WEST}}
links: [{between: [east, west]}]
providers: {alpha: {asn: 64496}}
uplinks:
  one: {router: east, provider: alpha, address: [192.0.2.0/31], raw: {RAW_ONE}}
  two: {router: west, provider: alpha, address: [192.0.2.2/31], raw: {RAW_TWO}}
"""
END = "--- end of raw lines ---"


def rendered(before: str = "", **raw: str) -> Configs:
    """Return the files of the network with raw lines at some of its things."""
    text = before + INTENT
    for place in ("east", "west", "one", "two"):
        text = text.replace(f"{{RAW_{place.upper()}}}", f"{{{raw.get(place, '')}}}")
    plan, _ = make_plan(read_intent_bytes(text.encode()))
    return render_configs(plan)


def file_of(configs: Configs, node: str, path: str) -> str:
    """Return the text of a file."""
    return next(file.text for file in configs[node] if file.path == path)


def mark(sign: str, subject: str) -> str:
    """Return the line before raw lines."""
    return f"{sign} --- raw lines of {subject} in network.yaml, not checked by netresilience ---"


@pytest.mark.parametrize(
    ("node", "path", "sign", "line"),
    [
        ("east", "frr.conf", "!", "ip route 192.0.2.99/32 blackhole"),
        ("east", "nftables.conf", "#", "table inet mine { }"),
        ("west", "bird.conf", "#", "protocol static mine { ipv4; }"),
        ("west", "sysctl.conf", "#", "net.ipv4.tcp_mtu_probing = 1"),
    ],
)
def test_lines_of_a_router_end_its_file(node: str, path: str, sign: str, line: str) -> None:
    """Between marks, and announced at the top of that file alone."""
    plain, configs = rendered(), rendered(**{node: f'{path}: "{line}"'})

    text = file_of(configs, node, path)

    assert text.endswith(f"\n{mark(sign, f'router {node}')}\n{line}\n{sign} {END}\n")
    assert f"\n{sign} RAW LINES of router {node} stand in this file" in text[:1000]
    others = {(name, file.path): file.text for name, files in configs.items() for file in files}
    assert {key for key, other in others.items() if other != file_of(plain, *key)} == {(node, path)}


def test_lines_of_a_neighbour_need_no_address_in_frr() -> None:
    """In both families, `no` in front, comments as they are."""
    text = file_of(
        rendered(one='frr: "passive\\n! why\\nno capability dynamic", frr_family: weight 5'), "east", "frr.conf"
    )

    block = (mark("!", "uplink one"), "neighbor 192.0.2.1 passive", "! why", "no neighbor 192.0.2.1 capability dynamic")
    assert "".join(f" {line}\n" for line in (*block, f"! {END}")) in text
    assert f"  {mark('!', 'uplink one')}\n  neighbor 192.0.2.1 weight 5\n  ! {END}\n" in text
    assert text.count(END) == 4
    assert "! RAW LINES of uplink one stand in this file" in text


def test_lines_of_a_neighbour_stand_inside_its_protocol_in_bird() -> None:
    """And inside its channel."""
    text = file_of(rendered(two='bird: "med metric on;", bird_channel: "preference 90;"'), "west", "bird.conf")

    protocol = text.partition("protocol bgp b_two_ipv4 {\n")[2].partition("\n}\n")[0]
    assert f"    {mark('#', 'uplink two')}\n    preference 90;\n    # {END}\n  }};\n" in protocol
    assert protocol.endswith(f"  }};\n  {mark('#', 'uplink two')}\n  med metric on;\n  # {END}")


def test_lines_elsewhere_in_the_intent_change_nothing() -> None:
    """A comment above must not show as a difference at every router: marks name things, not line numbers."""
    raw = {"east": "frr.conf: log syslog"}

    assert rendered("# a comment\n\n", **raw) == rendered(**raw)


@pytest.mark.parametrize(
    ("place", "line", "gone"),
    [
        ("frr", "description by hand", "neighbor 192.0.2.1 description one-ipv4 to provider-alpha"),
        ("frr", "timers 3 9", "neighbor 192.0.2.1 timers 60 180"),
        ("frr", "no enforce-first-as", "neighbor 192.0.2.1 enforce-first-as"),
        ("frr_family", "maximum-prefix 9", "neighbor 192.0.2.1 maximum-prefix 1500000"),
        ("frr_family", "route-map mine in", "neighbor 192.0.2.1 route-map import_one_ipv4 in"),
    ],
)
def test_what_raw_lines_replace_is_said(place: str, line: str, gone: str) -> None:
    """Two statements for one thing would be a difference for ever: the file says which one was taken out."""
    text = file_of(rendered(one=f"{place}: {line}"), "east", "frr.conf")

    assert f"! replaced by raw lines below: {gone}" in text
    assert not any(line.strip().startswith(gone) for line in text.splitlines())
    assert text.count("replaced by raw lines") == 2, "one for each family"


def test_only_the_same_section_is_replaced() -> None:
    """A cost of one interface says nothing about another's."""
    text = (
        "interface a\n ip ospf cost 10\n ip ospf hello-interval 1\nexit\ninterface b\n ip ospf cost 10\nexit\n"
        "! --- raw lines of router x ---\ninterface b\n ip ospf cost 77\nexit\n! --- end of raw lines ---\n"
    )

    assert take_out_replaced(text) == text.replace(
        "interface b\n ip ospf cost 10\n", "interface b\n ! replaced by raw lines below: ip ospf cost 10\n"
    )


@pytest.mark.parametrize("line", ["two\nlines", "bell\x07", "nul\0", "é", "x" * 201])
def test_a_plan_with_lines_that_no_file_can_hold_is_refused(line: str) -> None:
    """Whoever made the plan: a line break would be a second line, unmarked."""
    text = INTENT
    for place in ("EAST", "WEST", "ONE", "TWO"):
        text = text.replace(f"{{RAW_{place}}}", "{}")
    plan, _ = make_plan(read_intent_bytes(text.encode()))
    node = replace(plan.nodes["east"], raw=(Raw(place=RawPlace.FRR_CONF, lines=(line,)),))

    with pytest.raises(ResilienceError, match="raw line"):
        render_configs(replace(plan, nodes={**plan.nodes, "east": node}))


def test_a_file_that_cannot_be_deployed_says_that_first() -> None:
    """Before anything about raw lines."""
    lines = file_of(rendered(one="frr: passive"), "east", "frr.conf").splitlines()

    assert lines[0].startswith("! NOT DEPLOYABLE:")
    assert any(line.startswith("! RAW LINES") for line in lines[1:6])
