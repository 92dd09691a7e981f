"""Talking to the process that keeps a lab: starting it, asking it, hearing how far it is. `answers.py` is its side."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from typing import Any, Final

from resilience.errors import LabError
from resilience.lab.control import connect_unix
from resilience.lab.seam import Progress
from resilience.lab.state import LabFolder, Process

_ANSWER_LIMIT_S: Final = 300.0
_LOG_BYTES: Final = 2_000

Events = Generator[dict[str, Any], None, None]
"""What a keeper says. Whoever has heard enough closes it: until then it holds the connection open."""


def start_keeper(module: str, folder: LabFolder) -> tuple[socket.socket, Events]:
    """Start a lab's keeper; return its owner's socket and what it says from now on."""
    owner, theirs = socket.socketpair()
    owner.settimeout(_ANSWER_LIMIT_S)
    try:
        with theirs:
            argv = [sys.executable, "-m", module, str(folder.path), str(theirs.fileno())]
            process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        events = read_events(owner)
        for event in events:
            if event["event"] == "keeper":
                folder.update(keeper=Process.of(event["pid"]))
                break
        process.wait()
    except BaseException:
        owner.close()
        raise
    return owner, events


def await_built(folder: LabFolder, events: Events, progress: Progress | None) -> None:
    """Wait until the keeper has built the lab; LabError with what it said, or with its last words when it died."""
    try:
        await_done(events, progress)
    except LabError as error:
        raise LabError(error.message or _last_words(folder), hint=error.hint) from error


def _last_words(folder: LabFolder) -> str:
    with suppress(OSError):
        return "the lab's keeper died: " + folder.log.read_text(encoding="utf-8")[-_LOG_BYTES:].strip()
    return "the lab's keeper died without a word"


def call_keeper(folder: LabFolder) -> socket.socket:
    """Connect to the keeper of a lab that another command keeps up."""
    try:
        return connect_unix(folder.control, _ANSWER_LIMIT_S)
    except OSError as error:
        raise LabError(f"the keeper of lab {folder.path.name} does not answer: {error.strerror}") from error


def ask_keeper(connection: socket.socket, request: Mapping[str, Any], progress: Progress | None = None) -> None:
    """Ask the keeper for something and wait until it is done; LabError with what it said."""
    try:
        connection.sendall(json.dumps(request).encode() + b"\n")
    except OSError as error:
        raise LabError(f"the lab's keeper does not listen: {error.strerror}") from error
    await_done(read_events(connection), progress)


def read_events(connection: socket.socket) -> Events:
    """Yield what the keeper says until it closes the connection."""
    with connection.makefile("r", encoding="utf-8") as lines, suppress(ConnectionResetError):
        for line in lines:
            yield json.loads(line)


def await_done(events: Events, progress: Progress | None) -> None:
    """Pass progress on until the keeper is done; LabError with what it said, empty when it died."""
    with closing(events):
        for event in events:
            match event["event"]:
                case "done":
                    return
                case "error":
                    raise LabError(event["message"])
                case "progress" if progress is not None:
                    progress(event["step"], event["done"], event["total"])
    raise LabError("")
