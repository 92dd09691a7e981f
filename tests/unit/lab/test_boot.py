"""Reading what a node starts from."""

from __future__ import annotations

from pathlib import Path

import pytest

from resilience.lab.boot import BootError, apply_sysctls, parse_sysctls


def test_settings_are_read_in_every_form_that_the_file_allows() -> None:
    """Dots or slashes, comments, blanks, and a dash for what may fail."""
    text = (
        "# x\n; y\n\nnet.ipv4.ip_forward = 1\n-net/ipv4/conf/up.100/rp_filter=0\nnet.ipv4.conf.up/100.rp_filter = 2\n"
    )

    assert list(parse_sysctls(text)) == [
        ("net/ipv4/ip_forward", "1", False),
        ("net/ipv4/conf/up.100/rp_filter", "0", True),
        ("net/ipv4/conf/up.100/rp_filter", "2", False),
    ]


def test_settings_are_written_and_a_missing_one_is_named(tmp_path: Path) -> None:
    """With the node; unless the file says that it may be missing."""
    (tmp_path / "a").mkdir()
    apply_sysctls("a.b = 3\n-x.y = 1\n", "gw", tmp_path)
    assert (tmp_path / "a" / "b").read_text(encoding="ascii") == "3"

    with pytest.raises(BootError, match=r"gw: sysctl x/y = 1: No such file"):
        apply_sysctls("x.y = 1\n", "gw", tmp_path)
