"""What routers are expected to see, from plans of whole networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from resilience.deploy.bundles import Label, hash_files, make_bundles
from resilience.deploy.driver import Change, FileDiff
from resilience.deploy.expect import MOST_PROBES, expect
from resilience.deploy.orders import plan_order
from resilience.deploy.survey import Surveyed
from resilience.intent import read_intent
from resilience.model.network import SecretRef
from resilience.model.plan import Plan
from resilience.plan import make_plan, read_numbers

EXAMPLES = ("dual-homed", "bamako-isp", "national-isp")
LABEL = Label(change="20260102-030405-a1b2c3", who="anna@noc")


def plan_of(checkout: Path, name: str, *draining: str) -> Plan:
    """Return the plan of an example."""
    folder = checkout / "inventories" / name
    return make_plan(read_intent(folder), read_numbers(folder), draining=draining)[0]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_router_expects_every_session_of_the_plan(name: str, checkout: Path) -> None:
    """Both families, by the address that its daemon shows."""
    plan = plan_of(checkout, name)
    names = [router.name for router in plan.routers()]

    expected = expect(plan, names)

    for router in names:
        planned = {(str(one.remote.address), one.session.family) for one in plan.neighbors(router)}
        assert {(one.neighbor, one.family) for one in expected[router].sessions} == planned
        assert planned
    # Both ends of each link, for both families.
    assert sum(one.ospf_neighbors for one in expected.values()) == 4 * len(plan.network.links)


def test_prefixes_of_our_own_are_expected_to_leave_towards_strangers_only(checkout: Path) -> None:
    """IBGP carries them too, but its count says nothing about the world."""
    expected = expect(plan_of(checkout, "bamako-isp"), ["bko1"])["bko1"]

    announcing = {one.name for one in expected.sessions if one.announces}
    assert any(name.startswith("dakar") for name in announcing)
    assert not [name for name in announcing if name.startswith("ibgp")]


def test_promises_are_asked_after_from_the_nearest_router(checkout: Path) -> None:
    """From its own loopback, towards services and customers only: the rest of the world is imagined."""
    plan = plan_of(checkout, "bamako-isp")
    names = [router.name for router in plan.routers()]

    expected = expect(plan, names)

    known = plan.network.services.keys() | plan.network.customers.keys()
    asked = [probe for name in names for probe in expected[name].probes]
    assert asked
    assert {probe.id.split()[0] for probe in asked} <= known
    for name in names:
        own = {str(address.ip) for address in plan.nodes[name].loopbacks}
        assert {probe.source for probe in expected[name].probes} <= own
        assert len(expected[name].probes) <= MOST_PROBES


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_drained_form_of_a_router_does_not_depend_on_who_else_drains(name: str, checkout: Path) -> None:
    """So one more plan is enough for all of them."""
    plan = plan_of(checkout, name)
    names = [router.name for router in plan.routers()]

    together = make_bundles(plan, lambda draining: plan_of(checkout, name, *draining), names, LABEL, lambda _ref: None)

    for router in names:
        alone = make_bundles(
            plan, lambda draining: plan_of(checkout, name, *draining), [router], LABEL, lambda _ref: None
        )
        assert alone[router] == together[router]
        assert together[router].drained
        (daemon_file,) = together[router].drained
        assert together[router].drained[daemon_file] != together[router].files[daemon_file]


def test_a_bundle_holds_what_the_router_reads_and_nothing_else(checkout: Path) -> None:
    """The files of systemd-networkd say the same once more, for those who do without us."""
    plan = plan_of(checkout, "bamako-isp")

    bundles = make_bundles(
        plan, lambda draining: plan_of(checkout, "bamako-isp", *draining), ["bko1"], LABEL, lambda _ref: None
    )

    assert not [name for name in bundles["bko1"].files if "/" in name]
    assert {"frr.conf", "daemons", "vtysh.conf", "nftables.conf", "sysctl.conf", "addresses.batch"} <= set(
        bundles["bko1"].files
    )


def test_secrets_stand_in_bundles_and_never_in_digests_or_in_what_is_shown(tmp_path: Path) -> None:
    """A record is kept in git by some; a traceback goes into a ticket."""
    (tmp_path / "network.yaml").write_text(
        """
        network: one
        asn: 64500
        prefixes: [198.51.100.0/24]
        routers: {gw: {}}
        providers: {alpha: {asn: 64496}}
        uplinks: {fibre: {router: gw, provider: alpha, password: "env:FIBRE"}}
        """,
        encoding="utf-8",
    )
    plan = make_plan(read_intent(tmp_path))[0]

    def resolve(_reference: SecretRef) -> str:
        return "hunter2hunter2"

    bundles = make_bundles(plan, lambda _draining: plan, ["gw"], LABEL, resolve)

    assert "hunter2hunter2" in bundles["gw"].files["frr.conf"]
    assert "hunter2hunter2" not in repr(bundles["gw"])
    assert hash_files(plan, ["gw"]) == hash_files(plan, ["gw"])
    other = make_bundles(plan, lambda _draining: plan, ["gw"], LABEL, lambda _ref: "another-secret")
    assert other["gw"].files != bundles["gw"].files


def test_the_canary_is_a_router_to_which_something_is_done(checkout: Path) -> None:
    """Those that run what they should already stand apart, as wave 0."""
    plan = plan_of(checkout, "national-isp")
    names = [router.name for router in plan.routers()]
    changed = Change(router="x", files=(FileDiff(file="frr.conf", diff="+x\n"),))
    surveyed = {
        name: Surveyed(router=name, change=Change(router=name) if number % 2 else changed)
        for number, name in enumerate(names)
    }

    same, canary, *others = plan_order(plan, surveyed, workers=2)

    assert set(same) == set(names[1::2])
    assert len(canary) == 1
    assert canary[0] in names[::2]
    assert all(len(wave) <= 2 for wave in others)
