"""What a shell does to a command: pipes that close, closed streams, poor encodings, narrow terminals, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from pyraft_lab.network import broker

ROOT = Path(__file__).parents[2]
COMMANDS = [
    "--help",
    "simulate --nodes 3 --seconds 2 --story",
    "simulate --nodes x",
    "check --seeds 0:2 --nodes 3 --seconds 1 --workers 1",
    "demo --network memory --nodes 3 --seconds 0.2",
]
WORLDS = {
    "LC_ALL=C PYTHONIOENCODING=ascii": {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    "a locale of ASCII": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "20 columns": {"COLUMNS": "20"},
    "NO_COLOR": {"NO_COLOR": "1"},
    "TERM=dumb": {"TERM": "dumb"},
}


def shell(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of bash, in which ``pyraft-lab`` is this one."""
    lab = f'pyraft_lab() {{ {sys.executable} -m pyraft_lab "$@"; }}; set -o pipefail; '
    return subprocess.run(
        ["bash", "-c", lab + script.replace("pyraft-lab", "pyraft_lab")],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_goes_away_ends_a_command_quietly(command: str) -> None:
    ended = shell(f"(pyraft-lab {command}; echo $? >&2) | true")
    assert ended.stdout == ""
    told = ended.stderr.splitlines()
    assert told[-1] in {"0", "2", "141"}
    assert len(told) == (2 if told[-1] == "2" else 1)


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_stream_that_is_closed_changes_nothing_but_what_is_read(command: str, closed: str) -> None:
    ended = shell(f"pyraft-lab {command} {closed}")
    assert ended.returncode == (2 if command.endswith(" x") else 0)
    assert "Traceback" not in ended.stderr


def test_a_full_disk_is_said_in_one_line() -> None:
    ended = shell("pyraft-lab simulate --nodes 3 --seconds 2 --story >/dev/full")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "No space left on device" in ended.stderr


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_poor_terminal_is_enough(command: str, world: dict[str, str]) -> None:
    ended = shell(f"pyraft-lab {command}", **world)
    assert ended.returncode == (2 if command.endswith(" x") else 0)
    assert "Traceback" not in ended.stderr
    assert "\x1b" not in ended.stdout


LONG = {
    "simulate --seconds 99999": "",
    "check --seeds 0:1000 --seconds 500 --workers 1": "",
    "check --seeds 0:1000 --seconds 500 --workers 2": "",
    "explore --timeouts 3 --writes 3 --crashes 2": "",
    "demo --network memory --seconds 60": "Raft live",
    "broker": "mqtt://",
}
"""Commands that take long, and what shows that they have begun; nothing where they say nothing until they end."""


@pytest.mark.parametrize("command", LONG)
def test_ctrl_c_ends_a_command_in_one_line_and_leaves_nothing_running(command: str) -> None:
    told, running = interrupted(command.split(), LONG[command])
    assert told == ["pyraft-lab: interrupted"]
    assert running == []


@pytest.mark.parametrize(
    "command", ["node --id 1 --data {} --init", "watch", "client --timeout 60 status", "client --timeout 60 get x"]
)
def test_ctrl_c_ends_what_waits_for_a_cluster(command: str, tmp_path: Path) -> None:
    with broker.start() as its:
        words = command.format(tmp_path / "1").split()
        told, running = interrupted([*words, "--broker", its.url, "--cluster", "nobody"], "")
    assert told[-1] == "pyraft-lab: interrupted"
    assert running == []


def test_ctrl_c_ends_the_marking_of_a_notebook_that_runs(tmp_path: Path) -> None:
    begun, handed_in = tmp_path / "begun", tmp_path / "handed-in"
    handed_in.mkdir()
    cell = nbformat.v4.new_code_cell(f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(600)")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), handed_in / "ann.ipynb")
    told, running = interrupted(["grade", "--run", str(handed_in)], begun)
    assert told == ["pyraft-lab: interrupted"]
    assert running == []


def interrupted(words: list[str], sign: str | Path) -> tuple[list[str], list[int]]:
    """Press Ctrl-C once a command works; its lines on standard error, and which of its processes are left.

    ``sign`` is part of its first line, or a file that it writes then.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "pyraft_lab", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    if isinstance(sign, Path):
        while not sign.exists():
            assert process.poll() is None
            time.sleep(0.05)
    elif sign:
        assert sign in process.stdout.readline()
    else:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)  # long enough to be in the middle of it
    os.killpg(process.pid, signal.SIGINT)
    try:
        told = process.communicate(timeout=60)[1].splitlines()
        assert process.returncode == 130
        return told, group(process.pid)
    finally:
        if group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()  # a failure here is none of the next test


def group(leader: int) -> list[int]:
    """The living processes of a group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, its, stat in rows if int(its) == leader and not stat.startswith("Z")]
