"""One Docker for all tests of this folder, and what they look at to see that nothing was left behind."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine, running_engine

LIMIT_S = 60


@pytest.fixture(scope="session")
def shared_engine() -> Iterator[Engine]:
    """A Docker with the image of routers in it, for the whole run."""
    with running_engine() as engine:
        yield engine


@pytest.fixture
def engine(shared_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The Docker that containerlab, and whatever a test runs, finds in its environment."""
    for name, value in shared_engine.variables.items():
        monkeypatch.setenv(name, value)
    return shared_engine


@dataclass(frozen=True, slots=True)
class ContainerLab:
    """A lab that `containerlab deploy` has started, with containers that are called as its nodes."""

    engine: Engine
    topology: Path

    def run(self, node: str, *argv: str) -> str:
        """Run a program in a node and return what it printed, whether it succeeded or not."""
        done = self.engine.run("docker", "exec", node, *argv, check=False)
        return done.stdout + done.stderr

    def state(self, node: str) -> str:
        """Return how far a node says that it has got."""
        return self.run(node, "cat", "/run/netresilience/state").strip()

    def ask(self, node: str, command: str) -> Any:
        """Return FRR's answer to a command, as data."""
        return json.loads(self.run(node, "vtysh", "-c", f"{command} json") or "{}")

    def destroy(self) -> None:
        """Take the lab down, as its users do."""
        self.engine.run("containerlab", "destroy", "-t", str(self.topology), "--cleanup")


@pytest.fixture
def three(engine: Engine, tmp_path: Path) -> Iterator[ContainerLab]:
    """Deploy the lab frr -- bird -- user."""
    folder = tmp_path / "three"
    shutil.copytree(Path(__file__).parent / "three", folder)
    lab = ContainerLab(engine, folder / "three.clab.yml")
    try:
        engine.run("containerlab", "deploy", "-t", str(lab.topology))
        yield lab
    finally:
        lab.destroy()


def wait_until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    """Wait until something holds; fail with `what` there was instead when it does not come to that."""
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, f"still: {what()}"
        time.sleep(0.1)
