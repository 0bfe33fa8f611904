"""A live figure keeps up with a cluster, in few messages, and ends with it."""

import json
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import pytest

from pyraft_lab import LocalCluster, Simulation, Trace, live_figure, viz
from pyraft_lab.lab import live
from pyraft_lab.lab.live import TraceFollower, newest, redraw
from pyraft_lab.viz.source import run_of as drawn_run_of
from pyraft_lab.viz.source import spans

LIMIT = 60.0


class Stage:
    """Stands for a cluster."""

    def __init__(self, trace: Trace, *, is_running: bool = True) -> None:
        self.trace, self.is_running = trace, is_running


def run_of(seconds: float) -> Trace:
    sim = Simulation(seed=7)
    sim.run(seconds)
    return sim.trace


def looks(figure: go.Figure) -> object:
    """A figure without the names its traces go by on a page."""
    whole = json.loads(go.Figure(figure.to_dict()).to_json())
    return [{**trace, "uid": None} for trace in whole["data"]], whole["layout"]


@pytest.mark.parametrize("draw", [viz.roles, viz.space_time, viz.logs, viz.progress])
def test_the_figure_on_the_screen_becomes_like_the_new_one(draw: object) -> None:
    assert callable(draw)
    shown = go.FigureWidget(draw(run_of(0.2)))
    new = draw(run_of(0.6))
    redraw(shown, new)
    assert looks(shown) == looks(new)


def test_a_picture_may_become_another_one_altogether() -> None:
    shown, new = go.FigureWidget(viz.space_time(run_of(0.6))), viz.logs(run_of(0.3))
    redraw(shown, new)
    assert looks(shown) == looks(new)


def test_nothing_is_drawn_where_nothing_has_happened() -> None:
    follower = TraceFollower(Stage(run_of(0.3)), viz.roles, seconds=None)
    assert follower.draw() is not None
    assert follower.draw() is None


def test_only_the_newest_seconds_are_drawn() -> None:
    records = run_of(1.0).records
    kept = newest(records, 0.25)
    assert 0 < len(kept) < len(records)
    assert kept[-1].time - kept[0].time <= 0.25 + 1e-9
    assert newest(records, None) == records


def test_a_server_that_went_down_before_the_window_is_down_in_it() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader)
    down = sim.leader or 1
    sim.crash(down)
    sim.run(3.0)
    kept = newest(sim.trace.records, 1.0)
    lives = spans(drawn_run_of(Trace(kept)), sim.now)
    assert [(one.term, one.role) for one in lives if one.node == down and one.stop > one.start] == [(1, "down")]
    assert {one.node for one in lives} == {1, 2, 3}
    assert len(kept) < 20 + len([record for record in sim.trace.records if record.time >= sim.now - 1.0])


def test_a_figure_of_what_is_over_shows_its_end_and_lives_no_more() -> None:
    figure = live_figure(Stage(run_of(0.6), is_running=False), viz.roles)
    figure.join(LIMIT)
    assert not figure.is_live
    assert len(figure.data) > 0
    assert repr(figure) == "<live figure: roles>"


def test_a_redraw_is_one_message_for_all_values() -> None:
    shown = go.FigureWidget(viz.roles(run_of(0.3)))
    changed: list[str] = []
    shown.observe(lambda change: changed.append(change["name"]) if change["new"] else None)
    redraw(shown, viz.roles(run_of(0.35)))
    assert len(set(changed)) == len(changed) < 4


def test_frames_that_come_while_one_is_drawn_are_dropped_and_the_last_is_not() -> None:
    """Drawing takes so long that five things happen meanwhile: the next picture shows all five."""
    stage = Stage(Trace(run_of(0.3).records))
    later = run_of(0.6).records[len(stage.trace) :][:5]
    drawn, begun, go_on, done = list[int](), threading.Event(), threading.Event(), threading.Event()

    def slow(trace: Trace) -> go.Figure:
        drawn.append(len(trace))
        if len(drawn) == 2:
            begun.set()
            assert go_on.wait(LIMIT)
        if len(drawn) == 3:
            done.set()
        return viz.roles(trace)

    figure = live_figure(stage, slow, seconds=None)
    first = len(stage.trace)
    stage.trace(later[0])
    assert begun.wait(LIMIT)
    for record in later[1:]:
        stage.trace(record)
    go_on.set()
    assert done.wait(LIMIT)
    figure.close()
    figure.join(LIMIT)
    assert drawn == [first, first + 1, first + 5]
    assert figure.updates == 3


def test_a_page_that_is_loaded_again_begins_with_what_is_shown_now() -> None:
    stage = Stage(Trace(run_of(0.1).records))
    figure = live_figure(stage, viz.roles, seconds=None)
    before = len(figure.get_state()["_widget_data"])
    for record in run_of(0.6).records[len(stage.trace) :]:
        stage.trace(record)
    stage.is_running = False
    figure.join(LIMIT)
    state = figure.get_state()
    assert len(state["_widget_data"]) == len(figure.data) > before
    assert state["_widget_layout"]["title"]["subtitle"] == figure.layout.title.subtitle.to_plotly_json()


