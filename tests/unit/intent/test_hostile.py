"""Input is hostile: whatever the bytes, there is a network or a list of problems, and never anything else."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from resilience.errors import IntentError
from resilience.intent import RULES, Problem, read_intent, read_intent_bytes
from resilience.intent.document import Part
from resilience.intent.shape import keys_of
from resilience.model.network import Network

HERE = Path(__file__).parent
SMALLEST = """\
network: small
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers: {gw: {}, edge: {platform: bird}}
links: [{between: [gw, edge], capacity: 10G}]
providers: {alpha: {asn: 64496}}
uplinks: {north: {router: gw, provider: alpha, address: 192.0.2.2/30, password: env:NORTH}}
"""
EXAMPLES = [SMALLEST, *((HERE / name).read_text(encoding="utf-8") for name in ("language.yaml", "stated.yaml"))]
GOLDEN = [
    file.read_bytes().decode("utf-8", "replace")
    for file in sorted((HERE.parents[1] / "golden" / "errors").glob("*/network.yaml"))
]
CHUNKS, SIZE = 20, 500
"""10,000 inputs, in chunks that fail one by one."""
ODD = (
    *("no", "on", "~", "null", "1:30", "0x1f", "1e400", "-0", "+1", "010", "1_000", ".inf", "9" * 30, "9" * 5000, "-1"),
    *("{{ 7*7 }}", "{% for x in y %}", "$(reboot)", "`id`", "; reboot", "../../etc/passwd", "<script>", "a" * 300),
    *("*a", "&a x", "<<: *a", "!!python/object:os.system x", "!!binary aGk=", "? ", "- ", "---", "...", "%YAML 9.9"),
    *("[", "]", "{", "}", "'", '"', "|", ">", "#", "@", "%", "\t", "\\", ": ", ",", "\\u202e", '"\\0"', '"\\ud800"'),
    *(
        "é",
        "\u202e",
        "\u200b",
        "\ufeff",
        "\x00",
        "\x1b[2J",
        "\x85",
        "\u2028",
        "😀",
        "\ud7ff",
        "٣",
        "\uff11\uff12",
        "\u2177",
    ),
    *("192.0.2.1/24", "0.0.0.0/0", "::/0", "::1", "fe80::1%eth0", "255.255.255.255", "::ffff:192.0.2.1", "1.2.3.4/٣"),
    *("10ms", "0s", "99999999999h", "1.5G", "0", "T", "٣s", "env:", "file:", "vault:x", "true", "False"),
    *("a: &a [*a]", "{a: {b: {c: {d: {e: f}}}}}", "[[[[[[[[[[[[[[[[[[[[[[[[", "[]", "{}", "[[]]", "{? [a] : b}"),
)


@cache
def language_keys() -> tuple[str, ...]:
    """Return every key of the language."""
    found: list[str] = []
    waiting: list[type[Part]] = [Part]
    while waiting:
        part = waiting.pop()
        waiting += part.__subclasses__()
        found += keys_of(part)
    return tuple(dict.fromkeys(found))


def mutate(chance: random.Random, text: str) -> str:
    """Change an example in a few places: drop, double, move or replace words and lines."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        line = lines[at]
        spot = chance.randrange(len(line) + 1)
        match chance.randrange(8):
            case 0:
                del lines[at]
            case 1:
                lines.insert(chance.randrange(len(lines)), line)
            case 2:
                lines[at] = line[:spot] + chance.choice(ODD) + line[spot:]
            case 3:
                lines[at] = line[:spot] + line[spot + chance.randrange(1, 6) :]
            case 4:
                words = line.split(" ")
                words[chance.randrange(len(words))] = chance.choice(ODD)
                lines[at] = " ".join(words)
            case 5:
                words = line.split(" ")
                words[chance.randrange(len(words))] = chance.choice(chance.choice(EXAMPLES).split())
                lines[at] = " ".join(words)
            case 6:
                lines[at] = line[:spot] + chance.choice(ODD)
            case _:
                lines[at] = (" " * chance.randrange(9)) + line.lstrip()
        text = "\n".join(lines)
    return text


def invent(chance: random.Random, depth: int = 0) -> str:
    """Write YAML of the language's keys with values that do not belong there."""
    if depth < 4 and chance.random() < (1.0 if depth == 0 else 0.4):
        keys = chance.sample(language_keys(), chance.randrange(1, 7))
        return "{" + ", ".join(f"{key}: {invent(chance, depth + 1)}" for key in keys) + "}"
    if chance.random() < 0.25:
        return "[" + ", ".join(invent(chance, depth + 1) for _ in range(chance.randrange(4))) + "]"
    words = ("gw", "64500", "internet", "customers", '"2001:db8::/40"', "198.51.100.0/24", "192.0.2.2/30", "9s", "")
    return chance.choice(words if chance.random() < 0.8 else ODD)


