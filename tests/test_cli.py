"""The command line finds its commands, and explains itself when it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from pyraft_lab import __version__
from pyraft_lab.cli import COMMANDS, Command, main

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps_and_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main([name, "--help"])
    except SystemExit as finished:  # argparse's own way to end after help
        code = finished.code
    assert code == 0
    shown = capsys.readouterr().out
    assert f"pyraft-lab {name}" in shown.rpartition("examples:\n")[2]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"  {name} " not in shown] == []


def test_an_unknown_command_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["dance"])
    assert refused.value.code == 2
    assert "invalid choice: 'dance'" in capsys.readouterr().err


def test_a_missing_extra_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jupyterlab", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "jupyterlab.labapp", raising=False)
    assert main(["lab"]) == 1
    assert 'pip install "pyraft-lab[lab]"' in capsys.readouterr().err


def test_arguments_reach_the_command_untouched() -> None:
    assert Command("count the words", "builtins:len").run(["--port", "8899"]) == 2


def test_the_package_runs_as_a_module() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pyraft_lab", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == f"pyraft-lab {__version__}"
