"""Figures: each draws a real run, says so in words, and stays small."""

import pandas as pd
import plotly.graph_objects as go
import pytest
from msgspec.structs import replace

from pyraft_lab import RAFT, Config, History, Operation, PyraftError, Simulation, Weather, check_linearizable, hunt, viz

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
    assert figure.layout.annotations[-1].xanchor == "right"
    early = viz.counterexample(hunt("votes-before-disk"))
    assert early.layout.annotations[-1].xanchor == "left"


def _broken(sim: Simulation) -> bool:
    sim.run(1.0)
    return bool(sim.violations)


def test_a_sweep_is_a_map_whose_cells_carry_capsules() -> None:
    frame = pd.DataFrame({"loss": [0.0, 0.1], "spread": [1, 1], "time": [1.0, 2.0], "capsule": ["a", "b"]})
    (cells,) = viz.sweep(frame, x="loss", y="spread", value="time").data
    assert cells.z.tolist() == [[1.0, 2.0]]
    assert [list(row) for row in cells.customdata] == [["a", "b"]]


def test_a_cell_of_a_sweep_carries_the_run_that_shows_most_and_words_stay_in_their_order() -> None:
    frame = pd.DataFrame(
        {
            "faults": ["none", "none", "light", "heavy"],
            "nodes": [5, 5, 3, 5],
            "caught": [False, True, True, True],
            "capsule": ["a", "b", "c", "d"],
        }
    )
    (cells,) = viz.sweep(frame, x="faults", y="nodes", value="caught").data
    assert list(cells.x) == ["none", "light", "heavy"]
    assert list(cells.y) == ["3", "5"]
    assert [list(row) for row in cells.customdata] == [["", "c", ""], ["b", "", "d"]]


def test_calls_of_one_client_that_overlap_have_a_row_each() -> None:
    calls = [Operation(1, 0.0, 3.0, ("put", 1)), Operation(1, 1.0, 2.0, ("get",)), Operation(2, 0.5, 4.0, ("get",), 1)]
    bars, *_ = viz.history(History(calls)).data
    assert list(bars.y) == [0, 1, 2]
    assert list(viz.history(History(calls)).layout.yaxis.ticktext) == ["client 1", "", "client 2"]
    assert list(bars.text) == ["put 1", "get → None", "get → 1"]


def test_what_has_no_place_is_named_however_short_it_was() -> None:
    calls = [Operation(1, 0.0, 1.0, ("put", 1)), Operation(2, 2.0, 2.0, ("get",))]
    figure = viz.history(check_linearizable(History(calls), "register"))
    assert [note.text for note in figure.layout.annotations] == ["<b>get → None</b> has no place"]


def settled() -> Simulation:
    """A leader of three, one entry written and committed."""
    sim = Simulation(nodes=3, seed=7)
    sim.run_until(lambda s: s.leader, timeout=5)
    sim.run(0.1)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run_until(lambda s: s.calls[-1].done, timeout=5)
    return sim


def test_why_numbers_its_records_as_the_answer_does_and_says_each_on_hovering() -> None:
    answer = settled().trace.why(committed=3)
    discs = next(each for each in viz.why(answer).data if each.text and "<b>1</b>" in each.text)
    assert list(discs.text) == [f"<b>{number}</b>" for number in range(1, len(answer.records) + 1)]
    assert [text.replace("<br>", " ") for text in discs.hovertext] == list(answer.told)
    assert list(discs.marker.line.width[-2:]) == [1, 3.5]


def test_why_draws_an_arrow_for_each_message_that_mattered_and_says_answer_and_reasons() -> None:
    answer = settled().trace.why(committed=3)
    figure = viz.why(answer)
    letters = [each.text[0] for each in figure.data if each.hovertext and len(each.hovertext) == 1]
    assert letters == ["A1", "A+"]
    texts = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    assert answer.answer in texts
    assert texts[-1] == " ".join(f"• {reason}" for reason in answer.reasons)


def test_why_not_shows_what_was_never_heard_and_why() -> None:
    sim = settled()
    alone = sim.leader or 0
    others = sorted(set(sim.nodes) - {alone})
    sim.partition({alone}, set(others))
    sim.write({"op": "put", "key": "x", "value": 2}, to=alone)
    sim.run(0.01)
    figure = viz.why(sim.trace.why_not(committed=4))
    crosses = [each for each in figure.data if each.marker.symbol == "x-thin-open"]
    assert len(crosses) == 2
    assert [note.text for note in figure.layout.annotations].count("cut") == 2
    assert list(figure.layout.yaxis.ticktext) == ["n1", "n2", "n3"]


def test_why_has_a_lane_for_what_no_server_did() -> None:
    sim = settled()
    sim.partition({1}, {2, 3})
    figure = viz.why(sim.trace.why(sim.trace.records[-1]), title="Somebody cut the network")
    assert list(figure.layout.yaxis.ticktext) == ["outside"]
    assert "Somebody cut the network" in [note.text for note in figure.layout.annotations]


@pytest.mark.parametrize(
    ("draw", "complaint"),
    [
        (lambda: viz.roles(7), "cannot draw a int"),  # type: ignore[arg-type]
        (lambda: viz.roles(pd.DataFrame({"a": [1]})), "cannot tell what this frame is"),
        (lambda: viz.roles(Simulation(nodes=3, seed=1), nodes=[9]), "there is no node 9"),
        (lambda: viz.space_time(Simulation(nodes=3, seed=1), start=2.0, stop=1.0), "ends before it begins"),
        (lambda: viz.snapshots(Simulation(nodes=3, seed=1)), "no snapshot was sent"),
        (lambda: viz.counterexample(Simulation(nodes=3, seed=1)), "nothing was broken"),
        (lambda: viz.why(Simulation(nodes=3, seed=1)), "cannot draw a Simulation"),  # type: ignore[arg-type]
        (lambda: viz.why(Simulation(nodes=3, seed=1).trace.why_not(leader=9)), "there is no such server"),
    ],
)
def test_what_cannot_be_drawn_is_said(draw: object, complaint: str) -> None:
    assert callable(draw)
    with pytest.raises(PyraftError, match=complaint):
        draw()
