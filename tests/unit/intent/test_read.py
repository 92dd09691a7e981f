"""What an intent says arrives in the network, field by field; what it leaves out is filled in as the language says."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network, ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from resilience.errors import ExitCode, IntentError
from resilience.intent import read_intent, read_intent_bytes
from resilience.model.network import (
    Accept,
    Bfd,
    Contact,
    Network,
    Platform,
    Pools,
    Position,
    SecretRef,
    Send,
)

HERE = Path(__file__).parent
SMALLEST = """\
network: small
asn: 64500
prefixes: [198.51.100.0/24]
routers: {gw: {}}
"""


def read(text: str) -> Network:
    """Read a text that is valid."""
    return read_intent_bytes(text.encode())


@pytest.fixture(scope="module")
def language() -> Network:
    """The example of the language's description."""
    return read_intent(HERE / "language.yaml")


@pytest.fixture(scope="module")
def stated() -> Network:
    """An intent that states everything that can be stated."""
    return read_intent(HERE / "stated.yaml")


def test_the_top_of_the_example(language: Network) -> None:
    """Name, AS number, prefixes and empty pools arrive."""
    assert (language.name, language.asn, language.lab) == ("bamako-isp", 64500, False)
    assert language.prefixes == (ip_network("198.51.100.0/24"), ip_network("2001:db8:6400::/40"))
    assert language.pools == Pools()
    assert language.rpki == ()
    assert language.management == ()


def test_the_risks_of_the_example(language: Network) -> None:
    """A risk may be a mapping, its title alone, or its name alone."""
    west, south, fibre, power = language.risks.values()

    assert (west.title, west.kind, west.rate) == ("Kidira border crossing", "gateway", "4/year")
    assert (south.title, south.kind) == ("Zegoua border crossing", None)
    assert (fibre.includes, fibre.title) == (("gateway-west",), "fibre-kayes")
    assert power.title == "power-aci"


def test_the_inside_of_the_example(language: Network) -> None:
    """Sites, routers and the link between them."""
    assert language.sites["aci2000"].risks == ("power-aci",)
    assert [(r.name, r.site, r.platform) for r in language.routers.values()] == [
        ("bko1", "aci2000", Platform.FRR),
        ("bko2", "badala", Platform.BIRD),
    ]
    link = language.links["bko1-bko2"]
    assert (link.ends, link.capacity_bps, link.risks) == (("bko1", "bko2"), 10_000_000_000, ("fibre-kayes",))
    assert link.bfd == Bfd(interval_ms=300, multiplier=3)


def test_the_uplinks_of_the_example(language: Network) -> None:
    """Providers are international unless they say otherwise; uplinks follow them."""
    carrier = language.providers["senegal-carrier"]
    assert (carrier.asn, carrier.risks, carrier.international, carrier.hold_ms) == (
        64496,
        ("gateway-west",),
        True,
        180_000,
    )
    assert carrier.communities == {"lower-preference": "64496:70"}
    dakar, vsat = language.uplinks.values()
    assert (dakar.router, dakar.provider, dakar.rank, dakar.capacity_bps) == ("bko1", "senegal-carrier", 1, 2 * 10**9)
    assert dakar.addresses == (ip_interface("192.0.2.2/30"), ip_interface("2001:db8:ff::2/64"))
    assert (dakar.neighbors, dakar.bfd, dakar.international) == ((), None, None)
    assert (vsat.rank, vsat.capacity_bps, vsat.accept) == (9, 50_000_000, Accept.DEFAULT)


def test_the_exchange_of_the_example(language: Network) -> None:
    """Ports, route servers and peers get their names from the exchange."""
    exchange = language.exchanges["mlix"]
    (port,), (server,) = exchange.ports, exchange.route_servers

    assert (port.name, port.router) == ("mlix-bko1", "bko1")
    assert port.addresses == (ip_interface("203.0.113.10/24"), ip_interface("2001:db8:203::10/64"))
    assert (server.name, server.asn) == ("mlix-rs1", 64503)
    assert server.addresses == (ip_address("203.0.113.1"), ip_address("2001:db8:203::1"))
    peer = exchange.peers["university"]
    assert (peer.name, peer.asn, peer.addresses) == ("mlix-university", 64510, (ip_address("203.0.113.20"),))
    assert exchange.international is False


