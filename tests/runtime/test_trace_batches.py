"""Records on their way to a follower: whatever happens to the messages, its trace says what is missing."""

import itertools
from collections.abc import Iterator, Sequence
from random import Random

import msgspec
import pytest
from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.runtime.trace_batches import Receiver, Sender
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.files import Writer
from pyraft_lab.trace.record import Kind, Record, gap, missing_in
from pyraft_lab.trace.trace import Trace

NODE = 1
FAR = msgspec.msgpack.encode([1, 1 << 50, b"", []])
ids = itertools.count(1 << 40)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """What one node did that led, was cut off with entries of its own, crashed, and got a snapshot."""
    sim = Simulation(nodes=3, seed=4, config=Config(keep_logs=0, pre_vote=False))
    sim.elect(NODE)
    sim.run_until(lambda sim: sim.leader == NODE)
    for round in range(3):
        sim.write({"op": "put", "key": "x", "value": round})
        sim.run(0.5)
        sim.partition({NODE}, {2, 3})
        sim.write({"op": "put", "key": "x", "value": "stale"}, to=NODE)
        sim.run(2)
        sim.write({"op": "put", "key": "x", "value": -round})
        sim.run(0.5)
        for other in (2, 3):
            sim.snapshot(other)
        if round == 1:
            sim.crash(NODE)
            sim.restart(NODE)
        sim.heal()
        sim.run(1)
    return [record for record in sim.trace.records if record.node == NODE and record.step is not None]


def batches(records: Sequence[Record], size: int = 5) -> list[bytes]:
    sender = Sender(NODE, run=1)
    return [batch for part in parts(records, size) if (batch := sent(sender, part))]


def parts(records: Sequence[Record], size: int) -> Iterator[Sequence[Record]]:
    return (records[start : start + size] for start in range(0, len(records), size))


def sent(sender: Sender, records: Sequence[Record]) -> bytes:
    for record in records:
        sender.add(record, is_followed=True)
    batch = sender.take()
    assert batch is not None
    return batch


def receiver() -> Receiver:
    return Receiver(NODE, lambda: next(ids))


def received(reader: Receiver, payloads: Sequence[bytes]) -> list[Record]:
    return [record for payload in payloads for record in reader.read(payload)]


def missing(records: Sequence[Record]) -> int:
    return sum(map(missing_in, records))


def real(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.kind is not Kind.GAP]


def test_what_arrives_whole_is_what_was_sent(records: list[Record]) -> None:
    assert received(receiver(), batches(records)) == records


def test_a_batch_that_comes_twice_or_late_is_passed_over(records: list[Record]) -> None:
    first, second, *others = batches(records)
    assert received(receiver(), [first, first, second, first, *others, second]) == records


def test_a_lost_batch_is_said_to_be_missing_and_what_follows_waits_for_a_whole_state(records: list[Record]) -> None:
    sender, reader = Sender(NODE, run=1), receiver()
    first, _, third = (sent(sender, part) for part in parts(records[:15], 5))
    found = received(reader, [first, third])
    assert (found[:5], [missing_in(one) for one in found[5:]]) == (records[:5], [5])
    assert found[5].time == records[4].time, "the last moment that is known"
    assert reader.needs_full_state
    sender.add_full_state()
    again = reader.read(sent(sender, records[15:20]))
    assert (again[0].state, missing_in(again[0]), again[1:]) == (records[14].after, 5, records[15:20])
    assert not reader.needs_full_state


def test_a_quiet_node_tells_its_whole_state_too(records: list[Record]) -> None:
    sender, reader = Sender(NODE, run=1), receiver()
    first, _, third = (sent(sender, part) for part in parts(records[:15], 5))
    received(reader, [first, third])
    sender.add_full_state()
    whole = sender.take()
    assert whole is not None
    assert [one.state for one in reader.read(whole)] == [records[14].after]
    assert sender.take() is None, "once is enough"


def test_what_nobody_followed_for_a_while_is_missing(records: list[Record]) -> None:
    sender, reader = Sender(NODE, run=1), receiver()
    found = reader.read(sent(sender, records[:5]))
    for record in records[5:12]:
        sender.add(record, is_followed=False)
    found += reader.read(sent(sender, records[12:15]))
    assert real(found) == [*records[:5], *records[12:15]]
    assert missing(found) == 7


def test_who_joins_late_misses_nothing_of_what_was_before(records: list[Record]) -> None:
    sender, late = Sender(NODE, run=1), receiver()
    *_, newest = (sent(sender, part) for part in parts(records[:15], 5))
    assert late.read(newest) == [], "it does not know the state yet"
    assert late.needs_full_state
    sender.add_full_state()
    assert late.read(sent(sender, records[15:20])) == records[15:20]


def test_a_node_that_starts_again_counts_from_the_beginning(records: list[Record]) -> None:
    start = next(place for place, record in enumerate(records) if record.kind is Kind.RESTART)
    before, after = Sender(NODE, run=1), Sender(NODE, run=2)
    found = received(receiver(), [sent(before, records[:start]), sent(after, records[start:])])
    assert found == records


def test_what_a_node_does_first_after_its_start_can_be_missing(records: list[Record]) -> None:
    start = next(place for place, record in enumerate(records) if record.kind is Kind.RESTART)
    before, after, reader = Sender(NODE, run=1), Sender(NODE, run=2), receiver()
    found = reader.read(sent(before, records[:start]))
    sent(after, records[start : start + 3])
    after.add_full_state()
    found += reader.read(sent(after, records[start + 3 :]))
    assert (real(found), missing(found)) == ([*records[:start], *records[start + 3 :]], 3)


