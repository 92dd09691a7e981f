"""Looking into somebody else's container from outside, without being led out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from resilience.attach.processes import find_daemons, resolve_inside


@pytest.mark.parametrize(
    ("link", "target", "path", "expected"),
    [
        ("var/run", "/run", "var/run/frr/zebra.vty", "run/frr/zebra.vty"),
        ("var/run", "../run", "var/run/frr", "run/frr"),
        ("run", "../../../../etc", "run/passwd", "etc/passwd"),
        ("run", "/../../..", "run/x", "x"),
        ("run", "run", "run/x", None),
    ],
)
def test_links_lead_nowhere_else(link: str, target: str, path: str, expected: str | None, tmp_path: Path) -> None:
    """Absolute and climbing links mean what they mean inside: a container cannot have us talk to a host's socket."""
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(target)

    assert resolve_inside(tmp_path, path) == (None if expected is None else tmp_path / expected)


def test_processes_of_this_machine_are_never_taken_for_a_lab_s() -> None:
    """A container that shares our process namespace has no daemons that we may stop."""
    assert find_daemons(1) == ()
