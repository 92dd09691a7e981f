"""Waits beside a drill on somebody else's lab and heals the lab should the drill be killed.

Run as `python -m resilience.attach.watchdog RECORD DESCRIPTOR`: the descriptor ends when the drill does, however it
does; a record that is still there then says what to heal. What cannot be healed stays written down for the next drill.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from resilience.attach.record import Record, heal
from resilience.errors import ResilienceError

_ATTEMPTS: Final = 5
_PAUSE_S: Final = 2.0


def main() -> None:
    """Wait, and heal what is left to heal."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Whoever ends the drill may mean everything that it has started, and this is what must still happen.
        signal.signal(number, signal.SIG_IGN)
    path, lifeline = Path(sys.argv[1]), int(sys.argv[2])
    while os.read(lifeline, 1):
        pass
    for _ in range(_ATTEMPTS):
        if not path.exists():
            return
        with suppress(ResilienceError, OSError):
            heal(Record.read(path))
            path.unlink(missing_ok=True)
            return
        # A containerlab that the drill has started may be at work still.
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main()
