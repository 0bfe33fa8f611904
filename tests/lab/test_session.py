"""The session answers the drawing: it opens where something happens, gives what it needs, and says what is wrong."""

from typing import Any

import pytest

from pyraft_lab import PyraftError, Simulation, Trace
from pyraft_lab.lab.opening import open_at_election
from pyraft_lab.lab.session import SimulationSession, TraceSession
from pyraft_lab.lab.wire import plain


def fresh() -> SimulationSession:
    sim = Simulation(seed=7)
    open_at_election(sim)
    return SimulationSession(sim)


def answers(session: Any, **message: Any) -> list[Any]:
    return list(session.answer(message))


def test_a_new_simulation_opens_one_vote_short_of_a_leader() -> None:
    sim = Simulation(seed=7)
    open_at_election(sim)
    assert sim.leader is None
    sim.step()
    assert sim.leader is not None


def test_a_simulation_under_way_is_left_where_it_is() -> None:
    sim = Simulation(seed=7)
    sim.run_until(lambda s: s.leader)
    before = len(sim.trace)
    open_at_election(sim)
    assert len(sim.trace) == before


def test_only_what_is_new_is_told_of_a_branch() -> None:
    session = fresh()
    known = session.header().timelines[0].count
    (news,) = answers(session, do="ahead", branch="main", events=known + 10)
    assert (news.timeline.start, len(news.timeline.times)) == (known, 10)


def test_showing_a_moment_lets_it_really_happen() -> None:
    session = fresh()
    seen = len(session.sim.trace)
    answers(session, do="seen", branch="main", event=seen + 4, time=0.2)
    assert len(session.sim.trace) == seen + 5


def test_an_order_is_answered_with_where_to_go() -> None:
    session = fresh()
    event = len(session.sim.trace) - 1
    *_, told = answers(session, do="act", branch="main", event=event, time=0.0, order={"type": "crash", "node": 2})
    assert plain(told) == {"type": "go", "branch": "what-if-1", "event": event + 1}


def test_the_place_is_told_as_a_picture_and_in_words() -> None:
    svg, words = fresh().picture()
    assert svg.startswith("<svg")
    assert len(svg) < 300_000
    assert "n1 asks for votes in term 1" in words


def test_the_story_ends_where_the_place_is() -> None:
    session = fresh()
    assert session.story().splitlines()[-1].endswith("n1 gets n2's vote of term 1 (§5.2)")


def test_a_recorded_run_is_looked_at_and_not_touched() -> None:
    sim = Simulation(seed=7)
    sim.run(0.4)
    session = TraceSession(sim.trace)
    with pytest.raises(PyraftError, match="recorded"):
        answers(session, do="act", branch="main", event=3, time=0.0, order={"type": "crash", "node": 1})


def test_an_empty_trace_has_nothing_to_show() -> None:
    with pytest.raises(PyraftError, match="no records"):
        TraceSession(Trace())
