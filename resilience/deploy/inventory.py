"""Nornir's inventory plugin `resilience`: a network's routers as hosts, with what the plan knows as data and groups.

How to log in stands in Nornir's own files beside `network.yaml`; what is not stated is derived: the address is the
router's IPv4 loopback, host keys are checked against the user's `known_hosts` and one beside the file of hosts.

::

    nr = InitNornir(inventory={"plugin": "resilience", "options": {"network": "inventories/bamako-isp"}})
    nr.filter(F(groups__contains="site-bamako"))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from nornir.core.inventory import (
    ConnectionOptions,
    Defaults,
    Group,
    Groups,
    Host,
    Hosts,
    Inventory,
    ParentGroups,
)

from resilience.deploy.secrets import SecretResolver, is_reference, make_resolver
from resilience.deploy.waves import WaveRouter, plan_waves
from resilience.deploy.workshop import DATA_KEY, open_workshop
from resilience.errors import ResilienceError, RouterError, RouterTrouble
from resilience.intent.logins import DEFAULTS, GROUPS, HOSTS, Known, LoginFiles, read_logins
from resilience.model.logins import Connection, Login, Logins
from resilience.model.network import SecretRef
from resilience.model.plan import Node, Plan, SessionKind

NETMIKO: Final = "netmiko"
"""The connection whose options say how a router is logged in to, by our tasks and by the engineer's own."""
_LINUX: Final = "linux"
"""What netmiko calls routers that run FRR or BIRD."""
_OUTSIDE: Final = frozenset({SessionKind.TRANSIT, SessionKind.PEER, SessionKind.ROUTE_SERVER})


class RouterHost(Host):
    """A host whose password may be a reference: it is resolved when a connection is opened, and not before."""

    __slots__ = ("_resolve",)

    def __init__(self, resolve: SecretResolver, **attributes: Any) -> None:
        self._resolve = resolve
        super().__init__(**attributes)

    def get_connection_parameters(self, connection: str | None = None) -> ConnectionOptions:
        """Return what a connection is opened with, secrets resolved.

        Raises:
            RouterError: a secret cannot be had (`login`).
        """
        found = super().get_connection_parameters(connection)
        extras = {key: self._secret(value) for key, value in (found.extras or {}).items()}
        return ConnectionOptions(
            hostname=found.hostname,
            port=found.port,
            username=found.username,
            password=self._secret(found.password),
            platform=found.platform,
            extras=extras,
        )

    def _secret(self, value: Any) -> Any:
        if not isinstance(value, str) or not is_reference(value):
            return value
        try:
            return self._resolve(SecretRef(value))
        except ResilienceError as error:
            raise RouterError(RouterTrouble.LOGIN, error.message, hint=error.hint) from None


class ResilienceInventory:
    """What Nornir makes of `inventory={"plugin": "resilience", "options": {...}}`."""

    def __init__(
        self,
        network: str,
        hosts_file: str | None = None,
        groups_file: str | None = None,
        defaults_file: str | None = None,
    ) -> None:
        self._network = Path(network).expanduser()
        self._stated = {HOSTS: hosts_file, GROUPS: groups_file, DEFAULTS: defaults_file}

    def load(self) -> Inventory:
        """Return hosts, groups and defaults.

        Raises:
            IntentError: `network.yaml` or one of Nornir's files is not valid; holds every problem with its line.
        """
        workshop = open_workshop(self._network)
        stated = {name: Path(path).expanduser() if path else None for name, path in self._stated.items()}
        usual = find_files(workshop.folder, stated[HOSTS])
        files = LoginFiles(
            hosts=usual.hosts,
            groups=stated[GROUPS] or usual.groups,
            defaults=stated[DEFAULTS] or usual.defaults,
            must_exist=frozenset(path for path in stated.values() if path),
        )
        inventory = make_inventory(workshop.plan, workshop.folder, files)
        inventory.defaults.data[DATA_KEY] = workshop
        return inventory


def find_files(folder: Path, hosts: Path | None = None) -> LoginFiles:
    """Return where Nornir's files are: beside `network.yaml`, or beside another file of hosts that is named."""
    beside = hosts.parent if hosts is not None else folder
    must = frozenset({hosts}) if hosts is not None else frozenset[Path]()
    return LoginFiles(
        hosts=hosts or beside / HOSTS, groups=beside / GROUPS, defaults=beside / DEFAULTS, must_exist=must
    )


def make_inventory(plan: Plan, folder: Path, files: LoginFiles) -> Inventory:
    """Return the inventory of a network whose `network.yaml` stands in a folder."""
    waves = {one.router: one for one in plan_waves(plan, [node.name for node in plan.routers()])}
    descriptions = {node.name: _describe(plan, node, waves[node.name]) for node in plan.routers()}
    named = {name for data in descriptions.values() for name in _group_names(data)}
    known = Known(
        routers=frozenset(descriptions),
        others=frozenset(plan.nodes.keys() - descriptions.keys()),
        groups=frozenset(named),
    )
    return _Builder(folder, files, read_logins(files, known)).build(descriptions)


