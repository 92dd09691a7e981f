"""What BIRD says of its times: the clock on the wall may be set, and what it reads stays known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from resilience.deploy.on_router.netresilience_router.bird import Bird
from resilience.deploy.on_router.netresilience_router.files import digest
from resilience.deploy.on_router.netresilience_router.machine import Done, Machine
from resilience.deploy.on_router.netresilience_router.router import Router

FILES = {"bird.conf": "router id 192.0.2.1;\n"}
WALL = datetime(2026, 1, 2, 3, 4, 5, 600_000)  # noqa: DTZ001 - BIRD says no zone


class BirdMachine(Machine):
    """A router whose BIRD says since when it runs, by a clock on the wall that can be set."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.now, self.set_s = 5_000.0, 0.0
        self.started, self.read = 1_000.0, 1_000.0

    def clock(self) -> float:
        """Return the seconds since the start."""
        return self.now

    def say(self, at: float) -> str:
        """Return a moment as BIRD tells it now."""
        return (WALL + timedelta(seconds=at - 5_000 + self.set_s)).isoformat(" ", "milliseconds")

    def run(self, argv: Sequence[str], stdin: str = "", timeout_s: float = 120) -> Done:
        """Answer `birdc show status`."""
        del stdin, timeout_s
        assert list(argv) == ["birdc", "show", "status"]
        text = f"BIRD 2.0.12\nRouter ID is 192.0.2.1\nCurrent server time is {self.say(self.now)}\n"
        text += f"Last reboot on {self.say(self.started)}\nLast reconfiguration on {self.say(self.read)}\n"
        return Done(0, text, "")


@pytest.fixture
def machine(tmp_path: Path) -> BirdMachine:
    """A router with its start-up file."""
    (tmp_path / "etc/bird").mkdir(parents=True)
    (tmp_path / "etc/bird/bird.conf").write_text(FILES["bird.conf"], encoding="utf-8")
    return BirdMachine(tmp_path)


@pytest.mark.parametrize("set_s", [0, 0.001, -0.001, 86_400, -3_600])
def test_a_clock_that_is_set_is_no_change_by_hand(machine: BirdMachine, set_s: float) -> None:
    """Nor is the millisecond by which BIRD reckons its times anew."""
    machine.read = 4_990
    bird = Bird(machine)
    noted = {"files": digest(FILES), **bird.note()}

    machine.now += 60
    machine.set_s = set_s

    assert bird.difference(FILES, machine.root / "staged", noted).text == ""


def test_a_configuration_that_somebody_loads_is_seen(machine: BirdMachine) -> None:
    """Whenever that is; BIRD cannot say what it reads, so the moment has to do."""
    bird = Bird(machine)
    noted = {"files": digest(FILES), **bird.note()}
    machine.read, machine.now = 5_030, 5_060

    assert bird.difference(FILES, bird.folder, noted).text == (
        "-what was loaded for a deployment\n+BIRD read somebody else's configuration 30 s ago"
    )


class OspfMachine(Machine):
    """A router whose BIRD speaks OSPF for both families."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reloaded: list[str] = []

    def run(self, argv: Sequence[str], stdin: str = "", timeout_s: float = 120) -> Done:
        """Answer `birdc show protocols` and `birdc reload in`."""
        del stdin, timeout_s
        if list(argv[:3]) == ["birdc", "reload", "in"]:
            self.reloaded += argv[3:]
            return Done(0, "reloading\n", "")
        assert list(argv) == ["birdc", "show", "protocols"]
        rows = ("Name Proto Table State Since Info", "b_device Device --- up 1", "b_ospf4 OSPF b_igp4 up 1 Running")
        return Done(0, "\n".join(("BIRD 2.0.12 ready.", *rows, "b_ospf6 OSPF b_igp6 up 1 Running\n")), "")


def test_every_ospf_calculates_its_routes_again(tmp_path: Path) -> None:
    """Both families, and nothing else is told anything."""
    machine = OspfMachine(tmp_path)
    Bird(machine).recalculate()

    assert machine.reloaded == ["b_ospf4", "b_ospf6"]


STOCK = "BIRD_RUN_USER=bird\nBIRD_RUN_GROUP=bird\n#BIRD_ARGS=\n"
OURS = "# Read by bird.service.\nBIRD_RUN_USER=bird\nBIRD_RUN_GROUP=bird\nBIRD_ARGS={}\n"


@pytest.mark.parametrize(
    ("before", "after", "anew"),
    [
        (STOCK, OURS.format(""), []),
        (STOCK, OURS.format("-R"), ["bird"]),
        (OURS.format("-R"), OURS.format(""), ["bird"]),
        ('BIRD_ARGS="-R"\n', OURS.format("-R"), []),
    ],
    ids=["the-package's-own", "waits-for-routes", "no-longer", "quoted"],
)
def test_bird_starts_anew_for_other_options_only(tmp_path: Path, before: str, after: str, anew: list[str]) -> None:
    """Not for another comment."""
    assert Bird(BirdMachine(tmp_path)).at_next_start({"envvars": before}, {"envvars": after}) == anew


def test_what_the_service_needs_to_start_is_never_taken_away(tmp_path: Path) -> None:
    """Without `envvars` Debian's bird.service fails at the next boot."""
    machine = BirdMachine(tmp_path)
    (tmp_path / "etc/bird").mkdir(parents=True)
    for name in ("bird.conf", "envvars"):
        (tmp_path / "etc/bird" / name).write_text(STOCK, encoding="utf-8")

    Router(machine).install({})

    assert [path.name for path in (tmp_path / "etc/bird").iterdir()] == ["envvars"]
