#!/usr/bin/python3 -I
"""Restart the routing daemons of a lab's router, as its init system would. Runs in the router, as root: `restart NAME`.

A copy of this file lies in the lab's folder; the lab's keeper does the work, so that it knows the new processes.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

LIMIT_S = 120


def main(arguments: list[str]) -> int:
    """Ask the keeper and wait for its answer; 1 when the daemons do not start, with what the keeper said."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LIMIT_S)
        connection.connect(str(Path(__file__).with_name("control")))
        connection.sendall(json.dumps({"do": "restart", "nodes": arguments}).encode() + b"\n")
        with connection.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                if event["event"] == "done":
                    return 0
                if event["event"] == "error":
                    sys.stderr.write(f"{event['message']}\n")
                    return 1
    sys.stderr.write("the lab's keeper has gone\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
