"""Figures: each draws a real run, says so in words, and stays small."""

import functools
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from msgspec.structs import replace

from pyraft_lab import RAFT, Config, History, Operation, PyraftError, Simulation, Weather, check_linearizable, hunt, viz
from pyraft_lab.trace.columns import Table
from pyraft_lab.trace.trace import Trace
from pyraft_lab.viz import arrows
from pyraft_lab.viz.drawing import Drawing
from pyraft_lab.viz.sketch import twin
from pyraft_lab.viz.source import run_of, spans

MOST_BYTES = 2_000_000
MOST_TWIN = 300_000
EVENTS = 10_000


@pytest.fixture(scope="module")
def long_run() -> Simulation:
    """Ten thousand events: elections, writes, a crash, snapshots on their way, lost messages."""
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
    sim.run_until(lambda s: len(s.trace) >= EVENTS, timeout=60)
    return sim


@pytest.fixture(scope="module")
def stormy_run() -> Simulation:
    """Ten thousand events in which hardly anybody leads for long."""
    sim = Simulation(nodes=5, seed=1, config=Config(pre_vote=False), weather=Weather(latency=(0.001, 0.08), loss=0.3))
    sim.run_until(lambda s: len(s.trace) >= EVENTS, timeout=120)
    return sim


class Growing(Trace):
    """The trace of a cluster that is never at rest: whenever it is asked for a table, there is one record more."""

    def __init__(self, run: Trace, begin: int) -> None:
        super().__init__(run.records[:begin])
        self._still_to_come = iter(run.records[begin:])

    def table(self, name: str) -> Table:
        self(next(self._still_to_come))
        return super().table(name)


def test_a_figure_shows_one_moment_of_a_cluster_that_goes_on(long_run: Simulation) -> None:
    growing = Growing(long_run.trace, begin=2000)
    for draw in (viz.space_time, viz.roles, viz.logs, viz.progress, viz.commit_latency, viz.quorums):
        assert draw(growing).data
    assert len(growing) == 2000, "a look at a trace adds nothing to it"


def drawn(sim: Simulation) -> dict[str, Drawing]:
    """Every figure of a run."""
    few = {"counterexample": viz.counterexample(sim.trace, at=sim.now - 0.1, before=sim.now)}
    every = (viz.space_time, viz.roles, viz.logs, viz.progress, viz.commit_latency, viz.quorums)
    return few | {draw.__name__: draw(sim) for draw in every}


@pytest.mark.parametrize("weather", ["long_run", "stormy_run"])
def test_figures_of_ten_thousand_events_stay_small_and_so_do_their_twins(
    weather: str, request: pytest.FixtureRequest
) -> None:
    sim = request.getfixturevalue(weather)
    assert len(sim.trace) >= EVENTS
    figures = drawn(sim)
    assert {name for name, figure in figures.items() if len(str(figure.to_json())) > MOST_BYTES} == set()
    assert {name for name, figure in figures.items() if len(twin(figure)) > MOST_TWIN} == set()


def test_snapshots_histories_and_sweeps_stay_small_too(long_run: Simulation) -> None:
    calls = [Operation(number % 5, float(number), number + 0.5, ("put", "x", number)) for number in range(5_000)]
    knobs = pd.DataFrame({"loss": range(EVENTS), "spread": 1, "time": 1.0}).assign(
        loss=lambda frame: frame["loss"] % 30
    )
    figures = [
        viz.snapshots(long_run),
        viz.history(History(calls)),
        viz.sweep(knobs, x="loss", y="spread", value="time"),
    ]
    assert [figure for figure in figures if len(str(figure.to_json())) > MOST_BYTES] == []


def test_too_many_arrows_are_bundled_and_none_is_left_out(long_run: Simulation) -> None:
    messages = long_run.trace.table("messages")
    seen = arrows.visible(messages, list(long_run.nodes), 0.0, long_run.now, heartbeats=True)
    assert len(seen) < len(messages) == sum(one.count for one in seen)
    figure = viz.space_time(long_run)
    assert f"{len(long_run.trace.messages):,} messages as {len(seen):,} arrows" in words_on(figure)
    assert any(text.startswith(("2 × ", "3 × ")) for trace in figure.data for text in (trace.hovertext or ()))


def words_on(figure: Drawing) -> str:
    """The words around a picture."""
    return " ".join([figure.story, *(note.text for note in figure.layout.annotations)])


def test_lanes_are_as_many_as_servers_and_a_crash_is_one_of_them(long_run: Simulation) -> None:
    figure = viz.roles(long_run)
    assert list(figure.layout.yaxis.ticktext) == ["n1", "n2", "n3", "n4", "n5"]
    assert any(" is down<br>" in text for trace in figure.data for text in trace.hovertext)


def test_a_server_that_restarts_as_it_was_is_down_no_longer() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.run(0.01)
    sim.crash(1)
    sim.run(0.01)
    sim.restart(1)
    sim.run(0.01)
    assert [one.role for one in spans(run_of(sim), sim.now) if one.node == 1] == ["follower", "down", "follower"]


