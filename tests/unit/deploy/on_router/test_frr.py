"""What FRR says of itself and of what it refuses, read right."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from resilience.deploy.on_router.netresilience_router.frr import Frr, tell_refusal
from resilience.deploy.on_router.netresilience_router.machine import Done, Machine

ADD = """Lines To Delete
Lines To Add
router bgp 64500
 address-family ipv4 unicast
  neighbor 192.0.2.1 route-reflector-client
"""
BOTH = """Lines To Delete
no ip route 192.0.2.0/24 blackhole
Lines To Add
interface eth0
 ip ospf bfd
"""
MANY = "Lines To Add\n" + "".join(f"ip prefix-list p seq {n} permit any\n" for n in range(5))
HIDDEN = "Lines To Add\nrouter bgp 64500\n neighbor 192.0.2.1 password geheim\nip route 192.0.2.0/24 blackhole\n"
SAYS = """% Can't open configuration file /run/vtysh.conf due to 'No such file or directory'.
% Invalid command. Not an internal neighbor
2026-01-01 00:00:00,000 \x1b[91mWARNING\x1b[0m: frr-reload.py failed due to
% Invalid command. Not an internal neighbor
"""


@pytest.mark.parametrize(
    ("left", "out", "err", "told"),
    [
        (
            ADD,
            SAYS,
            "line 3: Failure to communicate[13] to bgpd",
            "not taken: `router bgp 64500 / address-family ipv4 unicast / neighbor 192.0.2.1 route-reflector-client`. "
            "FRR says: Invalid command. Not an internal neighbor",
        ),
        (
            BOTH,
            "",
            "no room\n",
            "not taken: `no ip route 192.0.2.0/24 blackhole`, `interface eth0 / ip ospf bfd`. FRR says: no room",
        ),
        (
            MANY,
            "",
            "",
            "not taken: `ip prefix-list p seq 0 permit any`, `ip prefix-list p seq 1 permit any`, "
            "`ip prefix-list p seq 2 permit any`, 2 more. FRR says: exit code 1",
        ),
        (
            HIDDEN,
            "% neighbor 192.0.2.1 password geheim: not now",
            "",
            "not taken: `router bgp 64500 / neighbor 192.0.2.1 password ********`, `ip route 192.0.2.0/24 blackhole`. "
            "FRR says: neighbor 192.0.2.1 password ********",
        ),
    ],
    ids=["its-place-and-why", "also-what-should-go", "many", "no-password"],
)
def test_lines_that_frr_does_not_take_are_named(left: str, out: str, err: str, told: str) -> None:
    """With the sections they stand in, and once what the daemon says of them."""
    assert tell_refusal(left, Done(1, out, err)) == told


class Told(Machine):
    """A machine on which every program says one thing."""

    def __init__(self, out: str) -> None:
        super().__init__(Path("/nowhere"))
        self.out = out

    def run_script(self, argv: Sequence[str], timeout_s: float = 120) -> Done:
        """Say it."""
        del argv, timeout_s
        return Done(0, self.out, "")


@pytest.mark.parametrize(
    ("told", "delta"),
    [
        ("Lines To Delete\n===============\nip forwarding\nipv6 forwarding\n", ""),
        (f"Lines To Delete\n===============\nno hostname {socket.gethostname()}\n", ""),
        (
            "Lines To Delete\n===============\nip forwarding\nno ip route 192.0.2.0/24\n",
            "Lines To Delete\nno ip route 192.0.2.0/24",
        ),
    ],
    ids=["forwarding", "name", "something"],
)
def test_what_zebra_tells_of_the_kernel_is_nobodys_change(told: str, delta: str) -> None:
    """A new machine forwards nothing yet, and FRR shows that beside an empty file."""
    assert Frr(Told(told)).delta(Path("/nowhere")) == delta
