"""A whole drill from the command line, on real daemons: journal, exit codes, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from resilience.model.journal import JOURNAL_SCHEMA
from resilience.report.schemas import make_schema

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

TWO_WAYS_OUT = """
network: two-ways-out
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
routers:
  gw: {platform: bird}
providers:
  alpha: {asn: 64496, hold: 3s, honours: [gshut]}
  beta: {asn: 64497}
uplinks:
  fibre: {router: gw, provider: alpha, rank: 1}
  radio: {router: gw, provider: beta, rank: 2}
services:
  page: {at: gw, address: [198.51.100.80], http: 80}
objectives:
  - {keep: internet, for: customers, during: any-one-failure, within: 3s}
  - {keep: internet, for: customers, during: maintenance, within: 0s}
  - {keep: page, for: internet, during: [uplink fibre], within: 3s}
  - {keep: internet, for: customers, during: any-one-silent-failure, within: 1s}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one BIRD router: it converges in two seconds."""
    path = tmp_path_factory.mktemp("two-ways-out")
    (path / "network.yaml").write_text(TWO_WAYS_OUT, encoding="utf-8")
    return path


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[Path]:
    """Where labs of this test live; empty at the end, or something was left behind."""
    path = tmp_path / "run"
    path.mkdir()
    yield path
    assert list(path.iterdir()) == []


def arguments(*words: str | Path) -> list[str]:
    """Return a call of the command."""
    return [sys.executable, "-m", "resilience", "drill", *map(str, words)]


def environment(run_folder: Path) -> Mapping[str, str]:
    """Return an environment in which labs live in a folder of their own."""
    return {**os.environ, "RESILIENCE_RUN": str(run_folder)}


def drill(run_folder: Path, *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Run drills and return the exit code and the journal."""
    done = subprocess.run(
        arguments(*words, "--json"), env=environment(run_folder), capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 3, 4}, done.stderr
    return done.returncode, json.loads(done.stdout)


def flows_of(journal: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return all flows of the drills of one failure."""
    return [flow for one in journal["drills"] if one["name"] == name for flow in one["flows"]]


def explain(journal: Mapping[str, Any]) -> str:
    """Return what a journal says of each drill, for a failing test's message."""
    return "\n".join(f"{one['name']}: {one['verdict']}: {one['reason']}" for one in journal["drills"])


def test_loss_of_carrier_passes_with_a_journal_of_all_that_was_promised(
    run_folder: Path, folder: Path, tmp_path: Path
) -> None:
    """Hypothesis, prediction, measurement in both directions, timeline, recovery; for CI systems too."""
    junit = tmp_path / "junit.xml"
    code, journal = drill(run_folder, folder, "uplink fibre", "--junit", junit)

    jsonschema.validate(journal, make_schema(JOURNAL_SCHEMA))  # type: ignore[arg-type]
    assert code == 0, explain(journal)
    assert journal["verdict"] == journal["control"]["verdict"] == "pass"
    internet, page = journal["drills"]
    assert [one["objective"].split(" during")[0] for one in (internet, page)] == [
        "keep internet for customers",
        "keep page for internet",
    ]
    assert internet["agrees"]
    assert internet["recovered"]["ok"]
    assert all(flow["forward"]["sent"] > 500 and flow["return"]["sent"] > 500 for flow in internet["flows"])
    assert any(flow["return"]["lost"] for flow in internet["flows"]), "the fault hit nobody: nothing was proven"
    assert any(flow["tcp"] and flow["tcp"]["attempts"] > 20 for flow in page["flows"])
    events = " ".join(event["event"] for event in internet["timeline"])
    assert "lost carrier" in events
    assert "session fibre-ipv4 ended" in events
    suites = ET.parse(junit).getroot()  # noqa: S314 - our own file
    assert len(suites.findall(".//testcase")) == 2


def test_a_silent_failure_without_bfd_fails_and_names_the_hold_time(run_folder: Path, folder: Path) -> None:
    """Exit code 4, predicted and measured agree, and the reason says what to do."""
    code, journal = drill(run_folder, folder, "silent uplink fibre")

    assert code == 4, explain(journal)
    (one,) = journal["drills"]
    assert one["verdict"] == "fail"
    assert one["agrees"]
    assert "hold time" in one["reason"]
    assert "BFD" in one["reason"]
    assert all(flow["outage_ms"] > 1000 for flow in one["flows"])


def test_maintenance_drains_first_and_loses_nothing(run_folder: Path, folder: Path) -> None:
    """Drained, then taken down, on a provider that honours graceful shutdown."""
    code, journal = drill(run_folder, folder, "maintenance uplink fibre")

    assert code == 0, explain(journal)
    (one,) = journal["drills"]
    drained, taken_down = one["faults"]
    assert (drained["kind"], taken_down["kind"]) == ("drain", "carrier")
    assert taken_down["at_ms"] >= 1000
    assert all(flow["forward"]["lost"] == flow["return"]["lost"] == 0 for flow in one["flows"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_drill_leaves_nothing_behind(run_folder: Path, folder: Path, number: signal.Signals) -> None:
    """In the middle of a fault; the lab is gone when the command has ended."""
    process = subprocess.Popen(
        arguments(folder, "silent uplink fibre"),
        env=environment(run_folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process, process.stderr:
        wait_for_line(process.stderr, "control run")
        assert list(run_folder.iterdir())
        process.send_signal(number)
        process.stderr.read()
        assert process.wait(60) == 128 + number


def wait_for_line(lines: Iterator[str], words: str) -> None:
    """Read lines until one holds some words."""
    for line in lines:
        if words in line:
            return
    pytest.fail(f"the command ended without saying {words!r}")


def test_a_name_that_means_nothing_is_an_error_before_any_lab_is_built(run_folder: Path, folder: Path) -> None:
    """Exit code 2 at once, with the nearest name."""
    done = run_command(run_folder, folder, "uplink fiber")

    assert done.returncode == 2
    assert "uplink fibre" in done.stderr


def test_the_list_of_drills_needs_no_lab(run_folder: Path, folder: Path) -> None:
    """Each with its hypothesis, and what nothing could keep with the reason."""
    done = run_command(run_folder, folder, "--list")

    assert done.returncode == 0
    assert "uplink fibre: internet for customers: when uplink fibre fails, traffic is back within 3.0 s" in done.stdout
    assert "skipped: internet for customers when router gw fails" in done.stdout


def run_command(run_folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it said."""
    call: Sequence[str] = arguments(*words)
    return subprocess.run(call, env=environment(run_folder), capture_output=True, text=True, check=False)
