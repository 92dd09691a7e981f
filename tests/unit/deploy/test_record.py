"""Records of deployments on disk: whole after every crash, readable elsewhere, and clear about what is wrong with one.

`GOLDEN_UPDATE=1 pytest tests/unit/deploy/test_record.py` writes the messages anew; read the difference first.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.deploy.reading import Misshapen, read_value
from resilience.deploy.record import Records, make_id
from resilience.errors import ResilienceError, UnknownName
from resilience.model.deployment import (
    DeployedRouter,
    Deployment,
    DeploymentEvent,
    DeploymentState,
    Proof,
    Step,
)
from resilience.model.document import to_jsonable, write_json

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "deploy"
RECORD = "20260102-030405-a1b2c3"
UPDATE = os.environ.get("GOLDEN_UPDATE") == "1"


def a_deployment() -> Deployment:
    """Return a deployment with something in every field."""
    return Deployment(
        id=RECORD,
        tool="0.1.0",
        network="test",
        input_sha256="0" * 64,
        who="anna@noc",
        started="2026-01-02T03:04:05Z",
        deadline_s=60,
        proof=Proof(journal_sha256="1" * 64, input_sha256="0" * 64, verdict="pass"),
        state=DeploymentState.RUNNING,
        routers=(
            DeployedRouter(
                router="r1", platform="frr", wave=1, step=Step.APPLYING, files_sha256="2" * 64, resets=("192.0.2.1",)
            ),
        ),
        events=(DeploymentEvent(at="2026-01-02T03:04:06Z", router="r1", event="staging"),),
    )


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """On another machine too: there is nothing in it but JSON."""
    Records(tmp_path).write(a_deployment())

    assert Records(tmp_path).read(RECORD) == a_deployment()


def test_a_reader_never_meets_half_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in the middle of writing leaves the former one, and nothing beside it."""
    records = Records(tmp_path)
    records.write(a_deployment())

    def crash(_handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("resilience.deploy.record.os.fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        records.write(replace(a_deployment(), state=DeploymentState.DONE))

    assert records.read(RECORD).state is DeploymentState.RUNNING
    assert [path.name for path in tmp_path.iterdir()] == [f"{RECORD}.json"]


def test_a_record_reaches_the_disk_before_writing_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and the folder that names it."""
    synced: list[int] = []
    monkeypatch.setattr("resilience.deploy.record.os.fsync", synced.append)

    Records(tmp_path).write(a_deployment())

    assert len(synced) == 2


def test_ids_sort_by_time_and_differ_within_a_second() -> None:
    """Two engineers who begin at once get two records."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    ids = {make_id(moment) for _number in range(50)}

    assert len(ids) == 50
    assert all(one.startswith("20260102-030405-") for one in ids)
    assert max(ids) < make_id(datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC))


def test_the_newest_record_is_the_one_that_began_last(tmp_path: Path) -> None:
    """Journals of drills beside them are no records."""
    records = Records(tmp_path)
    records.write(a_deployment())
    records.write(replace(a_deployment(), id="20260103-000000-000000"))
    records.keep("20260103-000000-000000", "drill", b"{}")

    assert records.newest() == "20260103-000000-000000"


def test_no_record_at_all_is_said(tmp_path: Path) -> None:
    """Also where the folder does not exist yet."""
    with pytest.raises(UnknownName, match="no deployment was ever recorded"):
        Records(tmp_path / "none").newest()


@pytest.mark.parametrize("name", ["../../etc/passwd", "x", "", "20260102-030405-A1B2C3", "20260102-030405-a1b2c3\n"])
def test_an_id_never_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    """It comes from the command line."""
    with pytest.raises(UnknownName, match="is no id of a deployment"):
        Records(tmp_path).read(name)


def _golden_cases() -> dict[str, bytes]:
    """Return what stands where a record should."""
    good = to_jsonable(a_deployment())
    assert isinstance(good, dict)
    return {
        "record-empty": b"",
        "record-cut-off": write_json(a_deployment()).encode()[:200],
        "record-foreign": b'{"schema": "resilience/journal@1"}',
        "record-list": b"[]",
        "record-other-id": json.dumps({**good, "id": "20250101-000000-000000"}).encode(),
        "record-unknown-step": json.dumps(
            {**good, "routers": [{**good["routers"][0], "step": "halfway"}]}  # type: ignore[index,dict-item]
        ).encode(),
        "record-missing-key": json.dumps({key: value for key, value in good.items() if key != "who"}).encode(),
        "record-wrong-type": json.dumps({**good, "deadline_s": "60"}).encode(),
        "record-binary": bytes(range(256)),
    }


@pytest.mark.parametrize("case", sorted(_golden_cases()))
def test_what_is_wrong_with_a_record_is_said_in_one_message(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its path, the place that is wrong, and what to do."""
    monkeypatch.chdir(tmp_path)
    Path(f"{RECORD}.json").write_bytes(_golden_cases()[case])

    with pytest.raises(ResilienceError) as caught:
        Records(Path()).read(RECORD)

    said = f"{caught.value}\n{caught.value.hint}\n"
    expected = GOLDEN / f"{case}.txt"
    if UPDATE:
        expected.parent.mkdir(parents=True, exist_ok=True)
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_no_document_crashes_the_reader(value: object) -> None:
    """It is read or refused."""
    with pytest.raises(Misshapen):
        read_value(Deployment, value)


def test_true_is_no_number() -> None:
    """Python would take it for 1."""
    good = to_jsonable(a_deployment())
    assert isinstance(good, dict)

    with pytest.raises(Misshapen, match="deadline_s: a whole number should stand here"):
        read_value(Deployment, {**good, "deadline_s": True})
