"""A Lab opens as it was asked to: plain or full, still or playing up to a question; and says nothing too early."""

import json

import pytest
from msgspec.structs import replace

from pyraft_lab import RAFT, Config, ConfigError, Lab, PyraftError, Simulation, Timeout
from pyraft_lab.lab.decision import decisions
from pyraft_lab.lab.opening import checked, open_session
from pyraft_lab.lab.page import recorded
from pyraft_lab.lab.plain import plain_sentence
from pyraft_lab.lab.recording import Simulated
from pyraft_lab.lab.scene import drawn
from pyraft_lab.lab.session import SimulationSession, TraceSession
from pyraft_lab.lab.wire import Decision, plain


def three() -> Simulation:
    return Simulation(nodes=3, seed=3, config=Config(pre_vote=False))


def decided(sim: Simulation) -> tuple[Decision, ...]:
    return decisions(Simulated(sim).view(len(sim.trace) - 1))


def opened(sim: Simulation, question: str = "Who leads?") -> SimulationSession:
    session = SimulationSession(sim)
    open_session(session, "ring", lambda one: one.leader, question)
    return session


def test_a_lab_plays_up_to_the_first_event_after_which_its_condition_holds() -> None:
    session = opened(three())
    (until,) = {session.header().opening.until}
    recording = session.recording("main")
    assert until is not None
    leaders = [[one.state.role_name for one in recording.view(event).servers.values()] for event in (until - 1, until)]
    assert ["leader" in roles for roles in leaders] == [False, True]


def test_looking_for_the_moment_leaves_the_simulation_where_it_is() -> None:
    sim = three()
    before = len(sim.trace)
    lab = Lab(sim, view="ring", until=lambda one: one.leader, question="Who leads?")
    assert (len(sim.trace), sim.leader) == (before, None)
    assert lab.header["opening"]["question"] == "Who leads?"


def test_the_still_picture_of_a_lab_that_plays_is_the_moment_of_its_question() -> None:
    svg, words = opened(three()).picture()
    assert "n2 leads term 1" in svg
    assert "Who leads?" in svg
    assert "n2 leads in term 1" in words


def test_the_plain_picture_shows_no_log_no_tape_and_no_section() -> None:
    svg, _ = opened(three()).picture()
    assert not any(word in svg for word in ("Logs", "§", "voters</text>", "no-op", "event "))


def test_the_plain_view_is_told_without_sections_and_the_full_one_with_them() -> None:
    full, ring = SimulationSession(three()), opened(three())
    texts = [json.dumps(plain(session.chunks()), ensure_ascii=False) for session in (full, ring)]
    events = [[event.text for _, chunk in session.chunks() for event in chunk.events] for session in (full, ring)]
    assert "§5.2" in texts[0]
    assert not any("§" in text for text in events[1])
    assert len(events[0]) <= len(events[1])


def test_a_page_holds_everything_up_to_the_question() -> None:
    page = recorded(opened(three()))
    until = page.header.opening.until
    assert until is not None
    assert page.header.timelines[0].count > until


def test_a_plain_decision_speaks_of_writes_and_not_of_entries() -> None:
    sim = three()
    sim.run_until(lambda one: one.leader)
    (noop,) = decided(sim)
    assert (noop.what, noop.writes, noop.plain) == ("commit", False, "the other servers follow it")
    sim.run(0.05)
    call = sim.write({"op": "put", "key": "x", "value": 1})
    sim.run_until(lambda one: decided(one)[0].writes)
    (waits,) = decided(sim)
    assert waits.plain == "x=1 is safe as soon as 2 of 3 servers have stored it"
    sim.run_until(lambda _: call.done)
    assert decided(sim)[0].plain == "every write so far is safe"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "n1 starts as a follower with what its disk holds: term 0, log up to entry 1 (§5.2, Figure 2)",
            "n1 starts as a follower",
        ),
        (
            "n3 has entry 2 on disk (§5.1); its acknowledgement up to entry 2 goes to n2",
            "n3 has stored it; its answer goes to n2",
        ),
        (
            "n2 accepts a client's write and appends entry 3 (x=1); sends entry 3 to n1 and n3 (§5.3)",
            "n2 accepts a client's write: x=1; sends a message to n1 and n3",
        ),
        (
            "n1 lets the lease of an earlier round run out (dissertation §6.4.1)",
            "n1 lets the lease of an earlier round run out",
        ),
    ],
)
def test_a_plain_sentence_keeps_what_a_newcomer_knows(text: str, said: str) -> None:
    assert plain_sentence(text) == said


def test_a_lease_is_told_by_the_runs_own_rule() -> None:
    told = []
    for rule in (RAFT.has_valid_lease, lambda _: False, lambda _: 1 // 0):
        sim = Simulation(nodes=3, seed=7, rules=replace(RAFT, has_valid_lease=rule))
        leader = sim.run_until(lambda one: one.leader) or 0
        sim.run(0.1)
        told.append(drawn(Simulated(sim).view(len(sim.trace) - 1).servers[leader]).lease)
    assert told == [True, False, None]


def test_bad_openings_are_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="'ring'"):
        checked("circle", None, "")
    with pytest.raises(ConfigError, match="a text"):
        checked("ring", None, 3)
    with pytest.raises(PyraftError):
        checked("ring", "leader", "")
    sim = three()
    sim.run(0.4)
    with pytest.raises(PyraftError, match="leave until= out"):
        open_session(TraceSession(sim.trace), "ring", lambda one: one.leader, "")
    with pytest.raises(Timeout):
        open_session(SimulationSession(three()), "ring", lambda _: False, "")