def test_the_customers_and_services_of_the_example(language: Network) -> None:
    """A customer with an AS and one without; services with what they need."""
    bank, clinic = language.customers.values()
    assert (bank.asn, bank.routers, bank.prefixes) == (64511, ("bko1", "bko2"), (ip_network("192.0.2.128/25"),))
    assert (clinic.asn, clinic.routers, clinic.send) == (None, ("bko2",), Send.DEFAULT)
    money, resolver = language.services.values()
    assert (money.sites, money.tcp, money.needs) == (("badala",), 443, ("resolver",))
    assert money.addresses == (ip_address("198.51.100.80"),)
    assert (resolver.sites, resolver.dns) == (("aci2000", "badala"), "mali.example")


def test_the_objectives_of_the_example(language: Network) -> None:
    """Promises arrive in their order with their place."""
    first, second, third = language.objectives

    assert (first.keep, first.whom, first.during, first.within_ms) == (
        "mobile-money",
        "mlix",
        ("any-one-failure",),
        1_000,
    )
    assert second.during == ("international-cut",)
    assert (third.keep, third.whom, third.within_ms, third.stated) == ("internet", "customers", 3_000, True)
    assert str(first.at).endswith("language.yaml:46:5")


def test_what_is_stated_of_the_inside(stated: Network) -> None:
    """Loopbacks, links with addresses, ports, BFD, cost, VLAN and MTU; parallel links get a number."""
    assert stated.lab
    assert stated.prefixes == (ip_network("198.51.100.0/24"),)
    assert stated.management == (ip_network("198.51.100.0/28"), ip_network("2001:db8:5::/64"))
    assert stated.pools.loopbacks == (ip_network("10.255.0.0/24"), ip_network("2001:db8:ffff::/64"))
    assert stated.pools.links == (IPv4Network("10.254.0.0/16"),)
    assert [(one.name, str(one.address), one.port) for one in stated.rpki] == [
        ("rpki-1", "192.0.2.200", 8282),
        ("second", "2001:db8::53", 3323),
    ]
    assert stated.routers["a"].loopbacks == (ip_address("10.1.0.1"), ip_address("2001:db8:1::1"))
    assert stated.routers["a"].risks == ("both",)
    assert list(stated.links) == ["a-b", "b-a-2", "spare"]
    link = stated.links["a-b"]
    assert link.addresses["b"] == (ip_interface("10.2.0.1/31"), ip_interface("2001:db8:2::1/127"))
    assert link.interfaces == {"a": "eth1", "b": "ether2"}
    assert (link.bfd, link.cost, link.vlan, link.mtu) == (Bfd(interval_ms=100, multiplier=5), 20, 7, 9000)
    assert stated.links["b-a-2"].bfd is None


def test_what_is_stated_of_everything(stated: Network) -> None:
    """Risks, renames and contacts stand at any noun, and contacts are not in its representation."""
    both = stated.risks["both"]

    assert (stated.risks["duct"].rate, stated.risks["duct"].was) == ("0.5/month", "trench")
    assert both.includes == ("duct",)
    assert both.contacts == (Contact(name="Duty desk", mail="noc@example.net", phone="+223 00 00 00 00"),)
    assert "noc@example.net" not in repr(both)
    assert (stated.sites["north"].risks, stated.sites["north"].was) == (("duct",), "old-north")


def test_what_is_stated_of_an_uplink(stated: Network) -> None:
    """Everything that a provider assigns or agrees to."""
    alpha, dakar = stated.providers["alpha"], stated.uplinks["dakar"]

    assert alpha.honours == {"gshut", "blackhole"}
    assert (alpha.international, alpha.via, alpha.hold_ms) == (False, ("transit-3",), 9_000)
    assert (dakar.rank, dakar.capacity_bps, dakar.accept) == (2, 1_500_000_000, Accept.PARTIAL)
    assert dakar.neighbors == (ip_address("192.0.2.5"), ip_address("2001:db8:9::9"))
    assert (dakar.interface, dakar.vlan, dakar.mtu) == ("sfp-sfpplus1", 100, 1600)
    assert (dakar.bfd, dakar.hold_ms, dakar.ttl_security) == (Bfd(), 30_000, True)
    assert dakar.password == SecretRef("env:DAKAR_MD5")
    assert dakar.maximum_prefixes == {4: 1_200_000, 6: 300_000}
    assert dakar.international is True
    assert (dakar.graceful_restart, stated.customers["bank"].graceful_restart) == (True, True)


