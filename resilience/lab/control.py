"""Talking to routing daemons through their control sockets, without starting a client program for each question."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from resilience.errors import LabError

_TIMEOUT_S: Final = 30.0
_CHUNK: Final = 1 << 16


def connect_unix(path: Path, timeout_s: float = _TIMEOUT_S) -> socket.socket:
    """Connect to a Unix socket however long its path is: the kernel takes 107 bytes, so the folder goes by number."""
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        connection.settimeout(timeout_s)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
        except OSError:
            connection.close()
            raise
    finally:
        os.close(folder)
    return connection


class CommandRefused(LabError):
    """A daemon understood us and said no; the message is its own."""


class _Control:
    """A connection to a control socket, whose every answer may take `timeout_s`."""

    def __init__(self, path: Path, timeout_s: float = _TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        try:
            self._socket = connect_unix(path, timeout_s)
        except OSError as error:
            raise LabError(f"{path.name} does not answer: {error.strerror}") from error
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        """Do what a conversation begins with."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _receive(self) -> bytes:
        try:
            chunk = self._socket.recv(_CHUNK)
        except TimeoutError as error:
            raise LabError(f"{self._path.name} does not answer in {self._timeout_s:g} s") from error
        except OSError as error:
            raise LabError(f"{self._path.name} closed the connection") from error
        if not chunk:
            raise LabError(f"{self._path.name} closed the connection")
        return chunk

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise LabError(f"{self._path.name} closed the connection") from error


class FrrControl(_Control):
    """A connection to one FRR daemon, as its `vtysh` makes it: commands end in NUL, answers in three and a code."""

    def _greet(self) -> None:
        self.command("enable")

    def send(self, command: str) -> None:
        """Send a command without waiting for its answer."""
        self._send(command.encode() + b"\0")

    def receive(self) -> tuple[int, str]:
        """Return the code and the text of the next answer."""
        answer = b""
        while not (len(answer) >= 4 and answer[-4:-1] == b"\0\0\0"):
            answer += self._receive()
        return answer[-1], answer[:-4].decode(errors="replace").replace("\0", "")

    def command(self, command: str) -> str:
        """Run a command and return what it says; CommandRefused when the daemon does not know it."""
        self.send(command)
        code, text = self.receive()
        if code not in {0, 1}:  # CMD_SUCCESS, CMD_WARNING
            raise CommandRefused(f"{self._path.stem}: {command}: {text.strip() or f'code {code}'}")
        return text


class BirdControl(_Control):
    """A connection to BIRD: lines with a code of four digits; a blank instead of `-` after it ends an answer."""

    _buffer = b""

    def _greet(self) -> None:
        self.receive()

    def send(self, command: str) -> None:
        """Send a command without waiting for its answer."""
        self._send(command.encode() + b"\n")

    def receive(self) -> tuple[int, str]:
        """Return the last code and the text of the next answer."""
        lines: list[str] = []
        while True:
            line = self._line()
            if line.startswith("+"):  # asynchronous log messages
                continue
            if line.startswith(" "):
                lines.append(line[1:])
                continue
            lines.append(line[5:])
            if line[4:5] == " ":
                return int(line[:4]), "\n".join(lines)

    def command(self, command: str) -> str:
        """Run a command and return what it says; CommandRefused for errors (codes 8000 and up)."""
        self.send(command)
        code, text = self.receive()
        if code >= 8_000:
            raise CommandRefused(f"bird: {command}: {text.strip()}")
        return text

    def _line(self) -> str:
        while b"\n" not in self._buffer:
            self._buffer += self._receive()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace")
