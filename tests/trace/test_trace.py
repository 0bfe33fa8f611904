"""A trace tells what happened, in frames and files, and is the same after a journey through a file."""

from pathlib import Path

import pandas as pd
import pytest

from pyraft_lab.engine.events import Event
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import _KINDS
from pyraft_lab.trace.trace import Trace

COLUMNS = {
    "events": "id time node kind cause term role leader commit applied last_term last_index peer message rule",
    "messages": "id kind src dst term sent received fate reply_to entries prev_index commit granted success copy_of",
    "states": "event time node role term voted_for commit applied first_index last_index last_term membership",
    "entries": "node index term leader kind data appended stored committed applied truncated",
}


@pytest.fixture(scope="module")
def sim() -> Simulation:
    sim = Simulation(nodes=5, seed=7, weather=Weather(loss=0.05, duplicate=0.05))
    sim.run(1)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.5)
    leader = sim.leader or 1
    sim.partition({leader}, set(sim.nodes) - {leader})
    sim.write({"op": "put", "key": "x", "value": 2}, to=leader)
    sim.run(1.5)
    sim.crash(2)
    sim.heal()
    sim.run(0.5)
    sim.restart(2)
    sim.run(1)
    return sim


@pytest.mark.parametrize("name", COLUMNS)
def test_every_frame_has_its_columns_also_when_nothing_happened(sim: Simulation, name: str) -> None:
    full, empty = getattr(sim.trace, name), getattr(Trace(), name)
    assert set(COLUMNS[name].split()) <= set(full.columns)
    assert list(full.columns) == list(empty.columns)
    assert len(full) > len(empty) == 0
    assert {column: str(kind) for column, kind in full.dtypes.items() if str(kind) != "category"} == {
        column: str(kind) for column, kind in empty.dtypes.items() if str(kind) != "category"
    }


def test_one_leader_a_term(sim: Simulation) -> None:
    leaders = sim.trace.events.query("role == 'leader'").groupby("term").node.nunique()
    assert len(leaders) >= 2
    assert set(leaders) == {1}


def test_events_are_numbered_in_order_and_caused_by_earlier_ones(sim: Simulation) -> None:
    frame = sim.trace.events
    assert list(frame.id) == list(range(len(frame)))
    assert frame.time.is_monotonic_increasing
    caused = frame.dropna(subset=["cause"])
    assert (caused.cause < caused.id).all()
    outside = set(frame[frame.cause.isna()].kind)
    assert outside == {"boot", "propose", "read", "partition", "crash", "heal", "restart"}


def test_a_message_that_was_received_was_sent_before(sim: Simulation) -> None:
    frame = sim.trace.messages
    received = frame.dropna(subset=["received"])
    assert (received.received > received.sent).all()
    assert set(received.fate) == {"delivered"}
    assert {"lost", "cut", "dead", "delivered"} <= set(frame.fate)
    answers = frame.dropna(subset=["reply_to"]).merge(frame, left_on="reply_to", right_on="id", suffixes=("", "_asked"))
    assert (answers.dst == answers.src_asked).all()


def test_an_entry_lives_from_append_to_apply_and_a_replaced_one_is_truncated(sim: Simulation) -> None:
    frame = sim.trace.entries
    applied = frame.dropna(subset=["applied"])
    assert (applied.appended <= applied.committed).all()
    assert (applied.committed <= applied.applied).all()
    gone = frame.dropna(subset=["truncated"])
    assert len(gone) >= 1
    assert gone.applied.isna().all()
    assert "x=2" in set(gone.data)


def test_a_frame_is_made_once_and_again_when_more_has_happened() -> None:
    sim = Simulation(nodes=3)
    first = sim.trace.events
    pd.testing.assert_frame_equal(sim.trace.events, first)
    sim.step()
    assert len(sim.trace.events) == len(first) + 1


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_trace_comes_back_from_a_file_as_it_was(sim: Simulation, tmp_path: Path, suffix: str) -> None:
    path = sim.trace.save(tmp_path / f"run{suffix}")
    back = Trace.load(path)
    assert back.digest() == sim.trace.digest()
    assert [record.step for record in back.records] == [record.step for record in sim.trace.records]
    pd.testing.assert_frame_equal(back.entries, sim.trace.entries)
    pd.testing.assert_frame_equal(back.messages, sim.trace.messages)


def test_a_parquet_file_is_the_events_frame_for_anybody(sim: Simulation, tmp_path: Path) -> None:
    path = sim.trace.save(tmp_path / "run.parquet")
    assert set(COLUMNS["events"].split()) <= set(pd.read_parquet(path).columns)


def test_a_damaged_file_is_named_with_its_line(sim: Simulation, tmp_path: Path) -> None:
    path = sim.trace.save(tmp_path / "run.jsonl")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:5], lines[5][:40]]))
    with pytest.raises(PyraftError, match="line 6"):
        Trace.load(path)
    path.write_text("hello\n")
    with pytest.raises(PyraftError, match="is not a trace file"):
        Trace.load(path)
    with pytest.raises(ConfigError, match="must end in"):
        sim.trace.save(tmp_path / "run.csv")


def test_records_are_found_by_their_id(sim: Simulation) -> None:
    assert sim.trace.record(17) is sim.trace.records[17]
    with pytest.raises(LookupError, match="no record"):
        sim.trace.record(10**6)


def test_every_event_of_the_engine_has_a_kind() -> None:
    assert set(_KINDS) == set(Event.__args__)


def test_a_story_tells_every_event_once(sim: Simulation) -> None:
    assert len(sim.trace.story(stop=0.3).splitlines()) >= sum(record.time <= 0.3 for record in sim.trace.records) // 2
