"""A lab as manifests for Clabernetes (c9s) 0.7 and later, which runs labs of containerlab on Kubernetes.

What it takes of a topology is less than what containerlab does: no network but containers' own, no restart or pull
policies, no management block; binds of files, each of which a ConfigMap holds. Exchange LANs are containers already.
Sources: c9s' types of Topology and Node, `c9s.run/v1alpha1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from resilience.errors import UsageError
from resilience.lab.clab.kinds import IMAGE, Dialect
from resilience.lab.clab.topology import NODE_PROGRAM, ExportOptions, make_folder, make_topology, write_yaml
from resilience.model.configs import ConfigFile, Configs
from resilience.model.plan import Plan

API_VERSION: Final = "c9s.run/v1alpha1"
NODE_KEYS: Final = frozenset({"kind", "image", "entrypoint", "binds", "cap-add", "privileged", "sysctls", "labels"})
"""What c9s takes of what we write for a node; whatever else there is for Docker stays behind."""
MOST_BYTES: Final = 1 << 20
"""Kubernetes' limit for the data of a ConfigMap."""
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A name in Kubernetes (RFC 1123)."""
_SERVICE_LENGTH: Final = 63 - len("-vx")
"""c9s names services after lab and node."""
_INSIDE: Final = "/etc/netresilience"
_NOTE: Final = "# Made by `resilience lab export --kubernetes`; changes by hand are lost when it is made again.\n"


def make_manifests(plan: Plan, configs: Configs, options: ExportOptions) -> tuple[ConfigFile, ...]:
    """Return the files of a folder for `kubectl apply -f`, numbered in the order in which they have to be made.

    Raises:
        UsageError: a name that Kubernetes does not take, or more files than it holds.
    """
    options = ExportOptions(name=options.name, image=options.image, dialect=Dialect.STRICT)
    _check_names(plan, options)
    folder = make_folder(plan, configs, options)
    files = {name: tuple(_files_of(name, folder)) for name in plan.nodes}
    return (
        _manifest("00-namespace.yaml", _namespace(options)),
        *(_manifest(f"10-files-{name}.yaml", _config_map(options, name, files[name])) for name in plan.nodes),
        _manifest("20-topology.yaml", _topology(plan, configs, options, files)),
        ConfigFile("README.md", _readme(plan, options)),
    )


def namespace_of(lab: str) -> str:
    """Return the namespace of a lab, as containerlab would call it, too."""
    return f"c9s-{lab}"


def _files_of(node: str, folder: Iterable[ConfigFile]) -> Iterator[ConfigFile]:
    """Yield a node's files and the program that brings it up, their paths relative to the folder."""
    for file in folder:
        if file.path == NODE_PROGRAM or file.path.startswith(f"nodes/{node}/"):
            yield file


def _namespace(options: ExportOptions) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": namespace_of(options.name),
            # Routers make routes and filters, which no milder standard of Kubernetes allows.
            "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
        },
    }


def _config_map(options: ExportOptions, node: str, files: tuple[ConfigFile, ...]) -> dict[str, Any]:
    size = sum(len(file.text.encode()) + len(_key(node, file)) for file in files)
    if size > MOST_BYTES:
        largest = max(files, key=lambda file: len(file.text))
        raise UsageError(
            f"the files of {node} have {size:,} bytes; a ConfigMap of Kubernetes holds {MOST_BYTES:,}",
            hint=f"{largest.path} is the largest: put it where c9s can fetch it (`filesFromURL`)",
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _map_name(options, node), "namespace": namespace_of(options.name)},
        "data": {_key(node, file): file.text for file in files},
    }


