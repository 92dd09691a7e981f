"""Deployments, dry runs and drift for people at a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from resilience.model.deployment import (
    DeployedRouter,
    Deployment,
    DeploymentDiff,
    DeploymentState,
    Drift,
    RouterDifference,
    RouterDrift,
    Step,
)
from resilience.report.text import show_safely

_STATES = {
    DeploymentState.DONE: "green",
    DeploymentState.ROLLED_BACK: "bold yellow",
    DeploymentState.FAILED: "bold red",
    DeploymentState.RUNNING: "cyan",
}
_STEPS = {
    Step.CONFIRMED: "green",
    Step.UNCHANGED: "green",
    Step.ROLLED_BACK: "yellow",
    Step.UNKNOWN: "bold red",
}
_EVENTS_SHOWN = 12


def show_diff(diff: DeploymentDiff, console: Console) -> None:
    """Show what a deployment would do to each router, then what stands in its way."""
    for router in diff.routers:
        _show_difference(router, console)
    console.print(Text(summarise_diff(diff)))


def _show_difference(router: RouterDifference, console: Console) -> None:
    words = {True: "nothing to do", False: "would change", None: "could not tell"}[router.same]
    console.print(Text.assemble((show_safely(router.router), "bold"), f", wave {router.wave}: {words}"))
    for file in router.files:
        _show_lines(file.diff, console)
    if router.running:
        console.print(Text("  what the daemon itself says that it would do:"))
        _show_lines(router.running, console)
    for one in router.drift:
        console.print(Text(f"  runs, and is not in its start-up files: {show_safely(one.file)}"))
        _show_lines(one.diff, console)
    for label, names in (("restarts", router.restarts), ("resets the sessions with", router.resets)):
        if names:
            console.print(Text(f"  {label}: {', '.join(map(show_safely, names))}"))
    _show_trouble(router.kind, router.reason, router.hint, console)


def _show_trouble(kind: str, reason: str, hint: str, console: Console) -> None:
    if kind:
        console.print(Text.assemble("  ", (show_safely(kind), "bold red"), f": {_show_text(reason)}"))
    if kind and hint:
        console.print(Text(f"    hint: {_show_text(hint)}"))


def _show_text(text: str) -> str:
    """Keep the lines of a text apart: one of them may be there to be copied."""
    return "\n    ".join(map(show_safely, text.splitlines()))


def _show_lines(diff: str, console: Console) -> None:
    """Show a diff; its colours only repeat what its first column says."""
    for line in diff.splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        console.print(Text(f"  {show_safely(line)}", style))


def summarise_diff(diff: DeploymentDiff) -> str:
    """Write how many routers would change, and how many are in trouble."""
    changing = sum(router.same is False for router in diff.routers)
    troubled = sum(bool(router.kind) for router in diff.routers)
    words = f"{diff.network}: {_count(len(diff.routers))}, {changing} would change"
    return f"{words}; {troubled} cannot be deployed to now" if troubled else words


def show_deployment(deployment: Deployment, console: Console) -> None:
    """Show a deployment on one screen: each router, its last events, and how it stands as the last word."""
    console.print(
        Text(f"deployment {deployment.id} of {show_safely(deployment.network)} by {show_safely(deployment.who)}")
    )
    console.print(Text(f"begun {show_safely(deployment.started)}, {_ended(deployment)}; {_proof(deployment)}"))
    for router in deployment.routers:
        _show_router(router, console)
    if deployment.state is not DeploymentState.DONE:
        _show_events(deployment, console)
    line = Text.assemble(_count_steps(deployment.routers), ": ", (deployment.state.value, _STATES[deployment.state]))
    if deployment.reason:
        line.append(f", {show_safely(deployment.reason)}")
    console.print(line)


def _ended(deployment: Deployment) -> str:
    return f"ended {show_safely(deployment.ended)}" if deployment.ended else "not ended"


def _proof(deployment: Deployment) -> str:
    if deployment.proof is not None:
        return f"drilled before: {show_safely(deployment.proof.verdict)}"
    return f"not drilled before: {show_safely(deployment.without_proof)}" if deployment.without_proof else "not drilled"


def _show_router(router: DeployedRouter, console: Console) -> None:
    line = Text.assemble(
        f"  {show_safely(router.router)}, wave {router.wave}: ",
        (router.step.value, _STEPS.get(router.step, "yellow")),
    )
    if router.drained:
        line.append(", drained")
    if router.reason:
        line.append(f": {show_safely(router.reason)}")
    console.print(line)


def _show_events(deployment: Deployment, console: Console) -> None:
    console.print(Text("last events:"))
    for event in deployment.events[-_EVENTS_SHOWN:]:
        name = f"{show_safely(event.router)}: " if event.router else ""
        console.print(Text(f"  {show_safely(event.at)} {name}{show_safely(event.event)}"))


def _count_steps(routers: Iterable[DeployedRouter]) -> str:
    counts = Counter(router.step for router in routers)
    return ", ".join(f"{counts[step]} {step}" for step in Step if counts[step])


def show_drift(drift: Drift, console: Console) -> None:
    """Show how far each router is from what it should run."""
    for router in drift.routers:
        _show_router_drift(router, console)
    console.print(Text(summarise_drift(drift)))


def summarise_drift(drift: Drift) -> str:
    """Write how many routers are as they should be, and how many are not or did not say."""
    counts = Counter(router.same for router in drift.routers)
    words = f"{counts[True]} as they should be, {counts[False]} not, {counts[None]} unknown"
    return f"{drift.network}: {_count(len(drift.routers))}, {words}"


def _show_router_drift(router: RouterDrift, console: Console) -> None:
    words = {True: "as it should be", False: "differs", None: "could not tell"}[router.same]
    console.print(Text.assemble((show_safely(router.router), "bold"), f": {words}"))
    for one in router.differences:
        console.print(Text(f"  {show_safely(one.file)}, {one.side}:"))
        _show_lines(one.diff, console)
    if router.pending:
        console.print(Text(f"  not settled: {show_safely(router.pending)}"))
    _show_trouble(router.kind, router.reason, router.hint, console)


def _count(number: int) -> str:
    return f"{number} router{'' if number == 1 else 's'}"
