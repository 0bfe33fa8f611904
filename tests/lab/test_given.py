"""Labs, live figures and panels refuse what they cannot show, before there is a widget."""

import functools
import gc
import math
from pathlib import Path
from typing import Any

import pytest

from pyraft_lab import Lab, PyraftError, Simulation, Trace, live_figure, live_log, live_metrics, viz
from pyraft_lab.lab.live import TraceFollower


class Ended:
    """A cluster that has ended, with what happened in it."""

    is_running = False

    def __init__(self) -> None:
        sim = Simulation(nodes=3, seed=7)
        sim.run(0.5)
        self.trace = sim.trace


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("source", [42, 0, False, "x", [], Simulation, Ended().trace.events])
def test_a_lab_of_something_else_is_refused_and_leaves_nothing(source: Any) -> None:
    with pytest.raises(PyraftError, match="a Lab shows"):
        Lab(source)
    gc.collect()


def test_a_lab_opens_or_does_not() -> None:
    with pytest.raises(PyraftError, match="opening"):
        Lab(Simulation(nodes=3), opening="no")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["missing/lab.html", "."])
def test_a_page_is_written_only_where_it_can_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(PyraftError, match="path"):
        Lab(Simulation(nodes=3)).to_html(tmp_path / name)


@pytest.mark.parametrize("make", [live_log, live_metrics, functools.partial(live_figure, draw=viz.roles)])
@pytest.mark.parametrize("cluster", [42, None, "x", Simulation(nodes=3), Trace(), Ended])
def test_only_a_live_cluster_is_kept_up_with(make: Any, cluster: Any) -> None:
    with pytest.raises(PyraftError, match="LocalCluster"):
        make(cluster)


@pytest.mark.parametrize("draw", [None, 42, "roles"])
def test_a_live_figure_needs_a_function(draw: Any) -> None:
    with pytest.raises(PyraftError, match="must be a function"):
        live_figure(Ended(), draw)


def test_any_callable_draws() -> None:
    follower = TraceFollower(Ended(), functools.partial(viz.logs, first=1), seconds=None)
    assert follower.draw() is not None


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, "x", True])
def test_seconds_are_more_than_none(seconds: Any) -> None:
    with pytest.raises(PyraftError, match="seconds"):
        live_figure(Ended(), viz.roles, seconds=seconds)
    with pytest.raises(PyraftError, match="seconds"):
        live_metrics(Ended(), seconds=seconds)


@pytest.mark.parametrize("lines", [0, -1, 1.5, "x"])
def test_a_log_has_lines(lines: Any) -> None:
    with pytest.raises(PyraftError, match="lines"):
        live_log(Ended(), lines=lines)
