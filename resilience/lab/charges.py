"""The faults themselves: what each kind prepares, does and undoes. `faults.py` chooses and fires them."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from enum import StrEnum
from typing import Final

from resilience.errors import LabError
from resilience.lab.control import BirdControl, FrrControl
from resilience.lab.daemons import bird_command, open_bird, open_frr, read_bird_protocols, runs
from resilience.lab.netlink import (
    HOOK_EGRESS,
    HOOK_INGRESS,
    NETLINK_NETFILTER,
    NETLINK_ROUTE,
    Message,
    Netlink,
    NetlinkError,
    delete_table,
    drop_forwarded,
    drop_on_device,
    link_indexes,
    set_link,
)
from resilience.lab.netns import enter_namespace
from resilience.lab.seam import Guest, Inhabited, Lab
from resilience.model.plan import Node, RouteUse, SessionEnd

_END_LIMIT_S: Final = 10.0
_NOT_THERE: Final = frozenset({errno.ENOENT})
_THERE: Final = frozenset({errno.EEXIST})


class Batch:
    """A prepared batch of netlink messages in a node."""

    def __init__(self, lab: Lab, node: str, protocol: int) -> None:
        with enter_namespace(lab.namespace(node)):
            self._netlink = Netlink(protocol)
            self.indexes = link_indexes(self._netlink) if protocol == NETLINK_ROUTE else {}
        self._node = node
        self._packed = b""
        self._positions: dict[int, int] = {}

    def load(self, messages: tuple[Message, ...]) -> None:
        """Build what `fire` sends."""
        self._packed, self._positions = self._netlink.pack(messages)

    def index(self, interface: str) -> int:
        """Return an interface's number."""
        if interface not in self.indexes:
            raise LabError(f"{self._node} has no interface {interface}")
        return self.indexes[interface]

    def fire(self) -> None:
        """Send the batch: on return the kernel has acted."""
        self._netlink.send(self._packed)

    def confirm(self, ignore: frozenset[int] = frozenset()) -> None:
        """Read the answers; LabError when the kernel refused."""
        try:
            self._netlink.collect(self._positions, ignore=ignore)
        except NetlinkError as error:
            raise LabError(f"the kernel of {self._node} refused a fault: {error.strerror}") from error

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()


def _act(lab: Lab, node: str, protocol: int, messages: tuple[Message, ...], ignore: frozenset[int]) -> None:
    batch = Batch(lab, node, protocol)
    try:
        batch.load(messages)
        batch.fire()
        batch.confirm(ignore)
    finally:
        batch.close()


class Carrier:
    """A pulled cable: one end goes down, and both lose carrier at once."""

    revive: tuple[tuple[str, bool], ...] = ()

    def __init__(self, lab: Lab, node: Node, interface: str) -> None:
        self._lab = lab
        self._node = node
        self._interface = interface
        self._batch: Batch | None = None

    def prepare(self) -> None:
        """Open a socket in the node and build the message."""
        self._batch = Batch(self._lab, self._node.name, NETLINK_ROUTE)
        self._batch.load((set_link(self._batch.index(self._interface), up=False),))

    def fire(self) -> None:
        """Take the end down."""
        if self._batch is not None:
            self._batch.fire()

    def confirm(self) -> None:
        """Read the kernel's answer."""
        if self._batch is not None:
            self._batch.confirm()

    def heal(self) -> None:
        """Raise the end, and give a host back the routes that fell with it; daemons bring their own back."""
        batch = Batch(self._lab, self._node.name, NETLINK_ROUTE)
        try:
            batch.load((set_link(batch.index(self._interface), up=True),))
            batch.fire()
            batch.confirm()
        finally:
            batch.close()
        if isinstance(self._lab, Guest):
            self._lab.restore(self._node.name)
        restore_gateways(self._lab, self._node)

    def close(self) -> None:
        """Close the socket."""
        if self._batch is not None:
            self._batch.close()
            self._batch = None


def restore_gateways(lab: Lab, node: Node) -> None:
    """Set a host's routes by hand again: the kernel forgets those whose interface went down."""
    lines = []
    for route in node.statics:
        if route.use is RouteUse.GATEWAY:
            loopback = node.loopback(route.prefix.version)
            hops = " ".join(f"nexthop via {hop.address} dev {hop.interface}" for hop in route.next_hops)
            lines.append(f"route replace {route.prefix}{f' src {loopback.ip}' if loopback else ''} {hops}")
    if lines:
        # Forced: a next hop may be behind another cable that is pulled just now.
        lab.run(node.name, ["ip", "-force", "-batch", "-"], stdin="\n".join(lines) + "\n")


