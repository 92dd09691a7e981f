"""`resilience drill`: prove the objectives on a lab of real daemons."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from resilience.cli.common import (
    BackendOption,
    ImageOption,
    JsonOption,
    Loaded,
    MarkdownOption,
    NetworkArgument,
    load,
    say,
)
from resilience.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from resilience.drill.derive import Derived, Run
    from resilience.model.journal import Control, DrillResult, Journal

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...",
        help="Only these: a failure, an element, `keep WHAT`, or a whole objective as --list shows it.",
        show_default=False,
    ),
]
ListOption = Annotated[bool, typer.Option("--list", help="List the drills and end.")]
RepeatOption = Annotated[int, typer.Option("--repeat", min=1, max=1000, help="Try each failure so many times.")]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML too.", show_default=False)
]


LabOption = Annotated[
    Path | None,
    typer.Option(
        "--lab",
        metavar="FILE",
        help="Drill the running lab of this topology file of containerlab instead; NET is then a drill file.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("drill")(drill)


def drill(  # noqa: PLR0913 - a command's options
    net: NetworkArgument,
    names: NamesArgument = None,
    show_list: ListOption = False,
    repeat: RepeatOption = 1,
    junit: JunitOption = None,
    backend: BackendOption = "netns",
    image: ImageOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    as_markdown: MarkdownOption = False,
) -> None:
    """Prove the objectives: break a lab of real daemons, measure the outage, give a verdict.

    Exit code 0: every promise held. 4: one was broken. 3: could not tell.

    With --lab: faults and flows of a drill file, on a lab of containerlab that runs already, whoever wrote it.

    Example: resilience drill inventories/dual-homed "uplink fibre"
    """
    from resilience.drill.run import derive

    if lab is not None:
        _refuse_beside_lab(backend, image)
        journal = _attach(lab, net, names or (), repeat, only_list=show_list, as_json=as_json)
    else:
        loaded = load(net)
        derived = derive(loaded.plan, names or ())
        if show_list:
            _show_list(derived, as_json=as_json)
        journal = None if show_list else _run(loaded, derived, backend, image, repeat)
    if journal is None:
        return
    if junit is not None:
        _write_junit(journal, junit)
    _show(journal, as_json=as_json, as_markdown=as_markdown)
    raise typer.Exit(_exit_code(journal))


def run_drills(loaded: Loaded) -> Journal:
    """Drill every objective of a network once, in a lab of this machine's own daemons; progress goes to stderr."""
    from resilience.drill.run import derive

    return _run(loaded, derive(loaded.plan, ()), "netns", None, 1)


def _run(loaded: Loaded, derived: Derived, backend: str, image: str | None, repeat: int) -> Journal:
    from resilience.drill.drain import Drain
    from resilience.drill.run import Drills, Settings
    from resilience.lab import open_lab
    from resilience.model.configs import Configs
    from resilience.model.plan import Plan
    from resilience.plan import make_plan
    from resilience.render import render_configs

    def replan(elements: tuple[str, ...]) -> tuple[Plan, Configs]:
        plan, _numbers = make_plan(loaded.network, loaded.numbers, draining=elements)
        return plan, render_configs(plan)

    configs = render_configs(loaded.plan)
    with _progress() as progress:
        started = time.monotonic()
        with open_lab(loaded.plan, configs, backend=backend, image=image, progress=progress.lab) as lab:
            settings = Settings(repeat=repeat, ready_s=time.monotonic() - started)
            progress.ready(len(loaded.plan.nodes), settings.ready_s)
            drain = Drain(lab, loaded.plan, configs, replan)
            return Drills(lab, loaded.plan, drain, progress, settings).run(derived)


def _refuse_beside_lab(backend: str, image: str | None) -> None:
    if backend != "netns" or image is not None:
        raise UsageError("--backend and --image say how a lab is started", hint="with --lab it runs already")


def _attach(
    lab_file: Path, drill_file: Path, names: Sequence[str], repeat: int, *, only_list: bool, as_json: bool
) -> Journal | None:
    """Drill a running lab that is somebody else's; None when its drills are only listed."""
    from resilience.attach.session import attached, prepare
    from resilience.drill.derive import derive_drills
    from resilience.drill.drain import Drain
    from resilience.drill.run import Drills, Settings
    from resilience.drill.state import Observer, wait_until_at_rest
    from resilience.model.configs import Configs
    from resilience.model.plan import Plan

    attachment = prepare(lab_file, drill_file, say)
    plan = attachment.plan
    derived = derive_drills(plan, names, lambda _trial: lambda flow: flow)
    if only_list:
        _show_list(derived, as_json=as_json)
        return None

    def replan(_elements: tuple[str, ...]) -> tuple[Plan, Configs]:
        raise UsageError("somebody else's lab cannot be drained", hint="its configurations are not ours")

    with _progress() as progress, attached(attachment) as lab:
        progress.attached(lab.name, len(plan.nodes))
        started = time.monotonic()
        with Observer(lab, plan) as observer:
            wait_until_at_rest(observer, progress.step)
        settings = Settings(repeat=repeat, ready_s=time.monotonic() - started, predicts=False)
        return Drills(lab, plan, Drain(lab, plan, {}, replan), progress, settings).run(derived)


