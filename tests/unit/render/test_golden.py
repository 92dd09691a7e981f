"""Whole files: what people will read in a review, and what the daemons' own programs say of every one of them.

`GOLDEN_UPDATE=1 pytest tests/unit/render/test_golden.py` writes the golden files anew; read the diff before you commit.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from resilience.intent import read_intent
from resilience.model.configs import Configs
from resilience.model.network import Platform
from resilience.model.plan import GracefulRestart, Plan
from resilience.plan import make_plan
from resilience.render import render_configs
from tests.support.render_plans import FAST, make_the_plan, with_ends

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/configs"
EXAMPLES = sorted(path.parent for path in (ROOT / "inventories").glob("*/network.yaml"))
UPDATE = bool(os.environ.get("GOLDEN_UPDATE"))


def example(name: str, *draining: str) -> Plan:
    """Return the plan of an example."""
    plan, _ = make_plan(read_intent(ROOT / "inventories" / name), draining=draining)
    return plan


def by_hand(platform: Platform) -> Plan:
    """Return the plan by hand, with BFD on one session, a promised default and graceful restart on another."""
    plan = with_ends(make_the_plan(platform), "alpha-ipv4", {"bfd": FAST, "ttl_security": True}, {"bfd": FAST})
    restarts = {"graceful_restart": GracefulRestart.RESTARTS}
    return with_ends(plan, "beta-ipv4", {"default_originate": True, "maximum_prefixes": 100, **restarts})


CASES: dict[str, tuple[Callable[[], Plan], tuple[str, ...]]] = {
    "by-hand-frr": (lambda: by_hand(Platform.FRR), ("gw", "provider-alpha", "service-web")),
    "by-hand-bird": (lambda: by_hand(Platform.BIRD), ("gw",)),
    "dual-homed": (lambda: example("dual-homed"), ("gw", "provider-alpha", "user-gw")),
    "bamako-isp": (lambda: example("bamako-isp"), ("bko1", "bko2", "rs-mlix-1", "customer-bank")),
    "bamako-isp-draining": (lambda: example("bamako-isp", "router bko1"), ("bko1",)),
    "national-isp": (lambda: example("national-isp"), ("cap1", "cap3", "sth2")),
}
"""Case to its plan and the nodes that stand for the rest: reviewers should not have to read the same file 20 times."""


def written(configs: Configs, nodes: Iterable[str]) -> dict[str, str]:
    """Return path to text."""
    return {f"{node}/{file.path}": file.text for node in nodes for file in configs[node]}


@pytest.mark.parametrize("case", CASES)
def test_files_are_as_reviewed(case: str) -> None:
    """Byte for byte; no file too many, none missing."""
    make, nodes = CASES[case]
    actual = written(render_configs(make(), nodes=nodes), nodes)
    folder = GOLDEN / case
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    if UPDATE:
        for path in found.keys() - actual.keys():
            found[path].unlink()
        for path, text in actual.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        found = {path: folder / path for path in actual}
    assert {path: place.read_text() for path, place in found.items()} == actual


def test_every_golden_folder_has_a_case() -> None:
    """A folder that nobody compares would be a promise that nobody keeps."""
    assert {path.name for path in GOLDEN.iterdir() if path.is_dir()} == set(CASES)


def complaint(node: Path, program: list[str]) -> str:
    """Return what a program says against a file; vtysh's exit code is not to be trusted, its stderr is."""
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 and not done.stderr.strip() else f"{node}: {done.stderr or done.returncode}"


CHECKERS = {
    "frr.conf": ["vtysh", "-C", "-f"],
    "bird.conf": ["bird", "-p", "-c"],
    # Checking asks the kernel; a network namespace of its own keeps it away from the machine's filter.
    "nftables.conf": ["unshare", "--user", "--map-root-user", "--net", "nft", "-c", "-f"],
}


def complaints(configs: Configs, folder: Path) -> list[str]:
    """Return what the daemons' own programs say against any file."""
    found = []
    for node, files in configs.items():
        for file in files:
            if file.path in CHECKERS:
                path = folder / f"{node}-{file.path}"
                path.write_text(file.text)
                found.append(complaint(path, [*CHECKERS[file.path], str(path)]))
    return [text for text in found if text]


@pytest.mark.daemons
@pytest.mark.parametrize("case", CASES)
def test_the_daemons_accept_every_case(case: str, tmp_path: Path) -> None:
    """vtysh, bird and nft find nothing to say."""
    make, nodes = CASES[case]
    assert complaints(render_configs(make(), nodes=nodes), tmp_path) == []


@pytest.mark.daemons
@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_the_daemons_accept_every_node_of_every_example(folder: Path, tmp_path: Path) -> None:
    """Ours and the outside's."""
    plan, _ = make_plan(read_intent(folder))
    assert complaints(render_configs(plan), tmp_path) == []


def test_there_are_examples() -> None:
    """An empty list would let the test above pass."""
    assert {path.name for path in EXAMPLES} >= {"dual-homed", "bamako-isp", "national-isp"}


@pytest.mark.daemons
@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("frr.conf", "bgp graceful-restart-disable", "bgp graceful-restart-disabled"),
        ("nftables.conf", "policy accept", "policy accepted"),
    ],
)
def test_the_check_notices_a_mistake(path: str, good: str, bad: str, tmp_path: Path) -> None:
    """A wrong word is found, so silence means something."""
    configs = render_configs(make_the_plan(Platform.FRR), nodes=["gw"])
    (file,) = [file for file in configs["gw"] if file.path == path]
    assert good in file.text
    wrong = type(file)(file.path, file.text.replace(good, bad))
    assert complaints({"gw": (wrong,)}, tmp_path)


@pytest.mark.parametrize("case", CASES)
def test_names_refer_to_something(case: str) -> None:
    """Every list, map and profile that an FRR file names is defined in it: vtysh checks grammar only."""
    make, nodes = CASES[case]
    texts = [file.text for files in render_configs(make(), nodes=nodes).values() for file in files]
    assert [undefined(text) for text in texts if "\nrouter bgp " in text] == [
        set() for text in texts if "\nrouter bgp " in text
    ]


USES = {
    r"match ip(?:v6)? address prefix-list (\S+)": r"^ip(?:v6)? prefix-list (\S+)",
    r"match as-path (\S+)": r"^bgp as-path access-list (\S+)",
    r"match community (\S+)": r"^bgp community-list standard (\S+)",
    r"match large-community (\S+)": r"^bgp large-community-list standard (\S+)",
    r"set large-comm-list (\S+)": r"^bgp large-community-list expanded (\S+)",
    r"(?:call|route-map) (\S+)(?: in| out)?$": r"^route-map (\S+)",
    r"bfd profile (\S+)": r"^ profile (\S+)",
}


def undefined(text: str) -> set[str]:
    """Return names that an frr.conf uses and does not define."""
    return {
        name
        for use, definition in USES.items()
        for name in set(re.findall(use, text, re.MULTILINE)) - set(re.findall(definition, text, re.MULTILINE))
    }
