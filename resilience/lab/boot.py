"""Starting a node from its start-up files, as it would after power comes back: settings, addresses, filters, daemons.

Runs in the keeper, each node in a thread of its own. A routing node also has a mount namespace, in which its folder
of files is `/etc/frr` or `/etc/bird` and `/run` is its own: the daemons, `vtysh` and `birdc` run as on a real router,
without one flag that a real router would not have.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from resilience.errors import LabError
from resilience.lab.children import CHILDREN
from resilience.lab.control import FrrControl
from resilience.lab.frr_start import deal_out, in_one_go
from resilience.lab.logins import (
    ROUTER_PROGRAM,
    SSHD_PID,
    empty_run,
    end_everything,
    mount_own,
    renew_boot_id,
    sshd_command,
)
from resilience.lab.netlink import Netlink, link_indexes, set_link
from resilience.lab.netns import CLONE_FS, CLONE_NEWNS, MS_BIND, mount, set_namespace, unshare
from resilience.lab.spec import NodeSpec, Program
from resilience.lab.startup import read_programs

START_LIMIT_S: Final = 180
"""How long a daemon may take to start. FRR's bgpd needs seconds of CPU to read the policies of a dozen sessions, and a
laptop that starts a whole country shares two cores among them."""
_FRR_PROGRAMS: Final = "/usr/lib/frr"
_BIRD_LOG: Final = "/run/bird/bird.log"
_PARTS: Final = Path("/run/frr/start-up")
_LOG_BYTES: Final = 4_000


class BootError(Exception):
    """A node does not start; the message says which one and what its program said."""


_FLUSH: Final = ("route flush table main", "route flush table default", "rule flush", "rule add pref 32766 lookup main")
_ROUTING_DEFAULTS: Final = {"-4": (*_FLUSH, "rule add pref 32767 lookup default"), "-6": _FLUSH}
"""What turns a network namespace's routing back into that of a new one, by address family."""


@dataclass(slots=True)
class Booted:
    """What the keeper knows of a node. `pids` are numbers of the keeper's own process namespace."""

    spec: NodeSpec
    folder: Path
    network: int
    mounts: int | None = None
    pids: dict[str, int] = field(default_factory=dict)
    boots: int = 0


def boot(node: Booted, base_mounts: int) -> None:
    """Start a node. The calling thread must not be the main one: it moves between namespaces for good."""
    unshare(CLONE_FS)
    set_namespace(base_mounts, CLONE_NEWNS)
    set_namespace(node.network)
    if node.spec.switch:
        raise_ports(node)
        return
    if node.boots:
        if node.spec.ssh and node.mounts is not None:
            end_everything(node.mounts, node.spec.name)
        forget_everything(node)
    node.boots += 1
    if node.spec.ssh:
        _boot_router(node)
        return
    _apply_files(node)
    if node.spec.programs:
        _enter_mounts(node)
        _start_daemons(node)


def _boot_router(node: Booted) -> None:
    """Boot a router that can be logged in to as a real one boots: by its own program, from what its files say now."""
    # Before its own /run is mounted over ours, where its folder is.
    renew_boot_id(node.folder)
    _enter_mounts(node)
    _run(node, [str(ROUTER_PROGRAM), "boot"])
    _read_programs_again(node, Path("/etc", _user(node)))
    _start_daemons(node)
    _start_sshd(node)


def _read_programs_again(node: Booted, files: Path) -> None:
    """A deployment may have changed which daemons run."""
    node.spec = replace(node.spec, programs=read_programs(node.spec.name, files))


def revive(node: Booted, base_mounts: int) -> None:
    """Start the daemons of a node that do not run any more; leave everything else as it is."""
    unshare(CLONE_FS)
    set_namespace(base_mounts, CLONE_NEWNS)
    set_namespace(node.network)
    if node.spec.programs and node.mounts is not None:
        if node.spec.ssh:
            _read_programs_again(node, node.folder / "files")
        set_namespace(node.mounts, CLONE_NEWNS)
        _start_daemons(node)


def raise_ports(node: Booted) -> None:
    """Raise a node's cables; the calling thread is in its network."""
    with Netlink() as netlink:
        known = link_indexes(netlink)
        netlink.request([set_link(known[name], up=True) for name, _ in node.spec.interfaces])


# --- settings, addresses, filters ------------------------------------------------------------------------------------


