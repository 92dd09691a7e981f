"""Every protection on every platform is attacked: the attack works without it and not with it.

One test a cell, named after it: `pytest -k "bogon-prefixes and frr"`. Those that were asked for run together, several
labs at a time, before the first of them says what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from resilience.model.network import Platform
from resilience.model.proof import Cell, ProofVerdict
from resilience.proof import SCENARIOS, default_jobs, prove

CELLS = {f"{scenario.name}-{platform}": (scenario, platform) for scenario in SCENARIOS for platform in Platform}
Cells = Mapping[str, Cell]


@pytest.fixture(scope="session")
def cells(request: pytest.FixtureRequest) -> Cells:
    """What became of the cells of this run."""
    asked = {name for item in request.session.items if (name := _cell_of(item))}
    proof = prove([attempt for name, attempt in CELLS.items() if name in asked], jobs=default_jobs())
    return {f"{cell.scenario}-{cell.platform}": cell for cell in proof.cells}


def _cell_of(item: pytest.Item) -> str | None:
    found = (
        item.callspec.params.get("cell") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    )
    return found if isinstance(found, str) else None


@pytest.mark.lab
@pytest.mark.timeout(900)  # the first one waits for all of them
@pytest.mark.parametrize("cell", CELLS)
def test_the_attack_is_stopped(cells: Cells, cell: str) -> None:
    """Seen to do all its harm without the protection's lines, and none with them; or seen to be impossible to stop."""
    found = cells[cell]
    assert found.verdict in {ProofVerdict.PASS, ProofVerdict.NOT_AVAILABLE}, found.reason
