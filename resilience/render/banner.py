"""The first lines of every file: what it is, and whether it may reach a real machine."""

from __future__ import annotations

from resilience.model.plan import Node
from resilience.render.text import comment


def banner(node: Node) -> tuple[str, ...]:
    """Return the first lines, without the comment sign. A file that cannot be deployed says so before all else."""
    made = "Made from network.yaml by `resilience render`; changes by hand are lost."
    if not node.managed:
        return ("LAB ONLY: a part of the outside world, rendered so that labs have it.", made)
    return (*(f"NOT DEPLOYABLE: {comment(reason)}" for reason in node.not_deployable), made)
