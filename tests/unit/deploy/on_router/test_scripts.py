"""Programs in Python, run without another Python: the same as if they were started."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

import pytest

from resilience.deploy.on_router.netresilience_router.machine import ENVIRONMENT, Machine, in_memory
from resilience.deploy.on_router.netresilience_router.refused import Refused
from resilience.deploy.on_router.netresilience_router.scripts import run_script

FIRST_LINE = "#!/usr/bin/python3\n"


def write(folder: Path, text: str, first_line: str = FIRST_LINE) -> str:
    """Write a program and return its path."""
    path = folder / "program.py"
    path.write_text(first_line + text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        "print('done')",
        "import sys; print(sys.argv[1:]); print('no', file=sys.stderr); sys.exit(3)",
        "import sys; sys.exit('a word')",
        "import sys; sys.exit()",
        "import os; print(sorted(os.environ.items()), os.listdir('/proc/self/fd'))",
        "print(input())",
        "raise SystemExit(True)",
        "print('x' * 1_000_000)",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "class Own:\n    pass\nprint(__name__, __file__, Own)",
        "import subprocess; print(subprocess.run(['echo', 'below'], capture_output=True, text=True).stdout)",
    ],
)
def test_a_program_says_and_ends_as_if_it_were_started(text: str, tmp_path: Path) -> None:
    """Exit code, stdout and the end of stderr."""
    argv = [write(tmp_path, text), "one", "two"]
    started = Machine(tmp_path).run(argv)
    done = run_script(argv, ENVIRONMENT, 60)
    assert done is not None
    code, out, err = done
    assert (code, out, err.splitlines()[-1:]) == (started.code, started.out, started.err.splitlines()[-1:])


@pytest.mark.parametrize(
    ("first_line", "text"), [("#!/bin/sh\n", "echo shell"), (FIRST_LINE, "this is no Python"), ("", "print(1)")]
)
def test_what_is_no_program_in_python_is_left_to_others(first_line: str, text: str, tmp_path: Path) -> None:
    """As one that is not there."""
    assert run_script([write(tmp_path, text, first_line)], ENVIRONMENT, 60) is None
    assert run_script([str(tmp_path / "missing")], ENVIRONMENT, 60) is None


def test_one_that_fails_is_started_anew(tmp_path: Path) -> None:
    """What is said of it is what it says by itself."""
    times = tmp_path / "times"
    text = f"open({str(times)!r}, 'a').write('x')\nraise SystemExit('wrong')"
    done = Machine(tmp_path).run_script([write(tmp_path, text)])
    assert (done.code, done.err, times.read_text(encoding="utf-8")) == (1, "wrong\n", "xx")


def test_one_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """And nothing of it is left."""
    text = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    with pytest.raises(Refused, match=r"program\.py did not end in 1 s"):
        Machine(tmp_path).run_script([write(tmp_path, text)], timeout_s=1)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text(encoding="utf-8")), 0)


def test_it_does_not_hold_a_lock_of_ours(tmp_path: Path) -> None:
    """Nor see any other file that is open here."""
    seen = tmp_path / "seen"
    text = f"import os\nopen({str(seen)!r}, 'w').write(' '.join(os.listdir('/proc/self/fd')))"
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run_script([write(tmp_path, text)], ENVIRONMENT, 60) == (0, "", "")
        # 3 is the folder that it lists, or the file that it writes.
        assert {int(file) for file in seen.read_text(encoding="utf-8").split()} <= {0, 1, 2, 3, 4}
        assert lock.fileno() > 2


def test_a_signal_is_not_handled_by_us_in_it(tmp_path: Path) -> None:
    """As in a program that was started: it ends by the signal."""
    former = signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
    try:
        argv = [write(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGTERM)")]
        assert run_script(argv, ENVIRONMENT, 60) == (-signal.SIGTERM, "", "")
    finally:
        signal.signal(signal.SIGTERM, former)


def test_a_text_in_memory_can_be_read_by_others(tmp_path: Path) -> None:
    """As long as it is needed."""
    with in_memory("router bgp 64500\n") as path:
        assert Machine(tmp_path).run(["cat", path]).out == "router bgp 64500\n"
    assert not Path(path).exists()
