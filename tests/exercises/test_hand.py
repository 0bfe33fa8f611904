"""Playing a server by hand: time waits, answers are marked, and what is answered may be what happens."""

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.errors import PyraftError, UnknownNode
from pyraft_lab.exercises import Hand, UnknownAnswer, play
from pyraft_lab.sim.conditions import SECOND
from pyraft_lab.sim.simulation import Simulation
from tests.exercises import scenes


def test_the_reference_marks_an_answer_with_rule_and_section() -> None:
    hand = play(scenes.rivals(), 2)
    hand.wait()
    first = hand.answer("grant")
    hand.wait()
    second = hand.answer("grant")
    assert (first.right, first.rule.label, first.rule.section) == (True, "vote granted", "§5.2, §5.4.1")
    assert (second.right, second.rule.label, second.rule.section) == (False, "vote refused: vote", "§5.2")
    assert second.why == "n2 refuses n3 its vote of term 1: that vote went to n1 (§5.2)"
    assert hand.score == (1, 2)


def test_a_wrong_answer_is_corrected_so_that_the_lesson_goes_on() -> None:
    hand = play(scenes.rivals(), 2)
    vote_twice(hand)
    given = hand.marks[-1]
    assert not given.done
    assert "Your server did what Raft says." in str(given)
    hand.sim.run(0.2)
    assert (hand.sim.leader, hand.sim.violations) == (1, [])


def test_for_real_a_second_vote_makes_two_leaders_of_one_term() -> None:
    hand = play(scenes.rivals(), 2, for_real=True)
    vote_twice(hand)
    assert hand.marks[-1].done
    hand.sim.run(0.2)
    assert "election safety" in {violation.name for violation in hand.sim.violations}


def test_for_real_counting_copies_of_an_earlier_term_is_done_too() -> None:
    hand = play(scenes.figure_8(), 1, for_real=True)
    hand.wait()
    assert hand.answer(3).rule.label == "commit withheld: earlier term"
    assert hand.state.committed == 3


def test_for_real_a_late_append_may_cut_off_what_came_after_it() -> None:
    hand = play(scenes.late(), 2, for_real=True)
    hand.wait()
    hand.answer("append")
    hand.wait()
    hand.answer("replace")
    assert "another entry is committed at that index" in hand.state.halted


def test_what_no_server_can_do_is_not_done() -> None:
    hand = play(scenes.late(), 2, for_real=True)
    hand.wait()
    assert not hand.answer("keep").done
    assert hand.state.log.last.index == 4


def test_the_same_question_gets_the_same_answer_in_every_branch_of_time() -> None:
    hand = play(scenes.rivals(), 2, for_real=True)
    vote_twice(hand)
    before = hand.sim.world
    hand.sim.run(0.2)
    assert hand.sim.fork(at=before.events - 1).world == before


def test_the_simulation_that_was_given_stays_as_it_is() -> None:
    sim = scenes.rivals()
    before = sim.world
    play(sim, 2).wait()
    assert sim.world is before


def test_time_stands_still_until_the_answer() -> None:
    hand = play(scenes.rivals(), 2)
    asked, then = hand.wait(), hand.sim.now
    assert (hand.wait(), hand.sim.now) == (asked, then)
    hand.answer("grant")
    assert hand.wait() != asked
    assert hand.sim.now > then


def test_the_inbox_shows_what_is_on_its_way_in_order() -> None:
    hand = play(scenes.rivals(), 2)
    assert [repr(mail) for mail in hand.inbox] == []
    hand.wait()
    assert [repr(mail) for mail in hand.inbox] == ["<n1: vote request for term 1>", "<n3: vote request for term 1>"]


def test_what_is_known_is_asked_no_more() -> None:
    def questions(known: int | None) -> int:
        sim = scenes.led()
        for value in range(6):
            sim.write({"op": "put", "key": "x", "value": value})
        hand = play(sim, 2, known=known)
        while hand.state.log.last.index < 8:
            if hand.question is None:
                hand.sim.step()
            else:
                hand.answer(min(hand.question.right))
        return len(hand.marks)

    assert questions(known=1) < questions(known=None)


def test_words_that_are_no_answer_are_refused_and_name_those_that_are() -> None:
    hand = play(scenes.rivals(), 2)
    with pytest.raises(PyraftError, match="nothing to decide"):
        hand.answer("grant")
    hand.wait()
    with pytest.raises(UnknownAnswer, match="choose one of grant, lease, log, vote"):
        hand.answer("maybe")
    with pytest.raises(UnknownNode):
        play(scenes.rivals(), 9)


def test_a_page_shows_state_inbox_and_question() -> None:
    hand = play(scenes.rivals(), 2)
    hand.wait()
    page = str(hand)
    assert page.startswith("n2, follower, term 0\n  votedFor    nobody\n  log         1:t0")
    assert "on their way to you\n  n1: vote request for term 1" in page
    assert "grant  yes" in page


@pytest.mark.parametrize("node", [1, 2, 3])
@pytest.mark.parametrize("for_real", [False, True])
def test_right_answers_all_the_way_are_the_run_without_a_hand(node: int, for_real: bool) -> None:  # noqa: FBT001
    def world() -> Simulation:
        sim = Simulation(nodes=3, seed=3, config=Config(election_timeout=(0.1, 0.3)))
        sim.write({"op": "put", "key": "x", "value": 1})
        return sim

    alone, hand = world(), play(world(), node, for_real=for_real)
    alone.run(1.0)
    play_right(hand, 1.0)
    assert hand.sim.trace.digest() == alone.trace.digest()
    assert hand.marks
    assert all(hand.marks)


def vote_twice(hand: Hand) -> None:
    for _ in range(2):
        hand.wait()
        hand.answer("grant")


def play_right(hand: Hand, seconds: float) -> None:
    while hand.sim.world.event_queue[0].time <= seconds * SECOND:
        if hand.question is None:
            hand.sim.step()
        else:
            hand.answer(min(hand.question.right))


def test_a_question_that_is_passed_over_is_not_marked_and_gives_nothing_away() -> None:
    """``...`` stands in a notebook until somebody answers; the lesson goes on as Raft says."""
    hand = play(scenes.rivals(), 2)
    asked = hand.wait()
    passed = hand.answer(...)
    assert not passed
    assert str(passed).startswith("○ not answered: replace ... by one of grant, lease, log, vote")
    assert hand.marks == []
    assert hand.score == (0, 0)
    told = play(scenes.rivals(), 2)
    told.wait()
    told.answer(min(asked.right))
    assert hand.state == told.state
