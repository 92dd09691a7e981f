"""FRRouting's policies, exchanged as a whole: no session ever runs one that is half written.

FRR takes a route map line by line. A new entry whose `match` has not come yet matches everything: `permit` leaks what
no policy allows, `deny` loses every route, whenever FRR judges routes between two lines (its issues 8337 and 9707). So
a policy that changes is first written beside the one in use, under another name; the sessions are moved to it, one line
each, which bgpd takes at once; then the policy is rewritten under its own name, which nobody uses now, and the sessions
are moved back. What else changes is left to frr-reload.py, which then finds nothing to do in policies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

Key = tuple[str, str]
"""A route map or a list: the words that begin its lines, and its name."""
Use = tuple[tuple[str, ...], str, str]
"""Where a route map is used: the blocks around the line, from the outermost; what stands before the name, and after."""

_MAP = "route-map"
_KINDS = (
    "ip prefix-list",
    "ipv6 prefix-list",
    "bgp as-path access-list",
    "bgp community-list standard",
    "bgp community-list expanded",
    "bgp large-community-list standard",
    "bgp large-community-list expanded",
)
_LIST = re.compile(rf"({'|'.join(_KINDS)}) (\S+) (.+)")
_ENTRY = re.compile(r"route-map (\S+) (permit|deny) (\d+)")
_USE = re.compile(r"(.* route-map )(\S+)(.*)")
_REFERENCES = (
    (re.compile(r"(match ip (?:address|next-hop|route-source) prefix-list )(\S+)(.*)"), _KINDS[:1]),
    (re.compile(r"(match ipv6 (?:address|next-hop) prefix-list )(\S+)(.*)"), _KINDS[1:2]),
    (re.compile(r"(match as-path )(\S+)(.*)"), _KINDS[2:3]),
    (re.compile(r"((?:match community|set comm-list) )(\S+)(.*)"), _KINDS[3:5]),
    (re.compile(r"((?:match large-community|set large-comm-list) )(\S+)(.*)"), _KINDS[5:]),
    (re.compile(r"(call )(\S+)(.*)"), (_MAP,)),
)


class Policies:
    """The route maps and lists of a configuration, what they refer to and where they are used."""

    def __init__(self, text: str) -> None:
        self.lists: dict[Key, list[str]] = {}
        """What follows the name in each line."""
        self.maps: dict[Key, dict[tuple[int, str], list[str]]] = {}
        """The lines of each entry, by its number and its action."""
        self.uses: dict[Use, str] = {}
        """The route map's name of each use."""
        self.others: set[str] = set()
        """Words of all other lines: what is named there is used in a way that is not known here."""
        self._read(text)

    def _read(self, text: str) -> None:
        around: list[tuple[int, str]] = []
        for line in text.splitlines():
            word = line.strip()
            if not word or word.startswith(("!", "exit", "end")):
                continue
            depth = len(line) - len(line.lstrip())
            while around and around[-1][0] >= depth:
                around.pop()
            self._take(tuple(outer for _, outer in around), word)
            around.append((depth, word))

    def _take(self, around: tuple[str, ...], line: str) -> None:
        entry = _ENTRY.fullmatch(line)
        inside = _ENTRY.fullmatch(around[0]) if around else None
        if entry and not around:
            self.maps.setdefault((_MAP, entry[1]), {}).setdefault((int(entry[3]), entry[2]), [])
        elif inside:
            self.maps[_MAP, inside[1]][int(inside[3]), inside[2]].append(line)
        elif (found := _LIST.fullmatch(line)) and not around:
            self.lists.setdefault((found[1], found[2]), []).append(found[3])
        elif "description" in line.split():
            pass  # anybody's words
        elif used := _USE.fullmatch(line):
            self.uses[around, used[1], used[3]] = used[2]
        else:
            self.others.update(line.split())

    def __contains__(self, key: Key) -> bool:
        return key in self.maps or key in self.lists

    def adopt(self, other: Policies) -> None:
        """Take over what only another configuration has."""
        self.lists = {**other.lists, **self.lists}
        self.maps = {**other.maps, **self.maps}

    def of(self, key: Key) -> list[str]:
        """Return an object in a form that is the same where it says the same; empty: there is none."""
        if key[0] != _MAP:
            return sorted(self.lists.get(key, []))
        entries = sorted(self.maps.get(key, {}).items())
        return [f"{number} {action} {line}" for (number, action), lines in entries for line in ["", *sorted(lines)]]

    def refers(self, key: Key) -> Iterator[Key]:
        """Yield the lists and route maps that a route map names."""
        for lines in self.maps.get(key, {}).values():
            for line in lines:
                for target in _targets(line):
                    if target in self:
                        yield target

    def reach(self, keys: Iterable[Key]) -> set[Key]:
        """Return these, what they refer to, and so on."""
        found: set[Key] = set()
        left = list(keys)
        while left:
            key = left.pop()
            if key not in found:
                found.add(key)
                left += self.refers(key)
        return found

    def write(self, key: Key, suffix: str = "", renamed: frozenset[Key] = frozenset()) -> Iterator[str]:
        """Yield the lines that make an object; its name gets a suffix, and so do the renamed ones that it refers to."""
        kind, name = key
        if kind != _MAP:
            yield from (f"{kind} {name}{suffix} {rest}" for rest in self.lists[key])
            return
        for (number, action), lines in sorted(self.maps[key].items()):
            yield f"{_MAP} {name}{suffix} {action} {number}"
            yield from (f" {_rename(line, suffix, renamed)}" for line in lines)
            yield "exit"


