"""What a lab's routing daemons say, in the same words for FRR and BIRD, and what they can be told."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from resilience.errors import LabError
from resilience.lab.control import BirdControl, CommandRefused, FrrControl
from resilience.lab.seam import Completed, Daemon, Lab
from resilience.model.configs import ConfigFile

_RELOAD_LIMIT_S: Final = 60
_FRR_RELOAD: Final = "/usr/lib/frr/frr-reload.py"
_VTYSH_CONF: Final = "service integrated-vtysh-config\n"
_READERS: Final = {"nftables.conf": ("nft", "-f", "-"), "sysctl.conf": ("sysctl", "--quiet", "--load=-")}
"""Programs that read a file from their standard input."""
_WHO_ANSWERS: Final = (("ospf6", "ospf6d"), ("ospf", "ospfd"), ("bfd", "bfdd"), ("bgp", "bgpd"), ("rpki", "bgpd"))


@dataclass(frozen=True, slots=True)
class BfdPeer:
    """A BFD session as one end sees it."""

    address: str
    interface: str
    up: bool


def find_daemon(lab: Lab, node: str, name: str) -> Daemon:
    """Return a node's daemon by name; LabError when the node runs no such daemon or it has died."""
    for daemon in lab.daemons(node):
        if daemon.name == name:
            if not daemon.running:
                raise LabError(f"{name} of {node} has died")
            return daemon
    raise LabError(f"{node} runs no {name}")


def runs(lab: Lab, node: str, name: str) -> bool:
    """Say whether a node has a daemon of that name, dead or alive."""
    return any(daemon.name == name for daemon in lab.daemons(node))


def open_bird(lab: Lab, node: str) -> BirdControl:
    """Return a connection to a node's BIRD."""
    return BirdControl(_control(find_daemon(lab, node, "bird")))


def open_frr(lab: Lab, node: str, daemon: str) -> FrrControl:
    """Return a connection to one of a node's FRR daemons."""
    return FrrControl(_control(find_daemon(lab, node, daemon)))


def _control(daemon: Daemon) -> Path:
    if daemon.control is None:
        raise LabError(f"{daemon.name} has no control socket")
    return daemon.control


def bird_command(lab: Lab, node: str, command: str) -> str:
    """Run a command in a node's BIRD and return what it says, as birdc would print it."""
    with open_bird(lab, node) as bird:
        return bird.command(command)


def frr_command(lab: Lab, node: str, command: str, daemon: str | None = None) -> str:
    """Run a command in a node's FRR and return what it says; without `daemon`, of the one that the command names."""
    chosen = daemon or next((who for word, who in _WHO_ANSWERS if word in command), "zebra")
    with open_frr(lab, node, chosen) as frr:
        return frr.command(command)


def reload_configs(lab: Lab, node: str, files: Iterable[ConfigFile]) -> None:
    """Load other configuration files into a running node, as deployment would.

    BIRD reconfigures what has changed; FRR's own frr-reload.py works the difference out and applies it; nftables
    replaces our table as a whole. Files of other kinds are left alone. The node's start-up files stay as they are.
    """
    for file in files:
        if file.path == "bird.conf":
            _reload_bird(lab, node, file.text)
        elif file.path == "frr.conf":
            _reload_frr(lab, node, file.text)
        elif file.path in _READERS:
            _read_in(lab, node, _READERS[file.path], file.text)


def _read_in(lab: Lab, node: str, reader: tuple[str, ...], text: str) -> None:
    done = lab.run(node, reader, stdin=text)
    if done.exit_code != 0:
        raise LabError(f"{reader[0]} of {node} did not take its new configuration: {done.stderr.strip()}")


def _reload_bird(lab: Lab, node: str, text: str) -> None:
    path = "/run/bird/reload.conf"
    _write_in(lab, node, path, text)
    answer = bird_command(lab, node, f'configure "{path}"')
    if not re.search(r"Reconfigured|Reconfiguration in progress", answer):
        raise LabError(f"bird of {node} did not take its new configuration: {answer.strip()}")


