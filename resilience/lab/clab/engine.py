"""containerlab and Docker on this machine: whether they are there, and the few things that they are asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from resilience.errors import EnvironmentLacks, LabError
from resilience.lab.clab.kinds import Dialect

OLDEST: Final = (0, 40)
_STRICT_FROM: Final = (0, 78)
UNRELEASED: Final = (0, 0)
"""What a containerlab says that somebody built without naming a version."""
_INSTALL: Final = "https://containerlab.dev/install"
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_ASK_LIMIT_S: Final = 60
_LOG_LINES: Final = "3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of a lab. `pid` is that of its first process, as this machine counts; 0: it does not run."""

    node: str
    name: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The containerlab and the Docker that a lab was started with, and is to be ended with."""

    containerlab: str
    version: tuple[int, int]
    docker: str
    host: str = ""
    """Docker's socket as `DOCKER_HOST` says it; empty: where it is by default."""

    def environment(self) -> dict[str, str]:
        """Return the variables with which their programs are run."""
        found = {**os.environ, "CLAB_VERSION_CHECK": "disable"}
        found.pop("DOCKER_HOST", None)
        return found | ({"DOCKER_HOST": self.host} if self.host else {})

    @property
    def dialect(self) -> Dialect:
        """What this containerlab reads."""
        return Dialect.STRICT if self.version >= _STRICT_FROM or self.version == UNRELEASED else Dialect.BROAD

    def run(
        self, argv: Sequence[str], *, stdin: str = "", timeout_s: float = _ASK_LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a program with this engine; LabError when it does not end in time."""
        try:
            return subprocess.run(
                list(argv),
                input=stdin,
                env=self.environment(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LabError(f"{' '.join(argv)}: {error}") from error

    def ask(self, *arguments: str) -> str:
        """Return what Docker says; LabError when it refuses."""
        done = self.run([self.docker, *arguments])
        if done.returncode != 0:
            raise LabError(f"docker {arguments[0]}: {_last_line(done.stderr)}")
        return done.stdout

    def has_image(self, name: str) -> bool:
        """Say whether Docker has an image."""
        return self.run([self.docker, "image", "inspect", "--format", "{{.Id}}", name]).returncode == 0

    def containers(self, lab: str, topology: Path | None = None) -> dict[str, Container]:
        """Return a lab's containers by their node; with `topology`, those alone that come from this file."""
        filters = [f"label=containerlab={lab}", *([f"label=clab-topo-file={topology}"] if topology else [])]
        options = [option for one in filters for option in ("--filter", one)]
        ids = self.ask("ps", "--all", "--quiet", "--no-trunc", *options).split()
        if not ids:
            return {}
        # One that has just vanished is an error to `inspect`, which still prints the others.
        answer = self.run([self.docker, "inspect", *ids]).stdout
        return {one.node: one for one in map(_container, json.loads(answer or "[]"))}

    def remove(self, containers: Iterable[Container]) -> None:
        """Remove containers, whatever they do."""
        self.run([self.docker, "rm", "--force", *(container.name for container in containers)])

    def last_words(self, container: Container) -> str:
        """Return what a container wrote last."""
        done = self.run([self.docker, "logs", "--tail", _LOG_LINES, container.name])
        return (done.stderr + done.stdout).strip()

    def write(self, path: Path) -> None:
        """Write down which engine this is: a later command may have another environment."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Engine:
        """Read what `write` wrote."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**data, "version": tuple(data["version"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise LabError(f"{path} is damaged: {error}") from error


def _container(data: Mapping[str, Any]) -> Container:
    labels = data["Config"]["Labels"]
    pid = data["State"]["Pid"] if data["State"]["Running"] else 0
    return Container(node=labels["clab-node-name"], name=data["Name"].lstrip("/"), pid=pid)


def find_engine() -> Engine:
    """Return what this machine has; EnvironmentLacks says what it lacks, and nothing was touched."""
    if os.geteuid() != 0:
        raise EnvironmentLacks("a lab of containers needs root", hint="run the same command with sudo")
    containerlab = _find_program("containerlab", _INSTALL)
    docker = _find_program(
        "docker", "on Debian: apt-get install docker.io; else https://docs.docker.com/engine/install"
    )
    host = os.environ.get("DOCKER_HOST", "")
    if host and not host.startswith("unix://"):
        raise EnvironmentLacks(
            f"Docker at {host} is not on this machine", hint="faults and measurements need its containers at hand"
        )
    engine = Engine(containerlab=containerlab, version=_version(containerlab), docker=docker, host=host)
    done = engine.run([docker, "version", "--format", "{{.Server.Version}}"])
    if done.returncode != 0:
        raise EnvironmentLacks(
            f"Docker does not answer: {_last_line(done.stderr)}", hint="`sudo systemctl start docker` starts it"
        )
    return engine


def check_image(engine: Engine, image: str, ours: str) -> None:
    """Say that an image is missing, and where it comes from; nothing is fetched behind anybody's back."""
    if not engine.has_image(image):
        hint = "`simulations/images/build --load` makes it" if image == ours else f"`docker pull {image}` fetches it"
        raise EnvironmentLacks(f"Docker has no image {image}", hint=hint)


def _find_program(name: str, where: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    if found is None:
        raise EnvironmentLacks(f"this machine lacks {name}", hint=where)
    return str(Path(found).absolute())


def _version(containerlab: str) -> tuple[int, int]:
    environment = {**os.environ, "CLAB_VERSION_CHECK": "disable"}
    try:
        done = subprocess.run(
            [containerlab, "version"],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentLacks(f"containerlab does not run: {error}", hint=_INSTALL) from error
    found = re.search(r"^\s*version: v?(\d+)\.(\d+)", done.stdout, re.MULTILINE)
    if found is None:
        said = _last_line(done.stderr or done.stdout)
        raise EnvironmentLacks(f"{containerlab} does not say its version: {said}", hint=_INSTALL)
    version = int(found[1]), int(found[2])
    if version != UNRELEASED and version < OLDEST:
        raise EnvironmentLacks(
            f"containerlab {version[0]}.{version[1]} is too old: {OLDEST[0]}.{OLDEST[1]} is the oldest that will do",
            hint=_INSTALL,
        )
    return version


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "without a word"
