"""A trace from a file holds equal values once, however often the file says them."""

from pathlib import Path

from pyraft_lab import Simulation, Trace, Weather
from pyraft_lab.engine.commands import SetTimer
from pyraft_lab.engine.events import Receive
from pyraft_lab.engine.log import Log
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.state import Leader, Step

SMALL = 256
"""Python has whole numbers up to this one only once."""


def loaded(tmp_path: Path, *, writes: int = 5) -> tuple[Trace, Trace]:
    sim = Simulation(nodes=3, seed=3, weather=Weather(duplicate=0.2))
    sim.run_until(lambda sim: sim.leader)
    for number in range(writes):
        sim.write({"op": "put", "key": "x", "value": number})
        sim.run(0.1)
    return sim.trace, Trace.load(sim.trace.save(tmp_path / "run.jsonl"))


def test_a_message_is_one_value_where_it_leaves_and_where_it_arrives(tmp_path: Path) -> None:
    was, trace = loaded(tmp_path)
    assert trace.digest() == was.digest()
    sent = {flight.id: flight.message for record in trace.records for flight in record.sent}
    arrivals = [
        (sent[record.message or 0], record.step.event.message)
        for record in trace.records
        if record.step is not None and isinstance(record.step.event, Receive)
    ]
    assert len(arrivals) > 50
    assert all(left is arrived for left, arrived in arrivals)


def test_entries_are_one_value_on_the_way_to_every_follower(tmp_path: Path) -> None:
    _, trace = loaded(tmp_path)
    every: dict[int, set[int]] = {}
    for record in trace.records:
        for flight in record.sent:
            match flight.message:
                case AppendRequest(entries=(first, *_) as entries):
                    every.setdefault(first.index, set()).add(id(entries))
                case _:
                    pass
    assert len(every) > 4
    assert {len(values) for values in every.values()} == {1}


def test_a_leader_keeps_its_record_of_a_peer_that_did_not_change(tmp_path: Path) -> None:
    _, trace = loaded(tmp_path)
    kept = changed = 0
    for step in (record.step for record in trace.records):
        match step:
            case Step(before=before, after=after):
                old, new = before.role, after.role
                if isinstance(old, Leader) and isinstance(new, Leader) and old is not new:
                    pairs = list(zip(old.progress, new.progress, strict=True))
                    kept += sum(one is other for one, other in pairs)
                    changed += sum(one != other for one, other in pairs)
                    assert all(one is other for one, other in pairs if one == other)
            case None:
                pass
    assert kept > 10
    assert changed > 10


def test_equal_logs_of_several_nodes_are_one_value(tmp_path: Path) -> None:
    was, trace = loaded(tmp_path)
    logs = {log for _, log in logs_of(was)}
    assert len(logs) > 5
    assert {log for _, log in logs_of(trace)} == logs
    assert {node for node, _ in logs_of(trace)} == {1, 2, 3}
    assert len({id(log) for _, log in logs_of(trace)}) <= len(logs) + 3, "before its first step each has its own"


def logs_of(trace: Trace) -> list[tuple[int, Log]]:
    return [(one.node, one.step.after.log) for one in trace.records if one.step is not None]


def test_a_timer_is_set_by_the_same_value_each_time(tmp_path: Path) -> None:
    _, trace = loaded(tmp_path)
    steps = [record.step for record in trace.records if record.step is not None]
    timers = [one for step in steps for one in step.commands if isinstance(one, SetTimer)]
    assert len(timers) > 50
    assert len({id(one) for one in timers}) == len(set(timers))


def test_a_message_has_the_very_numbers_of_the_records_that_it_left_and_reached(tmp_path: Path) -> None:
    _, trace = loaded(tmp_path, writes=60)
    late = [record for record in trace.records if record.id > SMALL]
    sent = {flight.id: (flight, record) for record in late for flight in record.sent if flight.id > SMALL}
    assert len(sent) > 100
    assert all(flight.sent is record.time for flight, record in sent.values())
    assert all(flight.cause is record.id for flight, record in sent.values() if flight.cause == record.id)
    arrivals = [(record, *sent[record.message]) for record in late if record.message in sent]
    assert len(arrivals) > 100
    assert all(arrival.message is flight.id for arrival, flight, _ in arrivals)
    assert all(arrival.cause is record.id for arrival, _, record in arrivals if arrival.cause == record.id)
