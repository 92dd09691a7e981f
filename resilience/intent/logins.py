"""Nornir's own files beside `network.yaml` to `Logins`: `hosts.yaml`, `groups.yaml` and `defaults.yaml`.

Nornir would read a misspelled `usernme:` in silence and then log in as nobody; here it is an error with its line, as
everywhere else. Passwords are never quoted, not even in the excerpt of their line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from resilience.errors import IntentError
from resilience.intent.hosts import LENIENT, MOST_PORT, is_address
from resilience.intent.problems import Problem, join_names, nearest, order, show
from resilience.intent.reader import Genre, Quoted, Tree, Unreadable, parse, read_file
from resilience.model.logins import Connection, Login, Logins

HOSTS, GROUPS, DEFAULTS = "hosts.yaml", "groups.yaml", "defaults.yaml"
_PLAIN: Final = ("hostname", "port", "username", "password", "platform")
_SHARED: Final = (*_PLAIN, "data", "connection_options")
_CONNECTION: Final = (*_PLAIN, "extras")
_PATHS: Final = frozenset({"key_file", "alt_key_file", "ssh_config_file"})
"""Extras of netmiko that name files: relative to the file that states them."""
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?")
_WORD: Final = re.compile(r"[!-~]{1,255}")
_PASSWORD: Final = re.compile(r"[ -~]{1,256}")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_NUMBER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FRACTION: Final = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{1,15}")
_TRUTH: Final = {"true": True, "false": False}

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFiles:
    """Where the files are. Those that somebody named must exist; the others are read where they stand."""

    hosts: Path
    groups: Path
    defaults: Path
    must_exist: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The names that the plan gives: whoever else stands in a file of hosts is a mistake."""

    routers: frozenset[str]
    others: frozenset[str]
    """Nodes of the outside world: containerlab's inventory lists them too; they are nobody to log in to."""
    groups: frozenset[str]


def read_logins(files: LoginFiles, known: Known) -> Logins:
    """Return how routers are logged in to; IntentError with every problem of all three files otherwise."""
    problems: list[Problem] = []
    must = files.must_exist
    defaults = _read(files.defaults, problems, _genre("defaults for all hosts", "username:", DEFAULTS), must)
    groups = _read(files.groups, problems, _genre("an inventory of groups", "netops:", GROUPS), must)
    hosts = _read(files.hosts, problems, _genre("an inventory of hosts", "r1:", HOSTS), must)
    group_logins = groups.entries() if groups else {}
    known_groups = known.groups | group_logins.keys()
    if groups:
        groups.check_groups(group_logins, known_groups)
    host_logins = hosts.entries() if hosts else {}
    if hosts:
        hosts.check_groups(host_logins, known_groups)
        hosts.check_names(host_logins, known)
    common = defaults.login(()) if defaults else Login()
    for reader in filter(None, (defaults, groups, hosts)):
        problems += reader.problems
    if problems:
        raise IntentError(order(problems))
    ours = {name: login for name, login in host_logins.items() if name in known.routers}
    return Logins(hosts=ours, groups=group_logins, defaults=common)


def _genre(noun: str, example: str, name: str) -> Genre:
    return Genre(
        noun=noun,
        begins=f"it is Nornir's simple inventory, such as `{example}`",
        start="Nornir's documentation, SimpleInventory, has examples",
        where=f"name a file like {name}",
    )


def _read(path: Path, problems: list[Problem], genre: Genre, must_exist: frozenset[Path]) -> _Reader | None:
    """Return a reader of a file; None where there is none, or nothing in it."""
    if path not in must_exist and not path.exists():
        return None
    try:
        name, data = read_file(path, genre)
        return _Reader(parse(name, data, genre), path.parent)
    except Unreadable as stopped:
        problems += [problem for problem in stopped.problems if problem.rule != "empty-file"]
        return None


