"""A whole Debian with systemd as a router, its two providers, and a desk: all in one network namespace.

systemd-nspawn boots it. Its cables end in the namespace, where the desk logs in from and a BIRD is both providers.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support import stepwise
from tests.support.deploy_desk import BEFORE_PROOF, Said, at_a_desk, is_greeted, wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
ROUTER: Final = "edge1"
DESK: Final = "192.168.77.1/24"
ADDRESS: Final = "192.168.77.2"
CABLES: Final = ("mgmt0", "wan0", "wan1", "us-edge1")
"""The router's interfaces; that of our users leads nowhere."""
NSPAWN: Final = "systemd-nspawn"
BOOT_LIMIT_S: Final = 120
NETWORK: Final = """
network: bench
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
management: [192.168.77.0/24]
routers: {{edge1: {{platform: {platform}}}}}
providers:
  alpha: {{asn: 64496}}
  beta: {{asn: 64497}}
uplinks:
  fibre:
    {{router: edge1, provider: alpha, rank: 1, interface: wan0, address: [192.0.2.2/30, "2001:db8:ff:1::2/126"]}}
  radio:
    {{router: edge1, provider: beta, rank: {rank}, interface: wan1, address: [192.0.2.6/30, "2001:db8:ff:2::2/126"]}}
"""
SESSIONS: Final = 4
_NAMESPACE: Final = "netresilience-bench-"

_PROVIDERS: Final = """
router id 192.0.2.1;
protocol device {}
protocol static default4 { ipv4; route 0.0.0.0/0 blackhole; }
protocol static default6 { ipv6; route ::/0 blackhole; }
"""
_SESSION: Final = """
protocol bgp {name}{family} {{
  local {local} as {asn}; neighbor {remote} as 64500; local role provider; direct; connect retry time 1;
  ipv{family} {{ import all; export where net = {default}; next hop self; }};
}}
"""
_ENDS: Final = (
    ("alpha", 64496, "wan0", ("192.0.2.1/30", "192.0.2.2"), ("2001:db8:ff:1::1/126", "2001:db8:ff:1::2")),
    ("beta", 64497, "wan1", ("192.0.2.5/30", "192.0.2.6"), ("2001:db8:ff:2::1/126", "2001:db8:ff:2::2")),
)
_MANAGED: Final = "[Match]\nName=mgmt0\n[Network]\nAddress=192.168.77.2/24\n"
_PREPARE: Final = """
install -o root -g root -m 0755 netresilience-router /usr/sbin/netresilience-router
install -o root -g root -m 0755 -d /etc/netresilience
install -o root -g root -m 0644 netresilience-boot.service /etc/systemd/system/netresilience-boot.service
systemctl enable netresilience-boot.service
useradd --create-home --shell /bin/sh netops
install -o netops -g netops -m 0700 -d /home/netops/.ssh
install -o netops -g netops -m 0600 netops.pub /home/netops/.ssh/authorized_keys
visudo -cf netresilience.sudoers
install -o root -g root -m 0440 netresilience.sudoers /etc/sudoers.d/netresilience
"""
"""What docs/howto/prepare-a-router.md has people do, in the folder that `resilience prepare` wrote."""


def machine_file() -> Path:
    """Return where the root folder of machines lies, if it was built."""
    builder = ROOT / "simulations/images/build-machine"
    return Path(subprocess.run([builder, "--where"], capture_output=True, text=True, check=True).stdout.strip())


