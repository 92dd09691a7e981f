"""How somebody logs in to a router: what an inventory of Nornir says of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A node and the login side of it. What is empty was not stated. The password is never shown."""

    node: str
    hostname: str = ""
    """An address or a name; empty where the node has no way in but its console."""
    port: int | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    platform: str = ""
    """As Nornir's drivers call it."""
