"""Docker and containerlab for tests: what this machine has, else a Docker daemon of our own for as long as tests run.

The daemon is private: a socket, data and state in a temporary folder; no bridge, no firewall rule, no forwarding on the
host. It ends with the process that started it, also where that is killed, and takes its containers with it.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "netresilience/router:1"
MAKE_IT = "run `make containers`"

_BUILD = ROOT / "simulations/images/build"
_SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_START_LIMIT_S = 60
_STOP_LIMIT_S = 60
_LOG_BYTES = 4_000
_PREFIX = "netresilience-docker-"
_LOCK = "lock"
_WITHOUT_THE_HOST = (
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--userland-proxy=false",
)
"""Labs bring cables of their own; nothing of the host's network is needed or touched."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker daemon that answers; the variables that let programs find it, and containerlab."""

    variables: Mapping[str, str]

    def run(self, *argv: str, check: bool = True, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program with this engine."""
        environment = {**os.environ, **self.variables}
        done = subprocess.run(argv, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def load_image(self) -> None:
        """Give the engine the image of routers."""
        self.run("docker", "load", "--quiet", "--input", str(_image_file()))

    def inspect(self, container: str) -> Any:
        """Return what Docker knows of a container."""
        return json.loads(self.run("docker", "inspect", container).stdout)[0]


@functools.cache
def what_is_missing() -> str:
    """Say what containers need and this machine has not; empty: nothing."""
    if os.geteuid():
        return "needs root"
    lacking = [
        *(["containerlab"] if _containerlab() is None else []),
        *(["Docker"] if not _can_have_docker() else []),
        *([f"the image {IMAGE}"] if not _image_file().exists() else []),
    ]
    return f"needs {', '.join(lacking)}: {MAKE_IT}" if lacking else ""


@contextmanager
def running_engine() -> Iterator[Engine]:
    """Yield an engine: the Docker that answers here, else one of our own until the end of the context."""
    containerlab = _containerlab()
    assert containerlab is not None, MAKE_IT
    common = {"PATH": f"{containerlab.parent}{os.pathsep}{_SEARCH}", "CLAB_VERSION_CHECK": "disable"}
    if _docker_answers():
        engine = Engine(common)
        engine.load_image()
        yield engine
        return
    with own_daemon() as socket:
        engine = Engine({**common, "DOCKER_HOST": f"unix://{socket}"})
        engine.load_image()
        yield engine


def _containerlab() -> Path | None:
    """Return containerlab: that on PATH, else the one that `make containers` has built."""
    cached = _cache() / "containerlab-0.79.0"
    found = shutil.which("containerlab", path=f"{_SEARCH}{os.pathsep}{cached}")
    return Path(found) if found else None


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("NETRESILIENCE_CACHE") or Path(home) / "netresilience")


@functools.cache
def _image_file() -> Path:
    return Path(subprocess.run([_BUILD, "--where"], capture_output=True, text=True, check=True).stdout.strip())


def _can_have_docker() -> bool:
    if shutil.which("docker", path=_SEARCH) is None:
        return False
    return shutil.which("dockerd", path=_SEARCH) is not None or _docker_answers()


@functools.cache
def _docker_answers() -> bool:
    try:
        done = subprocess.run(["docker", "version"], capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


# --- a daemon of our own ---------------------------------------------------------------------------------------------


@contextmanager
def own_daemon() -> Iterator[Path]:
    """Yield the socket of a daemon that has just been started and answers."""
    _remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        daemon = _start(folder)
        try:
            _wait_until_it_answers(daemon, folder)
            yield folder / "socket"
        finally:
            _stop(daemon, folder)
    finally:
        _remove(folder)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    # The kernel sends SIGTERM to the daemon when this process dies in whatever way; a session of its own keeps the
    # terminal's Ctrl-C from it, so that labs can still be taken down.
    argv = [
        *("setpriv", "--pdeathsig", "TERM", "dockerd"),
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "pid"), "--host", f"unix://{folder / 'socket'}"),
        *_WITHOUT_THE_HOST,
    ]
    with (folder / _LOCK).open("wb") as lock, (folder / "log").open("wb") as log:
        # The daemon and all that it starts hold the lock by inheritance, until the last of them has ended.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[lock.fileno()],
            env={**os.environ, "PATH": _SEARCH},
        )


def _wait_until_it_answers(daemon: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while not _docker("--host", f"unix://{folder / 'socket'}", "version"):
        if daemon.poll() is not None or time.monotonic() > deadline:
            log = (folder / "log").read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"dockerd does not start: {log[-_LOG_BYTES:]}")
        time.sleep(0.1)


def _stop(daemon: subprocess.Popen[bytes], folder: Path) -> None:
    """End the daemon, its containers first: those that ignore SIGTERM would keep it waiting."""
    host = ("--host", f"unix://{folder / 'socket'}")
    ids = subprocess.run(["docker", *host, "ps", "--all", "--quiet"], capture_output=True, text=True, check=False)
    if ids.stdout.split():
        _docker(*host, "rm", "--force", *ids.stdout.split())
    daemon.terminate()
    try:
        daemon.wait(_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
        raise


def _docker(*arguments: str) -> bool:
    return subprocess.run(["docker", *arguments], capture_output=True, check=False).returncode == 0


def _remove_leftovers() -> None:
    """Remove the folders of daemons whose starter was killed, once they have ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if not is_in_use(folder):
            _remove(folder)


def is_in_use(folder: Path) -> bool:
    """Say whether a daemon, or anything that it has started, still runs in a folder."""
    try:
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return folder.exists()  # about to be started
    return False


def _remove(folder: Path) -> None:
    """Remove a daemon's folder; one that was killed has left mounts in it."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in reversed(mounts):
        if Path(mount).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)
