"""Every router asked before anything is done to any: is it the right one, is it free, what would change?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from resilience.deploy.driver import Bundle, Change, Confirmation, Pending
from resilience.deploy.record import UNDO
from resilience.deploy.router import Fleet, Hello, Router, Survey
from resilience.errors import RouterError, RouterTrouble

PROGRAM: Final = 1
"""Version of the program on the router that this side speaks with."""
OLDEST: Final[Mapping[str, tuple[int, ...]]] = {"frr": (8, 4), "bird": (2, 0, 12)}
"""Daemons that rendered configurations are for."""
_SPACE_FACTOR = 3
_SPACE_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """What one router said."""

    router: str
    hello: Hello | None = None
    change: Change | None = None
    error: RouterError | None = None
    """Why nothing may be deployed to it now."""


def survey(
    fleet: Fleet, bundles: Mapping[str, Bundle], *, deadline_s: int, leaving: bool = False
) -> dict[str, Surveyed]:
    """Ask every router for which there is a bundle; what is wrong with one keeps no other from being asked.

    `leaving`: nothing more will be asked, so each session ends with its answer. Paramiko looks ten times a second after
    every session that is open, which adds up where there are a hundred.
    """

    def ask(name: str, router: Router) -> Surveyed:
        with _leaving(router) if leaving else nullcontext():
            return _survey_router(router, bundles[name], deadline_s)

    return _gather(fleet.each(bundles, ask))


def compare(fleet: Fleet, bundles: Mapping[str, Bundle]) -> dict[str, Surveyed]:
    """Ask every router how far it is from a bundle, whoever is changing it and whatever forbids a deployment."""

    def ask(name: str, router: Router) -> Surveyed:
        with _leaving(router):
            found = router.survey(bundles[name])
            _refuse_another(found.hello, bundles[name])
            return Surveyed(router=name, hello=found.hello, change=_change_of(found))

    return _gather(fleet.each(bundles, ask))


@contextmanager
def _leaving(router: Router) -> Iterator[None]:
    """Hang up at the end, whatever a router said."""
    try:
        yield
    finally:
        router.hang_up()


def _gather(answers: Mapping[str, Surveyed | RouterError]) -> dict[str, Surveyed]:
    return {
        name: Surveyed(router=name, error=answer) if isinstance(answer, RouterError) else answer
        for name, answer in answers.items()
    }


def describe_pending(pending: Pending) -> str:
    """Say whose change is not settled, and since when."""
    left = "" if pending.remaining_s is None else f"; without a confirmation it goes in {pending.remaining_s:.0f} s"
    return f"{pending.who} is changing it since {pending.since}: change {pending.change}, {pending.phase}{left}"


def refuse_pending(pending: Pending | None, change: str) -> None:
    """Raise `busy` where somebody else's change is not settled."""
    if pending is None or pending.change in {change, change + UNDO}:
        return
    base = pending.change.removesuffix(UNDO)
    raise RouterError(
        RouterTrouble.BUSY,
        describe_pending(pending),
        hint=f"if nobody works on it any more: `resilience deploy NET --rollback {base}` where its record is",
    )


def _survey_router(router: Router, bundle: Bundle, deadline_s: int) -> Surveyed:
    """Return what a router is and what would change, and the first thing that forbids it."""
    found = router.survey(bundle)
    hello = found.hello
    _refuse_another(hello, bundle)
    trouble = _first_trouble(router, hello, bundle, deadline_s)
    if trouble is not None and trouble.kind is RouterTrouble.OLD:
        return Surveyed(router=bundle.router, hello=hello, error=trouble)
    change = _change_of(found)
    return Surveyed(router=bundle.router, hello=hello, change=change, error=trouble or _refuse_drift(change, bundle))


def _change_of(found: Survey) -> Change:
    """Return what would change; raises what the router refuses instead."""
    if found.change is None:
        raise found.refusal or RouterError(RouterTrouble.FAILED, "it said neither what would change nor why not")
    return found.change


def _refuse_another(hello: Hello, bundle: Bundle) -> None:
    if hello.router != bundle.router:
        raise RouterError(
            RouterTrouble.WRONG_ROUTER,
            f"the router at this address calls itself {hello.router!r}",
            hint="correct the inventory's address, or the name in /etc/netresilience/router.json",
        )
    if hello.platform != bundle.platform:
        raise RouterError(
            RouterTrouble.WRONG_ROUTER, f"it runs {hello.platform}, the intent has it on {bundle.platform}"
        )


def _first_trouble(router: Router, hello: Hello, bundle: Bundle, deadline_s: int) -> RouterError | None:
    try:
        _refuse_old(hello)
        refuse_pending(hello.pending, bundle.change)
        _refuse_small(hello, bundle)
        _refuse_unable(router, deadline_s)
    except RouterError as error:
        return error
    return None


def _refuse_old(hello: Hello) -> None:
    if hello.program != PROGRAM:
        raise RouterError(
            RouterTrouble.OLD,
            f"its netresilience-router is version {hello.program}, this tool speaks with version {PROGRAM}",
            hint="`resilience prepare` writes the program that belongs to this tool",
        )
    oldest = OLDEST.get(hello.platform, ())
    if _version(hello.daemon_version) < oldest:
        needed = ".".join(map(str, oldest))
        raise RouterError(
            RouterTrouble.OLD, f"it runs {hello.platform} {hello.daemon_version}; configurations are for {needed} on"
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _refuse_small(hello: Hello, bundle: Bundle) -> None:
    size = sum(len(text.encode()) for files in (bundle.files, bundle.drained) for text in files.values())
    needed = _SPACE_FACTOR * size + _SPACE_BYTES
    if hello.free_bytes < needed:
        raise RouterError(
            RouterTrouble.SPACE, f"{hello.free_bytes} bytes are free on it, a change of this size needs {needed}"
        )


def _refuse_unable(router: Router, deadline_s: int) -> None:
    able = router.capabilities
    if able.confirmation is not Confirmation.ROUTER:
        raise RouterError(
            RouterTrouble.FAILED,
            f"{able.platform} routers cannot take a change back by themselves, so nothing is staged",
        )
    if not able.shortest_deadline_s <= deadline_s <= able.longest_deadline_s:
        raise RouterError(
            RouterTrouble.FAILED,
            f"a deadline of {deadline_s} s cannot be had on {able.platform}: "
            f"{able.shortest_deadline_s} to {able.longest_deadline_s} s can",
        )


def _refuse_drift(change: Change, bundle: Bundle) -> RouterError | None:
    if not change.drift or bundle.take_over:
        return None
    files = ", ".join(sorted({one.file for one in change.drift}))
    return RouterError(
        RouterTrouble.FAILED,
        f"what runs is not what it starts with: {files} changed by hand, and would be lost",
        hint="save it on the router or put it into the intent; --take-over lets it go for good",
    )
