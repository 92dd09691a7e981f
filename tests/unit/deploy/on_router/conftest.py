"""What tests of the program on a router share: a router that exists in a folder only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.on_router import FakeGuard, FakeMachine, Process, guarded, make_machine


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """A router that runs what it starts with."""
    return make_machine(tmp_path)


@pytest.fixture
def guard(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGuard]:
    """Who guards its changes."""
    with guarded(machine, monkeypatch) as one:
        yield one


@pytest.fixture
def process(machine: FakeMachine) -> Process:
    """The program on it."""
    return Process(machine)
