"""Pre-vote (dissertation §9.6): ask before you stand, and disturb nobody by asking."""

import pytest

from pyraft_lab.engine.commands import SaveVote
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Elect, Receive
from pyraft_lab.engine.messages import PreVoteRequest, PreVoteResponse, TimeoutNow, VoteRequest
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules
from pyraft_lab.engine.state import Candidate, Follower, Leader, PreCandidate
from pyraft_lab.engine.timers import VOTE_LEASE
from pyraft_lab.engine.types import ORIGIN, Vote
from tests.engine.builders import (
    EAGER,
    TIMEOUT,
    after,
    all_stored,
    answers,
    append_request,
    candidate,
    commands,
    follower,
    grant,
    id_of,
    last_of,
    leader,
    pre_candidate,
    pre_grant,
    pre_refusal,
    sends,
    sent,
    storage,
    vote_request,
)
from tests.engine.cluster import Cluster

POLITE = Config(pre_vote=True, check_quorum=False, vote_lease=False)
FIVE = (1, 2, 3, 4, 5)


@pytest.mark.row("PV-01")
def test_asking_for_pre_votes_changes_nothing_durable() -> None:
    before = follower(1, [1, 1], term=4, config=POLITE)
    turn = step(before, TIMEOUT)
    assert isinstance(turn.after.role, PreCandidate)
    assert turn.after.disk == before.disk
    assert storage(turn) == []
    question = PreVoteRequest(vote=Vote(5, 1), last=last_of([1, 1]))
    assert [(send.dst, send.message, send.durable) for send in sends(turn)] == [
        (2, question, False),
        (3, question, False),
    ]


@pytest.mark.row("PV-02")
def test_a_quorum_of_pre_votes_begins_a_real_election_in_which_they_do_not_count() -> None:
    turn = step(pre_candidate(1, term=4, voters=FIVE), pre_grant(2, 5))
    assert isinstance(turn.after.role, PreCandidate)
    turn = step(turn.after, pre_grant(3, 5))
    assert turn.after.vote == Vote(5, 1)
    assert turn.after.role == Candidate()
    assert len(sent(turn, VoteRequest)) == 4


@pytest.mark.row("PV-03")
def test_answering_a_pre_vote_changes_nothing() -> None:
    before = follower(2, [1], term=3, voted_for=3)
    turn = step(before, vote_request(1, 4, last_of([1]), pre=True))
    assert answers(turn) == [PreVoteResponse(vote=Vote(3, 3), asked=Vote(4, 1), granted=True, last=last_of([1]))]
    assert turn.after == before
    assert turn.commands == tuple(sends(turn))


@pytest.mark.row("PV-04")
def test_two_pre_candidates_may_both_be_encouraged() -> None:
    voter = follower(3, term=1)
    turns = [step(voter, vote_request(src, 2, pre=True)) for src in (1, 2)]
    assert [one.granted for one in sent(turns, PreVoteResponse)] == [True, True]


@pytest.mark.row("PV-05")
@pytest.mark.parametrize("rules", [RAFT, ADVANCED])
def test_a_pre_candidate_with_an_old_log_is_discouraged(rules: Rules) -> None:
    turn = step(follower(2, [1, 2]), vote_request(1, 9, id_of(7, 1), pre=True), rules)
    assert [one.granted for one in sent(turn, PreVoteResponse)] == [False]


@pytest.mark.row("PV-06", "DS-03")
def test_a_node_that_was_cut_off_comes_back_in_its_old_term() -> None:
    cluster = Cluster(1, 2, 3, config=POLITE)
    cluster.elect(1)
    cluster.isolate(3)
    for _ in range(20):
        cluster.fire(3)
        cluster.run()
    assert cluster[3].term == 1
    cluster.heal()
    cluster.beat()
    assert (cluster.leader, cluster[1].term) == (1, 1)
    assert cluster[3].role == Follower(leader=1)


@pytest.mark.row("PV-07", "DS-02")
def test_without_pre_vote_a_node_that_was_cut_off_deposes_the_leader_once() -> None:
    cluster = Cluster(1, 2, 3, config=EAGER)
    cluster.elect(1)
    cluster.isolate(3)
    for _ in range(20):
        cluster.fire(3)
        cluster.run()
    assert cluster[3].term == 21
    cluster.heal()
    cluster.beat()
    assert cluster.leader == 0
    cluster.elect(1)
    assert {cluster[id].term for id in (1, 2, 3)} == {22}


@pytest.mark.row("PV-08")
def test_a_dead_leader_is_replaced_once_no_vote_lease_holds_any_more() -> None:
    cluster = Cluster(1, 2, 3, config=Config())
    cluster.elect(1)
    cluster.beat()
    cluster.crash(1)
    cluster.fire(3)
    cluster.run()
    assert cluster.leader == 0, "the vote lease of node 2 still runs"
    cluster.fire(2, VOTE_LEASE)
    cluster.elect(3)
    assert cluster[3].term == 2


