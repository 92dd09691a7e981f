"""A plan as manifests for Clabernetes: whole, in order, and nothing in them that it refuses.

What it refuses was read from its types (`apis/v1alpha1`, 0.7 to 0.10); no cluster was asked.
`GOLDEN_UPDATE=1 pytest tests/unit/lab/test_clab_kubernetes.py` writes the golden files anew; read the diff then.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from resilience.cli.app import run
from resilience.errors import ExitCode, UsageError
from resilience.intent import read_intent
from resilience.lab.clab.kubernetes import MOST_BYTES, make_manifests
from resilience.lab.clab.topology import ExportOptions
from resilience.model.configs import ConfigFile, Configs
from resilience.model.plan import Plan
from resilience.plan import make_plan
from resilience.render import render_configs

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/clab/kubernetes"
EXAMPLES = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/network.yaml"))
UPDATE = bool(os.environ.get("GOLDEN_UPDATE"))

NODE_KEYS = {
    *("kind", "type", "image", "license", "startup-config", "enforce-startup-config", "suppress-startup-config"),
    *("config", "entrypoint", "cmd", "exec", "user", "binds", "devices", "cap-add", "privileged", "security-opts"),
    *("tmpfs", "shm-size", "ports", "mgmt-ipv4", "mgmt-ipv6", "network-mode", "env", "env-files", "sysctls", "labels"),
    *("dns", "certificate", "extras", "components"),
}
"""Every key of c9s' `NodeDefinition`."""
REFUSED_KINDS = {"bridge", "ovs-bridge", "host", "ext-container"}
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
FILE_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")

Manifests = dict[str, Any]


def example(name: str) -> tuple[Plan, Configs]:
    """Return an example's plan with its configurations."""
    plan, _ = make_plan(read_intent(ROOT / "inventories" / name))
    return plan, render_configs(plan)


def manifests(plan: Plan, configs: Configs, **options: Any) -> Manifests:
    """Return manifests by their file."""
    files = make_manifests(plan, configs, ExportOptions(**{"name": "lab", **options}))
    return {file.path: yaml.safe_load(file.text) for file in files if file.path.endswith(".yaml")}


def wrong_with(made: Manifests) -> list[str]:
    """Return in words what a cluster would not take."""
    maps = {one["metadata"]["name"]: one for one in made.values() if one["kind"] == "ConfigMap"}
    (topology,) = (one for one in made.values() if one["kind"] == "Topology")
    (namespace,) = (one["metadata"]["name"] for one in made.values() if one["kind"] == "Namespace")
    return [
        *(f"{path}: not in {namespace}" for path, one in made.items() if _elsewhere(one, namespace)),
        *(f"{name}: {key}: no key" for name, one in maps.items() for key in one["data"] if not FILE_KEY.fullmatch(key)),
        *_wrong_files(topology["spec"], maps),
        *_wrong_definition(yaml.safe_load(topology["spec"]["definition"]["containerlab"])),
    ]


def _elsewhere(one: Any, namespace: str) -> bool:
    return bool(one["kind"] != "Namespace" and one["metadata"].get("namespace") != namespace)


def _wrong_files(spec: Any, maps: Manifests) -> Iterator[str]:
    """Every bind is a file that comes from a ConfigMap, and every such file is bound."""
    nodes = yaml.safe_load(spec["definition"]["containerlab"])["topology"]["nodes"]
    for name, files in spec["deployment"]["filesFromConfigMap"].items():
        if sorted(file["filePath"] for file in files) != sorted(bind.split(":")[0] for bind in nodes[name]["binds"]):
            yield f"{name}: binds are not its files"
        for file in files:
            if set(file) != {"filePath", "configMapName", "configMapPath", "mode"}:
                yield f"{name}: unknown keys"
            if file["configMapPath"] not in maps[file["configMapName"]]["data"]:
                yield f"{name}: {file['configMapPath']} is in no ConfigMap"
            if file["mode"] not in {"read", "execute"}:
                yield f"{name}: mode {file['mode']}"


