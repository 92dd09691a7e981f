"""What is held against a change and what is not."""

from __future__ import annotations

import pytest

from resilience.deploy.expect import Expected, ExpectedSession
from resilience.deploy.router import Observation, Probe, SeenBfd, SeenSession
from resilience.deploy.verify import Seen, judge

NEIGHBOR = "192.0.2.1"
SESSION = ExpectedSession(name="dakar-ipv4", neighbor=NEIGHBOR, family=4, announces=True, bfd=True)
EXPECTED = Expected(
    sessions=(SESSION,), probes=(Probe(id="shop ipv4 port 443", source="10.0.0.1", target="198.51.100.80", port=443),)
)
WELL = SeenSession(neighbor=NEIGHBOR, family=4, up=True, received=10, sent=2)
DOWN = SeenSession(neighbor=NEIGHBOR, family=4, up=False)
OTHER_DOWN = SeenSession(neighbor="192.0.2.9", family=4, up=False)
OTHER_UP = SeenSession(neighbor="192.0.2.9", family=4, up=True)


def seen(*sessions: SeenSession, bfd: bool | None = True, answers: bool = True) -> Seen:
    """Return what a router sees."""
    beats = () if bfd is None else (SeenBfd(neighbor=NEIGHBOR, up=bfd),)
    return Seen(observation=Observation(sessions=sessions, bfd=beats), probes={"shop ipv4 port 443": answers})


@pytest.mark.parametrize(
    ("before", "now", "broken", "already"),
    [
        (seen(WELL), seen(WELL), (), ()),
        (seen(WELL), seen(DOWN), ("session dakar-ipv4 with 192.0.2.1 is not up",), ()),
        (seen(WELL), seen(), ("session dakar-ipv4 with 192.0.2.1 is not up",), ()),
        (seen(DOWN), seen(DOWN), (), ("session dakar-ipv4 with 192.0.2.1 is not up",)),
        (seen(), seen(DOWN), ("session dakar-ipv4 with 192.0.2.1 is not up",), ()),
        (
            seen(WELL),
            seen(SeenSession(neighbor=NEIGHBOR, family=4, up=True, received=0, sent=2)),
            ("session dakar-ipv4: no prefix comes in any more, 10 did before",),
            (),
        ),
        (
            seen(WELL),
            seen(SeenSession(neighbor=NEIGHBOR, family=4, up=True, received=3, sent=0)),
            ("session dakar-ipv4: none of our prefixes goes out",),
            (),
        ),
        (seen(WELL), seen(WELL, bfd=False), ("BFD with 192.0.2.1 is not up",), ()),
        (seen(WELL, bfd=None), seen(WELL, bfd=None), ("BFD with 192.0.2.1 is not up",), ()),
        (seen(WELL, bfd=False), seen(WELL, bfd=False), (), ("BFD with 192.0.2.1 is not up",)),
        (seen(WELL), seen(WELL, answers=False), ("shop ipv4 port 443 (198.51.100.80) does not answer",), ()),
        (
            seen(WELL, answers=False),
            seen(WELL, answers=False),
            (),
            ("shop ipv4 port 443 (198.51.100.80) does not answer",),
        ),
        (seen(WELL, OTHER_UP), seen(WELL, OTHER_DOWN), ("session with 192.0.2.9 (IPv4) is not up any more",), ()),
        (seen(WELL, OTHER_DOWN), seen(WELL, OTHER_DOWN), (), ()),
        (seen(WELL, OTHER_UP), seen(WELL), (), ()),
    ],
    ids=[
        "all-well",
        "went-down",
        "is-gone",
        "was-down",
        "is-new-and-down",
        "nothing-comes-in",
        "nothing-goes-out",
        "bfd-went-down",
        "bfd-never-came",
        "bfd-was-down",
        "promise-broken",
        "promise-was-broken",
        "unplanned-went-down",
        "unplanned-was-down",
        "unplanned-was-removed",
    ],
)
def test_a_change_answers_for_what_it_broke_only(
    before: Seen, now: Seen, broken: tuple[str, ...], already: tuple[str, ...]
) -> None:
    """What was broken before is said beside it."""
    judgement = judge(EXPECTED, before, now)

    assert (judgement.broken, judgement.broken_before) == (broken, already)
    assert judgement.holds is not bool(broken)


def test_a_session_of_the_other_family_is_another_session() -> None:
    """IPv4 up says nothing of IPv6."""
    six = SeenSession(neighbor=NEIGHBOR, family=6, up=True, received=1, sent=1)

    assert not judge(EXPECTED, seen(WELL), seen(six)).holds


@pytest.mark.parametrize(
    ("were", "are", "broken", "already"),
    [
        (4, 4, False, False),
        (4, 2, True, False),
        (2, 2, False, True),
        (0, 3, False, True),
        (6, 4, False, False),
        (None, 3, True, False),
    ],
)
def test_neighbours_of_ospf_that_a_change_cost_are_held_against_it(
    were: int | None, are: int, broken: bool, already: bool
) -> None:
    """Not those whose other end comes later or that the plan takes away; the plan alone, where nobody looked."""
    before = None if were is None else Seen(observation=Observation(ospf_neighbors=were))

    found = judge(Expected(ospf_neighbors=4), before, Seen(observation=Observation(ospf_neighbors=are)))

    told = (f"{are} OSPF neighbours are full, 4 should be",)
    assert found.broken == (told if broken else ())
    assert found.broken_before == (told if already else ())
