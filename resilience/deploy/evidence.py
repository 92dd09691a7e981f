"""The journal of a drill as the proof that comes before a deployment: of this intent, and passed."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from resilience.errors import UsageError
from resilience.model.deployment import Proof
from resilience.model.journal import JOURNAL_SCHEMA, Verdict

_MOST_BYTES = 256 * 2**20
_HINT = "drill again: `resilience drill NET --json > journal.json`"


def read_proof(path: Path, input_sha256: str) -> Proof:
    """Return what a journal proves of the intent with this digest.

    Raises:
        UsageError: no journal, a damaged one, of another intent, or one in which a promise was broken.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", hint=_HINT) from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path}: longer than any journal", hint=_HINT)
    return judge_journal(data, input_sha256, str(path))


def judge_journal(data: bytes, input_sha256: str, name: str) -> Proof:
    """Return what the bytes of a journal prove; `name` stands in messages."""
    try:
        journal = json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(f"{name}: not a journal: no JSON", hint=_HINT) from None
    schema = journal.get("schema") if isinstance(journal, dict) else None
    if schema != JOURNAL_SCHEMA:
        raise UsageError(f"{name}: not the journal of a drill: its schema is {schema!r}", hint=_HINT)
    drilled, verdict = journal.get("input_sha256"), journal.get("verdict")
    if drilled != input_sha256:
        raise UsageError(f"{name}: the journal of another intent: network.yaml has changed since", hint=_HINT)
    if verdict != Verdict.PASS:
        raise UsageError(
            f"{name}: this drill proves nothing: its verdict is {verdict!r}",
            hint="mend what failed and drill again, or deploy with --without-proof REASON",
        )
    return Proof(journal_sha256=sha256(data).hexdigest(), input_sha256=input_sha256, verdict=str(verdict))
