"""A plan as a folder for containerlab: whole, relative, and what containerlab reads.

`GOLDEN_UPDATE=1 pytest tests/unit/lab/test_clab_export.py` writes the golden file anew; read the diff then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from resilience.cli.app import run
from resilience.errors import ExitCode, UsageError
from resilience.intent import read_intent
from resilience.lab.clab.kinds import IMAGE, Dialect
from resilience.lab.clab.topology import ExportOptions, make_folder, write_yaml
from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import Plan, Segment
from resilience.plan import make_plan
from resilience.render import render_configs, write_files
from tests.support.clab_folder import read_topology, wrong_with
from tests.support.lab_networks import SMALL, plan_from
from tests.support.render_plans import make_the_plan

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/clab/by-hand.clab.yml"
EXAMPLES = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/network.yaml"))
UPDATE = bool(os.environ.get("GOLDEN_UPDATE"))
SCHEMA = "github.com/srl-labs/containerlab@v0.79.0/schemas/clab.schema.json"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Configs]:
    """A network with FRR, BIRD, hosts and a switch."""
    return plan_from(SMALL, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def schema() -> Any:
    """Containerlab's own schema, where Go keeps the module that its program was built from."""
    cache = os.environ.get("GOMODCACHE") or f"{os.environ.get('GOPATH') or Path.home() / 'go'}/pkg/mod"
    path = Path(cache) / SCHEMA
    if not path.is_file():
        missing = f"needs containerlab's schema ({path}): run `make containers`"
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(missing)
    return json.loads(path.read_text(encoding="utf-8"))


def export(network: tuple[Plan, Configs], folder: Path, **options: Any) -> Path:
    """Write a folder and return it."""
    write_files(make_folder(*network, ExportOptions(**{"name": "lab", **options})), folder)
    return folder


def example(name: str) -> tuple[Plan, Configs]:
    """Return an example's plan with its configurations."""
    plan, _ = make_plan(read_intent(ROOT / "inventories" / name))
    return plan, render_configs(plan)


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_becomes_a_folder_that_lacks_nothing(
    name: str, dialect: Dialect, tmp_path: Path, schema: Any
) -> None:
    """Every cable ends at a node, every bind exists inside the folder, and containerlab's schema has no objection."""
    plan, configs = example(name)
    folder = export((plan, configs), tmp_path, name=name, dialect=dialect)
    document = read_topology(folder)

    assert wrong_with(folder) == []
    jsonschema.Draft7Validator(schema).validate(document)
    assert list(document["topology"]["nodes"]) == list(plan.nodes)
    assert len(document["topology"]["links"]) == len(plan.segments)


def test_the_topology_file_is_as_reviewed(tmp_path: Path) -> None:
    """The whole file of a small network."""
    plan = make_the_plan(Platform.FRR)
    text = (export((plan, render_configs(plan, nodes=plan.nodes)), tmp_path) / "lab.clab.yml").read_text()
    if UPDATE:
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)

    assert text == GOLDEN.read_text()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda top: top["links"][0]["endpoints"].__setitem__(0, "nobody:eth1"), "nobody:eth1: no such node"),
        (lambda top: top["links"].append(top["links"][0]), "used 2 times"),
        (lambda top: top["links"][0]["endpoints"].__setitem__(0, f"r1:{'x' * 16}"), "no name for an interface"),
        (lambda top: top["links"][0].pop("mtu"), "9500 bytes"),
        (lambda top: top["nodes"]["r1"]["binds"].append("nodes/r9:/x"), "nodes/r9 does not exist"),
        (lambda top: top["nodes"]["r1"]["binds"].append("../r9:/x"), "outside of the folder"),
        (lambda top: top["nodes"]["r1"].update(exec=[]), "empty"),
    ],
)
def test_the_check_of_folders_finds_what_the_schema_misses(
    small: tuple[Plan, Configs], tmp_path: Path, break_it: Callable[[dict[str, Any]], None], said: str
) -> None:
    """A check that finds nothing anywhere would prove nothing."""
    folder = export(small, tmp_path)
    document = read_topology(folder)
    break_it(document["topology"])
    (folder / "lab.clab.yml").write_text(write_yaml(document), encoding="utf-8")

    assert any(said in fault for fault in wrong_with(folder))


def test_a_dollar_reaches_the_nodes_as_one() -> None:
    """Containerlab expands variables wherever they stand in the file."""
    assert yaml.safe_load(write_yaml({"name": "x", "password": "a$b${HOME}"})) == {
        "name": "x",
        "password": "a$$b$${HOME}",
    }