def scribble(chance: random.Random) -> bytes:
    """Return noise: bytes, characters from anywhere in Unicode, or YAML's own punctuation."""
    match chance.randrange(3):
        case 0:
            return chance.randbytes(chance.randrange(200))
        case 1:
            points = (chance.choice((0x7F, 0x2FF, 0xFFFF, 0x10FFFF)) for _ in range(chance.randrange(120)))
            return "".join(chr(chance.randrange(1, top)) for top in points).encode("utf-8", "surrogatepass")
        case _:
            return "".join(
                chance.choice("{}[]&*:,-?!|>'\"%@#~ \n\tabc12") for _ in range(chance.randrange(120))
            ).encode()


def hostile(chance: random.Random) -> bytes:
    """Return one hostile input."""
    kind = chance.random()
    if kind < 0.1:
        return mutate(chance, chance.choice(EXAMPLES)).encode("utf-8", "surrogatepass")
    if kind < 0.3:
        return mutate(chance, SMALLEST).encode("utf-8", "surrogatepass")
    if kind < 0.7:
        return mutate(chance, chance.choice(GOLDEN)).encode("utf-8", "surrogatepass")
    if kind < 0.85:
        return invent(chance).encode("utf-8", "surrogatepass")
    return scribble(chance)


def read(data: bytes) -> Network | tuple[Problem, ...]:
    """Read an input; anything but a network or an IntentError passes through and fails the test."""
    try:
        return read_intent_bytes(data)
    except IntentError as error:
        problems = tuple(problem for problem in error.problems if isinstance(problem, Problem))
    return problems or pytest.fail("an error without a problem")


def check_said(problem: Problem) -> None:
    """A problem is one of ours, at a place, in our own words, and harmless on a terminal."""
    said = str(problem)

    assert problem.rule in RULES
    assert problem.position.line >= 1
    assert problem.position.column >= 1
    assert problem.message
    assert not any(word in said for word in ("Input should", "pydantic", "Traceback", "object at 0x"))
    assert len(said) < 2_000
    assert all(character == "\n" or unicodedata.category(character) not in {"Cc", "Cf", "Cs"} for character in said)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_hostile_inputs_give_a_network_or_problems(chunk: int) -> None:
    """Five hundred inputs a chunk, the same ones in every run."""
    chance = random.Random(chunk)  # noqa: S311 - reproducible noise, not a secret
    rules: Counter[str] = Counter()
    networks = 0
    for number in range(SIZE):
        data = hostile(chance)
        try:
            result = read(data)
            for problem in result if isinstance(result, tuple) else ():
                check_said(problem)
        except Exception as error:
            error.add_note(f"input {number} of chunk {chunk}: {data!r}")
            raise
        networks += isinstance(result, Network)
        rules.update({problem.rule for problem in result} if isinstance(result, tuple) else ())

    assert networks >= SIZE // 100, "the noise must not be so loud that nothing is ever read"
    assert len(rules) >= 30, "the noise must reach the rules"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"[" * 3_000_000, "yaml-depth"),
        (b"{a: " * 1_000_000, "yaml-depth"),
        (b"- " * 2_000_000, "yaml-depth"),
        (b"? " * 2_000_000, "yaml-depth"),
        (b"a: [" + b"x," * 1_500_000 + b"]", "yaml-expansion"),
        (b"\n".join(b"k%d: v" % number for number in range(300_000)), "yaml-expansion"),
        (b"&a " * 100_000, "yaml-syntax"),
        (b"\t" * 4_000_000 + b"x", "yaml-tab"),
        (b"a" * 4_000_000, "not-a-mapping"),
        (b"no: [" + b"no, " * 20_000 + b"]", "yaml-boolean"),
        (b"x" * 5_000_000, "too-large"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:8].decode(),
)
@pytest.mark.timeout(60)
def test_large_hostile_inputs_end(data: bytes, rule: str) -> None:
    """Megabytes of nesting, values, anchors or tabs are refused by a limit, not by exhaustion."""
    result = read(data)

    assert isinstance(result, tuple)
    assert rule in {problem.rule for problem in result}


def test_a_long_chain_of_risks_is_no_recursion() -> None:
    """Thousands of risks, each including the next, and the last one the first."""
    count = 5_000
    risks = "".join(f"  r{number}: {{includes: [r{(number + 1) % count}]}}\n" for number in range(count))
    text = f"network: small\nasn: 64500\nprefixes: [198.51.100.0/24]\nrouters: {{gw: {{}}}}\nrisks:\n{risks}"

    result = read(text.encode())

    assert isinstance(result, tuple)
    assert [problem.rule for problem in result] == ["risk-circle"]
    check_said(result[0])


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    """A folder without an intent, a device, a name that no file can have."""
    for path in (tmp_path, tmp_path / "nothing", Path("/dev/zero"), Path("a\0b"), tmp_path / ("x" * 300)):
        with pytest.raises(IntentError) as caught:
            read_intent(path)
        assert [problem.rule for problem in caught.value.problems] == ["no-file"]  # type: ignore[attr-defined]
