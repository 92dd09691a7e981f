"""YAML intent to `Network`: the only reader of `network.yaml`. What is wrong is said with its place, all of it at once.

network = read_intent("inventories/dual-homed")
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from resilience.errors import IntentError
from resilience.intent.catalogue import RULES
from resilience.intent.convert import Converter
from resilience.intent.problems import Problem, order
from resilience.intent.reader import MAXIMUM_PROBLEMS, Unreadable, parse, read_file
from resilience.intent.rules import find_problems
from resilience.intent.schema import intent_schema, intent_schema_text
from resilience.intent.shape import read_shape
from resilience.model.network import Network

__all__ = ["RULES", "Problem", "intent_schema", "intent_schema_text", "read_intent", "read_intent_bytes"]


def read_intent(path: Path | str) -> Network:
    """Return the network that a folder, or its `network.yaml`, declares; IntentError with every problem otherwise."""
    try:
        name, data = read_file(Path(path))
    except Unreadable as stopped:
        raise IntentError(stopped.problems) from None
    return read_intent_bytes(data, name)


def read_intent_bytes(data: bytes, name: str = "network.yaml") -> Network:
    """Return the network that a document declares; `name` stands in messages."""
    try:
        tree = parse(name, data)
    except Unreadable as stopped:
        raise _invalid(list(stopped.problems)) from None
    document, misshapen = read_shape(tree)
    problems = [*tree.problems, *misshapen]
    if document is not None:
        problems += find_problems(document, tree)
    if problems or document is None:
        raise _invalid(problems)
    return Converter(document, tree).convert(hashlib.sha256(data).hexdigest())


def _invalid(problems: list[Problem]) -> IntentError:
    """Return the error with every problem once, in the order of the file."""
    ordered = order(problems)
    left_out = len(ordered) - MAXIMUM_PROBLEMS
    hint = f"and {left_out} more problems" if left_out > 0 else ""
    return IntentError(ordered[:MAXIMUM_PROBLEMS], hint=hint)