def _reload_frr(lab: Lab, node: str, text: str) -> None:
    inside = lab.run(node, ["test", "-x", _FRR_RELOAD]).exit_code == 0
    reload = _reload_inside if inside else _reload_from_outside
    done = reload(lab, node, text)
    if done.exit_code != 0:
        # It says each line twice, and bgpd calls graceful restart that is repeated an error. Where all has been taken,
        # nothing is left to say the next time.
        done = reload(lab, node, text)
    if done.exit_code != 0:
        raise LabError(f"FRR of {node} did not take its new configuration: {(done.stdout + done.stderr)[-2000:]}")


def _reload_inside(lab: Lab, node: str, text: str) -> Completed:
    # In a folder of its own, named as the start-up file is: then frr-reload.py does not write the result over it.
    folder = "/run/frr/reload"
    lab.run(node, ["mkdir", "-p", folder])
    _write_in(lab, node, f"{folder}/frr.conf", text)
    _write_in(lab, node, f"{folder}/vtysh.conf", _VTYSH_CONF)
    return lab.run(node, _reload_argv(folder), timeout_s=_RELOAD_LIMIT_S)


def _reload_from_outside(lab: Lab, node: str, text: str) -> Completed:
    """Let this machine's frr-reload.py talk to daemons of a node that has none: it needs Python, which routers lack."""
    if not Path(_FRR_RELOAD).exists():
        raise LabError(
            f"neither {node} nor this machine has frr-reload.py", hint="on Debian: apt-get install frr-pythontools"
        )
    sockets = _control(find_daemon(lab, node, "zebra")).parent
    with tempfile.TemporaryDirectory(prefix="resilience-frr-") as folder:
        Path(folder, "frr.conf").write_text(text, encoding="utf-8")
        Path(folder, "vtysh.conf").write_text(_VTYSH_CONF, encoding="utf-8")
        argv = [*_reload_argv(folder), "--rundir", folder, "--vty_socket", str(sockets)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=_RELOAD_LIMIT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LabError(f"{node}: {' '.join(argv)}: {error}") from error
    return Completed(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def _reload_argv(folder: str) -> list[str]:
    return [_FRR_RELOAD, "--reload", "--confdir", folder, f"{folder}/frr.conf"]


def _write_in(lab: Lab, node: str, path: str, text: str) -> None:
    done = lab.run(node, ["tee", path], stdin=text)
    if done.exit_code != 0:
        raise LabError(f"{node}: {path} cannot be written: {done.stderr.strip()}")


# --- what they say ---------------------------------------------------------------------------------------------------


class Speaker:
    """A node's daemons with their connections kept open, for those who ask often."""

    def __init__(self, lab: Lab, node: str) -> None:
        self._lab = lab
        self._node = node
        self._bird: BirdControl | None = None
        self._frr: dict[str, FrrControl] = {}
        self._is_bird = runs(lab, node, "bird")

    def close(self) -> None:
        """Close the connections."""
        for control in (self._bird, *self._frr.values()):
            if control is not None:
                control.close()
        self._bird, self._frr = None, {}

    def ask_bird(self, command: str) -> str:
        """Return BIRD's answer."""
        if self._bird is None:
            self._bird = open_bird(self._lab, self._node)
        return self._bird.command(command)

    def ask_frr(self, daemon: str, command: str) -> Any:
        """Return an FRR daemon's answer to a `show ... json`."""
        return json.loads(self.ask_frr_text(daemon, command) or "{}")

    def ask_frr_text(self, daemon: str, command: str) -> str:
        """Return an FRR daemon's answer."""
        if daemon not in self._frr:
            self._frr[daemon] = open_frr(self._lab, self._node, daemon)
        return self._frr[daemon].command(command)

    def bgp_states(self) -> Mapping[str, str]:
        """Return the state of each BGP session by the neighbour's address, such as `Established`."""
        if self._is_bird:
            return read_bird_sessions(self.ask_bird("show protocols all"))
        if not runs(self._lab, self._node, "bgpd"):
            return {}
        families = self.ask_frr("bgpd", "show bgp summary json")
        return {
            address: str(peer.get("state", "?"))
            for family in families.values()
            for address, peer in family.get("peers", {}).items()
        }

    def updates_held(self) -> bool:
        """Say whether FRR's bgpd still holds back first updates, as it does for a second after a session came up."""
        return not self._is_bird and any(
            "(Running)" in self.ask_frr_text("bgpd", f"show bgp ipv{family} unicast update-groups") for family in (4, 6)
        )

    def full_adjacencies(self) -> frozenset[tuple[int, str]]:
        """Return (family, interface) of each interface on which an OSPF neighbour is full."""
        if self._is_bird:
            return self._bird_adjacencies()
        found = set()
        if runs(self._lab, self._node, "ospfd"):
            found |= read_ospf_neighbors(self.ask_frr("ospfd", "show ip ospf neighbor json"))
        if runs(self._lab, self._node, "ospf6d"):
            found |= read_ospf6_neighbors(self.ask_frr("ospf6d", "show ipv6 ospf6 neighbor json"))
        return frozenset(found)

    def _bird_adjacencies(self) -> frozenset[tuple[int, str]]:
        found: set[tuple[int, str]] = set()
        for line in self.ask_bird("show protocols").splitlines():
            words = line.split()
            if len(words) >= 4 and words[1] == "OSPF" and words[3] == "up":
                found |= read_bird_neighbors(self.ask_bird(f"show ospf neighbors {words[0]}"))
        return frozenset(found)

    def bfd_peers(self) -> tuple[BfdPeer, ...]:
        """Return the BFD sessions that this node has."""
        if self._is_bird:
            try:
                return read_bird_bfd(self.ask_bird("show bfd sessions"))
            except CommandRefused:  # no BFD protocol
                return ()
        if not runs(self._lab, self._node, "bfdd"):
            return ()
        return tuple(
            BfdPeer(peer["peer"], peer.get("interface", ""), peer["status"] == "up")
            for peer in self.ask_frr("bfdd", "show bfd peers json")
        )


def read_bird_sessions(text: str) -> dict[str, str]:
    """Read `show protocols all` of BIRD: each BGP neighbour's address and the session's state."""
    found: dict[str, str] = {}
    state = ""
    for line in text.splitlines():
        key, separator, value = line.strip().partition(":")
        if not line.startswith(" "):
            state = ""
        elif separator and key == "BGP state":
            state = value.strip()
        elif separator and key == "Neighbor address" and state:
            found[value.strip().partition("%")[0]] = state
    return found


def read_bird_protocols(text: str) -> dict[str, str]:
    """Read `show protocols all` of BIRD: each BGP neighbour's address and the protocol's name."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line and not line.startswith(" "):
            name = line.split()[0]
        key, separator, value = line.strip().partition(":")
        if separator and key == "Neighbor address":
            found[value.strip().partition("%")[0]] = name
    return found


def read_bird_neighbors(text: str) -> set[tuple[int, str]]:
    """Read `show ospf neighbors` of BIRD: family and interface of those that are full."""
    rows = (line.split() for line in text.splitlines())
    return {(6 if ":" in row[5] else 4, row[4]) for row in rows if len(row) >= 6 and row[2].startswith("Full")}


def read_bird_bfd(text: str) -> tuple[BfdPeer, ...]:
    """Read `show bfd sessions` of BIRD."""
    rows = (line.split() for line in text.splitlines())
    return tuple(
        BfdPeer(row[0].partition("%")[0], row[1].replace("---", ""), row[2] == "Up")
        for row in rows
        if len(row) >= 4 and row[2] in {"Up", "Down", "Init", "AdminDown"}
    )


def read_ospf_neighbors(document: Mapping[str, Any]) -> set[tuple[int, str]]:
    """Read `show ip ospf neighbor json` of FRR: (4, interface) of those that are full."""
    return {
        (4, str(neighbor.get("ifaceName", "")).partition(":")[0])
        for neighbors in document.get("neighbors", {}).values()
        for neighbor in neighbors
        if str(neighbor.get("nbrState", neighbor.get("state", ""))).startswith("Full")
    }


def read_ospf6_neighbors(document: Mapping[str, Any]) -> set[tuple[int, str]]:
    """Read `show ipv6 ospf6 neighbor json` of FRR: (6, interface) of those that are full."""
    return {
        (6, str(neighbor.get("interfaceName", "")))
        for neighbor in document.get("neighbors", [])
        if neighbor.get("state") == "Full"
    }
