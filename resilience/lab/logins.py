"""Making a lab's routers machines to log in to: a real SSH server, an account with one privilege, state of their own.

Runs in the keeper, in the lab's mount namespaces only: the machine below keeps its accounts, its `/usr/sbin` and its
logs as they are. What all routers share is laid over `/etc`, `/usr/sbin` and `/var/lib` once for the lab; what is one
router's own (start-up files, memory of deployments, numbers of processes, the identity of a boot) is mounted by its
first boot.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from resilience.errors import LabError
from resilience.lab.netns import MS_BIND, MS_MOVE, MS_REC, mount
from resilience.lab.state import LabFolder

ACCOUNT: Final = "netops"
"""Who logs in."""
ROUTER_PROGRAM: Final = Path("/usr/sbin/netresilience-router")
"""All that the account may do."""
SHARED: Final = Path("/etc/netresilience-lab")
"""The lab's folder, as its routers see it."""

AUTHORIZED_KEYS: Final = "authorized_keys"
HOST_KEY: Final = "host_key"
SSHD_CONFIG: Final = "sshd_config"
PROGRAM_COPY: Final = "netresilience-router"
SSHD: Final = "/usr/sbin/sshd"
SSHD_PID: Final = Path("/run/sshd.pid")

_COVERED: Final = (Path("/etc"), Path("/usr/sbin"), Path("/var/lib"))
_BELOW: Final = ".machine"
_FIRST_ID: Final = 59_999
_END_LIMIT_S: Final = 10.0
_SUDOERS: Final = f"""\
Defaults env_reset
Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL:ALL) ALL
{ACCOUNT} ALL=(root) NOPASSWD: {ROUTER_PROGRAM}
"""


def prepare_logins(folder: LabFolder) -> None:
    """Lay over this mount namespace what all routers of a lab share."""
    for place in _COVERED:
        _cover(place, folder.path / "workshop")
    (folder.path / "workshop").rmdir()
    # Logins are written down there; who plays in a lab is none of this machine's business.
    mount("none", "/var/log", "tmpfs")
    for place in (SHARED, Path("/etc/netresilience"), Path("/var/lib/netresilience")):
        place.unlink(missing_ok=True)
        place.mkdir(mode=0o711)
    mount(str(folder.path), str(SHARED), flags=MS_BIND)
    _add_account()
    _replace(ROUTER_PROGRAM, (folder.path / PROGRAM_COPY).read_bytes(), 0o755)


def _cover(place: Path, workshop: Path) -> None:
    """Lay a folder of our own over one of the machine's that shows what is there, by links to what is below."""
    workshop.mkdir(exist_ok=True)
    mount("none", str(workshop), "tmpfs")
    workshop.chmod(0o755)
    hidden = workshop / _BELOW
    hidden.mkdir()
    mount(str(place), str(hidden), flags=MS_BIND | MS_REC)
    for original in hidden.iterdir():
        # A relative link means something else one folder deeper, so that links are copied.
        target = original.readlink() if original.is_symlink() else Path(_BELOW, original.name)
        (workshop / original.name).symlink_to(target)
    mount(str(workshop), str(place), flags=MS_MOVE)


def _add_account() -> None:
    tables = {name: _without_account(Path("/etc", name)) for name in ("passwd", "group", "shadow")}
    number = _free_number(tables)
    lines = {
        "passwd": f"{ACCOUNT}:x:{number}:{number}:deployments:/:/bin/sh",
        "group": f"{ACCOUNT}:x:{number}:",
        "shadow": f"{ACCOUNT}:*:20000::::::",
    }
    shadow = Path("/etc/shadow").stat()
    for name, line in lines.items():
        _replace(
            Path("/etc", name), "\n".join([*tables[name], line, ""]).encode(), 0o640 if name == "shadow" else 0o644
        )
    os.chown("/etc/shadow", shadow.st_uid, shadow.st_gid)
    _replace(Path("/etc/sudoers"), _SUDOERS.encode(), 0o440)


