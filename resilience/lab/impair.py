"""Cables that get worse instead of dying: slower, lossy, or late. They act at the outside's end, like silent loss."""

from __future__ import annotations

from typing import Final

from resilience.errors import EnvironmentLacks, LabError, UsageError
from resilience.lab.faults import outside_end
from resilience.lab.seam import Completed, Lab
from resilience.model.plan import Plan

_TABLE: Final = "nr_loss"
_BURST_MS: Final = 10
_LEAST_BURST_BYTES: Final = 3_000
_LATENCY: Final = "50ms"


def throttle(lab: Lab, plan: Plan, segment: str, rate_bps: int) -> None:
    """Let a cable carry no more than a rate, each way (token bucket at both ends)."""
    if rate_bps < 8_000:
        raise UsageError("a cable cannot be throttled below 8k", hint="fail it instead")
    burst = max(_LEAST_BURST_BYTES, rate_bps * _BURST_MS // 8_000)
    limits = ["rate", f"{rate_bps}bit", "burst", f"{burst}b", "latency", _LATENCY]
    for node, interface in plan.segments[segment].ends:
        _need(lab.run(node, ["tc", "qdisc", "replace", "dev", interface, "root", "tbf", *limits]), node)


def delay(lab: Lab, plan: Plan, segment: str, delay_ms: int) -> None:
    """Make a cable longer, each way; EnvironmentLacks where the kernel has no netem, which is asked, not assumed."""
    for node, interface in plan.segments[segment].ends:
        done = lab.run(node, ["tc", "qdisc", "replace", "dev", interface, "root", "netem", "delay", f"{delay_ms}ms"])
        if done.exit_code != 0:
            unshape(lab, plan, segment)
            raise EnvironmentLacks(
                "this kernel cannot delay packets: it has no netem",
                hint="a kernel with CONFIG_NET_SCH_NETEM, such as a distribution's own, has it",
            )


def unshape(lab: Lab, plan: Plan, segment: str) -> None:
    """Take throttling or delay away; harmless when there is none."""
    for node, interface in plan.segments[segment].ends:
        lab.run(node, ["tc", "qdisc", "del", "dev", interface, "root"])


def lose(lab: Lab, plan: Plan, segment: str, percent: float) -> None:
    """Lose a share of a cable's packets at random, each way (nftables numgen, in a table of its own)."""
    if not 0 < percent <= 100:
        raise UsageError("a loss is more than 0 and at most 100 percent")
    node, interface = outside_end(plan, segment)
    share = round(percent * 100)
    chains = "\n".join(
        f'  chain {hook} {{ type filter hook {hook} device "{interface}" priority -400; '
        f"numgen random mod 10000 < {share} drop; }}"
        for hook in ("ingress", "egress")
    )
    keep(lab, plan, segment)
    table = f"table netdev {_name(interface)} {{\n{chains}\n}}\n"
    _need(lab.run(node, ["nft", "-f", "-"], stdin=table), node)


def keep(lab: Lab, plan: Plan, segment: str) -> None:
    """Stop losing packets; harmless when none were lost."""
    node, interface = outside_end(plan, segment)
    table = f"netdev {_name(interface)}"
    lab.run(node, ["nft", "-f", "-"], stdin=f"table {table}\ndelete table {table}\n")


def _name(interface: str) -> str:
    """Return a table name for an interface: nftables' own language takes letters, digits and `_` without quoting."""
    return f"{_TABLE}_" + "".join(letter if letter.isalnum() else "_" for letter in interface)


def _need(done: Completed, node: str) -> None:
    if done.exit_code != 0:
        raise LabError(f"{node}: {(done.stderr or done.stdout).strip()}")
