"""JSON Schemas of the documents that this tool writes, made from their types, so that neither can drift.

The descriptions are the docstrings that stand beside the fields in the model's source.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Union, get_args, get_origin, get_type_hints

from resilience.model.deployment import (
    DEPLOYMENT_DIFF_SCHEMA,
    DEPLOYMENT_SCHEMA,
    DRIFT_SCHEMA,
    Deployment,
    DeploymentDiff,
    Drift,
)
from resilience.model.document import JSON_KEYS, Json
from resilience.model.explanation import EXPLANATION_SCHEMA, Explanation
from resilience.model.findings import FINDINGS_SCHEMA, Findings
from resilience.model.journal import JOURNAL_SCHEMA, Journal
from resilience.model.network import Position
from resilience.model.proof import PROOF_SCHEMA, Proof

DOCUMENTS: Mapping[str, type] = {
    JOURNAL_SCHEMA: Journal,
    FINDINGS_SCHEMA: Findings,
    EXPLANATION_SCHEMA: Explanation,
    PROOF_SCHEMA: Proof,
    DEPLOYMENT_SCHEMA: Deployment,
    DEPLOYMENT_DIFF_SCHEMA: DeploymentDiff,
    DRIFT_SCHEMA: Drift,
}
"""Each document's name and the type that it is written from."""

_PLAIN: Mapping[type, dict[str, Json]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": ["number", "null"], "description": "null: without end"},
    NoneType: {"type": "null"},
    Position: {"type": "string", "description": "file:line:column"},
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a document's object: its name in JSON, its type, what it means."""

    name: str
    kind: object
    meaning: str
    optional: bool


def make_schema(name: str) -> Json:
    """Return the JSON Schema (2020-12) of a document such as `resilience/journal@1`."""
    definitions: dict[str, Json] = {}
    root = _reference(DOCUMENTS[name], definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{name.replace('/', ':').replace('@', ':')}",
        "title": name,
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def describe(kind: type) -> tuple[Key, ...]:
    """Return the keys of a dataclass as they stand in JSON, in order."""
    hints = get_type_hints(kind)
    names = JSON_KEYS.get(kind, {})
    meanings = attribute_docstrings(kind)
    return tuple(
        Key(names.get(item.name, item.name), hints[item.name], meanings.get(item.name, ""), _is_optional(item))
        for item in fields(kind)
        if not item.name.startswith("_")
    )


def dataclasses_in(kind: object) -> tuple[type, ...]:
    """Return the dataclasses that a type is made of, itself first, each once, in reading order."""
    found: dict[type, None] = {}
    _collect(kind, found)
    return tuple(found)


@cache
def attribute_docstrings(kind: type) -> Mapping[str, str]:
    """Return what the source says below each field of a class."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - inspect gave us a class
    found = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        text = following.value if isinstance(following, ast.Expr) else None
        if isinstance(statement, ast.AnnAssign) and isinstance(text, ast.Constant):
            found[ast.unparse(statement.target)] = inspect.cleandoc(str(text.value))
    return found


def _is_optional(item: Field[object]) -> bool:
    return item.default is not MISSING or item.default_factory is not MISSING


def _collect(kind: object, found: dict[type, None]) -> None:
    if isinstance(kind, type) and is_dataclass(kind) and kind not in _PLAIN:
        if kind in found:
            return
        found[kind] = None
        for key in describe(kind):
            _collect(key.kind, found)
    for part in get_args(kind):
        _collect(part, found)


def _schema_of(kind: object, definitions: dict[str, Json]) -> dict[str, Json]:
    if isinstance(kind, type) and kind in _PLAIN:
        return dict(_PLAIN[kind])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if isinstance(kind, type) and is_dataclass(kind):
        return _reference(kind, definitions)
    return _schema_of_parts(kind, definitions)


def _schema_of_parts(kind: object, definitions: dict[str, Json]) -> dict[str, Json]:
    if get_origin(kind) in {Union, UnionType}:
        return {"anyOf": [_schema_of(part, definitions) for part in get_args(kind)]}
    if get_origin(kind) is tuple and get_args(kind)[1:] == (...,):
        return {"type": "array", "items": _schema_of(get_args(kind)[0], definitions)}
    raise TypeError(f"no JSON Schema for {kind!r}: add it here")


def _reference(kind: type, definitions: dict[str, Json]) -> dict[str, Json]:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        keys = describe(kind)
        properties: dict[str, Json] = {key.name: _described(key, definitions) for key in keys}
        definitions[kind.__name__] = {
            "type": "object",
            "description": inspect.cleandoc(kind.__doc__ or ""),
            "properties": properties,
            "required": [key.name for key in keys],
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _described(key: Key, definitions: dict[str, Json]) -> dict[str, Json]:
    schema = _schema_of(key.kind, definitions)
    return {**schema, "description": key.meaning} if key.meaning else schema
