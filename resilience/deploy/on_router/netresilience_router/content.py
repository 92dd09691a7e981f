"""What may stand in a change: the account that deploys must not become root by it."""

from __future__ import annotations

import re

from .refused import Refused

_LINES: dict[str, re.Pattern[str]] = {
    # A root shell reads `daemons`: nothing in it may be more than a word. Options that choose users, files or commands
    # (`-u root`, and all of watchfrr's) are none of a change's business.
    "daemons": re.compile(
        r"[a-z0-9_]+=(yes|no)"
        r'|(zebra|[a-z0-9]+d)_options="'
        r'(( |^|(?<="))(-A [0-9a-f.:]+|-s [0-9]+|-M [a-z0-9_]+|--log syslog|--log-level [a-z]+))*"'
    ),
    "envvars": re.compile(r"BIRD_RUN_(USER|GROUP)=bird|BIRD_ARGS=(-R)?"),
    "vtysh.conf": re.compile(r"(no )?service integrated-vtysh-config|hostname [A-Za-z0-9.-]+"),
    # `ip -batch` knows `netns exec`, too; and programs for the kernel are loaded from files.
    "addresses.batch": re.compile(
        r"(?!.*\b(?:xdp\w*|bpf|encap|netns)\b)(link (set dev|add)|address replace|route replace) [A-Za-z0-9 .:/@_-]+"
    ),
    "rules6.batch": re.compile(r"rule add pref [0-9]+ lookup [0-9]+"),
    # kernel.core_pattern names a program.
    "sysctl.conf": re.compile(r"-?net[./][A-Za-z0-9._/-]+[ \t]*=[ \t]*[A-Za-z0-9 \t.-]+"),
}
"""What every line of a file is, comments and empty lines apart."""

_COMMENTS = {"sysctl.conf": "#;", "vtysh.conf": "#!"}
"""What begins a comment, where that is not `#` alone."""

_STATEMENTS: dict[str, re.Pattern[str]] = {
    "nftables.conf": re.compile(r"(?<![\w.-])include(?![\w.-])"),
    "bird.conf": re.compile(r"\b(include|log|mrtdump|filename)\b"),
}
"""What reads or writes files. Statements end with `;`, so that they may stand anywhere in a line."""

_QUOTED: dict[str, re.Pattern[str]] = {
    "nftables.conf": re.compile(r'"[^"]*"|#[^\n]*'),
    "bird.conf": re.compile(r"\"[^\"\n]*\"|'[\w.:-]*'|#[^\n]*|/\*.*?\*/", re.DOTALL),
}
"""Strings and comments, as the program that reads the file tells them."""

_COMMANDS = (
    ("log", "file"),
    ("log", "filtered-file"),
    ("dump",),
    ("username",),
    ("zebra", "on-rib-process"),
)
"""Commands of FRR that read or write files, or let others in."""


def check_content(name: str, text: str) -> None:
    """Refuse what could do more on the router than route packets."""
    if "\0" in text:
        raise Refused("invalid", f"{name}: a NUL byte")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused("invalid", f"{name}: it is no text: {error.reason}") from error
    if name in _LINES:
        _check_lines(name, text)
    if name in _STATEMENTS:
        _check_statements(name, text)
    if name == "frr.conf":
        _check_commands(name, text)


def _check_lines(name: str, text: str) -> None:
    # Lines end where the programs think that they end, and nowhere else.
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip(" \t")
        comment = stripped[:1] in _COMMENTS.get(name, "#")
        if not comment and not _LINES[name].fullmatch(stripped):
            raise Refused("invalid", f"{name}:{number}: this line may not be deployed: {stripped[:80]}")


def _check_statements(name: str, text: str) -> None:
    bare = _QUOTED[name].sub(lambda quoted: " " + "\n" * quoted[0].count("\n"), text)
    found = _STATEMENTS[name].search(bare)
    if found:
        _refuse(name, bare.count("\n", 0, found.end()) + 1, found[0])


def _check_commands(name: str, text: str) -> None:
    """Refuse commands also in the short forms that vtysh takes for them: `lo fi PATH`."""
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        for command in _COMMANDS:
            if len(words) >= len(command) and all(map(str.startswith, command, words)):
                _refuse(name, number, " ".join(command))


def _refuse(name: str, number: int, what: str) -> None:
    raise Refused("invalid", f"{name}:{number}: `{what}` may not be deployed")
