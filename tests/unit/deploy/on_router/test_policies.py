"""Policies change as a whole: a router that takes line by line never runs one that is neither the old nor the new."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.deploy.on_router.netresilience_router.frr import Frr
from resilience.deploy.on_router.netresilience_router.machine import Done, Machine
from resilience.deploy.on_router.netresilience_router.policies import Policies, Use, exchange

NOW = """\
hostname gw
ip prefix-list own seq 5 permit 198.51.100.0/24
bgp as-path access-list bogon seq 5 permit _(23456)_
route-map in-a deny 10
 description bogon
 match as-path bogon
exit
route-map in-a permit 20
 set local-preference 200
exit
route-map out-a permit 10
 match ip address prefix-list own
exit
router bgp 64500
 neighbor 192.0.2.1 remote-as 64501
 neighbor 192.0.2.1 description route-map own
 !
 address-family ipv4 unicast
  redistribute static route-map out-a
  neighbor 192.0.2.1 route-map in-a in
  neighbor 192.0.2.1 route-map out-a out
 exit-address-family
exit
"""


@dataclass
class Router:
    """What FRR does with lines: each takes effect at once, and names are looked up when a route is judged."""

    policies: Policies
    around: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Take one line in."""
        word = line.strip()
        lists, maps = self.policies.lists, self.policies.maps
        if word in {"exit", "exit-address-family"}:
            self.around.pop()
        elif word.startswith("no "):
            kind, name = word[3:].rsplit(" ", 1)
            assert (kind, name) in self.policies, f"nothing to remove: {line}"
            maps.pop((kind, name)) if kind == "route-map" else lists.pop((kind, name))
        elif re.match(r"router bgp|address-family|vrf ", word):
            self.around.append(word)
        else:
            if self.around and self.around[0].startswith("route-map") and word.startswith("route-map"):
                raise AssertionError("an entry inside an entry")
            self.policies._take(tuple(self.around), word)
            if re.fullmatch(r"route-map \S+ (permit|deny) \d+", word):
                self.around = [word]

    def effects(self) -> dict[Use, object]:
        """Return what each use does, with everything that its route map refers to."""
        return {use: effect(self.policies, name) for use, name in self.policies.uses.items()}


def effect(policies: Policies, name: str) -> object:
    """Return what a route map does, whatever the names of what it refers to."""
    entries = policies.maps.get(("route-map", name))
    if entries is None:
        return "nothing passes"
    return [(entry, sorted(_meaning(policies, line) for line in lines)) for entry, lines in sorted(entries.items())]


def _meaning(policies: Policies, line: str) -> str:
    for pattern, kinds in policies_references():
        if found := pattern.fullmatch(line):
            lists = {kind: sorted(policies.lists.get((kind, found[2]), ["missing"])) for kind in kinds}
            called = effect(policies, found[2]) if kinds == ("route-map",) else ""
            return f"{found[1]}{found[3]} {lists} {called}"
    return line


def policies_references() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """Return the ways in which route maps refer to others, written down a second time."""
    ip, ipv6 = ("ip prefix-list",), ("ipv6 prefix-list",)
    community = ("bgp community-list standard", "bgp community-list expanded")
    large = ("bgp large-community-list standard", "bgp large-community-list expanded")
    return (
        (re.compile(r"(match ip (?:address|next-hop) prefix-list )(\S+)(.*)"), ip),
        (re.compile(r"(match ipv6 address prefix-list )(\S+)(.*)"), ipv6),
        (re.compile(r"(match as-path )(\S+)(.*)"), ("bgp as-path access-list",)),
        (re.compile(r"(match community |set comm-list )(\S+)(.*)"), community),
        (re.compile(r"(match large-community |set large-comm-list )(\S+)(.*)"), large),
        (re.compile(r"(call )(\S+)(.*)"), ("route-map",)),
    )


