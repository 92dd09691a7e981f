"""The short forms of the language: what may be written shorter than its full shape, also in JSON Schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from resilience.intent.problems import show
from resilience.intent.scalars import ANY_ROUTER, refuse


@dataclass(frozen=True, slots=True)
class Form:
    """A short form: `expand` makes the full shape of what is written."""

    def expand(self, value: Any) -> Any:
        """Return the full shape."""
        raise NotImplementedError

    def widen(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Return the JSON Schema of short and full form."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Expand before the full shape is read."""
        return core_schema.no_info_before_validator_function(
            self.expand, handler(source), metadata={"pydantic_js_functions": [self._json_schema]}
        )

    def _json_schema(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return self.widen(handler(schema))


@dataclass(frozen=True, slots=True)
class OneOrMany(Form):
    """A list; one item may stand without brackets."""

    def expand(self, value: Any) -> Any:
        """Return a list."""
        return [value] if isinstance(value, str | dict) else value

    def widen(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Allow the item itself."""
        return {"anyOf": [schema["items"], schema]}


@dataclass(frozen=True, slots=True)
class Section(Form):
    """A list at the top of the file; its key may stand without items."""

    def expand(self, value: Any) -> Any:
        """Return a list."""
        return [] if value is None else value

    def widen(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Allow nothing."""
        return {**schema, "type": ["array", "null"]}


@dataclass(frozen=True, slots=True)
class Nouns(Form):
    """A mapping of names to nouns; a noun without settings may be left empty, `short` is the key that text fills."""

    short: str | None = None
    empty: bool = False
    """Whether a noun without settings is complete."""

    def expand(self, value: Any) -> Any:
        """Return full mappings."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            return value
        return {name: self._expand_one(noun) for name, noun in value.items()}

    def _expand_one(self, noun: Any) -> Any:
        if noun is None:
            return {}
        if self.short is not None and isinstance(noun, str):
            return {self.short: noun}
        return noun

    def widen(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Allow text and nothing where they mean something."""
        names, value = _names_and_value(schema)
        choices = [value]
        if self.short is not None:
            choices.append({"type": "string"})
        if self.empty:
            choices.append({"type": "null"})
        return {
            "type": ["object", "null"],
            "propertyNames": names,
            "additionalProperties": {"anyOf": choices} if len(choices) > 1 else value,
        }


@dataclass(frozen=True, slots=True)
class Settings(Form):
    """A mapping of settings that may be left empty."""

    def expand(self, value: Any) -> Any:
        """Return a mapping."""
        return {} if value is None else value

    def widen(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Allow nothing."""
        return {"anyOf": [schema, {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class Timers(Form):
    """BFD: true for the default timers, false for none, or a mapping of timers."""

    def expand(self, value: Any) -> Any:
        """Return a mapping, or None for no BFD."""
        if isinstance(value, dict):
            return value
        if isinstance(value, str) and value.lower() in {"true", "yes", "on"}:
            return {}
        if isinstance(value, str) and value.lower() in {"false", "no", "off"}:
            return None
        if value is None:
            raise refuse("empty-value", "`bfd` has no value", "write true, false or {interval: 300ms, multiplier: 3}")
        hint = "write true, false or {interval: 300ms, multiplier: 3}"
        raise refuse("wrong-type", f"`bfd` is true, false or timers, this is {show(value)}", hint)

    def widen(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Allow a boolean."""
        timers = next(choice for choice in schema["anyOf"] if choice.get("type") != "null")
        return {"anyOf": [{"type": "boolean"}, timers]}


@dataclass(frozen=True, slots=True)
class PerRouter(Form):
    """A mapping of routers to values; with one router the value may stand alone."""

    def expand(self, value: Any) -> Any:
        """Return a mapping; a value that stands alone under `ANY_ROUTER`."""
        return {ANY_ROUTER: value} if isinstance(value, str | list) else value

    def widen(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Allow the value itself."""
        names, value = _names_and_value(schema)
        return {"anyOf": [value, {"type": "object", "propertyNames": names, "additionalProperties": value}]}


def _names_and_value(schema: JsonSchemaValue) -> tuple[JsonSchemaValue, JsonSchemaValue]:
    """Return what a mapping's keys and its values are held to."""
    patterns = schema.get("patternProperties")
    if patterns is not None:
        pattern, value = next(iter(patterns.items()))
        return {"pattern": pattern}, value
    return schema["propertyNames"], schema["additionalProperties"]
