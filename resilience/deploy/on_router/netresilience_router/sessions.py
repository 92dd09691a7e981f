"""Sessions as a configuration defines them: which a change would reset."""

from __future__ import annotations

import re

_FRR_SESSION = re.compile(
    r"^ neighbor (\S+) (?:remote-as|password|update-source|ttl-security|ebgp-multihop|local-as|local-role|passive"
    r"|peer-group|capability|disable-connected-check|enforce-first-as)\b.*$",
    re.MULTILINE,
)
_BIRD_SESSION = re.compile(r"^protocol bgp \S+.*?^}", re.MULTILINE | re.DOTALL)
_BIRD_POLICY = re.compile(r"^\s*(description|import|export|receive limit|if|b_policy|reject|}|#)", re.IGNORECASE)


def sessions_defined(text: str, platform: str) -> dict[str, str]:
    """Return for each neighbour the lines whose change ends its session."""
    found: dict[str, str] = {}
    if platform == "frr":
        whole = "".join(re.findall(r"^(?:router bgp .*| bgp router-id .*)$", text, re.MULTILINE))
        for match in _FRR_SESSION.finditer(text):
            found[match[1]] = found.get(match[1], whole) + match[0]
        return found
    whole = "".join(re.findall(r"^router id .*$", text, re.MULTILINE))
    for block in _BIRD_SESSION.findall(text):
        neighbor = re.search(r"^\s*neighbor ([0-9a-fA-F.:]+)", block, re.MULTILINE)
        if neighbor:
            lines = [line for line in block.splitlines() if not _BIRD_POLICY.match(line)]
            found[neighbor[1]] = found.get(neighbor[1], whole) + "\n".join(lines)
    return found
