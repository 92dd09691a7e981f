"""Objectives become flows (who talks to whom) and trials (which failure, which flows must survive it)."""

from __future__ import annotations

from itertools import combinations

from resilience.errors import UsageError
from resilience.model.network import Objective, Service
from resilience.model.plan import (
    Element,
    ElementKind,
    Endpoint,
    Failure,
    FailureKind,
    Fault,
    FaultKind,
    Flow,
    ListenerKind,
    PlannedObjective,
    Protocol,
    Role,
    Trial,
)
from resilience.plan.draft import Draft
from resilience.plan.exchanges import exchange_members

_MOST_PAIRS = 200
INTERNATIONAL_CUT = "international-cut"
"""The one failure that by its meaning holds every end beyond the border: such flows are left out and listed."""
_SINGLE = (
    ElementKind.ROUTER,
    ElementKind.SITE,
    ElementKind.LINK,
    ElementKind.UPLINK,
    ElementKind.PORT,
    ElementKind.PROVIDER,
    ElementKind.EXCHANGE,
    ElementKind.ROUTE_SERVER,
    ElementKind.PEER,
    ElementKind.RISK,
)
_SILENT = (ElementKind.LINK, ElementKind.UPLINK, ElementKind.PORT, ElementKind.EXCHANGE, ElementKind.PROVIDER)
_INTERNET_HOSTS = ("internet-1", "internet-2", "internet-3")


def plan_objectives(draft: Draft) -> tuple[PlannedObjective, ...]:
    """Return every objective with its flows and trials."""
    reach = _Reach(draft)
    return tuple(_plan_objective(draft, objective, reach) for objective in draft.network.objectives)


def _plan_objective(draft: Draft, objective: Objective, reach: _Reach) -> PlannedObjective:
    flows = _flows(draft, objective)
    if not flows:
        raise UsageError(
            f"{objective.at}: nobody is left to {objective.name}",
            hint="`for:` and `keep:` mean the same place; name somebody else",
        )
    failures, possible = _failures(draft, objective)
    trials = []
    for failure in failures:
        faults = failure_faults(draft.elements, failure)
        lost = {flow.name for flow in flows if reach.holds_an_end(flow, faults)}
        if failure.name == INTERNATIONAL_CUT:
            lost |= {flow.name for flow in flows if not reach.joined(flow, faults)}
        trials.append(
            Trial(
                failure=failure,
                flows=tuple(flow.name for flow in flows if flow.name not in lost),
                left_out=tuple(flow.name for flow in flows if flow.name in lost),
            )
        )
    return PlannedObjective(objective=objective, flows=flows, trials=tuple(trials), failures_possible=possible)


def failure_faults(elements: dict[str, Element], failure: Failure) -> tuple[Fault, ...]:
    """Return what a failure does, each fault once."""
    silent = failure.kind is FailureKind.SILENT
    chosen = [elements[name] for name in failure.elements]
    return tuple(dict.fromkeys(f for e in chosen for f in (e.silent_faults if silent else e.faults)))


def _failures(draft: Draft, objective: Objective) -> tuple[list[Failure], int]:
    found: dict[str, Failure] = {}
    possible = 0
    for during in objective.during:
        made, count = _failures_of(draft, during)
        found |= {failure.name: failure for failure in made}
        possible += count
    return list(found.values()), max(possible, len(found))


