"""`resilience drain` and `undrain` on a lab that is up: traffic leaves, and comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

NETWORK = """
network: two-doors
asn: 64500
prefixes: [198.51.100.0/24]
routers:
  gw: {platform: bird}
providers:
  alpha: {asn: 64496, honours: [gshut]}
  beta: {asn: 64497, honours: [gshut]}
uplinks:
  fibre: {router: gw, provider: alpha, rank: 1}
  radio: {router: gw, provider: beta, rank: 2}
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command, in a world of labs of its own, with one lab up."""
    folder = tmp_path_factory.mktemp("two-doors")
    (folder / "network.yaml").write_text(NETWORK, encoding="utf-8")
    run = Command(tmp_path_factory.mktemp("run"))
    run("lab", "up", str(folder))
    try:
        yield run
    finally:
        run("lab", "down", "two-doors")


class Command:
    """Calls of `resilience` that all see the same labs."""

    def __init__(self, run_folder: Path) -> None:
        self._environment = {**os.environ, "RESILIENCE_RUN": str(run_folder)}

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run a command that ends with `code`, and return what it says."""
        call = [sys.executable, "-m", "resilience", *words]
        done = subprocess.run(call, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + (done.stderr if code else "")

    def document(self, *words: str) -> Any:
        """Run a command and return the document that it prints."""
        return json.loads(self(*words, "--json"))

    def way_out(self) -> str:
        """Return through which interface the gateway sends to the Internet."""
        routes = self("lab", "exec", "two-doors", "gw", "--", "ip", "-j", "-4", "route")
        ways = {route["dev"] for route in json.loads(routes) if route.get("protocol") == "bird" and "gateway" in route}
        (way,) = ways - {"us-gw"}
        return str(way)


def test_draining_moves_traffic_away_and_undraining_brings_it_back(command: Command) -> None:
    """Only the router that changes is reloaded, and the lab remembers what is drained."""
    assert command.way_out() == "up-fibre"

    drained = command.document("drain", "two-doors", "fibre")
    assert drained == {"drained": ["uplink fibre"], "reloaded": ["gw"], "note": ""}
    assert command.way_out() == "up-radio"

    back = command.document("undrain", "two-doors")
    assert back == {"drained": [], "reloaded": ["gw"], "note": ""}
    assert command.way_out() == "up-fibre"


def test_counting_leaves_no_table_behind(command: Command) -> None:
    """The router's firewall is as it was."""
    before = command("lab", "exec", "two-doors", "gw", "--", "nft", "list", "tables")
    command("drain", "two-doors", "uplink radio")
    command("undrain", "two-doors", "uplink radio")

    assert command("lab", "exec", "two-doors", "gw", "--", "nft", "list", "tables") == before


def test_an_element_that_does_not_exist_is_named(command: Command) -> None:
    """Nothing is loaded."""
    assert "nothing in this network is called copper" in command("drain", "two-doors", "copper", code=2)


def test_a_lab_that_is_not_up_cannot_be_drained(command: Command) -> None:
    """And how to start one."""
    command("drain", "no-such-lab", "fibre", code=2)