@pytest.mark.row("PV-09")
def test_a_refusal_with_a_later_term_ends_the_pre_candidacy() -> None:
    turn = step(pre_candidate(1, term=3), pre_refusal(2, 4, vote=Vote(7, 3, committed=True)))
    assert turn.after.role == Follower()
    assert turn.after.vote == Vote(7), "whoever leads there must say so itself"


@pytest.mark.row("PV-09")
def test_a_refusal_in_the_same_term_leaves_the_question_open() -> None:
    asking = pre_candidate(1, term=3, voters=FIVE)
    turn = step(asking, pre_refusal(2, 4))
    assert isinstance(turn.after.role, PreCandidate)
    assert turn.after.disk == asking.disk
    assert after(turn.after, pre_grant(3, 4), pre_grant(4, 4)).vote == Vote(4, 1)


@pytest.mark.row("PV-10")
def test_two_that_ask_and_stand_at_once_end_with_one_leader() -> None:
    cluster = Cluster(1, 2, 3, config=POLITE)
    cluster.elect(1)
    cluster.crash(1)
    cluster.fire(2)
    cluster.fire(3)
    cluster.run()
    if not cluster.leader:
        cluster.elect(3)
    assert cluster.leader in (2, 3)
    assert cluster[2].leader == cluster[3].leader == cluster.leader


@pytest.mark.row("PV-11")
def test_a_node_of_an_old_term_with_the_better_log_learns_the_term_and_wins() -> None:
    cluster = Cluster(
        1, 2, 3, logs={1: [1], 2: [1, 1], 3: [1]}, votes={1: Vote(5, 1), 2: Vote(1), 3: Vote(5, 1)}, config=POLITE
    )
    cluster.crash(1)
    cluster.fire(2)
    cluster.run()
    assert cluster[2].term == 5
    cluster.elect(2)
    assert cluster[2].term == 6


@pytest.mark.row("PV-13", "SZ-02")
def test_a_single_voter_asks_nobody_and_leads() -> None:
    alone = step(follower(1, config=POLITE, voters=[1]), TIMEOUT)
    assert isinstance(alone.after.role, Candidate)
    assert isinstance(after(alone.after, all_stored(alone.after)).role, Leader)
    cluster = Cluster(1, config=Config())
    cluster.run()
    assert cluster.leader == 1
    assert not [turn for turn in cluster.steps if sends(turn)]


@pytest.mark.row("PV-14")
def test_a_pre_candidate_that_hears_a_leader_forgets_its_question() -> None:
    heard = after(pre_candidate(1, term=3), append_request(2, 3))
    assert heard.role == Follower(leader=2)
    late = step(heard, pre_grant(3, 4))
    assert (late.after, late.commands) == (heard, ())


@pytest.mark.row("PV-14")
@pytest.mark.parametrize("role", [candidate, leader])
def test_pre_votes_that_arrive_after_the_election_began_change_nothing(role: type) -> None:
    state = role(1, term=4)
    late = step(state, pre_grant(3, 4))
    assert (late.after, late.commands) == (state, ())


@pytest.mark.row("PV-15")
@pytest.mark.parametrize("other", [pre_grant(2, 3), pre_grant(2, 5), pre_grant(2, 4, to=3)])
def test_only_pre_votes_for_my_own_next_term_count(other: Receive) -> None:
    asking = pre_candidate(1, term=3)
    assert after(asking, other) == asking
    assert isinstance(after(asking, pre_grant(2, 4)).role, Candidate)


@pytest.mark.row("PV-15")
def test_an_answer_names_the_vote_asked_about_and_the_voters_own() -> None:
    turn = step(follower(2, [2], term=6, voted_for=3), vote_request(1, 4, ORIGIN, pre=True))
    assert answers(turn) == [PreVoteResponse(vote=Vote(6, 3), asked=Vote(4, 1), granted=False, last=last_of([2]))]


@pytest.mark.row("PV-16")
def test_who_is_handed_leadership_does_not_ask_first() -> None:
    following = follower(2, term=3, leader=1, config=POLITE)
    turn = step(following, Receive(1, TimeoutNow(vote=following.vote)))
    assert turn.after.vote == Vote(4, 2)
    assert [one.transfer for one in sent(turn, VoteRequest)] == [True, True]
    assert commands(turn, SaveVote) == [SaveVote(Vote(4, 2))]


def test_a_pre_candidate_that_most_refuse_rests_and_may_ask_again() -> None:
    refused = after(pre_candidate(1, term=3), pre_refusal(2, 4), pre_refusal(3, 4))
    assert refused.role == Follower()
    assert refused.vote == Vote(3)
    assert isinstance(after(refused, Elect(pre_vote=True), pre_grant(2, 4)).role, Candidate)


def test_pre_vote_and_vote_ask_the_same_question_twice_before_anybody_leads() -> None:
    asked = after(pre_candidate(1, term=3), pre_grant(2, 4))
    assert not isinstance(asked.role, Leader)
    assert not isinstance(after(asked, grant(2, 4)).role, Leader), "its own vote is not on disk yet"
