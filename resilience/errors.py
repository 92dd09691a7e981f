"""Every error that this package raises on purpose, in one tree.

::

    ResilienceError                exit code 1
    ├── UsageError                 2   the command line asks for something that cannot be
    │   ├── UnknownName            2   a name that nothing in the network bears
    │   └── ExistingFiles          2   writing would destroy what we did not write
    ├── IntentError                2   the intent is not valid; carries every problem found
    ├── NumbersError               2   numbers.lock.yaml is damaged or contradicts itself
    ├── EnvironmentLacks           2   a program, a privilege or a kernel feature is missing
    ├── LabError                   3   the lab could not be built or reached
    │   └── NotReady               3   the lab did not converge; says who is missing what
    └── CouldNotTell               3   a measurement cannot be trusted

A command that finds a difference or a broken promise is no error: it returns exit code 4.
Catch `ResilienceError` to catch them all::

    try:
        network = read_intent(folder)
    except ResilienceError as error:
        print(error, error.hint)
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command says to the shell."""

    HOLDS = 0
    INTERNAL = 1
    USAGE = 2
    UNKNOWN = 3
    FAILED = 4


class ResilienceError(Exception):
    """The root: a sentence for people, a hint that says what would be right, an exit code."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(ResilienceError):
    """The command line asks for something that cannot be."""

    exit_code = ExitCode.USAGE


class UnknownName(UsageError):
    """Nothing in the network bears this name; `hint` holds the nearest names."""


class ExistingFiles(UsageError):
    """Writing would destroy files that this tool did not write."""


class IntentError(ResilienceError):
    """The intent is not valid. `problems` holds every one, in the order of the file."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: tuple[object, ...], *, hint: str = "") -> None:
        super().__init__("\n".join(str(problem) for problem in problems), hint=hint)
        self.problems = problems


class NumbersError(ResilienceError):
    """`numbers.lock.yaml` is damaged or contradicts itself."""

    exit_code = ExitCode.USAGE


class EnvironmentLacks(ResilienceError):
    """A program, a privilege or a kernel feature that the command needs is missing."""

    exit_code = ExitCode.USAGE


class LabError(ResilienceError):
    """The lab could not be built or reached."""

    exit_code = ExitCode.UNKNOWN


class NotReady(LabError):
    """The lab did not converge in time; the message names who is missing what."""


class CouldNotTell(ResilienceError):
    """A measurement cannot be trusted, so no verdict is given."""

    exit_code = ExitCode.UNKNOWN
