"""Whose session a change resets: that of the neighbour whose lines change, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from resilience.deploy.on_router.netresilience_router.sessions import sessions_defined

FRR = """router bgp 64500
 bgp router-id 203.0.113.1
 neighbor 192.0.2.1 remote-as 64501
 neighbor 192.0.2.1 timers 3 9
 neighbor 192.0.2.1 password one
 neighbor 2001:db8::1 remote-as 64501
 address-family ipv4 unicast
  neighbor 192.0.2.1 activate
  neighbor 192.0.2.1 route-map IN in
"""
BIRD = """router id 203.0.113.1;
protocol bgp a {
  description "a";
  neighbor 192.0.2.1 as 64501;
  hold time 9;
  password "one";
  ipv4 {
    import filter a_in;
    export filter a_out;
  };
}
protocol bgp b {
  neighbor 2001:db8::1 as 64501;
}
"""


def resets(before: str, after: str, platform: str) -> list[str]:
    """Return who loses a session."""
    old, new = sessions_defined(before, platform), sessions_defined(after, platform)
    return sorted(neighbor for neighbor in old if new.get(neighbor) != old[neighbor])


@pytest.mark.parametrize(
    ("platform", "text", "old", "new", "who"),
    [
        ("frr", FRR, "timers 3 9", "timers 10 30", []),
        ("frr", FRR, "password one", "password two", ["192.0.2.1"]),
        ("frr", FRR, "2001:db8::1 remote-as 64501", "2001:db8::1 remote-as 64502", ["2001:db8::1"]),
        ("frr", FRR, " neighbor 2001:db8::1 remote-as 64501\n", "", ["2001:db8::1"]),
        ("frr", FRR, "203.0.113.1", "203.0.113.2", ["192.0.2.1", "2001:db8::1"]),
        ("frr", FRR, "route-map IN in", "route-map OTHER in", []),
        ("frr", FRR, " address-family", " neighbor 198.51.100.9 remote-as 64509\n address-family", []),
        ("frr", FRR, " address-family ipv4 unicast\n", " address-family ipv4 unicast\n  network 192.0.2.0/24\n", []),
        ("bird", BIRD, "hold time 9", "hold time 30", ["192.0.2.1"]),
        ("bird", BIRD, '"one"', '"two"', ["192.0.2.1"]),
        ("bird", BIRD, "2001:db8::1 as 64501", "2001:db8::1 as 64502", ["2001:db8::1"]),
        ("bird", BIRD, "203.0.113.1", "203.0.113.2", ["192.0.2.1", "2001:db8::1"]),
        ("bird", BIRD, "import filter a_in", "import filter other", []),
        ("bird", BIRD, 'description "a"', 'description "b"', []),
        ("bird", BIRD, "protocol bgp b", "protocol bgp c {\n  neighbor 198.51.100.9 as 64509;\n}\nprotocol bgp b", []),
        ("bird", BIRD, "router id 203.0.113.1;\n", "router id 203.0.113.1;\ndefine OURS = [ 192.0.2.0/24 ];\n", []),
    ],
)
def test_a_change_resets_those_whom_it_concerns(platform: str, text: str, old: str, new: str, who: list[str]) -> None:
    """A changed neighbour, all of them by the router's id; a new neighbour, prefix or policy resets nobody."""
    assert text.replace(old, new) != text
    assert resets(text, text.replace(old, new), platform) == who


@pytest.mark.parametrize(("platform", "name"), [("frr", "frr.conf"), ("bird", "bird.conf")])
def test_every_neighbour_of_what_is_rendered_is_found(checkout: Path, platform: str, name: str) -> None:
    """In golden configurations, which have no second way to say it."""
    texts = [path.read_text(encoding="utf-8") for path in (checkout / "tests/golden/configs").rglob(name)]
    word = " remote-as " if platform == "frr" else "neighbor "
    expected = sum(
        line.count(word) for text in texts for line in text.splitlines() if line.strip().startswith("neighbor ")
    )

    assert expected > 0
    assert sum(len(sessions_defined(text, platform)) for text in texts) == expected
