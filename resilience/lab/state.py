"""What a lab leaves on disk while it runs, who owns it, and the removal of what nobody owns any more.

A lab's folder below `/run/netresilience` holds plain files only. Namespaces, cables, mounts and processes hang on the
lab's keeper (see `keeper.py`) and vanish with it, so that removing the folder of a dead keeper removes the last trace.
Containers hang on Docker: the folder says which (see `clab/removal.py`), so that anybody can take them away.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Final

from resilience.errors import LabError, UsageError
from resilience.lab.clab.removal import holds_containers, remove_containers
from resilience.lab.guests import find_guests

STATE_SCHEMA: Final = "resilience/lab@1"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_FRESH: Final = ".new-"
_CONTAINERS_LIMIT_S: Final = 300


def run_folder() -> Path:
    """Return where labs live; `RESILIENCE_RUN` moves it (tests do)."""
    return Path(os.environ.get("RESILIENCE_RUN", "/run/netresilience"))


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for a later one of the same number."""

    pid: int
    started: int
    """Clock ticks since boot, from /proc/PID/stat."""

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the living process of a number; None when there is none (a zombie is dead)."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in {"Z", "X"} else cls(pid, int(fields[19]))

    @classmethod
    def me(cls) -> Process:
        """Return the calling process."""
        found = cls.of(os.getpid())
        if found is None:
            raise LabError("/proc is not mounted", hint="labs need /proc")
        return found

    def alive(self) -> bool:
        """Say whether this very process still runs."""
        return Process.of(self.pid) == self


@dataclass(frozen=True, slots=True, kw_only=True)
class LabState:
    """What other processes need to find a lab. `kept`: it outlives the command that started it.

    Another version of this tool may have written it: fields that come later need a default, or every lab that runs
    while somebody upgrades would look damaged and be taken away.
    """

    name: str
    network: str
    source: str
    """Where the intent was read."""
    plan_sha256: str
    owner: Process
    keeper: Process | None = None
    kept: bool = False
    schema: str = STATE_SCHEMA


class LabFolder:
    """A lab's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def control(self) -> Path:
        """The keeper's socket."""
        return self.path / "control"

    @property
    def build(self) -> Path:
        """What the keeper is to build."""
        return self.path / "build.json"

    @property
    def running(self) -> Path:
        """What the keeper built: namespaces and processes."""
        return self.path / "running.json"

    @property
    def log(self) -> Path:
        """What the keeper has to say when it dies."""
        return self.path / "keeper.log"

    @property
    def faults(self) -> Path:
        """What is broken on purpose right now."""
        return self.path / "faults.json"

    @property
    def has_containers(self) -> bool:
        """Say whether its nodes are containers."""
        return holds_containers(self.path)

    def node(self, name: str) -> Path:
        """Return a node's folder: `files` as rendered, `run` as its /run."""
        return self.path / "nodes" / name

    def read(self) -> LabState:
        """Return the lab's state; LabError when it is damaged."""
        try:
            data = json.loads((self.path / "lab.json").read_text(encoding="utf-8"))
            data["owner"] = Process(**data["owner"])
            data["keeper"] = Process(**data["keeper"]) if data["keeper"] else None
            known = {item.name for item in fields(LabState)}
            return LabState(**{key: value for key, value in data.items() if key in known})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise LabError(f"the lab's state in {self.path} is damaged: {error}") from error

    def write(self, state: LabState) -> None:
        """Write the lab's state, whole or not at all."""
        write_atomically(self.path / "lab.json", json.dumps(asdict(state), indent=1))

    def update(self, *, keeper: Process | None = None, kept: bool | None = None) -> LabState:
        """Change a part of the state and return the whole."""
        state = self.read()
        state = replace(state, keeper=keeper or state.keeper, kept=state.kept if kept is None else kept)
        self.write(state)
        return state


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new text, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def reserve(name: str | None, *, network: str, source: str, plan_sha256: str) -> LabFolder:
    """Make a lab's folder. Without a name one is made up, so that several labs of a network run side by side."""
    base = run_folder()
    base.mkdir(mode=0o755, parents=True, exist_ok=True)
    chosen = name or f"{network[:40]}-{secrets.token_hex(3)}"
    if _NAME.fullmatch(chosen) is None:
        raise UsageError(f"{chosen!r} cannot name a lab", hint="lower-case letters, digits, `-` and `.`, 63 at most")
    me = Process.me()
    fresh = base / f"{_FRESH}{me.pid}-{me.started}-{secrets.token_hex(3)}"
    fresh.mkdir(mode=0o711)
    folder = LabFolder(fresh)
    folder.write(LabState(name=chosen, network=network, source=source, plan_sha256=plan_sha256, owner=me))
    try:
        # A rename onto a folder that holds something fails: that is what makes the name ours alone.
        fresh.rename(base / chosen)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise UsageError(
            f"a lab named {chosen} is already up",
            hint=f"`resilience lab down {chosen}` takes it down; `--name OTHER` starts one beside it",
        ) from error
    return LabFolder(base / chosen)


