"""`python -m benchmarks [NAME...] [--json]`: run benchmarks one after the other and print their figures."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.figure import Figure
from resilience.errors import ResilienceError

BENCHMARKS = ("reading", "rendering", "measuring", "cold", "outages", "labs", "containers", "deploying")
"""Modules of this package with `measure()`, the quick ones first."""

_WORDS = {True: "holds", False: "MISSES", None: ""}


def main() -> None:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    figures = []
    for name in arguments.names or BENCHMARKS:
        for figure in _measure(name):
            figures.append(figure)
            if not arguments.json:
                print(_line(figure), flush=True)
    if arguments.json:
        print(json.dumps([{**asdict(figure), "holds": figure.holds} for figure in figures], indent=2))


def _measure(name: str) -> Iterator[Figure]:
    """Yield a benchmark's figures; where it cannot go on, say why: the others are still worth having."""
    sys.stderr.write(f"measuring {name}\n")
    try:
        yield from importlib.import_module(f"benchmarks.{name}").measure()
    except ResilienceError as error:
        sys.stderr.write(f"{name} could not be measured: {error}\n")


def _line(figure: Figure) -> str:
    if figure.at_most is not None:
        target = f"at most {figure.at_most:g} {figure.unit}"
    elif figure.at_least is not None:
        target = f"at least {figure.at_least:g} {figure.unit}"
    else:
        target = ""
    value = f"{figure.value:,.2f} {figure.unit}"
    return f"{figure.what:<66} {value:>12}  {target:<18} {_WORDS[figure.holds]:<6} {figure.note}".rstrip()


if __name__ == "__main__":
    main()
