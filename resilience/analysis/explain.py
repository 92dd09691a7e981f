"""Plan and a name to `Explanation`: what goes in and out of a session, and why.

Nothing is simulated, so that a large network answers as fast as a small one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from resilience.analysis.raw import touched
from resilience.analysis.session_words import View, about, beside_export, beside_import, packet_filter, platform_limits
from resilience.analysis.term_words import Speaker, explain_policy, lists_of
from resilience.errors import UnknownName, UsageError
from resilience.model.explanation import Explanation, Filtering, SessionExplanation, Statement
from resilience.model.network import RAW_SECRET, Raw
from resilience.model.plan import ElementKind, Plan, Session, SessionEnd
from resilience.model.policy import Direction, Policy
from resilience.plan import find_element

_NEAREST = 5


@dataclass(frozen=True, slots=True)
class _Meant:
    """What a name stands for. `node`: the sessions are told from this end alone; None: from every end of ours."""

    name: str
    sessions: tuple[Session, ...]
    node: str | None = None


def explain(plan: Plan, name: str) -> Explanation:
    """Return what goes in and out of every session that a name stands for.

    Args:
        plan: the network, planned.
        name: a session (`dakar-ipv4`), both its families (`dakar`, `ibgp-bko1-bko2`), a node, or an element that has
            sessions (`uplink dakar`, `provider senegal-carrier`, `bko1`).

    Raises:
        UnknownName: nothing with a session bears this name; the hint holds the nearest ones.
        UsageError: several things with sessions do, or the thing has no session.
    """
    meant = _find(plan, name)
    return Explanation(
        network=plan.network.name,
        tool_version=version("netresilience"),
        input_sha256=plan.network.digest,
        name=meant.name,
        sessions=tuple(_explain_end(view) for session in meant.sessions for view in _views(plan, session, meant.node)),
    )


def explain_session(plan: Plan, session: Session) -> tuple[SessionExplanation, ...]:
    """Return one session as each end of ours is configured; of a session between strangers, as both are."""
    return tuple(map(_explain_end, _views(plan, session, None)))


def _views(plan: Plan, session: Session, node: str | None) -> Iterator[View]:
    first, second = session.ends
    views = (View(plan, session, first, second), View(plan, session, second, first))
    if node is not None:
        return (view for view in views if view.local.node == node)
    ours = [view for view in views if view.node.managed]
    return iter(ours or views)


def _explain_end(view: View) -> SessionExplanation:
    node, local = view.node, view.local
    named = [policy for policy in node.policies if policy.name in {local.import_policy, local.export_policy}]
    return SessionExplanation(
        session=view.session.name,
        family=view.session.family,
        kind=view.session.kind,
        element=view.session.element,
        node=node.name,
        platform=node.platform,
        neighbor=view.remote.node,
        about=about(view),
        imports=_filtering(view, Direction.IMPORT),
        exports=_filtering(view, Direction.EXPORT),
        packets=packet_filter(view),
        limits=platform_limits(view),
        raw=tuple(map(_raw_statement, (*local.raw, *node.raw))),
        lists=lists_of(node, named),
    )


def _raw_statement(raw: Raw) -> Statement:
    """Say what raw lines are and what they may undo. A line in which a secret seems to stand is not shown."""
    undone, silent = touched(raw)
    if silent:
        undone.append("what cannot be told: not every line is understood")
    lines = "; ".join("(a line with a secret)" if RAW_SECRET.search(line) else line.strip() for line in raw.lines)
    where = f" at {raw.at}" if raw.at.line else ""
    return Statement(subject=f"{raw.place}{where}", text=f"{lines} (may undo {', '.join(undone) or 'nothing'})")


def _filtering(view: View, direction: Direction) -> Filtering:
    inward = direction is Direction.IMPORT
    notes = beside_import(view) if inward else beside_export(view)
    policy = _policy(view, view.local.import_policy if inward else view.local.export_policy)
    if policy is None:
        return Filtering(direction=direction, policy=None, summary=_unfiltered(view, inward), rules=(), notes=notes)
    told = explain_policy(Speaker(view.plan.network, view.node), policy)
    return Filtering(direction=direction, policy=told.policy, summary=told.summary, rules=told.rules, notes=notes)


def _policy(view: View, name: str | None) -> Policy | None:
    return next((policy for policy in view.node.policies if policy.name == name), None)


def _unfiltered(view: View, inward: bool) -> str:
    if view.external:
        return "everything is taken: no policy filters" if inward else "everything is announced: no policy filters"
    if inward:
        return "everything is taken with its communities and local preference: our own routers judged it at the border"
    if view.local.route_reflector_client:
        return "the best routes are announced with their communities and local preference, reflected ones too"
    if view.node.cluster_id is not None:
        return (
            "routes from outside, of this router itself and of its own clients are announced with their communities "
            "and local preference (RFC 4456)"
        )
    return (
        "routes from outside and of this router itself are announced with their communities and local preference; "
        "what iBGP taught us is not (RFC 4271 section 9.2)"
    )


def _find(plan: Plan, name: str) -> _Meant:
    """Return the sessions of a name: a session's, both families', an element's, a node's, in this order."""
    exact = tuple(session for session in plan.sessions if session.name == name)
    if exact:
        return _Meant(name, exact)
    sessions_of = _index(plan)
    having = {element: plan.elements[element] for element in sessions_of}
    same = [element for element in having.values() if element.short == name]
    if name in having or same:
        alike = len({sessions_of[element.name] for element in same}) == 1
        # A site of one router is that router here: whatever is meant, the sessions are the same.
        element = same[0] if alike and name not in having else find_element(having, name)
        node = element.short if element.kind is ElementKind.ROUTER else None
        return _Meant(element.name, sessions_of[element.name], node)
    stem = tuple(session for session in plan.sessions if session.name == f"{name}-ipv{session.family}")
    if stem:
        return _Meant(name, stem)
    at_node = tuple(neighbor.session for neighbor in plan.neighbors(name))
    if at_node:
        return _Meant(name, at_node)
    raise _nothing(plan, name, having)


def _index(plan: Plan) -> Mapping[str, tuple[Session, ...]]:
    """Return the sessions that end with each element or with what falls with it, in the plan's order.

    Elements without sessions are left out.
    """
    direct: dict[str, dict[str, None]] = {}
    for session in plan.sessions:
        for name in _elements_of(plan, session):
            direct.setdefault(name, {})[session.name] = None
    found = {}
    for element in plan.elements:
        names = {name for member in _with_members(plan, element) for name in direct.get(member, ())}
        if names:
            found[element] = tuple(session for session in plan.sessions if session.name in names)
    return found


def _with_members(plan: Plan, element: str) -> set[str]:
    found: set[str] = set()
    waiting = [element]
    while waiting:
        name = waiting.pop()
        if name not in found and name in plan.elements:
            found.add(name)
            waiting += plan.elements[name].members
    return found


def _elements_of(plan: Plan, session: Session) -> Iterator[str]:
    yield session.element
    for end in session.ends:
        yield f"{ElementKind.ROUTER} {end.node}"
        yield _interface_element(plan, end)


def _interface_element(plan: Plan, end: SessionEnd) -> str:
    return plan.nodes[end.node].interface(end.interface).element if end.interface else ""


def _nothing(plan: Plan, name: str, having: Iterable[str]) -> UsageError:
    """Return the error for a name without sessions: another thing's, or nobody's."""
    others = [element.name for element in plan.elements.values() if name in (element.name, element.short)]
    if others:
        return UsageError(
            f"{' and '.join(others)} {'has' if len(others) == 1 else 'have'} no BGP session",
            hint="`resilience show NET sessions` lists them",
        )
    having = tuple(having)
    known = {element.partition(" ")[2]: element for element in having} | {element: element for element in having}
    known |= {session.name: session.name for session in plan.sessions}
    near = dict.fromkeys(known[close] for close in difflib.get_close_matches(name, known, n=_NEAREST, cutoff=0.5))
    return UnknownName(
        f"no session and nothing with sessions is called {name!r}",
        hint=f"did you mean {' or '.join(near)}?" if near else "`resilience show NET sessions` lists the names",
    )
