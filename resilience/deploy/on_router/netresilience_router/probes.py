"""Whether addresses answer, asked from the router: the traffic that a change is for."""

from __future__ import annotations

import socket

from .machine import Doc, Machine
from .refused import Refused

PROBES = 64


def probe(machine: Machine, request: Doc) -> Doc:
    """Ask addresses for an answer, side by side."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - takes a while to import, and only this needs it

    probes = request.get("probes")
    if not isinstance(probes, list) or len(probes) > PROBES or not all(isinstance(one, dict) for one in probes):
        raise Refused("invalid", f"at most {PROBES} probes")
    with ThreadPoolExecutor(max_workers=PROBES) as pool:
        answers = list(pool.map(lambda probe: _answers(machine, probe), probes))
    return {"results": {str(probe.get("id")): answer for probe, answer in zip(probes, answers)}}


def _answers(machine: Machine, probe: Doc) -> bool:
    try:
        family = socket.AF_INET6 if ":" in probe["target"] else socket.AF_INET
        for address in (probe["source"], probe["target"]):
            socket.inet_pton(family, address)
        if probe.get("port") is None:
            argv = ["ping", "-n", "-c", "1", "-W", "2", "-I", probe["source"], probe["target"]]
            return machine.run(argv, timeout_s=10).code == 0
        with socket.create_connection((probe["target"], int(probe["port"])), 3, (probe["source"], 0)):
            return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