@dataclass(slots=True)
class Bench:
    """A router on systemd and those around it."""

    platform: str
    folder: Path
    namespace: Path
    nspawn: subprocess.Popen[bytes] | None = None
    providers: subprocess.Popen[bytes] | None = None
    intents: dict[str, Path] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The router's root folder."""
        return self.folder / "root"

    @property
    def service(self) -> str:
        """The routing daemon's unit."""
        return {"frr": "frr", "bird": "bird"}[self.platform]

    # --- making it ----------------------------------------------------------------------------------------------------

    def install(self) -> None:
        """Unpack the machine, prepare it as a router, and write the intents."""
        self.root.mkdir(parents=True)
        subprocess.run(["tar", "-xf", machine_file(), "-C", self.root], check=True)
        other = {"frr": "bird", "bird": "frr"}[self.platform]
        prepared = self.root / "root/prepared"
        _run(sys.executable, "-m", "resilience", "prepare", "-o", str(prepared))
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "netops"))
        shutil.copy(self.folder / "netops.pub", prepared)
        _run("chroot", str(self.root), "sh", "-ec", f"cd /root/prepared\n{_PREPARE}")
        _run("chroot", str(self.root), "ssh-keygen", "-A")
        _run("chroot", str(self.root), "systemctl", "disable", other)
        _run("chroot", str(self.root), "systemctl", "enable", self.service, "systemd-networkd", "ssh")
        for path, text in (
            ("etc/hostname", f"{ROUTER}\n"),
            ("etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {ROUTER}\n"),
            ("etc/systemd/network/10-mgmt.network", _MANAGED),
            ("etc/netresilience/router.json", f'{{"name": "{ROUTER}", "platform": "{self.platform}"}}\n'),
        ):
            (self.root / path).write_text(text, encoding="utf-8")
        self._write_intents()

    def _write_intents(self) -> None:
        key = (self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="utf-8")
        login = f"{ROUTER}:\n  hostname: {ADDRESS}\n  username: netops\n"
        login += f"  connection_options: {{netmiko: {{extras: {{key_file: {self.folder / 'netops'}}}}}}}\n"
        for name, rank in (("plain", 2), ("other", 1)):
            folder = self.folder / name
            folder.mkdir()
            (folder / "network.yaml").write_text(NETWORK.format(platform=self.platform, rank=rank), encoding="utf-8")
            (folder / "hosts.yaml").write_text(login, encoding="utf-8")
            (folder / "known_hosts").write_text(f"{ADDRESS} {key}", encoding="utf-8")
            _run(sys.executable, "-m", "resilience", "lock", str(folder))
            self.intents[name] = folder

    # --- power --------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Switch it on, plug the cables in, and wait until somebody can log in."""
        cables = [f"--network-veth-extra={cable}-out:{cable}"[:80] for cable in CABLES]
        argv = [
            NSPAWN,
            "--quiet",
            "--register=no",
            "--keep-unit",
            f"--directory={self.root}",
            "--boot",
            "--private-network",
        ]
        with (self.folder / "console").open("ab") as console:
            self.nspawn = subprocess.Popen(
                [*self._inside(), *argv, f"--machine=netresilience-{os.getpid()}", f"--hostname={ROUTER}", *cables],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        wait_until(self._has_cables, "its cables are there", BOOT_LIMIT_S)
        self._plug_in()
        wait_until(lambda: is_greeted(self.namespace, ADDRESS, 1), "it lets people in", BOOT_LIMIT_S)

    def _has_cables(self) -> bool:
        assert self.nspawn is not None
        assert self.nspawn.poll() is None, (self.folder / "console").read_text(encoding="utf-8", errors="replace")[
            -2000:
        ]
        return self._cables() == len(CABLES)

    def _cables(self) -> int:
        return self.out("ip", "-br", "link").stdout.count("-out@")

    def _plug_in(self) -> None:
        lines = [f"address replace {DESK} dev mgmt0-out", *(f"link set dev {cable}-out up" for cable in CABLES)]
        for _, _, port, (four, _), (six, _) in _ENDS:
            lines += [f"address replace {four} dev {port}-out", f"address replace {six} dev {port}-out nodad"]
        assert self.out("ip", "-batch", "-", stdin="\n".join(lines)).returncode == 0

    def restart(self) -> None:
        """Shut it down in good order, and switch it on again."""
        assert self.nspawn is not None
        self.nspawn.send_signal(signal.SIGTERM)
        self.nspawn.wait(60)
        self._unplug()
        self.boot()

    def cut_power(self) -> None:
        """Let it be dark."""
        assert self.nspawn is not None
        for pid in (*self._children(self.nspawn.pid), self.nspawn.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.nspawn.wait(60)
        self._unplug()

    def _unplug(self) -> None:
        """Wait until its cables are gone: the kernel takes them away when all of its processes have ended."""
        wait_until(lambda: self._cables() == 0, "its cables are gone", BOOT_LIMIT_S)

    def start_providers(self) -> None:
        """Have both providers answer."""
        text = _PROVIDERS
        for name, asn, _, *families in _ENDS:
            for family, (local, remote) in zip((4, 6), families, strict=True):
                default = {4: "0.0.0.0/0", 6: "::/0"}[family]
                here = local.partition("/")[0]
                text += _SESSION.format(name=name, family=family, local=here, asn=asn, remote=remote, default=default)
        (self.folder / "providers.conf").write_text(text, encoding="utf-8")
        argv = ["bird", "-f", "-c", str(self.folder / "providers.conf"), "-s", str(self.folder / "providers.ctl")]
        self.providers = subprocess.Popen([*self._inside(), *argv], stdout=subprocess.DEVNULL)

    def close(self) -> None:
        """End all of it."""
        if self.nspawn is not None and self.nspawn.poll() is None:
            self.cut_power()
        if self.providers is not None:
            self.providers.kill()
            self.providers.wait()

    # --- looking at it ------------------------------------------------------------------------------------------------

    def _inside(self) -> tuple[str, ...]:
        # With us ends what we started, whatever becomes of us. By TERM: a killed nspawn leaves its machine behind.
        return ("setpriv", "--pdeathsig", "TERM", "nsenter", f"--net={self.namespace}")

    def out(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program outside of the router, in the namespace of the desk."""
        return subprocess.run([*self._inside(), *argv], input=stdin, capture_output=True, text=True, check=False)

    def on_router(self, *argv: str) -> str:
        """Run a program on the router, as from its console."""
        assert self.nspawn is not None
        (leader,) = self._children(self.nspawn.pid)
        done = subprocess.run(["nsenter", "-t", str(leader), "-a", *argv], capture_output=True, text=True, check=False)
        return done.stdout

    def _children(self, pid: int) -> list[int]:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(word) for word in text.split()]

    def guards(self) -> list[str]:
        """Return the units that guard a change."""
        told = self.on_router("systemctl", "list-units", "netresilience-2*", "--no-legend", "--no-pager", "--plain")
        return [line.split()[0] for line in told.splitlines() if line.strip()]

    def pending(self) -> Any:
        """Return what the router says of a change that is open."""
        return self.on_router("netresilience-router", "pending")

    def established(self) -> int:
        """Return how many of the providers' sessions are up."""
        return self.out("birdc", "-s", str(self.folder / "providers.ctl"), "show", "protocols").stdout.count(
            "Established"
        )

    # --- the desk -----------------------------------------------------------------------------------------------------

    def __call__(self, command: str, intent: str, *options: str) -> Said:
        """Run a command that reaches the router."""
        argv = [*self._inside(), sys.executable, "-m", "resilience", command, str(self.intents[intent]), *options]
        done = subprocess.run(argv, env=at_a_desk(), capture_output=True, text=True, timeout=240, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    def commit(self, intent: str, *options: str) -> Said:
        """Deploy in earnest, without a drill before it."""
        return self("deploy", intent, "--commit", *BEFORE_PROOF, "--drain-wait", "0s", *options)

    def leave_applied(self, intent: str, deadline_s: int) -> None:
        """Deploy, and be killed when the change is applied and not yet looked at."""
        options = ("--commit", *BEFORE_PROOF, "--drain-wait", "0s", "--deadline", f"{deadline_s}s")
        program = (sys.executable, stepwise.__file__, f"{ROUTER} applied")
        engine = subprocess.Popen(
            [*self._inside(), *program, "deploy", str(self.intents[intent]), *options],
            env=at_a_desk(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert engine.stderr is not None
        told = []
        for line in engine.stderr:
            told.append(line)
            if line.strip() == stepwise.WAITING:
                break
        engine.kill()
        engine.communicate()
        assert told[-1].strip() == stepwise.WAITING, "".join(told)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}"


def _remove_leftovers() -> None:
    """Remove the namespaces of runs that were killed; their machines have ended."""
    for path in Path("/run/netns").glob(f"{_NAMESPACE}*"):
        if not Path("/proc", path.name.removeprefix(_NAMESPACE)).exists():
            _run("ip", "netns", "delete", path.name)


@contextmanager
def open_bench(platform: str, folder: Path) -> Iterator[Bench]:
    """Switch a router of a platform on, prepared and never deployed to."""
    _remove_leftovers()
    name = f"{_NAMESPACE}{os.getpid()}"
    _run("ip", "netns", "add", name)
    bench = Bench(platform, folder, Path("/run/netns", name))
    try:
        _run("ip", "-n", name, "link", "set", "lo", "up")
        bench.install()
        bench.boot()
        bench.start_providers()
        yield bench
    finally:
        bench.close()
        _run("ip", "netns", "delete", name)
        shutil.rmtree(bench.root, ignore_errors=True)
