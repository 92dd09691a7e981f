"""The tables of `resilience show`, on the examples."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from resilience.cli.app import run
from resilience.cli.show import What
from resilience.errors import ExitCode
from resilience.intent import read_intent
from resilience.model.plan import Plan
from resilience.plan import make_plan
from resilience.report.tables import TABLES, count_parts, make_table, write_csv


@pytest.fixture(scope="module")
def small(checkout: Path) -> Plan:
    """The ten-line business."""
    return make_plan(read_intent(checkout / "inventories/dual-homed"))[0]


@pytest.fixture(scope="module")
def large(checkout: Path) -> Plan:
    """A provider with an exchange, customers and services."""
    return make_plan(read_intent(checkout / "inventories/bamako-isp"))[0]


def column(plan: Plan, what: str, name: str) -> list[object]:
    """Return one column of a table."""
    table = make_table(plan, what)
    return [row[table.columns.index(name)] for row in table.rows]


@pytest.mark.parametrize("what", TABLES)
def test_every_table_has_a_cell_for_each_column(large: Plan, what: str) -> None:
    """Rows fit their headings, and there are rows."""
    table = make_table(large, what)

    assert table.rows
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_words_of_the_command_are_the_tables() -> None:
    """None is missing, none leads nowhere."""
    assert (*TABLES, What.HOSTS) == tuple(What)


def test_addresses_are_our_own_unless_the_outside_is_asked_for(small: Plan) -> None:
    """An engineer first wants to see their own routers."""
    assert set(column(small, "addresses", "node")) == {"gw"}
    assert len(make_table(small, "addresses", outside=True).rows) > len(make_table(small, "addresses").rows)


def test_every_session_stands_once(small: Plan) -> None:
    """Two uplinks with two families each."""
    assert sorted(map(str, column(small, "sessions", "session"))) == [
        "fibre-ipv4",
        "fibre-ipv6",
        "radio-ipv4",
        "radio-ipv6",
    ]


def test_every_policy_ends_in_the_rejection_that_nobody_writes(small: Plan) -> None:
    """RFC 8212: what no term accepts does not pass."""
    table = make_table(small, "policy")
    last = {(row[0], row[1]): row[7:9] for row in table.rows}

    assert set(last.values()) == {("", "reject")}


def test_every_cable_of_ours_has_two_ends(large: Plan) -> None:
    """Both ends with their interfaces, as a technician needs them."""
    table = make_table(large, "cabling")

    assert all(all(row[1:5]) for row in table.rows)
    assert "link-bko1-bko2" in column(large, "cabling", "cable")


def test_elements_are_named_as_faults_are(large: Plan) -> None:
    """`lab fail` takes these names."""
    assert {"uplink dakar", "exchange mlix", "provider senegal-carrier"} <= set(column(large, "elements", "element"))


def test_flows_stand_under_their_objective_with_their_limit(small: Plan) -> None:
    """Three destinations in two families for the only site."""
    assert len(column(small, "flows", "flow")) == 6
    assert set(column(small, "flows", "within")) == {"3.0 s"}


def test_the_summary_counts_what_the_plan_holds(small: Plan) -> None:
    """The first look."""
    counted = {row[0]: row[1] for row in count_parts(small).rows}

    assert counted["own routers"] == 1
    assert counted["BGP sessions"] == len(small.sessions)


def test_csv_reads_back(large: Plan) -> None:
    """Commas in cells do not shift columns."""
    rows = list(csv.reader(io.StringIO(write_csv(make_table(large, "policy")))))

    assert len({len(row) for row in rows}) == 1


def test_json_without_a_table_is_the_whole_plan(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever builds on the plan gets all of it."""
    assert run(["show", str(checkout / "inventories/dual-homed"), "--json"]) == ExitCode.HOLDS

    assert {"network", "nodes", "segments", "sessions", "elements"} <= json.loads(capsys.readouterr().out).keys()


def test_csv_and_json_at_once_is_a_usage_error(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One result, one form."""
    assert run(["show", str(checkout / "inventories/dual-homed"), "flows", "--csv", "--json"]) == ExitCode.USAGE
    assert "exclude each other" in capsys.readouterr().err


def test_a_folder_without_a_network_is_one_clear_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, exit code 2."""
    assert run(["show", str(tmp_path)]) == ExitCode.USAGE
    assert "Traceback" not in capsys.readouterr().err
