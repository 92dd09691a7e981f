"""The wheel alone, in an environment that has nothing else: what people get who install the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import resilience
from resilience.render import router_program

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(checkout)], check=True, capture_output=True
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment with the wheel and what it asks for, and nothing else."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=True)
    subprocess.run([home / "bin/python", "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    return home / "bin"


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command outside the checkout."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [installed / "resilience", *arguments], cwd=folder, env=plain, capture_output=True, text=True, check=False
    )


def test_the_tests_test_what_they_are_said_to() -> None:
    """Where CI tests the built wheel, the package does not come from the checkout."""
    expected = os.environ.get("RESILIENCE_TESTS") == "wheel"

    assert ("site-packages" in resilience.__file__) is expected


def test_the_wheel_holds_templates_schemas_examples_and_types(wheel: Path) -> None:
    """All that commands read is inside, and nothing of the tests."""
    names = zipfile.ZipFile(wheel).namelist()

    assert "resilience/_inventories/dual-homed/network.yaml" in names
    assert "resilience/py.typed" in names
    assert any(name.startswith("resilience/_templates/") and name.endswith(".j2") for name in names)
    assert any(name.startswith("resilience/_schema/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_a_new_network_is_made_checked_and_rendered_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    """`init`, `check`, `show`, `render` outside the checkout."""
    assert run(installed, tmp_path, "init", "mine").returncode == 0
    checked = run(installed, tmp_path, "check", "mine", "--json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["network"] == "dual-homed"
    assert "gw" in run(installed, tmp_path, "show", "mine", "addresses").stdout
    rendered = run(installed, tmp_path, "render", "mine", "-o", "out")
    assert rendered.returncode == 0, rendered.stderr
    assert (tmp_path / "out/gw/frr.conf").is_file()


def test_the_schema_is_printed_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    """Editors of people without a checkout complete too."""
    assert "properties" in json.loads(run(installed, tmp_path, "schema").stdout)


def test_every_example_of_the_checkout_is_in_the_wheel(installed: Path, tmp_path: Path, checkout: Path) -> None:
    """`init --list` names them all."""
    examples = sorted(path.parent.name for path in checkout.glob("inventories/*/network.yaml"))

    assert run(installed, tmp_path, "init", "--list").stdout.split() == examples


def test_a_folder_for_containerlab_is_written_from_the_wheel_alone(
    installed: Path, tmp_path: Path, checkout: Path
) -> None:
    """With the very program that brings nodes up."""
    run(installed, tmp_path, "init", "mine")
    exported = run(installed, tmp_path, "lab", "export", "mine", "-o", "lab")

    assert exported.returncode == 0, exported.stderr
    program = checkout / "simulations/images/netresilience-node"
    assert (tmp_path / "lab/netresilience-node").read_bytes() == program.read_bytes()


def test_the_program_on_routers_is_the_same_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Installing compiles modules beside their source; none of that is in it."""
    done = run(installed, tmp_path, "prepare", "-o", "router")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "router/netresilience-router").read_bytes() == router_program()
