"""Deployments interrupted at every step, over SSH, on real daemons: each router ends whole, and the record says how.

`make test-all` tries every cell of the matrix; otherwise each kind of interruption is tried once a platform.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from resilience.intent import read_intent
from resilience.lab.faults import arm
from resilience.lab.ready import wait_ready
from resilience.model.plan import Fault, FaultKind
from resilience.plan import make_plan, read_numbers
from resilience.render import render_configs
from tests.support.deploy_desk import Desk, Stepwise, wait_until
from tests.support.deploy_lab import DESK, INTENTS, DeployLab, change_everything, open_deploy_lab
from tests.support.intents import write_intents
from tests.support.interruptions import Cell, Kind, cells, refusals

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

ROUTERS: Final = ("r1", "r2", "r3")
SETTLES_S: Final = 40
"""How much later than its deadline a router must be whole again, on a machine that does much else at the time."""
DISK_BYTES: Final = 96 * 2**20


# --- the field ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Field:
    """A lab of one platform, two intents that differ in every file, and which of them the routers run."""

    desk: Desk
    platform: str
    intents: Mapping[str, Path]
    clock: Path
    runs: str = "new"
    texts: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    @property
    def lab(self) -> DeployLab:
        """The lab."""
        return self.desk.lab

    @property
    def other(self) -> str:
        """What the routers do not run."""
        return "old" if self.runs == "new" else "new"

    def startup(self, router: str) -> dict[str, str]:
        """Return the files that a router starts with, those of a deployment."""
        folder = self.lab.lab.folder.node(router) / "files"
        found = {name: folder / name for name in self.texts["old"][router]}
        return {name: path.read_text(encoding="utf-8") for name, path in found.items() if path.exists()}

    def state(self, router: str) -> Any:
        """Return what a router has written down of its change."""
        path = self.lab.lab.folder.node(router) / "state" / "state.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def pending(self, router: str) -> Any:
        """Return the change that a router has not settled."""
        return self.state(router)["pending"]

    def starts_with(self, router: str) -> str:
        """Say whether a router starts with all of the old or all of the new."""
        files = self.startup(router)
        whole = [name for name, texts in self.texts.items() if texts[router] == files]
        assert whole, f"{router} starts with a mixture"
        return whole[0]


@pytest.fixture(scope="module")
def a_small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk for labs that can be filled, and is nobody else's."""
    folder = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)], check=True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RESILIENCE_RUN", str(folder))
            yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def fields(a_small_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Field]]:
    """Return the field of a platform, made when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def get(platform: str) -> Field:
            return stack.enter_context(open_field(platform, tmp_path_factory.mktemp(platform), a_small_disk))

        yield get


@contextlib.contextmanager
def open_field(platform: str, folder: Path, disk: Path) -> Iterator[Field]:
    """Three routers that run the new intent, deployed once so that they know how to drain."""
    texts = {"old": INTENTS[platform], "new": change_everything(INTENTS[platform], platform)}
    intents = write_intents(folder, texts)
    with open_deploy_lab(texts["new"], intents["new"]) as lab:
        one = Field(Desk(lab, folder / "records"), platform, intents, _let_the_clock_be_set(lab, disk / platform))
        one.texts = {name: _files(path) for name, path in intents.items()}
        settle(one)
        yield one


def _files(intent: Path) -> dict[str, dict[str, str]]:
    plan, _ = make_plan(read_intent(intent), read_numbers(intent))
    configs = render_configs(plan, nodes=ROUTERS)
    return {name: {one.path: one.text for one in configs[name] if "/" not in one.path} for name in ROUTERS}


def settle(field: Field) -> None:
    """Deploy what the routers do not run, and see it done: the next cell starts from there."""
    said = field.desk.commit(field.intents[field.other], "--deadline", "60s")
    assert said.code == 0, said.err
    field.runs = field.other


# --- the interruptions ---------------------------------------------------------------------------------------------


Interrupt = Callable[[Field, Cell, Stepwise], None]


def kill_the_engine(_field: Field, _cell: Cell, engine: Stepwise) -> None:
    """Whoever deploys is gone, in the middle of it."""
    engine.kill()


def cut_the_session(field: Field, cell: Cell, engine: Stepwise) -> None:
    """Nothing passes between the desk and the router any more, until after its deadline."""
    addresses = {4: field.lab.address(cell.router), 6: field.lab.address(cell.router, 6)}
    rules = "".join(
        f"add rule inet cut {chain} {'ip' if family == 4 else 'ip6'} {side} {address} drop\n"
        for family, address in addresses.items()
        for chain, side in (("out", "daddr"), ("in", "saddr"))
    )
    table = "add table inet cut\nadd chain inet cut out { type filter hook output priority 0; }\n"
    table += "add chain inet cut in { type filter hook input priority 0; }\n"
    _must(field.lab.lab.run(DESK, ["nft", "-f", "-"], stdin=table + rules))
    try:
        engine.go()
        # Not a wait for something to happen: the line is cut for longer than the router waits for a confirmation.
        time.sleep(cell.deadline_s + 1)
    finally:
        _must(field.lab.lab.run(DESK, ["nft", "delete", "table", "inet", "cut"]))


def lose_power(field: Field, cell: Cell, engine: Stepwise) -> None:
    """The router loses power and boots again."""
    armed = arm(field.lab.lab, field.lab.plan, [Fault(FaultKind.CRASH, cell.router)])
    armed.fire()
    try:
        engine.go()
    finally:
        armed.heal()


def fill_the_disk(field: Field, _cell: Cell, engine: Stepwise) -> None:
    """Nothing more can be written on the router until the deployment has ended."""
    big = field.lab.lab.folder.path / "big"
    with big.open("wb", buffering=0) as file:
        for block in (2**20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * block):
                    pass
    try:
        engine.go()
        engine.finish()
    finally:
        big.unlink()


def kill_the_daemon(field: Field, cell: Cell, engine: Stepwise) -> None:
    """The routing daemon dies; where no deployment has started it again, an init system does in the end."""
    name = {"frr": "bgpd", "bird": "bird"}[field.platform]
    (daemon,) = [one for one in field.lab.lab.daemons(cell.router) if one.name == name]
    os.kill(daemon.pid, signal.SIGKILL)
    engine.go()
    engine.finish()
    field.lab.lab.start(nodes=[cell.router], cold=False)


def set_the_clock(field: Field, _cell: Cell, engine: Stepwise) -> None:
    """The time of day jumps by a day, and back when the deployment has ended."""
    field.clock.write_text("86400", encoding="ascii")
    try:
        engine.go()
        engine.finish()
    finally:
        field.clock.write_text("-3600", encoding="ascii")


INTERRUPT: Final[Mapping[Kind, Interrupt]] = {
    Kind.ENGINE_KILLED: kill_the_engine,
    Kind.SESSION_CUT: cut_the_session,
    Kind.POWER_LOST: lose_power,
    Kind.DISK_FULL: fill_the_disk,
    Kind.DAEMON_DIES: kill_the_daemon,
    Kind.CLOCK_SET: set_the_clock,
}


def _must(done: Any) -> None:
    assert done.exit_code == 0, done.stderr


def _let_the_clock_be_set(lab: DeployLab, disk: Path) -> Path:
    """Have every process of the lab's routers read the time of day through a file; return that file."""
    disk.mkdir()
    library, offset = disk / "clock.so", disk / "offset"
    source = Path(__file__).parents[1] / "support" / "clock.c"
    words = ["-shared", "-fPIC", f'-DWALL_CLOCK_OFFSET="{offset}"', "-o", str(library), str(source)]
    subprocess.run(["cc", *words], check=True, capture_output=True)
    offset.write_text("0", encoding="ascii")
    _must(lab.lab.run("r1", ["sh", "-c", f"echo {library} > /etc/ld.so.preload"]))
    # Daemons that run already would never notice.
    lab.lab.start(nodes=ROUTERS, cold=True)
    wait_ready(lab.lab)
    return offset


