"""Plan to configurations: for each node the files that it runs, in labs and on real routers alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from resilience.model.configs import ConfigFile, Configs
from resilience.model.network import Platform
from resilience.model.plan import Node, Plan, Role
from resilience.render.bird import view_bird
from resilience.render.environment import get_template
from resilience.render.firewall import FirewallSpace, firewall_space, view_firewall
from resilience.render.frr import view_frr
from resilience.render.frr_replaced import take_out_replaced
from resilience.render.linux import LinuxView, view_linux
from resilience.render.secret import ResolveSecret, no_secrets

_DAEMON_MODE = 0o640
"""Routing daemons' files may hold session passwords."""


def render_configs(
    plan: Plan, *, nodes: Iterable[str] | None = None, resolve_secret: ResolveSecret = no_secrets
) -> Configs:
    """Render every node of the plan that has files (all but switches), or those named, in the plan's order.

    Passwords stay references unless `resolve_secret` returns what a reference stands for.
    """
    wanted = None if nodes is None else frozenset(nodes)
    space = firewall_space(plan)
    return {
        node.name: _files(plan, node, space, resolve_secret)
        for node in plan.nodes.values()
        if node.role is not Role.SWITCH and (wanted is None or node.name in wanted)
    }


def _files(plan: Plan, node: Node, space: FirewallSpace, resolve: ResolveSecret) -> tuple[ConfigFile, ...]:
    linux = view_linux(node)
    files = [*_daemon_files(plan, node, resolve), *_linux_files(linux)]
    if node.managed:
        files.append(_render("linux/nftables.conf.j2", "nftables.conf", view_firewall(plan, node, space)))
        files.extend(_networkd_files(linux))
    return tuple(sorted(files, key=lambda file: file.path))


def _daemon_files(plan: Plan, node: Node, resolve: ResolveSecret) -> list[ConfigFile]:
    if node.platform is Platform.FRR:
        view = view_frr(plan, node, resolve)
        return [
            _without_replaced(_render("frr/frr.conf.j2", "frr.conf", view, _DAEMON_MODE), raw=bool(view.raw_banner)),
            _render("frr/daemons.j2", "daemons", view),
            _render("frr/vtysh.conf.j2", "vtysh.conf", view),
        ]
    if node.platform is Platform.BIRD:
        own = view_bird(plan, node, resolve)
        return [
            _render("bird/bird.conf.j2", "bird.conf", own, _DAEMON_MODE),
            _render("bird/envvars.j2", "envvars", own),
        ]
    return []


def _without_replaced(file: ConfigFile, *, raw: bool) -> ConfigFile:
    return replace(file, text=take_out_replaced(file.text)) if raw else file


def _linux_files(linux: LinuxView) -> list[ConfigFile]:
    files = [
        _render("linux/addresses.batch.j2", "addresses.batch", linux),
        _render("linux/sysctl.conf.j2", "sysctl.conf", linux),
    ]
    if linux.floating_ipv6:
        files.append(_render("linux/rules6.batch.j2", "rules6.batch", linux))
    return files


def _networkd_files(linux: LinuxView) -> list[ConfigFile]:
    """Write the addresses once more for systemd-networkd, which keeps them across reboots of a real router."""
    files = [
        _render("linux/networkd.conf.j2", "networkd/netresilience.conf", linux),
        _render("linux/lo.network.j2", "networkd/50-lo.network", linux),
    ]
    for interface in linux.interfaces:
        views = {"v": linux, "interface": interface}
        files.append(_render_with("linux/interface.network.j2", f"networkd/50-{interface.name}.network", views))
        if interface.device is not None:
            files.append(_render_with("linux/interface.netdev.j2", f"networkd/50-{interface.name}.netdev", views))
    for port in linux.ports:
        views = {"v": linux, "port": port}
        files.append(_render_with("linux/port.network.j2", f"networkd/40-{port.name}.network", views))
    return files


def _render(template: str, path: str, view: object, mode: int = 0o644) -> ConfigFile:
    return ConfigFile(path, get_template(template).render(v=view), mode)


def _render_with(template: str, path: str, views: dict[str, object]) -> ConfigFile:
    return ConfigFile(path, get_template(template).render(views))
