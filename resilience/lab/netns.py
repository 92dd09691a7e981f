"""Entering network namespaces from a thread, without forking: one process can hold sockets in all of them."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CLONE_NEWNET: Final = 0x40000000
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWPID: Final = 0x20000000
CLONE_FS: Final = 0x00000200

MS_BIND: Final = 1 << 12
MS_MOVE: Final = 1 << 13
MS_REC: Final = 1 << 14
MS_PRIVATE: Final = 1 << 18

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def set_namespace(descriptor: int, kind: int = CLONE_NEWNET) -> None:
    """Move this thread into the namespace of a descriptor (setns(2); Python has it from 3.12 on)."""
    _check(_LIBC.setns(descriptor, kind), "setns")


def unshare(kinds: int) -> None:
    """Give this thread new namespaces of its own (unshare(2))."""
    _check(_LIBC.unshare(kinds), "unshare")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0) -> None:
    """Mount something (mount(2))."""
    file_system = kind.encode() if kind else None
    _check(_LIBC.mount(source.encode(), target.encode(), file_system, flags, None), f"mount {target}")


@contextmanager
def enter_namespace(path: Path) -> Iterator[None]:
    """Put this thread into the network namespace at `path` for as long as the context lasts.

    Sockets made inside stay there; the thread comes back.
    """
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            set_namespace(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            set_namespace(here)
    finally:
        os.close(here)


def socket_in(path: Path, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Return a socket that lives in the network namespace at `path`."""
    with enter_namespace(path):
        return socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
