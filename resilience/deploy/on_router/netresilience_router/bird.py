"""BIRD 2: checked by its own parser, changed by birdc."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

from .daemon import Daemon, Difference
from .files import digest
from .machine import POLL_S, Doc, Files
from .masking import mask
from .refused import Refused


class Bird(Daemon):
    """BIRD 2, told by birdc; it cannot show the configuration that it runs."""

    platform = "bird"
    user = "bird"
    main = "bird.conf"
    names = ("bird.conf", "envvars")
    needed = "envvars"
    forgets_routes = True

    def _birdc(self, *words: str) -> str:
        done = self.machine.run(["birdc", *words], timeout_s=60)
        if done.code != 0 and "Unable to connect" in done.out + done.err:
            raise Refused("failed", f"BIRD does not run: {done.words}")
        return done.out

    def version(self) -> str:
        """Return the program's version: it need not run."""
        done = self.machine.run(["bird", "--version"])
        found = re.search(r"version (\d[\w.]*)", done.out + done.err)
        return found[1] if found else "?"

    def check(self, folder: Path) -> None:
        """Refuse what BIRD's parser refuses."""
        done = self.machine.run(["bird", "-p", "-c", str(folder / "bird.conf")])
        if done.code != 0:
            raise Refused("invalid", done.words.replace(str(folder) + "/", ""))

    def _times(self) -> dict[str, float]:
        """Return when BIRD started (`reboot`) and read its configuration last (`read`), by this machine's steady clock.

        BIRD says times of the day, which it reckons anew for each answer: they move by a millisecond, and by hours when
        somebody sets the clock. What lies between two times of one answer does not.
        """
        text = self._birdc("show", "status")
        found: dict[str, str] = dict(
            re.findall(r"^(Current|Last reboot|Last reconfiguration)\b[^\d\n]*(\d.+)$", text, re.MULTILINE)
        )
        if not {"Current", "Last reboot"} <= found.keys():
            raise Refused("failed", f"BIRD does not say since when it runs: {text[-300:]}")
        now = self.machine.clock() - _seconds(found["Current"])
        start = found["Last reboot"]
        return {"reboot": now + _seconds(start), "read": now + _seconds(found.get("Last reconfiguration") or start)}

    def note(self) -> Doc:
        """Return when BIRD read its configuration last."""
        return {"read": self._times()["read"]}

    def difference(self, files: Files, folder: Path, noted: Doc) -> Difference:
        """Judge by times: what was noted after the last load, else a start from a file that is older than it."""
        times = self._times()
        read, known = times["read"], noted.get("files") == digest({"bird.conf": files["bird.conf"]})
        if known and _same(noted.get("read"), read):
            return Difference()
        own = folder == self.folder and self._was_there(folder / "bird.conf", read)
        # It read the start-up file after that was written, or another one: only our own notes tell these apart.
        if own and (noted.get("read") is None or _same(times["reboot"], read)):
            return Difference()
        said = "somebody else's configuration" if known or noted.get("read") is None else "another configuration"
        ago_s = self.machine.clock() - read
        return Difference(f"-what was loaded for a deployment\n+BIRD read {said} {ago_s:.0f} s ago")

    def _was_there(self, file: Path, read: float) -> bool:
        """Say whether a file was written before BIRD read its configuration, as far as the time of the day tells."""
        age_s = time.time() - file.stat().st_mtime
        return age_s < 0 or self.machine.clock() - age_s <= read + _SAME_S

    def load(self, folder: Path, files: Files, timeout_s: int | None) -> None:
        """Reconfigure, with BIRD's own undo behind ours."""
        del files
        words = ["configure", '"%s"' % (folder / "bird.conf")]
        if timeout_s is not None:
            words += ["timeout", str(timeout_s)]
        said = self._birdc(*words)
        if "Reconfigured" not in said and "Reconfiguration in progress" not in said:
            telling = [line for line in said.splitlines() if line.strip() and not _CHATTER.match(line)]
            raise Refused("failed", mask("; ".join(telling))[-1000:])
        deadline = time.monotonic() + 30
        while "Reconfiguration in progress" in self._birdc("show", "status"):
            if time.monotonic() > deadline:
                raise Refused("failed", "BIRD has been reconfiguring for 30 s")
            time.sleep(POLL_S)

    def settle(self) -> bool:
        """Confirm to BIRD; a late confirmation also exits with 0 and says `Nothing to do`."""
        return "confirmed" in self._birdc("configure", "confirm")

    def at_next_start(self, before: Files, after: Files) -> list[str]:
        """Return bird when its options change: they are read at a start only."""
        return ["bird"] if _options(before) != _options(after) else []

    def observe(self) -> Doc:
        """Read birdc's tables."""
        blocks = re.split(r"\n(?=\S)", self._birdc("show", "protocols", "all"))
        sessions = [found for block in blocks for found in _bird_sessions(block)]
        rows = [line.split() for line in self._birdc("show", "bfd", "sessions").splitlines()]
        bfd = [{"neighbor": row[0], "up": row[2] == "Up"} for row in rows if len(row) == 6 and row[2] in _BFD_STATES]
        text = "".join(self._birdc("show", "ospf", "neighbors", name) for name in _ospf_names(blocks))
        return {"sessions": sessions, "bfd": bfd, "ospf": {"neighbors": len(re.findall(r"\sFull/", text))}}

    def recalculate(self) -> None:
        """Have OSPF calculate its routes again.

        BIRD 2.0 does not where a neighbour is lost and full again within the five seconds of MinLSInterval (RFC 2328
        appendix B): its router LSA did not change meanwhile, and so it keeps the routes that it reckoned in between.
        """
        for name in _ospf_names(re.split(r"\n(?=\S)", self._birdc("show", "protocols"))):
            self._birdc("reload", "in", name)


