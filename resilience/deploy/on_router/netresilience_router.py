#!/usr/bin/python3
"""netresilience-router: the end of a deployment that lives on the router, and its dead man's switch.

It takes a change (all files of one router), checks it with the router's own programs, runs it under a deadline, and
goes back to what ran before unless a confirmation comes in time. Nothing of that needs the session over which it was
asked, nor the machine at the other end. One file, Python 3.9 or later, standard library only: what a router has.

    netresilience-router hello | read | check | observe | pending | boot
    netresilience-router diff | stage | probe                        (JSON on stdin)
    netresilience-router apply CHANGE [--deadline-s N] [--drained]
    netresilience-router confirm | rollback | drain | undrain | release CHANGE

stdout is one JSON object. Exit code 0: done; 1: refused, the object says why; 2: wrong usage.

States of a change: staged -> applying -> applied -> confirming -> confirmed, and from applying and applied
-> restoring -> restored. Every step is in state.json before it is taken, under one lock, so that a confirmation and the
deadline cannot both win, and so that whoever comes next can finish what a killed process or a loss of power left.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import difflib
import errno
import fcntl
import hashlib
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

PROGRAM = 1
"""Version of what this program understands."""

Files = dict[str, str]
"""File name to text."""
Doc = dict[str, Any]
"""A JSON object."""

LINUX_FILES = ("addresses.batch", "rules6.batch", "sysctl.conf", "nftables.conf")
MASK = "********"
INPUT_LIMIT = 16 * 1024 * 1024
KEPT = 5
"""Confirmed changes that are kept to go back to."""
SPARE_BYTES = 1024 * 1024
RESERVE_BYTES = 256 * 1024
DEFAULT_DEADLINE_S = 60
START_LIMIT_S = 10
"""Within this a guard must have armed itself, or it never will."""
LOCK_LIMIT_S = 60
POLL_S = 0.05
RELOADS = 3
"""frr-reload.py is not atomic, and takes two rounds where lines depend on each other."""
NATIVE_GRACE_S = 30
"""BIRD's own undo comes this much later than ours: it is there for the case that all of ours is killed."""
PROBES = 64
CLONE_NEWNET = 0x40000000
"""From sched.h."""
_CHANGE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_WORD = re.compile(r"[!-~]{1,200}")

_FRR_PASSWORD = re.compile(r"^(\s*neighbor \S+ password )(\S.*)$", re.MULTILINE)
_BIRD_PASSWORD = re.compile(r'^(.*?\bpassword ")([^"\n]*)(")', re.MULTILINE)


class Refused(Exception):
    """The router does not do it; `kind` is one of the library's kinds of trouble."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint


# --- the machine ----------------------------------------------------------------------------------------------------


class Done:
    """A program that ran."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def words(self) -> str:
        """Return what it said, most telling end first."""
        return (self.err.strip() or self.out.strip() or f"exit code {self.code}")[-2000:]


class Machine:
    """Paths and programs of the router. Another root is for tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.state = root / "var/lib/netresilience"
        self.linux = root / "etc/netresilience"
        self.description = self.linux / "router.json"
        self.proc_sys = Path("/proc/sys")

    def run(self, argv: Sequence[str], stdin: str = "", timeout_s: float = 120) -> Done:
        """Run a program to its end; what cannot run is Refused."""
        try:
            done = subprocess.run(
                list(argv),
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"},
                check=False,
            )
        except FileNotFoundError as error:
            raise Refused("old", f"{argv[0]} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise Refused("failed", f"{argv[0]} did not end in {timeout_s:.0f} s") from error
        return Done(done.returncode, done.stdout, done.stderr)

    def boot_id(self) -> str:
        """Return what changes with every start of the kernel, and of a lab's node with its namespace."""
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        with contextlib.suppress(OSError):
            return kernel + ":" + Path("/run/netresilience-boot").read_text(encoding="ascii").strip()
        return kernel

    def clock(self) -> float:
        """Return seconds since the start, sleep included: no jump of the wall clock moves it."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def write_file(path: Path, text: str, mode: int, owner: str = "root") -> None:
    """Replace a file: whole or not at all, also when power fails."""
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            own(stream.fileno(), mode, owner)
            os.fsync(stream.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def own(handle: int, mode: int, owner: str) -> None:
    """Give a file its owner and permissions."""
    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(owner)
        if os.geteuid() == 0:
            os.fchown(handle, entry.pw_uid, entry.pw_gid)
    os.fchmod(handle, mode)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_text(path: Path) -> str | None:
    """Return a file's text, None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


