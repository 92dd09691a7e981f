"""`resilience deploy`: configurations onto routers, under a dead man's switch."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from resilience.cli.common import JsonOption, NetworkArgument, say
from resilience.cli.proving import ProofOptions, check_options, obtain
from resilience.cli.reaching import (
    InventoryOption,
    OnlyOption,
    Reach,
    WorkersOption,
    exit_code_of,
    parse_seconds,
    prepare,
    reaching,
    who,
)
from resilience.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from resilience.deploy.engine import Deployer, Wares
    from resilience.deploy.record import Records
    from resilience.deploy.survey import Surveyed
    from resilience.model.deployment import Deployment, DeploymentDiff

DEADLINE_S: Final = 60

IdArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]", help="A deployment to resume, ask after or roll back; default: the last.", show_default=False
    ),
]
CommitOption = Annotated[bool, typer.Option("--commit", help="Apply, verify, then confirm or roll back.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with a deployment that stopped half way.")]
StatusOption = Annotated[bool, typer.Option("--status", help="Ask every router of a deployment how it stands.")]
RollbackOption = Annotated[bool, typer.Option("--rollback", help="Take a deployment back.")]
DeadlineOption = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="TIME",
        help=f"After it routers go back, unless confirmed. [default: {DEADLINE_S}s; with --resume, as it was]",
        show_default=False,
    ),
]
DrainWaitOption = Annotated[
    str, typer.Option("--drain-wait", metavar="TIME", help="How long neighbours get to move traffic away.")
]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Deploy over what was changed by hand and never saved.")
]
RecordsOption = Annotated[
    Path | None,
    typer.Option("--records", metavar="DIR", help="Where records lie; default: NET/deployments.", show_default=False),
]
ProofOption = Annotated[
    Path | None,
    typer.Option("--proof", metavar="FILE", help="The journal of a passed drill of this intent.", show_default=False),
]
DrillOption = Annotated[bool, typer.Option("--drill", help="Drill this intent in a lab now, first.")]
WithoutProofOption = Annotated[
    str | None, typer.Option("--without-proof", metavar="REASON", help="Why it is not drilled.", show_default=False)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says of how to deploy."""

    stated_deadline_s: int | None
    drain_wait_s: float
    take_over: bool
    records: Records
    proof: ProofOptions
    as_json: bool

    @property
    def deadline_s(self) -> int:
        """The deadline of a new deployment; one that is taken up keeps its own unless another is stated."""
        return self.stated_deadline_s or DEADLINE_S


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deploy")(deploy)


def deploy(  # noqa: PLR0913 - a command's options
    net: NetworkArgument,
    deployment: IdArgument = None,
    commit: CommitOption = False,
    resume: ResumeOption = False,
    status: StatusOption = False,
    rollback: RollbackOption = False,
    only: OnlyOption = None,
    deadline: DeadlineOption = None,
    drain_wait: DrainWaitOption = "10s",
    take_over: TakeOverOption = False,
    proof: ProofOption = None,
    drill: DrillOption = False,
    without_proof: WithoutProofOption = None,
    inventory: InventoryOption = None,
    records: RecordsOption = None,
    workers: WorkersOption = 20,
    as_json: JsonOption = False,
) -> None:
    """Bring configurations to the routers; a mistake rolls itself back. Without options: a dry run with a diff.

    With --commit every router is asked first, then wave after wave is applied, verified from outside and confirmed. A
    router that hears no confirmation before the deadline restores what it ran, whatever became of us.

    Exit code 0: done. 2: refused before anything was done. 3: a router was not reached. 4: rolled back, or refused.

    Example: resilience deploy inventories/dual-homed --commit --drill
    """
    _refuse_two_modes(deployment, commit=commit, resume=resume, status=status, rollback=rollback)
    proofs = ProofOptions(journal=proof, drill=drill, without=without_proof)
    with reaching(net, inventory, workers) as reach:
        options = Options(
            stated_deadline_s=None if deadline is None else _whole_seconds(deadline),
            drain_wait_s=parse_seconds(drain_wait, "--drain-wait"),
            take_over=take_over,
            records=_open_records(reach, records),
            proof=proofs,
            as_json=as_json,
        )
        if status:
            code = _status(reach, options, deployment)
        elif rollback:
            code = _roll_back(reach, options, deployment)
        elif resume:
            code = _resume(reach, options, deployment)
        else:
            code = _deploy(reach, options, only or (), commit=commit)
    raise typer.Exit(code)


def _refuse_two_modes(deployment: str | None, **modes: bool) -> None:
    chosen = [f"--{name}" for name, wanted in modes.items() if wanted]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} cannot be had at once")
    if deployment is not None and chosen in ([], ["--commit"]):
        raise UsageError(
            f"{deployment!r}: only --resume, --status and --rollback take the id of a deployment",
            hint="to deploy to one router only: --only ROUTER",
        )


