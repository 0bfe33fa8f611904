"""Sweeps: every cell and seed a row, with the run in it."""

from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from pyraft_lab.concurrency import Serial
from pyraft_lab.errors import ConfigError
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.sweep import spread, sweep


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


def test_who_works_here_and_now_hands_on_what_went_wrong() -> None:
    assert isinstance(Serial().submit(int, "x").exception(), ValueError)


class Slow(Executor):
    """An executor that finishes a task when the next one comes."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_kwargs: Any) -> "Future[Any]":
        for late in self.futures[-1:]:
            late.set_result(fn(*args))
        self.futures.append(Future())
        return self.futures[-1]


def test_what_waits_is_called_off_when_nobody_wants_more() -> None:
    slow = Slow()
    results = spread(slow, abs, ((number,) for number in range(9)))
    assert next(results) == 1
    assert isinstance(results, Generator)
    results.close()
    assert [future.cancelled() for future in slow.futures] == [False, True]


GRID = {"nodes": [3], "loss": [0.0]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("scenario", value) for value in (5, None, "x")],
        *[("grid", value) for value in (5, None, "x", ["nodes"], {1: [2]}, {"nodes": 3}, {"nodes": "35"})],
        *[("seeds", value) for value in (5, None, "12", ["a"], [1.5], range(10**12))],
        *[("measures", value) for value in (5, "x", ["a"], {1: len}, {"a": 5})],
        *[("executor", value) for value in (5, "x", Serial)],
    ],
)
def test_a_sweep_refuses_what_cannot_be_before_it_begins(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        sweep(**{"scenario": election, "grid": GRID, name: value})
