"""The program on a router: one file, though its source is a package.

Two rooms need it that must not know each other: `lab` gives it to the routers of a lab, `cli` to those who prepare real
ones. What makes files for routers is this room, and both may import it. Of the room `deploy` it reads files, no code.
"""

from __future__ import annotations

import io
import zipfile
from importlib.resources import files

PACKAGE = "netresilience_router"
_FIRST_LINE = b"#!/usr/bin/python3 -I\n"
"""Isolated: it runs as root, and no module of it may come from a variable, the current folder or somebody's home."""
_START = f'''"""Start the program: Python runs this file of an archive."""

import sys

from {PACKAGE}.program import main

sys.exit(main())
'''
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The first moment that an archive can name."""


def router_program() -> bytes:
    """Return the program as one executable file (PEP 441), the same bits from the same source.

    Nothing is compressed: whoever wants to know what runs as root can read it in the file itself.
    """
    folder = files("resilience") / "deploy" / "on_router" / PACKAGE
    modules = {f"{PACKAGE}/{one.name}": one.read_bytes() for one in folder.iterdir() if one.name.endswith(".py")}
    archive = io.BytesIO()
    archive.write(_FIRST_LINE)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as writer:
        for name, text in sorted({**modules, "__main__.py": _START.encode()}.items()):
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.create_system = 3  # Unix, wherever this is run
            entry.external_attr = 0o100644 << 16
            writer.writestr(entry, text)
    return archive.getvalue()