CELLS: Final = cells()
LINES: Final = refusals()


# --- the matrix ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS, ids=[str(one) for one in CELLS])
def test_an_interrupted_deployment_leaves_every_router_whole(fields: Callable[[str], Field], cell: Cell) -> None:
    """Old or new, running and at the next start alike, soon after its deadline; the record says which; it can end."""
    field_ = fields(cell.platform)
    start_from_whole(field_)
    before, wanted = field_.runs, field_.other
    options = ("--deadline", f"{cell.deadline_s}s", "--drain-wait", "0s")

    engine = Stepwise.start(field_.desk, f"{cell.router} {cell.step}", field_.intents[wanted], *options)
    if cell.midway:
        engine.go()
        wait_until(lambda: is_applying(field_, cell), "the change is being applied")
    INTERRUPT[cell.kind](field_, cell, engine)
    if cell.kind is not Kind.ENGINE_KILLED:
        engine.finish()

    wait_until(lambda: is_settled(field_), "every router is settled", cell.deadline_s + SETTLES_S)
    stand = {router: field_.starts_with(router) for router in ROUTERS}
    assert set(stand.values()) <= {before, wanted}
    wait_until(lambda: runs_what_it_starts_with(field_), "what runs is what is there at the next start")
    told = field_.desk.deploy(field_.intents[wanted], "--status", "--json").document["routers"]
    assert {one["router"]: one["step"] == "confirmed" for one in told} == {
        router: stand[router] == wanted for router in ROUTERS
    }, told

    finish(field_, wanted)


