"""Text from outside made harmless for where it is shown.

Names of a valid intent are DNS labels, but titles, daemon logs and error texts are free. A terminal must not obey
them, a table must not break on them, and a spreadsheet must not compute them.
"""

from __future__ import annotations

import unicodedata

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN_SPECIAL = "\\`*_[]<>|"


def show_safely(text: object) -> str:
    """Return text for a terminal: control and formatting characters are written as escapes, on one line."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}
        else character
        for character in str(text)
    )


def escape_markdown(text: object) -> str:
    """Return text that Markdown shows as it is, also inside a table's cell."""
    return "".join(f"\\{character}" if character in _MARKDOWN_SPECIAL else character for character in show_safely(text))


def escape_csv(text: str) -> str:
    """Return text that no spreadsheet takes for a formula (OWASP, CSV injection): such a cell begins with `'`."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
