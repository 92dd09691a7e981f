"""A machine to log in to, made of a real SSH server on 127.0.0.1: its own accounts, sudoers and program, nobody else's.

The server runs in a mount namespace of its own, so that this machine's accounts and programs stay as they are.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT = "netops"
PASSWORD = "a-login-secret"  # noqa: S105 - of an account that exists in a mount namespace of ours only
_HASHED = "$6$netresilience$JKNmbl.Sp3wEiXy.AvBOxufrTeMuFwujG.VfKhT4HQeg.PvK3IsgUzcYx0UFbi0AHeFAAwNb6.7wv2bS8P6ro."
"""The same, as `openssl passwd -6` writes it."""
PROGRAM = "/usr/sbin/netresilience-router"
_LIMIT_S = 30.0

_LAUNCHER = """
import os, subprocess, sys
from pathlib import Path

made = Path(sys.argv[1])
for name in ("passwd", "group", "shadow", "sudoers"):
    subprocess.run(["mount", "--bind", made / name, "/etc/" + name], check=True)
subprocess.run(["mount", "-t", "tmpfs", "none", made / "over"], check=True)
for part in ("upper", "work"):
    (made / "over" / part).mkdir()
os.environ.pop("LANG", None)
options = f"lowerdir=/usr/sbin,upperdir={made}/over/upper,workdir={made}/over/work"
subprocess.run(["mount", "-t", "overlay", "none", "-o", options, "/usr/sbin"], check=True)
# The account reads its keys itself, and the folders of a test are nobody else's.
Path("/usr/sbin/authorized_keys").write_text((made / "key.pub").read_text())
if (made / "program").exists():
    target = Path("/usr/sbin/netresilience-router")
    target.write_text((made / "program").read_text())
    target.chmod(0o755)
Path("/run/sshd").mkdir(exist_ok=True)
os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", str(made / "sshd_config")])
"""

_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile /usr/sbin/authorized_keys
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PidFile none
MaxStartups 200
LogLevel ERROR
"""

_PROGRAM = """#!{python}
import json, os, sys
verb = sys.argv[1]
if os.geteuid():
    print(json.dumps({{"error": {{"kind": "sudo", "message": "this program needs root", "hint": ""}}}}))
    sys.exit(1)
stdin = sys.stdin.read() if verb in ("diff", "stage", "probe") else ""
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.argv[1:], len(stdin), os.geteuid()]) + "\\n")
answers = json.load(open({answers!r}))
if verb not in answers:
    sys.exit(2)
answer = answers[verb]
sys.stdout.write(answer if isinstance(answer, str) else json.dumps(answer))
sys.exit(1 if isinstance(answer, dict) and "error" in answer else 0)
"""


@dataclass(frozen=True)
class Machine:
    """A running SSH server. `port` at 127.0.0.1."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def key(self) -> Path:
        """The key that the account's and root's logins take."""
        return self.folder / "key"

    @property
    def known_line(self) -> str:
        """What stands in `known_hosts`."""
        kind, key, *_ = (self.folder / "host_key.pub").read_text(encoding="ascii").split()
        return f"[127.0.0.1]:{self.port} {kind} {key}\n"

    def answer(self, **answers: Any) -> None:
        """Say what the program on it answers to each verb: an object, or text as it stands."""
        (self.folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")

    def calls(self) -> list[tuple[list[str], int, int]]:
        """Return how the program was called: arguments, bytes of stdin, as whom."""
        log = self.folder / "calls"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [tuple(json.loads(line)) for line in lines]


def hello(name: str = "gw", platform: str = "frr") -> Mapping[str, Any]:
    """Return what a healthy router says of itself."""
    return {
        "program": 1,
        "router": name,
        "platform": platform,
        "daemon_version": "8.4.4",
        "boot_id": "b",
        "confirmed": None,
        "confirmed_sha256": "",
        "pending": None,
        "free_bytes": 10**9,
        "can_drain": False,
    }


@contextmanager
def running_machine(
    folder: Path, *, program: bool = True, sudo: bool = True, login: str = "/bin/sh"
) -> Iterator[Machine]:
    """Start an SSH server whose account may run the program, or lacks what is said here."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    _write_files(folder, port, program=program, sudo=sudo, login=login)
    launcher = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", _LAUNCHER, str(folder)]
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(launcher, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    machine = Machine(folder, port, process)
    machine.answer(hello=hello())
    try:
        _wait_until_it_listens(machine)
        yield machine
    finally:
        process.terminate()
        process.wait(_LIMIT_S)


def _write_files(folder: Path, port: int, *, program: bool, sudo: bool, login: str) -> None:
    for name in ("host_key", "key"):
        if not (folder / name).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "over").mkdir(exist_ok=True)
    (folder / "sshd_config").write_text(_CONFIG.format(port=port, folder=folder), encoding="ascii")
    lines = {
        "passwd": f"{ACCOUNT}:x:60123:60123::/:{login}\n",
        "group": f"{ACCOUNT}:x:60123:\n",
        "shadow": f"{ACCOUNT}:{_HASHED}:20000::::::\n",
    }
    for name, line in lines.items():
        (folder / name).write_text(Path("/etc", name).read_text(encoding="utf-8") + line, encoding="utf-8")
    (folder / "shadow").chmod(0o600)
    rule = f"{ACCOUNT} ALL=(root) NOPASSWD: {PROGRAM}\n" if sudo else ""
    (folder / "sudoers").write_text(
        f"Defaults env_reset\nDefaults !syslog\nroot ALL=(ALL) ALL\n{rule}", encoding="ascii"
    )
    (folder / "sudoers").chmod(0o440)
    if program:
        text = _PROGRAM.format(
            python="/usr/bin/python3", log=str(folder / "calls"), answers=str(folder / "answers.json")
        )
        (folder / "program").write_text(text, encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_until_it_listens(machine: Machine) -> None:
    until = time.monotonic() + _LIMIT_S
    while True:
        try:
            with socket.create_connection(("127.0.0.1", machine.port), timeout=1) as line:
                if line.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        log = (machine.folder / "sshd.log").read_text(encoding="utf-8", errors="replace")
        assert machine.process.poll() is None, log
        assert time.monotonic() < until, log
        time.sleep(0.05)


TEN_LINES = textwrap.dedent("""\
    network: ten
    asn: 64500
    prefixes: [192.0.2.0/24]
    routers: {gw: {}, second: {}}
    links: [{between: [gw, second]}]
    providers: {orion: {asn: 64501}, vega: {asn: 64502}}
    uplinks:
      orion: {router: gw, provider: orion, password: "env:ORION_MD5"}
      vega: {router: second, provider: vega}
    """)


def write_network(folder: Path, hosts: str, known_hosts: str = "") -> Path:
    """Write a network of two routers, `gw` and `second`, with how they are logged in to."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.yaml").write_text(TEN_LINES, encoding="utf-8")
    (folder / "hosts.yaml").write_text(textwrap.dedent(hosts), encoding="utf-8")
    if known_hosts:
        (folder / "known_hosts").write_text(known_hosts, encoding="ascii")
    return folder


def is_alive(pid: int) -> bool:
    """Say whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
