"""Deployments from the desk of a lab: the real command in the desk's network, and what routers say of themselves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from resilience.lab.netns import socket_in
from tests.support import stepwise
from tests.support.deploy_lab import DESK, DeployLab

BEFORE_PROOF: Final = ("--without-proof", "a test")


def at_a_desk() -> dict[str, str]:
    """Return the variables of somebody who sits there, also where these tests run in CI: that may skip no proof."""
    return {**os.environ, "CI": ""}


@dataclass(frozen=True, slots=True)
class Said:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON on stdout."""
        return json.loads(self.out)


@dataclass(slots=True)
class Desk:
    """Somebody who deploys an intent to a lab's routers, and keeps the records."""

    lab: DeployLab
    records: Path

    def argv(self, program: Sequence[str], command: str, intent: Path, *options: str) -> list[str]:
        """Return how a command that reaches routers is run at the desk."""
        inside = [*program, command, str(intent), "--inventory", str(self.lab.access.hosts), *options]
        return ["nsenter", f"--net={self.lab.lab.namespace(DESK)}", *inside]

    def __call__(self, command: str, intent: Path, *options: str, timeout_s: float = 240) -> Said:
        """Run a command to its end."""
        argv = self.argv((sys.executable, "-m", "resilience"), command, intent, *options)
        done = subprocess.run(argv, env=at_a_desk(), capture_output=True, text=True, timeout=timeout_s, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    def deploy(self, intent: Path, *options: str) -> Said:
        """Run `resilience deploy` with these records."""
        return self("deploy", intent, "--records", str(self.records), *options)

    def commit(self, intent: Path, *options: str) -> Said:
        """Deploy in earnest, without a drill before it."""
        return self.deploy(intent, "--commit", *BEFORE_PROOF, "--drain-wait", "0s", *options)

    def record(self) -> Any:
        """Return the newest record as it lies on the disk."""
        return json.loads(max(self.records.glob("*.json")).read_text(encoding="utf-8"))


@dataclass(slots=True)
class Stepwise:
    """A deployment that waits at one step."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @classmethod
    def start(cls, desk: Desk, step: str, intent: Path, *options: str) -> Stepwise:
        """Start it, and return once it waits there."""
        program = (sys.executable, stepwise.__file__, step)
        argv = desk.argv(program, "deploy", intent, "--records", str(desk.records), "--commit", *BEFORE_PROOF, *options)
        pipe = subprocess.PIPE
        one = cls(
            subprocess.Popen(argv, env=at_a_desk(), stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, text=True)
        )
        assert one.process.stderr is not None
        for line in one.process.stderr:
            one.lines.append(line)
            if line.strip() == stepwise.WAITING:
                return one
        one.kill()
        raise AssertionError(f"it never came to {step}:\n{''.join(one.lines)}")

    def go(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Kill it, as a loss of power does."""
        self.process.kill()
        self.process.communicate()

    def finish(self, timeout_s: float = 240) -> int:
        """Let it come to its end; return its exit code."""
        try:
            _, said = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.lines.append(said)
        return self.process.returncode


def wait_until(holds: Callable[[], bool], what: str, limit_s: float = 60) -> None:
    """Wait until something holds; fail when it does not come to that."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {limit_s:.0f} s: {what}"
        time.sleep(0.05)


def is_greeted(namespace: Path, address: str, limit_s: float) -> bool:
    """Say whether the SSH server at an address lets somebody in a network namespace connect, and greets."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket_in(namespace, family, socket.SOCK_STREAM) as connection:
        connection.settimeout(limit_s)
        try:
            connection.connect((address, 22))
            return connection.recv(4) == b"SSH-"
        except OSError:
            return False