def test_what_is_stated_of_an_exchange(stated: Network) -> None:
    """Ports, route servers and peers with all their settings."""
    exchange = stated.exchanges["mlix"]
    port, (first, second), peer = exchange.ports[0], exchange.route_servers, exchange.peers["university"]

    assert (exchange.international, exchange.risks) == (True, ("duct",))
    assert (port.capacity_bps, port.interface, port.vlan, port.mtu) == (10**9, "eth5", 5, 1500)
    assert (first.name, first.bfd, first.hold_ms, first.password) == (
        "mlix-rs1",
        Bfd(),
        60_000,
        SecretRef("file:secrets/rs1"),
    )
    assert second.name == "second-server"
    assert (first.graceful_restart, second.graceful_restart, peer.graceful_restart) == (False, True, True)
    assert (peer.prefixes, peer.bfd, peer.hold_ms) == ((ip_network("203.0.112.0/24"),), Bfd(multiplier=4), 180_000)
    assert (peer.password, peer.maximum_prefixes) == (SecretRef("vault:peers/university"), {4: 10})


def test_what_is_stated_of_customers_and_services(stated: Network) -> None:
    """Addresses and ports at each router, or without naming the only one."""
    bank, clinic = stated.customers.values()

    assert (bank.send, bank.capacity_bps, bank.bfd, bank.hold_ms) == (Send.BOTH, 10**8, Bfd(), 9_000)
    assert bank.addresses == {"a": (ip_interface("10.3.0.1/30"),)}
    assert (bank.interfaces, bank.password) == ({"b": "eth9"}, SecretRef("env:BANK"))
    assert clinic.addresses == {"b": (ip_interface("10.3.1.1/30"),)}
    assert clinic.interfaces == {"b": "eth8"}
    web, names = stated.services.values()
    assert (web.sites, web.http, web.tcp, web.udp, web.needs) == (("north", "b"), 80, 443, 443, ("names",))
    assert (names.dns, names.addresses) == ("mali.example", ())


def test_what_is_stated_of_objectives(stated: Network) -> None:
    """Elements arrive qualified, whichever way they were written; no `within` is None, not zero."""
    first, second = stated.objectives

    assert (first.keep, first.whom, first.within_ms) == ("web", "north", 0)
    assert first.during == ("uplink dakar", "maintenance")
    assert (second.keep, second.whom, second.during, second.within_ms) == ("clinic", "mlix", ("link spare",), None)


def test_a_router_without_a_site_stands_at_one_of_its_own_name() -> None:
    """Such a site is there for services and objectives too."""
    network = read(SMALLEST + "services: {web: {at: gw, http: 80}}\n")

    assert network.routers["gw"].site == "gw"
    assert list(network.sites) == ["gw"]


def test_a_customer_without_a_router_is_at_the_only_one() -> None:
    """There is nothing else that could be meant."""
    network = read(SMALLEST + "customers: {clinic: {prefixes: [198.51.100.64/29]}}\n")

    assert network.customers["clinic"].routers == ("gw",)


def test_objectives_that_nobody_stated() -> None:
    """Internet for customers, and each service for everyone, within 3 s of any one failure."""
    network = read(
        SMALLEST + "providers: {alpha: {asn: 64496}}\nuplinks: {north: {router: gw, provider: alpha}}\n"
        "services: {web: {at: gw, http: 80}}\n"
    )

    assert [(o.keep, o.whom, o.during, o.within_ms, o.stated) for o in network.objectives] == [
        ("internet", "customers", ("any-one-failure",), 3_000, False),
        ("web", "everyone", ("any-one-failure",), 3_000, False),
    ]


def test_no_internet_is_promised_where_there_is_no_way_to_it() -> None:
    """A default promise that could only fail is no promise."""
    assert read(SMALLEST).objectives == ()


def test_a_bare_name_is_found_where_only_one_kind_bears_it() -> None:
    """Every kind of element can be meant."""
    text = (
        SMALLEST + "risks: {power: The grid}\nproviders: {alpha: {asn: 64496}}\n"
        "uplinks: {north: {router: gw, provider: alpha}}\n"
        "exchanges: {mlix: {ports: {router: gw}, route_servers: {asn: 64503}, peers: {uni: {asn: 64510}}}}\n"
        "objectives: [{keep: internet, for: customers, "
        "during: [power, alpha, north, mlix, mlix-gw, mlix-rs1, mlix-uni, router gw, site gw]}]\n"
    )

    assert read(text).objectives[0].during == (
        "risk power",
        "provider alpha",
        "uplink north",
        "exchange mlix",
        "port mlix-gw",
        "route-server mlix-rs1",
        "peer mlix-uni",
        "router gw",
        "site gw",
    )


