"""Which lines of a router's files are a protection, so that they can be shown, and taken away for once.

A protection is told by regular expressions over the rendered text, not by a switch in the renderer: what an operator
would delete by hand is what a scenario deletes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from resilience.errors import LabError
from resilience.model.configs import ConfigFile, Configs
from resilience.model.lacks import find_lack
from resilience.model.network import Platform


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one file. `pattern` is multi-line; what it finds is replaced by `without` (as `re.sub` understands it).

    `within` narrows the search to the blocks that this expression finds (it sees across lines), such as one function.
    """

    file: str
    pattern: str
    without: str = ""
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A platform has no such protection, and why."""

    because: str

    @classmethod
    def on(cls, platform: Platform, scenario: str) -> Unavailable:
        """Return what the table of lacks says; KeyError when it says nothing."""
        return cls(find_lack(platform, scenario).because)


def frr_term(term: str, *, policy: str = r"\S+") -> Lines:
    """Return the route map entries of a policy's term; `policy` is an expression for the route map's name."""
    head = rf"(?:^! [^\n]*\n)?^route-map {policy} (?:permit|deny) \d+\n description {term}\n"
    return Lines("frr.conf", head + r"(?:^ [^\n]*\n)*^exit\n^!\n")


def bird_term(term: str, *, policy: str = r"\w+") -> Lines:
    """Return a policy's term in BIRD's functions; `policy` is an expression for the function's name."""
    pattern = rf"^  # {term}(?::[^\n]*)?\n  (?:if [^\n]* then )?\{{\n(?:    [^\n]*\n)*  \}}\n"
    return Lines("bird.conf", pattern, within=rf"^function b_policy_{policy}\(.*?^\}}\n")


def lines_of(configs: Configs, nodes: Iterable[str], guard: Iterable[Lines]) -> tuple[str, ...]:
    """Return the text of a protection, each line after its file's name; comments and mere punctuation are left out."""
    texts = [_whole_lines(file, lines) for node in nodes for lines in guard for file in _files(configs[node], lines)]
    # Once each: sessions of both families and equal neighbours repeat them.
    return tuple(dict.fromkeys(line for found in texts for line in found))


def _files(files: Iterable[ConfigFile], lines: Lines) -> Iterator[ConfigFile]:
    return (file for file in files if file.path == lines.file)


def _whole_lines(file: ConfigFile, lines: Lines) -> Iterator[str]:
    for block in _blocks(file.text, lines):
        for found in re.finditer(lines.pattern, block, re.MULTILINE):
            for line in found.group().splitlines():
                if line.strip().strip("{};") not in {"", "exit"} and line.strip()[0] not in "#!":
                    yield f"{file.path}: {line.strip()}"


def _blocks(text: str, lines: Lines) -> Iterator[str]:
    if lines.within is None:
        yield text
    else:
        yield from (found.group() for found in re.finditer(lines.within, text, re.MULTILINE | re.DOTALL))


def rewrite(configs: Configs, nodes: Collection[str], guard: Iterable[Lines]) -> Configs:
    """Return the configurations with these lines replaced on these nodes.

    Raises:
        LabError: an expression finds nothing on any of the nodes: what it looks for is rendered in other words now.
    """
    changed = dict(configs)
    for lines in guard:
        found = 0
        for node in nodes:
            files = [_rewrite_file(file, lines) for file in changed[node]]
            found += sum(count for _, count in files)
            changed[node] = tuple(file for file, _ in files)
        if not found:
            raise LabError(f"no line of {lines.file} of {', '.join(nodes)} looks like {lines.pattern!r}")
    return changed


def _rewrite_file(file: ConfigFile, lines: Lines) -> tuple[ConfigFile, int]:
    if file.path != lines.file:
        return file, 0
    count = 0

    def change(text: str) -> str:
        nonlocal count
        changed, times = re.subn(lines.pattern, lines.without, text, flags=re.MULTILINE)
        count += times
        return changed

    if lines.within is None:
        text = change(file.text)
    else:
        text = re.sub(lines.within, lambda block: change(block.group()), file.text, flags=re.MULTILINE | re.DOTALL)
    return replace(file, text=text), count
