"""Networks to practise deployments on, as small as they can be, in labs whose routers are logged in to.

Three routers in a triangle, two uplinks at different routers with stated addresses (nothing is the lab's to assign, so
everything may be deployed), a customer, and a service host at the first router: the desk `noc`, from whose network the
routers let people in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from resilience.lab.access import Access
from resilience.lab.netns_lab import NetnsLab
from resilience.lab.ready import wait_ready
from resilience.lab.seam import Completed
from resilience.model.configs import Configs
from resilience.model.plan import Plan
from tests.support.lab_networks import plan_from

DESK: Final = "service-noc-hq"
"""The host to log in from."""

_NETWORK: Final = """
network: deploy-{name}
asn: 64500
prefixes: [198.51.100.0/24, "2001:db8:6400::/40"]
management: [198.51.100.32/29, "2001:db8:6400:a::/64"]
sites:
  hq: {{}}
  east: {{}}
  west: {{}}
routers:
  r1: {{site: hq, platform: {platforms[0]}}}
  r2: {{site: east, platform: {platforms[1]}}}
  r3: {{site: west, platform: {platforms[2]}}}
links:
  - {{between: [r1, r2]}}
  - {{between: [r2, r3]}}
  - {{between: [r1, r3]}}
providers:
  alpha: {{asn: 64496}}
  beta: {{asn: 64497}}
uplinks:
  sea: {{router: r2, provider: alpha, rank: 1, address: [192.0.2.2/30, "2001:db8:ff:1::2/126"]}}
  land: {{router: r3, provider: beta, rank: 2, address: [192.0.2.6/30, "2001:db8:ff:2::2/126"]}}
customers:
  clinic: {{router: r3, prefixes: [198.51.100.64/29, "2001:db8:6400:c::/64"]}}
services:
  noc: {{at: hq, address: [198.51.100.33, "2001:db8:6400:a::1"], tcp: 8022}}
"""

DEPLOY_FRR: Final = _NETWORK.format(name="frr", platforms=("frr", "frr", "frr"))
DEPLOY_BIRD: Final = _NETWORK.format(name="bird", platforms=("bird", "bird", "bird"))
DEPLOY_MIXED: Final = _NETWORK.format(name="mixed", platforms=("bird", "frr", "bird"))
INTENTS: Final = {"frr": DEPLOY_FRR, "bird": DEPLOY_BIRD, "mixed": DEPLOY_MIXED}

_RAW: Final = """\
platform: {platform}, raw: {{
      nftables.conf: "table inet counting {{ chain forward {{ type filter hook forward priority 10; counter\\n}}\\n}}",
      sysctl.conf: "net.ipv4.tcp_mtu_probing = 1"}}"""


def change_everything(text: str, platform: str) -> str:
    """Return the intent of a network with something changed in every file of its border routers.

    A prefix (daemon and packet filter), a link (addresses), a setting of the kernel, a table of the packet filter, and
    something for which a session is reset, so that the router is drained first: a hold time on BIRD, on FRR a check.
    """
    reset = {"bird": "hold: 60s", "frr": "raw: {frr: disable-connected-check}"}[platform]
    for before, after in (
        ('"2001:db8:6400::/40"]', '"2001:db8:6400::/40", 203.0.113.0/24]'),
        ("  - {between: [r1, r3]}", "  - {between: [r1, r3]}\n  - {between: [r2, r3], name: spare}"),
        ("provider: alpha,", f"provider: alpha, {reset},"),
        ("provider: beta,", f"provider: beta, {reset},"),
        ("r2: {site: east, platform: " + platform, "r2: {site: east, " + _RAW.format(platform=platform)),
    ):
        assert before in text, before
        text = text.replace(before, after)
    return text


@dataclass(frozen=True, slots=True)
class DeployLab:
    """A running lab whose routers are logged in to. `intent`: the folder of the network that it runs."""

    lab: NetnsLab
    plan: Plan
    configs: Configs
    intent: Path
    access: Access

    def at_desk(self, *argv: str, stdin: str = "", timeout_s: float = 60) -> Completed:
        """Run a command at the desk: in its network, with this machine's files."""
        return self.lab.run(DESK, argv, stdin=stdin, timeout_s=timeout_s)

    def ssh(self, router: str, *command: str, stdin: str = "", options: Sequence[str] = ()) -> Completed:
        """Run a command on a router as whoever logs in from the desk."""
        argv = ("ssh", "-F", str(self.access.ssh_config), *options, router, *command)
        return self.at_desk(*argv, stdin=stdin)

    def program(self, router: str, *arguments: str, stdin: str = "") -> Completed:
        """Call the router's own program as a deployment does."""
        return self.ssh(router, "sudo", "-n", "/usr/sbin/netresilience-router", *arguments, stdin=stdin)

    def address(self, router: str, family: int = 4) -> str:
        """Return a router's loopback address."""
        loopback = self.plan.nodes[router].loopback(family)
        assert loopback is not None
        return str(loopback.ip)


@contextmanager
def open_deploy_lab(text: str, folder: Path) -> Iterator[DeployLab]:
    """Bring a network up with SSH, converged; take it away at the end. `folder` will hold its intent."""
    plan, configs = plan_from(text, folder)
    lab = NetnsLab(plan, configs, source=str(folder), ssh=True)
    try:
        lab.start()
        wait_ready(lab)
        yield DeployLab(lab, plan, configs, folder, Access(lab.folder.path))
    finally:
        lab.stop()
