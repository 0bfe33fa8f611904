"""Sweeps: every cell and seed a row, with the run in it."""

import pytest

from pyraft_lab.errors import ConfigError
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.sweep import sweep
from pyraft_lab.sim.weather import Weather


def election(seed: int, nodes: int, loss: float) -> Simulation:
    sim = Simulation(nodes, seed, weather=Weather(loss=loss))
    sim.run_until(lambda s: s.leader)
    return sim


def test_a_sweep_has_a_row_for_every_cell_and_seed_and_its_run_in_it() -> None:
    frame = sweep(
        election, {"nodes": [3, 5], "loss": [0.0, 0.2]}, seeds=range(3), measures={"term": lambda s: s.world.leader}
    )
    assert len(frame) == 2 * 2 * 3
    assert frame.groupby(["nodes", "loss"]).size().eq(3).all()
    last = frame.iloc[-1]
    run = Simulation.from_capsule(last.capsule)
    assert (len(run.nodes), run.seed, run.now) == (last.nodes, last.seed, last.now)


def test_names_of_columns_are_not_given_twice() -> None:
    with pytest.raises(ConfigError, match="columns already"):
        sweep(election, {"seed": [1]}, measures={"now": len})  # type: ignore[dict-item]
