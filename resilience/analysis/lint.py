"""Checks that read the plan without breaking anything: what is missing, what is weak, what will hurt one day."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from itertools import groupby, pairwise

from resilience.analysis.subject import Found, Subject, join, place
from resilience.model.lacks import LACKS
from resilience.model.network import Accept, IPNetwork, Uplink
from resilience.model.plan import FailureKind, Session, SessionKind
from resilience.model.units import show_capacity, show_duration
from resilience.plan.restart import restart_wishes, why_lossy

_DOCUMENTATION = tuple(
    ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32", "3fff::/20")
)
_PRIVATE = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_DOCUMENTATION_AS = ((64496, 64511), (65536, 65551))
_PRIVATE_AS = ((64512, 65534), (4_200_000_000, 4_294_967_294))


def find_missing(subject: Subject) -> Iterator[Found]:
    """List what another party still has to assign."""
    for missing in subject.plan.missing:
        yield Found(missing.subject, f"{missing.subject}: {missing.what} is not assigned yet", missing.ask, missing.at)


def find_documentation(subject: Subject) -> Iterator[Found]:
    """Point at numbers that nobody may use on the Internet."""
    network = subject.network
    prefixes = [str(prefix) for prefix in network.prefixes if _inside(prefix, (*_DOCUMENTATION, *_PRIVATE))]
    numbers = [f"AS {network.asn}"] if _as_inside(network.asn, (*_DOCUMENTATION_AS, *_PRIVATE_AS)) else []
    numbers += [
        f"AS {provider.asn} ({provider.name})"
        for provider in network.providers.values()
        if _as_inside(provider.asn, (*_DOCUMENTATION_AS, *_PRIVATE_AS))
    ]
    if prefixes or numbers:
        yield Found(
            network.name,
            f"{join([*numbers, *prefixes])}: set aside for documentation, tests or private use; "
            "the bogon filters of this plan let exactly these through",
            "fine for labs and drills; before deployment state the numbers that your registry assigned",
        )


def _inside(prefix: IPNetwork, spaces: tuple[IPNetwork, ...]) -> bool:
    return any(prefix.version == space.version and prefix.overlaps(space) for space in spaces)


def _as_inside(asn: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= asn <= high for low, high in ranges)


def find_no_objectives(subject: Subject) -> Iterator[Found]:
    """Say so when every promise is the language's default."""
    if not any(objective.stated for objective in subject.network.objectives):
        promises = join([objective.name for objective in subject.network.objectives], 3)
        yield Found(
            subject.network.name,
            f"no objectives are stated; assumed: {promises or 'nothing at all'}",
            "write down under `objectives:` what must keep working, for whom, and how long it may be out",
        )


def find_one_family(subject: Subject) -> Iterator[Found]:
    """Say so when a network speaks one family only."""
    families = {prefix.version for prefix in subject.network.prefixes}
    for family in {4, 6} - families:
        yield Found(
            subject.network.name,
            f"no IPv{family} prefix is declared: nothing here works over IPv{family}",
            f"add an IPv{family} prefix under `prefixes:`",
        )


def find_no_validator(subject: Subject) -> Iterator[Found]:
    """Say so when routes are not checked against the RPKI."""
    if not subject.network.rpki and (subject.network.uplinks or subject.network.exchanges):
        yield Found(
            subject.network.name,
            "no RPKI validator is declared: routes with a wrong origin are believed",
            "run a validator (two are better) and name it under `rpki:`",
        )


def find_single_router_sites(subject: Subject) -> Iterator[Found]:
    """Name the sites that a single router carries."""
    for site in dict.fromkeys(router.site for router in subject.network.routers.values()):
        routers = [router for router in subject.network.routers.values() if router.site == site]
        if len(routers) == 1:
            served = [f"service {s.name}" for s in subject.network.services.values() if site in s.sites]
            served += [
                f"customer {c.name}" for c in subject.network.customers.values() if c.routers == (routers[0].name,)
            ]
            hangs = join([*served, "every user there"])
            yield Found(
                f"site {site}",
                f"site {site} has a single router, {routers[0].name}: {hangs} falls with it",
                f"a second router at {site}, with links of its own",
                place(routers[0]),
            )


def find_single_provider(subject: Subject) -> Iterator[Found]:
    """Say so when all transit comes from one provider, or there is none."""
    network = subject.network
    providers = list(dict.fromkeys(uplink.provider for uplink in network.uplinks.values()))
    if len(providers) == 1:
        yield Found(
            f"provider {providers[0]}",
            f"{join(list(network.uplinks))} all lead to one provider, {providers[0]}: its failure cuts everything off",
            "an uplink to a second provider, on another way out of the country",
            place(network.providers[providers[0]]),
        )
    elif not providers:
        yield Found(network.name, "no uplink is declared: nothing here reaches the Internet", "declare `uplinks:`")


