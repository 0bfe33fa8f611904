"""A frame belongs to whoever asked for it, and has the same words in every run."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest

from pyraft_lab import Simulation, Weather, run_campaign, viz
from pyraft_lab.sim.sweep import sweep
from pyraft_lab.trace.record import Record
from pyraft_lab.trace.tables import EventRows, GrowingTable
from pyraft_lab.trace.trace import Trace

TRACED = ("events", "messages", "states", "entries", "calls", "spans", "gaps")


def run(seed: int, *, crash: bool = False) -> Simulation:
    sim = Simulation(nodes=3, seed=seed)
    sim.always("a leader", bool)
    sim.run_until(lambda sim: sim.leader)
    sim.write({"op": "put", "key": "x", "value": 1})
    if crash:
        sim.crash(1)
    sim.run(1)
    return sim


@pytest.fixture(scope="module")
def sim() -> Simulation:
    return run(7)


FRAMES: dict[str, Callable[[Simulation], pd.DataFrame]] = {
    "events": lambda sim: sim.trace.events,
    "messages": lambda sim: sim.trace.messages,
    "states": lambda sim: sim.trace.states,
    "entries": lambda sim: sim.trace.entries,
    "calls": lambda sim: sim.trace.calls,
    "spans": lambda sim: sim.trace.spans,
    "gaps": lambda sim: sim.trace.gaps,
    "history": lambda sim: sim.history.frame,
    "properties": lambda sim: sim.properties,
    "diff": lambda sim: sim.diff(run(8)),
    "why": lambda sim: sim.trace.why(leader=sim.leader).frame,
}


@pytest.mark.parametrize("name", FRAMES)
def test_whoever_changes_a_frame_changes_his_own(sim: Simulation, name: str) -> None:
    ask = FRAMES[name]
    before = ask(sim).copy()
    mine = ask(sim)
    for column in list(mine.columns)[1:]:
        del mine[column]
    mine.columns = ["nothing"]
    if len(mine):
        mine.iloc[0, 0] = None
    pd.testing.assert_frame_equal(ask(sim), before)


def test_a_campaign_gives_away_its_own_frame_each_time() -> None:
    campaign = run_campaign(range(2), nodes=3, faults="none", seconds=1)
    mine = campaign.frame
    mine["seed"] = 0
    assert list(campaign.frame.seed) == [0, 1]


def test_figures_stay_as_they_were(sim: Simulation) -> None:
    before = viz.roles(sim).to_json()
    events, states = sim.trace.events, sim.trace.states
    events["time"] *= 1000
    states["role"] = "leader"
    assert viz.roles(sim).to_json() == before


@pytest.mark.parametrize("name", TRACED)
def test_frames_of_two_runs_are_joined_with_their_types(name: str) -> None:
    first, second = getattr(run(1).trace, name), getattr(run(2, crash=True).trace, name)
    assert list(pd.concat([first, second]).dtypes) == list(first.dtypes)


def test_columns_of_two_runs_are_compared() -> None:
    first, second = run(1).trace.events, run(2, crash=True).trace.events
    assert (first.kind == second.kind.iloc[0]).any()
    assert set(first.kind.cat.categories) == set(second.kind.cat.categories)


def test_a_sweep_is_a_new_frame() -> None:
    made = sweep(lambda seed, nodes: Simulation(nodes=nodes, seed=seed), {"nodes": [1, 3]})
    assert list(made.nodes) == [1, 3]


# Frames that grow with their trace


def still_growing() -> Simulation:
    """A run of three with everything that changes rows later: losses, a crash, a restart, a cut."""
    sim = Simulation(nodes=3, seed=5, weather=Weather(loss=0.1, duplicate=0.1))
    sim.run_until(lambda sim: sim.leader)
    return sim


def one_by_one(sim: Simulation) -> Iterator[None]:
    leader = sim.leader or 1
    acts: list[Callable[[], object]] = [
        lambda: sim.write({"op": "put", "key": "x", "value": 1}),
        lambda: sim.crash(leader),
        lambda: sim.run(0.5),
        lambda: sim.restart(leader),
        lambda: sim.partition({1}, {2, 3}),
        lambda: sim.run(0.5),
        sim.heal,
        lambda: sim.run(0.5),
    ]
    for act in acts:
        act()
        yield


@pytest.mark.parametrize("name", TRACED)
def test_a_frame_that_grew_with_its_trace_is_the_one_made_of_all_records_at_once(name: str) -> None:
    sim = still_growing()
    for _ in one_by_one(sim):
        grown = getattr(sim.trace, name)
        pd.testing.assert_frame_equal(grown, getattr(Trace(sim.trace.records), name))


@pytest.mark.parametrize("name", TRACED)
def test_a_frame_shows_the_moment_it_was_asked_for(name: str) -> None:
    sim = still_growing()
    early = getattr(sim.trace, name)
    before = early.copy(deep=True)
    for _ in one_by_one(sim):
        getattr(sim.trace, name)
    pd.testing.assert_frame_equal(early, before)


def test_a_record_is_read_once_however_often_its_trace_is_asked() -> None:
    sim = still_growing()
    read: list[int] = []

    class Counting(EventRows):
        def add(self, records: Sequence[Record]) -> None:
            read.extend(record.id for record in records)
            super().add(records)

    grown = GrowingTable(Counting())
    for _ in one_by_one(sim):
        assert len(grown.of(sim.trace.records)) == len(sim.trace)
    assert read == [record.id for record in sim.trace.records]


def test_a_ring_that_has_dropped_its_oldest_records_has_frames_of_those_that_are_left() -> None:
    sim = run(3)
    ring = Trace(limit=100)
    for record in sim.trace.records:
        ring(record)
        if record.id % 50 == 0:
            assert list(ring.events["id"]) == [one.id for one in ring.records]
    pd.testing.assert_frame_equal(ring.messages, Trace(ring.records).messages)


@pytest.mark.parametrize("name", TRACED)
def test_every_column_says_what_it_means(name: str, sim: Simulation) -> None:
    frame = getattr(sim.trace, name)
    assert list(frame.attrs["columns"]) == list(frame.columns)
    assert all(len(meaning) > 5 for meaning in frame.attrs["columns"].values())


@pytest.mark.parametrize("name", TRACED)
def test_a_frame_goes_to_parquet_and_comes_back_the_same(name: str, sim: Simulation, tmp_path: Path) -> None:
    frame = getattr(sim.trace, name)
    frame.to_parquet(tmp_path / "frame.parquet")
    back = pd.read_parquet(tmp_path / "frame.parquet")
    assert list(back.columns) == list(frame.columns)
    assert len(back) == len(frame)
    assert back.attrs["columns"] == frame.attrs["columns"]


# Calls


def test_a_call_has_a_row_from_the_question_to_the_answer(sim: Simulation) -> None:
    (row,) = sim.trace.calls.to_dict("records")
    call = sim.calls[0]
    assert (row["kind"], row["input"], row["ok"], row["error"]) == ("write", "x=1", True, "")
    assert call.invoked <= row["invoked"] < row["returned"] == call.returned


def test_a_call_that_was_tried_at_two_nodes_has_one_row() -> None:
    sim = still_growing()
    old = sim.leader or 1
    sim.partition({old}, {1, 2, 3} - {old})
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(5)
    (row,) = sim.trace.calls.to_dict("records")
    assert sim.leader != old
    assert (row["node"], row["ok"]) == (sim.leader, True)


def test_a_call_without_an_answer_has_no_end() -> None:
    sim = still_growing()
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run_until(lambda sim: sim.calls[0].done)
    sim.partition({1}, {2}, {3})
    sim.write({"op": "put", "key": "x", "value": 2})
    sim.run(0.05)
    assert list(sim.trace.calls["input"]) == ["x=1", "x=2"]
    assert list(sim.trace.calls["ok"].isna()) == [False, True]
    assert sim.trace.calls.iloc[1][["returned", "ok", "output"]].isna().all()


def test_a_call_that_fails_says_why() -> None:
    sim = still_growing()
    follower = next(node for node in sim.nodes if node != sim.leader)
    sim.write({"op": "put", "key": "x", "value": 1}, to=follower)
    (row,) = sim.trace.calls.to_dict("records")
    assert (row["ok"], row["node"]) == (False, follower)
    assert "not the leader" in row["error"]