class _Progress:
    """Tells on stderr how it goes: what lasts on a line of its own, what passes on one that is written over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("starting the lab") if console.is_terminal else None

    def __enter__(self) -> None:
        if self._status is not None:
            self._status.start()

    def __exit__(self, *_why: object) -> None:
        if self._status is not None:
            self._status.stop()

    def lab(self, step: str, done: int, total: int) -> None:
        """Say how far the lab is."""
        self.step(f"lab: {step} {done}/{total}" if total else f"lab: {step}")

    def ready(self, nodes: int, ready_s: float) -> None:
        """Say that the lab is up."""
        self._console.print(f"lab of {nodes} nodes up and converged after {ready_s:.1f} s")

    def attached(self, name: str, nodes: int) -> None:
        """Say which lab was found."""
        self._console.print(f"lab {name} runs: {nodes} nodes, none of them started by us")

    def control(self, control: Control) -> None:
        """Say what the run without a fault showed."""
        self._console.print(f"control run without a fault, {len(control.flows)} flows: {control.verdict}")
        for flow in control.flows:
            if flow.verdict != control.verdict.PASS:
                self._console.print(f"  {flow.flow}: {flow.reason}")

    def begin(self, run: Run, number: int, total: int) -> None:
        """Say what is about to fail."""
        self.step(f"drill {number} of {total}: {run.failure.name}")

    def step(self, text: str) -> None:
        """Say what happens right now."""
        if self._status is not None:
            self._status.update(text)

    def end(self, result: DrillResult) -> None:
        """Show a drill with its verdict."""
        from resilience.report.terminal import show_drill

        show_drill(result, self._console)


@contextmanager
def _progress() -> Iterator[_Progress]:
    from resilience.report.terminal import make_console

    progress = _Progress(make_console(sys.stderr))
    with progress:
        yield progress


def _show(journal: Journal, *, as_json: bool, as_markdown: bool) -> None:
    from resilience.model.document import write_json
    from resilience.report.markdown import write_journal
    from resilience.report.terminal import make_console, show_journal, show_summary

    if as_json:
        sys.stdout.write(write_json(journal))
        return
    if as_markdown:
        sys.stdout.write(write_journal(journal))
        return
    console = make_console()
    seen_already = sys.stdout.isatty() and sys.stderr.isatty()
    (show_summary if seen_already else show_journal)(journal, console)
    for line in _repetitions(journal):
        console.print(line)


def _repetitions(journal: Journal) -> Iterator[str]:
    """Yield the median and the worst outage of each drill that was tried several times."""
    outages: dict[tuple[str, str], list[float]] = {}
    for result in journal.drills:
        worst = max((flow.outage_ms for flow in result.flows), default=0.0)
        outages.setdefault((result.name, result.objective), []).append(worst)
    for (name, objective), values in outages.items():
        if len(values) > 1:
            figures = f"median {median(values):.1f} ms, worst {max(values):.1f} ms"
            yield f"{name} ({objective}): {len(values)} times, {figures}"


def _show_list(derived: Derived, *, as_json: bool) -> None:
    rows = [
        {
            "name": one.failure.name,
            "objective": one.objective.name,
            "hypothesis": one.hypothesis,
            "flows": len(one.flows),
            "left_out": len(one.trial.left_out),
        }
        for run in derived.runs
        for one in run.drills
    ]
    if as_json:
        typer.echo(json.dumps({"drills": rows, "skipped": list(derived.skipped)}, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['name']}: {row['hypothesis']} ({row['flows']} flows)")
    for reason in derived.skipped:
        typer.echo(f"skipped: {reason}")


def _write_junit(journal: Journal, path: Path) -> None:
    from resilience.report.junit import write_junit

    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(write_junit(journal), encoding="utf-8")
    temporary.replace(path)
    say(f"written: {path}")


def _exit_code(journal: Journal) -> int:
    from resilience.model.journal import Verdict

    return {
        Verdict.PASS: ExitCode.HOLDS,
        Verdict.FAIL: ExitCode.FAILED,
        Verdict.UNKNOWN: ExitCode.UNKNOWN,
    }[journal.verdict]
