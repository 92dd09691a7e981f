"""The packet filter, judged and loaded by nft."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from .machine import Doc, Done, Machine
from .refused import Refused

CLONE_NEWNET = 0x40000000
"""From sched.h."""


class PacketFilter:
    """The packet filter: the tables that nftables.conf declares, replaced in one transaction."""

    file = "nftables.conf"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def declared(self, text: str) -> list[tuple[str, str]]:
        """Return the tables of a text as (family, name), asked of nft itself in a network of its own."""
        return list(dict.fromkeys(self._tables(self._scratch(text))))

    def _scratch(self, text: str) -> list[Doc]:
        """Return what nft makes of a text, in a network of its own."""
        return _nft_objects(self._load_and_list(text, "-j"))

    def _load_and_list(self, text: str, form: str) -> str:
        loaded, listed = in_fresh_network(
            lambda: (
                self.machine.run(["nft", "-f", "-"], stdin=text),
                self.machine.run(["nft", form, "list", "ruleset"]),
            )
        )
        if loaded.code != 0:
            raise Refused("invalid", f"nftables.conf: {loaded.words.replace('/dev/stdin', 'line')}")
        return listed.out

    def _live(self) -> list[Doc]:
        done = self.machine.run(["nft", "-j", "list", "ruleset"])
        return _nft_objects(done.out) if done.code == 0 else []

    @staticmethod
    def _tables(objects: Sequence[Doc]) -> list[tuple[str, str]]:
        return [(str(o["table"]["family"]), str(o["table"]["name"])) for o in objects if "table" in o]

    def check(self, text: str) -> None:
        """Refuse what nft refuses: first alone, then in this machine's own rules."""
        self._scratch(text)
        done = self.machine.run(["nft", "-c", "-f", "-"], stdin=text)
        if done.code != 0:
            raise Refused("invalid", f"nftables.conf: {done.words}")

    def difference(self, text: str) -> str:
        """Return what is against what should be, as a diff; empty: the same."""
        wanted = self._scratch(text)
        tables = self._tables(wanted)
        should, now = (_nft_listing(objects, tables) for objects in (wanted, self._live()))
        if should == now:
            return ""
        texts = self._load_and_list(text, "-s"), self.snapshot(tables)
        return self._diff(*map(_steady_lines, texts)) or self._diff(should, now)

    def _diff(self, should: Sequence[str], now: Sequence[str]) -> str:
        return "\n".join(difflib.unified_diff(should, now, self.file, "running", lineterm="", n=2))

    def load(self, text: str, gone: Sequence[tuple[str, str]] = ()) -> None:
        """Replace the tables of a text, and take away tables that it has no longer; all or nothing."""
        tables = dict.fromkeys([*gone, *(self.declared(text) if text else ())])
        clearing = "".join("table {} {}\ndelete table {} {}\n".format(*table, *table) for table in tables)
        done = self.machine.run(["nft", "-f", "-"], stdin=clearing + text)
        if done.code != 0:
            raise Refused("failed", f"nftables.conf: {done.words}")

    def snapshot(self, tables: Sequence[tuple[str, str]]) -> str:
        """Return the live tables as a text that can be loaded."""
        texts = [self.machine.run(["nft", "-s", "list", "table", *table]) for table in tables]
        return "".join(done.out + "\n" for done in texts if done.code == 0)


def in_fresh_network(action: Callable[[], tuple[Done, Done]]) -> tuple[Done, Done]:
    """Do something in a network namespace that is empty and gone afterwards: one thread moves there and ends."""
    import ctypes  # noqa: PLC0415 - most commands need neither, and each is a process that starts anew
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    def move_and_act() -> tuple[Done, Done]:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            raise Refused("failed", f"no network namespace: {os.strerror(ctypes.get_errno())}")
        return action()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(move_and_act).result()


def _nft_objects(text: str) -> list[Doc]:
    """Return the objects of nft's JSON; each document stands on a line of its own."""
    found: list[Doc] = []
    for line in text.splitlines():
        if line.strip():
            found += json.loads(line).get("nftables", [])
    return found


def _nft_listing(objects: Sequence[Doc], tables: Sequence[tuple[str, str]]) -> list[str]:
    """Return the lines to compare: no handles, no counters, nothing that the filter filled in by itself."""
    lines = []
    for item in objects:
        for kind, value in item.items():
            place = (value.get("family"), value.get("name" if kind == "table" else "table"))
            if kind != "metainfo" and place in tables:
                lines.append(json.dumps({kind: _plain(value)}, sort_keys=True))
    return sorted(lines)


_ELEMENT_LINES = re.compile(r"elements = \{(.*?)\}", re.DOTALL)


def _steady_lines(text: str) -> list[str]:
    """Return the lines of a listing for people: elements of sets in one order, without those that expire."""

    def sort(match: re.Match[str]) -> str:
        elements = sorted(part.strip() for part in match[1].split(","))
        return "elements = {" + ", ".join(one for one in elements if "expires" not in one) + "}"

    lines = _ELEMENT_LINES.sub(sort, text).replace("\t", "  ").splitlines()
    return [line for line in lines if line.strip() and line.strip() != "elements = {}"]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key != "handle"}
        if isinstance(kept.get("elem"), list):
            # What the filter remembers by itself for a while is no part of what it is told.
            kept["elem"] = [item for item in kept["elem"] if not _expires(item)]
            if not kept["elem"]:
                del kept["elem"]
        return {key: (None if key == "counter" else _plain(item)) for key, item in kept.items()}
    if isinstance(value, list):
        plain = [_plain(item) for item in value]
        return sorted(plain, key=lambda item: json.dumps(item, sort_keys=True)) if _is_set(plain) else plain
    return value


def _expires(element: Any) -> bool:
    inner = element.get("elem") if isinstance(element, dict) else None
    return isinstance(inner, dict) and "expires" in inner


def _is_set(values: list[Any]) -> bool:
    """Elements of sets come in no order; statements of a rule do, and they are objects of one key."""
    return not any(
        isinstance(value, dict) and len(value) == 1 and next(iter(value)) not in _ELEMENTS for value in values
    )


_ELEMENTS = frozenset({"prefix", "range", "concat", "elem"})
