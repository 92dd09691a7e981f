"""An explanation arranged for readers: both families of a session told once, and apart only where they differ.

Terminal and Markdown show the same stories, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from resilience.model.explanation import Explanation, Filtering, Rule, SessionExplanation, Statement

Variants = tuple[str, ...]
"""One text, or one for each family where they differ."""


@dataclass(frozen=True, slots=True)
class ToldRule:
    """A rule of one policy, or of the policies of both families; `number` counts in what is told."""

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


_Slot = dict[int, Rule]
"""A rule of each policy that has it, by the policy's number: one rule to the reader."""

CLOSING = "Lists that are only counted here are written out with --json."


def tell(explanation: Explanation) -> tuple[Story, ...]:
    """Return the stories of an explanation, in its order."""
    groups: dict[object, list[SessionExplanation]] = {}
    for session in explanation.sessions:
        groups.setdefault(_key(session), []).append(session)
    return tuple(story for group in groups.values() for story in _stories(group))


def counts_lists(explanation: Explanation) -> bool:
    """Say whether some list is longer than what a sentence holds."""
    return any("list " in text for session in explanation.sessions for text in _all_conditions(session))


def _all_conditions(session: SessionExplanation) -> Iterator[str]:
    for filtering in (session.imports, session.exports):
        for rule in filtering.rules:
            yield from rule.conditions


def _key(session: SessionExplanation) -> object:
    """Sessions with equal keys are one session's families as one of its ends is configured."""
    return session.session.removesuffix(f"-ipv{session.family}"), session.node, session.neighbor


def _stories(group: list[SessionExplanation]) -> Iterator[Story]:
    """Yield one story for both families, or one each where their rules have not the same order."""
    imports, exports = _line_up([one.imports for one in group]), _line_up([one.exports for one in group])
    if imports is not None and exports is not None:
        yield _story(group, imports, exports)
    else:
        yield from (story for session in group for story in _stories([session]))


def _line_up(policies: list[Filtering]) -> list[_Slot] | None:
    """Return the rules of several policies in one order, equal ones together; None: they contradict each other."""
    slots: dict[object, _Slot] = {}
    order: list[object] = []
    for number, policy in enumerate(policies):
        mine = _rule_keys(policy)
        if [key for key in mine if key in slots] != [key for key in order if key in mine]:
            return None
        order = _weave(order, list(mine))
        for key, rule in mine.items():
            slots.setdefault(key, {})[number] = rule
    return [slots[key] for key in order]


def _rule_keys(policy: Filtering) -> dict[object, Rule]:
    """Return rules by their names and verdicts; a name that comes again (there are two `accept`) is counted."""
    found: dict[object, Rule] = {}
    for rule in policy.rules:
        again = sum(rule.name == other.name for other in found.values())
        found[rule.name, rule.accept, again] = rule
    return found


def _weave(order: list[object], mine: list[object]) -> list[object]:
    """Return one order that keeps both; what they share has the same order in both."""
    woven: list[object] = []
    rest = order
    for key in mine:
        if key in rest:
            after = rest.index(key) + 1
            woven, rest = [*woven, *rest[:after]], rest[after:]
        else:
            woven.append(key)
    return [*woven, *rest]


def _story(group: list[SessionExplanation], imports: list[_Slot], exports: list[_Slot]) -> Story:
    first = group[0]
    names = " and ".join(session.session for session in group)
    parts = (
        _statements_part(group, "The session", lambda session: session.about),
        _filtering_part(group, f"In: what {first.node} takes from {first.neighbor}", imports, lambda one: one.imports),
        _filtering_part(
            group, f"Out: what {first.node} announces to {first.neighbor}", exports, lambda one: one.exports
        ),
        _statements_part(group, "Packets", lambda session: session.packets),
        _statements_part(group, "What the platform cannot do", lambda session: session.limits),
        _statements_part(group, "Raw lines, which nothing above knows of", lambda session: session.raw),
    )
    return Story(f"{names}: {first.node} with {first.neighbor}", tuple(filter(_has, parts)))


def _has(part: ToldPart) -> bool:
    return bool(part.lead or part.rules or part.statements)


def _filtering_part(
    group: list[SessionExplanation],
    heading: str,
    slots: list[_Slot],
    of: Callable[[SessionExplanation], Filtering],
) -> ToldPart:
    lead = _variants((session.family, of(session).summary) for session in group)
    rules = tuple(_rule(group, number, slot) for number, slot in enumerate(slots, 1))
    return ToldPart(heading, lead, rules, _statements(group, lambda session: of(session).notes))


def _rule(group: list[SessionExplanation], number: int, slot: _Slot) -> ToldRule:
    first = next(iter(slot.values()))
    same = [(group[index].family, rule) for index, rule in slot.items()]
    apart = len(slot) < len(group)
    return ToldRule(
        number=number,
        name=first.name,
        accept=first.accept,
        when=_variants(((family, _when(rule)) for family, rule in same), apart=apart),
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
