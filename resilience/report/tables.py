"""What `resilience show` shows: tables of a plan, each a tuple of columns and rows of plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from resilience.model.document import Json, to_jsonable
from resilience.model.hosts import Host
from resilience.model.network import Bfd
from resilience.model.plan import Element, Fault, Flow, Node, Plan, PlannedObjective, Session
from resilience.model.policy import AsList, Match, Policy, PrefixList, PrefixRule, Term
from resilience.model.units import show_capacity, show_duration
from resilience.report.text import escape_csv

SHOW_SCHEMA = "resilience/show@1"

Cell = object
"""A value of the model, a number or text: as it is in JSON, as text elsewhere."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a name. Column names are JSON keys; spaces replace their underscores for people."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def headings(self) -> tuple[str, ...]:
        """Return the column names as people read them."""
        return tuple(column.replace("_", " ") for column in self.columns)


def make_table(plan: Plan, what: str, *, outside: bool = False) -> Table:
    """Return one of `TABLES`; `outside` adds the nodes that are not ours. KeyError for an unknown name."""
    columns, make_rows = TABLES[what]
    return Table(what, columns, tuple(make_rows(plan, outside)))


def make_hosts_table(plan: Plan, hosts: Mapping[str, Host], *, outside: bool = False) -> Table:
    """Return how each router is logged in to, as an inventory says; of passwords only whether there is one."""
    columns = ("node", "hostname", "port", "username", "password", "platform", "note")
    nodes = [node.name for node in plan.nodes.values() if node.managed or outside]
    known = tuple(_host_row(name, hosts.get(name)) for name in nodes)
    strangers = (
        (*_host_row(name, host)[:-1], "no node of this network")
        for name, host in hosts.items()
        if name not in plan.nodes
    )
    return Table("hosts", columns, (*known, *strangers))


def _host_row(name: str, host: Host | None) -> tuple[Cell, ...]:
    if host is None:
        return name, "", None, "", "", "", "not in the inventory"
    password = "given" if host.password else ""
    note = "" if host.hostname else "no way in"
    return name, host.hostname, host.port, host.username, password, host.platform, note


def count_parts(plan: Plan) -> Table:
    """Return what the plan holds, counted: the first look at a network."""
    network = plan.network
    own = sum(node.managed for node in plan.nodes.values())
    rows: tuple[tuple[Cell, ...], ...] = (
        ("network", f"{network.name}, AS {network.asn}"),
        ("prefixes", ", ".join(map(str, network.prefixes))),
        ("log in to routers from", ", ".join(map(str, network.management)) or "each other only"),
        ("own routers", own),
        ("nodes around them", len(plan.nodes) - own),
        ("cables", len(plan.segments)),
        ("BGP sessions", len(plan.sessions)),
        ("elements that can fail", len(plan.elements)),
        ("objectives", len(plan.objectives)),
        ("flows", sum(len(objective.flows) for objective in plan.objectives)),
        ("failures to drill", sum(len(objective.trials) for objective in plan.objectives)),
        ("missing before deployment", len(plan.missing)),
    )
    return Table("plan", ("what", "value"), rows)


def write_csv(table: Table) -> str:
    """Return a table as CSV (RFC 4180) with a line of column names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([escape_csv(show_cell(cell)) for cell in row] for row in table.rows)
    return text.getvalue()


def table_to_jsonable(network: str, table: Table) -> Json:
    """Return a table as a JSON document: a list of objects with the column names as keys."""
    rows: list[Json] = [dict(zip(table.columns, map(to_jsonable, row), strict=True)) for row in table.rows]
    return {"schema": SHOW_SCHEMA, "network": network, "what": table.name, "rows": rows}


def show_cell(cell: Cell) -> str:
    """Return a cell as people read it."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case tuple():
            return ", ".join(map(show_cell, cell))
        case _:
            return str(cell)


Rows = Iterator[tuple[Cell, ...]]


def _nodes(plan: Plan, outside: bool) -> tuple[Node, ...]:
    return tuple(plan.nodes.values()) if outside else plan.routers()


