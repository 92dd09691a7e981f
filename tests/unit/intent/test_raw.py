"""Raw lines cannot leave the place where they are put, whatever is in them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.errors import IntentError
from resilience.intent import read_intent_bytes

HEAD = 'network: small\nasn: 64500\nprefixes: [198.51.100.0/24, "2001:db8:6400::/40"]\n'
PIECES = ["{", "}", "(", ")", "[", "]", '"', "#", "/*", "*/", "/", "*", "\n", " ", ";", "a", "if", "\\"]


def read_raw(place: str, text: str, platform: str = "bird") -> bool:
    """Say whether raw text at a neighbour is taken."""
    block = "".join(f"        {line}\n" for line in text.split("\n"))
    document = (
        f"{HEAD}routers: {{gw: {{platform: {platform}}}}}\nproviders: {{alpha: {{asn: 64496}}}}\n"
        f"uplinks:\n  one:\n    router: gw\n    provider: alpha\n    raw:\n      {place}: |8\n{block}"
    ).replace("|8", "|2")
    try:
        network = read_intent_bytes(document.encode())
    except IntentError:
        return False
    return bool(network.uplinks["one"].raw)


def bare(text: str) -> str:
    """Return text without comments and quotes, as a grammar sees it."""
    return re.sub(r'"[^"\n]*"|#[^\n]*|/\*.*?\*/', " ", text, flags=re.DOTALL)


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_no_text_closes_the_protocol_around_it(text: str) -> None:
    """What is taken opens and closes its own braces, comments and quotes: the last brace is still ours."""
    if not read_raw("bird", text):
        return
    depth = 0
    code = bare(text + "\n")
    for character in code:
        depth += (character == "{") - (character == "}")
        assert depth >= 0, text
    assert depth == 0, text
    assert '"' not in code
    assert "/*" not in code


@pytest.mark.parametrize(
    "text", ["hold time 30;", "import filter {\n  if net.len > 24 then reject;\n  accept;\n};", '/* } */ # }\nx "}";']
)
def test_honest_lines_are_taken(text: str) -> None:
    """A rule that refuses everything would be safe too."""
    assert read_raw("bird_channel", text)


@pytest.mark.parametrize("text", ["description a } b", "timers 3 9", "no capability dynamic", "! passive"])
def test_honest_lines_are_taken_in_frr(text: str) -> None:
    """Braces mean nothing there."""
    assert read_raw("frr", text, "frr")


@pytest.mark.parametrize("key", ["net/../kernel/panic", "net....kernel.panic", "/etc/passwd", "kernel.panic", "net"])
def test_settings_of_the_rest_of_the_machine_are_refused(key: str) -> None:
    """Labs write them into the running kernel, as root."""
    with pytest.raises(IntentError, match="no setting of the network"):
        read_intent_bytes(f'{HEAD}routers: {{gw: {{raw: {{sysctl.conf: "{key} = 1"}}}}}}\n'.encode())


def test_a_secret_is_never_shown() -> None:
    """Although it stands on the line that is wrong."""
    text = f"{HEAD}routers: {{gw: {{raw: {{frr.conf: 'end password hunter2'}}}}}}\n"
    with pytest.raises(IntentError) as caught:
        read_intent_bytes(text.encode())

    assert "hunter2" not in "".join(map(str, caught.value.problems))
