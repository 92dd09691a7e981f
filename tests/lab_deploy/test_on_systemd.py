"""Deployments to whole Debian machines with systemd: a lab's router has no init and no units."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.deploy_desk import wait_until
from tests.support.effort import EVERYTHING
from tests.support.systemd_machine import SESSIONS, Bench, open_bench

pytestmark = [pytest.mark.machine, pytest.mark.timeout(400)]

DEADLINE_S = 20


def on(*platforms: str) -> pytest.MarkDecorator:
    """Try a test on both platforms, or on some where not everything is tried."""
    return pytest.mark.parametrize("bench", ("frr", "bird") if EVERYTHING else platforms, indirect=True)


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A router that was prepared by the book and never deployed to."""
    with open_bench(request.param, tmp_path_factory.mktemp(request.param)) as bench:
        yield bench


def deploy_plain(bench: Bench) -> None:
    """Have the router run the plain network, with nothing open and nobody at work. The first time it is new to it."""
    said = bench.commit("plain", "--deadline", "60s")
    assert said.code == 0, said.out + said.err
    wait_until(lambda: not bench.guards(), "its guard has ended")
    check_plain(bench)


def check_plain(bench: Bench) -> None:
    """See that all is as deployed: after everything that the guard's end takes with it."""
    # A provider may hold on to a session with a router that lost power until its hold time has passed: 180 s at most.
    wait_until(lambda: bench.established() == SESSIONS, "sessions are up", 200)
    drift = bench("drift", "plain")
    assert drift.code == 0, drift.out


@on("frr", "bird")
def test_what_was_confirmed_runs_on_and_is_there_after_a_restart(bench: Bench) -> None:
    """Daemons outlive the guard that started them; the boot unit and the daemon's own find all they need."""
    deploy_plain(bench)

    bench.restart()

    check_plain(bench)
    assert bench.on_router("systemctl", "is-active", "netresilience-boot", bench.service).split() == ["active"] * 2


@on("bird")
def test_what_was_not_confirmed_is_gone_after_a_loss_of_power(bench: Bench) -> None:
    """It starts with what it ran before, and says so."""
    deploy_plain(bench)
    bench.leave_applied("other", 300)
    assert '"applied"' in bench.pending()

    bench.cut_power()
    bench.boot()

    check_plain(bench)
    told = bench("deploy", "other", "--status", "--json").document["routers"]
    assert [one["step"] for one in told] == ["rolled-back"]


@on("frr")
def test_a_change_goes_back_where_somebody_stops_its_unit(bench: Bench) -> None:
    """One of two processes ends with the unit, the other one restores in time."""
    deploy_plain(bench)
    bench.leave_applied("other", DEADLINE_S)

    (unit,) = bench.guards()
    bench.on_router("systemctl", "stop", unit)

    assert '"applied"' in bench.pending()
    wait_until(lambda: '"pending": null' in bench.pending(), "it has gone back", DEADLINE_S + 40)
    check_plain(bench)
