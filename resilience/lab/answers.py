"""The side of the process that keeps a lab: it detaches from whoever started it, answers, and notices when they leave.

Requests and events are JSON documents, one a line, on the socket of the owner and on `FOLDER/control`::

    {"do": "start", "nodes": [...], "cold": ...}  start nodes again  -> {"event": "done"} or {"event": "error", ...}
    {"do": "restart", "nodes": [...]}             restart daemons    -> the same
    {"do": "keep"}                                outlive the owner  -> {"event": "done"}
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import socket
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

from resilience.errors import LabError
from resilience.lab.boot import BootError
from resilience.lab.netns import unshare
from resilience.lab.state import LabFolder

_SPARE_DESCRIPTORS: Final = 8_192

Say = Callable[[str, int, int], None]


class Keeping(Protocol):
    """What keeps a lab."""

    def build(self, progress: Say) -> None:
        """Make the lab."""

    def start(self, names: Iterable[str], progress: Say, *, cold: bool = True) -> None:
        """Start nodes again."""

    def restart(self, names: Iterable[str], progress: Say) -> None:
        """Restart the daemons of nodes from their start-up files."""

    def keep(self) -> None:
        """Stay when the owner goes."""

    def owner_left(self) -> None:
        """The owner has gone: end unless told to stay."""


class Answers:
    """One connection: reads requests, writes events."""

    def __init__(self, keeper: Keeping, connection: socket.socket) -> None:
        self._keeper = keeper
        self._connection = connection

    def say(self, event: str, **facts: Any) -> None:
        """Write one event; a listener that has gone is no trouble."""
        with contextlib.suppress(OSError):
            self._connection.sendall(json.dumps({"event": event, **facts}).encode() + b"\n")

    def progress(self, step: str, done: int, total: int) -> None:
        """Write how far a step has come."""
        self.say("progress", step=step, done=done, total=total)

    def answer_all(self) -> None:
        """Answer until the other side closes."""
        with self._connection, self._connection.makefile("r", encoding="utf-8") as lines, contextlib.suppress(OSError):
            for line in lines:
                self._answer(json.loads(line))

    def _answer(self, request: dict[str, Any]) -> None:
        match request["do"]:
            case "start":
                self.attempt(lambda: self._keeper.start(request["nodes"], self.progress, cold=request["cold"]))
            case "restart":
                self.attempt(lambda: self._keeper.restart(request["nodes"], self.progress))
            case "keep":
                self.attempt(self._keeper.keep)
            case other:
                self.say("error", message=f"the keeper cannot {other}")

    def attempt(self, action: Callable[[], None]) -> bool:
        """Do something and say how it went."""
        try:
            action()
        except (BootError, LabError, OSError) as error:
            traceback.print_exc()
            self.say("error", message=str(error))
            return False
        self.say("done")
        return True


def _serve(keeper: Keeping, folder: LabFolder) -> NoReturn:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    here = os.open(folder.path, os.O_PATH | os.O_CLOEXEC)
    listener.bind(f"/proc/self/fd/{here}/{folder.control.name}")  # a socket's path may have 107 bytes, ours has more
    os.close(here)
    folder.control.chmod(0o600)
    listener.listen()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=Answers(keeper, connection).answer_all, daemon=True).start()


def _watch_owner(keeper: Keeping, answers: Answers) -> None:
    answers.answer_all()
    keeper.owner_left()


def _be_keeper(make: Callable[[LabFolder], Keeping], folder: LabFolder, owner: socket.socket) -> NoReturn:
    try:
        _raise_descriptor_limit()
        keeper = make(folder)
        answers = Answers(keeper, owner)
        # From the first moment on: an owner that dies while we build must not leave half a lab.
        threading.Thread(target=_watch_owner, args=(keeper, answers), daemon=True).start()
        if answers.attempt(lambda: keeper.build(answers.progress)):
            _serve(keeper, folder)
    except BaseException:  # noqa: BLE001 - the last place where the reason can be written down
        traceback.print_exc()
    os._exit(1)


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _SPARE_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_SPARE_DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def become_keeper(arguments: list[str], make: Callable[[LabFolder], Keeping], namespaces: int) -> NoReturn:
    """Become two processes: one that says the keeper's number and ends, and the keeper, in namespaces of its own."""
    folder = LabFolder(Path(arguments[0]))
    owner = socket.socket(fileno=int(arguments[1]))
    owner.set_inheritable(False)
    os.chdir("/")
    os.setsid()
    log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    unshare(namespaces)
    child = os.fork()
    if child:
        owner.sendall(json.dumps({"event": "keeper", "pid": child}).encode() + b"\n")
        os._exit(0)
    for program in ("ip", "nft"):
        if shutil.which(program) is None:
            os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"
    _be_keeper(make, folder, owner)
