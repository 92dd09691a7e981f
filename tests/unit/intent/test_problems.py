"""Every rule of the language says clearly what is wrong: its messages are golden files.

`GOLDEN_UPDATE=1 pytest tests/unit/intent/test_problems.py` writes them anew; read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resilience.errors import IntentError
from resilience.intent import RULES, Problem, read_intent

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "errors"
CASES = sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())
UPDATE = os.environ.get("GOLDEN_UPDATE") == "1"


def problems_of(case: str, folder: Path) -> tuple[Problem, ...]:
    """Return what is wrong with a case's intent; the file of a case about its size is made here."""
    source = GOLDEN / case / "network.yaml"
    if case == "too-large":
        with (folder / "network.yaml").open("wb") as stream:
            stream.truncate(100_000_000)
    elif source.exists():
        (folder / "network.yaml").write_bytes(source.read_bytes())
    with pytest.raises(IntentError) as caught:
        read_intent("network.yaml")
    return tuple(problem for problem in caught.value.problems if isinstance(problem, Problem))


@pytest.mark.parametrize("case", CASES)
def test_messages_are_what_they_were(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case breaks the rule that it is named after, and its messages are those of the golden file."""
    monkeypatch.chdir(tmp_path)

    problems = problems_of(case, tmp_path)
    said = "\n".join(map(str, problems)) + "\n"
    expected = GOLDEN / case / "expected.txt"
    if UPDATE:
        expected.write_text(said, encoding="utf-8")

    assert said == expected.read_text(encoding="utf-8")
    assert case.partition(".")[0] in {problem.rule for problem in problems}
    assert {problem.rule for problem in problems} <= RULES.keys()


def test_every_rule_has_a_golden_message() -> None:
    """A rule without a case is a rule that nobody has seen work."""
    covered = {case.partition(".")[0] for case in CASES}

    assert RULES.keys() - covered == set()
    assert covered - RULES.keys() == set()