class _Reader:
    """Reads the entries of one file, collecting what is wrong with them."""

    def __init__(self, tree: Tree, folder: Path) -> None:
        self._tree = tree
        self._folder = folder
        self.problems: list[Problem] = [problem for problem in tree.problems if problem.rule not in LENIENT]

    def entries(self) -> dict[str, Login]:
        """Return every entry of a file of hosts or groups."""
        found = {}
        for name in self._tree.value:
            if not _NAME.fullmatch(name):
                self._report("bad-name", (name,), f"{show(name)} cannot be a name in an inventory", key=True)
            found[name] = self.login((name,))
        return found

    def check_groups(self, entries: Mapping[str, Login], known: Iterable[str]) -> None:
        """Find groups that are nowhere."""
        for name, login in entries.items():
            for index, group in enumerate(login.groups):
                if group not in set(known):
                    meant = nearest(group, known)
                    hint = f"did you mean '{meant}'?" if meant else f"{GROUPS} names groups"
                    self._report("unknown-name", (name, "groups", index), f"there is no group {show(group)}", hint)

    def check_names(self, entries: Iterable[str], known: Known) -> None:
        """Find hosts that the network does not have."""
        for name in entries:
            if name not in known.routers | known.others:
                meant = nearest(name, known.routers)
                hint = (
                    f"did you mean '{meant}'?" if meant else f"its routers are {join_names(known.routers, last='and')}"
                )
                self._report("unknown-name", (name,), f"the network has no router {show(name)}", hint, key=True)

    def login(self, path: Place) -> Login:
        """Return one entry, or for a file of defaults the whole."""
        value = self._mapping(path, "an entry")
        self._check_keys(path, value, (*_SHARED, "groups") if path else _SHARED)
        options = self._mapping((*path, "connection_options"), "`connection_options:`")
        return Login(
            hostname=self._hostname(path, value),
            port=self._port(path, value),
            username=self._word(path, value, "username", _WORD),
            password=self._password(path, value),
            platform=self._word(path, value, "platform", _WORD),
            groups=self._groups(path, value),
            data={key: _plain(one) for key, one in self._mapping((*path, "data"), "`data:`").items()},
            connections={name: self._connection((*path, "connection_options", name)) for name in options},
        )

    def _connection(self, path: Place) -> Connection:
        value = self._mapping(path, "a connection")
        self._check_keys(path, value, _CONNECTION)
        return Connection(
            hostname=self._hostname(path, value),
            port=self._port(path, value),
            username=self._word(path, value, "username", _WORD),
            password=self._password(path, value),
            platform=self._word(path, value, "platform", _WORD),
            extras=self._extras((*path, "extras")),
        )

    def _extras(self, path: Place) -> dict[str, Any]:
        extras = {key: _plain(value) for key, value in self._mapping(path, "`extras:`").items()}
        if extras.get("ssh_strict", True) is not True:
            self._report(
                "unchecked-host-key",
                (*path, "ssh_strict"),
                "host keys are always checked: without that anybody can be the router",
                "remove the line and put the routers' keys into known_hosts",
                key=True,
            )
        for key in _PATHS & extras.keys():
            if not isinstance(extras[key], str):
                self._report("bad-text", (*path, key), f"`{key}:` names a file, this is {show(extras[key])}")
            else:
                extras[key] = str(self._folder.absolute() / Path(extras[key]).expanduser())
        return extras

    def _mapping(self, path: Place, what: str) -> Mapping[str, Any]:
        value = self._tree.stated(path) if path else self._tree.value
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._report("wrong-type", path, f"{what} is a mapping of keys to values, this is {show(value)}")
            return {}
        return value

    def _check_keys(self, path: Place, value: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        for key in value:
            if key not in keys:
                meant = nearest(key, keys)
                hint = f"did you mean `{meant}:`?" if meant else f"there are {join_names(keys, most=12, last='and')}"
                self._report("unknown-key", (*path, key), f"Nornir knows no key {show(key)} here", hint, key=True)

    def _groups(self, path: Place, value: Mapping[str, Any]) -> tuple[str, ...]:
        groups = value.get("groups")
        if groups is None or not path:
            return ()
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            self._report("wrong-type", (*path, "groups"), "`groups:` is a list of names")
            return ()
        return tuple(str(group) for group in groups)

    def _report(self, rule: str, path: Place, message: str, hint: str = "", *, key: bool = False) -> None:
        self.problems.append(self._tree.problem(rule, path, message, hint, key=key))

    def _word(self, path: Place, value: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str | None:
        text = value.get(key)
        if text is None:
            return None
        if not isinstance(text, str) or not pattern.fullmatch(text):
            self._report("bad-text", (*path, key), f"{show(text)} cannot be a {key}", "one word, printable characters")
            return None
        return str(text)

    def _password(self, path: Place, value: Mapping[str, Any]) -> str | None:
        text = value.get("password")
        if text is None:
            return None
        if not isinstance(text, str) or not _PASSWORD.fullmatch(text):
            # Not quoted: it may be a password all the same.
            self._report("bad-text", (*path, "password"), "this cannot be a password", "printable ASCII, at most 256")
            return None
        return str(text)

    def _hostname(self, path: Place, value: Mapping[str, Any]) -> str | None:
        text = self._word(path, value, "hostname", _WORD)
        if text and not is_address(text) and not _NAME.fullmatch(text):
            self._report("bad-address", (*path, "hostname"), f"{show(text)} is neither an address nor a name")
            return None
        return text

    def _port(self, path: Place, value: Mapping[str, Any]) -> int | None:
        text = value.get("port")
        if text is None:
            return None
        if not isinstance(text, str) or not _PORT.fullmatch(text) or int(text) > MOST_PORT:
            message = f"a port lies between 1 and {MOST_PORT}, this is {show(text)}"
            self._report("bad-number", (*path, "port"), message)
            return None
        return int(text)


def _plain(value: Any) -> Any:
    """Return a value as YAML 1.2 types it, which is how Nornir reads it: texts that look like numbers are numbers."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, str) or isinstance(value, Quoted):
        return value if value is None else str(value)
    if value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    if _NUMBER.fullmatch(value):
        return int(value)
    return float(value) if _FRACTION.fullmatch(value) else str(value)
