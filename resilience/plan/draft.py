"""A plan in the making: mutable until `freeze`, seen by nobody outside this room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from resilience.errors import UsageError
from resilience.model.network import IPNetwork, Network
from resilience.model.plan import (
    Address,
    Element,
    Interface,
    Missing,
    Node,
    Origin,
    Origination,
    Provenance,
    Role,
    RouteUse,
    Segment,
    Session,
    StaticRoute,
    index_neighbors,
)
from resilience.model.policy import AsList, Policy, PrefixList
from resilience.plan.numbers import Allocator
from resilience.plan.pools import WorldPools

_LONGEST_INTERFACE = 15


@dataclass(slots=True)
class NodeDraft:
    """What is known of a node so far; `base` holds what never changes."""

    base: Node
    loopbacks: list[Address] = field(default_factory=list)
    interfaces: dict[str, Interface] = field(default_factory=dict)
    statics: list[StaticRoute] = field(default_factory=list)
    originations: list[Origination] = field(default_factory=list)
    originated: set[IPNetwork] = field(default_factory=set)
    """Their prefixes: a neighbour may declare thousands."""
    policies: list[Policy] = field(default_factory=list)
    prefix_lists: dict[str, PrefixList] = field(default_factory=dict)
    as_lists: dict[str, AsList] = field(default_factory=dict)
    not_deployable: list[str] = field(default_factory=list)

    def anchor(self, prefix: IPNetwork, *, own: bool = True) -> None:
        """Originate a prefix: a discard route that BGP announces."""
        if prefix in self.originated:
            return
        self.originated.add(prefix)
        self.statics.append(StaticRoute(prefix=prefix, use=RouteUse.ANCHOR))
        self.originations.append(Origination(prefix=prefix, own=own))


@dataclass(slots=True)
class Draft:
    """Everything planned so far."""

    network: Network
    allocator: Allocator
    pools: WorldPools
    draining: frozenset[str]
    nodes: dict[str, NodeDraft] = field(default_factory=dict)
    segments: dict[str, Segment] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    elements: dict[str, Element] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)

    @property
    def families(self) -> tuple[int, ...]:
        """The IP versions that the network originates something in."""
        return tuple(sorted({prefix.version for prefix in self.network.prefixes}))

    def add_node(self, node: Node) -> NodeDraft:
        """Add a node; its name must be new."""
        if node.name in self.nodes:
            raise UsageError(
                f"{node.name} would be two things: the {self.nodes[node.name].base.role} and the {node.role}",
                hint="rename one of the elements that these names are made from",
            )
        draft = self.nodes[node.name] = NodeDraft(node)
        return draft

    def cable(
        self, name: str, near: tuple[str, Interface], far: tuple[str, Interface], *, capacity_bps: int | None = None
    ) -> None:
        """Connect two new interfaces by a cable of that name."""
        for node, interface in (near, far):
            taken = self.nodes[node].interfaces
            if interface.name in taken:
                raise UsageError(
                    f"{node} would have two interfaces {interface.name}: {taken[interface.name].segment} and {name}",
                    hint="state `interface:` at one of them",
                )
            taken[interface.name] = interface
        element = near[1].element or far[1].element
        ends = ((near[0], near[1].name), (far[0], far[1].name))
        self.segments[name] = Segment(name=name, ends=ends, capacity_bps=capacity_bps, element=element)

    def freeze_nodes(self) -> dict[str, Node]:
        """Return the nodes as the plan holds them, routers of our own first, each group in order of making."""
        order = sorted(self.nodes.values(), key=lambda draft: not draft.base.managed)
        return {draft.base.name: _freeze(draft) for draft in order}


def _freeze(draft: NodeDraft) -> Node:
    base = draft.base
    return Node(
        name=base.name,
        role=base.role,
        managed=base.managed,
        platform=base.platform,
        site=base.site,
        title=base.title,
        asn=base.asn,
        router_id=base.router_id,
        cluster_id=base.cluster_id,
        loopbacks=tuple(draft.loopbacks),
        interfaces=tuple(draft.interfaces.values()),
        statics=tuple(draft.statics),
        originations=tuple(draft.originations),
        policies=tuple(draft.policies),
        prefix_lists=tuple(draft.prefix_lists.values()),
        as_lists=tuple(draft.as_lists.values()),
        multipath=base.multipath,
        ospf=base.ospf,
        rpki=base.rpki,
        listeners=base.listeners,
        draining=base.draining,
        raw=base.raw,
        not_deployable=tuple(draft.not_deployable),
    )


def neighbors_of(draft: Draft) -> Mapping[str, object]:
    """Return the index that `Plan` keeps."""
    return index_neighbors(tuple(draft.sessions))


def short_interface(prefix: str, name: str) -> str:
    """Return an interface name of at most 15 characters; long ones keep their head and get a hash."""
    full = f"{prefix}-{name}"
    if len(full) <= _LONGEST_INTERFACE:
        return full
    digest = sha256(name.encode()).hexdigest()[:4]
    return f"{prefix}-{name[: _LONGEST_INTERFACE - len(prefix) - 6]}-{digest}"


def name_interface(stated: str | None, vlan: int | None, derived: str) -> tuple[str, str | None]:
    """Return an interface's name and, of a VLAN on a stated port, that port: `ether1` with VLAN 20 is `ether1.20`."""
    if stated is None:
        return derived, None
    if vlan is None:
        return stated, None
    name = f"{stated}.{vlan}"
    return (name if len(name) <= _LONGEST_INTERFACE else derived), stated


DERIVED = Origin(Provenance.DERIVED)
LAB_ORIGIN = Origin(Provenance.LAB)


def is_outside(role: Role) -> bool:
    """Tell whether a role belongs to the outside world's routers."""
    return role in {Role.PROVIDER, Role.TRANSIT, Role.NEIGHBOUR, Role.ROUTE_SERVER, Role.MEMBER, Role.CUSTOMER}
