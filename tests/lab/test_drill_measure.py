"""Measurement against namespaces whose outages are made by hand: what was lost is what is said."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from resilience.drill.loss import measure_resolution_ms, measure_stream
from resilience.drill.streams import IN_FLIGHT_NS, Streams
from resilience.drill.users import Users, measure_wait
from resilience.errors import CouldNotTell
from resilience.lab.netns import enter_namespace, socket_in
from resilience.model.journal import Stream, Way
from resilience.model.plan import Endpoint, Flow, ListenerKind, Protocol

pytestmark = [pytest.mark.lab, pytest.mark.timeout(60)]

NAMESPACE = Path("/proc/thread-self/ns/net")
NEAR, FAR, OTHER = "near", "far", "other"
ADDRESSES = {NEAR: ("192.0.2.1", "2001:db8::1"), FAR: ("192.0.2.2", "2001:db8::2")}
ANYCAST = "198.51.100.53"

Namespace = Callable[[str], Path]


def command(*words: str, stdin: str = "") -> None:
    """Run a command; it must work."""
    subprocess.run(words, check=True, input=stdin, text=True, capture_output=True)


def path_of(node: str) -> Path:
    """Return the namespace of a node of this process."""
    return Path(f"/run/netns/nrtest-{os.getpid()}-{node}")


@pytest.fixture
def cable() -> Iterator[Namespace]:
    """Two hosts with a cable between them, and a third one behind the far one's back for anycast."""
    names = {node: path_of(node).name for node in (NEAR, FAR, OTHER)}
    try:
        for name in names.values():
            command("ip", "netns", "add", name)
            command("ip", "-n", name, "link", "set", "dev", "lo", "up")
            command("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        add_cable(names[NEAR], names[FAR], "wire")
        add_cable(names[NEAR], names[OTHER], "spare")
        for node, addresses in ADDRESSES.items():
            for address in addresses:
                length = 24 if "." in address else 64
                command(
                    "ip", "-n", names[node], "address", "add", f"{address}/{length}", "dev", "wire", *nodad(address)
                )
        command("ip", "-n", names[NEAR], "address", "add", "203.0.113.1/24", "dev", "spare")
        command("ip", "-n", names[OTHER], "address", "add", "203.0.113.2/24", "dev", "spare")
        command("ip", "-n", names[OTHER], "route", "add", "192.0.2.0/24", "via", "203.0.113.1")
        for node in (FAR, OTHER):
            command("ip", "-n", names[node], "address", "add", f"{ANYCAST}/32", "dev", "lo")
        command("ip", "-n", names[NEAR], "route", "add", ANYCAST, "via", "192.0.2.2")
        yield path_of
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def add_cable(one: str, other: str, name: str) -> None:
    """Join two namespaces."""
    command("ip", "link", "add", name, "netns", one, "type", "veth", "peer", "name", name, "netns", other)
    for end in (one, other):
        command("ip", "-n", end, "link", "set", "dev", name, "up")


def nodad(address: str) -> tuple[str, ...]:
    """Return what makes an IPv6 address usable at once."""
    return ("nodad",) if ":" in address else ()


def flow(family: int = 4, *, target: str | None = None, nodes: tuple[str, ...] = (FAR,)) -> Flow:
    """Return a UDP flow over the cable."""
    index = 0 if family == 4 else 1
    return Flow(
        name=f"{NEAR} to {target or FAR} ipv{family}",
        source=Endpoint(label=NEAR, nodes=(NEAR,), address=ip_address(ADDRESSES[NEAR][index])),
        target=Endpoint(label=FAR, nodes=nodes, address=ip_address(target or ADDRESSES[FAR][index])),
        family=family,
        protocol=Protocol.UDP,
    )


def drop(node: str, rule: str) -> None:
    """Lose packets that come in at a node."""
    text = f"table inet lose {{ chain in {{ type filter hook input priority 0; {rule} drop; }}\n}}\n"
    command("ip", "netns", "exec", path_of(node).name, "nft", "-f", "-", stdin=text)


def undrop(node: str) -> None:
    """Let packets pass again."""
    command("ip", "netns", "exec", path_of(node).name, "nft", "delete", "table", "inet", "lose")


def wait_for_rounds(streams: Streams, count: int) -> None:
    """Wait until each lane has settled so many more rounds."""
    goals, deadline = [settled + count for settled in streams.settled_rounds()], time.monotonic() + 30
    while any(settled < goal for settled, goal in zip(streams.settled_rounds(), goals, strict=True)):
        assert time.monotonic() < deadline, "the streams stand still"
        time.sleep(0.01)


def read(streams: Streams, key: tuple[Flow, Way], start_ns: int) -> Stream:
    """Return what became of a stream since a time."""
    return measure_stream(streams.record(key), start_ns, time.monotonic_ns() - IN_FLIGHT_NS)


def test_streams_of_both_families_and_directions_arrive_without_a_fault(cable: Namespace) -> None:
    """Nothing is lost, duplicated or reordered on a cable, and every packet was sent."""
    flows = [flow(4), flow(6)]
    with Streams(cable, flows, longest_s=30) as streams:
        wait_for_rounds(streams, 300)
        start_ns = time.monotonic_ns()
        wait_for_rounds(streams, 500)
        found = [read(streams, (one, way), start_ns) for one in flows for way in Way]

    assert [(one.lost, one.duplicated, one.reordered) for one in found] == [(0, 0, 0)] * 4
    assert all(one.sent > 400 for one in found)


@pytest.mark.parametrize("way", list(Way))
def test_an_outage_of_one_direction_is_measured_in_that_direction_only(cable: Namespace, way: Way) -> None:
    """As long as it lasted, from outside; the other direction keeps a clean record."""
    victim = FAR if way is Way.FORWARD else NEAR
    one = flow(4)
    with Streams(cable, [one], longest_s=30) as streams:
        wait_for_rounds(streams, 300)
        start_ns = time.monotonic_ns()
        drop(victim, "udp dport 50123")
        dropped_ns = time.monotonic_ns()
        wait_for_rounds(streams, 300)
        assert read(streams, (one, way), start_ns).censored
        healing_ns = time.monotonic_ns()
        undrop(victim)
        healed_ns = time.monotonic_ns()
        wait_for_rounds(streams, 200)
        out = read(streams, (one, way), start_ns)
        other = read(streams, (one, Way.RETURN if way is Way.FORWARD else Way.FORWARD), start_ns)
        resolution_ms = measure_resolution_ms(streams.record((one, way)), start_ns, time.monotonic_ns())

    assert (other.lost, other.outage_ms) == (0, 0)
    assert (healing_ns - dropped_ns) / 1e6 - resolution_ms <= out.outage_ms
    assert out.outage_ms <= (healed_ns - start_ns) / 1e6 + resolution_ms
    assert not out.censored
    assert out.longest_gap_ms == out.outage_ms


def test_slower_streams_still_tell_whether_a_flow_works(cable: Namespace) -> None:
    """After healing only that is asked."""
    one = flow(4)
    with Streams(cable, [one], longest_s=30) as streams:
        streams.slow_down()
        wait_for_rounds(streams, 40)
        assert not streams.is_losing((one, Way.FORWARD), 300_000_000)
        drop(FAR, "udp dport 50123")
        wait_for_rounds(streams, 40)
        assert streams.is_losing((one, Way.FORWARD), 300_000_000)
        assert not streams.is_losing((one, Way.RETURN), 300_000_000)


def test_a_route_that_is_gone_silences_nobody_else(cable: Namespace) -> None:
    """One socket sends to several targets: an unreachable one is lost, the others go on."""
    gone, good = flow(4, target="203.0.113.99", nodes=(FAR,)), flow(4)
    command("ip", "-n", path_of(FAR).name, "address", "add", "203.0.113.99/32", "dev", "lo")
    command("ip", "-n", path_of(NEAR).name, "route", "add", "unreachable", "203.0.113.99")
    with Streams(cable, [gone, good], longest_s=30) as streams:
        wait_for_rounds(streams, 300)
        start_ns = time.monotonic_ns()
        wait_for_rounds(streams, 200)
        lost, kept = (read(streams, (one, Way.FORWARD), start_ns) for one in (gone, good))

    assert lost.lost == lost.sent > 100
    assert kept.lost == 0


def test_the_anycast_node_that_gets_a_packet_answers_it(cable: Namespace) -> None:
    """Traffic moves to another node: forward keeps arriving, and the return is that of whoever answers."""
    one = flow(4, target=ANYCAST, nodes=(FAR, OTHER))
    with Streams(cable, [one], longest_s=30) as streams:
        wait_for_rounds(streams, 300)
        start_ns = time.monotonic_ns()
        command("ip", "-n", path_of(NEAR).name, "route", "replace", ANYCAST, "via", "203.0.113.2")
        wait_for_rounds(streams, 300)
        moved = [read(streams, (one, way), start_ns) for way in Way]
        drop(NEAR, "udp sport 50123")
        wait_for_rounds(streams, 300)
        forward, back = (read(streams, (one, way), start_ns) for way in Way)

    assert [stream.lost for stream in moved] == [0, 0]
    assert forward.lost == 0
    assert back.lost > 200
    assert back.censored


def test_an_address_that_a_node_does_not_have_is_an_error_that_names_both(cable: Namespace) -> None:
    """Not a measurement with everything lost."""
    stranger = flow(4, target="192.0.2.77")

    with (
        pytest.raises(CouldNotTell, match=r"far cannot measure from 192\.0\.2\.77"),
        Streams(cable, [stranger], longest_s=1),
    ):
        pass


def test_users_wait_as_long_as_the_service_is_out(cable: Namespace) -> None:
    """Attempts are answered, fail to be for a while, and are answered again; a wrong answer is none."""
    service = Flow(
        name="near to echo",
        source=flow(4).source,
        target=flow(4).target,
        family=4,
        protocol=Protocol.TCP,
        port=7007,
        listener=ListenerKind.UDP_ECHO,
    )
    server = socket_in(cable(FAR), 2, 2)
    with server, Users(cable, [service], {}, longest_s=30) as users:
        server.bind((ADDRESSES[FAR][0], 7007))
        server.settimeout(5)
        answer(server, 40)
        start_ns = time.monotonic_ns()
        answer(server, 40, wrong=True)
        answer(server, 80)
        waited = measure_wait(users.attempts(service), start_ns, time.monotonic_ns())
        usual = measure_wait(users.attempts(service), 0, start_ns)

    assert usual.failed <= 1
    assert waited.failed >= 10
    assert waited.wait_ms >= 200
    assert not waited.censored


def answer(server: socket.socket, count: int, *, wrong: bool = False) -> None:
    """Answer so many questions, rightly or not."""
    for _ in range(count):
        question, client = server.recvfrom(1000)
        server.sendto(b"x" * len(question) if wrong else question, client)


def test_measuring_leaves_the_caller_in_its_own_namespace(cable: Namespace) -> None:
    """Entering a node to open a socket there is undone at once."""
    here = NAMESPACE.readlink()
    with enter_namespace(cable(NEAR)):
        assert NAMESPACE.readlink() != here
    with Streams(cable, [flow(4)], longest_s=1):
        assert NAMESPACE.readlink() == here
