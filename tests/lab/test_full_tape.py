"""A live tape that is full: the oldest events go, and it says how many."""

from typing import Any

import pytest

from pyraft_lab import Simulation, Trace
from pyraft_lab.lab.cluster import LiveSession
from pyraft_lab.lab.holding import Gate, LiveAction
from pyraft_lab.lab.recording import CHUNK
from pyraft_lab.lab.wire import Band, TimelineNews
from pyraft_lab.network.remote_gate import RemoteGate


class Watching(LiveSession):
    """Looks at a simulation as if it were alive."""

    @property
    def is_alive(self) -> bool:
        return True

    @property
    def about(self) -> dict[str, Any]:
        return {"title": "a run"}

    def held(self) -> list[int]:
        return []

    def carry_out(self, order: LiveAction) -> None:
        raise AssertionError(order)


@pytest.fixture
def watched() -> tuple[Simulation, Watching]:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader)
    sim.run(2.0)
    gate: Gate = RemoteGate(lambda *_: None)
    session = Watching(Trace(sim.trace.records), gate)
    session.max_events, session.goes = len(session.recording("main")), 2 * CHUNK
    return sim, session


def grow(sim: Simulation, session: Watching) -> list[Any]:
    """One second more."""
    before = len(sim.trace)
    sim.run(1.0)
    for record in sim.trace.records[before:]:
        session._source(record)  # noqa: SLF001 (as a cluster does)
    return list(session.grow())


def test_the_oldest_events_go_and_the_newest_stay(watched: tuple[Simulation, Watching]) -> None:
    sim, session = watched
    times = [round(record.time, 6) for record in sim.trace.records]
    strip = [told.timeline for told in grow(sim, session) if isinstance(told, TimelineNews)][-1]
    assert strip.gone == 2 * CHUNK
    assert strip.start == 0
    assert list(strip.times) == [round(record.time, 6) for record in sim.trace.records][2 * CHUNK :]
    assert times[2 * CHUNK] == strip.times[0] == strip.bands[0].time
    assert {mark.time for mark in strip.marks} <= set(strip.times)


def test_who_leads_and_who_elected_it_stay_known(watched: tuple[Simulation, Watching]) -> None:
    sim, session = watched
    grow(sim, session)
    assert session.tape("main").bands == [Band(0, session.recording("main").trace.records[0].time, 1, sim.leader or 0)]
    assert f"1.{sim.leader}" in session.tape("main").terms
    assert session.recording("main").view(0).servers.keys() == sim.nodes.keys()


def test_nothing_is_told_twice_and_nothing_left_out(watched: tuple[Simulation, Watching]) -> None:
    sim, session = watched
    grow(sim, session)
    for _ in range(3):
        grow(sim, session)
    whole = sim.trace.records
    kept = session.recording("main").trace.records
    assert [record.time for record in kept] == [record.time for record in whole[-len(kept) :]]
    assert session.timeline("main").gone == len(whole) - len(kept)
