"""What all tests share: which of them can run here, and how hypothesis behaves."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import hypothesis
import pytest

from tests.support.effort import EVERYTHING
from tests.support.engine import what_is_missing
from tests.support.interruptions import ALL
from tests.support.systemd_machine import NSPAWN, machine_file

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() == "true"
SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/lib/frr"))
CHECKERS = ("vtysh", "bird", "nft")
LAB_PROGRAMS = (*CHECKERS, "ip", "birdc", "zebra", "bgpd", "ospfd", "ospf6d", "bfdd", "staticd")
LOGIN_PROGRAMS = ("ssh", "sshd", "ssh-keygen", "sudo", "ping", "frr-reload.py")
"""What a lab needs whose routers are logged in to, and deployments on it."""
COMPILER = "cc"
"""Makes the library by which a lab sees another time of day."""

CONTAINERS = "containers"
"""The group of tests that share one Docker; containerlab makes cables on the host itself."""
ALONE_ON_THE_HOST = ("test_lab_lifecycle.py",)
"""Tests that look at the host's network, where containerlab must not be at work meanwhile."""

INTERRUPTIONS = "test_interruptions.py"

# No deadline: time never decides a unit test. No database: root must leave no files in the checkout.
hypothesis.settings.register_profile("repository", deadline=None, database=None)
hypothesis.settings.load_profile("repository")


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs under test: a shell's `&` has it ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Where workers share the tests, what shares a lab stays together. Said this early, the workers heed it."""
    if hasattr(item.config, "workerinput"):
        item.add_marker(pytest.mark.xdist_group(_group(item)))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where workers share the tests, what takes longest comes first; within a turn, the random order stays."""
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)


def _group(item: pytest.Item) -> str:
    """Name the tests that one worker must run: those of one file, whose labs are made once for all of them."""
    if item.get_closest_marker("containers") or item.path.name in ALONE_ON_THE_HOST:
        return CONTAINERS
    if "page" in getattr(item, "fixturenames", ()):
        return item.name
    if item.path.name == INTERRUPTIONS:  # a lab for each platform and, where every cell is tried, for each kind
        words = item.name.partition("[")[2].split("-")
        return "-".join((INTERRUPTIONS, *words[: 2 if EVERYTHING else 1]))
    return item.path.relative_to(ROOT).as_posix()


def _turn(item: pytest.Item) -> int:
    """Order the groups: the longest are begun by one worker each, and small ones fill up the end."""
    if _group(item) == CONTAINERS:
        return 0
    if item.path.name in {"test_proof.py", "test_deploying.py", "test_on_systemd.py", INTERRUPTIONS}:
        return 1
    return 2 if item.get_closest_marker("lab") or item.get_closest_marker("wheel") else 3


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many interruptions of deployments were tried, of how many there are."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    tried = {one.nodeid for one in reports if INTERRUPTIONS in one.nodeid and one.when == "call"}
    if tried:
        terminalreporter.write_line(f"interruptions of deployments: {len(tried)} of {ALL} tried")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here with its reason; in CI that is a failure, or nobody would notice."""
    lacking = _lacking(item)
    if lacking and IN_CI:
        pytest.fail(f"CI must run this, and cannot: {lacking}", pytrace=False)
    if lacking:
        pytest.skip(lacking)


def _lacking(item: pytest.Item) -> str:
    """Say what the marks of a test ask for and this machine has not; empty: nothing."""
    if item.get_closest_marker("lab"):
        wanted = (*LAB_PROGRAMS, *LOGIN_PROGRAMS) if "lab_deploy" in item.path.parts else LAB_PROGRAMS
        wanted = (*wanted, COMPILER) if item.path.name == INTERRUPTIONS else wanted
        return "needs root" if os.geteuid() else _missing_programs(wanted)
    if item.get_closest_marker("containers"):
        return what_is_missing()
    if item.get_closest_marker("machine"):
        return "needs root" if os.geteuid() else _missing_machine()
    if item.get_closest_marker("daemons"):
        return _missing_programs(CHECKERS)
    return ""


def _missing_machine() -> str:
    missing = _missing_programs((NSPAWN, "bird", "birdc", "ssh-keygen"))
    return missing or ("" if machine_file().exists() else "needs a machine with systemd: run `make containers`")


def _missing_programs(names: tuple[str, ...]) -> str:
    missing = [name for name in names if shutil.which(name, path=SEARCH) is None]
    return f"needs {', '.join(missing)}" if missing else ""


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder of the checkout: examples, documents and golden files are read from there."""
    return ROOT
