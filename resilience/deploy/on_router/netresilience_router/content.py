"""What may stand in a change: the account that deploys must not become root by it."""

from __future__ import annotations

import re

from .refused import Refused

_LINES: dict[str, re.Pattern[str]] = {
    # A root shell reads `daemons`: nothing in it may be more than a word.
    "daemons": re.compile(r"[a-z0-9_]+=(yes|no)|[a-z0-9_]+_options=\"[A-Za-z0-9 .:_-]*\""),
    "envvars": re.compile(r"BIRD_RUN_(USER|GROUP)=bird|BIRD_ARGS=[A-Za-z0-9 -]*"),
    # `ip -batch` knows `netns exec`, too.
    "addresses.batch": re.compile(r"(link (set dev|add)|address replace|route replace) [A-Za-z0-9 .:/@_-]+"),
    "rules6.batch": re.compile(r"rule add [A-Za-z0-9 .:/_-]+"),
    # kernel.core_pattern names a program.
    "sysctl.conf": re.compile(r"-?net[./][A-Za-z0-9._/-]+\s*=\s*[A-Za-z0-9 \t.-]+"),
}
"""What every line of a file is, comments and empty lines apart: the account that deploys must not become root by it."""

_FORBIDDEN: dict[str, re.Pattern[str]] = {
    "nftables.conf": re.compile(r"^\s*include\b", re.MULTILINE),
    "bird.conf": re.compile(r"^\s*(include|log|mrtdump)\b|\bfilename\b", re.MULTILINE),
    "frr.conf": re.compile(r"^\s*(log file|dump|username|zebra on-rib-process)\b", re.MULTILINE),
}
"""What reads or writes files, or lets others in."""


def check_content(name: str, text: str) -> None:
    """Refuse what could do more on the router than route packets."""
    allowed = _LINES.get(name)
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if allowed is not None and stripped and stripped[0] not in "#;" and not allowed.fullmatch(stripped):
            raise Refused("invalid", f"{name}:{number}: this line may not be deployed: {stripped[:80]}")
    found = _FORBIDDEN[name].search(text) if name in _FORBIDDEN else None
    if found:
        number = text.count("\n", 0, found.end()) + 1
        raise Refused("invalid", f"{name}:{number}: `{found[0].strip()}` may not be deployed")
    if "\0" in text:
        raise Refused("invalid", f"{name}: a NUL byte")
