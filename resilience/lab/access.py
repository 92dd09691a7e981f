"""What people and tools need to log in to a lab's routers, in the lab's folder: keys, addresses, host keys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from resilience.errors import EnvironmentLacks, LabError
from resilience.lab.logins import (
    ACCOUNT,
    AUTHORIZED_KEYS,
    HOST_KEY,
    PROGRAM_COPY,
    ROUTER_PROGRAM,
    SHARED,
    SSHD_CONFIG,
    sshd_config,
)
from resilience.lab.spec import LabSpec
from resilience.lab.state import LabFolder
from resilience.model.plan import Node, Plan, Role

HOSTS: Final = "hosts.yaml"
KNOWN_HOSTS: Final = "known_hosts"
KEY: Final = "id_ed25519"
SSH_CONFIG: Final = "ssh_config"
RESTART: Final = "restart"
_NEEDED: Final = {"sshd": "openssh-server", "ssh-keygen": "openssh-client", "sudo": "sudo"}
_KEY_LIMIT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Access:
    """Where the files are that a lab's logins need."""

    folder: Path

    @property
    def hosts(self) -> Path:
        """The inventory: every router, in the form of Nornir's SimpleInventory."""
        return self.folder / HOSTS

    @property
    def known_hosts(self) -> Path:
        """The routers' host keys."""
        return self.folder / KNOWN_HOSTS

    @property
    def key(self) -> Path:
        """The private key that every router lets in."""
        return self.folder / KEY

    @property
    def ssh_config(self) -> Path:
        """All of it for `ssh -F`."""
        return self.folder / SSH_CONFIG


def check_logins(path: str) -> None:
    """Say what this machine lacks for logins, before anything is touched."""
    missing = sorted(package for program, package in _NEEDED.items() if shutil.which(program, path=path) is None)
    if missing:
        raise EnvironmentLacks(
            f"this machine lacks {', '.join(missing)}", hint=f"on Debian: apt-get install {' '.join(missing)}"
        )


def write_access(folder: LabFolder, spec: LabSpec, plan: Plan) -> None:
    """Make keys and write all that logging in to a lab's routers takes, on both sides."""
    from resilience.render import router_program  # noqa: PLC0415 - keepers load this room, and need no renderer

    access = Access(folder.path)
    access.key.with_name(AUTHORIZED_KEYS).write_text(_make_key(access.key), encoding="utf-8")
    _write_program(folder.path / PROGRAM_COPY, router_program())
    _write_program(folder.path / RESTART, (files("resilience.lab") / "restarting.py").read_bytes())
    routers = [plan.nodes[node.name] for node in spec.nodes if node.ssh]
    keys = {router.name: _prepare_router(folder, router) for router in routers}
    known = "".join(f"{','.join(_addresses(router))} {keys[router.name]}" for router in routers)
    access.known_hosts.write_text(known, encoding="ascii")
    access.hosts.write_text(yaml.safe_dump(_inventory(routers), sort_keys=False), encoding="utf-8")
    access.ssh_config.write_text("".join(_client_config(access, routers)), encoding="utf-8")


def _prepare_router(folder: LabFolder, router: Node) -> str:
    """Write a router's own files; return its public host key."""
    own = folder.node(router.name)
    about = {"name": router.name, "platform": router.platform, "restart": [str(SHARED / RESTART), router.name]}
    (own / "files" / "router.json").write_text(json.dumps(about), encoding="utf-8")
    (own / SSHD_CONFIG).write_text(sshd_config(router.name), encoding="utf-8")
    return _make_key(own / HOST_KEY)


def _make_key(path: Path) -> str:
    """Make a pair of keys; return the public one."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_KEY_LIMIT_S)
    if done.returncode:
        raise LabError(f"ssh-keygen makes no key: {done.stderr.strip()}")
    return path.with_name(f"{path.name}.pub").read_text(encoding="ascii")


def _write_program(path: Path, program: bytes) -> None:
    path.write_bytes(program)
    path.chmod(0o755)
    os.chown(path, 0, 0)


def _addresses(router: Node) -> list[str]:
    """Return every address by which a router can be reached, its loopbacks first."""
    everywhere = (*router.loopbacks, *(address for port in router.interfaces for address in port.addresses))
    return [str(address.ip) for address in everywhere]


def _inventory(routers: Iterable[Node]) -> dict[str, dict[str, Any]]:
    return {
        router.name: {
            "hostname": _addresses(router)[0],
            "port": 22,
            "username": ACCOUNT,
            "platform": str(router.platform),
            "data": {"lab": True},
            "connection_options": {"netmiko": {"extras": {"key_file": KEY}}},
        }
        for router in routers
    }


def _client_config(access: Access, routers: Iterable[Node]) -> Iterable[str]:
    for router in routers:
        yield f"Host {router.name}\n  HostName {_addresses(router)[0]}\n"
    yield (
        f"Host *\n  User {ACCOUNT}\n  IdentityFile {access.key}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {access.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 10\n"
    )


def find_desks(plan: Plan) -> tuple[Node, ...]:
    """Return the hosts of a plan from which its routers let people log in."""
    return tuple(
        node
        for node in plan.nodes.values()
        if node.role is Role.HOST
        and any(
            address.ip in prefix
            for port in node.interfaces
            for address in (*port.addresses, *node.loopbacks)
            for prefix in plan.network.management
        )
    )


def try_command() -> tuple[str, ...]:
    """Return what shows that a login works."""
    return ("sudo", "-n", str(ROUTER_PROGRAM), "hello")
