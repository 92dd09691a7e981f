"""Raw lines in the output: as they stand in the intent, between comments that nobody can overlook."""

from __future__ import annotations

from collections.abc import Iterable

from resilience.model.network import Raw, RawPlace
from resilience.model.plan import Neighbor, Node
from resilience.render.text import comment, raw_line

BEGIN, END = "--- raw lines of ", "--- end of raw lines ---"
"""What the marks around raw lines say; no raw line may say it."""
_OF_SESSIONS = {
    RawPlace.FRR_CONF: (RawPlace.FRR, RawPlace.FRR_FAMILY),
    RawPlace.BIRD_CONF: (RawPlace.BIRD, RawPlace.BIRD_CHANNEL),
}
"""Places inside a file."""
_SIGNS = {RawPlace.FRR_CONF: "!", RawPlace.FRR: "!", RawPlace.FRR_FAMILY: "!"}
"""How a comment begins, where not with `#`."""


def raw_of_router(node: Node, place: RawPlace) -> tuple[str, ...]:
    """Return the raw lines for the end of one of a router's files, marked; empty where there are none."""
    return _marked(_lines(node.raw, place), place, f"router {node.name}")


def raw_of_session(neighbor: Neighbor, place: RawPlace) -> tuple[str, ...]:
    """Return the raw lines for one place of a session's configuration, marked; empty where there are none."""
    lines = _lines(neighbor.local.raw, place)
    if place in {RawPlace.FRR, RawPlace.FRR_FAMILY}:
        lines = tuple(_frr_command(line, str(neighbor.remote.address)) for line in lines)
    return _marked(lines, place, neighbor.session.element)


def raw_banner(node: Node, around: Iterable[Neighbor], place: RawPlace) -> tuple[str, ...]:
    """Return what the first lines of a file say of the raw lines in it: whose they are."""
    subjects = [f"router {node.name}"] if _lines(node.raw, place) else []
    inner = _OF_SESSIONS.get(place, ())
    subjects += [n.session.element for n in around if any(_lines(n.local.raw, part) for part in inner)]
    if not subjects:
        return ()
    whose = comment(", ".join(dict.fromkeys(subjects)))
    return (
        f"RAW LINES of {whose} stand in this file: written by hand, not checked by netresilience.",
        "`resilience check` says what they may undo.",
    )


def _lines(stated: Iterable[Raw], place: RawPlace) -> tuple[str, ...]:
    return tuple(raw_line(line) for raw in stated if raw.place is place for line in raw.lines)


def _marked(lines: tuple[str, ...], place: RawPlace, subject: str) -> tuple[str, ...]:
    if not lines:
        return ()
    sign = _SIGNS.get(place, "#")
    begin = f"{sign} {BEGIN}{comment(subject)} in network.yaml, not checked by netresilience ---"
    return (begin, *lines, f"{sign} {END}")


def _frr_command(line: str, address: str) -> str:
    """Return the command about a neighbour that a line stands for; comments stay what they are."""
    words = line.split()
    if words[0][0] in "!#":
        return f"! {' '.join(words).lstrip('!# ')}"
    negated = words[0] == "no"
    return f"{'no ' if negated else ''}neighbor {address} {' '.join(words[negated:])}"
