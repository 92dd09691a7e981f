"""`resilience lab export`: a lab as a folder that anybody with containerlab can start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resilience.cli.common import ImageOption, JsonOption, NetworkArgument, load
from resilience.errors import UsageError

if TYPE_CHECKING:
    from resilience.lab.clab.kinds import Dialect
    from resilience.lab.clab.topology import ExportOptions
    from resilience.render import Changes


def export(
    net: NetworkArgument,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write.", show_default=False)],
    name: Annotated[
        str | None,
        typer.Option("--name", help="What to call the lab; default: the network's name.", show_default=False),
    ] = None,
    image: ImageOption = None,
    dialect: Annotated[
        str, typer.Option("--dialect", help="For containerlab from this version on: 0.40, 0.78.")
    ] = "0.40",
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Write manifests for Clabernetes 0.7 and later instead.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that were changed by hand.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a lab as a folder that anybody with containerlab can start, without us.

    Only files that this command wrote are replaced or removed.

    Example: resilience lab export inventories/dual-homed -o build/lab
    """
    from resilience.lab.clab.kinds import IMAGE
    from resilience.lab.clab.kubernetes import make_manifests
    from resilience.lab.clab.topology import ExportOptions, make_folder
    from resilience.render import render_configs, write_files

    chosen = _dialect(dialect)
    loaded = load(net)
    options = ExportOptions(name=name or loaded.plan.network.name, image=image or IMAGE, dialect=chosen)
    make = make_manifests if kubernetes else make_folder
    changes = write_files(make(loaded.plan, render_configs(loaded.plan), options), output, force=force)
    if kubernetes:
        _tell_manifests(options, changes, output, len(loaded.plan.nodes), as_json=as_json)
        return
    _tell(options, changes, output, len(loaded.plan.nodes), as_json=as_json)


def _tell_manifests(options: ExportOptions, changes: Changes, output: Path, nodes: int, *, as_json: bool) -> None:
    from resilience.lab.clab.kubernetes import API_VERSION, namespace_of
    from resilience.model.document import write_json

    if as_json:
        document = {
            "schema": "resilience/lab-export@1",
            "directory": str(output),
            "api_version": API_VERSION,
            "namespace": namespace_of(options.name),
            "lab": options.name,
            "image": options.image,
            "nodes": nodes,
            "added": changes.added,
            "changed": changes.changed,
            "removed": changes.removed,
            "unchanged": changes.unchanged,
        }
        typer.echo(write_json(document), nl=False)
        return
    typer.echo(
        f"{output}: {nodes} nodes for Clabernetes ({API_VERSION}), made after its types and not tried on a cluster\n"
    )
    typer.echo(f"  kubectl apply -f {output}")
    typer.echo(f"  kubectl delete namespace {namespace_of(options.name)}\n")
    typer.echo(f"the cluster has to reach the image {options.image}; {output / 'README.md'} says more")


def _dialect(text: str) -> Dialect:
    from resilience.lab.clab.kinds import Dialect

    if text not in set(Dialect):
        raise UsageError(f"there is no dialect {text!r}", hint=f"there are {', '.join(Dialect)}")
    return Dialect(text)


def _tell(options: ExportOptions, changes: Changes, output: Path, nodes: int, *, as_json: bool) -> None:
    from resilience.lab.clab.topology import topology_name
    from resilience.model.document import write_json

    topology = output / topology_name(options.name)
    if as_json:
        document = {
            "schema": "resilience/lab-export@1",
            "directory": str(output),
            "topology": str(topology),
            "lab": options.name,
            "image": options.image,
            "dialect": str(options.dialect),
            "nodes": nodes,
            "added": changes.added,
            "changed": changes.changed,
            "removed": changes.removed,
            "unchanged": changes.unchanged,
        }
        typer.echo(write_json(document), nl=False)
        return
    typer.echo(
        f"{output}: {nodes} nodes for containerlab {options.dialect} and later; {len(changes.added)} files new, "
        f"{len(changes.changed)} changed, {len(changes.removed)} removed, {len(changes.unchanged)} as they were\n"
    )
    typer.echo(f"  sudo containerlab deploy -t {topology}")
    typer.echo(f"  sudo containerlab destroy -t {topology} --cleanup\n")
    typer.echo(f"{output / 'README.md'} says what it needs and how to look into it")
