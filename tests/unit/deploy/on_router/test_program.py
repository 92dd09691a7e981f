"""The program as it is installed: one file, the same bit for bit, that runs nobody else's code as root."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import marshal
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import resilience
from resilience.deploy.on_router.netresilience_router import process
from resilience.deploy.on_router.netresilience_router.process import check_trusted, own_file
from resilience.deploy.on_router.netresilience_router.refused import Refused
from resilience.render import router_program

SOURCE = Path(resilience.__file__).parent / "deploy/on_router/netresilience_router"
HOSTILE = "import os\nos.write(1, b'HOSTILE')\nos._exit(9)\n"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program in a folder of its own, started by the Python of these tests."""
    path = tmp_path / "sbin/netresilience-router"
    path.parent.mkdir()
    path.write_bytes(router_program().replace(b"/usr/bin/python3", os.fsencode(sys.executable), 1))
    path.chmod(0o755)
    return path


def poison(folder: Path) -> None:
    """Lay modules into a folder that nobody may import."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("json", "argparse", "sitecustomize", "usercustomize", "pwd", "netresilience_router", "resilience"):
        (folder / f"{name}.py").write_text(HOSTILE, encoding="utf-8")


def test_the_program_is_the_same_bit_for_bit() -> None:
    """Whenever and wherever it is put together, so that its digest says which one a router has."""
    entries = zipfile.ZipFile(io.BytesIO(router_program())).infolist()

    assert router_program() == router_program()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.create_system for entry in entries} == {3}


def test_the_program_can_be_read_as_it_lies_there() -> None:
    """All of its source, nothing compressed, the code of exactly that source beside it; and Python runs it isolated."""
    data = router_program()
    archive = zipfile.ZipFile(io.BytesIO(data))
    sources = {f"netresilience_router/{path.name}": path.read_bytes() for path in SOURCE.glob("*.py")}

    assert data.startswith(b"#!/usr/bin/python3 -IS\n")
    assert set(archive.namelist()) == {"__main__.py", *sources, *(f"{name}c" for name in sources)}
    for name, source in sources.items():
        assert source in data
        code = archive.read(f"{name}c")
        assert code[:4] == importlib.util.MAGIC_NUMBER
        assert code[4:8] == b"\3\0\0\0", "the source is looked at before the code is used"
        assert code[8:16] == importlib.util.source_hash(source)
        assert marshal.loads(code[16:]) == compile(source, name, "exec", dont_inherit=True, optimize=0)  # noqa: S302 - our own


@pytest.mark.parametrize("spoil", ["another Python", "another source"])
def test_code_that_does_not_belong_to_the_source_is_not_run(program: Path, spoil: str) -> None:
    """Python compiles the source itself then: every supported one does."""
    code = b"raise SystemExit('HOSTILE')"
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(program.read_bytes())) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith(".pyc"):
                magic = b"abcd" if spoil == "another Python" else data[:4]
                digest = data[8:16] if spoil == "another Python" else b"8 bytes."
                data = magic + data[4:8] + digest + marshal.dumps(compile(code, name, "exec"))
            new.writestr(name, data)
    program.write_bytes(program.read_bytes().partition(b"\n")[0] + b"\n" + changed.getvalue())

    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: netresilience-router")


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.py")), ids=lambda path: path.stem)
def test_every_module_is_what_python_3_9_reads_and_has(path: Path) -> None:
    """Its grammar, its standard library, and modules beside it."""
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))

    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1 or (node.module or "").partition(".")[0] in sys.stdlib_module_names
            assert node.level == 0 or (SOURCE / f"{node.module}.py").exists()
        elif isinstance(node, ast.Import):
            assert all(alias.name in sys.stdlib_module_names for alias in node.names)
        else:
            assert not isinstance(node, ast.Match)


def test_nobody_elses_modules_are_imported(program: Path, tmp_path: Path) -> None:
    """Not from the current folder, not from variables, not from the account's home, not from beside the program."""
    home = tmp_path / "home"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for folder in (tmp_path / "cwd", tmp_path / "path", program.parent, home / f".local/lib/{version}/site-packages"):
        poison(folder)
    hostile = {"PYTHONPATH": str(tmp_path / "path"), "HOME": str(home), "PYTHONSTARTUP": str(tmp_path / "path/json.py")}

    done = subprocess.run(
        [program, "--help"], cwd=tmp_path / "cwd", env=hostile, capture_output=True, text=True, check=False
    )
    control = subprocess.run(
        [sys.executable, "-c", "import json"], cwd=tmp_path / "cwd", capture_output=True, text=True, check=False
    )

    assert control.stdout == "HOSTILE"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: netresilience-router")
    assert sorted(path.name for path in program.parent.iterdir() if path.suffix != ".py") == [program.name]


