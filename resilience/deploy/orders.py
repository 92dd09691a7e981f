"""From a plan to what a deployment needs, and what forbids one before any router is asked."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence

from resilience.deploy.bundles import Label, Replan, hash_files, make_bundles
from resilience.deploy.engine import Wares
from resilience.deploy.expect import expect
from resilience.deploy.router import Fleet
from resilience.deploy.survey import Surveyed
from resilience.deploy.waves import make_waves
from resilience.errors import UnknownName, UsageError
from resilience.model.network import Network
from resilience.model.plan import Plan
from resilience.render import ResolveSecret

_SHOWN = 8


def choose_routers(plan: Plan, only: Sequence[str], fleet: Fleet) -> tuple[str, ...]:
    """Return the routers to deploy to: those named, or all of the plan, in its order.

    Raises:
        UnknownName: a name that is no router of the network.
        UsageError: a router that the inventory does not have, or no router at all.
    """
    routers = [router.name for router in plan.routers()]
    for name in only:
        if name not in routers:
            near = difflib.get_close_matches(name, routers, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"routers are {', '.join(routers[:_SHOWN])}"
            raise UnknownName(f"no router of {plan.network.name} is called {name!r}", hint=hint)
    chosen = [name for name in routers if not only or name in only]
    missing = [name for name in chosen if name not in fleet.names]
    if missing:
        raise UsageError(
            f"the inventory has no host for {_some(missing)}", hint="add it, or leave it out with --only ROUTER"
        )
    if not chosen:
        raise UsageError("there is no router to deploy to", hint="the inventory beside network.yaml names hosts")
    return tuple(chosen)


def refuse_undeployable(plan: Plan, names: Collection[str], fleet: Fleet) -> None:
    """Refuse what only works in labs, unless the inventory says that these routers are a lab's.

    Raises:
        UsageError: addresses that another party has yet to assign, or numbers that exist in labs only.
    """
    real = [name for name in names if not fleet.in_lab(name)]
    if real and plan.network.lab:
        raise UsageError(
            f"{plan.network.name} says `lab: true`: its numbers exist in labs only",
            hint="hosts of a lab say so in the inventory: `data: {lab: true}`",
        )
    reasons = [f"{name}: {reason}" for name in real for reason in plan.nodes[name].not_deployable]
    if reasons:
        raise UsageError(
            "\n".join(("not deployable yet:", *(f"  {reason}" for reason in reasons))),
            hint="`resilience check` says what to ask whom; hosts of a lab say `data: {lab: true}`",
        )


def refuse_new_numbers(network: Network, *, changed: bool) -> None:
    """Refuse numbers that nobody wrote down: the next deployment might give out others."""
    if changed:
        raise UsageError(
            f"{network.name}: numbers.lock.yaml would change", hint="run `resilience lock` and commit the file"
        )


def make_wares(plan: Plan, replan: Replan, names: Sequence[str], label: Label, resolve: ResolveSecret) -> Wares:
    """Return what the routers are to run and to see."""
    return Wares(
        bundles=make_bundles(plan, replan, names, label, resolve),
        expected=expect(plan, names),
        hashes=hash_files(plan, names),
    )


def plan_order(plan: Plan, surveyed: Mapping[str, Surveyed], *, workers: int) -> tuple[tuple[str, ...], ...]:
    """Return the waves in which the routers that differ are deployed to, after a first one of those that do not.

    That first one is not touched, and counts as wave 0: the canary has to be a router to which something is done. No
    wave has more routers than are worked on at a time, or the deadline of the first would run while the last waits.
    """
    same = tuple(name for name, answer in surveyed.items() if answer.change is not None and answer.change.empty)
    waves = make_waves(plan, [name for name in surveyed if name not in same])
    parts = (wave[start : start + workers] for wave in waves for start in range(0, len(wave), workers))
    return (same, *parts)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
