"""An engineer's plain runbook: read from every router what a deployment's dry run reads, with nornir_netmiko.

`python -m benchmarks.runbook HOSTS.yaml WORKERS` prints how many routers answered and how many bytes. It neither checks
a configuration nor makes a difference; it shows what reading alone costs through netmiko's interactive sessions.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from nornir import InitNornir
from nornir.core.task import Result, Task
from nornir_netmiko.tasks import netmiko_send_command

_COMMON = (
    "sudo -n nft list ruleset",
    "ip address",
    "sudo -n sysctl -a --pattern '(forwarding|rp_filter|redirects|accept_ra)$'",
)
_READS = {
    "frr": ("sudo -n vtysh -c 'show running-config'", *_COMMON),
    "bird": ("sudo -n cat /etc/bird/bird.conf", "sudo -n birdc show protocols", *_COMMON),
}
_LIMIT_S = 60


def main() -> None:
    """Read from every router of an inventory."""
    hosts, workers = Path(sys.argv[1]), int(sys.argv[2])
    os.chdir(hosts.parent)  # keys are named relative to the inventory
    nornir = InitNornir(
        runner={"plugin": "threaded", "options": {"num_workers": workers}},
        inventory={"plugin": "SimpleInventory", "options": {"host_file": str(hosts)}},
        logging={"enabled": False},
    )
    for host in nornir.inventory.hosts.values():
        host.connection_options["netmiko"].platform = "linux"
    results = nornir.run(task=_read)
    nornir.close_connections()
    sizes = [sum(len(part.result) for part in result[1:]) for result in results.values() if not result.failed]
    sys.stdout.write(json.dumps({"routers": len(sizes), "bytes": sum(sizes)}) + "\n")


def _read(task: Task) -> Result:
    for command in _READS[str(task.host.platform)]:
        task.run(task=netmiko_send_command, command_string=command, read_timeout=_LIMIT_S)
    return Result(host=task.host)


if __name__ == "__main__":
    main()
