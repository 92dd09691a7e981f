"""Programs of a router that are written in Python, run as they are, but without another start of Python.

On a small router a start of Python takes longer than what a short program does then, and a dry run has two of them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType
from typing import NoReturn

_INTERPRETERS = ("#!/usr/bin/python3", "#!/usr/bin/env python3")
"""First lines of programs that this Python may be: what a program starts with belongs to it."""
_POLL_S = 0.005


@functools.cache
def _compile(path: str) -> CodeType | None:
    try:
        source = Path(path).read_bytes()
        first = source.partition(b"\n")[0].decode().rstrip()
        return compile(source, path, "exec", dont_inherit=True) if first in _INTERPRETERS else None
    except (OSError, ValueError, SyntaxError):
        return None


def run_script(argv: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> tuple[int, str, str] | None:
    """Run a program by its path; return its exit code, stdout and stderr, or None if it cannot be run in this way.

    Raises:
        TimeoutError: it did not end in time, and was killed.
    """
    code = _compile(argv[0])
    if code is None:
        return None
    # Files in memory: the disk may be full, and nobody has to empty a pipe meanwhile.
    out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
    try:
        pid = os.fork()
        if pid == 0:
            _be(code, list(argv), environment, out, err)
        status = _wait(pid, timeout_s)
        return os.waitstatus_to_exitcode(status), _read(out), _read(err)
    finally:
        os.close(out)
        os.close(err)


def _wait(pid: int, timeout_s: float) -> int:
    """Return how a process ended; it does not outlive whoever waits for it, nor its time."""
    deadline = time.monotonic() + timeout_s
    ended, status = 0, 0
    try:
        while not ended:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended and time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0 if ended else _POLL_S)
    finally:
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return status


def _read(file: int) -> str:
    return os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", "replace")


def _be(code: CodeType, argv: list[str], environment: Mapping[str, str], out: int, err: int) -> NoReturn:
    """Be the program, in a process of its own, and end with it: nothing of ours may run after it."""
    exit_code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        # No lock of ours, above all: it would be held for as long as the program lives.
        for file in [int(link.name) for link in Path("/proc/self/fd").iterdir()]:
            if file > 2:
                with contextlib.suppress(OSError):
                    os.close(file)
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        sys.stdout, sys.stderr = (os.fdopen(file, "w", encoding="utf-8", closefd=False) for file in (1, 2))
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):  # ours, and none of its business
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = argv
        exit_code = _execute(code, argv[0])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(exit_code)


def _execute(code: CodeType, path: str) -> int:
    try:
        exec(code, {"__name__": "__main__", "__file__": path})  # noqa: S102 what would be started is run
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(ended.code + "\n")
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 as Python does at the end of a program
        traceback.print_exc()
        return 1
    return 0
