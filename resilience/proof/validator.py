"""A real RPKI validator's last part: `stayrtr` inside a lab, serving a table that a scenario makes up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from resilience.errors import EnvironmentLacks, LabError
from resilience.lab import Lab
from resilience.lab.netns import CLONE_NEWPID, set_namespace

PORT: Final = 3323
_PROGRAM: Final = "stayrtr"
_OPTIONS: Final = ("-checktime=false", "-loglevel", "error", "-bind", f":{PORT}", "-metrics.addr", "")
_PATIENCE_S: Final = 10


@dataclass(frozen=True, slots=True)
class Authorisation:
    """What a validated route origin authorisation says (RFC 6811)."""

    prefix: str
    longest: int
    asn: int


class Validator:
    """A running stayrtr. It belongs to the lab's processes: when the lab ends, however it ends, so does it."""

    def __init__(self, lab: Lab, node: str, table: Iterable[Authorisation]) -> None:
        """Start it in a node; it listens a moment later."""
        program = shutil.which(_PROGRAM)
        if program is None:
            raise EnvironmentLacks("this machine lacks stayrtr", hint="on Debian: apt-get install stayrtr")
        # The table is in memory, so that no file stays behind; each time it is opened it is read from its beginning.
        self._table = os.memfd_create("authorisations")
        self._write(table)
        started: list[subprocess.Popen[bytes]] = []
        # A thread of its own: it moves into the node for good, and the caller stays where it is.
        thread = threading.Thread(target=lambda: started.append(self._start(lab, node, program)))
        thread.start()
        thread.join()
        if not started:
            raise LabError(f"stayrtr does not start in {node}")
        self._process = started[0]
        # When it ends somebody has to ask how: a process namespace stays for as long as one of its dead is not buried.
        threading.Thread(target=self._process.wait, daemon=True).start()

    def _start(self, lab: Lab, node: str, program: str) -> subprocess.Popen[bytes]:
        network = os.open(lab.namespace(node), os.O_RDONLY | os.O_CLOEXEC)
        processes = os.open(f"/proc/{lab.daemons(node)[0].pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            set_namespace(network)
            # Children of this thread become processes of the lab, which its keeper takes with it.
            set_namespace(processes, CLONE_NEWPID)
            return subprocess.Popen(
                [program, *_OPTIONS, "-cache", f"/proc/self/fd/{self._table}"],
                pass_fds=[self._table],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        finally:
            os.close(network)
            os.close(processes)

    def serve(self, table: Iterable[Authorisation]) -> None:
        """Serve another table from now on; routers are told what has changed."""
        self._write(table)
        self._process.send_signal(signal.SIGHUP)

    def _write(self, table: Iterable[Authorisation]) -> None:
        document = _document(table)
        os.pwrite(self._table, document, 0)
        os.ftruncate(self._table, len(document))

    def kill(self) -> None:
        """Let it die at once, as in a crash."""
        self._process.kill()
        self._process.wait(_PATIENCE_S)


def _document(table: Iterable[Authorisation]) -> bytes:
    roas = [{"prefix": one.prefix, "maxLength": one.longest, "asn": f"AS{one.asn}"} for one in table]
    return json.dumps({"roas": roas}).encode()
