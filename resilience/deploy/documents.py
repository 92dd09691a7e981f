"""What routers answered, as the documents that people and programs read: dry runs and drift."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from resilience.deploy.driver import Change, FileDiff
from resilience.deploy.survey import Surveyed, describe_pending
from resilience.model.deployment import (
    DeploymentDiff,
    Drift,
    DriftedFile,
    FileDifference,
    RouterDifference,
    RouterDrift,
)
from resilience.model.network import Network

START_UP = "start-up"
RUNNING = "running"
_HUNK = re.compile(r"^@@ -(\S+) \+(\S+) @@(.*)$", re.DOTALL)


def write_time(moment: datetime) -> str:
    """Return a moment as every document has it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_diff(
    network: Network, waves: Sequence[Sequence[str]], surveyed: Mapping[str, Surveyed], *, tool: str, at: datetime
) -> DeploymentDiff:
    """Return a dry run as a document, in the order in which the routers would be deployed to."""
    return DeploymentDiff(
        tool=tool,
        network=network.name,
        input_sha256=network.digest,
        at=write_time(at),
        routers=tuple(
            _router_difference(surveyed[name], str(network.routers[name].platform), number)
            for number, wave in enumerate(waves)
            for name in wave
        ),
    )


def _router_difference(surveyed: Surveyed, platform: str, wave: int) -> RouterDifference:
    change = surveyed.change or Change(router=surveyed.router)
    error = surveyed.error
    return RouterDifference(
        router=surveyed.router,
        platform=platform,
        wave=wave,
        same=None if surveyed.change is None else change.empty,
        files=tuple(FileDifference(file=one.file, diff=one.diff) for one in change.files),
        running=change.running,
        restarts=change.restarts,
        resets=change.resets,
        drift=tuple(DriftedFile(file=one.file, side=RUNNING, diff=one.diff) for one in change.drift),
        kind=error.kind.value if error else "",
        reason=error.message if error else "",
        hint=error.hint if error else "",
    )


def make_drift(network: Network, surveyed: Mapping[str, Surveyed], *, tool: str, at: datetime) -> Drift:
    """Return how far each router is from what it should run, as a document."""
    return Drift(
        tool=tool,
        network=network.name,
        input_sha256=network.digest,
        at=write_time(at),
        routers=tuple(map(_router_drift, surveyed.values())),
    )


def _router_drift(surveyed: Surveyed) -> RouterDrift:
    change, error = surveyed.change, surveyed.error
    if change is None:
        return RouterDrift(
            router=surveyed.router,
            same=None,
            kind=error.kind.value if error else "",
            reason=error.message if error else "",
            hint=error.hint if error else "",
        )
    pending = surveyed.hello.pending if surveyed.hello is not None else None
    differences = (*map(_startup_drift, change.files), *map(_running_drift, change.drift))
    return RouterDrift(
        router=surveyed.router,
        same=not differences,
        differences=differences,
        pending=describe_pending(pending) if pending is not None else "",
    )


def _startup_drift(one: FileDiff) -> DriftedFile:
    return DriftedFile(file=one.file, side=START_UP, diff=reverse_diff(one.diff))


def _running_drift(one: FileDiff) -> DriftedFile:
    """What runs is compared with what the router starts with: where that is wrong too, it stands beside this."""
    return DriftedFile(file=one.file, side=RUNNING, diff=one.diff)


def reverse_diff(text: str) -> str:
    """Return a unified diff read backwards: what it adds is taken away, what it takes away is added."""
    return "".join(_reordered([_reverse_line(line) for line in text.splitlines(keepends=True)]))


def _reverse_line(line: str) -> str:
    hunk = _HUNK.match(line)
    if hunk is not None:
        return f"@@ -{hunk[2].removeprefix('+')} +{hunk[1].removeprefix('-')} @@{hunk[3]}"
    if line.startswith(("--- ", "+++ ")):
        return ("+++ " if line.startswith("---") else "--- ") + line[4:]
    return {"+": "-", "-": "+"}.get(line[:1], line[:1]) + line[1:]


def _reordered(lines: list[str]) -> list[str]:
    """Put what is taken away before what is added, in each run of changes, as readers and `patch` expect."""
    ordered: list[str] = []
    added: list[str] = []
    for line in lines:
        if line.startswith("+"):
            added.append(line)
        elif line.startswith("-"):
            ordered.append(line)
        else:
            ordered += [*added, line]
            added = []
    return [*ordered, *added]
