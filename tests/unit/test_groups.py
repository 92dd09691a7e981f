"""Workers that share the tests keep together what belongs together: else labs are built twice, and meet each other."""

from __future__ import annotations

import pytest


def test_this_test_knows_its_group(request: pytest.FixtureRequest) -> None:
    """The name of a worker's test ends in its group: by that the tests are dealt out."""
    if not hasattr(request.config, "workerinput") or not request.config.getvalue("loadgroup"):
        pytest.skip("nobody shares the tests here")

    assert request.node.nodeid.endswith("@tests/unit/test_groups.py")
