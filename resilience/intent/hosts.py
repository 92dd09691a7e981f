"""An inventory of Nornir (its simple form, one file of hosts) as hosts: how routers are logged in to.

containerlab writes one beside each lab, `clab-LAB/nornir-simple-inventory.yml`. Groups and defaults, which Nornir keeps
in files of their own, are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from resilience.errors import IntentError
from resilience.intent.problems import Problem, order, show
from resilience.intent.reader import Genre, Tree, Unreadable, parse, read_file
from resilience.model.hosts import Host

GENRE: Final = Genre(
    noun="an inventory of hosts",
    begins="it names hosts, each with `hostname:`, `username:`, `password:` and `platform:`",
    start="containerlab writes one to clab-LAB/nornir-simple-inventory.yml",
    where="name the file of hosts, such as clab-LAB/nornir-simple-inventory.yml",
)
LENIENT: Final = frozenset({"yaml-boolean", "yaml-sexagesimal", "yaml-tag"})
"""What our own language refuses and Nornir reads: text is text here."""
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?")
_WORD: Final = re.compile(r"[!-~]{1,128}")
_PASSWORD: Final = re.compile(r"[ -~]{1,256}")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
MOST_PORT: Final = 65_535


def read_hosts(path: Path) -> Mapping[str, Host]:
    """Return the hosts of an inventory by their names; IntentError with every problem otherwise."""
    try:
        name, data = read_file(path, GENRE)
        tree = parse(name, data, GENRE)
    except Unreadable as stopped:
        raise IntentError(stopped.problems) from None
    reader = _Reader(tree)
    hosts = {node: reader.host(node, value) for node, value in tree.value.items()}
    if reader.problems:
        raise IntentError(order(reader.problems))
    return hosts


class _Reader:
    """Reads hosts, collecting what is wrong with them."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.problems: list[Problem] = [problem for problem in tree.problems if problem.rule not in LENIENT]

    def host(self, node: str, value: Any) -> Host:
        """Return one host."""
        if not _NAME.fullmatch(node):
            self._report("bad-name", (node,), f"{show(node)} cannot be the name of a host", key=True)
        if value is None:
            return Host(node=node)
        if not isinstance(value, dict):
            self._report("wrong-type", (node,), f"a host is a mapping of keys to values, this is {show(value)}")
            return Host(node=node)
        return Host(
            node=node,
            hostname=self._hostname(node, value),
            port=self._port(node, value),
            username=self._text(node, value, "username", _WORD),
            password=self._password(node, value),
            platform=self._text(node, value, "platform", _WORD),
        )

    def _report(
        self, rule: str, path: tuple[str | int, ...], message: str, hint: str = "", *, key: bool = False
    ) -> None:
        self.problems.append(self._tree.problem(rule, path, message, hint, key=key))

    def _text(self, node: str, host: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
        value = host.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self._report(
                "bad-text", (node, key), f"{show(value)} cannot be a {key}", "one word of printable characters"
            )
            return ""
        return str(value)

    def _password(self, node: str, host: Mapping[str, Any]) -> str:
        value = host.get("password")
        if value is None:
            return ""
        if not isinstance(value, str) or not _PASSWORD.fullmatch(value):
            # Not quoted: it may be a password all the same.
            self._report(
                "bad-text", (node, "password"), "this cannot be a password", "printable characters, at most 256"
            )
            return ""
        return str(value)

    def _hostname(self, node: str, host: Mapping[str, Any]) -> str:
        text = self._text(node, host, "hostname", _WORD)
        if text and not is_address(text) and not _NAME.fullmatch(text):
            self._report("bad-address", (node, "hostname"), f"{show(text)} is neither an address nor a name")
        return text

    def _port(self, node: str, host: Mapping[str, Any]) -> int | None:
        value = host.get("port")
        if value is None:
            return None
        if not isinstance(value, str) or not _PORT.fullmatch(value) or int(value) > MOST_PORT:
            self._report("bad-number", (node, "port"), f"a port lies between 1 and {MOST_PORT}, this is {show(value)}")
            return None
        return int(value)


def is_address(text: str) -> bool:
    """Say whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
