"""What kernels and daemons say becomes the same words, and only the steps that explain an outage stay."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_network

import pytest

from resilience.drill.daemon_events import Names, Step, tell_bird_line, tell_frr_line
from resilience.drill.kernel_events import is_route_change, read_messages, tell_message
from resilience.drill.timeline import Seen, group_steps
from resilience.lab.netlink import attribute
from resilience.model.plan import Plan
from resilience.plan import make_plan
from tests.support.plan_networks import small_network

MS = 1_000_000
INTERFACES = {7: "up-a", 8: "up-b"}
NEWROUTE, DELROUTE, NEWLINK = 24, 25, 16
PREFIX = ip_network("203.0.113.0/24")


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan with sessions to name."""
    return make_plan(small_network())[0]


@pytest.fixture(scope="module")
def names(plan: Plan) -> Names:
    """The plan's sessions by what daemons call them."""
    return Names(plan)


def route(*, table: int = 254, index: int = 7, flags: int = 0) -> bytes:
    """Return the body of a kernel message about an IPv4 route."""
    header = struct.pack("=BBBBBBBBI", socket.AF_INET, 24, 0, 0, table, 186, 0, 1, flags)
    parts = attribute(1, socket.inet_aton("203.0.113.0")) + attribute(4, struct.pack("=I", index))
    return header + parts + attribute(5, socket.inet_aton("192.0.2.1"))


def link(*, carrier: bool) -> bytes:
    """Return the body of a kernel message about an interface."""
    return struct.pack("=BxHiII", 0, 1, 7, 0x10000 if carrier else 0x1, 0) + attribute(3, b"up-a\0")


def message(kind: int, body: bytes) -> bytes:
    """Return a netlink message."""
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (NEWROUTE, route(), Step("route {} now through up-a (192.0.2.1)", PREFIX)),
        (DELROUTE, route(), Step("route {} through up-a (192.0.2.1) removed", PREFIX)),
        (NEWROUTE, route(table=253), Step("route {} in the floating table now through up-a (192.0.2.1)", PREFIX)),
        (NEWROUTE, route(index=99), Step("route {} now through 99 (192.0.2.1)", PREFIX)),
        (NEWROUTE, route(table=255), None),
        (NEWROUTE, route(flags=0x200), None),
        (NEWLINK, link(carrier=True), Step("up-a has carrier")),
        (NEWLINK, link(carrier=False), Step("up-a lost carrier")),
        (99, b"", None),
    ],
)
def test_kernel_messages_become_words(kind: int, body: bytes, expected: Step | None) -> None:
    """Routes of the tables that forward, and carrier."""
    assert tell_message(kind, body, INTERFACES) == expected


def test_several_messages_of_one_datagram_are_all_read() -> None:
    """Kernels batch them; a damaged rest ends the reading."""
    data = message(NEWROUTE, route()) + message(NEWLINK, link(carrier=False))

    assert [kind for kind, _body in read_messages(data)] == [NEWROUTE, NEWLINK]
    assert list(read_messages(data[:10])) == []
    assert list(read_messages(struct.pack("=IHHII", 3, 1, 0, 0, 0))) == []
    assert is_route_change(data)
    assert not is_route_change(message(NEWLINK, link(carrier=False)))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("b_a_ipv4: State changed to stop", Step("session a-ipv4 ended")),
        ("b_a_ipv4: State changed to up", Step("session a-ipv4 established")),
        ("b_a_ipv4: State changed to flush", None),
        ("b_direct: State changed to up", None),
        (
            "b_a_ipv4.ipv4 > added [best] 203.0.113.0/24 0L 17G unicast",
            Step("best path {} learned by session a-ipv4", PREFIX),
        ),
        (
            "b_a_ipv4.ipv4 > removed [sole] 203.0.113.0/24 0L 17G unicast",
            Step("best path {} withdrawn by session a-ipv4", PREFIX),
        ),
        ("b_a_ipv4.ipv4 > added 203.0.113.0/24 0L 17G unicast", None),
        ("b_a_ipv4.ipv4 < added 203.0.113.0/24 0L 17G unicast", None),
        ("b_a_ipv4.ipv4 > added [best] nonsense/99 0L 17G unicast", None),
        ("", None),
    ],
)
def test_what_bird_echoes_becomes_words(names: Names, line: str, expected: Step | None) -> None:
    """Sessions by the names of the plan; best paths only, and not what is only passed on."""
    assert tell_bird_line(line, names) == expected


def test_what_frr_logs_becomes_the_same_words(plan: Plan, names: Names) -> None:
    """Neighbours by the names of the plan's sessions."""
    address = next(one.remote.address for one in plan.neighbors("r1") if one.session.name == "a-ipv4")

    def tell(line: str) -> Step | None:
        return tell_frr_line("r1", line.replace("ADDRESS", str(address)), names)

    down = "%ADJCHANGE: neighbor ADDRESS(Unknown) in vrf default Down Interface down"
    assert tell(down) == Step("session a-ipv4 ended: Interface down")
    assert tell("%ADJCHANGE: neighbor ADDRESS(Unknown) in vrf default Up") == Step("session a-ipv4 established")
    assert tell("Tx route add VRF 0 203.0.113.0/24 metric 0 tag 0") == Step("best path for {} chosen", PREFIX)
    assert tell("Tx route delete VRF 0 203.0.113.0/24") == Step("no path for {} left", PREFIX)
    withdrawn = "ADDRESS(Unknown) rcvd UPDATE about 203.0.113.0/24 IPv4 unicast -- withdrawn"
    assert tell(withdrawn) == Step("{} withdrawn by session a-ipv4", PREFIX)
    assert tell("ADDRESS(Unknown) Update Group Hash: sort: 2") is None


def seen(at_ms: float, text: str, prefix: str | None = None, node: str = "r1") -> Seen:
    """Return a step at a time."""
    return Seen(int(at_ms * MS), node, "kernel", Step(text, ip_network(prefix) if prefix else None))


def test_the_same_step_for_several_prefixes_is_told_once() -> None:
    """Three are named, the others counted; later or elsewhere it is another step."""
    found = [seen(1 + index, "route {} gone", f"203.0.113.{index}/32") for index in range(5)]
    found += [seen(2, "route {} gone", "203.0.113.0/32", node="r2"), seen(50, "route {} gone", "203.0.113.0/32")]

    told = [(one.node, one.at_ns // MS, text) for one, text in group_steps(sorted(found, key=lambda one: one.at_ns))]

    assert told == [
        ("r1", 1, "route 203.0.113.0/32, 203.0.113.1/32, 203.0.113.2/32 and 2 more gone"),
        ("r2", 2, "route 203.0.113.0/32 gone"),
        ("r1", 50, "route 203.0.113.0/32 gone"),
    ]


def test_steps_without_a_prefix_keep_their_braces_and_are_shortened() -> None:
    """Logs are hostile: their text is data, never a format."""
    (one,) = group_steps([seen(1, "{0.__class__} " + "x" * 1000)])

    assert one[1].startswith("{0.__class__} x")
    assert len(one[1]) < 200
