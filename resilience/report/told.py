"""An explanation arranged for readers: both families of a session told once, and apart only where they differ.

Terminal and Markdown show the same stories, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from resilience.model.explanation import Explanation, Filtering, Rule, SessionExplanation, Statement
from resilience.model.policy import Direction

Variants = tuple[str, ...]
"""One text, or one for each family where they differ."""


@dataclass(frozen=True, slots=True)
class ToldRule:
    """A rule of one policy, or of the policies of both families."""

    number: int
    name: str
    accept: bool
    when: Variants
    then: Variants
    why: Variants


@dataclass(frozen=True, slots=True)
class ToldPart:
    """A part of a story: sentences with their subjects, and rules."""

    heading: str
    lead: Variants
    rules: tuple[ToldRule, ...]
    statements: tuple[tuple[str, Variants], ...]


@dataclass(frozen=True, slots=True)
class Story:
    """One session, or both families of one."""

    title: str
    parts: tuple[ToldPart, ...]


CLOSING = "Lists that are only counted here are written out with --json."


def tell(explanation: Explanation) -> tuple[Story, ...]:
    """Return the stories of an explanation, in its order."""
    groups: dict[object, list[SessionExplanation]] = {}
    for session in explanation.sessions:
        groups.setdefault(_key(session), []).append(session)
    return tuple(map(_story, groups.values()))


def counts_lists(explanation: Explanation) -> bool:
    """Say whether some list is longer than what a sentence holds."""
    return any("list " in text for session in explanation.sessions for text in _all_conditions(session))


def _all_conditions(session: SessionExplanation) -> Iterator[str]:
    for filtering in (session.imports, session.exports):
        for rule in filtering.rules:
            yield from rule.conditions


def _key(session: SessionExplanation) -> object:
    """Sessions with equal keys differ in their family and in details: the same ends, and the same rules in order."""
    stem = session.session.removesuffix(f"-ipv{session.family}")
    return stem, session.node, session.neighbor, _shape(session.imports), _shape(session.exports)


def _shape(filtering: Filtering) -> tuple[tuple[str, bool], ...]:
    return tuple((rule.name, rule.accept) for rule in filtering.rules)


def _story(group: list[SessionExplanation]) -> Story:
    first = group[0]
    names = " and ".join(session.session for session in group)
    parts = (
        _statements_part(group, "The session", lambda session: session.about),
        _filtering_part(group, f"In: what {first.node} takes from {first.neighbor}", Direction.IMPORT),
        _filtering_part(group, f"Out: what {first.node} announces to {first.neighbor}", Direction.EXPORT),
        _statements_part(group, "Packets", lambda session: session.packets),
        _statements_part(group, "What the platform cannot do", lambda session: session.limits),
        _statements_part(group, "Raw lines, which nothing above knows of", lambda session: session.raw),
    )
    return Story(f"{names}: {first.node} with {first.neighbor}", tuple(filter(_has, parts)))


def _has(part: ToldPart) -> bool:
    return bool(part.lead or part.rules or part.statements)


def _filtering_part(group: list[SessionExplanation], heading: str, direction: Direction) -> ToldPart:
    def of(session: SessionExplanation) -> Filtering:
        return session.imports if direction is Direction.IMPORT else session.exports

    lead = _variants((session.family, of(session).summary) for session in group)
    ruled = [[(session.family, rule) for rule in of(session).rules] for session in group]
    rules = tuple(_rule(list(same)) for same in zip(*ruled, strict=True))
    return ToldPart(heading, lead, rules, _statements(group, lambda session: of(session).notes))


def _rule(same: list[tuple[int, Rule]]) -> ToldRule:
    first = same[0][1]
    return ToldRule(
        number=first.number,
        name=first.name,
        accept=first.accept,
        when=_variants((family, _when(rule)) for family, rule in same),
        then=_variants((family, "; ".join(rule.actions)) for family, rule in same),
        why=_variants((family, rule.why) for family, rule in same),
    )


def _when(rule: Rule) -> str:
    if rule.conditions:
        return " and ".join(rule.conditions)
    return "whatever is left" if rule.number > 1 else "everything"


def _statements_part(
    group: list[SessionExplanation], heading: str, of: Callable[[SessionExplanation], tuple[Statement, ...]]
) -> ToldPart:
    return ToldPart(heading, (), (), _statements(group, of))


def _statements(
    group: list[SessionExplanation], of: Callable[[SessionExplanation], tuple[Statement, ...]]
) -> tuple[tuple[str, Variants], ...]:
    """Return each subject once, with what is said of it; what is said of one family alone bears its name."""
    found: dict[str, list[tuple[int, str]]] = {}
    for session in group:
        for statement in of(session):
            found.setdefault(statement.subject, []).append((session.family, statement.text))
    whole = len(group)
    return tuple((subject, _variants(told, apart=len(told) < whole)) for subject, told in found.items())


def _variants(told: Iterable[tuple[int, str]], *, apart: bool = False) -> Variants:
    by_family = tuple(told)
    texts = {text for _, text in by_family}
    if len(texts) == 1 and not apart:
        (text,) = texts
        return (text,) if text else ()
    return tuple(f"IPv{family}: {text}" for family, text in by_family if text)