def change(running: str, wanted: str) -> list[str]:
    """Change a router line by line, and see that every use goes once from its old policy to its new one."""
    router, then = Router(Policies(running)), Policies(wanted)
    then.adopt(Policies(running))
    before = router.effects()
    after = {use: effect(then, then.uses.get(use, name)) for use, name in router.policies.uses.items()}
    lines = "".join(exchange(running, wanted)).splitlines()
    for line in lines:
        router.take(line)
        for use, now in router.effects().items():
            assert now in (before[use], after[use]), f"{use} after {line}"
            if now == after[use]:
                before[use] = after[use]
    assert not router.around
    assert router.effects() == after
    assert {
        key for key in (*router.policies.lists, *router.policies.maps) if router.policies.of(key) != then.of(key)
    } == set()
    assert set(then.lists) == set(router.policies.lists)
    assert set(then.maps) == set(router.policies.maps)
    assert exchange(wanted, wanted) == ("", "")
    return lines


def test_nothing_is_told_where_policies_are_the_same() -> None:
    """Whatever the order of lines, and whatever else changes."""
    other = NOW.replace("hostname gw", "hostname gw2").replace(
        " description bogon\n match as-path bogon\n", " match as-path bogon\n description bogon\n"
    )
    assert exchange(NOW, NOW) == exchange(NOW, other) == ("", "")


def test_a_policy_that_changes_is_written_beside_first() -> None:
    """Sessions move to it, it is written under its own name, and they move back."""
    assert change(NOW, NOW.replace("preference 200", "preference 300")) == [
        "route-map in-a.next1 deny 10",
        " description bogon",
        " match as-path bogon",
        "exit",
        "route-map in-a.next1 permit 20",
        " set local-preference 300",
        "exit",
        "router bgp 64500",
        "address-family ipv4 unicast",
        "neighbor 192.0.2.1 route-map in-a.next1 in",
        "exit-address-family",
        "exit",
        "no route-map in-a",
        "route-map in-a deny 10",
        " description bogon",
        " match as-path bogon",
        "exit",
        "route-map in-a permit 20",
        " set local-preference 300",
        "exit",
        "router bgp 64500",
        "address-family ipv4 unicast",
        "neighbor 192.0.2.1 route-map in-a in",
        "exit-address-family",
        "exit",
        "no route-map in-a.next1",
    ]


def test_a_list_that_changes_is_exchanged_with_the_policies_that_refer_to_it() -> None:
    """Others are left alone."""
    lines = change(NOW, NOW.replace("own seq 5 permit 198.51.100.0/24", "own seq 5 permit 198.51.100.0/25"))
    assert [line for line in lines if line.startswith(("neighbor", "redistribute"))] == [
        "redistribute static route-map out-a.next1",
        "neighbor 192.0.2.1 route-map out-a.next1 out",
        "redistribute static route-map out-a",
        "neighbor 192.0.2.1 route-map out-a out",
    ]


def test_another_policy_is_there_before_a_session_moves_to_it() -> None:
    """One line moves it: frr-reload.py would take the old one away first."""
    other = NOW.replace("route-map in-a ", "route-map in-b ")
    lines = change(NOW, other)
    assert lines.index("neighbor 192.0.2.1 route-map in-b.next1 in") > lines.index(" set local-preference 200")
    assert lines.index("neighbor 192.0.2.1 route-map in-b in") > lines.index("route-map in-b permit 20")


def test_policies_of_who_comes_and_who_goes() -> None:
    """The first are complete before there is a session; the second stay until there is none."""
    policy = "route-map in-b permit 10\n match ip address prefix-list own\nexit\n"
    more = NOW.replace("router bgp", f"{policy}router bgp").replace(
        " exit-address", "  neighbor 192.0.2.9 route-map in-b in\n exit-address"
    )
    assert change(NOW, more) == policy.splitlines()
    assert change(more, NOW) == []
    assert "neighbor 192.0.2.9 route-map in-b.next1 in" in change(
        more, NOW.replace("own seq 5 permit", "own seq 5 deny")
    )


def test_an_exchange_that_was_cut_off_is_begun_anew() -> None:
    """Sessions that use a policy of the first attempt move to one of the second."""
    lines = change(NOW, NOW.replace("preference 200", "preference 300"))
    router = Router(Policies(NOW))
    for line in lines[:12]:
        router.take(line)
    halfway = NOW.replace("route-map in-a in", "route-map in-a.next1 in").replace(
        "router bgp", "\n".join([*lines[:7], "router bgp"])
    )
    assert router.policies.maps == Policies(halfway).maps
    assert "neighbor 192.0.2.1 route-map in-a.next2 in" in exchange(halfway, NOW.replace("200", "400"))[1]
    change(halfway, NOW)


