"""`resilience deploy` that waits at one step until it is told to go on: so a test can interrupt it there for certain.

A program: `stepwise.py STEP deploy NET ...`, with STEP such as `r2 applying`. Everything else is the real command's. It
says WAITING on stderr once the step is in the record and nothing of it was done, and goes on with a line on stdin.
"""

from __future__ import annotations

import sys
from typing import Final

WAITING: Final = "WAITING"


def main() -> int:
    """Be the command."""
    from resilience.cli import app, deploy  # noqa: PLC0415 - this file is imported for WAITING, too

    step, *arguments = sys.argv[1:]
    say = deploy._tell
    left = [step]

    def tell(router: str, text: str) -> None:
        say(router, text)
        if f"{router} {text}" in left:
            left.clear()
            sys.stderr.write(f"{WAITING}\n")
            sys.stderr.flush()
            sys.stdin.readline()

    deploy._tell = tell
    return app.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
