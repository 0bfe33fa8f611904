"""The meter of a live cluster: what it counts, over which time."""

import pytest

from pyraft_lab import Simulation
from pyraft_lab.lab.meter import BARS, Meter, records_after
from pyraft_lab.trace.record import Record


def led() -> Simulation:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    return sim


def metered(sim: Simulation, seconds: float = 10.0) -> Meter:
    meter = Meter(seconds)
    for record in sim.trace.records:
        meter.add_record(record)
    return meter


def test_commands_and_not_other_entries_are_counted_with_how_long_they_took() -> None:
    sim = led()
    calls = [sim.write({"op": "put", "key": "x", "value": number}) for number in range(8)]
    sim.run_until(lambda _: all(call.done for call in calls), timeout=5)
    reading = metered(sim, seconds=2.0).read(2.0)
    entries = sim.trace.entries.query("kind == 'normal' and node == leader")
    took = (entries["committed"] - entries["appended"]) * 1000
    assert reading.throughput == pytest.approx(4.0)
    assert reading.slowest == pytest.approx(took.max())
    assert (sum(reading.bars), len(reading.bars)) == (8, BARS)


def test_what_is_older_than_the_time_that_is_looked_at_is_forgotten() -> None:
    sim = led()
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.2)
    meter = metered(sim, seconds=1.0)
    assert meter.read().throughput > 0
    assert (meter.read(sim.now + 2).throughput, meter.read(sim.now + 2).median) == (0, None)


def test_it_knows_who_leads_and_who_is_up() -> None:
    sim = led()
    assert metered(sim).read().leader == sim.leader
    sim.crash(sim.leader or 1)
    reading = metered(sim).read()
    assert (reading.leader, reading.up, reading.nodes) == (None, 2, 3)


def test_in_flight_is_what_has_left_and_has_not_come() -> None:
    sim = led()
    sim.run(0.02)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run_until(lambda _: metered(sim).read().entries, timeout=1)
    reading = metered(sim).read()
    assert reading.messages == (sim.trace.messages["fate"] == "flying").sum() > 0
    assert reading.entries == 1
    assert sim.run_until(lambda _: metered(sim).read().entries == 0, timeout=1)
    assert sim.run_until(lambda _: metered(sim).read().messages == 0, timeout=1)


def test_messages_to_those_who_are_down_are_not_on_their_way() -> None:
    sim = led()
    sim.run(0.02)
    away = next(node for node in sim.nodes if node != sim.leader)
    sim.crash(away)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run_until(lambda _: metered(sim).read().entries, timeout=1)
    flying = sim.trace.messages.query("fate == 'flying'")
    assert away in set(flying["dst"])
    assert metered(sim).read().messages == (flying["dst"] != away).sum()


def test_a_reading_is_a_sentence() -> None:
    told = str(metered(led()).read())
    assert "leads term 1, 3 of 3 up; 0 commands a second, nothing was committed" in told


def test_news_is_what_came_after_the_record_seen_last() -> None:
    records: tuple[Record, ...] = led().trace.records
    assert records_after(records, records[-3].id) == list(records[-2:])
    assert records_after(records, records[-1].id) == []
    assert records_after(records[5:], records[0].id) == list(records[5:])
