"""The fast rooms pass on every Python that is claimed and found, and with the lowest dependencies (``make matrix``)."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import matrix
from tests.matrix import ROOMS, ROOT, Cell

NONE = pytest.param(None, id="none", marks=pytest.mark.skip(reason="no other Python is on the path or in pyenv"))
each = pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.name) for cell in matrix.cells()] or [NONE])
OPTIONS = (
    *("-q", "--tb=short", "--override-ini=addopts=-ra --strict-markers --strict-config --import-mode=importlib"),
    *("-p", "no:cacheprovider"),
)
RUN = """
from pyraft_lab.sim.nemesis import unleash
from pyraft_lab.sim.simulation import Simulation
for seed in range(3):
    sim = Simulation(nodes=5, seed=seed)
    unleash(sim, "heavy", 10.0, quiet=1.0)
    print(len(sim.trace), sim.trace.digest())
"""


@each
@pytest.mark.timeout(1800)
def test_the_rooms_that_all_stands_on_pass_there(cell: Cell) -> None:
    matrix.install(cell)
    rooms = [f"tests/{room}" for room in ROOMS]
    done = matrix.run(cell, "-m", "pytest", *OPTIONS, *rooms, PYRAFT_KILLS="5", FUZZ="200")
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]


@each
@pytest.mark.timeout(600)
def test_a_simulated_run_is_the_same_there(cell: Cell) -> None:
    matrix.install(cell)
    here = subprocess.run([sys.executable, "-c", RUN], cwd=ROOT, capture_output=True, text=True, check=True)
    there = matrix.run(cell, "-c", RUN)
    assert there.stderr == ""
    assert there.stdout == here.stdout


def test_the_lowest_dependencies_are_those_that_are_declared() -> None:
    assert "msgspec==0.20" in matrix.lowest_pins()
    assert all("==" in pin for pin in matrix.lowest_pins())


def test_a_name_on_the_path_that_runs_nothing_is_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    assert {*matrix.interpreters()} <= {matrix.running()}