def _describe(plan: Plan, node: Node, wave: WaveRouter) -> dict[str, Any]:
    """Return what a host's data says of its router, in plain values that anybody's template can use."""
    router = plan.network.routers[node.name]
    site = plan.network.sites.get(node.site) if node.site else None
    risks = dict.fromkeys([*router.risks, *(site.risks if site else ())])
    roles = tuple(_roles(plan, node))
    loopbacks = {family: node.loopback(family) for family in (4, 6)}
    return {
        "network": plan.network.name,
        "role": roles[0],
        "roles": list(roles),
        "site": node.site,
        "risks": list(risks),
        "platform": str(router.platform),
        "wave": wave.wave,
        "wave_because": wave.because,
        "asn": node.asn,
        "router_id": str(node.router_id) if node.router_id else None,
        "loopback_ipv4": str(loopbacks[4].ip) if loopbacks[4] else None,
        "loopback_ipv6": str(loopbacks[6].ip) if loopbacks[6] else None,
    }


def _roles(plan: Plan, node: Node) -> Iterator[str]:
    """Yield what a router is in its network, what matters most first."""
    neighbors = plan.neighbors(node.name)
    if any(neighbor.session.kind in _OUTSIDE for neighbor in neighbors):
        yield "border"
    if any(neighbor.local.route_reflector_client for neighbor in neighbors):
        yield "reflector"
    near = {plan.other_end(node.name, interface.name)[0] for interface in node.interfaces}
    if any(one in near for one in plan.network.customers):
        yield "customer-edge"
    yield "router"


def _group_names(data: Mapping[str, Any]) -> list[str]:
    """Return the groups that the plan puts a host into."""
    names = [f"role-{role}" for role in data["roles"]]
    names += [f"site-{data['site']}"] if data["site"] else []
    names += [f"risk-{risk}" for risk in data["risks"]]
    return [*names, f"platform-{data['platform']}", f"wave-{data['wave']}"]


class _Builder:
    """Puts the plan's side and the login side of an inventory together."""

    def __init__(self, folder: Path, files: LoginFiles, logins: Logins) -> None:
        self._known_hosts = files.hosts.absolute().parent / "known_hosts"
        self._logins = logins
        self._resolve = make_resolver(folder)
        self._defaults = Defaults(**_attributes(logins.defaults))
        self._groups = Groups()

    def build(self, descriptions: Mapping[str, dict[str, Any]]) -> Inventory:
        self._make_groups(_group_names(data) for data in descriptions.values())
        hosts = Hosts()
        for name, data in descriptions.items():
            hosts[name] = self._host(name, data)
        return Inventory(hosts=hosts, groups=self._groups, defaults=self._defaults)

    def _make_groups(self, planned: Iterable[list[str]]) -> None:
        stated = self._logins.groups
        for name in dict.fromkeys([*stated, *(one for names in planned for one in names)]):
            login = stated.get(name, Login())
            self._groups[name] = Group(name=name, defaults=self._defaults, **_attributes(login))
        for name, login in stated.items():
            self._groups[name].groups = ParentGroups([self._groups[group] for group in login.groups])

    def _host(self, name: str, data: dict[str, Any]) -> RouterHost:
        login = self._logins.hosts.get(name, Login())
        groups = ParentGroups()
        for group in (*login.groups, *_group_names(data)):
            groups.add(self._groups[group])
        attributes = _attributes(login) | {"platform": data["platform"], "data": {**login.data, **data}}
        host = RouterHost(self._resolve, name=name, groups=groups, defaults=self._defaults, **attributes)
        if host.hostname is None:
            host.hostname = data["loopback_ipv4"] or data["loopback_ipv6"]
        host.connection_options[NETMIKO] = self._netmiko(host, login)
        return host

    def _netmiko(self, host: RouterHost, login: Login) -> ConnectionOptions:
        """Merge what all levels say of netmiko; Nornir itself would take the extras of one level and drop the rest."""
        levels = [self._logins.defaults.connections.get(NETMIKO, Connection())]
        levels += [self._of_group(group.name) for group in reversed(host.extended_groups())]
        levels.append(login.connections.get(NETMIKO, Connection()))
        extras = self._default_extras()
        for level in levels:
            extras |= level.extras
        extras["use_keys"] = bool(extras.get("key_file"))
        own = levels[-1]
        return ConnectionOptions(
            hostname=own.hostname,
            port=own.port,
            username=own.username,
            password=own.password,
            platform=own.platform or _LINUX,
            extras=extras,
        )

    def _of_group(self, name: str) -> Connection:
        return self._logins.groups.get(name, Login()).connections.get(NETMIKO, Connection())

    def _default_extras(self) -> dict[str, Any]:
        extras: dict[str, Any] = {"ssh_strict": True, "system_host_keys": True, "allow_agent": True, "conn_timeout": 10}
        if self._known_hosts.is_file():
            extras |= {"alt_host_keys": True, "alt_key_file": str(self._known_hosts)}
        return extras


def _attributes(login: Login) -> dict[str, Any]:
    """Return the arguments that make one of Nornir's elements."""
    return {
        "hostname": login.hostname,
        "port": login.port,
        "username": login.username,
        "password": login.password,
        "platform": login.platform,
        "data": dict(login.data),
        "connection_options": {name: _options(one) for name, one in login.connections.items()},
    }


def _options(connection: Connection) -> ConnectionOptions:
    return ConnectionOptions(
        hostname=connection.hostname,
        port=connection.port,
        username=connection.username,
        password=connection.password,
        platform=connection.platform,
        extras=dict(connection.extras) if connection.extras else None,
    )