REFUSED: Final = {"frr": ("frr_family", "route-reflector-client"), "bird": ("bird", "advertise birds;")}
"""bgpd refuses for a neighbour of another AS what passes vtysh's check. BIRD's check is the daemon's own."""
SAYS: Final = {
    "frr": "neighbor 192.0.2.[15] route-reflector-client`.* FRR says: Invalid command. Not an internal neighbor\n",
    "bird": r"invalid: bird: bird.conf:\d+:\d+ syntax error",
}


@pytest.mark.parametrize(("platform", "router"), LINES, ids=["-line-refused-".join(one) for one in LINES])
def test_a_line_that_the_daemon_refuses_leaves_every_router_whole(
    fields: Callable[[str], Field], platform: str, router: str, tmp_path: Path
) -> None:
    """It is told, with the line; that router runs what it ran, and whoever was confirmed before it stays so."""
    field_ = fields(platform)
    start_from_whole(field_)
    before, name = field_.runs, f"refused by {router}"
    intent = a_refused_line(field_.intents[field_.other], platform, router, tmp_path / "refused")
    field_.texts[name] = _files(intent)

    desk = Desk(field_.lab, tmp_path / "records")
    said = desk.commit(intent, "--deadline", "45s")
    assert said.code in {3, 4}, said.err
    assert re.search(SAYS[platform], said.out + said.err), said.err
    assert is_settled(field_)
    assert field_.starts_with(router) == before
    wait_until(lambda: runs_what_it_starts_with(field_), "what runs is what is there at the next start")
    # What BIRD refuses is known before anything begins, so there is nothing to record.
    told = desk.record()["routers"] if platform == "frr" else []
    kept = {one for one in ROUTERS if field_.texts[name][one] == field_.startup(one)}
    assert {one["router"] for one in told if one["step"] == "confirmed"} == kept
    assert kept == ({"r2"} if (platform, router) == ("frr", "r3") else set())

    assert field_.desk.commit(field_.intents[before], "--deadline", "60s").code == 0
    assert {field_.starts_with(one) for one in ROUTERS} == {before}


def a_refused_line(intent: Path, platform: str, router: str, folder: Path) -> Path:
    """Return an intent with a line more at a router's uplink."""
    uplink = {"r2": "provider: alpha,", "r3": "provider: beta,"}[router]
    text = (intent / "network.yaml").read_text(encoding="utf-8")
    line = "{}: {}".format(*REFUSED[platform])
    has = f"{uplink} raw: {{"
    text = text.replace(has, f"{has}{line}, ") if has in text else text.replace(uplink, f"{has}{line}}},")
    shutil.copytree(intent, folder)
    (folder / "network.yaml").write_text(text, encoding="utf-8")
    return folder


def start_from_whole(field: Field) -> None:
    """Bring a network that a failed test left half way to one of its two ends: a failure stays one failure."""
    wait_until(lambda: is_settled(field), "every router is settled", 100)
    stand = {field.starts_with(router) for router in ROUTERS}
    if len(stand) > 1:
        field.runs = "new"
        settle(field)
    (field.runs,) = {field.starts_with(router) for router in ROUTERS}


def is_applying(field: Field, cell: Cell) -> bool:
    """Say whether a router is in the middle of it."""
    pending = field.pending(cell.router)
    return bool(pending and pending["phase"] == "applying" and pending["armed"])


def is_settled(field: Field) -> bool:
    """Say whether no router has a change that is neither kept nor given up. One that only lies there harms nobody."""
    return all((field.pending(router) or {"phase": "staged"})["phase"] == "staged" for router in ROUTERS)


def runs_what_it_starts_with(field: Field) -> bool:
    """Ask every router itself whether it runs its start-up files."""
    done = [field.lab.program(router, "check") for router in ROUTERS]
    return all(one.exit_code == 0 and json.loads(one.stdout)["same"] for one in done)


def finish(field: Field, wanted: str) -> None:
    """Take the deployment up again where that is needed: it ends with every router confirmed."""
    if {field.starts_with(router) for router in ROUTERS} != {wanted}:
        said = field.desk.deploy(field.intents[wanted], "--resume", "--drain-wait", "0s", "--deadline", "60s")
        assert said.code == 0, said.err
    assert {field.starts_with(router) for router in ROUTERS} == {wanted}
    field.runs = wanted
