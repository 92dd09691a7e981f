"""Finding a protection's lines in rendered files, showing them, and taking them away."""

from __future__ import annotations

import pytest

from resilience.errors import LabError
from resilience.model.configs import ConfigFile, Configs
from resilience.proof.guards import Lines, bird_term, frr_term, lines_of, rewrite

FRR = """\
! no bogon prefixes
route-map import_one_ipv4 deny 10
 description bogons
 match ip address prefix-list bogons_4
exit
!
route-map import_one_ipv4 permit 20
 description accept
 set local-preference 200
exit
!
route-map import_two_ipv4 deny 10
 description bogons
 match ip address prefix-list bogons_4
exit
!
"""
BIRD = """\
function b_policy_import_one_ipv4(ip b_here)
{
  # bogons: no bogon prefixes
  if net ~ b_prefixes_bogons_4 then {
    reject;
  }
  # accept
  {
    bgp_local_pref = 200;
    accept;
  }
  reject;
}

function b_policy_import_two_ipv4(ip b_here)
{
  # bogons: no bogon prefixes
  if net ~ b_prefixes_bogons_4 then {
    reject;
  }
  reject;
}
"""


def configs(path: str, text: str) -> Configs:
    """Return the configurations of one router with one file."""
    return {"gw": (ConfigFile(path, text),)}


def text_of(changed: Configs) -> str:
    """Return what stands in that file now."""
    return changed["gw"][0].text


def test_a_term_of_every_policy_goes_from_frr() -> None:
    """Both route maps lose the entry, comment included, and keep the rest."""
    text = text_of(rewrite(configs("frr.conf", FRR), ["gw"], [frr_term("bogons")]))

    assert "bogons" not in text
    assert text.startswith("route-map import_one_ipv4 permit 20\n description accept\n")


def test_a_term_of_one_policy_goes_from_frr() -> None:
    """The other route map keeps it."""
    text = text_of(rewrite(configs("frr.conf", FRR), ["gw"], [frr_term("bogons", policy="import_one_.*")]))

    assert "route-map import_one_ipv4 deny" not in text
    assert "route-map import_two_ipv4 deny 10\n description bogons" in text


def test_a_term_of_one_policy_goes_from_bird() -> None:
    """The other function keeps it, and the braces still balance."""
    text = text_of(rewrite(configs("bird.conf", BIRD), ["gw"], [bird_term("bogons", policy=r"import_one_\w+")]))

    assert text.count("bogons:") == 1
    assert text.count("{") == text.count("}") == 4
    assert text.index("bogons:") > text.index("import_two")


def test_a_term_without_a_condition_can_go_from_bird() -> None:
    """The catch-all is a bare block."""
    text = text_of(rewrite(configs("bird.conf", BIRD), ["gw"], [bird_term("accept")]))

    assert "accept" not in text
    assert text.count("{") == text.count("}") == 4


def test_lines_can_be_replaced() -> None:
    """What stands there without the protection is said with groups of the expression."""
    lines = Lines("frr.conf", r"set (local-preference) \d+", r"set \1 1")

    assert "set local-preference 1\n" in text_of(rewrite(configs("frr.conf", FRR), ["gw"], [lines]))


def test_a_guard_that_finds_nothing_is_an_error() -> None:
    """Else a scenario would test nothing once the templates say it in other words."""
    with pytest.raises(LabError, match=r"no line of frr\.conf of gw looks like"):
        rewrite(configs("frr.conf", FRR), ["gw"], [frr_term("martians")])


def test_only_the_named_routers_are_changed() -> None:
    """An attacker's file may hold the same lines."""
    both = {**configs("frr.conf", FRR), "other": (ConfigFile("frr.conf", FRR),)}

    assert rewrite(both, ["gw"], [frr_term("bogons")])["other"][0].text == FRR


def test_lines_are_shown_once_without_comments_and_punctuation() -> None:
    """Each after its file's name, as a reader looks for them."""
    assert lines_of(configs("bird.conf", BIRD), ["gw"], [bird_term("bogons")]) == (
        "bird.conf: if net ~ b_prefixes_bogons_4 then {",
        "bird.conf: reject;",
    )