def find_unequal_shares(subject: Subject) -> Iterator[Found]:
    """Name uplinks that share load by rank although one carries less."""
    for rank, uplinks in _by_rank(subject):
        stated = {uplink.name: uplink.capacity_bps for uplink in uplinks if uplink.capacity_bps}
        if len(set(stated.values())) > 1:
            sizes = join([f"{name} ({show_capacity(bps)})" for name, bps in stated.items()])
            smallest = min(stated, key=lambda name: stated[name] or 0)
            yield Found(
                f"uplink {smallest}",
                f"{sizes} share load equally (rank {rank}): {smallest} fills up first",
                f"give {smallest} a higher rank, or the same capacity",
                place(subject.network.uplinks[smallest]),
            )


def find_small_backups(subject: Subject) -> Iterator[Found]:
    """Name backups that cannot carry what they stand in for."""
    ranks = [(rank, uplinks) for rank, uplinks in _by_rank(subject) if all(uplink.capacity_bps for uplink in uplinks)]
    for (_, first), (_, backup) in pairwise(ranks):
        need, have = (sum(uplink.capacity_bps or 0 for uplink in group) for group in (first, backup))
        if have < need:
            names = join([uplink.name for uplink in backup])
            yield Found(
                f"uplink {backup[0].name}",
                f"{names} ({show_capacity(have)}) stands in for "
                f"{join([u.name for u in first])} ({show_capacity(need)}) and carries {100 * have // need} % of it",
                "more capacity, or decide now whose traffic goes first when it is needed",
                place(backup[0]),
            )


def _by_rank(subject: Subject) -> list[tuple[int, list[Uplink]]]:
    ordered = sorted(subject.network.uplinks.values(), key=lambda uplink: uplink.rank)
    return [(rank, list(group)) for rank, group in groupby(ordered, key=lambda uplink: uplink.rank)]


def find_no_capacity(subject: Subject) -> Iterator[Found]:
    """List what states no capacity, in one finding: costs and backups are judged by it."""
    names = [f"link {link.name}" for link in subject.network.links.values() if link.capacity_bps is None]
    names += [f"uplink {uplink.name}" for uplink in subject.network.uplinks.values() if uplink.capacity_bps is None]
    if names:
        yield Found(
            names[0],
            f"no capacity is stated for {join(names)}: OSPF costs assume 10G, and backups cannot be judged",
            "state `capacity:`",
        )


_LISTENS = {
    SessionKind.TRANSIT: "provider",
    SessionKind.PEER: "peer",
    SessionKind.ROUTE_SERVER: "route server",
    SessionKind.CUSTOMER: "customer",
}


def find_no_bfd(subject: Subject) -> Iterator[Found]:
    """Name the neighbours whose timers alone notice a silent failure, and how long they take."""
    seen = set()
    for session in subject.plan.sessions:
        party = session.element or session.name
        if session.kind not in _LISTENS or party in seen or all(end.bfd for end in session.ends):
            continue
        seen.add(party)
        yield _say_no_bfd(session, party, subject)


def _say_no_bfd(session: Session, party: str, subject: Subject) -> Found:
    ours, theirs = session.ends
    seconds = show_duration(min(ours.hold_ms, theirs.hold_ms))
    who = f"the {_LISTENS[session.kind]} {theirs.node}"
    element = subject.plan.elements.get(party)
    return Found(
        party,
        f"{party}: no BFD with {who}: when packets vanish while the cable looks alive, traffic both ways "
        f"is lost for up to {seconds} (hold time), and what returns depends on the timers at {theirs.node} alone",
        f"agree on BFD with {theirs.node} and state `bfd: true`; else ask for a shorter hold time",
        place(element),
    )


def find_lossy_restarts(subject: Subject) -> Iterator[Found]:
    """Name the sessions that are to survive a restart and would lose packets all the same."""
    for wish in restart_wishes(subject.network):
        if reason := why_lossy(subject.network, wish):
            yield Found(
                wish.element,
                f"graceful restart of {wish.element} on {wish.router} is left off at both ends: {reason}",
                "remove `graceful_restart`: what fails is then seen at once, and traffic takes another way",
                place(wish.stated),
            )