def _without_account(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(f"{ACCOUNT}:")]


def _free_number(tables: Mapping[str, list[str]]) -> int:
    """Return a number that is nobody's, neither as a user's nor as a group's."""
    taken = {line.split(":")[2] for name in ("passwd", "group") for line in tables[name] if line.count(":") > 2}
    return next(number for number in range(_FIRST_ID, 0, -1) if str(number) not in taken)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file in the place of a link to the machine's own."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


# --- one router -------------------------------------------------------------------------------------------------------


def mount_own(folder: Path) -> None:
    """Mount what is one router's own; the calling thread is in its new mount namespace."""
    state = folder / "state"
    state.mkdir(mode=0o711, exist_ok=True)
    _boot_id(folder).touch()
    privileges = folder / "run" / "sshd"
    privileges.mkdir(mode=0o755, exist_ok=True)
    mount("proc", "/proc", "proc")
    mount(str(_boot_id(folder)), "/proc/sys/kernel/random/boot_id", flags=MS_BIND)
    mount(str(folder / "files"), "/etc/netresilience", flags=MS_BIND)
    mount(str(state), "/var/lib/netresilience", flags=MS_BIND)


def _boot_id(folder: Path) -> Path:
    return folder / "boot-id"


def renew_boot_id(folder: Path) -> None:
    """Let the router know that it has booted: written into the file that is mounted, not in its place."""
    with _boot_id(folder).open("w", encoding="ascii") as file:
        file.write(f"{uuid.uuid4()}\n")


def sshd_command(node: str) -> list[str]:
    """Return how a router's SSH server is started."""
    return [SSHD, "-E", "/run/sshd.log", "-f", str(SHARED / "nodes" / node / SSHD_CONFIG)]


def sshd_config(node: str) -> str:
    """Return the configuration of a router's SSH server: one account, by its key."""
    return "\n".join(
        (
            "Port 22",
            f"HostKey {SHARED / 'nodes' / node / HOST_KEY}",
            f"AuthorizedKeysFile {SHARED / AUTHORIZED_KEYS}",
            f"AllowUsers {ACCOUNT}",
            "AuthenticationMethods publickey",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin no",
            "AllowTcpForwarding no",
            "AllowAgentForwarding no",
            "X11Forwarding no",
            "PermitUserRC no",
            "UsePAM no",
            "UseDNS no",
            "PrintMotd no",
            "PrintLastLog no",
            "MaxStartups 100",
            "MaxSessions 100",
            "LogLevel VERBOSE",
            f"PidFile {SSHD_PID}",
            "",
        )
    )


def processes_in(namespace: int) -> Iterator[tuple[int, int]]:
    """Yield every living process of a mount namespace, by its number here and by its innermost one.

    `namespace` is the number of the file that stands for it. /proc must be one that shows the processes.
    """
    for path in Path("/proc").iterdir():
        if not path.name.isdecimal():
            continue
        try:
            if (path / "ns" / "mnt").stat().st_ino == namespace:
                yield int(path.name), _innermost(path)
        except (OSError, StopIteration):
            continue


def _innermost(process: Path) -> int:
    status = (process / "status").read_text(encoding="utf-8", errors="replace")
    return next(int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:"))


def end_everything(mounts: int, node: str) -> None:
    """Kill every process of a router, sessions and what they left running included. The calling thread sees /proc."""
    namespace = os.fstat(mounts).st_ino
    deadline = time.monotonic() + _END_LIMIT_S
    while found := [inner for _, inner in processes_in(namespace)]:
        if time.monotonic() > deadline:
            raise LabError(f"{node}: processes {found} do not end")
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.005)


def empty_run(run: Path, kept: str) -> None:
    """Forget what sessions left in a router's /run; `kept` is the routing daemons' folder."""
    for path in run.iterdir():
        if path.name not in {kept, "sshd", "sshd.log"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