def test_what_is_used_in_another_way_is_left_to_frr_reload() -> None:
    """Taking it away for a moment would hurt whoever uses it."""
    used = NOW.replace(" exit-address", "  neighbor 192.0.2.1 prefix-list own in\n exit-address")
    assert exchange(used, used.replace("198.51.100.0/24", "198.51.100.0/25")) == ("", "")


def test_descriptions_are_no_uses() -> None:
    """Whatever words are in them."""
    said = NOW.replace("description route-map own", "description route-map in-a")
    assert not [
        line for line in change(said, said.replace("preference 200", "preference 300")) if "description r" in line
    ]


class Vtysh(Machine):
    """A router whose vtysh refuses a line of some scripts."""

    def __init__(self, refused: str) -> None:
        super().__init__()
        self.refused = refused
        self.taken: list[str] = []

    def run(self, argv: Sequence[str], stdin: str = "", timeout_s: float = 120) -> Done:
        """Show what runs, or take a script."""
        del timeout_s
        if "-c" in argv:
            return Done(0, NOW, "")
        self.taken.append(stdin)
        return Done(2 if self.refused in stdin else 0, "", "")


@pytest.mark.parametrize(("refused", "scripts"), [("next1 deny 10\n", 1), ("nothing", 2)])
def test_nobody_moves_to_a_policy_of_which_a_line_was_refused(refused: str, scripts: int) -> None:
    """An entry whose match was refused matches everything."""
    machine = Vtysh(refused)
    Frr(machine)._exchange_policies(NOW.replace("preference 200", "preference 300"))
    assert len(machine.taken) == scripts
    assert "neighbor" not in machine.taken[0]


# --- whatever changes -------------------------------------------------------------------------------------------------

LISTS = {
    "ip prefix-list": "seq {n} permit 198.51.10{n}.0/24",
    "ipv6 prefix-list": "seq {n} deny any",
    "bgp as-path access-list": "seq {n} permit _(6450{n})_",
    "bgp community-list standard": "seq {n} permit 64500:{n}",
    "bgp large-community-list expanded": "seq {n} permit ^64500:{n}",
}
REFERENCES = (
    "match ip address prefix-list",
    "match ipv6 address prefix-list",
    "match as-path",
    "match community",
    "match large-community",
    "set large-comm-list",
)
FLAGS = st.sampled_from([False, True])
NAMES = st.sampled_from(["own", "other", "third"])
MAPS = ("in-a", "in-b", "out-a", "out-b")
USES = (
    "  neighbor 192.0.2.1 route-map {} in",
    "  neighbor 192.0.2.1 route-map {} out",
    "  neighbor 192.0.2.2 route-map {} in",
    "  neighbor 192.0.2.2 default-originate route-map {}",
    "  redistribute static route-map {}",
)


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """A configuration of lists, route maps that refer to them and to maps after them, and uses."""
    lines: list[str] = []
    for kind, rest in LISTS.items():
        for name in draw(st.sets(NAMES)):
            lines += [f"{kind} {name} {rest.format(n=n)}" for n in sorted(draw(st.sets(st.integers(1, 3), min_size=1)))]
    maps = [name for name in MAPS if draw(FLAGS)]
    for index, name in enumerate(maps):
        for number in sorted(draw(st.sets(st.sampled_from([10, 20, 30]), min_size=1))):
            lines.append(f"route-map {name} {draw(st.sampled_from(['permit', 'deny']))} {number}")
            for reference in draw(st.sets(st.sampled_from(REFERENCES), max_size=2)):
                end = " delete" if reference.startswith("set") else ""
                lines.append(f" {reference} {draw(NAMES)}{end}")
            if bool(maps[index + 1 :]) and draw(FLAGS):
                lines.append(f" call {draw(st.sampled_from(maps[index + 1 :]))}")
            lines.append("exit")
    lines += ["router bgp 64500", " address-family ipv4 unicast"]
    lines += [use.format(draw(st.sampled_from(maps))) for use in USES if bool(maps) and draw(FLAGS)]
    return "\n".join([*lines, " exit-address-family", "exit"]) + "\n"


@given(configurations(), configurations())
def test_no_use_ever_sees_a_policy_that_is_half_written(running: str, wanted: str) -> None:
    """After every line each use has its old policy or its new one, and never goes back."""
    change(running, wanted)
