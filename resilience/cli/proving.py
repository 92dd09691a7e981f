"""The proof that comes before a deployment: a journal, a drill now, or a reason why there is none."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from resilience.cli.common import Loaded, say
from resilience.errors import CouldNotTell, ExitCode, UsageError

if TYPE_CHECKING:
    from resilience.deploy.record import Records
    from resilience.model.deployment import Proof

_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofOptions:
    """What the command line says of the proof."""

    journal: Path | None
    drill: bool
    without: str | None


def in_ci() -> bool:
    """Say whether this runs in somebody's CI, where nobody can be asked."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}


def check_options(options: ProofOptions, loaded: Loaded) -> None:
    """Refuse what cannot be a proof before any router is asked.

    Raises:
        UsageError: two proofs at once, none where one is required, or a journal that proves nothing of this intent.
    """
    given = [
        name
        for name, value in (
            ("--proof", options.journal is not None),
            ("--drill", options.drill),
            ("--without-proof", options.without is not None),
        )
        if value
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} cannot be had at once")
    if options.without is not None:
        _check_reason(options.without)
    if options.journal is not None:
        from resilience.deploy.evidence import read_proof

        read_proof(options.journal, loaded.network.digest)
    if not given and not _can_ask():
        raise UsageError(
            "nothing shows that this configuration works, and nobody can be asked here",
            hint="--proof JOURNAL.json of `resilience drill NET --json`, or --drill",
        )


def obtain(options: ProofOptions, loaded: Loaded, records: Records, deployment_id: str) -> tuple[Proof | None, str]:
    """Return the proof, or None and the reason why there is none."""
    if options.journal is not None:
        from resilience.deploy.evidence import read_proof

        return read_proof(options.journal, loaded.network.digest), ""
    if options.without is not None:
        return None, options.without
    if options.drill or typer.confirm("Nothing was drilled. Drill this configuration in a lab first?", err=True):
        return _drill(loaded, records, deployment_id), ""
    reason = typer.prompt("Why is it deployed without a drill? (goes into the record)", err=True)
    _check_reason(reason)
    return None, str(reason)


def _check_reason(reason: str) -> None:
    if in_ci():
        raise UsageError(
            "--without-proof is for people who answer for it, and refused in CI", hint="--drill, or --proof FILE"
        )
    if not reason.strip() or len(reason) > _LONGEST_REASON or not reason.isprintable():
        raise UsageError(f"a reason is one line of text, at most {_LONGEST_REASON} characters")


def _can_ask() -> bool:
    return not in_ci() and sys.stdin.isatty() and sys.stderr.isatty()


def _drill(loaded: Loaded, records: Records, deployment_id: str) -> Proof:
    """Drill every objective of this intent now, and keep the journal beside the record."""
    from resilience.cli.drill import run_drills
    from resilience.deploy.evidence import judge_journal
    from resilience.model.document import write_json
    from resilience.model.journal import Verdict

    journal = run_drills(loaded)
    data = write_json(journal).encode()
    path = records.keep(deployment_id, "drill", data)
    say(f"written: {path}")
    if journal.verdict is Verdict.UNKNOWN:
        raise CouldNotTell("the drill could not tell whether this configuration works: nothing was deployed")
    if journal.verdict is Verdict.FAIL:
        say("the drill broke a promise: nothing was deployed")
        raise typer.Exit(ExitCode.FAILED)
    return judge_journal(data, loaded.network.digest, str(path))
