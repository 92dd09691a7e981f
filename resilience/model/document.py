"""Any of the model's values as plain JSON: one function for journals, findings, plans and whatever comes next.

Field names become keys as they are, but for the few words that Python or its readers would not bear as names:
a flow's `source`, `target` and `back` are written `from`, `to` and `return`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from resilience.model.journal import FlowResult
from resilience.model.network import Position
from resilience.model.plan import Origin

JSON_KEYS: Mapping[type, Mapping[str, str]] = {
    FlowResult: {"source": "from", "target": "to", "back": "return"},
}
"""Fields that are written under another name."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_AS_TEXT = (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    Position,
    Origin,
)
_MS_DIGITS = 3
"""Microseconds: finer than any clock here can argue from."""


def to_jsonable(value: object) -> Json:
    """Return a value of the model as what `json.dumps` takes. Infinity becomes null; private fields stay private."""
    if isinstance(value, Enum):
        return to_jsonable(value.value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return round(value, _MS_DIGITS) if math.isfinite(value) else None
    if isinstance(value, _AS_TEXT):
        return str(value)
    return _container_to_jsonable(value)


def _container_to_jsonable(value: object) -> Json:
    """Return what holds other values; TypeError for what no document may hold."""
    if is_dataclass(value) and not isinstance(value, type):
        keys = JSON_KEYS.get(type(value), {})
        return {
            keys.get(item.name, item.name): to_jsonable(getattr(value, item.name))
            for item in fields(value)
            if not item.name.startswith("_")
        }
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, (frozenset, set)):
        return sorted((to_jsonable(item) for item in value), key=str)
    if isinstance(value, (tuple, list)):
        return [to_jsonable(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def write_json(value: object) -> str:
    """Return a value of the model as JSON text with a newline at its end."""
    return json.dumps(to_jsonable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
