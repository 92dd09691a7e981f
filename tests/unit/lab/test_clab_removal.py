"""What is left of containers where Docker itself was killed."""

from __future__ import annotations

from pathlib import Path

from resilience.lab.clab.removal import forget_namespaces


def test_names_of_namespaces_that_are_gone_go_too(tmp_path: Path) -> None:
    """Only those of the lab, only links, and none whose process lives."""
    (tmp_path / "clab-shop-gw").symlink_to("/proc/0/ns/net")
    (tmp_path / "clab-shop-isp").symlink_to("/proc/self/ns/net")
    (tmp_path / "clab-other-gw").symlink_to("/proc/0/ns/net")
    (tmp_path / "clab-shop-file").write_text("somebody else's", encoding="utf-8")

    forget_namespaces("shop", tmp_path)
    forget_namespaces("shop", tmp_path / "nowhere")

    assert {path.name for path in tmp_path.iterdir()} == {"clab-shop-isp", "clab-other-gw", "clab-shop-file"}
