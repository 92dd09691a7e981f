"""A plan as a folder for containerlab: the topology file, each node's start-up files, and words for whoever gets it.

Sources: containerlab's schema of topology files (0.79) and its release notes for what older versions read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from resilience.errors import UsageError
from resilience.lab.boot import parse_sysctls
from resilience.lab.clab.kinds import IMAGE, Dialect, kind_of, management, node_keys
from resilience.model.configs import ConfigFile, Configs
from resilience.model.plan import Node, Plan, Role, Segment

NODE_PROGRAM: Final = "netresilience-node"
_FOLDER: Final = "nodes"
_INSIDE: Final = "/etc/netresilience"
_LAB_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}")
_IMAGE_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/:@-]{0,254}")
_INTERFACE_LENGTH: Final = 15
_BRIDGE: Final = "lan"
_NOTE: Final = "# Made by `resilience lab export`; changes by hand are lost when it is made again.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What a folder is made for."""

    name: str
    """The lab's name; containers are called `clab-NAME-NODE`."""
    image: str = IMAGE
    dialect: Dialect = Dialect.BROAD


def make_folder(plan: Plan, configs: Configs, options: ExportOptions) -> tuple[ConfigFile, ...]:
    """Return the files of a self-contained folder, their paths relative to it.

    Raises:
        UsageError: a name that containerlab or Docker does not take.
    """
    _check(plan, options)
    topology = ConfigFile(topology_name(options.name), _NOTE + write_yaml(make_topology(plan, configs, options)))
    program = ConfigFile(NODE_PROGRAM, node_program(), 0o755)
    return (topology, program, ConfigFile("README.md", _readme(plan, options)), *_node_files(plan, configs))


def topology_name(lab: str) -> str:
    """Return what a lab's topology file is called: containerlab finds it by this ending."""
    return f"{lab}.clab.yml"


def make_topology(plan: Plan, configs: Configs, options: ExportOptions) -> dict[str, Any]:
    """Return the topology file as YAML's own types. Empty lists are left out: containerlab refuses them."""
    topology: dict[str, Any] = {
        "defaults": {"image": options.image, **node_keys(options.dialect)},
        "nodes": {name: _node(node, configs, options) for name, node in plan.nodes.items()},
    }
    if plan.segments:
        topology["links"] = [_link(plan, segment) for segment in plan.segments.values()]
    document: dict[str, Any] = {"name": options.name}
    if block := management(options.dialect):
        document["mgmt"] = block
    return {**document, "topology": topology}


def write_yaml(document: Mapping[str, Any]) -> str:
    """Return a topology file's text. containerlab expands `$` wherever it stands, so that one has to be two."""
    text = yaml.safe_dump(document, sort_keys=False, width=1_000, allow_unicode=True)
    return text.replace("$", "$$")


@cache
def node_program() -> str:
    """Return the program that brings a node up, as it stands in the image."""
    shipped = files("resilience").joinpath("_images", NODE_PROGRAM)
    if shipped.is_file():
        return shipped.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "simulations/images" / NODE_PROGRAM).read_text(encoding="utf-8")


def _node(node: Node, configs: Configs, options: ExportOptions) -> dict[str, Any]:
    kind = kind_of(node)
    keys: dict[str, Any] = {
        "kind": kind.kind,
        "labels": {"netresilience-role": str(node.role), "netresilience-runs": kind.group},
        # The program too, so that any image with FRR or BIRD, iproute2 and a shell will do.
        "binds": [f"{_FOLDER}/{node.name}:{_INSIDE}:ro", f"{NODE_PROGRAM}:/usr/sbin/{NODE_PROGRAM}:ro"],
    }
    if options.image != IMAGE:
        # Another image has an entry point of its own, which knows nothing of our files.
        keys["entrypoint"] = f"/usr/sbin/{NODE_PROGRAM}"
    if sysctls := _sysctls(configs.get(node.name, ())):
        keys["sysctls"] = sysctls
    return keys


def _sysctls(node_files: tuple[ConfigFile, ...]) -> dict[str, str]:
    """Return a node's kernel settings: a container cannot make them itself unless it has every privilege."""
    text = next((file.text for file in node_files if file.path == "sysctl.conf"), "")
    return {path.replace("/", "."): value for path, value, _optional in parse_sysctls(text)}


def _link(plan: Plan, segment: Segment) -> dict[str, Any]:
    # containerlab's cables are 9500 bytes wide unless told otherwise: wider than what is deployed.
    mtu = min(plan.nodes[node].interface(name).mtu for node, name in segment.ends)
    return {"endpoints": [f"{node}:{name}" for node, name in segment.ends], "mtu": mtu}


def _node_files(plan: Plan, configs: Configs) -> Iterator[ConfigFile]:
    for name, node in plan.nodes.items():
        made = (_switch_file(node),) if node.role is Role.SWITCH else configs.get(name, ())
        for file in made:
            if not file.path.startswith("networkd/"):
                yield ConfigFile(f"{_FOLDER}/{name}/{file.path}", file.text, file.mode)


def _switch_file(node: Node) -> ConfigFile:
    """Return what makes a container a switch: a bridge, and each of its ports in it."""
    lines = [f"link add name {_BRIDGE} type bridge mcast_snooping 0", f"link set {_BRIDGE} up"]
    lines += [f"link set dev {port.name} mtu {port.mtu} master {_BRIDGE} up" for port in node.interfaces]
    return ConfigFile("addresses.batch", "".join(f"{line}\n" for line in lines))


def _check(plan: Plan, options: ExportOptions) -> None:
    """Refuse what containerlab's schema does not catch, and what would be an option or a path elsewhere."""
    if not _LAB_NAME.fullmatch(options.name):
        raise UsageError(
            f"{options.name!r} is no name for a lab", hint="letters, digits, `.`, `_` and `-`, a letter or digit first"
        )
    if not _IMAGE_NAME.fullmatch(options.image):
        raise UsageError(f"{options.image!r} is no name of an image", hint="such as netresilience/router:1")
    for segment in plan.segments.values():
        for node, name in segment.ends:
            if len(name) > _INTERFACE_LENGTH:
                raise UsageError(
                    f"interface {name} of {node} has {len(name)} characters, Linux takes {_INTERFACE_LENGTH}",
                    hint="state a shorter `interface:`",
                )


_README: Final = """\
# {name}

A lab of {nodes} nodes and {cables} cables for containerlab {dialect} and later, made by netresilience from the intent
of `{network}`. Nothing else is needed to start it: containerlab, Docker, and the image `{image}`.

```text
sudo containerlab deploy -t {name}.clab.yml
sudo containerlab destroy -t {name}.clab.yml --cleanup
```

Each node's start-up files stand in `nodes/NODE/`, as they would on a router. `netresilience-node` brings a node up from
them; how far it has got stands in `/run/netresilience/state` inside.

| look at | by |
| --- | --- |
{examples}

It has no way to the Internet, and no node has a management port. The image comes from no registry:
`simulations/images/build --load` of netresilience makes it from Debian's packages, `docker save` and `docker load`
carry it.
"""


def _readme(plan: Plan, options: ExportOptions) -> str:
    rows = [
        f"| {node.name} ({kind_of(node).group}) | `docker exec -it clab-{options.name}-{node.name} {command}` |"
        for node in plan.nodes.values()
        if node.managed and (command := {"frr": "vtysh", "bird": "birdc"}.get(kind_of(node).group))
    ]
    return _README.format(
        name=options.name,
        nodes=len(plan.nodes),
        cables=len(plan.segments),
        dialect=options.dialect,
        network=plan.network.name,
        image=options.image,
        examples="\n".join(rows),
    )
