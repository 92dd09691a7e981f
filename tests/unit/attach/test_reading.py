"""Strangers' files: what is read of them, and what is said where they cannot be understood.

`GOLDEN_UPDATE=1 pytest tests/unit/attach` writes the messages anew; read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resilience.attach.drill_file import DrillFile, read_drill_file
from resilience.attach.planning import plan_drills
from resilience.attach.topology import LinkEnd, Topology, read_topology
from resilience.errors import IntentError
from tests.support.attached import FOUND, RING

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "attach"
CASES = sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())
UPDATE = os.environ.get("GOLDEN_UPDATE") == "1"


def topology(text: str, folder: Path) -> Topology:
    """Read a topology file of this text."""
    (folder / "lab.clab.yml").write_text(text, encoding="utf-8")
    return read_topology(folder / "lab.clab.yml")


def drills(text: str, folder: Path) -> DrillFile:
    """Read a drill file of this text."""
    (folder / "drills.yaml").write_text(text, encoding="utf-8")
    return read_drill_file(folder / "drills.yaml")


def understand(file: Path) -> None:
    """Read a file, and hold what fails against the ring."""
    if file.name == "drills.yaml":
        plan_drills(RING, FOUND, read_drill_file(file), can_restart=False)
    else:
        read_topology(file)


@pytest.mark.parametrize("case", CASES)
def test_messages_are_what_they_were(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is said with its line, all of it at once, and with what would be right."""
    monkeypatch.chdir(GOLDEN / case)
    (file,) = (path for path in Path().iterdir() if path.name != "expected.txt")

    with pytest.raises(IntentError) as caught:
        understand(file)

    said = f"{caught.value}\n{caught.value.hint}".strip() + "\n"
    if UPDATE:
        Path("expected.txt").write_text(said, encoding="utf-8")
    assert said == Path("expected.txt").read_text(encoding="utf-8")


def test_every_form_of_a_link_is_read(tmp_path: Path) -> None:
    """Brief and extended; what leaves the lab is known as no cable of it."""
    found = topology(
        """
        name: lab
        topology:
          nodes: {a: {kind: linux}, "b$$1": , "lan|sw": {kind: bridge}}
          links:
            - endpoints: ["a:e1-1", "lan|sw:a"]
              mtu: 1500
            - type: veth
              endpoints: [{node: a, interface: e1-2}, {node: lan|sw, interface: two, mac: "02:00:00:00:00:01"}]
            - endpoints: ["a:e1-3", "host:a-e1-3"]
            - {type: dummy, endpoint: {node: a, interface: e1-4}}
            - type: veth-stitch
              endpoints: [{node: a, interface: e1-5}, {node: lan|sw, interface: five}]
        """.replace('"b$$1": , ', ""),
        tmp_path,
    )

    assert found.links == (
        (LinkEnd("a", "e1-1"), LinkEnd("lan|sw", "a")),
        (LinkEnd("a", "e1-2"), LinkEnd("lan|sw", "two")),
    )
    assert [str(end) for end in found.elsewhere] == ["a:e1-3", "a:e1-4", "a:e1-5", "lan|sw:five"]


def test_what_containerlab_reads_and_we_do_not_need_is_no_error(tmp_path: Path) -> None:
    """Merge keys, words that are booleans elsewhere, ports that look like times, variables in other keys."""
    found = topology(
        """
        name: lab
        debug: yes
        x: &common {image: "${IMAGE:-frr}", binds: ["$$HOME:/x"]}
        topology:
          nodes:
            a: {<<: *common, ports: [22:22], restart-policy: no}
        """,
        tmp_path,
    )

    assert found.nodes == ("a",)


@pytest.mark.parametrize(
    "text", ["a: &a [*a]", "[" * 3_000, "x: " + "&x [" * 30, "\tname: x", "name: [", "- a\n---\n- b", "\0", ""]
)
def test_hostile_files_end_in_a_message(text: str, tmp_path: Path) -> None:
    """Nothing that a file can hold ends in a traceback."""
    for read in (topology, drills):
        with pytest.raises(IntentError):
            read(text, tmp_path)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A folder, a device and nothing at all."""
    for path in (tmp_path, Path("/dev/zero"), tmp_path / "none"):
        with pytest.raises(IntentError, match=r"cannot read the file|no regular file"):
            read_topology(path)


def test_short_forms_mean_the_long_ones(tmp_path: Path) -> None:
    """One flow and one failure need no list, and a failure has the limit of the file unless it has its own."""
    short = drills("flows: {from: a, to: b}\nfail: node a\nwithin: 1s", tmp_path)
    long = drills("flows: [{from: a, to: b}]\nfail: [{what: [node a], within: 1s}]", tmp_path)

    assert (short.flows, short.failures) == (long.flows, long.failures)
    assert long.failures[0].within_ms == 1_000
