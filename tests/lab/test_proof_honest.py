"""A scenario that proves nothing says so: the attempts themselves can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resilience.model.network import Platform
from resilience.model.proof import ProofVerdict
from resilience.proof import choose
from resilience.proof.guards import Lines, Unavailable, bird_term
from resilience.proof.scenario import try_scenario

[BOGONS] = choose(["bogon-prefixes"])
SHORT_S = 5.0


@pytest.mark.lab
def test_an_attack_that_never_works_proves_nothing() -> None:
    """Lines are taken away, but not those that stop it: `unknown`, never `pass`."""
    elsewhere = replace(BOGONS, guard={Platform.BIRD: (bird_term("long_path"),)}, limit_s=SHORT_S)
    cell = try_scenario(elsewhere, Platform.BIRD)

    assert cell.verdict is ProofVerdict.UNKNOWN
    assert "without the protection this was not seen" in cell.reason


@pytest.mark.lab
def test_an_attack_that_always_works_fails() -> None:
    """The lines that are taken away stop nothing, since they are not what they are thought to be."""
    useless = replace(
        BOGONS,
        hostile=lambda plan, configs: {
            **BOGONS.hostile(plan, configs),
            "gw": tuple(
                replace(f, text=f.text.replace(" ~ b_prefixes_bogons_", " ~ b_prefixes_ours_")) for f in configs["gw"]
            ),
        },
        guard={Platform.BIRD: (Lines("bird.conf", "no absurdly long path", "any path"),)},
        limit_s=SHORT_S,
    )
    cell = try_scenario(useless, Platform.BIRD)

    assert cell.verdict is ProofVerdict.FAIL
    assert "10.20.0.0/16 from provider-alpha is accepted" in cell.seen_with


@pytest.mark.lab
def test_what_is_said_to_be_impossible_and_is_not_fails() -> None:
    """A platform that learned to protect must not stay marked as unable."""
    cell = try_scenario(
        replace(BOGONS, guard={Platform.BIRD: Unavailable("it cannot")}, limit_s=SHORT_S), Platform.BIRD
    )

    assert cell.verdict is ProofVerdict.FAIL
    assert "said to be impossible here" in cell.reason


@pytest.mark.lab
def test_a_protection_that_stops_the_legitimate_too_proves_nothing() -> None:
    """A session that carries nothing at all looks safe; it is `unknown`."""
    cell = try_scenario(replace(BOGONS, missing=lambda _scene: ["what never comes"], limit_s=1), Platform.BIRD)

    assert cell.verdict is ProofVerdict.UNKNOWN
    assert "what never comes" in cell.reason