class _Table:
    """A fault that is an nftables table of its own in a node."""

    revive: tuple[tuple[str, bool], ...] = ()

    def __init__(self, lab: Lab, node: str, table: str, messages: tuple[Message, ...], *, device: bool) -> None:
        self._lab = lab
        self._node = node
        self._table = table
        self._messages = messages
        self._device = device
        self._batch: Batch | None = None

    def prepare(self) -> None:
        """Open a socket in the node and build the batch."""
        self._batch = Batch(self._lab, self._node, NETLINK_NETFILTER)
        self._batch.load(self._messages)

    def fire(self) -> None:
        """Load the table: from now on packets vanish."""
        if self._batch is not None:
            self._batch.fire()

    def confirm(self) -> None:
        """Read the kernel's answer."""
        if self._batch is not None:
            self._batch.confirm(_THERE)

    def heal(self) -> None:
        """Take the table away."""
        _act(self._lab, self._node, NETLINK_NETFILTER, delete_table(self._table, device=self._device), _NOT_THERE)

    def close(self) -> None:
        """Close the socket."""
        if self._batch is not None:
            self._batch.close()
            self._batch = None


class Silence(_Table):
    """A cable that loses packets while carrier stays: every frame, the protocols' own included."""

    def __init__(self, lab: Lab, node: str, interface: str, *, entering: bool, leaving: bool) -> None:
        hooks = [HOOK_INGRESS] * entering + [HOOK_EGRESS] * leaving
        table = f"nr_silent_{interface}_{''.join(str(hook) for hook in hooks)}"
        super().__init__(lab, node, table, drop_on_device(table, interface, hooks), device=True)


class Grey(_Table):
    """A router that keeps its sessions and forwards nothing."""

    def __init__(self, lab: Lab, node: str) -> None:
        super().__init__(lab, node, "nr_grey", drop_forwarded("nr_grey"), device=False)


class _Processes:
    """Signals to processes through descriptors: no number can be reused in between."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def open(self, pids: list[int]) -> None:
        """Hold on to processes."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                self._descriptors.append(os.pidfd_open(pid))

    def send(self, number: signal.Signals) -> None:
        """Send all of them a signal."""
        for descriptor in self._descriptors:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)

    def close(self) -> None:
        """Let go."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []


class Crash:
    """A node without power: every process dies, every cable of it loses carrier; it returns by booting."""

    def __init__(self, lab: Lab, node: Node) -> None:
        self.revive: tuple[tuple[str, bool], ...] = ((node.name, True),)
        self._lab = lab
        self._node = node
        self._batch: Batch | None = None
        self._processes = _Processes()

    def prepare(self) -> None:
        """Hold on to the node's processes and build the messages."""
        if not isinstance(self._lab, Guest):
            self._processes.open(self._alive())
        self._batch = Batch(self._lab, self._node.name, NETLINK_ROUTE)
        names = [interface.name for interface in self._node.interfaces]
        self._batch.load(tuple(set_link(self._batch.index(name), up=False) for name in names))

    def fire(self) -> None:
        """Cables first: a dying daemon closes its connections, and a dead machine does not."""
        if self._batch is not None:
            self._batch.fire()
        self._processes.send(signal.SIGKILL)

    def confirm(self) -> None:
        """Read the kernel's answer, and see that nothing was started while the rest was ended."""
        if self._batch is not None:
            self._batch.confirm()
        if isinstance(self._lab, Inhabited):
            deadline = time.monotonic() + _END_LIMIT_S
            while alive := self._alive():
                if time.monotonic() > deadline:
                    raise LabError(f"{self._node.name}: processes {alive} do not end")
                self._processes.open(alive)
                self._processes.send(signal.SIGKILL)
                time.sleep(0.002)

    def _alive(self) -> list[int]:
        if isinstance(self._lab, Inhabited):
            return list(self._lab.processes(self._node.name))
        return [daemon.pid for daemon in self._lab.daemons(self._node.name) if daemon.running]

    def heal(self) -> None:
        """Nothing here: the node is in `revive`."""

    def close(self) -> None:
        """Let go of processes and socket."""
        self._processes.close()
        if self._batch is not None:
            self._batch.close()
            self._batch = None


