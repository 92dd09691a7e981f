"""The shape of a drill file: what is measured in a lab, what fails, and for how long traffic may be away."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field
from pydantic.json_schema import JsonSchemaValue

from resilience.intent.addresses import AddressOf
from resilience.intent.document import MAXIMUM_WITHIN_MS, Part
from resilience.intent.forms import Form, OneOrMany
from resilience.intent.problems import show
from resilience.intent.scalars import Duration, ReferenceTo, Scalar, need_text, read_integer, refuse
from resilience.intent.schema import schema_of
from resilience.model.network import IPAddress

TITLE: Final = "Drills on a running lab (drills.yaml)"
_NODE: Final = r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}"


@dataclass(frozen=True, slots=True)
class LabNode(Scalar):
    """The name of a node as containerlab allows it."""

    def read(self, value: Any) -> str:
        """Return the name."""
        text = need_text(value, "the name of a node")
        if re.fullmatch(_NODE, text) is None:
            raise refuse("bad-name", f"{show(text)} cannot be the name of a node", "write it as in the topology file")
        return str(text)

    def schema(self) -> JsonSchemaValue:
        """Return the pattern."""
        return {"type": "string", "pattern": f"^{_NODE}$"}


@dataclass(frozen=True, slots=True)
class Family(Scalar):
    """4 or 6."""

    def read(self, value: Any) -> int:
        """Return the number."""
        number = read_integer(value, "a family")
        if number not in {4, 6}:
            raise refuse("bad-number", f"a family is 4 or 6, this is {number}")
        return number

    def schema(self) -> JsonSchemaValue:
        """Return both."""
        return {"enum": [4, 6]}


@dataclass(frozen=True, slots=True)
class Failing(Form):
    """A failure in a word: what fails, or several things at once."""

    def expand(self, value: Any) -> Any:
        """Return the full shape."""
        return {"what": value} if isinstance(value, str | list) else value

    def widen(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Allow the short forms."""
        text = {"type": "string"}
        return {"anyOf": [text, {"type": "array", "items": text}, schema]}


Limit = Annotated[int, Duration("`within`", 0, MAXIMUM_WITHIN_MS)]


class FlowPart(Part):
    """Traffic between two nodes, measured in both directions."""

    source: Annotated[str, LabNode()] = Field(alias="from", description="The node that it comes from.")
    target: Annotated[str, LabNode()] = Field(alias="to", description="The node that it goes to.")
    address: Annotated[IPAddress, AddressOf()] | None = Field(
        default=None,
        description="An address of that node. Default: the one on its loopback interface, else its only one.",
    )
    source_address: Annotated[IPAddress, AddressOf()] | None = Field(
        default=None, description="The address that it comes from. Default: chosen like `address`."
    )
    family: Annotated[int, Family()] | None = Field(
        default=None, description="4 or 6, where addresses are chosen. Default: that of a stated address, else 4."
    )


class FailurePart(Part):
    """What fails, alone or together, and its own limit."""

    what: Annotated[list[Annotated[str, ReferenceTo("what fails")]], OneOrMany()] = Field(
        description="`link r1:eth1-r2:eth1`, `silent link ...`, `node r2`, `silent node r2`, `power r2`, `daemon r2`, "
        "or a list of what fails at once."
    )
    within: Limit | None = Field(default=None, description="The longest outage. Default: that of the file.")


class DrillDocument(Part):
    """Drills on a lab that runs already."""

    WHOLE: ClassVar[str] = "the drill file"

    flows: Annotated[list[FlowPart], OneOrMany()] = Field(description="Traffic that is measured.")
    fail: Annotated[list[Annotated[FailurePart, Failing()]], OneOrMany()] = Field(
        description="What is made to fail, one after the other."
    )
    within: Limit | None = Field(
        default=None, description="The longest outage; 0s means no packet lost. Without it only recovery counts."
    )


def drills_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a drill file."""
    return schema_of(DrillDocument, TITLE)


def drills_schema_text() -> str:
    """Return the JSON Schema as it lies in the repository."""
    return json.dumps(drills_schema(), indent=2, ensure_ascii=False) + "\n"
