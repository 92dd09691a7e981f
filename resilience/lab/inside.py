"""Running a program inside a node's namespaces, from a thread that moves into them for good."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from resilience.errors import LabError
from resilience.lab.netns import CLONE_FS, CLONE_NEWNS, CLONE_NEWPID, set_namespace, unshare
from resilience.lab.seam import Completed


def enter_node(network: Path, mounts: Path | None, processes: Path | None = None) -> None:
    """Put the calling thread into a node for good, as a program that is about to run there must be.

    `processes`: the namespace of processes in which those are that this thread starts from now on.
    """
    descriptors = [(os.open(network, os.O_RDONLY | os.O_CLOEXEC), 0)]
    if processes is not None:
        descriptors.append((os.open(processes, os.O_RDONLY | os.O_CLOEXEC), CLONE_NEWPID))
    if mounts is not None:
        unshare(CLONE_FS)
        descriptors.append((os.open(mounts, os.O_RDONLY | os.O_CLOEXEC), CLONE_NEWNS))
    for descriptor, kind in descriptors:
        set_namespace(descriptor, kind)
        os.close(descriptor)


def run_inside(
    node: str,
    network: Path,
    mounts: Path | None,
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: str,
    processes: Path | None = None,
) -> Completed:
    """Run a program of this machine in a node's namespaces and wait for it."""
    results: list[Completed | BaseException] = []

    def act() -> None:
        try:
            enter_node(network, mounts, processes)
            done = subprocess.run(
                list(argv),
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
            results.append(Completed(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            results.append(error)

    # A thread of its own: it moves into the node for good, and the caller stays where it is.
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    if isinstance(results[0], Completed):
        return results[0]
    if isinstance(results[0], (OSError, subprocess.TimeoutExpired)):
        raise LabError(f"{node}: {' '.join(argv)}: {results[0]}") from results[0]
    raise results[0]
