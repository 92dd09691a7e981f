"""Intents on disk that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from resilience.intent import read_intent
from resilience.plan import Numbers, make_plan, write_numbers


def write_intents(folder: Path, texts: Mapping[str, str]) -> dict[str, Path]:
    """Write intents, each larger than the one before, each into a folder; they agree about every number."""
    numbers = Numbers()
    folders = {name: folder / name for name in texts}
    for name, text in texts.items():
        folders[name].mkdir()
        (folders[name] / "network.yaml").write_text(text, encoding="utf-8")
        _, numbers = make_plan(read_intent(folders[name]), numbers)
    for path in folders.values():
        write_numbers(path, numbers)
    return folders
