"""Commands on one router over SSH: each on a channel of its own, with its exit code, bounded in size and in time.

What goes wrong is told apart by what is to be done about it: the router is away, the login is refused, or the machine
is not the one that it should be. Nothing that is sent or received is ever logged here, since it may hold passwords.
"""

from __future__ import annotations

import base64
import hashlib
import select
import shlex
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import paramiko
from nornir.core.configuration import Config
from nornir.core.exceptions import ConnectionNotOpen
from nornir.core.inventory import Host

from resilience.deploy.ssh import CONNECTION, ChangedHostKey, ExecSession, UnknownHostKey, register
from resilience.errors import RouterError, RouterTrouble

MOST_STDOUT: Final = 16 * 2**20
_MOST_STDERR: Final = 64 * 2**10
_CHUNK: Final = 32 * 2**10
_OPEN_S: Final = 10.0
_SENDING_S: Final = 0.05
"""How often it is looked whether more can be sent, while nothing comes in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said."""

    code: int
    stdout: bytes = field(repr=False)
    stderr: str = field(repr=False)


class Transport(Protocol):
    """A way to run commands on one router."""

    @property
    def root(self) -> bool:
        """Whether commands run as root already."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Answer:
        """Run a command and return what it said, whatever its exit code; RouterError where it could not be run."""

    def hang_up(self) -> None:
        """End the session; the next command opens another one. Never raises."""


class SshTransport:
    """Commands on a host of Nornir. Used by one thread at a time."""

    def __init__(self, host: Host, configuration: Config) -> None:
        self._host = host
        self._configuration = configuration

    @property
    def root(self) -> bool:
        """Whether the login is root's own. Logs in if nobody has yet."""
        return self._open().login_name == "root"

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Answer:
        """Run a command; after an error the session is closed, so that the next command opens a new one."""
        try:
            return self._run(shlex.join(argv), stdin, time.monotonic() + timeout_s)
        except RouterError:
            self.hang_up()
            raise
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.hang_up()
            raise RouterError(RouterTrouble.UNREACHABLE, f"the session broke: {_say(error)}") from None

    def hang_up(self) -> None:
        """End the session."""
        try:
            self._host.close_connection(CONNECTION)
        except ConnectionNotOpen:
            pass
        except Exception:  # noqa: BLE001 - whatever a broken session does, the next one is a new one
            self._host.connections.pop(CONNECTION, None)

    def _run(self, command: str, stdin: bytes, until: float) -> Answer:
        session = self._open()
        channel = session.open_channel(min(_OPEN_S, max(0.1, until - time.monotonic())))
        try:
            channel.settimeout(_OPEN_S)
            channel.exec_command(command)
            return _Exchange(channel, stdin, until).finish()
        finally:
            channel.close()

    def _open(self) -> ExecSession:
        """Return the session, opened if there is none; a session whose line broke is no session."""
        plugin = self._host.connections.get(CONNECTION)
        if plugin is not None and not _is_open(plugin.connection):
            self.hang_up()
        if CONNECTION not in self._host.connections:
            self._log_in()
        session = self._host.connections[CONNECTION].connection
        assert isinstance(session, ExecSession)  # noqa: S101 - told to the type checker; nobody else opens this name
        return session

    def _log_in(self) -> None:
        register()
        options = self._host.get_connection_parameters("netmiko")
        address = f"{options.hostname} port {options.port or 22}"
        if not options.hostname:
            raise RouterError(
                RouterTrouble.UNREACHABLE,
                "nobody has said at which address it is, and it has no loopback",
                hint="give it a `hostname:` in hosts.yaml",
            )
        try:
            self._host.open_connection(
                CONNECTION,
                self._configuration,
                hostname=options.hostname,
                username=options.username,
                password=options.password,
                port=options.port,
                platform=options.platform,
                extras=options.extras,
                default_to_host_attributes=False,
            )
        except Exception as error:  # noqa: BLE001 - paramiko hands on whatever a hostile server makes it stumble over
            self._host.connections.pop(CONNECTION, None)
            raise _tell_trouble(error, address, options.username or "") from None


def _is_open(session: ExecSession) -> bool:
    client = session.remote_conn_pre
    transport = client.get_transport() if client is not None else None
    return transport is not None and transport.is_active()


