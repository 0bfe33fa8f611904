"""Figures: each draws a real run, says so in words, and stays small."""

import pandas as pd
import plotly.graph_objects as go
import pytest
from msgspec.structs import replace

from pyraft_lab import RAFT, Config, PyraftError, Simulation, Weather, check_linearizable, viz

MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def long_run() -> Simulation:
    """Some ten thousand events: elections, writes, a crash, snapshots on their way, lost messages."""
    config = Config(snapshot_logs_since_last=60, keep_logs=5, snapshot_chunk=64)
    sim = Simulation(nodes=5, seed=3, config=config, weather=Weather(loss=0.02))
    sim.run_until(lambda s: s.leader, timeout=5)
    sim.run(0.2)
    away = next(node for node in sim.nodes if node != sim.leader)
    sim.crash(away)
    for number in range(400):
        sim.write({"op": "put", "key": f"k{number % 7}", "value": number})
        sim.run(0.01)
    sim.restart(away)
    sim.run(8.0)
    return sim


@pytest.mark.parametrize("draw", [viz.space_time, viz.roles, viz.logs, viz.progress, viz.commit_latency, viz.snapshots])
def test_a_figure_of_a_long_run_stays_small(draw: object, long_run: Simulation) -> None:
    assert callable(draw)
    assert len(long_run.trace) > 8_000
    figure = draw(long_run)
    assert isinstance(figure, go.Figure)
    assert len(str(figure.to_json())) < MOST_BYTES


def test_too_many_arrows_are_bundled_and_none_is_left_out(long_run: Simulation) -> None:
    figure = viz.space_time(long_run)
    words = [text for trace in figure.data for text in (trace.text or ()) if text]
    assert any("×" in text for text in words)


def test_lanes_are_as_many_as_servers_and_a_crash_is_one_of_them(long_run: Simulation) -> None:
    figure = viz.roles(long_run)
    assert list(figure.layout.yaxis.ticktext) == ["n1", "n2", "n3", "n4", "n5"]
    assert any("is down" in str(trace.hovertemplate) for trace in figure.data)


def test_a_frame_alone_is_enough(long_run: Simulation) -> None:
    assert viz.roles(long_run.trace.states).data
    assert viz.space_time(long_run.trace.messages.head(50)).data
    assert viz.logs(long_run.trace.entries).data


def test_uncommitted_entries_are_dashed_and_committed_ones_solid() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    sim.run(0.1)
    sim.partition(*({node} for node in sim.nodes))
    sim.write({"op": "put", "key": "x", "value": 1}, to=sim.leader)
    sim.run(0.02)
    dashes = [shape.line.dash for shape in viz.logs(sim).layout.shapes]
    assert dashes.count("dot") == 1
    assert dashes.count("solid") == len(dashes) - 1


def test_a_joint_membership_has_two_rows_and_each_says_whether_it_is_enough() -> None:
    sim = Simulation(nodes=3, seed=4, learners={4, 5})
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    sim.run(0.1)
    sim.partition({1, 2, 3}, {4, 5})
    sim.change_membership({3, 4, 5})
    sim.run(0.1)
    figure = viz.quorums(sim)
    assert list(figure.layout.yaxis.ticktext) == ["C-old", "C-new"]
    assert [note.text.split("</b>")[1] for note in figure.layout.annotations] == [", enough", ", needs 2"]


def test_a_history_shows_every_call_and_where_it_took_effect() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader, timeout=5)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.1)
    sim.read("x")
    sim.run(0.1)
    bars, points = viz.history(check_linearizable(sim.history, "kv")).data
    assert len(bars.x) == len(points.x) == 2


def test_a_counterexample_names_what_broke() -> None:
    careless = replace(RAFT, vote_refusal=lambda _state, _request: None, pre_vote_refusal=lambda _state, _request: None)
    sim = next(run for run in (Simulation(nodes=5, seed=seed, rules=careless) for seed in range(50)) if _broken(run))
    figure = viz.counterexample(sim)
    assert sim.violations[0].what in figure.layout.annotations[-1].text


def _broken(sim: Simulation) -> bool:
    sim.run(1.0)
    return bool(sim.violations)


def test_a_sweep_is_a_map_whose_cells_carry_capsules() -> None:
    frame = pd.DataFrame({"loss": [0.0, 0.1], "spread": [1, 1], "time": [1.0, 2.0], "capsule": ["a", "b"]})
    (cells,) = viz.sweep(frame, x="loss", y="spread", value="time").data
    assert cells.z.tolist() == [[1.0, 2.0]]
    assert [list(row) for row in cells.customdata] == [["a", "b"]]


@pytest.mark.parametrize(
    ("draw", "complaint"),
    [
        (lambda: viz.roles(7), "cannot draw a int"),  # type: ignore[arg-type]
        (lambda: viz.roles(pd.DataFrame({"a": [1]})), "cannot tell what this frame is"),
        (lambda: viz.roles(Simulation(nodes=3, seed=1), nodes=[9]), "there is no node 9"),
        (lambda: viz.space_time(Simulation(nodes=3, seed=1), start=2.0, stop=1.0), "ends before it begins"),
        (lambda: viz.snapshots(Simulation(nodes=3, seed=1)), "no snapshot was sent"),
        (lambda: viz.counterexample(Simulation(nodes=3, seed=1)), "nothing was broken"),
    ],
)
def test_what_cannot_be_drawn_is_said(draw: object, complaint: str) -> None:
    assert callable(draw)
    with pytest.raises(PyraftError, match=complaint):
        draw()
