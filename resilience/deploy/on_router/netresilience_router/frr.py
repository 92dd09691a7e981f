"""FRRouting: checked by vtysh, changed by frr-reload.py; its policies are exchanged before that."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
import time
from pathlib import Path
from typing import Any

from .daemon import Daemon, Difference
from .files import digest, read_text
from .machine import POLL_S, START_LIMIT_S, Doc, Done, Files, in_memory
from .masking import mask
from .policies import exchange
from .process import to_stay
from .refused import Refused

RELOADS = 3
"""frr-reload.py is not atomic, and takes two rounds where lines depend on each other."""
OF_THE_KERNEL = ("ip forwarding", "no ip forwarding", "ipv6 forwarding", "no ipv6 forwarding")
"""zebra shows what the kernel is set to, whatever its file says. That setting is one of sysctl.conf, and seen there."""
NAMED = 3
"""So many refused lines are named, and the others counted."""
EXCHANGE_LIMIT_S = 600
"""bgpd takes some 3 ms for a line of a policy, and a router with many sessions has tens of thousands."""


class Frr(Daemon):
    """FRRouting, told by frr-reload.py."""

    platform = "frr"
    user = "frr"
    main = "frr.conf"
    names = ("frr.conf", "vtysh.conf", "daemons")
    needed = "daemons"
    programs = "/usr/lib/frr"

    def _vtysh(self, command: str) -> Done:
        return self.machine.run(["vtysh", "-c", command], timeout_s=60)

    def version(self) -> str:
        """Return the daemon's version, asked of the program: it need not run."""
        found = re.search(r"version (\d[\w.]*)", self.machine.run([self.programs + "/zebra", "--version"]).out)
        return found[1] if found else "?"

    def check(self, folder: Path) -> None:
        """Refuse bad grammar; vtysh says that on stderr, whatever its exit code."""
        done = self.machine.run(["vtysh", "-C", "--config_dir", str(folder), "-f", str(folder / "frr.conf")])
        wrong = [line for line in (done.err + "\n" + done.out).splitlines() if line.startswith("line ")]
        if wrong or done.code != 0:
            raise Refused("invalid", "frr.conf: {}".format("; ".join(map(mask, wrong[:5])) or done.words))

    def delta(self, folder: Path, running: str | None = None) -> str:
        """Return what frr-reload.py would delete and add; Refused when it cannot say.

        `running`: what runs, where that was just read; else it asks itself.
        """
        argv = [self.programs + "/frr-reload.py", "--test", "--confdir", str(folder)]
        with contextlib.ExitStack() as stack:
            if running:
                argv += ["--input", stack.enter_context(in_memory(running))]
            done = self.machine.run_script([*argv, str(folder / "frr.conf")])
        if done.code != 0:
            raise Refused("failed", f"frr-reload.py: {done.words}")
        own_name = f"no hostname {socket.gethostname()}"
        lines = [line.rstrip() for line in done.out.splitlines()]
        # vtysh shows the machine's name beside the router's: nothing that could be deleted.
        not_told = ("", own_name, *OF_THE_KERNEL)
        kept = [line for line in lines if line not in not_told and not line.startswith("====")]
        real = [line for line in kept if line not in ("Lines To Delete", "Lines To Add")]
        return "\n".join(kept) if real else ""

    def difference(self, files: Files, folder: Path, noted: Doc) -> Difference:
        """Return what frr-reload.py would do; it is asked only if the running text is not the one noted."""
        dead = [name for name in self._wanted(files) if not self._alive(name)]
        if dead:
            return Difference("\n".join(f"-{name} runs\n+{name} does not run" for name in dead), dead=True)
        # Read once: what somebody changes while it is compared must not be noted as the same.
        shown = self._show_running()
        # Half of an answer would look like lines that somebody took away; frr-reload.py says what is wrong then.
        running = shown.out if shown.code == 0 else ""
        seen = {"files": digest({"frr.conf": files["frr.conf"]}), "running": digest({"": running})}
        if noted == seen:
            return Difference(running=running)
        delta = self.delta(folder, running)
        return Difference(mask(delta), None if delta else seen, running)

    def load(self, folder: Path, files: Files, timeout_s: int | None) -> None:
        """Reload until there is nothing left to do, which is asked anew: the exit code says nothing about that."""
        del timeout_s
        for name, options in self._wanted(files).items():
            if not self._alive(name):
                self._start(name, options)
        self._exchange_policies(files["frr.conf"])
        argv = [self.programs + "/frr-reload.py", "--reload", "--stdout", "--confdir", str(folder)]
        left, done = "", Done(0, "", "")
        for _round in range(RELOADS):
            done = self.machine.run([*argv, str(folder / "frr.conf")])
            left = self.delta(folder)
            if not left:
                return
        raise Refused("failed", "frr.conf was not taken whole; " + tell_refusal(left, done))

    def _exchange_policies(self, wanted: str) -> None:
        """Change policies so that no session runs one that is half written; what vtysh refuses, frr-reload.py tells."""
        for script in exchange(self._show_running().out, wanted):
            # By stdin: the disk may be full.
            argv = ["vtysh", "-f", "/dev/stdin"]
            if script and self.machine.run(argv, stdin=script, timeout_s=EXCHANGE_LIMIT_S).code != 0:
                return

    def _wanted(self, files: Files) -> dict[str, list[str]]:
        text = files.get("daemons", "")
        found = dict(re.findall(r'^(\w+)_options="?([^"\n]*)"?$', text, re.MULTILINE))
        names = [name for name, word in re.findall(r"^(\w+)=(\w+)\s*$", text, re.MULTILINE) if word == "yes"]
        running = [name for name in names if (Path(self.programs) / name).exists()]
        return {name: shlex.split(found.get(name, "")) for name in running}

    def _alive(self, name: str) -> bool:
        text = read_text(self.machine.root / "run/frr" / (name + ".pid"))
        try:
            os.kill(int(text or ""), 0)
        except (ValueError, ProcessLookupError):
            return False
        except PermissionError:
            return True
        return True

    def _start(self, name: str, options: list[str]) -> None:
        """Start one more daemon beside those that run: their sessions need not be reset for it."""
        done = self.machine.run(to_stay([self.programs + "/" + name, "-d", "-F", "traditional", *options]))
        if done.code != 0:
            raise Refused("failed", f"{name} does not start: {done.words}")
        deadline = time.monotonic() + START_LIMIT_S
        while not (self.machine.root / "run/frr" / (name + ".vty")).exists():
            if time.monotonic() > deadline:
                raise Refused("failed", f"{name} does not answer")
            time.sleep(POLL_S)

    def at_next_start(self, before: Files, after: Files) -> list[str]:
        """Return the daemons whose options change: they are read at a start only."""
        old, new = self._wanted(before), self._wanted(after)
        return sorted(name for name in old if name in new and old[name] != new[name] and self._alive(name))

    def _show_running(self) -> Done:
        return self._vtysh("show running-config no-header")

    def snapshot(self) -> str | None:
        """Return the running configuration."""
        done = self._show_running()
        if done.code != 0 or not done.out.strip():
            raise Refused("failed", f"FRR does not show what it runs: {done.words}")
        lines = done.out.splitlines()
        return "\n".join(line for line in lines if line != f"hostname {socket.gethostname()}") + "\n"

    def note(self) -> Doc:
        """Return the digest of what runs."""
        return {"running": digest({"": self._show_running().out})}

    def _json(self, command: str) -> Any:
        try:
            return json.loads(self._vtysh(command).out or "{}")
        except ValueError:
            return {}

    def observe(self) -> Doc:
        """Ask bgpd, bfdd, ospfd and ospf6d."""
        summary = self._json("show bgp summary json")
        sessions = []
        for key, family in (("ipv4Unicast", 4), ("ipv6Unicast", 6)):
            for neighbor, peer in summary.get(key, {}).get("peers", {}).items():
                up = peer.get("state") == "Established"
                sessions.append(
                    {
                        "neighbor": neighbor,
                        "family": family,
                        "up": up,
                        "received": int(peer.get("pfxRcd", 0)) if up else 0,
                        "sent": int(peer.get("pfxSnt", 0)) if up else 0,
                        "uptime_s": int(peer.get("peerUptimeMsec", 0)) // 1000 if up else 0,
                    }
                )
        peers = self._json("show bfd peers json")
        bfd = [
            {"neighbor": p.get("peer", ""), "up": p.get("status") == "up"}
            for p in (peers if isinstance(peers, list) else [])
        ]
        four = self._json("show ip ospf neighbor json").get("neighbors", {})
        six = self._json("show ipv6 ospf6 neighbor json").get("neighbors", [])
        full = [n for group in (four.values() if isinstance(four, dict) else ()) for n in group]
        states = [str(n.get("nbrState", n.get("state", ""))) for n in full] + [str(n.get("state", "")) for n in six]
        return {"sessions": sessions, "bfd": bfd, "ospf": {"neighbors": sum(s.startswith("Full") for s in states)}}


def tell_refusal(left: str, done: Done) -> str:
    """Return which lines FRR has not taken, each with the sections it stands in, and FRR's reasons, without passwords.

    `left`: what frr-reload.py would still delete and add. `done`: its last attempt, in whose output vtysh repeats what
    daemons say, after a percent sign and without the line that they mean.
    """
    # Before lines are joined: a password goes to the end of its line.
    lines = [f"`{line}`" for line in _in_sections(mask(left)) if line not in ("Lines To Delete", "Lines To Add")]
    more = [f"{len(lines) - NAMED} more"] if len(lines) > NAMED else []
    told = [line[2:].strip() for line in mask(done.out).splitlines() if line.startswith("% ")]
    says = "; ".join(line for line in dict.fromkeys(told) if "Can't open" not in line) or done.words[-500:]
    return f"not taken: {', '.join([*lines[:NAMED], *more])}. FRR says: {says}"


def _in_sections(text: str) -> list[str]:
    """Return the last line of each block, after the lines that it is indented below."""
    blocks: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith(" ") and blocks:
            blocks[-1].append(line.strip())
        elif line.strip():
            blocks.append([line.strip()])
    return [" / ".join(block) for block in blocks]
