"""Tasks of Nornir for runbooks: `diff`, `apply`, `confirm`, `rollback`, `drain`, `undrain`, `verify`.

::

    nr = InitNornir(inventory={"plugin": "resilience", "options": {"network": "inventories/bamako-isp"}})
    run_task(nr, diff)
    run_task(nr, apply, change="friday", deadline_s=120)
    run_task(nr, verify, change="friday")
    run_task(nr, confirm, change="friday")

`resilience deploy` does more: it goes by waves, keeps a record, and brings a whole wave back. A router that nobody
confirms goes back by itself in either case. What routers are to run is in no parameter, since Nornir logs those.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from nornir.core import Nornir
from nornir.core.inventory import Host
from nornir.core.task import AggregatedResult, MultiResult, Result, Task

from resilience.deploy.bundles import Label
from resilience.deploy.driver import Bundle, Change, Phase
from resilience.deploy.expect import expect
from resilience.deploy.linux_driver import LinuxDriver, make_driver
from resilience.deploy.transport import SshTransport
from resilience.deploy.verify import judge, look
from resilience.deploy.workshop import DATA_KEY, Workshop, name_account
from resilience.errors import ResilienceError, RouterError, RouterTrouble, UsageError

P = ParamSpec("P")
DEADLINE_S = 120
_DIFF = "diff"
"""The name of a change that is only looked at."""


def tell_errors(task: Callable[Concatenate[Task, P], Result]) -> Callable[Concatenate[Task, P], Result]:
    """Have a task return what is wrong with its router instead of raising it: Nornir would log a traceback."""

    @wraps(task)
    def told(one: Task, /, *args: P.args, **parameters: P.kwargs) -> Result:
        try:
            return task(one, *args, **parameters)
        except ResilienceError as error:
            said = f"{error.message}\n{error.hint}" if error.hint else error.message
            return Result(host=one.host, result=said, failed=True, exception=error)

    return told


@tell_errors
def diff(task: Task, *, take_over: bool = False) -> Result:
    """Say what would change. `changed` where anything would; nothing is left on the router."""
    change = _router(task).diff(_bundle(task, _DIFF, take_over=take_over))
    return Result(host=task.host, result=change, diff=show_change(change), changed=not change.empty)


@tell_errors
def apply(
    task: Task,
    change: str,
    *,
    deadline_s: int = DEADLINE_S,
    drained: bool = False,
    take_over: bool = False,
    dry_run: bool | None = None,
) -> Result:
    """Run what the network says, until `confirm` or the deadline. A router that runs it already is left alone.

    Args:
        task: Nornir's.
        change: the name of the change, for `confirm` and `rollback`: lower-case letters, digits and `-`.
        deadline_s: without a confirmation until then the router goes back by itself.
        drained: in the form that attracts no traffic; `undrain` gives it the ordinary one.
        take_over: over what was changed by hand, which the router then goes back to.
        dry_run: only say what would change; default: what `InitNornir` was told.
    """
    router, bundle = _router(task), _bundle(task, change, take_over=take_over)
    if task.is_dry_run(dry_run):
        would = router.diff(bundle)
        return Result(host=task.host, result=would, diff=show_change(would), changed=not would.empty)
    if router.diff(bundle).empty:
        return Result(host=task.host, result="it runs that already")
    staged = router.stage(bundle)
    outcome = router.apply(change, deadline_s=deadline_s, drained=drained)
    if outcome.phase is not Phase.APPLIED:
        reason = outcome.reason or "it runs the former configuration again"
        return Result(host=task.host, result=reason, diff=show_change(staged), failed=True)
    return Result(host=task.host, result=outcome, diff=show_change(staged), changed=True)


@tell_errors
def confirm(task: Task, change: str) -> Result:
    """Keep a change that was applied; failed where it is too late. A router with nothing to change is left alone."""
    router = _router(task)
    hello = router.hello()
    if hello.confirmed == change and hello.pending is None:
        return Result(host=task.host, result="it is confirmed already")
    if hello.pending is None and router.diff(_bundle(task, change)).empty:
        return Result(host=task.host, result="it runs that already")
    outcome = router.confirm(change)
    kept = outcome.phase is Phase.CONFIRMED
    return Result(host=task.host, result=outcome if kept else outcome.reason, changed=kept, failed=not kept)


@tell_errors
def rollback(task: Task, change: str) -> Result:
    """Give up a change. What a confirmed one had replaced runs again as change `ID-undo`, which waits for `confirm`."""
    try:
        outcome = _router(task).roll_back(change)
    except RouterError as error:
        if error.kind is RouterTrouble.NOTHING_PENDING:
            return Result(host=task.host, result="there was nothing to roll back")
        raise
    return Result(host=task.host, result=outcome, changed=True)


@tell_errors
def drain(task: Task) -> Result:
    """Have a router attract no traffic, with nothing else changed. Its next start undrains it."""
    return Result(host=task.host, result=_router(task).drain(""), changed=True)


@tell_errors
def undrain(task: Task) -> Result:
    """Have a router take traffic again."""
    return Result(host=task.host, result=_router(task).undrain(""), changed=True)


@tell_errors
def verify(task: Task, *, change: str = "") -> Result:
    """Say over a new session whether a router does what the plan says: sessions, prefixes, promises, what it runs.

    With `change`, that change must be applied or confirmed. Failed where anything does not hold; `result` lists it.
    """
    router = _router(task)
    router.hang_up()
    hello = router.hello()
    wrong = []
    waiting = hello.pending is not None and hello.pending.change == change and hello.pending.phase is Phase.APPLIED
    if change and not waiting and hello.confirmed != change:
        wrong.append(f"change {change} is not applied: the router has gone back, or never had it")
    expected = expect(_workshop(task).plan, [task.host.name])[task.host.name]
    wrong += judge(expected, None, look(router, expected)).broken
    wrong += [f"{one.file}: what runs is not what should" for one in router.check().differences]
    return Result(host=task.host, result="\n".join(wrong) or "as planned", failed=bool(wrong))


def run_task(nr: Nornir, task: Callable[..., Any], **parameters: Any) -> AggregatedResult:
    """Run a task as `nr.run` does, but over nobody is an error, and who is left out is in the result.

    Nornir leaves out hosts that failed in an earlier run and says nothing of it: a runbook would go on to `confirm`
    without them. Here each of them is a failed result.

    Raises:
        UsageError: there is no host to run on.
    """
    hosts = nr.inventory.hosts
    if not hosts:
        raise UsageError("no host is selected, so nothing was done", hint="nr.inventory.hosts lists those there are")
    left_out = sorted(hosts.keys() & nr.data.failed_hosts)
    if len(left_out) == len(hosts):
        raise UsageError(
            "every host that is selected failed before, so nothing was done", hint="nr.data.reset_failed_hosts()"
        )
    results = nr.run(task=task, **parameters)
    for name in left_out:
        results[name] = _left_out(hosts[name], results.name)
    return results


def _left_out(host: Host, task: str) -> MultiResult:
    error = RouterError(
        RouterTrouble.FAILED,
        "left out: it failed in an earlier run",
        hint=f"nr.data.recover_host({host.name!r}) lets it take part again",
    )
    found = MultiResult(task)
    found.append(Result(host=host, result=error.message, failed=True, exception=error))
    return found


def show_change(change: Change) -> str:
    """Return what a change does to a router, as people read it; empty where it does nothing."""
    parts = [one.diff.rstrip("\n") for one in change.files]
    parts += [f"changed by hand, {one.file}:\n{one.diff}".rstrip("\n") for one in change.drift]
    if change.running:
        parts.append(f"the daemon itself:\n{change.running}".rstrip("\n"))
    if change.restarts:
        parts.append(f"restarts: {', '.join(change.restarts)}")
    if change.resets:
        parts.append(f"resets the sessions with: {', '.join(change.resets)}")
    return "\n".join(part for part in parts if part)


def _workshop(task: Task) -> Workshop:
    found = task.host.get(DATA_KEY)
    if not isinstance(found, Workshop):
        raise UsageError(
            "the inventory does not say of which network its hosts are",
            hint="use the inventory plugin `resilience`, or set "
            f'nr.inventory.defaults.data["{DATA_KEY}"] = open_workshop(Path("inventories/NET"))',
        )
    if task.host.name not in {node.name for node in found.plan.routers()}:
        raise UsageError(f"{found!r} has no router {task.host.name!r}")
    return found


def _router(task: Task) -> LinuxDriver:
    platform = _workshop(task).plan.nodes[task.host.name].platform
    return make_driver(task.host.name, str(platform), SshTransport(task.host, task.nornir.config))


def _bundle(task: Task, change: str, *, take_over: bool = False) -> Bundle:
    label = Label(change=change, who=name_account(), take_over=take_over)
    return _workshop(task).bundle(task.host.name, label)
