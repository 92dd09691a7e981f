"""The JSON Schemas of journals and findings."""

from __future__ import annotations

import json

import jsonschema
import pytest

from resilience.model.document import write_json
from resilience.model.findings import Findings
from resilience.model.journal import FlowResult, Journal
from resilience.report.schemas import DOCUMENTS, describe, make_schema


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_schema_is_one(name: str) -> None:
    """It holds against JSON Schema's own rules."""
    jsonschema.Draft202012Validator.check_schema(make_schema(name))  # type: ignore[arg-type]


def test_a_journal_as_written_is_valid(journal: Journal) -> None:
    """What `--json` prints is what the schema promises."""
    jsonschema.validate(json.loads(write_json(journal)), make_schema("resilience/journal@1"))  # type: ignore[arg-type]


def test_findings_as_written_are_valid(findings: Findings) -> None:
    """Positions are text, severities words."""
    jsonschema.validate(json.loads(write_json(findings)), make_schema("resilience/findings@1"))  # type: ignore[arg-type]


def test_a_document_with_another_verdict_is_refused(journal: Journal) -> None:
    """The schema can say no."""
    document = json.loads(write_json(journal))
    document["verdict"] = "perhaps"

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, make_schema("resilience/journal@1"))  # type: ignore[arg-type]


def test_keys_are_those_of_the_document_not_of_the_code() -> None:
    """A flow's ends are `from` and `to`, and its second stream `return`."""
    keys = [key.name for key in describe(FlowResult)]

    assert {"from", "to", "return"} <= set(keys)
    assert not {"source", "target", "back"} & set(keys)


def test_meanings_are_the_docstrings_beside_the_fields() -> None:
    """What the model says of a field is what readers of the schema see."""
    meanings = {key.name: key.meaning for key in describe(FlowResult)}

    assert meanings["outage_ms"] == "The worse direction."
