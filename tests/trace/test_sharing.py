"""A trace from a file holds a message once, however often the file says it."""

from pathlib import Path

from pyraft_lab import Simulation, Trace, Weather
from pyraft_lab.engine.events import Receive
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.state import Leader, Step


def loaded(tmp_path: Path) -> tuple[Trace, Trace]:
    sim = Simulation(nodes=3, seed=3, weather=Weather(duplicate=0.2))
    sim.run_until(lambda sim: sim.leader)
    for number in range(5):
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