def _apply_files(node: Booted) -> None:
    files = node.folder / "files"
    if "sysctl.conf" in node.spec.files:
        apply_sysctls((files / "sysctl.conf").read_text(encoding="utf-8"), node.spec.name)
    if "addresses.batch" in node.spec.files:
        _run(node, ["ip", "-batch", str(files / "addresses.batch")])
    if "rules6.batch" in node.spec.files:
        _run(node, ["ip", "-6", "-batch", str(files / "rules6.batch")])
    if "nftables.conf" in node.spec.files:
        _run(node, ["nft", "-f", str(files / "nftables.conf")])


def apply_sysctls(text: str, node: str, root: Path = Path("/proc/sys")) -> None:
    """Write the settings of a sysctl.conf(5) into the namespaces of the calling thread, without forking."""
    for key, value, optional in parse_sysctls(text):
        try:
            (root / key).write_text(value, encoding="ascii")
        except OSError as error:
            if not optional:
                raise BootError(f"{node}: sysctl {key} = {value}: {error.strerror}") from error


def parse_sysctls(text: str) -> Iterator[tuple[str, str, bool]]:
    """Yield (path below /proc/sys, value, whether a failure is to be ignored) for each setting."""
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        key, separator, value = stripped.partition("=")
        if separator:
            name = key.strip()
            yield _sysctl_path(name.removeprefix("-")), value.strip(), name.startswith("-")


def _sysctl_path(name: str) -> str:
    """Return the path of a setting: the first separator found decides which of `.` and `/` separates (sysctl.d(5))."""
    first = re.search(r"[./]", name)
    if first is None or first[0] == "/":
        return name
    return name.translate(str.maketrans("./", "/."))


def forget_everything(node: Booted) -> None:
    """Bring a node's kernel back to what it is on a machine just switched on; the calling thread is in its network."""
    lines = [
        line
        for name, _ in (*node.spec.interfaces, ("lo", 1))
        for line in (f"link set dev {name} down", f"address flush dev {name}")
    ]
    lines += ["link set dev lo up"]
    with Netlink() as netlink:
        known = link_indexes(netlink)
    lines += [f"link del dev {name}" for name in known if name not in dict(node.spec.interfaces) and name != "lo"]
    for family, defaults in _ROUTING_DEFAULTS.items():
        _run(node, ["ip", family, "-force", "-batch", "-"], stdin="\n".join(defaults) + "\n", check=False)
    _run(node, ["ip", "-force", "-batch", "-"], stdin="\n".join(lines) + "\n", check=False)


# --- daemons ---------------------------------------------------------------------------------------------------------


def _enter_mounts(node: Booted) -> None:
    """Put the calling thread where the node's own /etc and /run are; make that place at the first start."""
    run, user = node.folder / "run", _user(node)
    if node.mounts is None:
        _make_run_folder(run, user)
        shutil.chown(node.folder / "files", user, user)
        unshare(CLONE_NEWNS)
        mount(str(node.folder / "files"), f"/etc/{user}", flags=MS_BIND)
        if node.spec.ssh:
            mount_own(node.folder)
        mount(str(run), "/run", flags=MS_BIND)
        node.mounts = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        return
    _empty(run / user)
    if node.spec.ssh:
        empty_run(run, user)
    set_namespace(node.mounts, CLONE_NEWNS)


def _user(node: Booted) -> str:
    """Return as whom a node's routing daemons run, which is also what their folders are called."""
    return "bird" if node.spec.programs[0].name == "bird" else "frr"


def _make_run_folder(run: Path, user: str) -> None:
    run.mkdir(mode=0o755, exist_ok=True)
    (run / user).mkdir(mode=0o755, exist_ok=True)
    shutil.chown(run / user, user, "frrvty" if user == "frr" else user)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != ".log":
            path.unlink()


def _start_daemons(node: Booted) -> None:
    """Start those of a node's daemons that do not run."""
    wanted = [program for program in node.spec.programs if program.name not in node.pids]
    if not wanted:
        return
    if wanted[0].name == "bird":
        # `-D`: where the configuration names no log, as ours do not, messages go to that file instead of to syslog.
        user = ["-u", "bird", "-g", "bird"]
        Path("/run/bird/bird.pid").unlink(missing_ok=True)
        paths = ["-D", _BIRD_LOG, "-P", "/run/bird/bird.pid", "-s", "/run/bird/bird.ctl"]
        _run(node, ["bird", *user, *paths, *wanted[0].options])
        node.pids["bird"] = _read_pid(Path("/run/bird/bird.pid"))
        return
    _start_frr(node, wanted)


