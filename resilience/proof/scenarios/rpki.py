"""Routes that the RPKI does not authorise, told by a real validator, and a validator that leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Final

from resilience.model.network import Platform
from resilience.proof.announce import Announcement, RouteAttack, RouteAttacks
from resilience.proof.crossroads import (
    ASN,
    CROSSROADS,
    CUSTOMER,
    GOOD,
    OTHER,
    PEER,
    PROVIDER,
    ROUTE_SERVER,
    STRANGER,
    path_from,
    term_guard,
    wrong_prefixes,
)
from resilience.proof.guards import Lines, Unavailable, bird_term
from resilience.proof.scenario import Group, Scenario
from resilience.proof.scene import Scene, persists, wait_for
from resilience.proof.validator import Authorisation, Validator

_INTENT: Final = f"{CROSSROADS}rpki: {{address: 31.44.0.1}}\n"
"""The validator stands with the provider."""
_LIMIT_S: Final = 30.0
_UNKNOWN: Final = ("31.40.48.0/22", "2a02:be8::/32")
"""The provider announces them, and no authorisation speaks of them."""
_BOTH_WRONG: Final = ("31.40.36.0/22", "2a02:be1::/32")


def _origin(attacker: str) -> int:
    return STRANGER if attacker == ROUTE_SERVER else ASN[attacker]


def _right(attacker: str) -> Iterator[Authorisation]:
    for prefix in GOOD[attacker]:
        yield Authorisation(prefix, ip_network(prefix).prefixlen, _origin(attacker))


def _of_another(prefixes: Iterable[str]) -> Iterator[Authorisation]:
    """Authorise somebody else: who announces these is an impostor."""
    for prefix in prefixes:
        yield Authorisation(prefix, ip_network(prefix).prefixlen, STRANGER + 1)


def _shorter(attacker: str, prefixes: Iterable[str]) -> Iterator[Authorisation]:
    """Authorise the right AS, but only for the network around these: they are too long."""
    for prefix in prefixes:
        around = ip_network(prefix).supernet()
        yield Authorisation(str(around), around.prefixlen, _origin(attacker))


_TABLE: Final = (
    *(one for attacker in GOOD for one in _right(attacker)),
    *_of_another((*OTHER[PROVIDER], *OTHER[ROUTE_SERVER])),
    *_shorter(PEER, OTHER[PEER]),
    *_shorter(CUSTOMER, OTHER[CUSTOMER]),
    *_shorter(PROVIDER, _BOTH_WRONG),
)


def _provider() -> RouteAttack:
    attack = wrong_prefixes(PROVIDER, *OTHER[PROVIDER], *_BOTH_WRONG)
    unknown = tuple(Announcement(prefix, path_from(PROVIDER)) for prefix in _UNKNOWN)
    return replace(attack, good=(*attack.good, *unknown))


@dataclass(slots=True)
class _Cache:
    """The lab's validator, started when it is first asked for."""

    running: dict[Scene, Validator] = field(default_factory=dict)

    def of(self, scene: Scene, *, ask_again: bool = True) -> Validator:
        """Return the scene's validator; the router knows its table.

        `ask_again`: let a router that does not do so by itself judge once more what it took before.
        """
        if scene not in self.running:
            self.running[scene] = Validator(scene.lab, PROVIDER, _TABLE)
            wait_for("the validator listens", lambda: _deaf(scene), _LIMIT_S)
            _connect(scene)
            if ask_again and scene.platform is Platform.FRR:
                scene.run(scene.victim, "vtysh", "-c", "clear bgp * soft in")
        return self.running[scene]


_CACHE: Final = _Cache()


def _deaf(scene: Scene) -> Iterator[str]:
    if ":3323" not in scene.run(PROVIDER, "ss", "-tln").stdout:
        yield "nobody listens on port 3323"


def _connect(scene: Scene) -> None:
    """Let the router ask now: it found nobody when it started, and would try again after a minute."""
    if scene.platform is Platform.FRR:
        scene.run(scene.victim, "vtysh", "-c", "rpki reset")
    else:
        scene.bird(scene.victim, "restart b_validator1")
    wait_for("the router learns what is authorised", lambda: _unlearned(scene, _TABLE), _LIMIT_S)


def _known(scene: Scene) -> str:
    if scene.platform is Platform.FRR:
        return scene.run(scene.victim, "vtysh", "-c", "show rpki prefix-table").stdout
    return "".join(scene.bird(scene.victim, f"show route table b_roa{family}") for family in (4, 6))


def _unlearned(scene: Scene, table: Iterable[Authorisation]) -> Iterator[str]:
    known = _known(scene)
    for one in table:
        if str(ip_network(one.prefix).network_address) not in known:
            yield f"{one.prefix} is not in the router's table"


# --- invalid routes --------------------------------------------------------------------------------------------------

