"""Labs whose routers are logged in to: each comes up once for a file of tests, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.deploy_lab import DEPLOY_BIRD, DEPLOY_FRR, DEPLOY_MIXED, DeployLab, open_deploy_lab


@pytest.fixture(scope="session", autouse=True)
def run_folder() -> Iterator[Path]:
    """Labs of these tests live in a folder of their own, so that other labs are none of their business.

    It is below /run, as labs are unless told otherwise: a router has a /run of its own, which hides its lab's folder.
    """
    with TemporaryDirectory(prefix="netresilience-test-", dir="/run") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESILIENCE_RUN", folder)
        yield Path(folder)


@pytest.fixture(scope="module")
def frr_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployLab]:
    """Three FRR routers to log in to."""
    with open_deploy_lab(DEPLOY_FRR, tmp_path_factory.mktemp("frr")) as lab:
        yield lab


@pytest.fixture(scope="module")
def bird_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployLab]:
    """Three BIRD routers to log in to."""
    with open_deploy_lab(DEPLOY_BIRD, tmp_path_factory.mktemp("bird")) as lab:
        yield lab


@pytest.fixture(scope="module")
def mixed_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployLab]:
    """Routers of both platforms to log in to: r2 runs FRR, the others BIRD."""
    with open_deploy_lab(DEPLOY_MIXED, tmp_path_factory.mktemp("mixed")) as lab:
        yield lab
