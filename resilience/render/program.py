"""The program on a router: one file, though its source is a package.

Two rooms need it that must not know each other: `lab` gives it to the routers of a lab, `cli` to those who prepare real
ones. What makes files for routers is this room, and both may import it. Of the room `deploy` it reads files, no code.
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import zipfile
from importlib.resources import files

PACKAGE = "netresilience_router"
_FIRST_LINE = b"#!/usr/bin/python3 -IS\n"
"""Isolated: it runs as root, and no module of it may come from a variable, the current folder or somebody's home, nor
from what was installed beside Python's own library, whose start-up files would be run as well."""
_START = f'''"""Start the program: Python runs this file of an archive."""

import sys

from {PACKAGE}.program import main

sys.exit(main())
'''
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The first moment that an archive can name."""
_CHECKED = 0b11
"""PEP 552: the code belongs to a source, which is told by a hash and looked at before the code is used."""
_PLAIN = 2
"""The last form of marshalled code without references between its parts, which differ from run to run."""


def router_program() -> bytes:
    """Return the program as one executable file (PEP 441), the same bits from the same source.

    Nothing is compressed: whoever wants to know what runs as root can read it in the file itself. Beside each module
    lies its code, compiled by the Python at hand: half of a short command's time went into compiling. A router with
    another Python, or a module that does not have the hash in its code, is compiled there as ever.
    """
    folder = files("resilience") / "deploy" / "on_router" / PACKAGE
    modules = {f"{PACKAGE}/{one.name}": one.read_bytes() for one in folder.iterdir() if one.name.endswith(".py")}
    compiled = {f"{name}c": _compile(name, text) for name, text in modules.items()}
    archive = io.BytesIO()
    archive.write(_FIRST_LINE)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as writer:
        for name, text in sorted({**modules, **compiled, "__main__.py": _START.encode()}.items()):
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.create_system = 3  # Unix, wherever this is run
            entry.external_attr = 0o100644 << 16
            writer.writestr(entry, text)
    return archive.getvalue()


def _compile(name: str, source: bytes) -> bytes:
    """Return a module's code as Python keeps it, whoever compiles it and wherever."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    head = importlib.util.MAGIC_NUMBER + _CHECKED.to_bytes(4, "little") + importlib.util.source_hash(source)
    return head + marshal.dumps(code, _PLAIN)