_INVALID: Final = RouteAttacks(
    (_provider(), *(wrong_prefixes(attacker, *OTHER[attacker]) for attacker in (PEER, ROUTE_SERVER, CUSTOMER)))
)


def _missing(scene: Scene) -> Iterator[str]:
    if scene not in _CACHE.running:
        _CACHE.of(scene)
        # What came before the validator's answers was accepted by everybody: that is no harm that proves anything.
        _INVALID.again(scene)
    yield from _INVALID.missing(scene)


# --- a validator that answers late -----------------------------------------------------------------------------------

_LATE: Final = _provider()


def _answer_late(scene: Scene) -> tuple[str, ...]:
    """Let the validator come up after the routes: what it calls invalid should go by itself."""
    if scene not in _CACHE.running:
        wait_for("the routes come first", lambda: _not_taken(scene), _LIMIT_S)
        _CACHE.of(scene, ask_again=False)
    return persists(lambda: _LATE.attack(scene))


def _not_taken(scene: Scene) -> list[str]:
    return sorted({*_LATE.harms} - {*_LATE.attack(scene)})


def _silence(scene: Scene) -> None:
    """Take the validator away, let the router forget what it said, and announce everything anew."""
    _CACHE.running.pop(scene).kill()
    scene.bird(scene.victim, "restart b_validator1")
    wait_for("the authorisations are gone", lambda: _remaining(scene), _LIMIT_S)
    _LATE.again(scene)


# --- a validator that leaves -----------------------------------------------------------------------------------------

_LOST: Final = {prefix: f"{prefix} is lost with the validator" for prefix in GOOD[PROVIDER]}
_ALONE: Final = RouteAttack(attacker=PROVIDER, bad=(), good=_INVALID.parts[0].good[: len(GOOD[PROVIDER])])


def _before(scene: Scene) -> Iterator[str]:
    _CACHE.of(scene)
    yield from _ALONE.missing(scene)


def _expire(scene: Scene) -> Iterator[str]:
    """Take every authorisation back, as routers do by themselves when a dead validator's answers have expired.

    Nobody allows less than ten minutes for that (RFC 8210 section 6), hence not by waiting.
    """
    if "expired" not in scene.memory:
        scene.memory["expired"] = 1
        _CACHE.of(scene).serve(())
    gone = " ".join(_ALONE.missing(scene))
    yield from (harm for prefix, harm in _LOST.items() if prefix in gone)


def _die(scene: Scene) -> None:
    """Let the validator know everything once more, forget it all, and die."""
    validator = _CACHE.of(scene)
    validator.serve(_TABLE)
    wait_for("the router learns what is authorised", lambda: _unlearned(scene, _TABLE), _LIMIT_S)
    validator.serve(())
    wait_for("the authorisations are gone", lambda: _remaining(scene), _LIMIT_S)
    validator.kill()


def _remaining(scene: Scene) -> Iterator[str]:
    known = _known(scene)
    yield from (one.prefix for one in _TABLE if str(ip_network(one.prefix).network_address) in known)


_SOURCES: Final = ("RFC 6811", "RFC 7115 section 5", "RFC 8210", "MANRS action 1")

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="rpki-invalid",
        group=Group.ROUTES_IN,
        protection="RPKI origin validation",
        attack_title="each kind of neighbour announces prefixes of others, or longer ones than are authorised",
        sources=_SOURCES,
        intent=_INTENT,
        guard=term_guard("rpki"),
        harms=_INVALID.harms,
        attack=_INVALID.attack,
        missing=_missing,
        hostile=_INVALID.hostile,
        again=_INVALID.again,
    ),
    Scenario(
        name="rpki-validator-late",
        group=Group.ROUTES_IN,
        protection="routes are judged again when the validator answers",
        attack_title="a provider announces prefixes of others before the RPKI validator has answered",
        sources=("RFC 6811 section 2.1", "RFC 7115 section 5"),
        intent=_INTENT,
        guard={
            Platform.FRR: Unavailable.on(Platform.FRR, "rpki-validator-late"),
            Platform.BIRD: (bird_term("rpki"),),
        },
        harms=_LATE.harms,
        attack=_answer_late,
        missing=_LATE.missing,
        hostile=_LATE.hostile,
        again=_silence,
    ),
    Scenario(
        name="rpki-validator-lost",
        group=Group.FAILURES,
        protection="only what is invalid is refused, not what is unknown",
        attack_title="the RPKI validator dies, and what it said expires",
        sources=("RFC 7115 section 5", "RFC 8210 section 6"),
        intent=_INTENT,
        guard={
            Platform.FRR: (Lines("frr.conf", r"^ match rpki invalid$", " match rpki notfound"),),
            Platform.BIRD: (Lines("bird.conf", r"= ROA_INVALID", "= ROA_UNKNOWN"),),
        },
        harms=tuple(_LOST.values()),
        attack=_expire,
        missing=_before,
        hostile=_ALONE.hostile,
        again=_die,
    ),
)
