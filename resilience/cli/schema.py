"""`resilience schema`: the JSON Schema of the language for editors, or of a document that commands print."""

from __future__ import annotations

from typing import Annotated

import typer

from resilience.errors import UnknownName

INTENT = "network"
DRILLS = "drills"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(schema)


def schema(
    document: Annotated[
        str,
        typer.Argument(
            metavar="[DOCUMENT]",
            help="network (network.yaml), drills (a drill file), journal, findings, explanation, proof, deployment, "
            "deployment-diff or drift.",
        ),
    ] = INTENT,
) -> None:
    """Print the JSON Schema of network.yaml, which lets editors complete it, or of a result.

    Example: resilience schema > network.schema.json
    """
    typer.echo(schema_text(document), nl=False)


def schema_text(document: str) -> str:
    """Return the JSON Schema of a document by its short name."""
    from resilience.attach.document import drills_schema_text
    from resilience.intent.schema import intent_schema_text
    from resilience.model.document import write_json
    from resilience.report.schemas import DOCUMENTS, make_schema

    if document == INTENT:
        return intent_schema_text()
    if document == DRILLS:
        return drills_schema_text()
    short = {name.partition("/")[2].partition("@")[0]: name for name in DOCUMENTS}
    if document not in short:
        raise UnknownName(f"there is no document {document!r}", hint=f"there are {', '.join((INTENT, DRILLS, *short))}")
    return write_json(make_schema(short[document]))
