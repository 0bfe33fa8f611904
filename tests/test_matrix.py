"""The fast rooms pass on every Python that is claimed and found, and with the lowest dependencies (``make matrix``)."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from tests import matrix
from tests.matrix import ROOT, Cell

NONE = pytest.param(None, id="none", marks=pytest.mark.skip(reason="no other Python is on the path or in pyenv"))
each = pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.name) for cell in matrix.cells()] or [NONE])
Done = subprocess.CompletedProcess[str]
RUN = """
from pyraft_lab.sim.faults.generate import run_with_faults
from pyraft_lab.sim.simulation import Simulation
for seed in range(3):
    sim = Simulation(nodes=5, seed=seed)
    run_with_faults(sim, "heavy", 10.0, quiet=1.0)
    print(len(sim.trace), sim.trace.digest())
"""


@pytest.fixture(scope="module")
def rooms() -> Iterator[Mapping[str, Future[Done]]]:
    """All cells at once, as far as there are cores: their tests wait for clocks more than they work."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {cell.name: pool.submit(matrix.run_rooms, cell) for cell in matrix.cells()}
        pool.shutdown(cancel_futures=True)


@each
@pytest.mark.timeout(1800)
def test_the_rooms_that_all_stands_on_pass_there(cell: Cell, rooms: Mapping[str, Future[Done]]) -> None:
    done = rooms[cell.name].result()
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]


@cache
def simulated_here() -> str:
    return subprocess.run([sys.executable, "-c", RUN], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@each
@pytest.mark.timeout(600)
def test_a_simulated_run_is_the_same_there(cell: Cell) -> None:
    matrix.install(cell)
    there = matrix.run(cell, "-c", RUN)
    assert there.stderr == ""
    assert there.stdout == simulated_here()


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
