"""Passwords leave the router in no form: neither in files, nor in differences, nor in what programs complain about."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.deploy.on_router.netresilience_router.frr import Frr
from resilience.deploy.on_router.netresilience_router.machine import Done
from resilience.deploy.on_router.netresilience_router.masking import mask, masked_diff
from resilience.deploy.on_router.netresilience_router.refused import Refused
from tests.support.on_router import FakeMachine

SECRETS = st.text("ghkqwxyzGHKQ0123456789+/=.:-", min_size=8, max_size=20)
"""With none of the letters' runs that configurations have."""
FRR = " neighbor 192.0.2.{n} remote-as 64501\n neighbor 192.0.2.{n} password {secret}\n"
BIRD = 'protocol bgp b{n} {{\n  neighbor 192.0.2.{n} as 64501;\n  password "{secret}";\n}}\n'


def config(form: str, secrets: list[str]) -> str:
    """Return a configuration with so many neighbours."""
    return "".join(form.format(n=n, secret=secret) for n, secret in enumerate(secrets, 1))


@given(st.sampled_from([FRR, BIRD]), st.lists(SECRETS, max_size=4, unique=True), st.lists(SECRETS, max_size=4))
def test_no_password_survives(form: str, before: list[str], after: list[str]) -> None:
    """In no text, and in no difference of two."""
    old, new = config(form, before), config(form, after)
    shown = mask(old) + masked_diff(old, new, "frr.conf") + mask("\n".join(f"no {line}" for line in old.splitlines()))

    assert not [secret for secret in (*before, *after) if secret in shown]


@pytest.mark.parametrize(
    "text",
    [
        "router bgp 64500\n no neighbor 192.0.2.1 password geheim\nexit\n",
        "line 4: % Unknown command[25]:  neighbor 192.0.2.1 password geheim extra",
        '  password "geheim"; password "geheim2";',
        'authentication cryptographic; password\n "geheim" { id 1; };',
        "interface eth0\n ip ospf message-digest-key 1 md5 geheim\n",
        " ip ospf authentication-key geheim\n",
        "key chain a\n key 1\n  key-string geheim\n",
    ],
)
def test_a_password_is_hidden_wherever_it_stands(text: str) -> None:
    """Behind the words that vtysh and frr-reload.py put before a line, and two in a line."""
    assert "geheim" not in mask(text)
    assert "********" in mask(text)


@pytest.mark.parametrize("form", [FRR, BIRD])
def test_only_a_password_that_has_changed_is_called_changed(form: str) -> None:
    """And its neighbours' are not, though they look the same when they are hidden."""
    diff = masked_diff(config(form, ["one", "two", "three"]), config(form, ["one", "new", "three"]), "x")

    assert diff.count("(changed)") == 1
    changed = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert len(changed) == 2
    assert masked_diff(config(form, ["one"]), config(form, ["one"]), "x") == ""


def test_a_program_that_is_quoted_gives_no_half_of_a_password_away(machine: FakeMachine) -> None:
    """Only the end of what it said is passed on, and that may begin inside a line."""
    line = " neighbor 192.0.2.1 password " + "geheim" * 20
    for cut in range(len(line)):
        assert "geheim" not in Done(1, "", line + "\n" + "x" * (2000 - cut)).words
    assert machine.run(["true"]).words == "exit code 0"


def test_what_vtysh_complains_about_is_passed_on_without_passwords(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each line of it, and all the others in full."""
    said = "line 4: % Unknown command:  neighbor 192.0.2.1 password geheim x\nline 9: % Unknown command: bogus\n"
    monkeypatch.setattr(machine, "run", lambda *_arguments, **_options: Done(2, "", said))

    with pytest.raises(Refused) as raised:
        Frr(machine).check(tmp_path)

    assert "geheim" not in raised.value.message
    assert raised.value.message.endswith("; line 9: % Unknown command: bogus")