def test_what_was_not_told_when_a_node_ended_is_told_at_its_next_start(records: list[Record]) -> None:
    start = next(place for place, record in enumerate(records) if record.kind is Kind.RESTART)
    before, after, reader = Sender(NODE, run=1), Sender(NODE, run=2), receiver()
    first, _, third = (sent(before, part) for part in parts(records[:15], 5))
    found = received(reader, [first, third, sent(after, records[start:])])
    assert missing(found) == 10
    assert reader.end() == []


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\xc1", b"hello", msgspec.msgpack.encode([1, 2]), msgspec.msgpack.encode([1, 5, b"{", []]), FAR],
)
def test_what_makes_no_sense_is_dropped_and_counted(records: list[Record], garbage: bytes) -> None:
    reader = receiver()
    first, *others = batches(records)
    found = received(reader, [first, garbage, *others])
    assert real(found)[:5] == records[:5]
    assert reader.unreadable == 1


def test_a_record_that_cannot_follow_is_missing_and_raises_nothing(records: list[Record]) -> None:
    writer = Writer()
    lines = [writer.line(record) for record in records]
    appends = next(place for place, line in enumerate(lines) if b'"Append"' in line and place > 3)
    bad = [*lines[:appends], *lines[appends + 1 :]]  # numbered as if nothing were missing
    reader = receiver()
    found = reader.read(msgspec.msgpack.encode([1, 0, b"", bad[: appends + 60]]))
    assert missing(found) == 1
    check_honest(Trace([*found, *reader.end()]), Trace(records))


@pytest.mark.parametrize(
    "change",
    [
        {"id": 1 << 70},
        {"time": float("inf")},
        {"peer": 1 << 60},
        {"message": -3},
        {"node": 2},
    ],
)
def test_numbers_beyond_reason_are_missing_records(records: list[Record], change: dict[str, object]) -> None:
    reader, sender = receiver(), Sender(NODE, run=1)
    found = reader.read(sent(sender, [*records[:5], replace(records[5], **change)]))
    assert (real(found), missing(found)) == (records[:5], 1)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_the_wire_does_every_record_is_there_or_missing_and_the_picture_ends_right(
    records: list[Record], seed: int
) -> None:
    chance, reader = Random(seed), receiver()
    found: list[Record] = []
    late: list[bytes] = []
    sender, run = Sender(NODE, run=0), 0
    for record in records:
        if record.kind is Kind.RESTART:
            run += 1
            sender = Sender(NODE, run=run)
        sender.add(record, is_followed=chance.random() < 0.95)
        if reader.needs_full_state and chance.random() < 0.3:
            sender.add_full_state()
        batch = sender.take() if chance.random() < 0.4 else None
        fate = chance.random()
        if batch is not None and fate < 0.7:
            found += reader.read(batch)
            found += reader.read(batch) if fate < 0.1 else []
        elif batch is not None and fate < 0.85:
            late.append(batch)
        if late and chance.random() < 0.1:
            found += reader.read(late.pop(chance.randrange(len(late))))
    sender.add_full_state()
    found += reader.read(sender.take() or b"")
    assert 0 < len(real(found)) + missing(found) <= len(records), "nothing is counted twice"
    assert found[-1].after == records[-1].after
    check_honest(Trace(found), Trace(records))


def check_honest(followed: Trace, whole: Trace) -> None:
    """No entry is said to have got further than it did, and none stands in the log that is not there."""
    truth, told = whole.entries, followed.entries
    for what in ("committed", "applied"):
        real_ones = set(truth.dropna(subset=[what])[["index", "term"]].itertuples(index=False, name=None))
        said = set(told.dropna(subset=[what])[["index", "term"]].itertuples(index=False, name=None))
        assert said <= real_ones
    last = next(one.after for one in reversed(followed.records) if one.after is not None)
    known = told[told.truncated.isna() & (told["index"] > last.log.start.index)]
    standing = known.drop_duplicates("index", keep="last")[["index", "term"]].itertuples(index=False, name=None)
    assert {(entry.index, entry.id.term) for entry in last.log} <= set(standing)


def test_gaps_are_a_frame_and_survive_a_file(records: list[Record], tmp_path: object) -> None:
    lost = gap(7, node=2, time=1.5, count=12, state=replace(records[4].step.after, id=2) if records[4].step else None)
    trace = Trace([*records[:5], lost, gap(8, node=2, time=2.0, count=0)])
    assert [tuple(row) for row in trace.gaps.itertuples(index=False)] == [(2, 1.5, 12)]
    back = Trace.load(trace.save(f"{tmp_path}/run.jsonl"))
    assert back.records == trace.records
    assert back.digest() == trace.digest()
    assert "n2: 12 records are missing" in trace.story()
    assert list(Trace().gaps.columns) == ["node", "time", "count"]


def test_records_that_nobody_read_are_forgotten_and_counted(records: list[Record]) -> None:
    sender, reader = Sender(NODE, run=1), receiver()
    for record in records[:20]:
        sender.add(record, is_followed=True)
    sender.forget()
    assert sender.take() is None
    sender.add_full_state()
    heard = received(reader, [sent(sender, records[20:])])
    assert real(heard) == list(records[20:])
