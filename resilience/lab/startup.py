"""What a router's start-up files say about which daemons run there, and with which options."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from resilience.errors import LabError
from resilience.lab.spec import Program

FRR_DAEMONS: Final = ("zebra", "bgpd", "ospfd", "ospf6d", "staticd", "bfdd")
"""The daemons that the renderer may ask for, in the order in which the distribution starts them."""

_ALWAYS: Final = ("zebra", "staticd")
"""The distribution's start script runs these whatever the file `daemons` says."""

_TELLING: Final = ("frr.conf", "daemons", "bird.conf", "envvars")


def find_programs(node: str, texts: Mapping[str, str]) -> tuple[Program, ...]:
    """Return the daemons of a node, of the texts of its start-up files."""
    if "frr.conf" in texts:
        if "daemons" not in texts:
            raise LabError(f"{node} has frr.conf but no file `daemons` that says which daemons to start")
        return read_daemons(texts["daemons"])
    if "bird.conf" in texts:
        return (Program("bird", read_envvars(texts.get("envvars", ""))),)
    return ()


def read_programs(node: str, folder: Path) -> tuple[Program, ...]:
    """Return the daemons of a node as its folder of start-up files has them now."""
    paths = [folder / name for name in _TELLING]
    return find_programs(node, {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()})


def read_envvars(text: str) -> tuple[str, ...]:
    """Return the options that BIRD's file `envvars` gives the daemon, as its service file hands them on."""
    words = shlex.split(text, comments=True)
    stated = (word.removeprefix("BIRD_ARGS=") for word in words if word.startswith("BIRD_ARGS="))
    return tuple(shlex.split(next(stated, "")))


def read_daemons(text: str) -> tuple[Program, ...]:
    """Return the daemons that FRR's file `daemons` asks for, in the order of starting."""
    values: dict[str, str] = {}
    for word in shlex.split(text, comments=True):
        key, separator, value = word.partition("=")
        if separator:
            values[key] = value
    return tuple(
        Program(name, tuple(shlex.split(values.get(f"{name}_options", ""))))
        for name in FRR_DAEMONS
        if name in _ALWAYS or values.get(name, "no") not in {"no", "0", ""}
    )
