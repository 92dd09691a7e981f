"""What every rendered node has, whatever it runs."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from resilience.errors import ResilienceError
from resilience.model.network import Bfd, Platform, SecretRef
from resilience.model.plan import GracefulRestart, OspfInterface, Plan
from resilience.render import render_configs
from tests.support.render_plans import FAST, make_the_plan, text_of, with_ends, with_node

RESTARTS, HELPS = GracefulRestart.RESTARTS, GracefulRestart.HELPS
DAEMON_FILE = {Platform.FRR: "frr.conf", Platform.BIRD: "bird.conf"}


def daemon_text(plan: Plan, platform: Platform) -> str:
    """Return the routing daemon's file of our router."""
    return text_of(plan, "gw", DAEMON_FILE[platform])


def test_every_node_but_switches_has_files(plan: Plan) -> None:
    """Outside nodes and hosts too: labs run them."""
    assert set(render_configs(plan)) == {"gw", "provider-alpha", "provider-beta", "service-web"}


def test_chosen_nodes_only(plan: Plan) -> None:
    """`nodes` limits what is rendered."""
    assert list(render_configs(plan, nodes=["provider-beta"])) == ["provider-beta"]


def test_rendering_is_deterministic(platform: Platform) -> None:
    """Two runs give the same bytes in the same order."""
    first, second = (render_configs(make_the_plan(platform)) for _ in range(2))
    assert list(first.items()) == list(second.items())


def test_files_are_sorted_and_end_in_one_line_end(platform: Platform) -> None:
    """Stable for manifests, whole lines for every reader, no trailing spaces for diffs."""
    for files in render_configs(make_the_plan(platform)).values():
        assert [file.path for file in files] == sorted(file.path for file in files)
        for file in files:
            assert file.text.endswith("\n"), file.path
            assert not re.search(r"[ \t]$", file.text, re.MULTILINE), file.path


def test_an_undeployable_router_says_so_first(platform: Platform) -> None:
    """Every file's first line says NOT DEPLOYABLE and why, on one line whatever the reason holds."""
    plan = with_node(make_the_plan(platform), "gw", not_deployable=("uplink x: ask\nfor `address:`",))
    for file in render_configs(plan, nodes=["gw"])["gw"]:
        assert re.match(r"[#!] NOT DEPLOYABLE: uplink x: ask for `address:`\n", file.text), file.path


def test_the_outside_says_that_it_is_for_labs(plan: Plan) -> None:
    """Nobody deploys a made-up provider by mistake."""
    for node in ("provider-alpha", "service-web"):
        for file in render_configs(plan, nodes=[node])[node]:
            assert file.text.startswith("# LAB ONLY: "), file.path


def test_a_deployable_router_has_no_warning(platform: Platform) -> None:
    """The words mean something because they are absent elsewhere."""
    for file in render_configs(make_the_plan(platform), nodes=["gw"])["gw"]:
        assert "NOT DEPLOYABLE" not in file.text
        assert "LAB ONLY" not in file.text


def test_secrets_are_not_rendered_by_default(platform: Platform) -> None:
    """Only the marked reference stands in the file, the same on both ends."""
    ref = SecretRef("env:ALPHA_MD5")
    plan = with_ends(make_the_plan(platform), "alpha-ipv4", {"password": ref}, {"password": ref})
    assert "UNRESOLVED:env:ALPHA_MD5" in daemon_text(plan, platform)
    assert "UNRESOLVED:env:ALPHA_MD5" in text_of(plan, "provider-alpha", "bird.conf")


def test_a_resolved_secret_reaches_the_daemon_file_only(platform: Platform) -> None:
    """The file that holds it is not readable for everybody."""
    plan = with_ends(make_the_plan(platform), "alpha-ipv4", {"password": SecretRef("env:ALPHA_MD5")})
    files = render_configs(plan, nodes=["gw"], resolve_secret=lambda _: "hunter2")["gw"]
    holding = [file for file in files if "hunter2" in file.text]
    assert [file.path for file in holding] == [DAEMON_FILE[platform]]
    assert holding[0].mode == 0o640


def test_bfd_carries_its_real_timers(platform: Platform) -> None:
    """`bfd` alone would mean the daemon's own timers: detection must be what the plan predicts."""
    plan = with_ends(make_the_plan(platform), "alpha-ipv4", {"bfd": FAST}, {"bfd": FAST})
    text = daemon_text(plan, platform)
    if platform is Platform.FRR:
        assert " neighbor 192.0.2.1 bfd\n neighbor 192.0.2.1 bfd profile direct-100x3\n" in text
        assert " profile direct-100x3\n  transmit-interval 100\n  receive-interval 100\n exit\n" in text
        assert "bfdd=yes" in text_of(plan, "gw", "daemons")
    else:
        assert "interval 100 ms;\n    idle tx interval 100 ms;\n    multiplier 3;" in text
        assert "protocol bfd b_bfd" in text


