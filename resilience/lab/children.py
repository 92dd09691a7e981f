"""The programs that a lab's keeper runs, and the burial of everybody else's: as process 1 it inherits all orphans."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, NoReturn

_PAUSE_S: Final = 0.2


class Children:
    """Those whose end somebody in this process waits for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._awaited: set[int] = set()

    def spawn(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start a program whose output is read as one text; call `forget` when it has ended."""
        with self._lock:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            self._awaited.add(process.pid)
        return process

    def forget(self, process: subprocess.Popen[str]) -> None:
        """Nobody waits for this program any more."""
        with self._lock:
            self._awaited.discard(process.pid)

    def bury_orphans(self, daemons: Callable[[], Collection[int]]) -> NoReturn:
        """Bury what ends and is nobody's, for ever: a zombie would look alive to whoever only asks for its number.

        `daemons`: whose numbers must not be given to others before their death has been noticed.
        """
        while True:
            if not self._bury_one(daemons):
                time.sleep(_PAUSE_S)

    def _bury_one(self, daemons: Callable[[], Collection[int]]) -> bool:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            with self._lock:
                if ended is None or ended.si_pid in self._awaited or ended.si_pid in daemons():
                    return False
                os.waitpid(ended.si_pid, 0)
        except ChildProcessError:
            return False
        return True


CHILDREN: Final = Children()