def _targets(line: str) -> Iterator[Key]:
    for pattern, kinds in _REFERENCES:
        if found := pattern.fullmatch(line):
            yield from ((kind, found[2]) for kind in kinds)


def _rename(line: str, suffix: str, renamed: frozenset[Key]) -> str:
    if renamed.isdisjoint(_targets(line)):
        return line
    found = next(found for pattern, _ in _REFERENCES if (found := pattern.fullmatch(line)))
    return f"{found[1]}{found[2]}{suffix}{found[3]}"


def exchange(running: str, wanted: str) -> tuple[str, str]:
    """Return the lines for `vtysh -f` that bring the policies of a wanted configuration in; empty: none differ.

    The first text writes policies beside those in use, the second moves to them: only if every line of the first was
    taken, as an entry whose `match` was refused matches everything too.

    `running` is what `show running-config` prints. What is only there stays, for frr-reload.py to take away after what
    uses it. What is used in other ways than by route maps, and as `route-map NAME` outside of them, is left to it too.
    """
    now, then = Policies(running), Policies(wanted)
    others = now.others | then.others
    changed = {key for key in (*then.lists, *then.maps) if now.of(key) != then.of(key) and key[1] not in others}
    then.adopt(now)
    moves = dict(_moves(now, then, changed))
    beside = frozenset(
        key for key in then.reach((_MAP, name) for name in moves.values()) if _differs(then, key, changed)
    )
    suffix = _free_suffix(now)
    written = [line for key in sorted(beside) for line in then.write(key, suffix, beside)]
    lines = [*_move(moves, suffix, beside)]
    for key in sorted(changed):
        lines += [f"no {key[0]} {key[1]}"] if key in now else []
        lines += then.write(key)
    lines += _move({use: name for use, name in moves.items() if (_MAP, name) in beside})
    lines += [f"no {kind} {name}{suffix}" for kind, name in sorted(beside, reverse=True)]
    return _script(written), _script(lines)


def _script(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _differs(then: Policies, key: Key, changed: set[Key]) -> bool:
    return not changed.isdisjoint(then.reach([key]))


def _moves(now: Policies, then: Policies, changed: set[Key]) -> Iterator[tuple[Use, str]]:
    """Yield the uses that get another policy, and its name. One that goes away keeps its own until it does."""
    for use, name in now.uses.items():
        target = then.uses.get(use, name)
        if (_MAP, target) in then and (target != name or _differs(then, (_MAP, target), changed)):
            yield use, target


def _move(moves: dict[Use, str], suffix: str = "", beside: frozenset[Key] = frozenset()) -> Iterator[str]:
    for (around, before, after), name in moves.items():
        yield from around
        yield f"{before}{name}{suffix if (_MAP, name) in beside else ''}{after}"
        for outer in reversed(around):
            yield "exit-address-family" if outer.startswith("address-family") else "exit"


def _free_suffix(now: Policies) -> str:
    """Return an ending that no name has, also where an exchange was cut off before its end."""
    names = [name for _, name in (*now.maps, *now.lists)]
    count = 1
    while any(name.endswith(f".next{count}") for name in names):
        count += 1
    return f".next{count}"