def _failures_of(draft: Draft, during: str) -> tuple[list[Failure], int]:
    elements = [e for e in draft.elements.values() if e.faults]
    singles = [e for e in elements if e.kind in _SINGLE]
    if during == "any-one-failure":
        made = [_natural(e) for e in singles]
    elif during == "any-one-silent-failure":
        made = [
            Failure(name=f"silent {e.name}", kind=FailureKind.SILENT, elements=(e.name,))
            for e in elements
            if e.kind in _SILENT and e.silent_faults
        ]
    elif during == "any-two-failures":
        pairs = list(combinations(singles, 2))
        step = max(1, -(-len(pairs) // _MOST_PAIRS))
        made = [
            Failure(name=f"{a.name} and {b.name}", kind=FailureKind.NATURAL, elements=(a.name, b.name))
            for a, b in pairs[::step]
        ]
        return made, len(pairs)
    elif during == INTERNATIONAL_CUT:
        names = tuple(e.name for e in elements if e.international)
        made = [Failure(name=INTERNATIONAL_CUT, kind=FailureKind.NATURAL, elements=names)] if names else []
    elif during == "maintenance":
        made = [
            Failure(name=f"maintenance {e.name}", kind=FailureKind.MAINTENANCE, elements=(e.name,))
            for e in elements
            if e.kind in {ElementKind.ROUTER, ElementKind.UPLINK}
        ]
    else:
        made = [_natural(find_element(draft.elements, during))]
    return made, len(made)


def _natural(element: Element) -> Failure:
    return Failure(name=element.name, kind=FailureKind.NATURAL, elements=(element.name,))


def find_element(elements: dict[str, Element], name: str) -> Element:
    """Return the element of a qualified or an unambiguous bare name."""
    if name in elements:
        return elements[name]
    same = [element for element in elements.values() if element.short == name]
    if len(same) == 1:
        return same[0]
    if same:
        raise UsageError(f"{name} is ambiguous", hint="write " + " or ".join(e.name for e in same))
    raise UsageError(f"nothing in this network is called {name}", hint="`resilience show NET elements` lists the names")


def _flows(draft: Draft, objective: Objective) -> tuple[Flow, ...]:
    sources = _sources(draft, objective.whom)
    found: dict[str, Flow] = {}
    for what in _whats(draft, objective.keep):
        service = draft.network.services.get(what)
        for source in sources:
            for target in _targets(draft, what):
                if set(source.nodes) & set(target.nodes) or source.address.version != target.address.version:
                    continue
                for flow in _flows_between(source, target, service):
                    found[flow.name] = flow
    return tuple(found.values())


def _whats(draft: Draft, keep: str) -> list[str]:
    """Return what must answer: the thing itself and, of a service, everything it needs."""
    found, queue = [], [keep]
    while queue:
        name = queue.pop(0)
        if name not in found:
            found.append(name)
            service = draft.network.services.get(name)
            queue += service.needs if service is not None else ()
    return found


def _flows_between(source: Endpoint, target: Endpoint, service: Service | None) -> list[Flow]:
    family = source.address.version
    base = f"{source.label} to {target.label} ipv{family}"
    flows = [Flow(name=f"{base} udp", source=source, target=target, family=family, protocol=Protocol.UDP)]
    if service is not None:
        ports = (
            (ListenerKind.TCP_ECHO, service.tcp),
            (ListenerKind.HTTP, service.http),
            (ListenerKind.DNS, 53 if service.dns else None),
        )
        flows += [
            Flow(
                name=f"{base} {kind}",
                source=source,
                target=target,
                family=family,
                protocol=Protocol.TCP,
                port=port,
                listener=kind,
            )
            for kind, port in ports
            if port is not None
        ]
    return flows


def _targets(draft: Draft, what: str) -> list[Endpoint]:
    network = draft.network
    if what in network.services:
        nodes = [f"service-{what}-{site}" for site in network.services[what].sites]
        return _anycast(draft, what, tuple(nodes))
    if what == "internet":
        return [e for host in _INTERNET_HOSTS for e in _endpoints(draft, host, host)]
    if what in network.exchanges:
        return [e for host in exchange_members(iter(draft.nodes), what) for e in _endpoints(draft, _label(host), host)]
    return _customer_endpoints(draft, what)


def _anycast(draft: Draft, label: str, nodes: tuple[str, ...]) -> list[Endpoint]:
    present = tuple(node for node in nodes if node in draft.nodes)
    if not present:
        return []
    first = draft.nodes[present[0]]
    return [Endpoint(label=label, nodes=present, address=address.ip) for address in first.loopbacks]


def _sources(draft: Draft, whom: str) -> list[Endpoint]:
    network = draft.network
    customers = [e for name in network.customers for e in _customer_endpoints(draft, name)]
    sites = dict.fromkeys(router.site for router in network.routers.values())
    users = [e for site in sites for e in _endpoints(draft, f"user-{site}", f"user-{site}")]
    internet = [e for host in _INTERNET_HOSTS for e in _endpoints(draft, host, host)]
    if whom == "customers":
        return customers + users
    if whom == "internet":
        return internet
    if whom == "everyone":
        members = [e for exchange in network.exchanges for e in _members(draft, exchange)]
        return customers + users + members + internet
    if whom in network.exchanges:
        return _members(draft, whom)
    if whom in network.customers:
        return _customer_endpoints(draft, whom)
    return _endpoints(draft, f"user-{whom}", f"user-{whom}")


def _members(draft: Draft, exchange: str) -> list[Endpoint]:
    return [e for host in exchange_members(iter(draft.nodes), exchange) for e in _endpoints(draft, _label(host), host)]


def _label(host: str) -> str:
    return host.removesuffix("-user")


def _customer_endpoints(draft: Draft, name: str) -> list[Endpoint]:
    customer = draft.network.customers.get(name)
    if customer is None:
        return []
    host = f"customer-{name}" if customer.asn is None else f"customer-{name}-user"
    return _endpoints(draft, name, host) if host in draft.nodes else []


def _endpoints(draft: Draft, label: str, host: str) -> list[Endpoint]:
    if host not in draft.nodes:
        return []
    seen: dict[int, Endpoint] = {}
    for address in draft.nodes[host].loopbacks:
        seen.setdefault(address.ip.version, Endpoint(label=label, nodes=(host,), address=address.ip))
    return list(seen.values())


def _dead_and_cut(faults: tuple[Fault, ...]) -> tuple[set[str], set[str]]:
    """Return the nodes that forward nothing any more, and the cables that carry nothing."""
    dead = {fault.target for fault in faults if fault.kind in {FaultKind.CRASH, FaultKind.GREY}}
    cut = {fault.target for fault in faults if fault.kind in {FaultKind.CARRIER, FaultKind.SILENT}}
    return dead, cut


class _Reach:
    """Tells whether a failure holds an end of a flow itself, so that no design could keep the promise."""

    def __init__(self, draft: Draft) -> None:
        self._nodes = draft.nodes
        self._cables: dict[str, list[tuple[str, str]]] = {}
        self._components: dict[tuple[str, tuple[Fault, ...]], frozenset[str]] = {}
        self._known: dict[tuple[tuple[str, ...], tuple[Fault, ...]], bool] = {}
        for name, segment in draft.segments.items():
            (near, _), (far, _) = segment.ends
            self._cables.setdefault(near, []).append((name, far))
            self._cables.setdefault(far, []).append((name, near))

    def holds_an_end(self, flow: Flow, faults: tuple[Fault, ...]) -> bool:
        return any(self._cut_off(end.nodes, faults) for end in (flow.source, flow.target))

    def joined(self, flow: Flow, faults: tuple[Fault, ...]) -> bool:
        """Tell whether any cabling at all is left between the ends of a flow."""
        wanted = set(flow.target.nodes)
        return any(wanted & self._component(node, faults) for node in flow.source.nodes)

    def _component(self, start: str, faults: tuple[Fault, ...]) -> frozenset[str]:
        key = (start, faults)
        if key not in self._components:
            dead, cut = _dead_and_cut(faults)
            seen, queue = {start}, [start]
            while queue:
                for segment, there in self._cables.get(queue.pop(), ()):
                    if segment not in cut and there not in dead and there not in seen:
                        seen.add(there)
                        queue.append(there)
            self._components[key] = frozenset(seen)
        return self._components[key]

    def _cut_off(self, hosts: tuple[str, ...], faults: tuple[Fault, ...]) -> bool:
        key = (hosts, faults)
        if key not in self._known:
            self._known[key] = all(self._alone(host, faults) for host in hosts)
        return self._known[key]

    def _alone(self, host: str, faults: tuple[Fault, ...]) -> bool:
        """Tell whether a host is dead, or can only reach its own party.

        A host of our own network is alone when no router of ours is left to it; anybody else when nobody of another
        party is left.
        """
        dead, cut = _dead_and_cut(faults)
        if host in dead:
            return True
        ours = self._is_ours(host)
        home = None if ours else host.removesuffix("-user")
        seen, queue = {host}, [host]
        while queue:
            here = queue.pop()
            for segment, there in self._cables.get(here, ()):
                if segment in cut or there in dead or there in seen:
                    continue
                role = self._nodes[there].base.role
                if ours and role is Role.ROUTER:
                    return False
                if not ours and role is not Role.SWITCH and there != home:
                    return False
                seen.add(there)
                queue.append(there)
        return True

    def _is_ours(self, host: str) -> bool:
        base = self._nodes[host].base
        return base.site is not None or (
            base.role is Role.HOST and host.startswith("customer-") and not host.endswith("-user")
        )