class _Exchange:
    """One command's stdin, stdout and stderr, all at once, so that neither side ever waits for the other to read."""

    def __init__(self, channel: paramiko.Channel, stdin: bytes, until: float) -> None:
        self._channel = channel
        self._unsent = memoryview(stdin)
        self._sending = True
        self._until = until
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)

    def finish(self) -> Answer:
        """Send and receive until the command has ended."""
        while True:
            moved = self._send() | self._receive()
            if self._channel.eof_received and not moved:
                break
            if not moved:
                self._wait()
        if not self._channel.status_event.wait(self._left()):
            raise self._too_late()
        if self._channel.exit_status < 0:
            raise RouterError(RouterTrouble.UNREACHABLE, "the session was cut before the answer came")
        stderr = bytes(self._stderr).decode("utf-8", "replace")
        return Answer(code=self._channel.exit_status, stdout=bytes(self._stdout), stderr=stderr)

    def _send(self) -> bool:
        if not self._sending or not self._channel.send_ready():
            return False
        try:
            if self._unsent:
                sent = self._channel.send(bytes(self._unsent[:_CHUNK]))
                self._unsent = self._unsent[sent:]
            if not self._unsent:
                self._channel.shutdown_write()
                self._sending = False
        except OSError:
            # A command that ends without reading, such as a refusal, has an answer all the same.
            self._sending = False
        return True

    def _receive(self) -> bool:
        moved = False
        if self._channel.recv_ready():
            self._stdout += self._channel.recv(_CHUNK)
            moved = True
        if self._channel.recv_stderr_ready():
            self._stderr += self._channel.recv_stderr(_CHUNK)
            del self._stderr[_MOST_STDERR:]
            moved = True
        if len(self._stdout) > MOST_STDOUT:
            raise RouterError(RouterTrouble.FAILED, f"it answered with more than {MOST_STDOUT // 2**20} MB")
        return moved

    def _wait(self) -> None:
        left = self._left()
        if left <= 0:
            raise self._too_late()
        if self._channel.closed:
            raise RouterError(RouterTrouble.UNREACHABLE, "the session was cut before the answer came")
        self._poll.poll(min(left, _SENDING_S if self._sending else 1.0) * 1000)

    def _left(self) -> float:
        return self._until - time.monotonic()

    def _too_late(self) -> RouterError:
        return RouterError(RouterTrouble.UNREACHABLE, "no answer came in time")


def _tell_trouble(error: Exception, address: str, username: str) -> RouterError:
    """Say what is wrong with a login by what is to be done about it."""
    if isinstance(error, RouterError):
        return error
    if isinstance(error, UnknownHostKey):
        return _unknown_key(error, address)
    if isinstance(error, ChangedHostKey):
        return _changed_key(error, address)
    return _refused_login(error, address, username) or RouterError(
        RouterTrouble.UNREACHABLE,
        f"{address} does not answer: {_say(error)}",
        hint="is the address right, is the router up, may this machine log in from where it is?",
    )


def _refused_login(error: Exception, address: str, username: str) -> RouterError | None:
    if isinstance(error, paramiko.PasswordRequiredException):
        return RouterError(
            RouterTrouble.LOGIN,
            f"the key for {address} is encrypted",
            hint="add it to the agent with `ssh-add`, or state `passphrase: env:NAME` in the extras of netmiko",
        )
    if isinstance(error, paramiko.AuthenticationException) or _has_no_way_in(error):
        return RouterError(
            RouterTrouble.LOGIN,
            f"{address} did not let {username or 'this account'} in",
            hint="hosts.yaml names `username:` and `password:`, or `key_file:` in the extras of netmiko; "
            "without them the agent's keys and those in ~/.ssh are tried",
        )
    if isinstance(error, (ValueError, TypeError)):
        # Netmiko's own: a key file that is not there, an option that it does not know.
        return RouterError(RouterTrouble.LOGIN, f"the login at {address} cannot be tried: {_say(error)}")
    return None


def _has_no_way_in(error: Exception) -> bool:
    """Say whether there was nothing to log in with, which paramiko has no class for."""
    return isinstance(error, paramiko.SSHException) and "authentication" in str(error).lower()


def _unknown_key(error: UnknownHostKey, address: str) -> RouterError:
    line = f"{error.name} {error.key.get_name()} {error.key.get_base64()}"
    return RouterError(
        RouterTrouble.HOST_KEY,
        f"nobody has said yet which machine is at {address}: it shows the {error.key.get_name()} key "
        f"{fingerprint(error.key)}",
        hint="compare that on the router's console (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub); when it is the same, "
        f"add this line to known_hosts beside hosts.yaml, or to ~/.ssh/known_hosts:\n{line}",
    )


def _changed_key(error: ChangedHostKey, address: str) -> RouterError:
    return RouterError(
        RouterTrouble.HOST_KEY,
        f"THE MACHINE AT {address} IS NOT THE ONE THAT IT WAS: its key is {fingerprint(error.key)}, known is "
        f"{fingerprint(error.known)}. Somebody may be in between; nothing was said to it",
        hint=f"only if you know that the router was replaced: ssh-keygen -R '{error.name}', and the same with "
        "-f known_hosts beside hosts.yaml",
    )


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint as OpenSSH shows it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def _say(error: BaseException) -> str:
    """Return an error of the network in a few words of one line."""
    if isinstance(error, TimeoutError):
        return "no answer came in time"
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
        return "; ".join(sorted({_say(one) for one in error.errors.values()}))
    if isinstance(error, socket.gaierror):
        return "its name leads to no address"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in str(text))[:200]
