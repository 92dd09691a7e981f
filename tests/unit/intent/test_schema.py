"""The JSON Schema that editors complete from is the language that is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from resilience.cli.app import app
from resilience.cli.schema import schema_text
from resilience.errors import UnknownName
from resilience.intent import intent_schema, intent_schema_text
from resilience.intent.document import Document, Part
from resilience.intent.shape import keys_of

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "schema" / "network.schema.json"
EXAMPLES = sorted((ROOT / "inventories").glob("*/network.yaml"))
HERE = Path(__file__).parent


def load(file: Path) -> Any:
    """Read a file as an editor does."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def test_the_schema_in_the_repository_is_the_one_of_the_types() -> None:
    """`resilience schema > schema/network.schema.json` mends it."""
    assert SCHEMA.read_text(encoding="utf-8") == intent_schema_text()


def test_the_schema_is_valid_draft_2020_12() -> None:
    """Editors refuse a schema that is not."""
    schema = intent_schema()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("file", [*EXAMPLES, HERE / "language.yaml", HERE / "stated.yaml"], ids=lambda f: f.parent.name)
def test_what_is_read_is_valid_for_editors_too(file: Path) -> None:
    """Nothing that the reader takes is underlined."""
    jsonschema.validate(load(file), intent_schema(), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "wrong",
    [
        {"routers": {"gw": {"platfrom": "frr"}}},
        {"routers": {"gw": {"platform": "junos"}}},
        {"routers": {"Gateway One": {}}},
        {"uplinks": {"north": {"provider": "alpha"}}},
        {"uplinks": {"north": {"router": "gw", "provider": "alpha", "rank": 0}}},
        {"uplinks": {"north": {"router": "gw", "provider": "alpha", "hold": "9"}}},
        {"uplinks": {"north": {"router": "gw", "provider": "alpha", "password": "hunter2"}}},
        {"links": [{"between": ["gw"]}]},
        {"objectives": [{"keep": "internet", "for": "customers"}]},
    ],
    ids=str,
)
def test_editors_see_ordinary_mistakes(wrong: dict[str, Any]) -> None:
    """A wrong key, word, name, number, a missing key, a literal secret."""
    valid = {"network": "small", "asn": 64500, "prefixes": ["198.51.100.0/24"], "routers": {"gw": None}}
    validator = jsonschema.Draft202012Validator(intent_schema())

    assert validator.is_valid(valid)
    assert not validator.is_valid({**valid, **wrong})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.parent.name)
def test_every_example_names_the_schema_in_its_first_line(example: Path) -> None:
    """Editors complete as soon as the file is open."""
    first = example.read_text(encoding="utf-8").splitlines()[0]
    _, equals, target = first.partition("$schema=")

    assert first.startswith("# yaml-language-server:")
    assert equals
    assert (example.parent / target).resolve() == SCHEMA


def parts(part: type[Part]) -> list[type[Part]]:
    """Return every part of the language."""
    return [part, *(below for one in part.__subclasses__() for below in parts(one))]


@pytest.mark.parametrize("part", parts(Part)[1:], ids=lambda part: part.__name__)
def test_every_key_says_what_it_means(part: type[Part]) -> None:
    """The reference and the editors show descriptions; a key without one is a riddle."""
    assert part.__doc__
    for field in part.model_fields.values():
        assert field.description, field


def test_the_schema_has_the_keys_of_the_types() -> None:
    """Also at the top, where nothing may be added."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

    assert list(schema["properties"]) == keys_of(Document)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("document", ["network", "journal", "findings", "deployment", "drift"])
def test_the_command_prints_the_schemas_that_lie_in_the_repository(document: str) -> None:
    """`resilience schema` prints the language's, and those of results by name."""
    printed = CliRunner().invoke(app, ["schema", document])

    assert printed.exit_code == 0
    assert printed.stdout == (SCHEMA.parent / f"{document}.schema.json").read_text(encoding="utf-8")
    assert CliRunner().invoke(app, ["schema"]).stdout == SCHEMA.read_text(encoding="utf-8")


def test_the_command_knows_no_other_document() -> None:
    """It names those that there are."""
    with pytest.raises(UnknownName) as caught:
        schema_text("plan")

    assert "network" in caught.value.hint
