"""The page of `docs/reference/` about what is safe by default, written from the scenarios that prove it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from resilience.model.network import Platform
from resilience.proof import SCENARIOS
from resilience.proof.guards import Unavailable, lines_of
from resilience.proof.scenario import Group, Scenario, stage
from resilience.report.text import escape_markdown

_TITLES = {Platform.FRR: "FRR", Platform.BIRD: "BIRD"}
_COLUMNS = "| protection | stops | source | FRR | BIRD | scenario |\n| --- | --- | --- | --- | --- | --- |\n"
_HARMS_SHOWN = 3
_LINES_SHOWN = 12
_HEAD = """
# What is safe by default

Every generated router has all of this without asking. Each line of the tables is a scenario: an attack by a hostile or
clumsy neighbour, on live daemons, that was first seen to work with the protection's lines taken out of the router's
files, and then not to work with them. Try them on your own machine's daemons:

```text
resilience prove                          # all of them
resilience prove bogon-prefixes           # one, on each platform
resilience prove --list
```

Why these, and not others: [what is safe by default](../explanation/safe-by-default.md). What a session of your own
network lets through: `resilience check NET --explain NAME`.
"""


def write_page(note: str) -> str:
    """Return the page, `note` on top."""
    return f"{note}{_HEAD}" + "".join(map(_chapter, Group))


def _chapter(group: Group) -> str:
    scenarios = [scenario for scenario in SCENARIOS if scenario.group is group]
    if not scenarios:
        return ""
    rows = "\n".join(map(_row, scenarios))
    sections = "".join("\n".join(_section(scenario)) + "\n" for scenario in scenarios)
    return f"\n## {group}\n\n{_COLUMNS}{rows}\n{sections}"


def _row(scenario: Scenario) -> str:
    has = ("no" if isinstance(scenario.guard[platform], Unavailable) else "yes" for platform in Platform)
    cells = (scenario.protection, scenario.attack_title, ", ".join(scenario.sources), *has)
    return f"| {' | '.join(map(escape_markdown, cells))} | [`{scenario.name}`](#{scenario.name}) |"


def _section(scenario: Scenario) -> Iterator[str]:
    yield f"\n### {scenario.name}\n"
    yield f"{_sentence(scenario.attack_title)} Without the protection: {_harms(scenario)}.\n"
    for platform in Platform:
        guard = scenario.guard[platform]
        if isinstance(guard, Unavailable):
            yield f"{_TITLES[platform]} cannot: {guard.because}.\n"
        else:
            _plan, configs = stage(scenario, platform)
            yield f"{_TITLES[platform]}:\n"
            yield from _listing(lines_of(configs, scenario.victims, guard))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _harms(scenario: Scenario) -> str:
    shown = "; ".join(scenario.harms[:_HARMS_SHOWN])
    left = len(scenario.harms) - _HARMS_SHOWN
    return f"{shown} and {left} more" if left > 0 else shown


def _listing(lines: Iterable[str]) -> Iterator[str]:
    shown = list(lines)
    yield "```text"
    yield from shown[:_LINES_SHOWN]
    if len(shown) > _LINES_SHOWN:
        yield f"... and {len(shown) - _LINES_SHOWN} more lines"
    yield "```\n"
