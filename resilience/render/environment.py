"""The template engine: strict about what is missing, without escaping, each template compiled once a process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


def templates_folder() -> Path:
    """Return where the templates lie: inside the package once it is installed, beside it in a clone."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"


@cache
def _environment() -> Environment:
    # Configurations are no HTML: escaping would damage them. What enters is made safe in `text`.
    return Environment(
        loader=FileSystemLoader(templates_folder()),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        cache_size=-1,
    )


@cache
def get_template(name: str) -> Template:
    """Return a compiled template by its path below the folder, such as `frr/frr.conf.j2`."""
    return _environment().get_template(name)
