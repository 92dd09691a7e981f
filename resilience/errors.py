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
    ├── RouterError                3   a router was not reached, or refused; `kind` says which kind of trouble it is
    └── CouldNotTell               3   a measurement cannot be trusted

A command that finds a difference or a broken promise is no error: it returns exit code 4.
Catch `ResilienceError` to catch them all::

    try:
        network = read_intent(folder)
    except ResilienceError as error:
        print(error, error.hint)
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


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


class RouterTrouble(StrEnum):
    """What can be wrong with a router that is deployed to."""

    UNREACHABLE = "unreachable"
    LOGIN = "login"
    """The password or key was not accepted."""
    HOST_KEY = "host-key"
    """It is not the machine that it was, or nobody has said yet which machine it is."""
    WRONG_ROUTER = "wrong-router"
    """Another router answers at the address."""
    NO_PROGRAM = "no-program"
    """The router was not prepared for deployments."""
    SUDO = "sudo"
    """The account may not run the program."""
    OLD = "old"
    """A program on the router is older than the configuration needs."""
    BUSY = "busy"
    """Somebody else's change is not settled; the message says whose and since when."""
    INVALID = "invalid"
    """A daemon on the router does not take the configuration."""
    SPACE = "space"
    EXPIRED = "expired"
    """The confirmation came too late: the former configuration is back."""
    NOTHING_PENDING = "nothing-pending"
    FAILED = "failed"
    """It did not do what it was told, for the reason in the message."""


class RouterError(ResilienceError):
    """A router was not reached, or refused. The message does not name the router: whoever reports it does."""

    exit_code = ExitCode.UNKNOWN

    def __init__(self, kind: RouterTrouble, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class CouldNotTell(ResilienceError):
    """A measurement cannot be trusted, so no verdict is given."""

    exit_code = ExitCode.UNKNOWN
