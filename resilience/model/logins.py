"""How an inventory of Nornir says that routers are logged in to: hosts, the groups they are in, and what is for all.

The form is that of Nornir's simple inventory, so an engineer's own files are read as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How one kind of connection is opened, where it is not as everything else. None: not stated."""

    hostname: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    platform: str | None = None
    extras: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Arguments for the library that opens it; paths are absolute. May hold passwords, so it is never shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What is said of one host, of one group, or of all. None: not stated."""

    hostname: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    """The password itself, or where it is kept (`env:`, `file:`, `vault:`)."""
    platform: str | None = None
    groups: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    connections: Mapping[str, Connection] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """The login side of an inventory."""

    hosts: Mapping[str, Login] = field(default_factory=dict)
    groups: Mapping[str, Login] = field(default_factory=dict)
    defaults: Login = Login()