@pytest.mark.parametrize(
    ("bfd", "expected"),
    [
        (Bfd(300, 3), " profile direct-300x3\n exit\n"),
        (Bfd(300, 5), " profile direct-300x5\n  detect-multiplier 5\n exit\n"),
        (Bfd(50, 4), "  transmit-interval 50\n  receive-interval 50\n  detect-multiplier 4\n exit\n"),
    ],
)
def test_frr_is_told_what_differs_from_its_own_timers(bfd: Bfd, expected: str) -> None:
    """300 ms three times is what a profile begins with; everything else is written."""
    plan = with_ends(make_the_plan(Platform.FRR), "alpha-ipv4", {"bfd": bfd}, {"bfd": bfd})
    assert expected in text_of(plan, "gw", "frr.conf")


def test_without_bfd_no_bfd_runs(platform: Platform) -> None:
    """No session, no daemon, no open port."""
    plan = make_the_plan(platform)
    assert "bfd" not in daemon_text(plan, platform)
    assert "3784" not in text_of(plan, "gw", "nftables.conf")


@pytest.mark.parametrize(
    ("changes", "frr", "bird"),
    [
        ({"ttl_security": True}, "neighbor 192.0.2.1 ttl-security hops 1", "ttl security yes;"),
        ({"maximum_prefixes": 77}, "maximum-prefix 77 restart 15\n", "receive limit 77 action disable;"),
        ({"hold_ms": 9000}, "neighbor 192.0.2.1 timers 3 9", "hold time 9;\n  keepalive time 3;"),
        ({"connect_retry_ms": 2000}, "neighbor 192.0.2.1 timers connect 2", "connect retry time 2;"),
        ({}, "neighbor 192.0.2.1 local-role customer", "local role customer;"),
        ({}, "neighbor 192.0.2.1 enforce-first-as", "enforce first as yes;"),
        ({}, "neighbor 192.0.2.1 route-map import_4 in", "import filter { b_policy_import_4(192.0.2.2); };"),
        ({"graceful_restart": RESTARTS}, "neighbor 192.0.2.1 graceful-restart\n", "graceful restart on;"),
        ({"graceful_restart": HELPS}, "neighbor 192.0.2.1 graceful-restart-helper\n", "graceful restart aware;"),
        ({"graceful_restart": RESTARTS}, "graceful-restart preserve-fw-state", "scan time 20;\n  # What the kernel"),
        ({"graceful_restart": RESTARTS}, "graceful-restart restart-time 30", "graceful restart time 30;"),
        ({"graceful_restart": RESTARTS}, "graceful-restart select-defer-time 20", "graceful restart wait 20;"),
        ({"route_server": True}, "neighbor 192.0.2.1 route-server-client", "rs client;"),
    ],
)
def test_both_platforms_say_the_same(platform: Platform, changes: dict[str, object], frr: str, bird: str) -> None:
    """Each property of a session reaches both dialects."""
    text = daemon_text(with_ends(make_the_plan(platform), "alpha-ipv4", changes), platform)
    assert (frr if platform is Platform.FRR else bird) in text


def test_graceful_restart_is_off_unless_asked_for(platform: Platform) -> None:
    """Stale routes towards a neighbour that lost its table are worse than none."""
    text = daemon_text(make_the_plan(platform), platform)
    off = "bgp graceful-restart-disable" if platform is Platform.FRR else "graceful restart off;"
    assert off in text


def test_the_client_of_a_route_server_does_not_ask_for_its_as(platform: Platform) -> None:
    """Route servers stay out of the path (RFC 7947)."""
    plan = with_ends(make_the_plan(platform), "alpha-ipv4", {}, {"route_server": True})
    text = daemon_text(plan, platform)
    expected = 3  # the other three sessions still do
    assert text.count("enforce-first-as" if platform is Platform.FRR else "enforce first as") == expected


def test_no_policy_accepts_all_on_both(platform: Platform) -> None:
    """A session without policies means the same on FRR, which would deny everything by RFC 8212."""
    plan = with_ends(make_the_plan(platform), "alpha-ipv4", {"import_policy": None, "export_policy": None})
    text = daemon_text(plan, platform)
    if platform is Platform.FRR:
        assert "neighbor 192.0.2.1 route-map accept-all in" in text
        assert "neighbor 192.0.2.1 route-map accept-all out" in text
        assert "route-map accept-all permit 10\n" in text
    else:
        assert "import all;" in text


def test_originations_follow_their_static_route_and_are_tagged(platform: Platform) -> None:
    """A prefix leaves while its discard route stands; policies know it by its community."""
    text = daemon_text(make_the_plan(platform), platform)
    if platform is Platform.FRR:
        assert "ip route 198.51.100.0/24 blackhole\n" in text
        assert "\nip prefix-list origin-own-4 seq 5 permit 198.51.100.0/24\n" in text
        assert "\n  redistribute static route-map origin-4\n" in text
        assert (
            " match ip address prefix-list origin-own-4\n set origin igp\n set large-community 64500:1:5 additive\n"
            in text
        )
    else:
        assert "route 198.51.100.0/24 blackhole { bgp_large_community.add((64500, 1, 5)); };" in text


