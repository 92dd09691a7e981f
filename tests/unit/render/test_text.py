"""What comes from names and people cannot break out of its line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.errors import ResilienceError, UsageError
from resilience.model.network import SecretRef
from resilience.render.secret import password_text
from resilience.render.text import comment, description, identifier, interface_name, seconds, symbol


@given(st.text())
def test_a_comment_is_one_line_of_ascii(text: str) -> None:
    """No line end of any kind survives, so that nothing after it can be read as a command."""
    assert re.fullmatch(r"[ -~]*", comment(text))


@given(st.text())
def test_a_description_holds_no_quotes(text: str) -> None:
    """BIRD's strings cannot be ended from inside."""
    assert re.fullmatch(r"[A-Za-z0-9 ._:/,()+-]*", description(text))


@given(st.text(max_size=300))
def test_a_symbol_is_a_symbol(text: str) -> None:
    """BIRD takes letters, digits and `_`, 63 of them."""
    assert re.fullmatch(r"b_[A-Za-z0-9_]{0,61}", symbol(text))


def test_long_symbols_stay_apart() -> None:
    """Two long names with the same beginning do not become one symbol."""
    assert symbol("a" * 80 + "-one") != symbol("a" * 80 + "-two")


@pytest.mark.parametrize("name", ["", "a b", "a\nexit", "ü", "a;b", '"', "x" * 16, "../x"])
def test_a_bad_interface_name_stops_rendering(name: str) -> None:
    """Nothing that would need quoting reaches a file."""
    with pytest.raises(ResilienceError):
        interface_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a\nno router bgp", "a;b"])
def test_a_bad_policy_name_stops_rendering(name: str) -> None:
    """Same for names of lists and policies."""
    with pytest.raises(ResilienceError):
        identifier(name)


@pytest.mark.parametrize(("value_ms", "expected"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (180_000, 180)])
def test_seconds_are_rounded_up(value_ms: int, expected: int) -> None:
    """A timer of the daemons is never shorter than the plan's."""
    assert seconds(value_ms) == expected


def test_no_password_is_none() -> None:
    """A session without a reference has no password line."""
    assert password_text(None, lambda _: "secret") is None


def test_an_unresolved_password_is_marked() -> None:
    """The reference stands there, marked, in a form that both daemons read."""
    assert password_text(SecretRef("env:DAKAR_MD5"), lambda _: None) == "UNRESOLVED:env:DAKAR_MD5"


def test_a_hostile_reference_is_harmless() -> None:
    """Even a reference may come from somebody else."""
    text = password_text(SecretRef('file:/x"; }\n!'), lambda _: None)
    assert text is not None
    assert re.fullmatch(r"[A-Za-z0-9._:/_-]+", text)


@pytest.mark.parametrize("secret", ["", 'a"b', "a\\b", "a\nb", "é", " hunter2", "hunter2 ", "x" * 81, "a\x00b"])
def test_a_secret_that_no_daemon_can_hold_is_refused(secret: str) -> None:
    """The error names the reference and never the secret."""
    with pytest.raises(UsageError) as caught:
        password_text(SecretRef("env:KEY"), lambda _: secret)
    assert "env:KEY" in str(caught.value)
    assert not secret or secret not in str(caught.value) + caught.value.hint