def test_updates_wait_until_the_page_has_drawn_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy browser may take long to build it, and what is sent meanwhile never arrives."""
    monkeypatch.setattr(live, "running", lambda: ("a cell", "its run"))
    monkeypatch.setattr(live, "LOADS", 0.0)
    stage = Stage(Trace(run_of(0.1).records))
    figure = live_figure(stage, viz.roles, seconds=None)
    built = looks(figure)
    *later, last = run_of(0.6).records[len(stage.trace) :]
    for record in later:
        stage.trace(record)
    eventually(lambda: figure.updates > 1)
    stage.trace(last)
    eventually(lambda: figure.updates > 2)
    assert looks(figure) == built
    figure.set_trait("_js2py_traceDeltas", {"trace_edit_id": 0, "trace_deltas": []})  # what a page says
    eventually(lambda: looks(figure) != built)
    figure.close()


def test_a_page_that_has_the_figure_already_is_asked_and_gets_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """JupyterLab asks for the whole figure again once it knows its kernel; drawn already, it says nothing of it."""
    monkeypatch.setattr(live, "running", lambda: ("a cell", "its run"))
    monkeypatch.setattr(live, "SILENT", 0.02)
    stage = Stage(Trace(run_of(0.1).records))
    figure = live_figure(stage, viz.roles, seconds=None)
    said = list[dict[str, Any] | None]()
    figure.observe(lambda change: said.append(change["new"]), "_py2js_restyle")
    figure.set_trait("_js2py_traceDeltas", {"trace_edit_id": 0, "trace_deltas": []})
    figure.get_state()
    built = looks(figure)
    for record in run_of(0.6).records[len(stage.trace) :]:
        stage.trace(record)
    eventually(lambda: len(said) - said.count(None) > 1)  # what is asked first may be lost
    assert looks(figure) == built
    asked = max(one["trace_edit_id"] for one in said if one)
    figure.set_trait("_js2py_traceDeltas", {"trace_edit_id": asked, "trace_deltas": []})
    eventually(lambda: looks(figure) != built)
    figure.close()


def test_a_figure_waits_while_a_cell_imports_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plotly looks for pandas in ``sys.modules``, where it stands before it is whole."""
    import pandas as pd

    half = types.SimpleNamespace(__spec__=types.SimpleNamespace(_initializing=True))
    stage = Stage(Trace(run_of(0.1).records))
    figure = live_figure(stage, viz.roles, seconds=None)
    before = figure.updates
    monkeypatch.setitem(sys.modules, "pandas", half)
    for record in run_of(0.6).records[len(stage.trace) :]:
        stage.trace(record)
    eventually(lambda: figure.updates > before)  # it tried
    monkeypatch.setitem(sys.modules, "pandas", pd)
    tried = figure.updates
    eventually(lambda: figure.updates > tried)
    assert figure.is_live
    figure.close()


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_cannot_be_drawn_yet_is_said_in_the_figure() -> None:
    figure = live_figure(Stage(run_of(0.3), is_running=False), viz.counterexample)
    figure.join(LIMIT)
    assert "give the time of the violation" in figure.layout.title.text


def test_a_mistake_in_drawing_is_said_in_the_figure() -> None:
    figure = live_figure(Stage(run_of(0.3), is_running=False), lambda trace: trace.figures)
    figure.join(LIMIT)
    assert "drawing failed: AttributeError" in figure.layout.title.text


def test_without_a_kernel_a_live_figure_is_an_image_with_words() -> None:
    figure = live_figure(Stage(run_of(0.6), is_running=False), viz.roles)
    figure.join(LIMIT)
    shown = figure._repr_mimebundle_()
    assert shown["text/html"].startswith('<img alt="The role of each server over time. n1 leads term 1')
    assert figure.story.startswith("The role of each server over time")


async def test_a_live_cluster_is_drawn_while_a_cell_holds_the_loop_up() -> None:
    drawn, again = [], threading.Event()

    def draw(trace: Trace) -> go.Figure:
        drawn.append(len(trace))
        if len(drawn) > 2:
            again.set()
        return viz.roles(trace)

    async with LocalCluster(3) as cluster:
        await cluster.wait_leader()
        figure = live_figure(cluster, draw)
        assert again.wait(LIMIT), "drawn on, although this very thread waits"
        assert figure.is_live
    figure.join(LIMIT)
    assert not figure.is_live
    assert drawn == sorted(drawn)


async def test_a_closed_figure_keeps_its_last_picture() -> None:
    async with LocalCluster(3) as cluster:
        await cluster.wait_leader()
        figure = live_figure(cluster, viz.roles)
        figure.close()
        figure.join(LIMIT)
        assert not figure.is_live
        assert len(figure.data) > 0
