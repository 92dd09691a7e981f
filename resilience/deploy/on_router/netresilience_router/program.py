"""netresilience-router: the end of a deployment that lives on the router, and its dead man's switch.

It takes a change (all files of one router), checks it with the router's own programs, runs it under a deadline, and
goes back to what ran before unless a confirmation comes in time. Nothing of that needs the session over which it was
asked, nor the machine at the other end. One file (an archive of these modules), Python 3.9 or later, standard library
only: what a router has.

    netresilience-router hello | read | check | observe | pending | boot
    netresilience-router survey | diff | stage | probe               (JSON on stdin)
    netresilience-router apply CHANGE [--deadline-s N] [--drained]
    netresilience-router drain [CHANGE [--deadline-s N]] | undrain [CHANGE]
    netresilience-router confirm | rollback | release CHANGE

stdout is one JSON object. Exit code 0: done; 1: refused, the object says why; 2: wrong usage.

States of a change: staged -> applying -> applied -> confirming -> confirmed, and from applying and applied
-> restoring -> restored. Every step is in state.json before it is taken, under one lock, so that a confirmation and the
deadline cannot both win, and so that whoever comes next can finish what a killed process or a loss of power left.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

# All of it now, whatever is asked: a guard lives for minutes, and the archive may be replaced under it by an upgrade.
from .boot import boot
from .bundle import CHANGE
from .changes import DEFAULT_DEADLINE_S, Changes
from .guard import Guard
from .machine import Doc, Machine
from .probes import probe
from .process import check_trusted, own_file
from .questions import Questions
from .refused import Refused, no_space
from .router import Router
from .settlement import Settlement
from .store import Store
from .traffic import Traffic

INPUT_LIMIT = 16 * 1024 * 1024


def read_input() -> Doc:
    """Return the JSON object on stdin."""
    data = sys.stdin.buffer.read(INPUT_LIMIT + 1)
    if len(data) > INPUT_LIMIT:
        raise Refused("invalid", f"more than {INPUT_LIMIT >> 20} MB")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid", f"stdin is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refused("invalid", "stdin is no JSON object")
    return found


def make_parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    parser = argparse.ArgumentParser(prog="netresilience-router", description="See the head of the program.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("hello", "read", "check", "observe", "pending", "boot", "survey", "diff", "stage", "probe"):
        verbs.add_parser(name)
    for name in ("apply", "confirm", "rollback", "drain", "undrain", "release", "watch"):
        verb = verbs.add_parser(name)
        # Outside a deployment a router is drained without a change.
        verb.add_argument("change", type=_change, nargs="?" if name in ("drain", "undrain") else None, default="")
        if name in ("apply", "drain", "rollback"):
            default = None if name == "rollback" else DEFAULT_DEADLINE_S
            verb.add_argument("--deadline-s", type=_deadline, default=default)
        if name == "apply":
            verb.add_argument("--drained", action="store_true")
        if name == "release":
            verb.add_argument("--who", default="somebody")
    return parser


def _change(text: str) -> str:
    if not CHANGE.fullmatch(text):
        raise argparse.ArgumentTypeError("the id of a change has lower-case letters, digits and -, at most 64")
    return text


def _deadline(text: str) -> int:
    if not text.isdigit() or not 5 <= int(text) <= 86400:
        raise argparse.ArgumentTypeError("5 to 86400 seconds")
    return int(text)


def answer(settlement: Settlement, given: argparse.Namespace) -> Doc:
    """Do what one verb asks."""
    changes, traffic, questions = Changes(settlement), Traffic(settlement), Questions(settlement)
    verbs: dict[str, Callable[[], Doc]] = {
        "hello": questions.hello,
        "read": questions.read,
        "check": questions.check,
        "observe": questions.observe,
        "pending": questions.pending,
        "probe": lambda: probe(settlement.machine, read_input()),
        "boot": lambda: boot(settlement),
        "survey": lambda: survey(questions, changes, read_input()),
        "diff": lambda: changes.diff(read_input()),
        "stage": lambda: changes.stage(read_input()),
        "apply": lambda: changes.apply(given.change, given.deadline_s, drained=given.drained),
        "confirm": lambda: changes.confirm(given.change),
        "rollback": lambda: changes.rollback(given.change, given.deadline_s),
        "release": lambda: changes.release(given.change, given.who[:200]),
        "drain": lambda: traffic.drain(given.change, given.deadline_s),
        "undrain": lambda: traffic.undrain(given.change),
    }
    return verbs[given.verb]()


def survey(questions: Questions, changes: Changes, bundle: Doc) -> Doc:
    """Say who this is, and what a bundle would do or why it is refused: with many routers, one start of Python less."""
    said = {"hello": questions.hello()}
    try:
        return {**said, "change": changes.diff(bundle)}
    except Refused as refused:
        return {**said, "refused": _tell(refused)}


def _tell(refused: Refused) -> Doc:
    return {"kind": refused.kind, "message": refused.message, "hint": refused.hint}


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the command."""
    given = make_parser().parse_args(arguments)
    os.umask(0o077)
    try:
        check_trusted(own_file())
        settlement = open_settlement(Machine())
        if given.verb == "watch":
            Guard(Changes(settlement), given.change).oversee()
            return 0
        said = answer(settlement, given)
    except Refused as refused:
        said = {"error": _tell(refused)}
    except OSError as error:
        said = {"error": _tell(no_space(error))}
    sys.stdout.write(json.dumps(said) + "\n")
    return 1 if "error" in said else 0


def open_settlement(machine: Machine) -> Settlement:
    """Return what every verb works with, its folders made."""
    router, store = Router(machine), Store(machine)
    store.prepare()
    return Settlement(router, store)