def test_who_is_paused_and_which_links_are_cut_is_seen() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.run(0.01)
    sim.pause(2)
    sim.partition({1}, {2, 3})
    sim.run(0.01)
    sim.resume(2)
    sim.heal()
    sim.cut(3, 1)
    sim.run_until(lambda s: s.leader, timeout=5)
    bars = viz.roles(sim).data
    said = [text.split("<br>")[0] for bar in bars for text in bar.hovertext]
    assert {"n2 is paused", "links are cut: {1} | {2,3}", "links are cut: n3 to n1"} <= set(said)
    assert [one.role for one in spans(run_of(sim), sim.now) if one.node == 2][:3] == ["follower", "paused", "follower"]


def test_the_term_is_written_into_a_band_and_not_only_its_colour(long_run: Simulation) -> None:
    for figure in (viz.roles(long_run), viz.space_time(long_run)):
        assert "leader 1" in [text.strip() for bar in figure.data if bar.type == "bar" for text in bar.text]


def test_a_lost_message_ends_between_the_lanes() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.partition({1}, {2}, {3})
    sim.run(0.5)
    (lost,) = (trace for trace in viz.space_time(sim).data if trace.name == "lost")
    heads = lost.y[1::3]
    assert {abs(head - round(head)) for head in heads} == {0.5}


def test_a_leader_begins_to_lead_once() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader, timeout=5)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.partition({1}, {2, 3})
    sim.run(0.05)
    (diamonds,) = (trace for trace in viz.space_time(sim).data if trace.name == "becomes leader")
    assert len(diamonds.x) == 1


@pytest.mark.parametrize(
    ("draw", "frames"),
    [
        (viz.roles, ("states", "events")),
        (viz.space_time, ("messages", "events", "states")),
        (viz.logs, ("entries",)),
        (viz.progress, ("states", "events")),
        (viz.commit_latency, ("entries",)),
        (viz.quorums, ("entries",)),
        (viz.snapshots, ("messages",)),
        (functools.partial(viz.counterexample, at=1.0), ("messages",)),
    ],
)
def test_a_frame_alone_is_enough(draw: Any, frames: tuple[str, ...], long_run: Simulation) -> None:
    for name in frames:
        assert draw(getattr(long_run.trace, name)).data


def test_several_frames_say_what_the_trace_says(long_run: Simulation) -> None:
    trace = long_run.trace
    for draw in (viz.roles, viz.space_time, viz.logs, viz.progress, viz.quorums):
        assert draw([trace.events, trace.messages, trace.states, trace.entries]).to_json() == draw(trace).to_json()


def test_a_history_may_come_as_its_frame() -> None:
    calls = History([Operation(1, 0.0, 1.0, ("put", "x", 1)), Operation(1, 0.5, None, ("get", "x"))])
    assert viz.history(calls.frame).to_json() == viz.history(calls).to_json()


def test_what_a_client_has_under_way_at_once_lies_one_below_the_other() -> None:
    calls = [
        Operation(1, 0.0, 2.0, ("get", "x")),
        Operation(1, 1.0, 3.0, ("get", "x")),
        Operation(1, 2.5, 4.0, ("get", "x")),
    ]
    assert list(viz.history(History(calls)).data[0].y) == [0, 1, 0]


def test_uncommitted_entries_are_dashed_and_committed_ones_solid() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    sim.run(0.1)
    sim.partition(*({node} for node in sim.nodes))
    sim.write({"op": "put", "key": "x", "value": 1}, to=sim.leader)
    sim.run(0.02)
    dashes = [shape.line.dash for shape in viz.logs(sim).layout.shapes]
    assert dashes.count("solid") == len(dashes) - 1


def test_progress_goes_on_to_the_end_and_falls_where_a_server_goes_down(long_run: Simulation) -> None:
    figure = viz.progress(long_run)
    lines = [trace for trace in figure.data if trace.type == "scatter" and trace.line.shape == "hv"]
    assert {line.x[-1] for line in lines} == {max(line.x[-1] for line in lines)}
    assert "402 known to be committed" in figure.story


def test_very_many_commands_share_points_and_the_slowest_is_always_there() -> None:
    index = range(1, EVENTS + 1)
    entries = pd.DataFrame(
        {"node": 1, "index": index, "term": 1, "leader": 1, "kind": "normal", "data": "x=1", "applied": None}
    )
    entries["appended"] = [number / 1000 for number in index]
    entries["committed"] = [number / 1000 + (0.5 if number == 777 else 0.01) for number in index]
    entries = entries.assign(stored=entries["appended"], truncated=float("nan"))
    figure = viz.commit_latency(entries)
    (points,) = (trace for trace in figure.data if trace.name == "term 1")
    assert len(points.x) < EVENTS / 4
    assert max(points.y) == pytest.approx(500)
    assert "10,000 commands" in figure.story


