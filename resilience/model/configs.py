"""What rendering makes: for each node a folder of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file of one node. `path` is relative to the node's folder; `mode` its permissions.

    Bytes that are no UTF-8 stand in `text` as Python's `surrogateescape` has them: one file of all is an archive.
    """

    path: str
    text: str
    mode: int = 0o644


Configs = Mapping[str, tuple[ConfigFile, ...]]
"""Node name to its files, both in a stable order."""