def test_the_program_refuses_in_json(program: Path) -> None:
    """Whoever runs it here is not root, or the file is not root's alone."""
    program.chmod(0o777)

    done = subprocess.run([program, "hello"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["error"]["kind"] in {"sudo", "failed"}


def test_the_program_knows_its_own_file(program: Path, tmp_path: Path) -> None:
    """The archive, not a place inside it; by whatever name it was called."""
    link = tmp_path / "link"
    link.symlink_to(program)
    ask = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from netresilience_router.process import own_file; print(own_file())"
    )

    for name in (str(program), str(link), "sbin/netresilience-router"):
        done = subprocess.run(
            [sys.executable, "-I", "-c", ask, name], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{program}\n"
    assert own_file() == SOURCE.parent


@pytest.mark.parametrize("booted", [True, False], ids=["systemd", "another-init"])
def test_the_guard_is_the_same_file_isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, booted: bool) -> None:
    """It is started by its path, where the first line of the file has no say; a unit of systemd ends only itself."""
    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda argv, **_: started.append(argv))
    monkeypatch.setattr(process, "_SYSTEMD", tmp_path if booted else tmp_path / "none")

    process.start_guard("c1")

    unit = ["systemd-run", "--quiet", "--collect", "--unit=netresilience-c1", "--property=KillMode=process"]
    assert started == [[*(unit if booted else []), sys.executable, "-I", str(own_file()), "watch", "c1"]]


def test_a_daemon_is_started_where_it_outlives_the_guard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a unit that has ended systemd ends what is left: bgpd went with the first confirmation."""
    monkeypatch.setattr(process, "_SYSTEMD", tmp_path)
    assert process.to_stay(["bgpd", "-d"]) == ["systemd-run", "--scope", "--quiet", "--collect", "--", "bgpd", "-d"]
    monkeypatch.setattr(process, "_SYSTEMD", tmp_path / "none")
    assert process.to_stay(["bgpd", "-d"]) == ["bgpd", "-d"]


class FakePath:
    """A file whose owner and permissions are what the test says."""

    def __init__(self, mode: int, owner: int = 0, parents: tuple[FakePath, ...] = ()) -> None:
        self.mode = mode
        self.owner = owner
        self.parents = parents

    def is_file(self) -> bool:
        """Say whether it is one."""
        return stat.S_ISREG(self.mode)

    def stat(self) -> os.stat_result:
        """Return them."""
        return os.stat_result((self.mode, 0, 0, 1, self.owner, 0, 0, 0, 0, 0))

    def __str__(self) -> str:
        return f"{self.mode:o}"


FOLDER, FILE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755


@pytest.mark.parametrize(
    ("path", "trusted"),
    [
        (FakePath(FILE, parents=(FakePath(FOLDER), FakePath(FOLDER))), True),
        (FakePath(FILE, parents=(FakePath(stat.S_IFDIR | 0o1777),)), True),
        (FakePath(FILE, parents=(FakePath(stat.S_IFDIR | 0o777),)), False),
        (FakePath(FILE, parents=(FakePath(FOLDER, owner=1000),)), False),
        (FakePath(FILE, owner=1000), False),
        (FakePath(FILE | 0o020), False),
        (FakePath(FILE | 0o002), False),
        (FakePath(FILE | 0o1002), False),
        (FakePath(FOLDER), False),
    ],
    ids=["ours", "sticky", "open folder", "folder of others", "of others", "group", "world", "sticky file", "folder"],
)
def test_only_what_root_alone_can_write_runs_as_root(
    monkeypatch: pytest.MonkeyPatch, path: Path, *, trusted: bool
) -> None:
    """The archive and every folder above it; modules in an open folder would each need the same."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if trusted:
        check_trusted(path)
        return
    with pytest.raises(Refused) as raised:
        check_trusted(path)
    assert raised.value.kind == "failed"


def test_nobody_but_root_runs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And it says how to."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(Refused, match="sudo netresilience-router") as raised:
        check_trusted(tmp_path)

    assert raised.value.kind == "sudo"