def test_a_joint_membership_has_two_rows_and_each_says_whether_it_is_enough() -> None:
    sim = Simulation(nodes=3, seed=4, learners={4, 5})
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    sim.run(0.1)
    sim.partition({1, 2, 3}, {4, 5})
    sim.change_membership({3, 4, 5})
    sim.run(0.1)
    figure = viz.quorums(sim)
    assert list(figure.layout.yaxis.ticktext) == ["C-old", "C-new"]
    tallies = [note.text.split("</b>")[1] for note in figure.layout.annotations if "</b>" in note.text]
    assert tallies == [", enough", ", needs 2"]
    assert "the new set does not yet" in figure.story


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
    assert sim.violations[0].what in figure.layout.title.subtitle.text.replace("<br>", " ")
    assert figure.layout.annotations[-1].xanchor == "right"
    early = viz.counterexample(hunt("votes-before-disk"))
    assert early.layout.annotations[-1].xanchor == "left"


def _broken(sim: Simulation) -> bool:
    sim.run(1.0)
    return bool(sim.violations)


def test_a_sweep_is_a_map_whose_cells_carry_capsules() -> None:
    frame = pd.DataFrame({"loss": [0.0, 0.1], "spread": [1, 1], "time": [1.0, 2.0], "capsule": ["a", "b"]})
    (cells,) = viz.sweep(frame, x="loss", y="spread", value="time").data
    assert [list(row) for row in cells.z] == [[1.0, 2.0]]
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
    assert list(viz.history(History(calls)).layout.yaxis.ticktext) == ["client 1", "client 2"]
    assert list(bars.text) == ["put 1", "get → None", "get → 1"]


def test_what_has_no_place_is_named_however_short_it_was() -> None:
    calls = [Operation(1, 0.0, 1.0, ("put", 1)), Operation(2, 2.0, 2.0, ("get",))]
    figure = viz.history(check_linearizable(History(calls), "register"))
    assert "<b>get → None</b> fits in no order" in [note.text for note in figure.layout.annotations]


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
    assert [text.replace("<br>", " ") for text in discs.hovertext] == list(answer.lines)
    assert list(discs.marker.line.width[-2:]) == [1, 3.5]


def test_why_draws_an_arrow_for_each_message_that_mattered_and_says_answer_and_reasons() -> None:
    answer = settled().trace.why(committed=3)
    figure = viz.why(answer)
    letters = [each.text[0] for each in figure.data if each.hovertext and len(each.hovertext) == 1]
    assert letters == ["H", "H", "A1", "A+"], "a round proves that the leader leads before the client begins a session"
    texts = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    assert figure.layout.title.text.replace("<br>", " ") == answer.answer
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
    assert figure.layout.title.text == "Somebody cut the network"


@pytest.mark.parametrize(
    ("draw", "complaint"),
    [
        (lambda: viz.roles(7), "cannot draw a int"),  # type: ignore[arg-type]
        (lambda: viz.roles(pd.DataFrame({"a": [1]})), "cannot draw this frame"),
        (lambda: viz.roles(Simulation(nodes=3, seed=1), nodes=[9]), "there is no node 9"),
        (lambda: viz.space_time(Simulation(nodes=3, seed=1), start=2.0, stop=1.0), "ends before it begins"),
        (lambda: viz.counterexample(Simulation(nodes=3, seed=1).trace), "give the time of the violation"),
        (lambda: viz.quorums(Simulation(nodes=3, seed=1).trace.messages), "no membership is known"),
        (lambda: viz.why(Simulation(nodes=3, seed=1)), "cannot draw a Simulation"),  # type: ignore[arg-type]
        (lambda: viz.why(Simulation(nodes=3, seed=1).trace.why_not(leader=9)), "there is no such server"),
    ],
)
def test_what_cannot_be_drawn_is_said(draw: object, complaint: str) -> None:
    assert callable(draw)
    with pytest.raises(PyraftError, match=complaint):
        draw()


@pytest.mark.parametrize(
    ("draw", "why"),
    [
        (viz.snapshots, "no snapshot was sent"),
        (viz.history, "no client has called"),
        (viz.counterexample, "nothing was"),
    ],
)
def test_a_run_without_anything_of_the_kind_makes_a_figure_that_says_so(
    draw: Callable[[Simulation], Drawing], why: str
) -> None:
    figure = draw(Simulation(nodes=3, seed=1))
    assert why in figure.layout.title.subtitle.text
    assert why in figure.layout.meta["words"]
    assert not figure.data


def test_logs_that_differ_in_between_do_not_agree_up_to_where_they_meet_again() -> None:
    terms = {1: [1, 1, 3], 2: [1, 2, 3]}
    rows = [
        {"node": node, "index": index, "term": term, "leader": term, "kind": "normal", "data": "x=1", "appended": 0.1}
        for node, log in terms.items()
        for index, term in enumerate(log, 1)
    ]
    entries = pd.DataFrame(rows).assign(stored=0.1, committed=0.1, applied=None, truncated=None)
    assert "known to be committed up to 3; the logs agree up to 1, the longest ends at 3" in viz.logs(entries).story


def test_entries_of_two_leaders_of_one_term_are_two_entries() -> None:
    rows = [
        {"node": node, "index": 1, "term": 1, "leader": node, "kind": "noop", "data": "", "appended": 0.1}
        for node in (1, 2)
    ]
    entries = pd.DataFrame(rows).assign(stored=0.1, committed=None, applied=None, truncated=None)
    assert "the logs agree in no entry" in viz.logs(entries).story
