"""A routing daemon, as the rest of the program sees it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from .machine import Doc, Files, Machine


class Difference(NamedTuple):
    """What runs against what should."""

    text: str = ""
    """Empty: the same."""
    note: Doc | None = None
    """What to note if a slow comparison has found the same, so that the next one is fast."""
    running: str | None = None
    """What runs, where that was read."""
    dead: bool = False
    """A daemon that should run does not: that is all of the difference, and loading starts it."""


class Daemon:
    """What both platforms have in common."""

    platform = ""
    user = ""
    main = ""
    """The file that is loaded into the running daemon."""
    names: tuple[str, ...] = ()
    needed = ""
    """The file of `names` without which the service does not start: no change takes it away."""
    forgets_routes = False
    """It may not calculate routes when a neighbour is back."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.folder = machine.root / "etc" / self.platform

    def version(self) -> str:
        """Return the daemon's version."""
        raise NotImplementedError

    def check(self, folder: Path) -> None:
        """Refuse what the daemon's own parser refuses."""
        raise NotImplementedError

    def difference(self, files: Files, folder: Path, noted: Doc) -> Difference:
        """Return what runs against what should. `folder` holds the files as well."""
        raise NotImplementedError

    def load(self, folder: Path, files: Files, timeout_s: int | None) -> None:
        """Make the running daemon run the files of a folder, without touching those that it starts from."""
        raise NotImplementedError

    def settle(self) -> bool:
        """Keep what was loaded under the daemon's own timer; False when that is gone."""
        return True

    def note(self) -> Doc:
        """Return what tells later whether somebody else has changed what runs."""
        return {}

    def snapshot(self) -> str | None:
        """Return what runs as a text of the main file; None where the daemon cannot say."""
        return None

    def at_next_start(self, before: Files, after: Files) -> list[str]:
        """Return which daemons have to start anew before all of it holds."""
        raise NotImplementedError

    def observe(self) -> Doc:
        """Return sessions, BFD and OSPF as the daemons see them."""
        raise NotImplementedError

    def recalculate(self) -> None:
        """Have routes calculated again, for a daemon that may forget to; harmless where it has not."""
