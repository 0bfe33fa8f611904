"""What is told of a log that a snapshot replaced: its entries were thrown away, and never committed."""

from pathlib import Path

import pandas as pd
from msgspec import UNSET

from pyraft_lab.check.explore.history_variables import HistoryVariables, check_facts
from pyraft_lab.check.refinement import refine
from pyraft_lab.exercises.questions import question
from pyraft_lab.lab.meter import Meter
from pyraft_lab.lab.recording import CHUNK, Numbered, Recorded, Simulated
from pyraft_lab.sim.facts import facts_of
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import gap
from pyraft_lab.trace.trace import Trace
from pyraft_lab.viz import commit_latency, logs, progress, snapshots
from tests.replaced import LATE, install, replaced


def late_entries(trace: Trace) -> pd.DataFrame:
    frame = trace.entries
    return frame[frame.node == LATE]


def test_a_replaced_entry_is_truncated_and_was_never_committed() -> None:
    frame = late_entries(replaced().trace)
    stale = frame[frame.data.str.contains("stale")]
    assert len(stale) == 5
    assert set(stale.truncated) == {install().time}
    assert stale.committed.isna().all()
    assert stale.applied.isna().all()


def test_what_led_up_to_the_snapshot_stays_committed() -> None:
    frame = late_entries(replaced().trace)
    early = frame[frame.data == "x=early"]
    assert early.committed.notna().all()
    assert early.truncated.isna().all()


def test_a_file_tells_the_same(tmp_path: Path) -> None:
    trace = replaced().trace
    back = Trace.load(trace.save(tmp_path / "run.jsonl"))
    pd.testing.assert_frame_equal(back.entries, trace.entries)


def test_a_trace_that_did_not_see_the_snapshot_arrive_says_nothing_of_what_it_replaced() -> None:
    at = install().id
    trace = Trace(record for record in replaced().trace.records if record.id != at)
    stale = late_entries(trace)
    stale = stale[stale.data.str.contains("stale")]
    assert stale.committed.isna().all()
    assert stale.applied.isna().all()


def test_an_entry_is_committed_at_one_term_everywhere() -> None:
    committed = replaced().trace.entries.dropna(subset=["committed"])
    assert set(committed.groupby("index").term.nunique()) == {1}


def test_the_invariants_know_the_new_log() -> None:
    assert replaced().violations == []


def test_the_model_and_the_history_know_the_new_log() -> None:
    records = replaced().trace.records
    assert refine(records) == ()
    past = HistoryVariables()
    for record in records:
        if record.step is not None:
            past, broken = check_facts(past, facts_of(record.step))
            assert broken == ""


def test_the_film_of_the_records_shows_the_logs_of_the_worlds() -> None:
    sim = replaced()
    told, real = Recorded(sim.trace), Simulated(sim)
    for event in (install().id - 1, install().id, len(sim.trace) - 1):
        assert _logs(told, event) == _logs(real, event)
    assert _shown(told) == _shown(real)


def _shown(film: Recorded | Simulated) -> object:
    """The log as the drawing gets it with the event that replaced it."""
    event = film.chunk(install().id // CHUNK).events[install().id % CHUNK]
    assert event.nodes is not UNSET
    return event.nodes[str(LATE)]["log"]


def _logs(film: Recorded | Simulated, event: int) -> dict[int, object]:
    return {node: server.state.log for node, server in film.view(event).servers.items()}


def test_the_pictures_draw_no_entry_that_was_replaced() -> None:
    sim = replaced()
    before, after = logs(sim, at=install().time - 0.001), logs(sim, at=install().time)
    assert "stale" in before.to_json()
    assert "stale" not in after.to_json()
    assert "stale" not in commit_latency(sim).to_json()
    own = sim.trace.entries.dropna(subset=["appended", "committed"])
    own = own[(own.node == own.leader) & (own.kind == "normal")]
    assert commit_latency(sim).story.count(f"{len(own)} commands") == 1
    assert f"n{LATE} ends with {sim.nodes[LATE].state.log.last.index} entries" in progress(sim).story
    assert f"n{LATE} received" in snapshots(sim).story


def test_nobody_is_asked_what_the_log_decides_when_a_snapshot_does() -> None:
    step = install().step
    assert step is not None
    asked = question(step)
    assert asked is None or asked.about == "leader"


def gappy() -> tuple[Simulation, Trace, int]:
    """A run, the same with a gap in one node's records, and the number of the record that ends the gap."""
    sim = replaced()
    at = install().id
    state = sim.nodes[LATE].state
    last = sim.trace.records[-1]
    lost = [record for record in sim.trace.records if record.node == LATE and record.id >= at]
    kept = [record for record in sim.trace.records if record not in lost]
    whole = gap(last.id + 1, node=LATE, time=last.time, count=len(lost), state=state)
    return sim, Trace([*kept, whole]), len(lost)


def test_after_a_gap_every_picture_begins_again_from_the_whole_state() -> None:
    sim, trace, lost = gappy()
    assert list(trace.gaps["count"]) == [lost]
    last = trace.states[trace.states.node == LATE].iloc[-1]
    real = sim.trace.states[sim.trace.states.node == LATE].iloc[-1]
    assert last.drop(["event", "time"]).equals(real.drop(["event", "time"]))
    film = Recorded(numbered(trace))
    assert film.view(len(film) - 1).servers[LATE].state == sim.nodes[LATE].state
    assert "stale" not in str(logs(trace).to_json())
    meter = Meter(5.0)
    for record in trace.records:
        meter.add_record(record)
    assert meter.read().leader == sim.leader
    assert f"{lost} records are missing" in trace.story()


def test_what_went_to_a_node_while_its_records_are_missing_has_no_known_fate() -> None:
    _, trace, _ = gappy()
    frame = trace.messages
    there = frame[(frame.dst == LATE) & (frame.sent > install().time) & frame.received.isna()]
    assert set(there.fate) == {"unknown"}
    film = Recorded(numbered(trace))
    assert all(one.dst != LATE for one in film.view(len(film) - 1).flying.values())


def numbered(trace: Trace) -> Trace:
    """Records as a film wants them: without gaps in their numbers."""
    return Trace(Numbered().add(trace.records))


def test_what_was_there_already_has_not_been_appended_when_it_was_first_seen() -> None:
    records = replaced().trace.records
    late = Trace(records[len(records) // 2 :])
    first = late.entries
    begin = late.records[0].time
    assert first[first.appended.isna()].seen.notna().all()
    assert (first.dropna(subset=["appended"]).appended >= begin).all()
    assert "median 0.0 ms" not in commit_latency(late).story
