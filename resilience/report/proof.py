"""What `resilience prove` found, for a terminal and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from resilience.model.proof import Cell, Proof, ProofVerdict
from resilience.report.text import escape_markdown, show_safely

_STYLES = {
    ProofVerdict.PASS: "green",
    ProofVerdict.FAIL: "bold red",
    ProofVerdict.UNKNOWN: "bold yellow",
    ProofVerdict.NOT_AVAILABLE: "cyan",
}
_HARMS_SHOWN = 8


def show_cell(cell: Cell, console: Console) -> None:
    """Show one cell on a line; what did not pass with its reason."""
    line = Text.assemble(
        (cell.verdict, _STYLES[cell.verdict]), f" {show_safely(cell.scenario)} on {cell.platform}, {cell.took_s:.1f} s"
    )
    if cell.reason:
        line.append(f": {show_safely(cell.reason)}")
    console.print(line)


def show_evidence(cell: Cell, console: Console) -> None:
    """Show what the attack did without the protection, and the lines that stopped it."""
    for heading, texts in (("without it", cell.seen_without), ("in spite of it", cell.seen_with), ("by", cell.lines)):
        for text in texts[:_HARMS_SHOWN]:
            console.print(Text(f"  {heading:<14}  {show_safely(text)}"))
        if len(texts) > _HARMS_SHOWN:
            console.print(Text(f"  {'':<14}  and {len(texts) - _HARMS_SHOWN} more (--json)"))


def show_proof(proof: Proof, console: Console) -> None:
    """Show the whole run: each cell with its evidence, then the summary."""
    for cell in proof.cells:
        show_cell(cell, console)
        show_evidence(cell, console)
    show_summary(proof, console)


def show_summary(proof: Proof, console: Console) -> None:
    """Show how many cells there are of each verdict, and the verdict as the last word."""
    console.print(Text.assemble(summarise(proof), ": ", (proof.verdict, _STYLES[proof.verdict])))


def summarise(proof: Proof) -> str:
    """Write how many cells there are of each verdict, and how long it took."""
    counts = Counter(cell.verdict for cell in proof.cells)
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ProofVerdict)
    return f"{len(proof.cells)} {'cell' if len(proof.cells) == 1 else 'cells'} in {proof.took_s:.0f} s: {words}"


def write_proof(proof: Proof) -> str:
    """Return a proof as a Markdown document."""
    return "\n".join(_lines(proof)) + "\n"


def _lines(proof: Proof) -> Iterator[str]:
    yield from ("# Protections, attacked", "")
    yield f"Verdict: **{proof.verdict}**. {summarise(proof)}. resilience {escape_markdown(proof.tool_version)}."
    yield from ("", "| scenario | platform | verdict | reason | harm without it |", "| --- | --- | --- | --- | --- |")
    for cell in proof.cells:
        yield _row((cell.scenario, cell.platform, cell.verdict, cell.reason, "; ".join(cell.seen_without)))


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(escape_markdown, cells))} |"