def lab_folders() -> Iterator[LabFolder]:
    """Yield the folder of every lab on this machine."""
    base = run_folder()
    if base.is_dir():
        for path in sorted(base.iterdir()):
            if path.is_dir() and not path.name.startswith("."):
                yield LabFolder(path)


def remove_leftovers() -> tuple[str, ...]:
    """Remove what labs left behind whose owner was killed; return their names."""
    removed = []
    for folder in lab_folders():
        # Containers that stay, because Docker does not answer now, are for a later command.
        with suppress(LabError):
            if not _is_owned(folder):
                remove(folder)
                removed.append(folder.path.name)
    base = run_folder()
    for path in base.glob(f"{_FRESH}*") if base.is_dir() else ():
        pid, started, _ = path.name.removeprefix(_FRESH).split("-")
        if not Process(int(pid), int(started)).alive():
            shutil.rmtree(path, ignore_errors=True)
    return tuple(removed)


def _is_owned(folder: LabFolder) -> bool:
    try:
        state = folder.read()
    except LabError:
        # Damaged, or just being removed by its owner: nobody can use it either way.
        return False
    if state.kept:
        return state.keeper is not None and state.keeper.alive()
    return state.owner.alive()


def remove(folder: LabFolder) -> None:
    """End a lab's keeper, and with it all that the lab is made of, and whom it has as guests; then remove its folder.

    LabError: containers stay. Then so does the folder, for whoever tries again.
    """
    keeper = _keeper_of(folder)
    if keeper is not None and folder.has_containers:
        # Asked, it takes its containers away, and the folder.
        with suppress(LabError):
            end_process(keeper, how=signal.SIGTERM, patience_s=_CONTAINERS_LIMIT_S)
    if keeper is not None:
        namespaces = keeper.alive() and not folder.has_containers
        guests = [Process.of(pid) for pid in find_guests(keeper.pid)] if namespaces else []
        # The keeper last: only it says who they are, to whoever does this again after an interruption.
        for process in (*guests, keeper):
            with suppress(LabError):
                if process is not None:
                    end_process(process)
    if folder.has_containers:
        remove_containers(folder.path)
    shutil.rmtree(folder.path, ignore_errors=True)


def _keeper_of(folder: LabFolder) -> Process | None:
    try:
        return folder.read().keeper
    except LabError:
        return None


def end_process(process: Process, *, how: signal.Signals = signal.SIGKILL, patience_s: float = 20) -> None:
    """End a process and wait until it is gone, with everything in its process namespace."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # Asked after opening: the descriptor now means the process that was looked at.
        if not process.alive():
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, how)
        waiter = select.poll()
        waiter.register(descriptor, select.POLLIN)
        if not waiter.poll(patience_s * 1_000):
            raise LabError(f"process {process.pid}, which keeps a lab, does not end")
    finally:
        os.close(descriptor)
