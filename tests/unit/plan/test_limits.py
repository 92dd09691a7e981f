"""How many prefixes a neighbour may announce: what is stated, else room for what is declared."""

from __future__ import annotations

import pytest

from resilience.intent import read_intent_bytes
from resilience.plan import make_plan

INTENT = """
network: small
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
lab: true
routers: {{gw: {{}}}}
exchanges:
  mlix:
    ports: [{{router: gw}}]
    peers: {{large: {{asn: 64510, prefixes: [{many}]{peer}}}}}
customers:
  bank: {{asn: 64511, prefixes: [192.0.2.0/24, "2001:db8:2::/48"]{customer}}}
"""
MANY = ", ".join(f"10.{n // 256}.{n % 256}.0/24" for n in range(5_001))


def most(many: str = "192.0.2.0/25", **stated: str) -> dict[str, int | None]:
    """Return the maximum of each session with a neighbour, by its name."""
    texts = {key: f", maximum_prefixes: {stated[key]}" if key in stated else "" for key in ("peer", "customer")}
    plan, _ = make_plan(read_intent_bytes(INTENT.format(many=many, **texts).encode()))
    return {session.name: session.ends[0].maximum_prefixes for session in plan.sessions if session.ends[0].node == "gw"}


def test_a_customer_has_room_for_ten_more_than_it_declares() -> None:
    """A new prefix of its own is no reason to end the session before somebody declares it."""
    assert most()["bank-gw-ipv4"] == 12


@pytest.mark.parametrize(("family", "expected"), [(4, 7), (6, 12)])
def test_a_stated_maximum_of_a_customer_holds_for_its_family(family: int, expected: int) -> None:
    """The other family keeps the default."""
    assert most(customer="{ipv4: 7}")[f"bank-gw-ipv{family}"] == expected


def test_a_peer_has_room_for_what_it_declares() -> None:
    """The usual limit would end the session of a large one."""
    assert most(many="10.0.0.0/24")["mlix-large-gw-ipv4"] == 5_000
    assert most(many=MANY)["mlix-large-gw-ipv4"] == 10_002