def _wrong_definition(document: Any) -> Iterator[str]:
    if set(document) != {"name", "topology"}:
        yield f"unknown keys beside {set(document)}"
    topology = document["topology"]
    for name, node in (*topology["nodes"].items(), ("defaults", topology["defaults"])):
        if not LABEL.fullmatch(name):
            yield f"{name}: no name"
        if unknown := set(node) - NODE_KEYS:
            yield f"{name}: {unknown}"
        if node.get("kind") in REFUSED_KINDS or "network-mode" in node:
            yield f"{name}: cannot be"
    for link in topology.get("links", ()):
        if set(link) - {"endpoints", "mtu"} or len(link["endpoints"]) != 2:
            yield f"{link}: no link"


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_becomes_manifests_that_are_not_refused(name: str) -> None:
    """Each node with its files, each file bound, no key that c9s does not know."""
    plan, configs = example(name)
    made = manifests(plan, configs, name=name)

    assert wrong_with(made) == []
    assert [path[:2] for path in made] == sorted(path[:2] for path in made)
    definition = yaml.safe_load(made["20-topology.yaml"]["spec"]["definition"]["containerlab"])
    assert list(definition["topology"]["nodes"]) == list(plan.nodes)
    assert len(definition["topology"]["links"]) == len(plan.segments)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda nodes: nodes["gw"].update({"network-mode": "none"}), "gw: cannot be"),
        (lambda nodes: nodes["gw"].update({"restart-policy": "no"}), "gw: {'restart-policy'}"),
        (lambda nodes: nodes["gw"].update({"kind": "bridge"}), "gw: cannot be"),
        (lambda nodes: nodes["gw"]["binds"].append("nodes/gw:/etc"), "gw: binds are not its files"),
        (lambda nodes: nodes.update({"GW": nodes["gw"]}), "GW: no name"),
    ],
)
def test_the_check_of_manifests_finds_what_is_refused(break_it: Callable[[Any], None], said: str) -> None:
    """A check that finds nothing anywhere would prove nothing."""
    made = manifests(*example("dual-homed"))
    definition = made["20-topology.yaml"]["spec"]["definition"]
    document = yaml.safe_load(definition["containerlab"])
    break_it(document["topology"]["nodes"])
    definition["containerlab"] = yaml.safe_dump(document)

    assert said in wrong_with(made)


@pytest.mark.parametrize("path", ["00-namespace.yaml", "20-topology.yaml"])
def test_the_manifests_are_as_reviewed(path: str) -> None:
    """The files of nodes are the rendered ones, which have golden files of their own."""
    plan, configs = example("dual-homed")
    made = {file.path: file.text for file in make_manifests(plan, configs, ExportOptions(name="dual-homed"))}
    if UPDATE:
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / path).write_text(made[path], encoding="utf-8")

    assert made[path] == (GOLDEN / path).read_text(encoding="utf-8")


def test_files_arrive_as_they_were_rendered() -> None:
    """Byte for byte, however they are written in YAML."""
    plan, configs = example("dual-homed")
    made = manifests(plan, configs)

    rendered = {file.path: file.text for file in configs["gw"] if not file.path.startswith("networkd/")}
    assert rendered.items() <= made["10-files-gw.yaml"]["data"].items()


def test_files_beyond_the_limit_are_refused() -> None:
    """Kubernetes would refuse them with words about etcd."""
    plan, configs = example("dual-homed")
    large = {**configs, "gw": (*configs["gw"], ConfigFile("big.conf", "#" * MOST_BYTES))}

    with pytest.raises(UsageError, match="the files of gw have") as caught:
        manifests(plan, large)
    assert "big.conf is the largest" in caught.value.hint


@pytest.mark.parametrize("name", ["My-lab", "a_b", "x" * 60, "-a"])
def test_names_that_kubernetes_does_not_take(name: str) -> None:
    """Lab names may hold capitals and dots elsewhere."""
    with pytest.raises(UsageError):
        manifests(*example("dual-homed"), name=name)


def test_names_that_are_too_long_together() -> None:
    """c9s makes names out of both."""
    plan, configs = example("dual-homed")
    node = replace(plan.nodes["gw"], name="g" * 40)
    plan = replace(plan, nodes={**plan.nodes, "g" * 40: node})

    with pytest.raises(UsageError, match="too long together"):
        manifests(plan, configs, name="n" * 30)


def test_the_command_writes_what_kubectl_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says plainly that no cluster has seen it."""
    command = ["lab", "export", str(ROOT / "inventories/dual-homed"), "-o", str(tmp_path / "out"), "--kubernetes"]

    assert run(command) == ExitCode.HOLDS
    assert "not tried on a cluster" in capsys.readouterr().out
    assert "not tried on a cluster" in (tmp_path / "out/README.md").read_text()
    assert run([*command, "--json"]) == ExitCode.HOLDS
    assert json.loads(capsys.readouterr().out)["namespace"] == "c9s-dual-homed"
