"""The SSH session to a router, as a connection of Nornir: netmiko's, without a shell, and with strict host keys.

Netmiko's own login opens a terminal and waits for a prompt, which costs time, breaks on unusual prompts, and can wait
an hour for a channel that a cut line never opens. Commands run on exec channels instead, so that the exit code, stdout
and stderr of each arrive apart and nothing is ever typed.
"""

from __future__ import annotations

import getpass
import logging
import socket
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import paramiko
from netmiko.linux.linux_ssh import LinuxSSH
from nornir.core.configuration import Config
from nornir.core.plugins.connections import ConnectionPluginRegister

CONNECTION: Final = "resilience-ssh"
"""All of Nornir's plugins share one dictionary of names, so ours carries our own."""
_SYSTEM_KNOWN_HOSTS: Final = Path("/etc/ssh/ssh_known_hosts")
_USERS_KNOWN_HOSTS: Final = Path("~/.ssh/known_hosts")
_CHANNEL_TIMEOUT_S: Final = 10
_AUTH_TIMEOUT_S: Final = 15
_KEEPALIVE_S: Final = 3
_CUT_S: Final = 12


# What goes wrong is raised and told in our own words. Without any handler, paramiko's log would print tracebacks too.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class UnknownHostKey(Exception):
    """Nobody has said yet which key the machine at an address has."""

    def __init__(self, name: str, key: paramiko.PKey) -> None:
        super().__init__(name)
        self.name = name
        """As `known_hosts` writes it: `[ADDRESS]:PORT` where the port is not 22."""
        self.key = key


class ChangedHostKey(Exception):
    """Another machine answers than the one that is known."""

    def __init__(self, name: str, key: paramiko.PKey, known: paramiko.PKey) -> None:
        super().__init__(name)
        self.name = name
        self.key = key
        self.known = known


class _RefuseUnknown(paramiko.MissingHostKeyPolicy):
    """Stops before anything is said to a machine that may be anybody."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        del client
        raise UnknownHostKey(hostname, key)


class ExecSession(LinuxSSH):
    """A session of netmiko that only logs in. Errors are paramiko's own, which say what happened."""

    login_name: str = ""
    """Whom the router knows us as, once it was asked."""

    def establish_connection(self, width: int = 511, height: int = 1000) -> None:
        """Log in; the host's key is checked before anything else is said."""
        del width, height
        self.key_policy = _RefuseUnknown()
        files = self._known_hosts()
        client = self._build_ssh_client()
        self.remote_conn_pre = client
        parameters = self._connect_params_dict()
        _add_known_keys(client, files, _name_of(parameters["hostname"], parameters["port"]))
        try:
            client.connect(**parameters, channel_timeout=_CHANNEL_TIMEOUT_S)
        except paramiko.BadHostKeyException as error:
            raise ChangedHostKey(_name_of(error.hostname, parameters["port"]), error.key, error.expected_key) from None
        _notice_a_cut(self._transport())

    def _known_hosts(self) -> list[Path]:
        """Return the files of host keys to believe, and keep netmiko from reading them for every session."""
        files = [_USERS_KNOWN_HOSTS.expanduser()] if self.system_host_keys else []
        files.append(_SYSTEM_KNOWN_HOSTS)
        files += [Path(self.alt_key_file)] if self.alt_host_keys else []
        self.system_host_keys = self.alt_host_keys = False
        return files

    def cleanup(self, command: str = "exit") -> None:
        """Do nothing: there is no shell to leave."""

    def open_channel(self, timeout_s: float) -> paramiko.Channel:
        """Return a channel to run one command on."""
        return self._transport().open_session(timeout=timeout_s)

    def _transport(self) -> paramiko.Transport:
        client = self.remote_conn_pre
        transport = client.get_transport() if client is not None else None
        if transport is None:
            raise EOFError("the session is closed")
        return transport

    def _connect_params_dict(self) -> dict[str, Any]:
        """Add what netmiko leaves out: the keys that `ssh` itself would try, where no other way in is stated."""
        parameters = super()._connect_params_dict()
        parameters["look_for_keys"] = not (self.key_file or self.password)
        parameters["auth_timeout"] = self.auth_timeout or _AUTH_TIMEOUT_S
        # As `ssh` does: without a name in the inventory or the configuration of ssh, it is our own.
        self.login_name = parameters["username"] = parameters["username"] or getpass.getuser()
        return parameters


def _name_of(hostname: str, port: int) -> str:
    """Return what a machine is called in files of known hosts."""
    return hostname if port == paramiko.config.SSH_PORT else f"[{hostname}]:{port}"


def _add_known_keys(client: paramiko.SSHClient, files: Iterable[Path], name: str) -> None:
    """Tell a client the keys of its host from the first file that knows it, as `ssh` and paramiko go through them."""
    for path in files:
        try:
            with _READING:
                keys = _read_known_hosts(path, path.stat().st_mtime_ns).lookup(name)
        except OSError:
            continue
        if keys:
            for kind, key in keys.items():
                client.get_host_keys().add(name, kind, key)
            return


_READING: Final = threading.Lock()


@lru_cache(maxsize=8)
def _read_known_hosts(path: Path, _written_ns: int) -> paramiko.HostKeys:
    """Read a file of known hosts once: paramiko compares each line with all others, for each session anew otherwise."""
    return paramiko.HostKeys(str(path))


def _notice_a_cut(transport: paramiko.Transport) -> None:
    """Have a line that was cut end the session within some 15 s, whatever is being waited for."""
    transport.set_keepalive(_KEEPALIVE_S)
    line = transport.sock
    if isinstance(line, socket.socket):  # or a proxy's command, which has its own means
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _CUT_S * 1000)


class ExecOnly:
    """Nornir's connection plugin."""

    connection: ExecSession

    def open(
        self,
        hostname: str | None,
        username: str | None,
        password: str | None,
        port: int | None,
        platform: str | None,
        extras: dict[str, Any] | None = None,
        configuration: Config | None = None,
    ) -> None:
        """Log in with the options of a host's connection `netmiko`."""
        del platform
        options: dict[str, Any] = {"system_host_keys": True, "allow_agent": True}
        options["ssh_config_file"] = configuration.ssh.config_file if configuration else None
        options |= extras or {}
        options |= {"device_type": "linux", "ssh_strict": True, "auto_connect": False}
        session = ExecSession(host=hostname or "", username=username or "", password=password, port=port, **options)
        try:
            session.establish_connection()
        except BaseException:
            session.disconnect()
            raise
        self.connection = session

    def close(self) -> None:
        """Log out."""
        self.connection.disconnect()


def register() -> None:
    """Make the connection known to Nornir."""
    ConnectionPluginRegister.register(CONNECTION, ExecOnly)