def _addresses(plan: Plan, outside: bool) -> Rows:
    for node in _nodes(plan, outside):
        for address in node.loopbacks:
            yield node.name, "lo", address.ip.version, address.interface, "", str(address.origin)
        for interface in node.interfaces:
            for address in interface.addresses:
                yield (
                    node.name,
                    interface.name,
                    address.ip.version,
                    address.interface,
                    interface.peer,
                    str(address.origin),
                )


def _sessions(plan: Plan, outside: bool) -> Rows:
    for session in plan.sessions:
        if outside or any(plan.nodes[end.node].managed for end in session.ends):
            yield _session_row(session)


def _session_row(session: Session) -> tuple[Cell, ...]:
    local, remote = session.ends
    return (
        session.name,
        session.kind,
        local.node,
        local.asn,
        local.address,
        remote.node,
        remote.asn,
        remote.address,
        session.rank,
        show_duration(min(local.hold_ms, remote.hold_ms)),
        _show_bfd(local.bfd, remote.bfd),
        session.assigned,
    )


def _show_bfd(local: Bfd | None, remote: Bfd | None) -> str:
    """Write the timers that BFD runs with: the slower interval of the two ends (RFC 5880), the remote's multiplier."""
    if local is None or remote is None:
        return ""
    return f"{max(local.interval_ms, remote.interval_ms)} ms x {remote.multiplier}"


def _policy(plan: Plan, outside: bool) -> Rows:
    for node in _nodes(plan, outside):
        users = _policy_users(plan, node)
        for policy in node.policies:
            for number, term in enumerate(policy.terms, 1):
                yield (
                    node.name,
                    policy.name,
                    policy.direction,
                    policy.family,
                    users.get(policy.name, ()),
                    number,
                    term.name,
                    _show_match(node, term.match),
                    _show_action(term),
                    term.comment,
                )
            yield _last_term(node, policy, users)


def _last_term(node: Node, policy: Policy, users: Mapping[str, tuple[str, ...]]) -> tuple[Cell, ...]:
    """Return the line that nobody writes: what no term wants is rejected (RFC 8212)."""
    return (
        node.name,
        policy.name,
        policy.direction,
        policy.family,
        users.get(policy.name, ()),
        len(policy.terms) + 1,
        "everything-else",
        "",
        "reject",
        "",
    )


def _policy_users(plan: Plan, node: Node) -> dict[str, tuple[str, ...]]:
    users: dict[str, tuple[str, ...]] = {}
    for neighbor in plan.neighbors(node.name):
        for name in (neighbor.local.import_policy, neighbor.local.export_policy):
            if name is not None:
                users[name] = (*users.get(name, ()), neighbor.session.name)
    return users


def _show_match(node: Node, match: Match) -> str:
    prefix_lists = {item.name: item for item in node.prefix_lists}
    as_lists = {item.name: item for item in node.as_lists}
    words = (
        match.prefixes and f"prefix in {_show_prefixes(prefix_lists.get(match.prefixes), match.prefixes)}",
        match.as_path_has and f"AS path has {_show_ases(as_lists.get(match.as_path_has), match.as_path_has)}",
        match.communities and f"community {_show_communities(match.communities)}",
        match.large_communities and f"large community {_show_communities(match.large_communities)}",
        match.not_first_as is not None and f"first AS is not {match.not_first_as}",
        match.path_longer_than is not None and f"AS path longer than {match.path_longer_than}",
        match.path_has_set and "AS_SET in the path",
        match.next_hop_outside is not None and f"next hop outside {match.next_hop_outside}",
        match.rpki_invalid and "RPKI invalid",
    )
    return " and ".join(word for word in words if word)


def _show_prefixes(prefixes: PrefixList | None, name: str) -> str:
    """Write a short list out, a long one (bogons) by its name and length."""
    if prefixes is None or len(prefixes.rules) > 3:
        spared = f", {len(prefixes.exceptions)} excepted" if prefixes and prefixes.exceptions else ""
        return f"{name} ({len(prefixes.rules)} prefixes{spared})" if prefixes else name
    return ", ".join(map(_show_rule, prefixes.rules))


