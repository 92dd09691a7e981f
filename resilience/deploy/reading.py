"""JSON back to the model's types, strictly: a document of ours is read in full or refused with the place that is wrong.

The inverse of `model.document.to_jsonable` for the types that documents of deployment are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class Misshapen(ValueError):
    """A document that is not of the type that it should be; the message names the place."""


def read_value(kind: type[T], value: object) -> T:
    """Return a JSON value as the type that it was written from; Misshapen otherwise."""
    return cast("T", _read(kind, value, ""))


def _read(kind: Any, value: object, place: str) -> Any:
    if get_origin(kind) in {Union, UnionType}:
        return _read_optional(kind, value, place)
    if get_origin(kind) is tuple:
        return _read_list(get_args(kind)[0], value, place)
    if is_dataclass(kind) and isinstance(kind, type):
        return _read_object(kind, value, place)
    if issubclass(kind, Enum):
        return _read_word(kind, value, place)
    return _read_plain(kind, value, place)


def _read_plain(kind: type, value: object, place: str) -> object:
    """Read text, numbers and truth values; `true` is no number here, whatever Python thinks."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Misshapen(f"{place or 'the document'}: {_WORDS.get(kind, kind.__name__)} should stand here")
    return value


_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}


def _read_optional(kind: Any, value: object, place: str) -> object:
    (inner,) = (part for part in get_args(kind) if part is not NoneType)
    return None if value is None else _read(inner, value, place)


def _read_list(kind: Any, value: object, place: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise Misshapen(f"{place}: a list should stand here")
    return tuple(_read(kind, item, f"{place}[{number}]") for number, item in enumerate(value))


def _read_object(kind: type, value: object, place: str) -> object:
    if not isinstance(value, Mapping):
        raise Misshapen(f"{place or 'the document'}: an object should stand here")
    hints = get_type_hints(kind)
    names = [item.name for item in fields(cast("Any", kind))]
    for key in value:
        if key not in names:
            raise Misshapen(f"{_below(place, str(key))}: nothing that this version knows")
    for name in names:
        if name not in value:
            raise Misshapen(f"{_below(place, name)}: missing")
    return kind(**{name: _read(hints[name], value[name], _below(place, name)) for name in names})


def _read_word(kind: type[Enum], value: object, place: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        words = ", ".join(str(one.value) for one in kind)
        raise Misshapen(f"{place}: {str(value)[:40]!r} is none of {words}") from None


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
