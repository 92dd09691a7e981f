"""The JSON Schema of the language, for editors: made of the types that read an intent, so it cannot drift from them."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from resilience.intent.document import Document, Part

TITLE = "Intent of a network (network.yaml)"


class _Generator(GenerateJsonSchema):
    """Leaves defaults to the descriptions: the types hold milliseconds where people write `300ms`."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema of the value alone."""
        return self.generate_inner(schema["schema"])


def intent_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `network.yaml`."""
    return schema_of(Document, TITLE)


def schema_of(part: type[Part], title: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a document of some shape."""
    made = _tidy(part.model_json_schema(by_alias=True, schema_generator=_Generator))
    made.pop("title", None)
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": title, **made}


def intent_schema_text() -> str:
    """Return the JSON Schema as it lies in the repository."""
    return json.dumps(intent_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(value: Any) -> Any:
    """Drop titles that only repeat keys, and `null` where the language has no null."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy = {key: _tidy(item) for key, item in value.items() if not (key == "title" and isinstance(item, str))}
    choices = tidy.get("anyOf")
    if isinstance(choices, list) and len(choices) == 2 and {"type": "null"} in choices and "$ref" not in str(choices):
        kept = next(choice for choice in choices if choice != {"type": "null"})
        return {**kept, **{key: item for key, item in tidy.items() if key != "anyOf"}}
    return tidy
