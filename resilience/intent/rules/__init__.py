"""What a network must be beyond its shape: one module a subject, every problem found in one pass."""

from __future__ import annotations

from collections.abc import Callable

from resilience.intent.document import Document
from resilience.intent.problems import Problem
from resilience.intent.reader import Tree
from resilience.intent.rules.context import Context

CHECKS: tuple[Callable[[Context], None], ...] = ()


def find_problems(document: Document, tree: Tree) -> list[Problem]:
    """Return everything that is wrong with a document whose shape is right."""
    context = Context(document, tree)
    for check in CHECKS:
        check(context)
    return context.problems
