"""What the program on a router says, as our types. A router's words are a stranger's: checked, bounded, made printable.

Every verb is one command that prints one JSON object; a verb that takes files reads them from stdin, so that nothing of
a configuration ever stands in an argument.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from resilience.deploy.transport import Answer, Transport
from resilience.errors import RouterError, RouterTrouble

PROGRAM_PATH: Final = "/usr/sbin/netresilience-router"
CHANGE_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_MOST_TEXT: Final = 2_000
_NOT_EXECUTABLE: Final = frozenset({126, 127})
_WRONG_USAGE: Final = 2
_PREPARE: Final = "docs/howto/prepare-a-router.md says how a router is prepared"
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}

T = TypeVar("T")


class RouterClient:
    """Calls verbs of the program on one router."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def call(self, verb: str, *arguments: str, stdin: object = None, timeout_s: float = 15) -> dict[str, Any]:
        """Return what a verb answers; RouterError for what is wrong with the router or its answer."""
        data = b"" if stdin is None else json.dumps(stdin).encode()
        answer = self._transport.run(self._command(verb, *arguments), stdin=data, timeout_s=timeout_s)
        found = _parse(answer.stdout)
        if answer.code == 0 and found is not None and "error" not in found:
            return found
        if found is not None and "error" in found:
            raise read_refusal(found["error"])
        raise self._trouble(verb, answer)

    def ask(self, kind: type[T], verb: str, *arguments: str, stdin: object = None, timeout_s: float = 15) -> T:
        """Return what a verb answers as one of our types."""
        return read_answer(kind, self.call(verb, *arguments, stdin=stdin, timeout_s=timeout_s), verb)

    def hang_up(self) -> None:
        """End the session."""
        self._transport.hang_up()

    def _command(self, *words: str) -> Sequence[str]:
        become = () if self._transport.root else ("sudo", "-n")
        return (*become, PROGRAM_PATH, *words)

    def _trouble(self, verb: str, answer: Answer) -> RouterError:
        """Say why there is no answer that can be read."""
        said = _first_words(answer)
        if answer.code == _WRONG_USAGE:
            return RouterError(
                RouterTrouble.OLD,
                f"its netresilience-router does not know how to {verb}: {said}",
                hint=f"install the program that belongs to this version; {_PREPARE}",
            )
        if not self._transport.root and answer.code != 0:
            known = self._sudo_trouble(said)
            if known is not None:
                return known
        if answer.code in _NOT_EXECUTABLE:
            return _no_program(said)
        return RouterError(
            RouterTrouble.FAILED,
            f"its answer to {verb} is not to be understood (exit code {answer.code}): {said or 'nothing'}",
            hint="the account needs an ordinary shell, one that prints nothing of its own",
        )

    def _sudo_trouble(self, said: str) -> RouterError | None:
        """Tell apart a program that is not there from one that the account may not run; None: neither is the case.

        Sudo's words depend on the router's language, so the program itself is asked, without sudo.
        """
        plain = self._transport.run((PROGRAM_PATH, "hello"), timeout_s=15)
        if plain.code in _NOT_EXECUTABLE:
            return _no_program(_first_words(plain))
        if _parse(plain.stdout) is None and not said.startswith("sudo:"):
            return None
        return RouterError(
            RouterTrouble.SUDO,
            f"the account may not run {PROGRAM_PATH} as root: {said or 'sudo refused'}",
            hint=f"its line in sudoers is `ACCOUNT ALL=(root) NOPASSWD: {PROGRAM_PATH}`; {_PREPARE}",
        )


def _first_words(answer: Answer) -> str:
    """Return what a command said that went wrong, for a message."""
    lines = answer.stderr.strip() or answer.stdout[:400].decode("utf-8", "replace").strip()
    return make_printable(lines.partition("\n")[0][:200])


def _no_program(said: str) -> RouterError:
    return RouterError(
        RouterTrouble.NO_PROGRAM,
        f"{PROGRAM_PATH} cannot be run there: {said or 'it is not there'}",
        hint=f"the router was not prepared for deployments, or has no Python; {_PREPARE}",
    )


def check_change(change: str) -> str:
    """Return the id of a change if it is one; it becomes an argument of a command."""
    if not CHANGE_ID.fullmatch(change):
        raise RouterError(
            RouterTrouble.FAILED,
            "the id of a change is 1 to 64 lower-case letters, digits and '-'",
            hint="as in 'c-42'",
        )
    return change


def read_answer(kind: type[T], value: object, verb: str) -> T:
    """Return what a router said as one of our types; RouterError where it is no such thing."""
    adapter = _ADAPTERS.get(kind)
    if adapter is None:
        adapter = _ADAPTERS[kind] = TypeAdapter(kind)
    try:
        read: T = adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise RouterError(
            RouterTrouble.FAILED,
            f"its answer to {verb} is not as it should be: {make_printable(place) or 'the whole'}: {first['msg']}",
            hint="is its netresilience-router of this version?",
        ) from None
    return read


def make_printable(text: str) -> str:
    """Return a stranger's text without what would move a terminal's cursor or hide in it, and not too long."""
    clean = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text[: _MOST_TEXT + 1])
    return clean if len(clean) <= _MOST_TEXT else f"{clean[:_MOST_TEXT]}..."


def read_refusal(error: object) -> RouterError:
    """Return an error that the program on a router names itself."""
    if not isinstance(error, Mapping):
        return RouterError(RouterTrouble.FAILED, "it refused and did not say why")
    kind, message, hint = (str(error.get(key) or "") for key in ("kind", "message", "hint"))
    known = RouterTrouble(kind) if kind in set(RouterTrouble) else RouterTrouble.FAILED
    return RouterError(known, make_printable(message) or "it refused", hint=make_printable(hint))


def _parse(data: bytes) -> dict[str, Any] | None:
    """Return one JSON object; None where it is none."""
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    cleaned = _clean(value)
    return cleaned if isinstance(cleaned, dict) else None


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _clean(value: Any) -> Any:
    """Make every text of an answer printable. Lines stay lines: diffs are made of them."""
    if isinstance(value, str):
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {_CONTROL.sub("?", key): _clean(one) for key, one in value.items()}
    return value