class Process:
    """One daemon, killed or stopped: BIRD, or FRR's bgpd, the one that speaks to others."""

    def __init__(self, lab: Lab, node: Node, *, stop: bool) -> None:
        self.revive: tuple[tuple[str, bool], ...] = () if stop else ((node.name, False),)
        self._lab = lab
        self._node = node
        self._stop = stop
        self._processes = _Processes()

    def prepare(self) -> None:
        """Hold on to the process; LabError when there is none."""
        pids = self._pids()
        if not pids:
            raise LabError(f"{self._node.name} runs no routing daemon")
        self._processes.open(pids)

    def fire(self) -> None:
        """Kill or stop it."""
        self._processes.send(signal.SIGSTOP if self._stop else signal.SIGKILL)

    def confirm(self) -> None:
        """Signals need no confirmation."""

    def heal(self) -> None:
        """Let a stopped process go on; a killed one is in `revive`."""
        if self._stop:
            awake = _Processes()
            awake.open(self._pids())
            awake.send(signal.SIGCONT)
            awake.close()

    def close(self) -> None:
        """Let go."""
        self._processes.close()

    def _pids(self) -> list[int]:
        daemons = self._lab.daemons(self._node.name)
        return [daemon.pid for daemon in daemons if daemon.running and daemon.name in {"bird", "bgpd"}]


class SessionAct(StrEnum):
    """What is done to a session."""

    RESET = "reset"
    DOWN = "down"


class Session:
    """A BGP session closed by the daemon at its far end: once, or for good by administration (RFC 8203 cease)."""

    revive: tuple[tuple[str, bool], ...] = ()

    def __init__(self, lab: Lab, acting: SessionEnd, other: SessionEnd, act: SessionAct) -> None:
        self._lab = lab
        self._acting = acting
        self._other = str(other.address)
        self._act = act
        self._bird: BirdControl | None = None
        self._frr: FrrControl | None = None
        self._command = ""

    def prepare(self) -> None:
        """Connect to the daemon and find its name for the session."""
        if runs(self._lab, self._acting.node, "bird"):
            self._bird = open_bird(self._lab, self._acting.node)
            verb = "restart" if self._act is SessionAct.RESET else "disable"
            self._command = f"{verb} {self._protocol()}"
            return
        self._frr = open_frr(self._lab, self._acting.node, "bgpd")
        if self._act is SessionAct.RESET:
            self._command = f"clear bgp {self._other}"
        else:
            self._enter_configuration(self._frr)
            self._command = f"neighbor {self._other} shutdown"

    def fire(self) -> None:
        """Tell the daemon."""
        if self._bird is not None:
            self._bird.send(self._command)
        elif self._frr is not None:
            self._frr.send(self._command)

    def confirm(self) -> None:
        """Read what the daemon answered."""
        if self._bird is not None:
            code, text = self._bird.receive()
            if code >= 8_000:
                raise LabError(f"{self._acting.node}: {self._command}: {text}")
        elif self._frr is not None:
            code, text = self._frr.receive()
            if code not in {0, 1}:
                raise LabError(f"{self._acting.node}: {self._command}: {text}")

    def heal(self) -> None:
        """Allow the session again."""
        if self._act is SessionAct.RESET:
            return
        if runs(self._lab, self._acting.node, "bird"):
            bird_command(self._lab, self._acting.node, f"enable {self._protocol()}")
            return
        with open_frr(self._lab, self._acting.node, "bgpd") as frr:
            self._enter_configuration(frr)
            frr.command(f"no neighbor {self._other} shutdown")

    def close(self) -> None:
        """Close the connections."""
        for control in (self._bird, self._frr):
            if control is not None:
                control.close()
        self._bird = self._frr = None

    def _protocol(self) -> str:
        names = read_bird_protocols(bird_command(self._lab, self._acting.node, "show protocols all"))
        if self._other not in names:
            raise LabError(f"{self._acting.node} has no session with {self._other}")
        return names[self._other]

    def _enter_configuration(self, frr: FrrControl) -> None:
        frr.command("configure terminal")
        frr.command(f"router bgp {self._acting.asn}")