def test_an_origination_without_a_route_is_a_defect_of_the_plan() -> None:
    """It is said loudly, since BIRD would stay silent."""
    plan = with_node(make_the_plan(Platform.BIRD), "gw", statics=())
    with pytest.raises(ResilienceError, match="without a static route"):
        render_configs(plan)


def test_a_floating_route_stands_in_its_own_table(platform: Platform) -> None:
    """The kernel looks it up when the main table has no way left; IPv6 needs a rule for that."""
    plan = make_the_plan(platform)
    text = daemon_text(plan, platform)
    if platform is Platform.FRR:
        assert "ipv6 route ::/0 2001:db8:b::1 up-beta table 253\n" in text
    else:
        assert "kernel table 253;" in text
    assert "rule add pref 32767 lookup 253\n" in text_of(plan, "gw", "rules6.batch")


def test_ospf_runs_on_both_families_with_bfd(platform: Platform) -> None:
    """Point-to-point, area 0, real BFD timers; loopbacks are announced and never spoken on."""
    plan = make_the_plan(platform)
    gateway = plan.nodes["gw"]
    first = replace(gateway.interfaces[0], ospf=OspfInterface(cost=7), bfd=FAST)
    second = replace(gateway.interfaces[1], ospf=OspfInterface(cost=1, passive=True), bfd=FAST)
    plan = with_node(plan, "gw", ospf=True, interfaces=(first, second))
    text = daemon_text(plan, platform)
    if platform is Platform.FRR:
        for igp in ("ip ospf", "ipv6 ospf6"):
            assert f" {igp} area 0\n {igp} network point-to-point\n {igp} cost 7\n" in text
            assert f" {igp} bfd\n {igp} bfd profile direct-100x3\n" in text
            assert "interface lo\n ip ospf area 0\n ip ospf passive\n ipv6 ospf6 area 0\n ipv6 ospf6 passive\n" in text
        assert text.count("bfd profile") == 2
        assert "ospfd=yes\nospf6d=yes\n" in text_of(plan, "gw", "daemons")
    else:
        assert "protocol ospf v2 b_ospf4" in text
        assert "protocol ospf v3 b_ospf6" in text
        assert "stubnet 10.255.0.1/32 { cost 0; };" in text
        assert "stubnet 2001:db8:64ff::1/128;" in text
        assert text.count("bfd yes;") == 2


def test_a_draining_router_asks_for_no_transit(platform: Platform) -> None:
    """Its links cost the most in both OSPF versions (RFC 6987); what hangs on it costs what it did."""
    plan = make_the_plan(platform)
    first, second = plan.nodes["gw"].interfaces
    link = replace(first, ospf=OspfInterface(cost=7))
    attached = replace(second, ospf=OspfInterface(cost=5, passive=True))
    plan = with_node(plan, "gw", ospf=True, interfaces=(link, attached), draining=True)
    text = daemon_text(plan, platform)
    assert len(re.findall(r"\bcost 65535\b", text)) == 2
    assert not re.search(r"\bcost 7\b", text)


def test_bird_never_hands_connected_routes_to_the_kernel() -> None:
    """They are the kernel's own; and a promised default route is no way to forward."""
    text = text_of(make_the_plan(Platform.BIRD), "gw", "bird.conf")
    assert text.count("if source = RTS_DEVICE then reject;") == 2
    assert text.count("import none;") >= 2


def test_a_promised_default_route_leaves_clean() -> None:
    """Whatever default the router itself has, the customer gets one that begins with us."""
    plan = with_ends(make_the_plan(Platform.BIRD), "alpha-ipv4", {"default_originate": True})
    text = text_of(plan, "gw", "bird.conf")
    assert "if net = 0.0.0.0/0 then {\n        bgp_path.empty;" in text
    assert 'if proto = "b_default4" then reject;' in text  # towards everybody else, and towards the kernel


def test_a_draining_end_asks_to_be_avoided(platform: Platform) -> None:
    """The default route that it promised carries the community and a longer path."""
    plan = with_ends(make_the_plan(platform), "alpha-ipv4", {"default_originate": True, "draining": True})
    text = daemon_text(plan, platform)
    if platform is Platform.FRR:
        assert "neighbor 192.0.2.1 default-originate route-map default-drained\n" in text
        assert " set community graceful-shutdown additive\n set as-path prepend 64500 64500 64500\n" in text
    else:
        assert "bgp_community.add((65535, 0));\n" + "        bgp_path.prepend(64500);\n" * 3 in text
