"""`resilience lab`: a network on real routing daemons, kept up to play with."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from resilience.cli.common import BackendOption, ImageOption, JsonOption, NetworkArgument, load, say
from resilience.cli.export import export
from resilience.errors import LabError, UnknownName, UsageError

if TYPE_CHECKING:
    from resilience.lab.faults import Side
    from resilience.lab.kept import KeptLab
    from resilience.lab.state import LabFolder
    from resilience.model.plan import FaultKind, Plan

INTENT: Final = "intent"
"""The folder inside a lab's own that holds the intent and the numbers from which it was built."""

LabArgument = Annotated[
    str,
    typer.Argument(metavar="NET", help="Name of a lab, or folder of the network that it runs.", show_default=False),
]
ElementArgument = Annotated[
    str,
    typer.Argument(metavar="ELEMENT", help="As in the intent: `uplink dakar`, or `dakar`.", show_default=False),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="What to call the lab; default: the network's name.", show_default=False)
]
KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="How: carrier, silent, crash, grey, kill, freeze, reset, down; default: as the element fails by nature.",
        show_default=False,
    ),
]
SideOption = Annotated[
    str, typer.Option("--side", help="For silent: both, out (what our router sends) or in (what is sent to it).")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    group = typer.Typer(
        name="lab",
        help="Run a network on real routing daemons, break it, look into it.",
        epilog="Example: resilience lab up inventories/dual-homed",
    )
    for command in (up, down, status, fail, heal, export):
        group.command()(command)
    group.command("exec", context_settings={"ignore_unknown_options": True})(execute)
    group.command("list")(list_labs)
    app.add_typer(group)


def up(
    net: NetworkArgument,
    name: NameOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the lab also when it does not become ready.")] = False,
    backend: BackendOption = "netns",
    image: ImageOption = None,
    ssh: Annotated[
        bool, typer.Option("--ssh", help="Let the routers be logged in to, to practise deployments on them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a lab of a network, wait until it has converged, and leave it up. Needs root.

    Example: resilience lab up inventories/dual-homed
    """
    from resilience.errors import NotReady
    from resilience.lab.opening import make_lab
    from resilience.lab.ready import wait_ready
    from resilience.render import render_configs

    started = time.monotonic()
    loaded = load(net)
    lab = make_lab(
        loaded.plan,
        render_configs(loaded.plan),
        backend=backend,
        image=image,
        name=name or loaded.plan.network.name,
        source=str(loaded.folder.resolve()),
        ssh=ssh,
    )
    progress = show_progress()
    try:
        lab.start(progress=progress)
        _keep_intent(net, loaded.numbers, lab.folder)
        try:
            wait_ready(lab, progress=progress)
        except NotReady:
            if keep:
                lab.keep()
            raise
        lab.keep()
    except BaseException:
        if not lab.is_kept():
            lab.stop()
        raise
    ready_s = time.monotonic() - started
    document = {
        "lab": lab.name,
        "network": loaded.plan.network.name,
        "nodes": len(loaded.plan.nodes),
        "ready_s": ready_s,
    }

    def tell() -> None:
        _tell_how_to_go_on(lab.name, loaded.plan, ready_s)
        if ssh:
            _tell_how_to_log_in(lab, loaded.plan)

    _print(document | ({"access": _list_access(lab)} if ssh else {}), as_json, tell)


def down(
    net: LabArgument,
    as_json: JsonOption = False,
) -> None:
    """Take a lab away, with everything that it is made of.

    Example: resilience lab down dual-homed
    """
    from resilience.lab.state import remove

    folder = find_lab(net)
    remove(folder)
    _print({"removed": [folder.path.name]}, as_json, lambda: typer.echo(f"{folder.path.name} is down"))


def status(net: LabArgument, as_json: JsonOption = False) -> None:
    """Say what a lab runs, what has not converged, and what is broken on purpose.

    Example: resilience lab status dual-homed
    """
    from resilience.lab.ledger import Ledger
    from resilience.lab.ready import missing_states

    lab, plan = attach(net)
    found = lab.status()
    missing = missing_states(lab)
    broken = Ledger(lab, plan, lab.folder).read()
    document = {
        "lab": found.name,
        "network": found.network,
        "converged": not missing,
        "missing": missing,
        "broken": [asdict(entry) for entry in broken],
        "nodes": [
            {
                "node": node.node,
                "daemons": [{"name": one.name, "pid": one.pid, "running": one.running} for one in node.daemons],
            }
            for node in found.nodes
        ],
    }
    _print(document, as_json, lambda: _tell_status(document))


def execute(
    net: LabArgument,
    node: Annotated[str, typer.Argument(metavar="NODE", help="A node of the lab.", show_default=False)],
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="What to run.", show_default=False)],
) -> None:
    """Run a command inside a node, as root: vtysh, birdc, ip, ping, tcpdump, bash.

    Example: resilience lab exec dual-homed gw -- vtysh -c 'show bgp summary'
    """
    lab, _ = attach(net)
    lab.become(node, command)


def fail(
    net: LabArgument,
    element: ElementArgument,
    kind: KindOption = None,
    side: SideOption = "both",
    as_json: JsonOption = False,
) -> None:
    """Make an element fail, and leave it so.

    Example: resilience lab fail dual-homed fibre --kind silent
    """
    from resilience.lab.ledger import Ledger, find_element

    lab, plan = attach(net)
    found = find_element(plan, element)
    fired = Ledger(lab, plan, lab.folder).fail(found, _kind(kind), _side(side))
    took_ms = (fired[-1].done_ns - fired[0].at_ns) / 1e6 if fired else 0.0
    faults = [{"kind": str(one.fault.kind), "target": one.fault.target, "side": str(one.side)} for one in fired]
    _print(
        {"lab": lab.name, "element": found.name, "faults": faults, "took_ms": round(took_ms, 3)},
        as_json,
        lambda: _tell_failed(lab.name, found.name, faults, took_ms),
    )


def heal(
    net: LabArgument,
    element: Annotated[
        str | None, typer.Argument(metavar="[ELEMENT]", help="Which; none: everything.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Heal an element, or everything, and wait until the lab has converged again.

    Example: resilience lab heal dual-homed
    """
    from resilience.lab.ledger import Ledger, find_element
    from resilience.lab.ready import wait_ready

    lab, plan = attach(net)
    ledger = Ledger(lab, plan, lab.folder)
    healed = ledger.heal(None if element is None else find_element(plan, element))
    took_s = None if ledger.read() else wait_ready(lab, progress=show_progress())
    names = [entry.element for entry in healed]
    after = "" if took_s is None else f"; converged again after {took_s:.1f} s"
    _print(
        {"lab": lab.name, "healed": names, "converged_s": took_s},
        as_json,
        lambda: typer.echo(f"healed {', '.join(names)}{after}" if names else "nothing was broken"),
    )


def list_labs(as_json: JsonOption = False) -> None:
    """List the labs that run on this machine; remove what killed ones left behind.

    Example: resilience lab list
    """
    from resilience.lab.state import lab_folders, remove_leftovers

    removed = remove_leftovers()
    for name in removed:
        say(f"removed {name}, which was left behind")
    labs = [(folder, state) for folder in lab_folders() if (state := folder.read())]
    kinds = {state.name: "containerlab" if folder.has_containers else "netns" for folder, state in labs}
    document = [
        {
            "lab": one.name,
            "network": one.network,
            "backend": kinds[one.name],
            "source": one.source,
            "kept": one.kept,
            "owner": one.owner.pid,
        }
        for _, one in labs
    ]
    lines = [
        f"{one.name}  {kinds[one.name]}  {'kept' if one.kept else f'used by process {one.owner.pid}'}  {one.source}"
        for _, one in labs
    ]
    _print({"labs": document, "removed": removed}, as_json, lambda: typer.echo("\n".join(lines) or "no lab is up"))


# --- shared ----------------------------------------------------------------------------------------------------------


def find_lab(net: str) -> LabFolder:
    """Return the kept lab of a name or of a network's folder."""
    from resilience.lab.state import lab_folders, remove_leftovers

    remove_leftovers()
    kept = [(folder, state) for folder in lab_folders() if (state := folder.read()).kept]
    by_name = [folder for folder, state in kept if state.name == net]
    if by_name:
        return by_name[0]
    path = Path(net)
    source = str((path if path.is_dir() else path.parent).resolve())
    same = [folder for folder, state in kept if path.exists() and state.source == source]
    if len(same) == 1:
        return same[0]
    names = ", ".join(folder.path.name for folder in same or [folder for folder, _ in kept])
    if same:
        raise UsageError(f"several labs of {net} are up", hint=f"name one: {names}")
    raise UnknownName(
        f"no lab of {net} is up", hint=f"up are: {names}" if names else f"`resilience lab up {net}` starts one"
    )


def attach(net: str) -> tuple[KeptLab, Plan]:
    """Return a lab that is kept up, with the plan from which it was built."""
    from resilience.lab.opening import attach_lab

    folder = find_lab(net)
    intent = folder.path / INTENT
    if not intent.is_dir():
        raise LabError(f"lab {folder.path.name} has lost its intent", hint="take it down and up again")
    plan = load(intent).plan
    return attach_lab(folder, plan), plan


def _keep_intent(net: Path, numbers: Any, folder: LabFolder) -> None:
    """Copy what the plan was made from: the lab stays what it is while its network's files change."""
    from resilience.plan import write_numbers

    copy = folder.path / INTENT
    copy.mkdir(mode=0o700)
    shutil.copyfile(net / "network.yaml" if net.is_dir() else net, copy / "network.yaml")
    write_numbers(copy, numbers)


def show_progress() -> Callable[[str, int, int], None]:
    """Return a progress function for stderr: one moving line on a terminal, a line for each step elsewhere."""
    last = ""
    moving = sys.stderr.isatty()

    def progress(step: str, done: int, total: int) -> None:
        nonlocal last
        finished = done == total
        if moving:
            sys.stderr.write(f"\r\x1b[K{step} {done}/{total}" if done else f"\r\x1b[K{step}")
            if finished and step == "converged":
                sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        elif step != last:
            say(f"{step} ...")
        last = step

    return progress


def _kind(text: str | None) -> FaultKind | None:
    from resilience.model.plan import FaultKind

    if text is None:
        return None
    if text not in set(FaultKind):
        raise UsageError(f"nothing fails by {text}", hint=f"kinds: {', '.join(FaultKind)}")
    return FaultKind(text)


def _side(text: str) -> Side:
    from resilience.lab.faults import Side

    if text not in set(Side):
        raise UsageError(f"{text} is no side", hint=f"sides: {', '.join(Side)}")
    return Side(text)


def _print(document: object, as_json: bool, tell: Callable[[], None]) -> None:
    from resilience.model.document import write_json

    if as_json:
        typer.echo(write_json(document), nl=False)
    else:
        tell()


def _tell_how_to_go_on(name: str, plan: Plan, ready_s: float) -> None:
    router = plan.routers()[0]
    look = "vtysh -c 'show bgp summary'" if router.platform == "frr" else "birdc show protocols"
    uplink = next((element.name for element in plan.elements.values() if element.kind == "uplink"), "ELEMENT")
    typer.echo(f"{name} is up: {len(plan.nodes)} nodes converged in {ready_s:.1f} s\n")
    typer.echo(f"  resilience lab exec {name} {router.name} -- {look}")
    typer.echo(f"  resilience lab fail {name} '{uplink}'")
    typer.echo(f"  resilience lab heal {name}")
    typer.echo(f"  resilience lab down {name}")


def _list_access(lab: KeptLab) -> dict[str, str]:
    from resilience.lab.access import Access

    access = Access(lab.folder.path)
    return {
        "hosts": str(access.hosts),
        "known_hosts": str(access.known_hosts),
        "key": str(access.key),
        "ssh_config": str(access.ssh_config),
    }


def _tell_how_to_log_in(lab: KeptLab, plan: Plan) -> None:
    from resilience.lab.access import find_desks, try_command

    access = _list_access(lab)
    typer.echo("\nThe routers are logged in to with")
    for name, path in access.items():
        typer.echo(f"  {name:<12} {path}")
    desks = find_desks(plan)
    if not desks:
        typer.echo("No host of the lab is inside `management:`, so that routers let in nobody but each other.")
        return
    typer.echo(f"\nfrom {', '.join(desk.name for desk in desks)}, such as")
    router = plan.routers()[0].name
    command = f"ssh -F {access['ssh_config']} {router} {' '.join(try_command())}"
    typer.echo(f"  resilience lab exec {lab.name} {desks[0].name} -- {command}")


def _tell_status(document: dict[str, Any]) -> None:
    daemons = [one for node in document["nodes"] for one in node["daemons"]]
    typer.echo(f"{document['lab']}: {len(document['nodes'])} nodes, {len(daemons)} daemons")
    for node in document["nodes"]:
        for one in node["daemons"]:
            if not one["running"]:
                typer.echo(f"  {node['node']}: {one['name']} has died")
    for entry in document["broken"]:
        typer.echo(f"  broken on purpose: {entry['element']} ({entry['kind']}, {entry['side']})")
    for node, states in document["missing"].items():
        typer.echo(f"  {node}: {'; '.join(states)}")
    if not document["missing"]:
        typer.echo("  converged")


def _tell_failed(lab: str, element: str, faults: list[dict[str, str]], took_ms: float) -> None:
    done = ", ".join(f"{fault['kind']} {fault['target']}" for fault in faults)
    typer.echo(f"{element} failed within {took_ms:.1f} ms: {done}")
    typer.echo(f"  resilience lab heal {lab} '{element}'")
