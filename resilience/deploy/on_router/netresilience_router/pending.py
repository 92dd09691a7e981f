"""The change that is not settled, as state.json holds it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from .machine import Doc, Machine
from .refused import Refused


def make_pending(bundle: Doc) -> Doc:
    """Return a change that has been staged just now."""
    return {
        "change": bundle["change"],
        "phase": "staged",
        "who": bundle["who"],
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "take_over": bool(bundle.get("take_over")),
        "can_drain": bool(bundle.get("drained")),
    }


def check_free(state: Doc, change: str) -> None:
    """Refuse a change while another one is here, or while it runs itself."""
    pending = state["pending"]
    if pending and (pending["change"] != change or pending["phase"] != "staged"):
        raise Refused(
            "busy",
            "change {} of {} is {} here since {}".format(
                pending["change"], pending["who"], pending["phase"], pending["since"]
            ),
            "ask {}; an applied change settles by itself".format(pending["who"]),
        )


def outcome(machine: Machine, pending: Doc) -> Doc:
    """Return how a change stands, as its commands answer."""
    return {
        "change": pending["change"],
        "phase": pending["phase"],
        "reason": pending.get("reason", ""),
        "remaining_s": remaining_s(machine, pending),
    }


def remaining_s(machine: Machine, pending: Doc) -> float | None:
    """Return how long a change that runs has until it is taken back."""
    if "deadline" not in pending or pending["phase"] == "staged":
        return None
    return round(max(0.0, float(pending["deadline"]) - machine.clock()), 1)


def own_pending(state: Doc, change: str, phases: Sequence[str]) -> Doc:
    """Return the pending change if it is this one and in one of some phases."""
    pending: Doc | None = state["pending"]
    last = state.get("last") or {}
    if pending and pending["change"] == change and pending["phase"] in phases:
        return pending
    if not pending and last.get("change") == change and last.get("phase") == "restored":
        raise Refused("expired", "the former configuration is back: {}".format(last["reason"]))
    if not pending:
        raise Refused("nothing-pending", "no change is pending here")
    if pending["change"] == change:
        raise Refused("failed", "change {} is {}".format(change, pending["phase"]))
    raise Refused("busy", "change {} of {} is {} here".format(pending["change"], pending["who"], pending["phase"]))


def public(machine: Machine, pending: Doc | None) -> Doc | None:
    """Return what others may know of a change."""
    if not pending:
        return None
    shown = {key: pending[key] for key in ("change", "phase", "who", "since")}
    return {**shown, "remaining_s": remaining_s(machine, pending)}
