"""A plan to what each router gets: its files as one change, and the daemon's file once more for draining."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from resilience.deploy.driver import Bundle
from resilience.model.configs import ConfigFile
from resilience.model.network import Platform
from resilience.model.plan import Plan
from resilience.render import ResolveSecret, render_configs

DAEMON_FILES: Mapping[Platform, str] = {Platform.FRR: "frr.conf", Platform.BIRD: "bird.conf"}
"""What a daemon is configured with; the one file that a drained router runs in another form."""

Replan = Callable[[tuple[str, ...]], Plan]
"""The same network's plan with elements draining."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a bundle says of the change that it is."""

    change: str
    who: str
    take_over: bool = False


def make_bundles(
    plan: Plan, replan: Replan, names: Sequence[str], label: Label, resolve_secret: ResolveSecret
) -> dict[str, Bundle]:
    """Return the bundles of the named routers, passwords resolved. What a router drains does not depend on others."""
    configs = render_configs(plan, nodes=names, resolve_secret=resolve_secret)
    draining = replan(tuple(f"router {name}" for name in names))
    drained = render_configs(draining, nodes=names, resolve_secret=resolve_secret)
    return {
        name: Bundle(
            change=label.change,
            router=name,
            network=plan.network.name,
            who=label.who,
            platform=str(plan.nodes[name].platform),
            files=_deployed(configs[name]),
            drained=_daemon_file(plan, name, drained[name]),
            take_over=label.take_over,
        )
        for name in names
    }


def hash_files(plan: Plan, names: Iterable[str]) -> dict[str, str]:
    """Return the digest of each router's files with passwords as references: what a record may hold of them."""
    return {name: _digest(_deployed(files)) for name, files in render_configs(plan, nodes=names).items()}


def _deployed(files: Sequence[ConfigFile]) -> dict[str, str]:
    """Leave out what is written for other programs than ours: systemd-networkd's form of the same addresses."""
    return {file.path: file.text for file in files if "/" not in file.path}


def _daemon_file(plan: Plan, name: str, files: Sequence[ConfigFile]) -> dict[str, str]:
    platform = plan.nodes[name].platform
    wanted = DAEMON_FILES[platform] if platform is not None else None
    return {file.path: file.text for file in files if file.path == wanted}


def _digest(files: Mapping[str, str]) -> str:
    digest = sha256()
    for path, text in sorted(files.items()):
        digest.update(f"{path}\0{text}\0".encode())
    return digest.hexdigest()
