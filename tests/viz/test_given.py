"""Figures refuse what they cannot draw, and say what they can."""

import math
from typing import Any

import pandas as pd
import pytest

from pyraft_lab import ConfigError, PyraftError, Simulation, Trace, viz
from tests.absurd import DEEP

EVERY = [viz.space_time, viz.roles, viz.logs, viz.progress, viz.commit_latency, viz.quorums, viz.snapshots]
WRONG = [
    *[(viz.logs, "at", value) for value in ("x", math.nan, math.inf, True)],
    *[(viz.quorums, "at", value) for value in ("x", math.nan)],
    *[(viz.quorums, "index", value) for value in ("x", 0, -1, 1.5)],
    *[(viz.logs, "first", value) for value in ("x", 0, -1, 1.5, 2**70, int)],
    *[
        (draw, "nodes", value)
        for draw in (viz.roles, viz.logs, viz.progress)
        for value in (5, "12", [], [99], ["a"], DEEP)
    ],
    *[(draw, "start", value) for draw in (viz.roles, viz.snapshots) for value in ("x", math.nan, math.inf)],
    *[(draw, "stop", value) for draw in (viz.space_time, viz.snapshots) for value in ("x", math.nan, True)],
    *[(viz.counterexample, "before", value) for value in ("x", 0, -1, math.nan)],
    *[(draw, "title", 5) for draw in EVERY],
]


@pytest.fixture(scope="module")
def sim() -> Simulation:
    sim = Simulation(nodes=3, seed=7)
    sim.run(0.5)
    return sim


@pytest.mark.parametrize("draw", EVERY)
@pytest.mark.parametrize("source", [42, None, "x", [], [1], Simulation, pd.DataFrame(), [pd.DataFrame()], b"x"])
def test_what_is_no_run_is_not_drawn(draw: Any, source: Any) -> None:
    with pytest.raises(PyraftError, match="cannot"):
        draw(source)


@pytest.mark.parametrize(("draw", "name", "value"), WRONG)
def test_a_wrong_argument_is_named(sim: Simulation, draw: Any, name: str, value: Any) -> None:
    with pytest.raises(PyraftError, match=name.removesuffix("s")):
        draw(sim, **{name: value})


@pytest.mark.parametrize("frame", [42, None, [], pd.DataFrame()])
def test_only_a_sweep_with_runs_is_drawn(frame: Any) -> None:
    with pytest.raises(PyraftError, match="sweep"):
        viz.sweep(frame, x="a", y="b", value="c")


@pytest.mark.parametrize("column", [None, "", [], ["a"], 5, DEEP, "z"])
@pytest.mark.parametrize("name", ["x", "y", "value"])
def test_a_sweep_has_the_columns_that_are_named(name: str, column: Any) -> None:
    frame = pd.DataFrame({"a": [1], "b": [1], "c": [1.0]})
    with pytest.raises(PyraftError):
        viz.sweep(frame, **{"x": "a", "y": "b", "value": "c", name: column})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("counts", value) for value in (None, 5, "x", [1], {1: 2}, {"a": "b"}, {"a": -1}, {"a": math.nan})],
        *[("guess", value) for value in (5, ["a"], DEEP)],
        *[("finding", value) for value in (5, ["a"])],
    ],
)
def test_shares_are_counts_of_texts(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        viz.shares(**{"counts": {"a": 1}, name: value})


def test_a_run_in_which_nothing_happened_is_drawn() -> None:
    for draw in (viz.space_time, viz.roles, viz.logs, viz.progress, viz.commit_latency, viz.snapshots):
        assert draw(Trace()).story
