"""The name server of labs."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.lab.services import answer_question

ZONE = dns.name.from_text("mali.example")


def ask(name: str, kind: str, address: str = "198.51.100.53") -> dns.message.Message:
    """Return the answer to a question."""
    return dns.message.from_wire(answer_question(dns.message.make_query(name, kind).to_wire(), ZONE, address))


@pytest.mark.parametrize(
    ("name", "kind", "address", "answer"),
    [
        ("www.mali.example", "A", "198.51.100.53", "198.51.100.53"),
        ("mali.example", "AAAA", "2001:db8::53", "2001:db8::53"),
        ("mali.example", "NS", "198.51.100.53", "ns.mali.example."),
        ("mali.example", "SOA", "198.51.100.53", "ns.mali.example. hostmaster.mali.example. 1 3600 600 86400 60"),
    ],
)
def test_names_of_the_zone_are_answered_with_authority(name: str, kind: str, address: str, answer: str) -> None:
    """By the server's own address."""
    response = ask(name, kind, address)

    assert response.flags & dns.flags.AA
    assert response.answer[0][0].to_text() == answer


def test_what_a_name_does_not_have_is_answered_by_the_start_of_authority() -> None:
    """No error: the name exists."""
    response = ask("mali.example", "AAAA")

    assert response.rcode() == dns.rcode.NOERROR
    assert not response.answer
    assert len(response.authority) == 1


def test_other_zones_are_refused() -> None:
    """It is no resolver."""
    assert ask("example.net", "A").rcode() == dns.rcode.REFUSED


@given(st.binary(max_size=64))
def test_nonsense_never_stops_the_server(data: bytes) -> None:
    """It is answered, or refused, and the loop goes on."""
    assert isinstance(answer_question(data, ZONE, "198.51.100.53"), bytes)