def test_dialects_differ_in_what_old_versions_do_not_know(small: tuple[Plan, Configs], tmp_path: Path) -> None:
    """Privileges are named one by one where that can be said; nobody is restarted behind a drill's back."""
    broad = read_topology(export(small, tmp_path / "broad"))
    strict = read_topology(export(small, tmp_path / "strict", dialect=Dialect.STRICT))

    assert {"cap-add", "privileged"}.isdisjoint(broad["topology"]["defaults"])
    assert strict["topology"]["defaults"]["privileged"] is False
    assert strict["topology"]["defaults"]["restart-policy"] == "no"
    assert "mgmt" not in broad
    assert {node["kind"] for node in broad["topology"]["nodes"].values()} == {"linux"}


def test_an_image_of_others_is_started_with_our_program(small: tuple[Plan, Configs], tmp_path: Path) -> None:
    """Its own entry point knows nothing of a node's folder."""
    topology = read_topology(export(small, tmp_path, image="quay.io/frrouting/frr:10.5.1"))["topology"]

    assert topology["defaults"]["image"] == "quay.io/frrouting/frr:10.5.1"
    assert {node["entrypoint"] for node in topology["nodes"].values()} == {"/usr/sbin/netresilience-node"}
    assert os.access(tmp_path / "netresilience-node", os.X_OK)


def test_a_switch_is_a_container_with_a_bridge(small: tuple[Plan, Configs], tmp_path: Path) -> None:
    """Nothing has to exist on the machine before."""
    batch = (export(small, tmp_path) / "nodes/exchange-mlix/addresses.batch").read_text()

    assert batch.startswith("link add name lan type bridge mcast_snooping 0\n")
    assert all(f" {port.name} mtu 1500 master lan up" in batch for port in small[0].nodes["exchange-mlix"].interfaces)


@pytest.mark.parametrize("name", ["", "-x", "a b", "../x", "a/b", "a$b", "a\nb", "ä", "x" * 300])
def test_hostile_names_are_refused(small: tuple[Plan, Configs], name: str) -> None:
    """A name becomes the name of files, containers and options."""
    with pytest.raises(UsageError, match="is no name"):
        make_folder(*small, ExportOptions(name=name))
    with pytest.raises(UsageError, match="is no name"):
        make_folder(*small, ExportOptions(name="lab", image=name if name != "a/b" else "a b"))


def test_long_interface_names_are_refused(small: tuple[Plan, Configs]) -> None:
    """Containerlab would rename them, and files would name interfaces that are not there."""
    plan, configs = small
    name, segment = next(iter(plan.segments.items()))
    ends = (replace_end(segment, "x" * 16), segment.ends[1])
    with pytest.raises(UsageError, match="16 characters, Linux takes 15") as caught:
        make_folder(
            replace(plan, segments={**plan.segments, name: replace(segment, ends=ends)}),
            configs,
            ExportOptions(name="lab"),
        )
    assert caught.value.hint


def replace_end(segment: Segment, interface: str) -> tuple[str, str]:
    """Return the first end of a cable with another interface."""
    return segment.ends[0][0], interface


# --- the command -----------------------------------------------------------------------------------------------------


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run `resilience lab export` on an example."""
    code = run(["lab", "export", str(ROOT / "inventories/dual-homed"), *arguments])
    return code, *capsys.readouterr()


def test_the_command_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the folder is, and how it is started."""
    code, out, _ = call(capsys, "-o", str(tmp_path), "--name", "mine")

    assert code == ExitCode.HOLDS
    assert f"sudo containerlab deploy -t {tmp_path}/mine.clab.yml" in out
    assert IMAGE in (tmp_path / "README.md").read_text()
    assert wrong_with(tmp_path) == []


def test_the_command_answers_in_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For those who go on by program; a second run changes nothing."""
    call(capsys, "-o", str(tmp_path))
    document = json.loads(call(capsys, "-o", str(tmp_path), "--json")[1])

    assert document["topology"] == str(tmp_path / "dual-homed.clab.yml")
    assert document["dialect"] == "0.40"
    assert not document["added"] + document["changed"] + document["removed"]


def test_files_of_others_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written where something is in the way; what was edited needs a word."""
    (tmp_path / "README.md").write_text("mine\n")
    code, _, err = call(capsys, "-o", str(tmp_path))
    assert (code, "not written by this tool, so left alone: README.md" in err) == (ExitCode.USAGE, True)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]

    (tmp_path / "README.md").unlink()
    call(capsys, "-o", str(tmp_path))
    (tmp_path / "nodes/gw/frr.conf").write_text("edited\n")
    assert call(capsys, "-o", str(tmp_path))[0] == ExitCode.USAGE
    assert call(capsys, "-o", str(tmp_path), "--force")[0] == ExitCode.HOLDS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dialect", "0.99"), "there is no dialect '0.99'"),
        (("--name", "a b"), "'a b' is no name for a lab"),
        (("--image", "-v"), "'-v' is no name of an image"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    """One sentence, a hint, exit code 2, no folder."""
    code, _, err = call(capsys, "-o", str(tmp_path / "out"), *arguments)

    assert code == ExitCode.USAGE
    assert err.startswith(f"error: {said}\nhint: ")
    assert not (tmp_path / "out").exists()
