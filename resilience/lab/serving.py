"""Starting the services of a lab: one process for all hosts (`services.py`), which ends with whoever started it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Final

from resilience.lab.spec import ListenerSpec
from resilience.lab.state import LabFolder, write_atomically

NOTHING: Final = -1


def start_services(folder: LabFolder, listeners: Sequence[ListenerSpec], namespaces: Sequence[int]) -> int:
    """Start the services in the nodes' namespaces; return a descriptor: the services end when it is closed.

    `namespaces`: a descriptor for each node that a listener's `node` counts.
    """
    if not listeners:
        return NOTHING
    ours, theirs = os.pipe()
    # Descriptors are inherited under their own numbers, so that the other process needs no path to them.
    handed = {ours, *(namespaces[listener.node] for listener in listeners)}
    for descriptor in handed:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library's own signature
    rows = [[namespaces[one.node], one.kind, one.address, one.port, one.service, one.zone] for one in listeners]
    path = folder.path / "listeners.json"
    write_atomically(path, json.dumps(rows))
    log = os.open(folder.path / "services.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "resilience.lab.services", str(path), str(ours)],
        dict(os.environ),
        file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
    )
    os.close(log)
    for descriptor in handed:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's own signature
    os.close(ours)
    return theirs