def _topology(
    plan: Plan, configs: Configs, options: ExportOptions, files: Mapping[str, tuple[ConfigFile, ...]]
) -> dict[str, Any]:
    definition = _definition(plan, configs, options, files)
    return {
        "apiVersion": API_VERSION,
        "kind": "Topology",
        "metadata": {"name": options.name, "namespace": namespace_of(options.name)},
        "spec": {
            "definition": {"containerlab": definition},
            # Nothing of a lab listens for the world: no service but c9s' own, and none of those with an address.
            "expose": {"disableExpose": True},
            "deployment": {
                "filesFromConfigMap": {
                    node: [
                        {
                            "filePath": file.path,
                            "configMapName": _map_name(options, node),
                            "configMapPath": _key(node, file),
                            "mode": "execute" if file.mode & 0o111 else "read",
                        }
                        for file in own
                    ]
                    for node, own in files.items()
                }
            },
        },
    }


def _definition(
    plan: Plan, configs: Configs, options: ExportOptions, files: Mapping[str, tuple[ConfigFile, ...]]
) -> str:
    """Return the topology file without what c9s refuses, every file bound by itself."""
    document = make_topology(plan, configs, options)
    defaults, nodes = document["topology"]["defaults"], document["topology"]["nodes"]
    topology = {
        **document["topology"],
        "defaults": {key: value for key, value in defaults.items() if key in NODE_KEYS},
        "nodes": {
            name: {key: value for key, value in node.items() if key in NODE_KEYS}
            | {"binds": [_bind(name, file) for file in files[name]]}
            for name, node in nodes.items()
        },
    }
    return write_yaml({"name": document["name"], "topology": topology})


def _bind(node: str, file: ConfigFile) -> str:
    if file.path == NODE_PROGRAM:
        return f"{file.path}:/usr/sbin/{NODE_PROGRAM}:ro"
    return f"{file.path}:{_INSIDE}/{file.path.removeprefix(f'nodes/{node}/')}:ro"


def _key(node: str, file: ConfigFile) -> str:
    """Return the key of a file in its ConfigMap: no slashes are allowed there."""
    return file.path.removeprefix(f"nodes/{node}/").replace("/", "_")


def _map_name(options: ExportOptions, node: str) -> str:
    return f"{options.name}-{node}-files"


def _manifest(path: str, document: Mapping[str, Any]) -> ConfigFile:
    return ConfigFile(path, _NOTE + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1_000))


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are, so that people can read a manifest."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent)


def _check_names(plan: Plan, options: ExportOptions) -> None:
    if not _LABEL.fullmatch(namespace_of(options.name)):
        raise UsageError(
            f"{options.name!r} cannot name a lab on Kubernetes",
            hint="`--name` with a-z, 0-9 and `-`, at most 59 characters",
        )
    for name in plan.nodes:
        if not _LABEL.fullmatch(name) or len(f"{options.name}-{name}") > _SERVICE_LENGTH:
            raise UsageError(
                f"{name} of {options.name} cannot name a node on Kubernetes: the two names are too long together",
                hint="give the lab a shorter name with `--name`",
            )


_README: Final = """\
# {name} on Kubernetes

A lab of {nodes} nodes and {cables} cables for Clabernetes (c9s) 0.7 and later, made by netresilience from the intent of
`{network}`. It was made after c9s' own description of its resources; it was not tried on a cluster.

```text
kubectl apply -f .
kubectl -n {namespace} get topology,pods
kubectl delete namespace {namespace}
```

c9s has to be installed in the cluster before. Files come first, the topology last: their names say so.

{image}
"""
_OURS: Final = """\
The nodes are made from `{image}`, which comes from no registry. Push it to one that the cluster reaches, and
export with `--image REGISTRY/NAME:TAG`."""
_THEIRS: Final = "The nodes are made from `{image}`, which the cluster has to reach."


def _readme(plan: Plan, options: ExportOptions) -> str:
    words = _OURS if options.image == IMAGE else _THEIRS
    return _README.format(
        name=options.name,
        nodes=len(plan.nodes),
        cables=len(plan.segments),
        network=plan.network.name,
        namespace=namespace_of(options.name),
        image=words.format(image=options.image),
    )