_SAME_S = 1.0
"""BIRD may be told to say whole seconds."""
_CHATTER = re.compile(r"BIRD \S+ ready\.|Reading configuration from ")
_BFD_STATES = frozenset({"Up", "Down", "Init", "AdminDown"})


def _bird_sessions(block: str) -> Iterator[Doc]:
    """Yield the sessions of one protocol of `show protocols all`, one for each channel."""
    head = block.split()
    neighbor = re.search(r"Neighbor address:\s+(\S+)", block)
    if head[1:2] != ["BGP"] or neighbor is None:
        return
    up = bool(re.search(r"BGP state:\s+Established", block))
    for family, part in re.findall(r"Channel ipv([46])\n((?:    .*\n?)*)", block):
        routes = re.search(r"Routes:\s+(\d+) imported,(?: \d+ filtered,)? (\d+) exported", part)
        yield {
            "neighbor": neighbor[1].partition("%")[0],
            "family": int(family),
            "up": up,
            "received": int(routes[1]) if routes and up else 0,
            "sent": int(routes[2]) if routes and up else 0,
            "uptime_s": _since(head) if up else 0,
        }


def _ospf_names(blocks: Sequence[str]) -> list[str]:
    """Return the names of OSPF's protocols in the blocks of a `show protocols`."""
    return [block.split()[0] for block in blocks if block.split()[1:2] == ["OSPF"]]


def _since(head: Sequence[str]) -> int:
    """Return for how long a protocol is in its state: BIRD says the time of the day, or the day."""
    for word in head[4:6]:
        with contextlib.suppress(ValueError):
            clock = datetime.strptime(word.partition(".")[0], "%H:%M:%S")
            now = datetime.now()
            return (
                int((now - now.replace(hour=clock.hour, minute=clock.minute, second=clock.second)).total_seconds())
                % 86400
            )
    return 86400


def _seconds(text: str) -> float:
    """Return a time of BIRD's as seconds; only differences between those of one answer mean anything."""
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S"
    return datetime.strptime(text.strip(), form).replace(tzinfo=timezone.utc).timestamp()


def _same(one: object, other: float) -> bool:
    return isinstance(one, (int, float)) and abs(one - other) <= _SAME_S


def _options(files: Files) -> str:
    found = re.findall(r"^BIRD_ARGS=(.*)$", files.get("envvars", ""), re.MULTILINE)
    return found[-1].strip("\"' ") if found else ""