def find_platform_lacks(subject: Subject) -> Iterator[Found]:
    """Name protections that a router with neighbours outside has not, since its platform has none."""
    borders = {session.ends[0].node for session in subject.plan.sessions if session.kind is not SessionKind.IBGP}
    for lack in LACKS:
        names = [
            node.name for node in subject.plan.routers() if node.platform is lack.platform and node.name in borders
        ]
        exposed = bool(subject.network.rpki) or not lack.with_validator
        if lack.rule == "platform-lacks" and names and exposed:
            yield Found(
                f"router {names[0]}" if len(names) == 1 else subject.network.name,
                f"{join(names)} cannot stop the attack {lack.scenario}: {lack.because}",
                lack.remedy,
            )


def find_default_only(subject: Subject) -> Iterator[Found]:
    """Name uplinks over which a provider cannot say what it has lost."""
    for uplink in subject.network.uplinks.values():
        if uplink.accept is Accept.DEFAULT:
            yield Found(
                f"uplink {uplink.name}",
                f"{uplink.name} takes only a default route: when {uplink.provider} loses a part of the "
                "Internet, or all of it, traffic still goes there",
                "accept: full or partial, where the router has the memory",
                place(uplink),
            )


def find_unsteered(subject: Subject) -> Iterator[Found]:
    """Name backups that their own providers' customers use anyway."""
    ranks = sorted({uplink.rank for uplink in subject.network.uplinks.values()})
    for uplink in subject.network.uplinks.values():
        provider = subject.network.providers[uplink.provider]
        if uplink.rank != ranks[0] and "lower-preference" not in provider.communities:
            size = f" ({show_capacity(uplink.capacity_bps)})" if uplink.capacity_bps else ""
            yield Found(
                f"uplink {uplink.name}",
                f"what {provider.name} and its customers send to us comes in over {uplink.name}{size} although its "
                f"rank is {uplink.rank}: networks prefer their customers, and prepending does not move that",
                f"ask {provider.name} for its community that lowers preference, and state it under `communities:`",
                place(provider),
            )


def find_no_gshut(subject: Subject) -> Iterator[Found]:
    """Name providers that cannot be drained without loss although maintenance must not hurt."""
    failures = (trial.failure for planned in subject.plan.objectives for trial in planned.trials)
    if not any(failure.kind is FailureKind.MAINTENANCE for failure in failures):
        return
    for provider in subject.network.providers.values():
        if "gshut" not in provider.honours:
            yield Found(
                f"provider {provider.name}",
                f"{provider.name} does not promise to act on graceful shutdown: draining leaves its "
                "traffic to prepends",
                "ask whether it honours RFC 8326, and state `honours: [gshut]`",
                place(provider),
            )


def find_single_route_server(subject: Subject) -> Iterator[Found]:
    """Name exchanges whose routes hang on one route server."""
    for exchange in subject.network.exchanges.values():
        if len(exchange.route_servers) == 1:
            yield Found(
                f"exchange {exchange.name}",
                f"exchange {exchange.name}: sessions with a single route server; while it is down, "
                "its members' routes are gone",
                "sessions with the exchange's second route server, or bilateral ones with those who matter most",
                place(exchange),
            )


def find_services_at_one_site(subject: Subject) -> Iterator[Found]:
    """Name services that live in one place."""
    for service in subject.network.services.values():
        if len(service.sites) == 1:
            yield Found(
                f"service {service.name}",
                f"service {service.name} runs at {service.sites[0]} only: it falls with that site",
                f"run it at a second site (`at: [{service.sites[0]}, ...]`, anycast)",
                place(service),
            )


def find_needs_elsewhere(subject: Subject) -> Iterator[Found]:
    """Name services that need another one which is at none of their own sites."""
    services = subject.network.services
    for service in services.values():
        for need in service.needs:
            if not set(service.sites) & set(services[need].sites):
                yield Found(
                    f"service {service.name}",
                    f"service {service.name} ({join(service.sites)}) needs {need}, which runs at "
                    f"{join(services[need].sites)} only: it falls with the way between them",
                    f"run {need} at {service.sites[0]} too",
                    place(service),
                )


def find_left_out(subject: Subject) -> Iterator[Found]:
    """List, for each objective, the failures under which no network could keep the whole promise."""
    for planned in subject.plan.objectives:
        trials = [trial for trial in planned.trials if trial.left_out]
        if trials:
            names = join([f"{t.failure.name} ({_ends(t.left_out)})" for t in trials])
            yield Found(
                planned.objective.name,
                f"`{planned.objective.name}` says nothing about who stands inside what fails: {names}",
                "a second site or router for them, if that is not acceptable",
                planned.objective.at if planned.objective.at.line else None,
            )


def _ends(flows: tuple[str, ...]) -> str:
    return f"{len(flows)} flow{'' if len(flows) == 1 else 's'}"
