"""What a server is asked: one question for each thing that Raft decides, and none for routine."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft, step
from pyraft_lab.engine.events import Fire, Receive
from pyraft_lab.engine.messages import HeartbeatRequest, HeartbeatResponse, VoteRequest
from pyraft_lab.engine.rules import RAFT, VoteRefusal
from pyraft_lab.engine.state import RaftState
from pyraft_lab.engine.timers import ELECTION
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.errors import Timeout
from pyraft_lab.exercises import Question, play, question
from pyraft_lab.sim.simulation import Simulation
from tests.exercises import scenes


def asked(sim: Simulation, node: int, about: str) -> Question:
    """The first question of that kind; those before it are answered as Raft does."""
    hand = play(sim, node)
    while hand.wait(2.0).about != about:
        hand.answer(min(hand.wait().right))
    return hand.wait()


@pytest.mark.parametrize(
    ("scene", "node", "about", "right"),
    [
        (scenes.rivals, 2, "vote", {"grant"}),
        (scenes.behind, 2, "vote", {"log"}),
        (scenes.rivals, 1, "majority", {"wait"}),
        (scenes.late, 2, "append", {"append"}),
        (scenes.conflict, 2, "leader", {"follow"}),
        (scenes.conflict, 2, "append", {"replace"}),
        (scenes.figure_8, 1, "commit", {"0"}),
    ],
)
def test_a_scene_asks_what_it_is_about(scene: Callable[[], Simulation], node: int, about: str, right: set[str]) -> None:
    assert asked(scene(), node, about).right == right


def test_a_vote_may_be_refused_for_more_than_one_reason() -> None:
    hand = play(scenes.behind(), 2)
    request = VoteRequest(vote=Vote(1, 3), last=LogId(1, 1, 2))
    found = question(step(hand.state, Receive(3, request)))
    assert found is not None
    assert found.right == {"log", "vote"}


def test_whoever_heard_a_leader_lately_is_asked_to_keep_its_vote_lease() -> None:
    state = scenes.led().nodes[2].state
    found = question(step(state, Receive(3, VoteRequest(vote=Vote(2, 3), last=state.log.last))))
    assert found is not None
    assert found.right == {"lease"}


def refuses(_state: RaftState, _request: VoteRequest) -> VoteRefusal:
    return VoteRefusal.LOG


def test_right_is_what_the_rules_of_the_run_say() -> None:
    state = scenes.led().nodes[2].state
    request = Receive(3, VoteRequest(vote=Vote(2, 3), last=state.log.last))
    found = question(raft(replace(RAFT, vote_refusal=refuses)).step(state, request))
    assert found is not None
    assert found.right == {"log"}
    strange = question(raft(replace(RAFT, vote_refusal=lambda *_: "no")).step(state, request))
    assert strange is not None
    assert strange.right == {"lease", "log", "vote"}


def test_a_server_in_a_run_of_other_rules_is_asked_about_those() -> None:
    sim = Simulation(nodes=3, seed=1, rules=replace(RAFT, pre_vote_refusal=refuses), checks=())
    hand = play(sim, 1)
    assert hand.wait().right == {"log"}
    assert hand.answer("grant").why.endswith("(dissertation §9.6)")
    assert "this run's rule pre_vote_refusal (refuses) says: no, the candidate's log is behind" in hand.marks[0].why


def test_a_leader_of_an_earlier_term_is_outdated() -> None:
    state = scenes.led().nodes[2].state
    stale = HeartbeatRequest(vote=Vote(0, 3, committed=True), matched=LogId(), round=1)
    found = question(step(state, Receive(3, stale)))
    assert found is not None
    assert (found.about, *found.right) == ("leader", "outdated")


def test_a_leader_that_hears_of_a_higher_term_is_asked_to_resign() -> None:
    state = scenes.led().nodes[1].state
    found = question(step(state, Receive(2, HeartbeatResponse(vote=Vote(5), round=1))))
    assert found is not None
    assert (found.about, *found.right) == ("term", "resign")


def test_silence_is_a_reason_to_stand() -> None:
    sim = Simulation(nodes=3, seed=1)
    found = question(step(sim.nodes[1].state, Fire(ELECTION)))
    assert found is not None
    assert (found.about, *found.right) == ("silence", "stand")


def test_who_may_not_vote_goes_on_waiting() -> None:
    sim = Simulation(nodes=3, learners=1, seed=1)
    found = question(step(sim.nodes[4].state, Fire(ELECTION)))
    assert found is not None
    assert found.right == {"wait"}


def test_routine_asks_nothing() -> None:
    hand = play(scenes.led(), 2)
    with pytest.raises(Timeout, match="anything that n2 has to decide"):
        hand.wait(5.0)
    assert hand.sim.now > 5.0


def test_a_candidate_asks_itself_whether_it_has_won() -> None:
    sim = Simulation(nodes=3, seed=1, config=Config(pre_vote=False))
    sim.elect(1)
    hand, answers = play(sim, 1), []
    while not hand.sim.leader:
        answers.append((hand.wait().about, min(hand.wait().right)))
        hand.answer(answers[-1][1])
    assert answers == [("majority", "wait"), ("majority", "won")]


def test_a_question_shows_its_facts_and_its_choices_and_not_what_is_right() -> None:
    text = str(asked(scenes.rivals(), 2, "vote"))
    assert text.splitlines()[0] == "n1 asks for your vote in term 1; its log ends with entry 1 of term 0."
    assert "  your log ends with entry 1 of term 0" in text
    assert "  grant  yes" in text
    assert "right" not in text