def test_a_qualified_name_in_a_promise_arrives_alone() -> None:
    """It must be clear alone, as reports show it alone."""
    text = (
        SMALLEST + "customers: {clinic: {prefixes: [198.51.100.64/29]}}\nservices: {web: {at: gw, http: 80}}\n"
        "objectives: [{keep: service web, for: customer clinic, during: maintenance}]\n"
    )

    (objective,) = read(text).objectives
    assert (objective.keep, objective.whom) == ("web", "clinic")


def test_positions_and_digest_are_those_of_the_file(tmp_path: Path) -> None:
    """A folder stands for its network.yaml; the digest is of its bytes."""
    file = tmp_path / "network.yaml"
    file.write_text(SMALLEST, encoding="utf-8")

    network = read_intent(tmp_path)

    assert network == read_intent(file)
    assert network.file == str(file)
    assert network.routers["gw"].at == Position(str(file), 4, 11)
    assert network.digest == hashlib.sha256(SMALLEST.encode()).hexdigest()


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    """Files come from every editor."""
    data = b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode()

    assert read_intent_bytes(data).routers["gw"].at == Position("network.yaml", 4, 11)


def test_an_alias_repeats_what_its_anchor_says() -> None:
    """A few anchors save typing; each use counts as written out."""
    network = read(SMALLEST.replace("{gw: {}}", "{gw: &bird {platform: bird}, other: *bird}"))

    assert network.routers["other"].platform is Platform.BIRD


def test_a_private_as_and_private_prefixes_are_allowed_in_labs() -> None:
    """Large generated labs have no documentation numbers left."""
    network = read(
        "network: lab\nlab: true\nasn: 4200000000\nprefixes: [10.0.0.0/8]\nrouters: {gw: {}}\n"
        "providers: {alpha: {asn: 4200000001}}\n"
    )

    assert network.lab


def test_problems_of_shape_and_of_meaning_come_together_in_the_order_of_the_file() -> None:
    """A misshapen value hides neither a dangling name beside it nor one in an item after it."""
    text = (
        SMALLEST
        + "providers: {alpha: {asn: 64496}}\nuplinks:\n  north: {router: nowhere, provider: alpha, rank: zero}\n"
        "exchanges:\n  mlix:\n    ports:\n      - {router: [], address: x}\n      - {router: elsewhere}\n"
    )

    with pytest.raises(IntentError) as caught:
        read(text)

    found = [(str(problem.position), problem.rule) for problem in caught.value.problems]  # type: ignore[attr-defined]
    assert found == [
        ("network.yaml:7:19", "unknown-name"),
        ("network.yaml:7:51", "bad-number"),
        ("network.yaml:11:18", "wrong-type"),
        ("network.yaml:11:31", "bad-address"),
        ("network.yaml:12:18", "unknown-name"),
    ]
    assert caught.value.exit_code is ExitCode.USAGE


def test_one_mistake_is_said_once() -> None:
    """What refers to a noun that could not be read is not dangling."""
    text = SMALLEST + "providers: {alpha: {asn: none}}\nuplinks: {north: {router: gw, provider: alpha}}\n"

    with pytest.raises(IntentError) as caught:
        read(text)

    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    "written",
    [
        "password: hunter2",
        "password: 'hunter2, and more'",
        "password: [hunter2]",
        "password: {hunter2: hunter2}",
        'password: "env:hunter2 x"',
        "pasword: hunter2",
        "md5: hunter2",
        '"password":"hunter2"',
        "rank: x, password: hunter2",
        "password: hunter2, rank: x",
        "password: hunter2, rank: [",
        "password: hunter2, rank: no",
        "password: |\n      hunter2\n    rank: x",
        "password: >-\n\n      hunter2\n",
        "password: &p hunter2",
        "password: !!str hunter2",
        "mail: &p hunter2, password: *p",
        "password:\n      hunter2: [",
    ],
)
def test_a_secret_is_never_shown(written: str) -> None:
    """Not in the message about it, and not in the line of another one."""
    style = "{%s}" if "\n" not in written else "\n    %s\n"
    text = SMALLEST + "providers: {alpha: {asn: 64496}}\nuplinks:\n  north: " + style % written + "\n"

    with pytest.raises(IntentError) as caught:
        read(text)

    assert "hunter2" not in str(caught.value)


def test_more_problems_than_anybody_reads_are_counted() -> None:
    """The first hundred are shown, and how many are left."""
    names = "".join(f"  Bad_{number}: {{}}\n" for number in range(150))

    with pytest.raises(IntentError) as caught:
        read(SMALLEST + "sites:\n" + names)

    assert len(caught.value.problems) == 100