def _whole_seconds(text: str) -> int:
    seconds = parse_seconds(text, "--deadline")
    if seconds != int(seconds) or seconds < 1:
        raise UsageError(f"--deadline {text}: whole seconds, at least 1s")
    return int(seconds)


def _open_records(reach: Reach, folder: Path | None) -> Records:
    from resilience.deploy.record import FOLDER, Records

    return Records(folder or reach.loaded.folder / FOLDER)


# ---- deploying -------------------------------------------------------------------------------------------------------


def _deploy(reach: Reach, options: Options, only: Sequence[str], *, commit: bool) -> int:
    from resilience.deploy.orders import choose_routers, plan_order, refuse_new_numbers, refuse_undeployable
    from resilience.deploy.record import make_id
    from resilience.deploy.survey import survey

    if commit:
        check_options(options.proof, reach.loaded)
    names = choose_routers(reach.plan, only, reach.fleet)
    refuse_undeployable(reach.plan, names, reach.fleet)
    refuse_new_numbers(reach.loaded.network, changed=reach.loaded.numbers_changed)
    change = make_id(datetime.now(UTC))
    wares = _make_wares(reach, options, names, change, strict=commit)
    say(f"asking {len(names)} router{'' if len(names) == 1 else 's'}")
    surveyed = survey(reach.fleet, wares.bundles, deadline_s=options.deadline_s, leaving=not commit)
    waves = plan_order(reach.plan, surveyed, workers=reach.workers)
    diff = _make_diff(reach, waves, surveyed)
    code = exit_code_of(router.kind for router in diff.routers)
    if code or not commit:
        _show_diff(diff, as_json=options.as_json)
        return code
    deployment = _begin(reach, options, wares, waves, surveyed, change)
    return _commit(reach, options, wares, deployment, diff)


def _make_wares(reach: Reach, options: Options, names: Sequence[str], change: str, *, strict: bool) -> Wares:
    from resilience.deploy.bundles import Label

    return prepare(reach, names, Label(change=change, who=who(), take_over=options.take_over), strict=strict)


def _make_diff(reach: Reach, waves: Sequence[Sequence[str]], surveyed: dict[str, Surveyed]) -> DeploymentDiff:
    from resilience.deploy.documents import make_diff

    return make_diff(reach.loaded.network, waves, surveyed, tool=version("netresilience"), at=datetime.now(UTC))


def _begin(
    reach: Reach,
    options: Options,
    wares: Wares,
    waves: Sequence[Sequence[str]],
    surveyed: dict[str, Surveyed],
    change: str,
) -> Deployment:
    from resilience.deploy.documents import write_time
    from resilience.deploy.engine import plan_routers
    from resilience.model.deployment import Deployment, DeploymentState

    return Deployment(
        id=change,
        tool=version("netresilience"),
        network=reach.loaded.network.name,
        input_sha256=reach.loaded.network.digest,
        who=who(),
        started=write_time(datetime.now(UTC)),
        deadline_s=options.deadline_s,
        proof=None,
        state=DeploymentState.RUNNING,
        routers=plan_routers(waves, surveyed, wares),
    )


def _commit(reach: Reach, options: Options, wares: Wares, deployment: Deployment, diff: DeploymentDiff) -> int:
    """Deploy what was surveyed, once somebody has shown that it works or said why that is not needed."""
    from resilience.model.deployment import DeploymentState

    if not any(router.wave for router in deployment.routers):
        # Nothing is to be done, so there is nothing to prove and nothing that anybody could resume.
        return _tell_nothing_to_do(replace(deployment, state=DeploymentState.DONE, ended=deployment.started), options)
    _tell_diff(diff)
    proof, reason = obtain(options.proof, reach.loaded, options.records, deployment.id)
    proven = replace(deployment, proof=proof, without_proof=reason)
    with _stoppable() as stopping:
        deployer = _make_deployer(reach, options, stopping.event)
        ended = deployer.deploy(proven, wares, drain_wait_s=options.drain_wait_s)
    return _finish(ended, options, stopping.signal)


def _tell_nothing_to_do(deployment: Deployment, options: Options) -> int:
    """Say so, without the id of a deployment that was never recorded; as JSON it is a deployment like any other."""
    if options.as_json:
        _show_deployment(deployment, options)
    else:
        typer.echo(f"{deployment.network}: nothing to do, every router runs that already")
    return ExitCode.HOLDS