def _start_sshd(node: Booted) -> None:
    SSHD_PID.unlink(missing_ok=True)
    _run(node, sshd_command(node.spec.name))
    _read_pid(SSHD_PID)


def _start_frr(node: Booted, wanted: Sequence[Program]) -> None:
    for program in wanted:
        Path(f"/run/frr/{program.name}.pid").unlink(missing_ok=True)
    whole = len(wanted) == len(node.spec.programs)
    dealt = whole and _deal_out(node)
    if wanted[0].name == "zebra":
        # First: a daemon that finds no zebra waits ten seconds before it asks again.
        _run(node, _frr_command(wanted[0], dealt=dealt))
    running = [
        (program, CHILDREN.spawn(_frr_command(program, dealt=dealt))) for program in wanted if program.name != "zebra"
    ]
    for program, process in running:
        _finish(node, _frr_command(program, dealt=dealt), process)
    if not dealt:
        for only in [[]] if whole else [["-d", program.name] for program in wanted]:
            _run(node, ["vtysh", "-b", *only])
    for program in wanted:
        node.pids[program.name] = _read_pid(Path(f"/run/frr/{program.name}.pid"))
        _check_configured(node, program)


def _deal_out(node: Booted) -> bool:
    """Write each daemon of a node its part of the configuration, where every section has a known owner.

    Only for daemons that start together. One that starts beside others is told its lines by vtysh, as watchfrr does it:
    from a file it has read them before it knows an interface, and a bgpd that needed most of a second for that answers
    its first neighbour with a notification (`nexthop_set failed`), which ends a graceful restart.
    """
    text = Path("/etc/frr/frr.conf").read_text(encoding="utf-8")
    parts = deal_out(text, [program.name for program in node.spec.programs])
    if parts is None:
        return False
    _PARTS.mkdir(mode=0o750, exist_ok=True)
    shutil.chown(_PARTS, "frr", "frr")
    for daemon, part in parts.items():
        path = _PARTS / f"{daemon}.conf"
        path.write_text(in_one_go(part), encoding="utf-8")
        path.chmod(0o640)
        shutil.chown(path, "frr", "frr")
    return True


def _check_configured(node: Booted, program: Program) -> None:
    """Ask a daemon something: its answer means that it has read its file and written down what it refused."""
    try:
        FrrControl(Path(f"/run/frr/{program.name}.vty"), START_LIMIT_S).close()
    except LabError as error:
        raise BootError(f"{node.spec.name}: {error.message}") from error
    log = Path(f"/run/frr/{program.name}.log")
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    refused = [line for line in text.rpartition(" starting: ")[2].splitlines() if " on config line " in line]
    if refused:
        raise BootError(f"{node.spec.name}: {program.name} refuses its configuration: {refused[0]}")


def _frr_command(program: Program, *, dealt: bool) -> list[str]:
    log = f"/run/frr/{program.name}.log"
    part = ["-f", str(_PARTS / f"{program.name}.conf")] if dealt else []
    return [f"{_FRR_PROGRAMS}/{program.name}", "-d", *part, "--log", f"file:{log}", *program.options]


def _read_pid(path: Path) -> int:
    """Return the number in a pid file; the daemon wrote it before its parent ended, or a moment after."""
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            return int(path.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            if time.monotonic() > deadline:
                raise BootError(f"{path} does not appear: the daemon died while it started") from None
            time.sleep(0.002)


def _run(node: Booted, argv: Sequence[str], *, stdin: str = "", check: bool = True) -> None:
    _finish(node, argv, CHILDREN.spawn(argv), stdin=stdin, check=check)


def _finish(
    node: Booted, argv: Sequence[str], process: subprocess.Popen[str], *, stdin: str = "", check: bool = True
) -> None:
    try:
        output, _ = process.communicate(stdin, timeout=START_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise BootError(f"{node.spec.name}: {' '.join(argv)} did not end in {START_LIMIT_S} s") from error
    finally:
        CHILDREN.forget(process)
    if check and process.returncode != 0:
        said = output[-_LOG_BYTES:].strip() or f"exit code {process.returncode}"
        raise BootError(f"{node.spec.name}: {' '.join(argv)}: {said}")
