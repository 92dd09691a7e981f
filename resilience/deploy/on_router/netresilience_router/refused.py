"""What the router does not do, and why."""

from __future__ import annotations

import errno


class Refused(Exception):
    """The router does not do it; `kind` is one of the library's kinds of trouble."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint


def no_space(error: OSError) -> Refused:
    """Say what the system refused."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Refused("space" if full else "failed", "{}: {}".format(error.filename or "the disk", error.strerror))