def _show_rule(rule: PrefixRule) -> str:
    if rule.low == rule.high == rule.prefix.prefixlen:
        return str(rule.prefix)
    return f"{rule.prefix} /{rule.low}-/{rule.high}"


def _show_ases(ases: AsList | None, name: str) -> str:
    return f"{name} ({len(ases.ranges)} ranges)" if ases else name


def _show_communities(communities: tuple[tuple[int, ...], ...]) -> str:
    return " or ".join(":".join(map(str, community)) for community in communities)


def _show_action(term: Term) -> str:
    if not term.accept:
        return "reject"
    words = (
        "accept",
        term.local_preference is not None and f"local preference {term.local_preference}",
        term.strip_own and "strip our communities",
        term.add_communities and f"add {_show_communities(term.add_communities).replace(' or ', ', ')}",
        term.add_large_communities and f"add {_show_communities(term.add_large_communities).replace(' or ', ', ')}",
        term.prepend and f"prepend {term.prepend}",
        term.metric is not None and f"metric {term.metric}",
        term.next_hop_self and "next hop self",
        term.next_hop_peer and "next hop the neighbour",
        term.discard and "discard",
    )
    return ", ".join(word for word in words if word)


def _cabling(plan: Plan, outside: bool) -> Rows:
    for segment in plan.segments.values():
        (near, near_interface), (far, far_interface) = segment.ends
        if outside or plan.nodes[near].managed or plan.nodes[far].managed:
            capacity = show_capacity(segment.capacity_bps)
            yield segment.name, near, near_interface, far, far_interface, capacity, segment.element


def _elements(plan: Plan, _outside: bool) -> Rows:
    for element in plan.elements.values():
        yield (
            element.name,
            element.title,
            _show_faults(element.faults),
            _show_faults(element.silent_faults),
            element.members,
            element.international,
            _position(element),
        )


def _show_faults(faults: tuple[Fault, ...]) -> tuple[str, ...]:
    return tuple(f"{fault.kind} {fault.target}" for fault in faults)


def _position(element: Element) -> str:
    return f"{element.at.file}:{element.at.line}" if element.at and element.at.line else ""


def _flows(plan: Plan, _outside: bool) -> Rows:
    return chain.from_iterable(map(_objective_rows, plan.objectives))


def _objective_rows(planned: PlannedObjective) -> Rows:
    for flow in planned.flows:
        trials = sum(flow.name in trial.flows for trial in planned.trials)
        yield _flow_row(planned, flow, trials)


def _flow_row(planned: PlannedObjective, flow: Flow, trials: int) -> tuple[Cell, ...]:
    within_ms = planned.objective.within_ms
    return (
        planned.objective.name,
        "" if within_ms is None else show_duration(within_ms),
        flow.name,
        flow.source.label,
        flow.target.label,
        flow.source.address,
        flow.target.address,
        flow.protocol if flow.port is None else f"{flow.protocol} {flow.port}",
        trials,
    )


_MakeRows = Callable[[Plan, bool], Rows]

TABLES: Mapping[str, tuple[tuple[str, ...], _MakeRows]] = {
    "addresses": (("node", "interface", "family", "address", "peer", "origin"), _addresses),
    "sessions": (
        (
            "session",
            "kind",
            "node",
            "asn",
            "address",
            "neighbor",
            "neighbor_asn",
            "neighbor_address",
            "rank",
            "hold",
            "bfd",
            "addresses_are",
        ),
        _sessions,
    ),
    "policy": (
        ("node", "policy", "direction", "family", "sessions", "number", "term", "match", "action", "comment"),
        _policy,
    ),
    "cabling": (("cable", "node", "interface", "far_node", "far_interface", "capacity", "element"), _cabling),
    "elements": (
        ("element", "title", "fails_by", "fails_silently_by", "holds", "international", "stated_at"),
        _elements,
    ),
    "flows": (
        ("objective", "within", "flow", "from", "to", "from_address", "to_address", "protocol", "failures"),
        _flows,
    ),
}
"""Each table's columns and how its rows are made, in the order of the help."""
