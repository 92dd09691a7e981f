"""From a plan to what a lab builds, waits for and breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resilience.errors import LabError, UnknownName, UsageError
from resilience.lab.faults import faults_of, outside_end
from resilience.lab.ledger import find_element
from resilience.lab.ready import expect
from resilience.lab.spec import LabSpec
from resilience.lab.startup import read_daemons, read_envvars
from resilience.lab.survey import FIRST_INDEX, fingerprint, make_spec
from resilience.model.configs import ConfigFile, Configs
from resilience.model.plan import Fault, FaultKind, Plan
from tests.support.lab_networks import SMALL, plan_from


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Configs]:
    """The small network."""
    return plan_from(SMALL, tmp_path_factory.mktemp("small"))


@pytest.fixture
def plan(network: tuple[Plan, Configs]) -> Plan:
    """Its plan."""
    return network[0]


def test_what_the_keeper_reads_is_what_was_surveyed(network: tuple[Plan, Configs]) -> None:
    """Through JSON and back."""
    spec = make_spec(*network)

    assert LabSpec.from_document(json.loads(json.dumps(spec.as_document()))) == spec


def test_no_two_interfaces_of_a_lab_share_a_number(network: tuple[Plan, Configs]) -> None:
    """Least of all the two ends of a cable."""
    spec = make_spec(*network)
    numbers = [end.index for cable in spec.cables for end in cable]

    assert len(numbers) == len(set(numbers)) == 2 * len(network[0].segments)
    assert min(numbers) == FIRST_INDEX


def test_programs_follow_from_the_files(network: tuple[Plan, Configs]) -> None:
    """FRR's daemons as its file says, BIRD, nothing on hosts and switches."""
    programs = {node.name: [program.name for program in node.programs] for node in make_spec(*network).nodes}

    assert programs["r1"] == ["zebra", "bgpd", "ospfd", "ospf6d", "staticd", "bfdd"]
    assert programs["r2"] == ["bird"]
    assert programs["user-north"] == programs["exchange-mlix"] == []


def test_the_distributions_start_script_is_followed() -> None:
    """Zebra and staticd always; options as words."""
    found = read_daemons('bgpd=yes\nospfd=no\nzebra=no\nbgpd_options="-A 127.0.0.1 -M rpki" # x\n')

    assert [program.name for program in found] == ["zebra", "bgpd", "staticd"]
    assert found[1].options == ("-A", "127.0.0.1", "-M", "rpki")


def test_bird_starts_with_the_options_of_its_service(plan: Plan) -> None:
    """What `envvars` says is what a router's service file hands on; without the file there are none."""
    text = "# BIRD_ARGS=-x\nBIRD_RUN_USER=bird\nBIRD_ARGS=-R\n"
    spec = make_spec(plan, {"r2": (ConfigFile("bird.conf", ""), ConfigFile("envvars", text))})

    assert read_envvars(text) == ("-R",)
    assert read_envvars('BIRD_ARGS="-R -d"') == ("-R", "-d")
    assert read_envvars("BIRD_RUN_USER=bird\n") == ()
    assert [node.programs[0].options for node in spec.nodes if node.programs] == [("-R",)]


def test_an_frr_without_the_file_daemons_is_refused(plan: Plan) -> None:
    """Guessing would hide a defect of the rendered files."""
    with pytest.raises(LabError, match="daemons"):
        make_spec(plan, {"r1": (ConfigFile("frr.conf", ""),)})


def test_equal_plans_have_equal_fingerprints(plan: Plan, tmp_path: Path) -> None:
    """And a plan with another cable has not."""
    assert fingerprint(plan_from(SMALL, tmp_path / "a")[0]) == fingerprint(plan)
    more = SMALL.replace("  beta: {asn: 64497}", "  beta: {asn: 64497}\n  gamma: {asn: 64498}")
    assert fingerprint(plan_from(more, tmp_path / "b")[0]) != fingerprint(plan)


def test_readiness_asks_for_everything_that_the_plan_promises(plan: Plan) -> None:
    """Sessions, adjacencies of both families, BFD of sessions and links, a host's gateways."""
    router = expect(plan, plan.nodes["r1"])
    host = expect(plan, plan.nodes["user-north"])

    assert len(router.sessions) == len(plan.neighbors("r1"))
    assert router.adjacencies == ((4, "ln-r2"), (6, "ln-r2"))
    assert router.bfd
    assert {route.prefix.version for route in host.gateways} == {4, 6}
    assert not expect(plan, plan.nodes["exchange-mlix"])
    assert {loopback.network_address for loopback in router.loopbacks} == {a.ip for a in plan.nodes["r2"].loopbacks}
    assert not host.loopbacks


@pytest.mark.parametrize(
    ("segment", "end"),
    [
        ("uplink-west", ("provider-alpha", "o-west")),
        ("port-mlix-r1", ("exchange-mlix", "p-r1")),
        ("user-north", ("user-north", "gw-r1")),
        ("link-r1-r2", ("r2", "ln-r1")),
        ("internet-1", ("transit-1", "o-internet-1")),
    ],
)
def test_faults_act_at_the_end_that_is_furthest_from_our_routers(
    plan: Plan, segment: str, end: tuple[str, str]
) -> None:
    """A switch before a stranger's router before a host before our own."""
    assert outside_end(plan, segment) == end


def test_an_element_fails_by_nature_or_as_told(plan: Plan) -> None:
    """By its own faults of that kind, else by that kind done to what it stands for."""
    uplink, server = plan.elements["uplink west"], plan.elements["route-server mlix-rs1"]

    assert faults_of(plan, uplink) == (Fault(FaultKind.CARRIER, "uplink-west"),)
    assert faults_of(plan, uplink, FaultKind.SILENT) == (Fault(FaultKind.SILENT, "uplink-west"),)
    assert faults_of(plan, server, FaultKind.FREEZE) == (Fault(FaultKind.FREEZE, "rs-mlix-1"),)
    assert faults_of(plan, plan.elements["provider alpha"], FaultKind.GREY) == (
        Fault(FaultKind.GREY, "provider-alpha"),
    )
    with pytest.raises(UsageError, match="cannot fail by crash"):
        faults_of(plan, uplink, FaultKind.CRASH)


def test_elements_are_named_as_in_the_intent(plan: Plan) -> None:
    """Qualified, or short where that is unambiguous; a typo is told what is near."""
    assert find_element(plan, "west").name == find_element(plan, "uplink west").name == "uplink west"
    with pytest.raises(UnknownName) as unknown:
        find_element(plan, "wst")
    assert "uplink west" in unknown.value.hint