def _resume(reach: Reach, options: Options, chosen: str | None) -> int:
    from resilience.deploy.orders import choose_routers, refuse_new_numbers, refuse_undeployable

    recorded = options.records.read(chosen or options.records.newest())
    names = choose_routers(reach.plan, [router.router for router in recorded.routers], reach.fleet)
    refuse_undeployable(reach.plan, names, reach.fleet)
    refuse_new_numbers(reach.loaded.network, changed=reach.loaded.numbers_changed)
    wares = _make_wares(reach, options, names, recorded.id, strict=True)
    say(f"taking up deployment {recorded.id} of {recorded.who}, begun {recorded.started}")
    with _stoppable() as stopping:
        deployer = _make_deployer(reach, options, stopping.event)
        ended = deployer.resume(
            recorded.id, wares, drain_wait_s=options.drain_wait_s, deadline_s=options.stated_deadline_s
        )
    return _finish(ended, options, stopping.signal)


def _roll_back(reach: Reach, options: Options, chosen: str | None) -> int:
    from resilience.model.deployment import DeploymentState

    recorded = options.records.read(chosen or options.records.newest())
    say(f"rolling back deployment {recorded.id} of {recorded.who}, begun {recorded.started}")
    with _stoppable() as stopping:
        ended = _make_deployer(reach, options, stopping.event).roll_back(recorded.id)
    _show_deployment(ended, options)
    if stopping.signal is not None:
        return 128 + stopping.signal
    return ExitCode.HOLDS if ended.state is DeploymentState.ROLLED_BACK else _failed_code(ended)


def _status(reach: Reach, options: Options, chosen: str | None) -> int:
    from resilience.model.deployment import Step

    told = _make_deployer(reach, options, threading.Event()).status(chosen or options.records.newest())
    _show_deployment(told, options)
    unknown = any(router.step is Step.UNKNOWN for router in told.routers)
    return ExitCode.UNKNOWN if unknown else ExitCode.HOLDS


# ---- shared ----------------------------------------------------------------------------------------------------------


def _make_deployer(reach: Reach, options: Options, stop: threading.Event) -> Deployer:
    from resilience.deploy.engine import Deployer, Watching

    return Deployer(reach.fleet, options.records, Watching(tell=_tell, stop=stop))


def _tell(router: str, text: str) -> None:
    from resilience.report.text import show_safely

    say(f"{datetime.now(UTC):%H:%M:%S} {f'{router}: ' if router else ''}{show_safely(text)}")


@dataclass
class _Stopping:
    """Whether somebody asked to stop, and by which signal."""

    event: threading.Event
    signal: int | None = None


@contextmanager
def _stoppable() -> Iterator[_Stopping]:
    """Let the first signal end a deployment in good order; a second one leaves at once, and routers heal themselves."""
    stopping = _Stopping(threading.Event())

    def leave(number: int, _frame: FrameType | None) -> None:
        if stopping.event.is_set():
            os._exit(128 + number)
        stopping.signal = number
        stopping.event.set()
        say("stopping: the wave goes back; once more to leave at once, then routers restore themselves at the deadline")

    before = {name: signal.signal(name, leave) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stopping
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _finish(ended: Deployment, options: Options, interrupted: int | None) -> int:
    from resilience.model.deployment import DeploymentState

    _show_deployment(ended, options)
    if interrupted is not None and ended.state is not DeploymentState.DONE:
        return 128 + interrupted
    return ExitCode.HOLDS if ended.state is DeploymentState.DONE else _failed_code(ended)


def _failed_code(ended: Deployment) -> ExitCode:
    """Return 3 where a router could not be reached at all, 4 where all of them said how they stand."""
    from resilience.model.deployment import Step

    kinds = [router.kind for router in ended.routers]
    unreached = exit_code_of(kinds) is ExitCode.UNKNOWN or any(r.step is Step.UNKNOWN for r in ended.routers)
    return ExitCode.UNKNOWN if unreached else ExitCode.FAILED


def _show_deployment(deployment: Deployment, options: Options) -> None:
    from resilience.model.document import write_json
    from resilience.report.deployment import show_deployment
    from resilience.report.terminal import make_console

    if options.as_json:
        sys.stdout.write(write_json(deployment))
    else:
        show_deployment(deployment, make_console())


def _show_diff(diff: DeploymentDiff, *, as_json: bool) -> None:
    from resilience.model.document import write_json
    from resilience.report.deployment import show_diff
    from resilience.report.terminal import make_console

    if as_json:
        sys.stdout.write(write_json(diff))
    else:
        show_diff(diff, make_console())


def _tell_diff(diff: DeploymentDiff) -> None:
    """Show on stderr what is about to be done: stdout is for how it ended."""
    from resilience.report.deployment import show_diff
    from resilience.report.terminal import make_console

    show_diff(diff, make_console(sys.stderr))
