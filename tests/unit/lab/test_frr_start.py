"""Dealing an integrated FRR configuration out to the daemons."""

from __future__ import annotations

from resilience.lab.frr_start import deal_out, read_sections

CONFIG = """\
! a comment
frr defaults traditional
hostname r1
service integrated-vtysh-config
ip forwarding
!
ip route 198.51.100.0/24 blackhole
interface lo
 ip ospf passive
exit
interface ln-r2
 description to r2
 ip ospf area 0
 ipv6 ospf6 area 0
 no ip ospf passive
exit
router ospf
 ospf router-id 10.0.0.1
exit
router ospf6
 ospf6 router-id 10.0.0.1
exit
ip prefix-list own seq 5 permit 198.51.100.0/24
route-map out permit 10
 match ip address prefix-list own
exit
router bgp 64500
 bgp router-id 10.0.0.1
 !
 address-family ipv4 unicast
  network 198.51.100.0/24
 exit-address-family
exit
bfd
 profile fast
  transmit-interval 100
 exit
exit
"""
DAEMONS = ("zebra", "bgpd", "ospfd", "ospf6d", "staticd", "bfdd")


def test_each_daemon_gets_its_own_sections_and_what_is_everybodys() -> None:
    """Line for line, in order."""
    parts = deal_out(CONFIG, DAEMONS)

    assert parts is not None
    everybody = "frr defaults traditional\nhostname r1\n"
    assert all(part.startswith(everybody) for part in parts.values())
    assert parts["zebra"] == everybody + "ip forwarding\ninterface ln-r2\n description to r2\nexit\n"
    assert parts["staticd"] == everybody + "ip route 198.51.100.0/24 blackhole\n"
    assert "router ospf6" not in parts["ospfd"]
    assert "interface ln-r2\n ip ospf area 0\n no ip ospf passive\nexit\n" in parts["ospfd"]
    assert parts["ospf6d"].count("interface") == 1
    assert parts["bfdd"].endswith("bfd\n profile fast\n  transmit-interval 100\n exit\nexit\n")


def test_no_line_is_lost_or_given_twice() -> None:
    """Apart from comments and what only vtysh reads."""
    parts = deal_out(CONFIG, DAEMONS)

    assert parts is not None
    dealt = [line for part in parts.values() for line in part.splitlines() if line != "exit"]
    for line in CONFIG.splitlines():
        if line.lstrip().startswith("!") or line in {"exit", "service integrated-vtysh-config", "interface ln-r2"}:
            continue
        times = len(DAEMONS) if line.startswith(("frr ", "hostname ")) else 1
        assert dealt.count(line) == times, line


def test_a_section_that_nobody_owns_leaves_the_file_to_vtysh() -> None:
    """Also one whose owner does not run, and an OSPF that refers to bgpd's lists."""
    assert deal_out("router rip\n network lo\nexit\n", DAEMONS) is None
    assert deal_out("bfd\nexit\n", ("zebra", "staticd")) is None
    assert deal_out("router ospf\n redistribute static route-map out\nexit\n", DAEMONS) is None


def test_a_section_ends_where_the_next_begins() -> None:
    """With or without its `exit`."""
    assert [section.head for section in read_sections("a\n b\nc\nexit\n!\nd\n")] == ["a", "c", "d"]
