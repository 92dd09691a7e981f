"""The package's front door: few names, cheap to open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import resilience
from resilience.errors import ResilienceError


@pytest.mark.parametrize("name", resilience.__all__)
def test_every_name_at_the_door_exists(name: str) -> None:
    """What `__all__` promises can be fetched."""
    assert callable(getattr(resilience, name))


def test_the_door_has_no_other_name() -> None:
    """A name that is not promised is an AttributeError, as everywhere in Python."""
    with pytest.raises(AttributeError, match="has no attribute 'launch'"):
        _ = resilience.launch


def test_opening_the_door_loads_nothing_heavy() -> None:
    """`import resilience` leaves the rooms and their libraries alone."""
    code = "import sys, resilience; print([m for m in ('jinja2', 'pydantic', 'rustworkx', 'yaml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_keeper_starts_light() -> None:
    """Every lab waits for its keeper to load: it needs neither the model nor YAML, and no containers."""
    code = "import sys, resilience.lab.keeper; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()

    assert "resilience.lab.boot" in loaded
    assert [
        name for name in loaded if name.startswith(("yaml", "resilience.model", "resilience.lab.clab.engine"))
    ] == []


def test_the_library_goes_from_intent_to_configurations(tmp_path: Path) -> None:
    """The way that the docstring shows, without the lab."""
    (tmp_path / "network.yaml").write_text(
        "network: n\nasn: 64500\nprefixes: [198.51.100.0/24]\nrouters: {gw: {}}\n"
        "providers: {alpha: {asn: 64496}}\nuplinks: {fibre: {router: gw, provider: alpha}}\n",
        encoding="utf-8",
    )
    plan, _ = resilience.make_plan(resilience.read_intent(tmp_path))

    assert "frr.conf" in {file.path for file in resilience.render_configs(plan)["gw"]}
    assert resilience.analyse(plan).network == "n"


def test_one_except_catches_every_error_of_the_package(tmp_path: Path) -> None:
    """A folder without an intent is a ResilienceError."""
    with pytest.raises(ResilienceError):
        resilience.read_intent(tmp_path)
