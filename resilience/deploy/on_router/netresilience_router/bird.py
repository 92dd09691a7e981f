"""BIRD 2: checked by its own parser, changed by birdc."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from .daemon import Daemon
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

    def _times(self) -> dict[str, str]:
        text = self._birdc("show", "status")
        found = dict(re.findall(r"^Last (reboot|reconfiguration) on (.+)$", text, re.MULTILINE))
        if "reboot" not in found:
            raise Refused("failed", f"BIRD does not say since when it runs: {text[-300:]}")
        return found

    def note(self) -> Doc:
        """Return when BIRD read its configuration last."""
        return {"read": self._times().get("reconfiguration", "")}

    def difference(self, files: Files, folder: Path, noted: Doc) -> str:
        """Judge by times: what was noted after the last load, else a start from a file that is older than it."""
        times = self._times()
        read = times.get("reconfiguration", times["reboot"])
        known = noted.get("files") == digest({"bird.conf": files["bird.conf"]})
        if known and noted.get("read") == read:
            return ""
        own = folder == self.folder and _seconds(read) >= (folder / "bird.conf").stat().st_mtime
        # It read the start-up file after that was written, or another one: only our own notes tell these apart.
        if own and (not noted.get("read") or times["reboot"][:19] == read[:19]):
            return ""
        said = "somebody else's configuration" if known or not noted.get("read") else "another configuration"
        return "-what was loaded at {}\n+BIRD read {} at {}".format(noted.get("read", "?"), said, read)

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
        return ["bird"] if before.get("envvars", "") != after.get("envvars", "") else []

    def observe(self) -> Doc:
        """Read birdc's tables."""
        blocks = re.split(r"\n(?=\S)", self._birdc("show", "protocols", "all"))
        sessions = [found for block in blocks for found in _bird_sessions(block)]
        rows = [line.split() for line in self._birdc("show", "bfd", "sessions").splitlines()]
        bfd = [{"neighbor": row[0], "up": row[2] == "Up"} for row in rows if len(row) == 6 and row[2] in _BFD_STATES]
        names = [block.split()[0] for block in blocks if block.split()[1:2] == ["OSPF"]]
        text = "".join(self._birdc("show", "ospf", "neighbors", name) for name in names)
        return {"sessions": sessions, "bfd": bfd, "ospf": {"neighbors": len(re.findall(r"\sFull/", text))}}


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
    """Return a time of BIRD's (its local time) as seconds since 1970, rounded up: times of files are finer."""
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S"
    return datetime.strptime(text.strip(), form).timestamp() + 1