def digest(files: Files) -> str:
    """Return one SHA-256 of several files."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(b"%s\0%s\0" % (name.encode(), files[name].encode("utf-8", "surrogateescape")))
    return whole.hexdigest()


def mask(text: str) -> str:
    """Hide every password of a text."""
    return _BIRD_PASSWORD.sub(r"\1" + MASK + r"\3", _FRR_PASSWORD.sub(r"\1" + MASK, text))


def masked_diff(before: str, after: str, name: str) -> str:
    """Return a unified diff without passwords; that one has changed is said, not what it was or is."""
    if before == after:
        return ""
    known = dict(_passwords(before))

    def hide(match: re.Match[str]) -> str:
        same = known.get(match[1], match[2]) == match[2]
        return match[1] + MASK + ("" if same else " (changed)") + (match[3] if match.lastindex == 3 else "")

    new = _BIRD_PASSWORD.sub(hide, _FRR_PASSWORD.sub(hide, after))
    lines = difflib.unified_diff(mask(before).splitlines(), new.splitlines(), name, name, lineterm="")
    return "\n".join(lines)


def _passwords(text: str) -> Iterator[tuple[str, str]]:
    for pattern in (_FRR_PASSWORD, _BIRD_PASSWORD):
        for match in pattern.finditer(text):
            yield match[1], match[2]


# --- what is remembered ---------------------------------------------------------------------------------------------


class Store:
    """The folder of changes: who is at work, what is staged, what ran before, what was confirmed."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.folder = machine.state
        self.file = self.folder / "state.json"
        self._reserve = self.folder / "reserve"

    def prepare(self) -> None:
        """Make the folders; others may pass through, to files that are theirs to read, and list nothing."""
        for path in (self.folder, self.folder / "staged", self.folder / "history", self.folder / "former"):
            path.mkdir(parents=True, exist_ok=True)
            # Not left to mkdir, which heeds the umask: BIRD, which is not root, has to reach its file.
            path.chmod(0o711)
        self._refill()

    def _refill(self) -> None:
        """Hold some space back, so that the way back can be written down on a full disk."""
        if not self._reserve.exists():
            with contextlib.suppress(OSError):
                self._reserve.write_bytes(b"\0" * RESERVE_BYTES)

    @contextlib.contextmanager
    def locked(self, limit_s: float = LOCK_LIMIT_S) -> Iterator[None]:
        """Be the only one who changes the state."""
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + limit_s
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Refused("busy", "another command has worked on this router for a minute") from None
                    time.sleep(POLL_S)
            yield
        finally:
            os.close(handle)

    def read(self) -> Doc:
        """Return the state."""
        text = read_text(self.file)
        if text is None:
            return {"confirmed": None, "pending": None, "noted": {}, "drained": False}
        try:
            state = json.loads(text)
        except ValueError as error:
            raise Refused("failed", f"{self.file} is damaged: {error}") from error
        return dict(state)

    def write(self, state: Doc) -> None:
        """Write the state down; on a full disk the space that was held back is given up for it."""
        text = json.dumps(state, indent=1, sort_keys=True) + "\n"
        try:
            write_file(self.file, text, 0o600)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            with contextlib.suppress(OSError):
                self._reserve.unlink()
            write_file(self.file, text, 0o600)

    def staged(self, change: str) -> Path:
        """Return where a change's files lie."""
        return self.folder / "staged" / change

    def put(self, folder: Path, files: Files, owner: str) -> None:
        """Write files that only root and the daemon that reads them can open."""
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder.chmod(0o711)
        for name, text in files.items():
            write_file(folder / name, text, 0o600, owner if name in ("frr.conf", "bird.conf") else "root")

    def get(self, folder: Path) -> Files:
        """Return the files of a folder."""
        found = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_file() and not path.name.startswith(".") and path.suffix != ".json":
                found[path.name] = path.read_text(encoding="utf-8", errors="surrogateescape")
        return found

    def forget(self, folder: Path) -> None:
        """Take a folder away."""
        shutil.rmtree(folder, ignore_errors=True)

    def thin_out(self) -> None:
        """Keep the last confirmed changes only."""
        folders = sorted((self.folder / "history").iterdir(), key=lambda path: path.stat().st_mtime)
        for path in folders[:-KEPT]:
            self.forget(path)

    def guard_lives(self) -> bool:
        """Say whether somebody holds the guard's lock."""
        handle = os.open(self.folder / "guard", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def free_bytes(self) -> int:
        """Return what is left where changes are kept."""
        found = os.statvfs(self.folder if self.folder.exists() else self.machine.root)
        return found.f_bavail * found.f_frsize


# --- settings, addresses, packet filter -----------------------------------------------------------------------------


class Sysctl:
    """Kernel settings, as sysctl.conf(5) says them."""

    file = "sysctl.conf"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def parse(self, text: str) -> Iterator[tuple[str, str, bool]]:
        """Yield (key, value, whether a failure is to be ignored)."""
        for line in text.splitlines():
            stripped = line.strip()
            key, separator, value = stripped.partition("=")
            if stripped and stripped[0] not in "#;" and separator:
                name = key.strip()
                yield name.removeprefix("-"), " ".join(value.split()), name.startswith("-")

    def path(self, key: str) -> Path:
        """Return a setting's file: the first separator found decides which of `.` and `/` separates."""
        first = re.search(r"[./]", key)
        relative = key if first is None or first[0] == "/" else key.translate(str.maketrans("./", "/."))
        if ".." in relative.split("/"):
            raise Refused("invalid", f"sysctl.conf: {key} is no setting")
        return self.machine.proc_sys / relative

    def value(self, key: str) -> str | None:
        """Return what a setting is."""
        try:
            return " ".join(self.path(key).read_text(encoding="ascii").split())
        except OSError:
            return None

    def check(self, text: str) -> None:
        """Refuse settings that this kernel has not."""
        for key, _value, optional in self.parse(text):
            if not optional and not self.path(key).exists():
                raise Refused("invalid", f"sysctl.conf: this kernel has no {key}")

    def different(self, text: str) -> list[tuple[str, str, str | None]]:
        """Return (key, what should be, what is) of each setting that differs."""
        wanted = {key: (value, optional) for key, value, optional in self.parse(text)}
        found = ((key, value, self.value(key), optional) for key, (value, optional) in wanted.items())
        return [
            (key, value, now) for key, value, now, optional in found if now != value and not (optional and now is None)
        ]

    def load(self, text: str) -> None:
        """Set what differs."""
        for key, value, _now in self.different(text):
            try:
                self.path(key).write_text(value, encoding="ascii")
            except OSError as error:
                raise Refused("failed", f"sysctl {key} = {value}: {error.strerror}") from error

    def difference(self, text: str) -> str:
        """Return what is against what should be, as a diff; empty: the same."""
        found = self.different(text)
        return "\n".join(f"-{key} = {value}\n+{key} = {now}" for key, value, now in found)

    def snapshot(self, text: str) -> str:
        """Return the present values of the settings of a text, as a text."""
        values = ((key, self.value(key)) for key, _value, _optional in self.parse(text))
        return "".join(f"{key} = {value}\n" for key, value in values if value is not None)


class Addresses:
    """Addresses of the interfaces that the batch names; all others are somebody else's."""

    file = "addresses.batch"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @staticmethod
    def parse(text: str) -> tuple[list[str], list[tuple[str, str]]]:
        """Return the interfaces that are ours, and (interface, address) pairs, in order."""
        devices: list[str] = []
        pairs: list[tuple[str, str]] = []
        for line in text.splitlines():
            words = line.split()
            if words[:3] == ["link", "set", "dev"] and len(words) > 3:
                devices.append(words[3])
            if words[:2] == ["address", "replace"] and len(words) > 4 and words[3] == "dev":
                pairs.append((words[4], words[2]))
        return devices, pairs

    def live(self) -> tuple[dict[str, Doc], list[tuple[str, str]]]:
        """Return the links by name, and (interface, address) pairs of global scope."""
        done = self.machine.run(["ip", "-j", "address", "show"])
        links = {str(link["ifname"]): link for link in json.loads(done.out or "[]") if "ifname" in link}
        pairs = [
            (name, "{}/{}".format(entry["local"], entry["prefixlen"]))
            for name, link in links.items()
            for entry in link.get("addr_info", ())
            if entry.get("scope") == "global" and not entry.get("dynamic")
        ]
        return links, pairs

    def check(self, text: str) -> None:
        """Refuse what names an interface that is not there."""
        links, _pairs = self.live()
        made = {
            words[words.index("name") + 1]
            for words in map(str.split, text.splitlines())
            if words[:2] == ["link", "add"] and "name" in words
        }
        for device in self.parse(text)[0]:
            if device not in links and device not in made:
                raise Refused(
                    "invalid",
                    f"addresses.batch: there is no interface {device}",
                    "name the router's port in the intent: `interface:`",
                )

    def difference(self, text: str) -> str:
        """Return what is against what should be, as a diff; empty: the same."""
        devices, wanted = self.parse(text)
        links, live = self.live()
        lines = [f"-{address} dev {device}" for device, address in wanted if (device, address) not in live]
        lines += [
            f"+{address} dev {device}"
            for device, address in live
            if device in devices and (device, address) not in wanted and not _is_loopback(address)
        ]
        for device in dict.fromkeys(devices):
            flags = links.get(device, {}).get("flags", ())
            if "UP" not in flags:
                lines.append("-link {} up\n+link {} {}".format(device, device, "down" if device in links else "absent"))
        return "\n".join(lines)

    def make(self, text: str) -> None:
        """Add what is missing."""
        done = self.machine.run(["ip", "-force", "-batch", "-"], stdin=text)
        if done.code != 0 and self._missing(text):
            raise Refused("failed", f"addresses: {done.words}")

    def _missing(self, text: str) -> bool:
        return any(line.startswith("-") for line in self.difference(text).splitlines())

    def break_(self, before: str, after: str) -> None:
        """Take away what the former batch had and this one has not."""
        devices, wanted = self.parse(after)
        old_devices, _old = self.parse(before)
        ours = set(devices) | set(old_devices)
        _links, live = self.live()
        gone = [pair for pair in live if pair[0] in ours and pair not in wanted and not _is_loopback(pair[1])]
        lines = "".join(f"address del {address} dev {device}\n" for device, address in gone)
        if lines:
            self.machine.run(["ip", "-force", "-batch", "-"], stdin=lines)

    def snapshot(self, text: str) -> str:
        """Return a batch of what the interfaces of a text have now."""
        devices = dict.fromkeys(self.parse(text)[0])
        links, live = self.live()
        lines = [f"link set dev {device} up" for device in devices if "UP" in links.get(device, {}).get("flags", ())]
        lines += [
            "address replace {} dev {}{}".format(address, device, " nodad" if ":" in address else "")
            for device, address in live
            if device in devices and not _is_loopback(address)
        ]
        return "\n".join(lines) + "\n"


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1/128"


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
        loaded, listed = in_fresh_network(
            lambda: (
                self.machine.run(["nft", "-f", "-"], stdin=text),
                self.machine.run(["nft", "-j", "list", "ruleset"]),
            )
        )
        if loaded.code != 0:
            raise Refused("invalid", f"nftables.conf: {loaded.words.replace('/dev/stdin', 'line')}")
        return _nft_objects(listed.out)

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
        return "\n".join(difflib.unified_diff(should, now, self.file, "running", lineterm="", n=1))

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


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        # nft 1.0.6 does not say in JSON that a set is dynamic; what times out comes and goes by itself as well.
        dynamic = bool({"dynamic", "timeout"} & set(value.get("flags") or ()))
        dropped = {"handle", "elem"} if dynamic else {"handle"}
        return {key: (None if key == "counter" else _plain(item)) for key, item in value.items() if key not in dropped}
    if isinstance(value, list):
        plain = [_plain(item) for item in value]
        return sorted(plain, key=lambda item: json.dumps(item, sort_keys=True)) if _is_set(plain) else plain
    return value


def _is_set(values: list[Any]) -> bool:
    """Elements of sets come in no order; statements of a rule do, and they are objects of one key."""
    return not any(
        isinstance(value, dict) and len(value) == 1 and next(iter(value)) not in _ELEMENTS for value in values
    )


_ELEMENTS = frozenset({"prefix", "range", "concat", "elem"})


# --- routing daemons ------------------------------------------------------------------------------------------------


class Daemon:
    """What both platforms have in common."""

    platform = ""
    user = ""
    main = ""
    """The file that is loaded into the running daemon."""
    names: tuple[str, ...] = ()

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.folder = machine.root / "etc" / self.platform

    def version(self) -> str:
        """Return the daemon's version."""
        raise NotImplementedError

    def check(self, folder: Path) -> None:
        """Refuse what the daemon's own parser refuses."""
        raise NotImplementedError

    def difference(self, files: Files, folder: Path, noted: Doc) -> str:
        """Return what runs against what should; empty: the same. `folder` holds the files as well."""
        raise NotImplementedError

    def load(self, folder: Path, files: Files, timeout_s: int | None) -> None:
        """Make the running daemon run the files of a folder, without touching those that it starts from."""
        raise NotImplementedError

    def settle(self) -> bool:
        """Keep what was loaded under the daemon's own timer; False when that is gone."""
        return True

    def note(self) -> Doc:
        """Return what tells later whether somebody else has changed what runs."""
        return {}

    def snapshot(self) -> str | None:
        """Return what runs as a text of the main file; None where the daemon cannot say."""
        return None

    def at_next_start(self, before: Files, after: Files) -> list[str]:
        """Return which daemons have to start anew before all of it holds."""
        raise NotImplementedError

    def observe(self) -> Doc:
        """Return sessions, BFD and OSPF as the daemons see them."""
        raise NotImplementedError


class Frr(Daemon):
    """FRRouting, told by frr-reload.py."""

    platform = "frr"
    user = "frr"
    main = "frr.conf"
    names = ("frr.conf", "vtysh.conf", "daemons")
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
            raise Refused("invalid", "frr.conf: {}".format(mask("; ".join(wrong[:5]) or done.words)))

    def delta(self, folder: Path) -> str:
        """Return what frr-reload.py would delete and add; Refused when it cannot say."""
        argv = [self.programs + "/frr-reload.py", "--test", "--confdir", str(folder), str(folder / "frr.conf")]
        done = self.machine.run(argv)
        if done.code != 0:
            raise Refused("failed", f"frr-reload.py: {mask(done.words)}")
        own_name = f"no hostname {socket.gethostname()}"
        lines = [line.rstrip() for line in done.out.splitlines()]
        # vtysh shows the machine's name beside the router's: nothing that could be deleted.
        kept = [line for line in lines if line and line != own_name and not line.startswith("====")]
        real = [line for line in kept if line not in ("Lines To Delete", "Lines To Add")]
        return "\n".join(kept) if real else ""

    def difference(self, files: Files, folder: Path, noted: Doc) -> str:
        """Return what frr-reload.py would do; it is asked only if the running text is not the one noted."""
        dead = [name for name in self._wanted(files) if not self._alive(name)]
        if dead:
            return "\n".join(f"-{name} runs\n+{name} does not run" for name in dead)
        if noted.get("files") == digest({"frr.conf": files["frr.conf"]}) and noted.get("running") == self._running():
            return ""
        return mask(self.delta(folder))

    def load(self, folder: Path, files: Files, timeout_s: int | None) -> None:
        """Reload until there is nothing left to do; the exit code of frr-reload.py says nothing about that."""
        del timeout_s
        for name, options in self._wanted(files).items():
            if not self._alive(name):
                self._start(name, options)
        argv = [self.programs + "/frr-reload.py", "--reload", "--stdout", "--confdir", str(folder)]
        said, left = "", ""
        for _round in range(RELOADS):
            left = self.delta(folder)
            if not left:
                return
            done = self.machine.run([*argv, str(folder / "frr.conf")])
            said = "; ".join(line for line in done.out.splitlines() if "Failed" in line or "ERROR" in line) or done.err
        left = self.delta(folder)
        if left:
            raise Refused("failed", "frr.conf was not taken whole: {}".format(mask(f"{said[-500:]} {left[:500]}")))

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
        done = self.machine.run([self.programs + "/" + name, "-d", "-F", "traditional", *options])
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

    def _running(self) -> str:
        return digest({"": self._vtysh("show running-config no-header").out})

    def snapshot(self) -> str | None:
        """Return the running configuration."""
        done = self._vtysh("show running-config no-header")
        if done.code != 0 or not done.out.strip():
            raise Refused("failed", f"FRR does not show what it runs: {mask(done.words)}")
        lines = done.out.splitlines()
        return "\n".join(line for line in lines if line != f"hostname {socket.gethostname()}") + "\n"

    def note(self) -> Doc:
        """Return the digest of what runs."""
        return {"running": self._running()}

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
            raise Refused("invalid", mask(done.words.replace(str(folder) + "/", "")))

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
            raise Refused("failed", mask(said.strip()[-1000:]))
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


DAEMONS: dict[str, Callable[[Machine], Daemon]] = {"frr": Frr, "bird": Bird}


# --- what may stand in a change -------------------------------------------------------------------------------------

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


_FRR_SESSION = re.compile(
    r"^ neighbor (\S+) (?:remote-as|password|update-source|ttl-security|ebgp-multihop|local-as|local-role|passive"
    r"|peer-group|timers \d|capability|dont-capability|disable-connected-check)\b.*$",
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


# --- the router -----------------------------------------------------------------------------------------------------


class Router:
    """One router: its files, its daemon, and the change that it is in."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.store = Store(machine)
        self.description = self._read_description()
        platform = str(self.description.get("platform") or self._installed())
        if platform not in DAEMONS:
            raise Refused("old", "neither FRR nor BIRD is installed here")
        self.daemon = DAEMONS[platform](machine)
        self.name = str(self.description.get("name") or socket.gethostname().partition(".")[0])
        self.sysctl = Sysctl(machine)
        self.addresses = Addresses(machine)
        self.filter = PacketFilter(machine)

    def _read_description(self) -> Doc:
        text = read_text(self.machine.description)
        if text is None:
            return {}
        try:
            found = json.loads(text)
        except ValueError as error:
            raise Refused("failed", f"{self.machine.description} is no JSON: {error}") from error
        return dict(found)

    def _installed(self) -> str:
        found = [name for name in DAEMONS if (self.machine.root / "etc" / name / (name + ".conf")).exists()]
        return found[0] if len(found) == 1 else ""

    # --- files

    def place(self, name: str) -> Path:
        """Return where a file is read at a start."""
        return (self.machine.linux if name in LINUX_FILES else self.daemon.folder) / name

    @property
    def file_names(self) -> tuple[str, ...]:
        """Every file that a change of this platform may have."""
        return (*LINUX_FILES, *self.daemon.names)

    def startup(self) -> Files:
        """Return the files that this router starts with."""
        texts = ((name, read_text(self.place(name))) for name in self.file_names)
        return {name: text for name, text in texts if text is not None}

    def install(self, files: Files) -> None:
        """Make files those that this router starts with, each whole or not at all; the sum is repeatable."""
        self.machine.linux.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name in self.file_names:
            if name in files:
                linux = name in LINUX_FILES
                write_file(
                    self.place(name), files[name], 0o644 if linux else 0o640, "root" if linux else self.daemon.user
                )
            else:
                with contextlib.suppress(FileNotFoundError):
                    self.place(name).unlink()

    # --- comparing

    def differences(self, files: Files, folder: Path, noted: Doc, *, daemon: bool = True) -> list[Doc]:
        """Return what runs against some files, part by part, as {"file", "diff"}."""
        parts: list[tuple[str, Callable[[], str]]] = [
            ("sysctl.conf", lambda: self.sysctl.difference(files["sysctl.conf"])),
            ("addresses.batch", lambda: self.addresses.difference(files["addresses.batch"])),
            ("nftables.conf", lambda: self.filter.difference(files["nftables.conf"])),
        ]
        if daemon:
            parts.append((self.daemon.main, lambda: self.daemon.difference(files, folder, noted)))
        found = [(name, compare()) for name, compare in parts if name in files]
        return [{"file": name, "diff": mask(diff)} for name, diff in found if diff]

    def drift(self, state: Doc, files: Files) -> list[Doc]:
        """Return what runs against the start-up files. A drained daemon differs on purpose."""
        return self.differences(files, self.daemon.folder, state["noted"], daemon=not state["drained"])

    def describe(self, state: Doc, files: Files, folder: Path) -> Doc:
        """Return what a change would do."""
        now = self.startup()
        drift = self.drift(state, now)
        main = self.daemon.main
        moved = now.get(main) != files.get(main) or any(item["file"] == main for item in drift)
        delta = self.daemon.delta(folder) if moved and isinstance(self.daemon, Frr) else ""
        names = [name for name in self.file_names if now.get(name, "") != files.get(name, "")]
        before = sessions_defined(now.get(main, ""), self.daemon.platform)
        after = sessions_defined(files.get(main, ""), self.daemon.platform)
        return {
            "router": self.name,
            "files": [{"file": n, "diff": masked_diff(now.get(n, ""), files.get(n, ""), n)} for n in names],
            "running": mask(delta),
            "restarts": self.daemon.at_next_start(now, files) if "daemons" in names or "envvars" in names else [],
            "resets": sorted(neighbor for neighbor in before if after.get(neighbor) != before[neighbor]),
            "drift": drift,
        }

    # --- a change comes in

    def check_bundle(self, bundle: Doc) -> Files:
        """Return the files of a bundle; Refused when they are not for this router or could harm it."""
        for key in ("change", "router", "network", "who", "platform"):
            if not isinstance(bundle.get(key), str):
                raise Refused("invalid", f"the change has no `{key}`")
        if not _CHANGE.fullmatch(bundle["change"]) or not _WORD.fullmatch(bundle["who"]):
            raise Refused("invalid", "this cannot be the id of a change, or its author")
        if bundle["router"] != self.name:
            raise Refused("wrong-router", "this is {}, not {}".format(self.name, bundle["router"][:64]))
        if bundle["platform"] != self.daemon.platform:
            raise Refused("wrong-router", "this runs {}, not {}".format(self.daemon.platform, bundle["platform"][:16]))
        for group in ("files", "drained"):
            self._check_texts(group, bundle.get(group, {}))
        if self.daemon.main not in bundle["files"]:
            raise Refused("invalid", f"{self.daemon.main} is missing")
        return dict(bundle["files"])

    def _check_texts(self, group: str, texts: Any) -> None:
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise Refused("invalid", f"`{group}` is no mapping of names to texts")
        for name, text in texts.items():
            if name not in self.file_names:
                raise Refused("invalid", f"{str(name)[:64]} is no file of a router with {self.daemon.platform}")
            check_content(name, text)

    def check_space(self, files: Files) -> None:
        """Refuse a change that would fill the disk."""
        need = 3 * sum(len(text.encode()) for text in files.values()) + SPARE_BYTES
        free = self.store.free_bytes()
        if free < need:
            raise Refused(
                "space", f"{free // 1024} kB are free in {self.store.folder}, the change needs {need // 1024}"
            )

    def check_files(self, folder: Path, files: Files) -> None:
        """Let the router's own programs read the files."""
        self.daemon.check(folder)
        if "nftables.conf" in files:
            self.filter.check(files["nftables.conf"])
        if "sysctl.conf" in files:
            self.sysctl.check(files["sysctl.conf"])
        if "addresses.batch" in files:
            self.addresses.check(files["addresses.batch"])

    def diff(self, bundle: Doc) -> Doc:
        """Say what a bundle would do; nothing stays behind."""
        files = self.check_bundle(bundle)
        self.check_space(files)
        folder = self.store.folder / f"diff-{os.getpid()}"
        try:
            self.store.put(folder, files, self.daemon.user)
            return self.describe(self.store.read(), files, folder)
        except OSError as error:
            raise _no_space(error) from error
        finally:
            self.store.forget(folder)

    def stage(self, bundle: Doc) -> Doc:
        """Keep a bundle here, checked, until it is applied or given up."""
        files = self.check_bundle(bundle)
        change = bundle["change"]
        with self.store.locked():
            state = self.settle()
            self._check_free(state, change)
            self.check_space(files)
            folder = self.store.staged(change)
            try:
                self._put(folder, files, bundle.get("drained", {}))
                self.check_files(folder, files)
                if bundle.get("drained"):
                    self.daemon.check(folder / "drained")
                described = self.describe(state, files, folder)
                state["pending"] = self._pending(bundle)
                self.store.write(state)
            except OSError as error:
                self.store.forget(folder)
                raise _no_space(error) from error
            except BaseException:
                self.store.forget(folder)
                raise
        return described

    def _put(self, folder: Path, files: Files, drained: Files) -> None:
        self.store.forget(folder)
        self.store.put(folder, files, self.daemon.user)
        if drained:
            self.store.put(folder / "drained", {**files, **drained}, self.daemon.user)

    def _pending(self, bundle: Doc) -> Doc:
        return {
            "change": bundle["change"],
            "phase": "staged",
            "who": bundle["who"],
            "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "take_over": bool(bundle.get("take_over")),
            "can_drain": bool(bundle.get("drained")),
        }

    def _check_free(self, state: Doc, change: str) -> None:
        pending = state["pending"]
        if pending and (pending["change"] != change or pending["phase"] != "staged"):
            raise Refused(
                "busy",
                "change {} of {} is {} here since {}".format(
                    pending["change"], pending["who"], pending["phase"], pending["since"]
                ),
                "ask {}; an applied change settles by itself".format(pending["who"]),
            )

    def release(self, change: str, who: str) -> Doc:
        """Forget a change that is only staged."""
        with self.store.locked():
            state = self.settle()
            pending = state["pending"]
            if not pending or pending["change"] != change:
                raise Refused("nothing-pending", f"no change {change} is staged here")
            if pending["phase"] != "staged":
                raise Refused("busy", "change {} is {}: it settles by itself".format(change, pending["phase"]))
            self._end(state, "restored", f"released by {who}")
        return {"released": change}

    # --- running it

    def apply(self, change: str, deadline_s: int, *, drained: bool) -> Doc:
        """Run a staged change under a deadline; say what came of it."""
        with self.store.locked():
            state = self.settle()
            pending = self._mine(state, change, ("staged",))
            if drained and not pending["can_drain"]:
                raise Refused("failed", "the change has no drained form")
            try:
                self._keep_former(state, pending)
                pending.update(
                    phase="applying",
                    deadline_s=deadline_s,
                    deadline=self.machine.clock() + deadline_s,
                    started=self.machine.clock(),
                    boot=self.machine.boot_id(),
                    armed=False,
                    drained=drained,
                )
                self.store.write(state)
            except OSError as error:
                raise _no_space(error) from error
        start_guard(change)
        return self.follow(change, ("applied",), deadline_s + LOCK_LIMIT_S)

    def _keep_former(self, state: Doc, pending: Doc) -> None:
        """Write down what to go back to: the start-up files, and what runs where that differs."""
        files = self.store.get(self.store.staged(pending["change"]))
        now = self.startup()
        drift = self.drift(state, now)
        if drift and not pending["take_over"]:
            names = ", ".join(item["file"] for item in drift)
            raise Refused(
                "failed",
                f"what runs is not what the router starts with: {names}",
                "`resilience drift` shows it; `--take-over` replaces it and goes back to it if need be",
            )
        runs = dict(now)
        if "sysctl.conf" in files:
            runs["sysctl.conf"] = self.sysctl.snapshot(files["sysctl.conf"])
        changed = {item["file"] for item in drift}
        runs.update(self._snapshots(files, now, changed))
        if state["drained"]:
            runs[self.daemon.main] = self._drained_text(state)
        former = self.store.folder / "former"
        self.store.forget(former)
        self.store.put(former, {}, "root")
        self.store.put(former / "files", now, self.daemon.user)
        self.store.put(former / "runs", runs, self.daemon.user)

    def _snapshots(self, files: Files, now: Files, changed: set[str]) -> Files:
        """Return what runs where no start-up file says it."""
        found: Files = {}
        if "addresses.batch" in files and ("addresses.batch" not in now or "addresses.batch" in changed):
            found["addresses.batch"] = self.addresses.snapshot(
                now.get("addresses.batch", "") + files["addresses.batch"]
            )
        if "nftables.conf" in files and ("nftables.conf" not in now or "nftables.conf" in changed):
            found["nftables.conf"] = self.filter.snapshot(self.filter.declared(files["nftables.conf"]))
        text = self.daemon.snapshot() if self.daemon.main in changed else None
        if text is not None:
            found[self.daemon.main] = text
        return found

    def _drained_text(self, state: Doc) -> str:
        folder = self.store.folder / "history" / state["confirmed"]["change"] / "drained"
        return Path(folder / self.daemon.main).read_text(encoding="utf-8")

    def run_files(self, before: Files, after: Files, folder: Path, timeout_s: int | None) -> None:
        """Go from some files to others on the running system: what is new first, what is gone last."""
        if "sysctl.conf" in after:
            self.sysctl.load(after["sysctl.conf"])
        batch, old_batch = after.get("addresses.batch", ""), before.get("addresses.batch", "")
        if batch and self.addresses.difference(batch):
            self.addresses.make(batch)
        if after.get("rules6.batch", "") != before.get("rules6.batch", ""):
            self.machine.run(["ip", "-6", "-force", "-batch", "-"], stdin=after.get("rules6.batch", ""))
        self._run_filter(before.get("nftables.conf", ""), after.get("nftables.conf", ""))
        main = self.daemon.main
        if main in after and (before.get(main) != after[main] or before.get("daemons") != after.get("daemons")):
            self.daemon.load(folder, after, timeout_s)
        self.addresses.break_(old_batch, batch)

    def _run_filter(self, before: str, after: str) -> None:
        gone = (
            [] if before == after else [t for t in self.filter.declared(before) if t not in self.filter.declared(after)]
        )
        if gone or (after and self.filter.difference(after)):
            self.filter.load(after, gone)

    def work(self, change: str) -> None:
        """Apply a change and read back that it runs: the guard's worker."""
        state = self.store.read()
        pending = state["pending"]
        folder = self.store.staged(change)
        former = self.store.folder / "former" / "runs"
        before = self.store.get(former)
        loaded = folder / "drained" if pending["drained"] else folder
        runs = self.store.get(loaded)
        self.run_files(before, runs, loaded, int(pending["deadline_s"]) + NATIVE_GRACE_S)
        self.read_back(runs, loaded)

    def read_back(self, files: Files, folder: Path) -> None:
        """Refused unless everything runs that should."""
        noted = {"files": digest({self.daemon.main: files.get(self.daemon.main, "")}), **self.daemon.note()}
        # What BIRD runs cannot be read: its own word that it took the file has to do.
        known = noted if isinstance(self.daemon, Bird) else {}
        left = self.differences(files, folder, known)
        if left:
            raise Refused("failed", "{} does not run as it should: {}".format(left[0]["file"], left[0]["diff"][:500]))

    def follow(self, change: str, wanted: Sequence[str], limit_s: float) -> Doc:
        """Wait until a change is where it should be or settled otherwise; say so."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            state = self.store.read()
            pending = state["pending"]
            if not pending or pending["change"] != change:
                last = state.get("last") or {}
                if last.get("change") == change:
                    return {"change": change, "phase": last["phase"], "reason": last["reason"], "remaining_s": None}
                raise Refused("nothing-pending", f"change {change} is not known here any more")
            if pending["phase"] in wanted:
                return self._outcome(pending)
            if not self.store.guard_lives():
                with self.store.locked():
                    self.settle()
            time.sleep(POLL_S)
        raise Refused("failed", f"change {change} did not settle in {limit_s:.0f} s")

    def _outcome(self, pending: Doc) -> Doc:
        return {
            "change": pending["change"],
            "phase": pending["phase"],
            "reason": pending.get("reason", ""),
            "remaining_s": self._remaining(pending),
        }

    def _remaining(self, pending: Doc) -> float | None:
        if "deadline" not in pending or pending["phase"] == "staged":
            return None
        return round(max(0.0, float(pending["deadline"]) - self.machine.clock()), 1)

    def _mine(self, state: Doc, change: str, phases: Sequence[str]) -> Doc:
        """Return the pending change if it is this one and in one of some phases."""
        pending: Doc | None = state["pending"]
        last = state.get("last") or {}
        if pending and pending["change"] == change and pending["phase"] in phases:
            return pending
        if not pending and last.get("change") == change and last.get("phase") == "restored":
            raise Refused("expired", "the former configuration is back: {}".format(last["reason"]))
        if not pending:
            raise Refused("nothing-pending", "no change is pending here")
        if pending["change"] == change:
            raise Refused("failed", "change {} is {}".format(change, pending["phase"]))
        raise Refused("busy", "change {} of {} is {} here".format(pending["change"], pending["who"], pending["phase"]))

    # --- keeping it

    def confirm(self, change: str) -> Doc:
        """Keep what runs: the last moment at which it could still go is the moment before this is written down."""
        with self.store.locked():
            state = self.settle()
            confirmed = state["confirmed"] or {}
            if not state["pending"] and confirmed.get("change") == change:
                return {"change": change, "phase": "confirmed", "reason": "", "remaining_s": None}
            pending = self._mine(state, change, ("applied",))
            if pending["drained"]:
                raise Refused("failed", "the change runs drained; undrain it first")
            if self._remaining(pending) == 0:
                raise Refused("expired", "the deadline of {} s has passed".format(pending["deadline_s"]))
            try:
                self._prewrite(change)
            except OSError as error:
                raise _no_space(error) from error
            if not self.daemon.settle():
                pending["abandon"] = "the daemon had gone back by itself, or somebody told it to"
                self.store.write(state)
                raise Refused("expired", pending["abandon"])
            pending["phase"] = "confirming"
            self.store.write(state)
            self.finish_confirming(state)
        return {"change": change, "phase": "confirmed", "reason": "", "remaining_s": None}

    def _prewrite(self, change: str) -> None:
        """Prove that there is room for the start-up files before the decision."""
        files = self.store.get(self.store.staged(change))
        for folder in {self.place(name).parent for name in files}:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            size = sum(len(text.encode()) + 4096 for name, text in files.items() if self.place(name).parent == folder)
            probe = folder / ".netresilience-space"
            try:
                with probe.open("wb") as stream:
                    stream.write(b"\0" * size)
                    stream.flush()
                    os.fsync(stream.fileno())
            finally:
                with contextlib.suppress(OSError):
                    probe.unlink()

    def finish_confirming(self, state: Doc) -> None:
        """Do what a confirmation decided; may be done again from any point of it."""
        pending = state["pending"]
        change = pending["change"]
        staged, kept = self.store.staged(change), self.store.folder / "history" / change
        files = self.store.get(staged if staged.exists() else kept)
        self.install(files)
        if staged.exists():
            self.store.forget(kept)
            staged.rename(kept)
        former = self.store.folder / "former"
        if (former / "files").is_dir():
            self.store.forget(kept / "former")
            (former / "files").rename(kept / "former")
            self.store.forget(former / "runs")
        before = (state["confirmed"] or {}).get("change")
        state["confirmed"] = {"change": change, "sha256": digest(files), "before": before}
        state["noted"] = self._note(files)
        state["drained"] = False
        state["last"] = {"change": change, "phase": "confirmed", "reason": ""}
        state["pending"] = None
        self.store.write(state)
        self.store.thin_out()

    def _note(self, files: Files) -> Doc:
        """Return what tells drift later; a daemon that does not answer now is compared the long way then."""
        try:
            return {"files": digest({self.daemon.main: files[self.daemon.main]}), **self.daemon.note()}
        except Refused:
            return {}

    # --- going back

    def rollback(self, change: str, deadline_s: int | None) -> Doc:
        """Give up a change, however far it has come."""
        with self.store.locked():
            state = self.settle()
            pending = state["pending"]
            confirmed = state["confirmed"] or {}
            if not pending and confirmed.get("change") == change:
                undo = self._stage_undo(state, change)
                back = deadline_s or DEFAULT_DEADLINE_S
            else:
                undo = ""
                back = 0
                pending = self._going(state, change)
                if pending is None:
                    return {
                        "change": change,
                        "phase": "restored",
                        "reason": state["last"]["reason"],
                        "remaining_s": None,
                    }
                if pending["phase"] == "staged":
                    self._end(state, "restored", "given up before it ran")
                    return {
                        "change": change,
                        "phase": "restored",
                        "reason": "given up before it ran",
                        "remaining_s": None,
                    }
                pending["abandon"] = "rolled back on request"
                self.store.write(state)
        if undo:
            return self.apply(undo, back, drained=False)
        return self.follow(change, (), LOCK_LIMIT_S)

    def _going(self, state: Doc, change: str) -> Doc | None:
        """Return the pending change; None when it has gone already."""
        try:
            return self._mine(state, change, ("staged", "applying", "applied", "restoring"))
        except Refused as refused:
            if refused.kind == "expired":
                return None
            raise

    def _stage_undo(self, state: Doc, change: str) -> str:
        """Stage what a confirmed change had replaced."""
        kept = self.store.folder / "history" / change
        files = self.store.get(kept / "former")
        if self.daemon.main not in files:
            raise Refused("failed", f"what change {change} replaced is not kept here any more")
        undo = f"{change[:59]}-undo"
        before = self.store.folder / "history" / str((state["confirmed"] or {}).get("before")) / "drained"
        main = self.daemon.main
        drained = self.store.get(before)
        self._put(self.store.staged(undo), files, {main: drained[main]} if main in drained else {})
        state["pending"] = self._pending({"change": undo, "who": f"rollback-of-{change[:40]}", "drained": drained})
        self.store.write(state)
        return undo

    def settle(self) -> Doc:
        """Finish what a killed guard or a loss of power left; returns the state. The caller holds the lock."""
        state = self.store.read()
        pending = state["pending"]
        if not pending or pending["phase"] == "staged":
            return state
        if pending["phase"] == "confirming":
            self.finish_confirming(state)
        elif pending["boot"] != self.machine.boot_id():
            self._end(state, "restored", "the router was restarted before the confirmation")
        elif not self.store.guard_lives() and (
            pending["armed"] or self.machine.clock() > pending["started"] + START_LIMIT_S
        ):
            self.restore(state, pending.get("abandon") or "the guard of the change was killed")
        return self.store.read()

    def restore(self, state: Doc, reason: str) -> None:
        """Run what ran before. The caller holds the lock; may be done again from any point of it."""
        pending = state["pending"]
        pending.update(phase="restoring", reason=reason)
        self.store.write(state)
        folder = self.store.staged(pending["change"])
        after = self.store.get(folder / "drained" if pending["drained"] else folder)
        runs = self.store.folder / "former" / "runs"
        before = self.store.get(runs)
        try:
            self.run_files({**after, self.daemon.main: ""}, before, runs, None)
            self.read_back(before, runs)
        except (Refused, OSError) as error:
            reason = f"{reason}; then the daemon was restarted from its start-up files, as going back failed: {error}"
            self.restart()
        state["noted"] = self._note(before) if state["noted"] else {}
        self._end(state, "restored", reason)

    def restart(self) -> None:
        """Start the daemon anew from its start-up files: the last resort."""
        service = "frr" if self.daemon.platform == "frr" else "bird"
        argv = self.description.get("restart") or ["systemctl", "restart", service]
        done = self.machine.run([str(word) for word in argv])
        if done.code != 0:
            raise Refused("failed", "{}: {}".format(" ".join(argv), done.words))

    def _end(self, state: Doc, phase: str, reason: str) -> None:
        """Forget a change that is settled."""
        change = state["pending"]["change"]
        state["last"] = {"change": change, "phase": phase, "reason": reason}
        state["pending"] = None
        self.store.write(state)
        self.store.forget(self.store.staged(change))
        self.store.forget(self.store.folder / "former" / "runs")

    # --- traffic

    def drain(self, change: str) -> Doc:
        """Run the drained form of what is confirmed, until `undrain` or the next start."""
        with self.store.locked():
            state = self.settle()
            pending, confirmed = state["pending"], state["confirmed"] or {}
            if pending and (pending["change"] != change or pending["phase"] != "staged"):
                self._mine(state, change, ("staged",))
            folder = self.store.folder / "history" / str(confirmed.get("change")) / "drained"
            if not folder.is_dir():
                return {"drained": False}
            if self.drift(state, self.startup()):
                raise Refused("failed", "what runs is not what the router starts with")
            state["drained"] = True
            self.store.write(state)
            self.daemon.load(folder, self.store.get(folder), None)
        return {"drained": True}

    def undrain(self, change: str) -> Doc:
        """Give what runs its ordinary form."""
        with self.store.locked():
            state = self.settle()
            pending = state["pending"]
            if pending and pending["phase"] == "applied":
                self._mine(state, change, ("applied",))
                if pending["drained"]:
                    folder = self.store.staged(change)
                    left = int(self._remaining(pending) or 0)
                    self.daemon.load(folder, self.store.get(folder), left + NATIVE_GRACE_S)
                    pending["drained"] = False
                    self.store.write(state)
            elif state["drained"]:
                files = self.startup()
                self.daemon.load(self.daemon.folder, files, None)
                state.update(drained=False, noted=self._note(files))
                self.store.write(state)
        return {"drained": False}

    # --- questions

    def hello(self) -> Doc:
        """Say who this is and how it stands."""
        with self.store.locked():
            state = self.settle()
        confirmed = state["confirmed"] or {}
        kept = self.store.folder / "history" / str(confirmed.get("change")) / "drained"
        return {
            "program": PROGRAM,
            "router": self.name,
            "platform": self.daemon.platform,
            "daemon_version": self.daemon.version(),
            "boot_id": self.machine.boot_id(),
            "confirmed": confirmed.get("change"),
            "confirmed_sha256": confirmed.get("sha256", ""),
            "pending": self._public(state["pending"]),
            "free_bytes": self.store.free_bytes(),
            "can_drain": kept.is_dir(),
        }

    def _public(self, pending: Doc | None) -> Doc | None:
        if not pending:
            return None
        shown = {key: pending[key] for key in ("change", "phase", "who", "since")}
        return {**shown, "remaining_s": self._remaining(pending)}

    def pending(self) -> Doc:
        """Return the change that is not settled."""
        with self.store.locked():
            return {"pending": self._public(self.settle()["pending"])}

    def read(self) -> Doc:
        """Return the start-up files, without passwords."""
        return {"files": {name: mask(text) for name, text in self.startup().items()}}

    def check(self) -> Doc:
        """Compare what runs with what should."""
        with self.store.locked():
            state = self.settle()
        pending, files = state["pending"], self.startup()
        if pending and pending["phase"] == "applied":
            folder = self.store.staged(pending["change"])
            wanted = self.store.get(folder / "drained" if pending["drained"] else folder)
            bird = isinstance(self.daemon, Bird)
            found = self.differences(wanted, folder, {}, daemon=not bird)
        else:
            found = self.drift(state, files)
        return {
            "same": not found,
            "differences": [{**item, "side": "running"} for item in found],
            "files": {
                name: hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
                for name, text in files.items()
            },
        }

    def observe(self) -> Doc:
        """Return what the daemons see, and how many routes the kernel has."""
        counts = {f: self.machine.run(["ip", "-" + f, "route", "show"]).out.count("\n") for f in ("4", "6")}
        return {**self.daemon.observe(), "routes": counts}

    def probe(self, request: Doc) -> Doc:
        """Ask addresses for an answer, side by side."""
        probes = request.get("probes")
        if not isinstance(probes, list) or len(probes) > PROBES:
            raise Refused("invalid", f"at most {PROBES} probes")
        with ThreadPoolExecutor(max_workers=PROBES) as pool:
            answers = list(pool.map(self._answers, probes))
        return {"results": {str(probe.get("id")): answer for probe, answer in zip(probes, answers)}}

    def _answers(self, probe: Doc) -> bool:
        try:
            family = socket.AF_INET6 if ":" in probe["target"] else socket.AF_INET
            for address in (probe["source"], probe["target"]):
                socket.inet_pton(family, address)
            if probe.get("port") is None:
                argv = ["ping", "-n", "-c", "1", "-W", "2", "-I", probe["source"], probe["target"]]
                return self.machine.run(argv, timeout_s=10).code == 0
            with socket.create_connection((probe["target"], int(probe["port"])), 3, (probe["source"], 0)):
                return True
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def boot(self) -> Doc:
        """Settle after a loss of power, then set what the routing daemons do not: needs none of them."""
        with contextlib.suppress(OSError):
            Path("/run/netresilience-boot").write_text(os.urandom(8).hex(), encoding="ascii")
        with self.store.locked():
            state = self.settle()
            state.update(drained=False, noted={})
            self.store.write(state)
            files = self.startup()
            if "sysctl.conf" in files:
                self.sysctl.load(files["sysctl.conf"])
            if "addresses.batch" in files:
                self.addresses.make(files["addresses.batch"])
            if "rules6.batch" in files:
                self.machine.run(["ip", "-6", "-force", "-batch", "-"], stdin=files["rules6.batch"])
            if "nftables.conf" in files:
                self.filter.load(files["nftables.conf"])
        return {"boot": "done"}


def _no_space(error: OSError) -> Refused:
    """Say what the system refused."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Refused("space" if full else "failed", "{}: {}".format(error.filename or "the disk", error.strerror))


# --- the guard ------------------------------------------------------------------------------------------------------


def start_guard(change: str) -> None:
    """Start the guard where nothing that ends this session reaches it."""
    argv = [sys.executable, os.path.realpath(__file__), "watch", change]
    if Path("/run/systemd/system").is_dir():
        # A session's processes may be killed with it (KillUserProcesses); those of a unit are not.
        argv = ["systemd-run", "--quiet", "--collect", f"--unit=netresilience-{change}", *argv]
    with Path(os.devnull).open("r+b") as null:
        subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True, cwd="/")


class Guard:
    """The dead man's switch: what an applied change hangs on, until somebody confirms it."""

    def __init__(self, router: Router, change: str) -> None:
        self.router = router
        self.store = router.store
        self.change = change
        self.worker = 0

    def oversee(self) -> None:
        """Be two processes: one that guards, and one that only waits for it to die."""
        handle = os.open(self.store.folder / "guard", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + START_LIMIT_S / 2
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Refused("busy", "another guard is at work") from None
                time.sleep(POLL_S)
        child = os.fork()
        if child == 0:
            _leave(self.guard)
        _pid, status = os.waitpid(child, 0)
        os.close(handle)
        if status != 0:
            with self.store.locked():
                self.router.settle()

    def guard(self) -> None:
        """Apply, then wait for the confirmation, the deadline, or somebody who gives up."""
        with self.store.locked():
            state = self.store.read()
            pending = state["pending"]
            if not pending or pending["change"] != self.change or pending["phase"] != "applying":
                return
            pending["armed"] = True
            self.store.write(state)
        reason_file = self.store.folder / "reason"
        with contextlib.suppress(FileNotFoundError):
            reason_file.unlink()
        self.worker = os.fork()
        if self.worker == 0:
            os.setsid()
            _leave(lambda: self._work(reason_file))
        while self._watch(reason_file):
            time.sleep(POLL_S)

    def _work(self, reason_file: Path) -> None:
        try:
            self.router.work(self.change)
        except (Refused, OSError) as error:
            with contextlib.suppress(OSError):
                reason_file.write_text(mask(str(error)), encoding="utf-8")
            raise

    def _watch(self, reason_file: Path) -> bool:
        """Look once; False: there is nothing to guard any more."""
        pending = self.store.read()["pending"]
        if not pending or pending["change"] != self.change:
            return False
        if pending["phase"] == "confirming":
            return True
        if pending.get("abandon"):
            return self._back(str(pending["abandon"]))
        if self.router.machine.clock() >= pending["deadline"]:
            done = "it was not confirmed" if pending["phase"] == "applied" else "it did not run"
            return self._back("{} within {} s".format(done, pending["deadline_s"]))
        if self.worker:
            return self._reap(reason_file)
        return True

    def _reap(self, reason_file: Path) -> bool:
        pid, status = os.waitpid(self.worker, os.WNOHANG)
        if pid == 0:
            return True
        self.worker = 0
        if status != 0:
            return self._back(read_text(reason_file) or "the process that applied it died")
        with self.store.locked():
            state = self.store.read()
            if state["pending"] and state["pending"]["phase"] == "applying":
                state["pending"]["phase"] = "applied"
                self.store.write(state)
        return True

    def _back(self, reason: str) -> bool:
        """Restore, unless a confirmation was faster."""
        if self.worker:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.worker, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.worker, 0)
            self.worker = 0
        with self.store.locked():
            state = self.store.read()
            pending = state["pending"]
            if (
                pending
                and pending["change"] == self.change
                and pending["phase"] in ("applying", "applied", "restoring")
            ):
                self.router.restore(state, reason)
                return False
        return True


def _leave(action: Callable[[], None]) -> NoReturn:
    """Do something in a forked process and end it, without running anything of its parent's."""
    code = 1
    try:
        action()
        code = 0
    finally:
        os._exit(code)


# --- the command ----------------------------------------------------------------------------------------------------


def read_input() -> Doc:
    """Return the JSON object on stdin."""
    data = sys.stdin.buffer.read(INPUT_LIMIT + 1)
    if len(data) > INPUT_LIMIT:
        raise Refused("invalid", f"more than {INPUT_LIMIT >> 20} MB")
    try:
        found = json.loads(data)
    except ValueError as error:
        raise Refused("invalid", f"stdin is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refused("invalid", "stdin is no JSON object")
    return found


def make_parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    parser = argparse.ArgumentParser(prog="netresilience-router", description="See the head of the program.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("hello", "read", "check", "observe", "pending", "boot", "diff", "stage", "probe"):
        verbs.add_parser(name)
    for name in ("apply", "confirm", "rollback", "drain", "undrain", "release", "watch"):
        verb = verbs.add_parser(name)
        # Outside a deployment a router is drained without a change.
        verb.add_argument("change", type=_change, nargs="?" if name in ("drain", "undrain") else None, default="")
        if name in ("apply", "rollback"):
            verb.add_argument("--deadline-s", type=_deadline, default=DEFAULT_DEADLINE_S if name == "apply" else None)
        if name == "apply":
            verb.add_argument("--drained", action="store_true")
        if name == "release":
            verb.add_argument("--who", default="somebody")
    return parser


def _change(text: str) -> str:
    if not _CHANGE.fullmatch(text):
        raise argparse.ArgumentTypeError("the id of a change has lower-case letters, digits and -, at most 64")
    return text


def _deadline(text: str) -> int:
    if not text.isdigit() or not 5 <= int(text) <= 86400:
        raise argparse.ArgumentTypeError("5 to 86400 seconds")
    return int(text)


def answer(router: Router, given: argparse.Namespace) -> Doc:
    """Do what one verb asks."""
    verbs: dict[str, Callable[[], Doc]] = {
        "diff": lambda: router.diff(read_input()),
        "stage": lambda: router.stage(read_input()),
        "probe": lambda: router.probe(read_input()),
        "apply": lambda: router.apply(given.change, given.deadline_s, drained=given.drained),
        "rollback": lambda: router.rollback(given.change, given.deadline_s),
        "release": lambda: router.release(given.change, given.who[:200]),
    }
    if given.verb in verbs:
        return verbs[given.verb]()
    method = getattr(router, given.verb)
    return dict(method(given.change) if "change" in given else method())


def check_trusted(path: Path) -> None:
    """Refuse to run without root, and to run as root what somebody else could have written."""
    if os.geteuid() != 0:
        raise Refused("sudo", "this program needs root: `sudo netresilience-router ...`")
    for part in (path, *path.parents):
        found = part.stat()
        others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if found.st_uid != 0 or (others and not found.st_mode & stat.S_ISVTX):
            raise Refused("failed", f"{part} can be written by others than root")


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the command."""
    given = make_parser().parse_args(arguments)
    os.umask(0o077)
    try:
        check_trusted(Path(os.path.realpath(__file__)))
        router = Router(Machine())
        router.store.prepare()
        if given.verb == "watch":
            Guard(router, given.change).oversee()
            return 0
        said = answer(router, given)
    except Refused as refused:
        said = {"error": {"kind": refused.kind, "message": refused.message, "hint": refused.hint}}
    except OSError as error:
        trouble = _no_space(error)
        said = {"error": {"kind": trouble.kind, "message": trouble.message, "hint": ""}}
    sys.stdout.write(json.dumps(said) + "\n")
    return 1 if "error" in said else 0


if __name__ == "__main__":
    sys.exit(main())
