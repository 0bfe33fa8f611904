"""Leader election (paper §5.2, §5.4.1): who stands, who votes, who wins, who steps down."""

import random

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Accepted, Append, SaveVote, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Elect, Receive
from pyraft_lab.engine.log import Noop
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRequest,
    HeartbeatResponse,
    Outdated,
    PreVoteResponse,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.rules import ADVANCED
from pyraft_lab.engine.state import Candidate, Follower, Leader, Learner, RaftState
from pyraft_lab.engine.timers import ELECTION, TimerKind, delay
from pyraft_lab.engine.types import ORIGIN, LogId, Vote
from tests.engine.builders import (
    TIMEOUT,
    Terms,
    accepted,
    after,
    all_stored,
    answers,
    append_request,
    candidate,
    commands,
    entry,
    follower,
    grant,
    heartbeat,
    id_of,
    last_of,
    leader,
    pre_candidate,
    propose,
    refusal,
    run,
    sends,
    sent,
    streaming,
    vote_request,
)

FIVE = (1, 2, 3, 4, 5)

# Standing


@pytest.mark.row("EL-01")
def test_a_follower_that_hears_nobody_asks_the_other_voters_in_a_new_term() -> None:
    turn = step(follower(1, [1, 1]), TIMEOUT)
    assert turn.after.vote == Vote(2, 1)
    assert isinstance(turn.after.role, Candidate)
    assert [(send.dst, send.message) for send in sends(turn)] == [
        (peer, VoteRequest(vote=Vote(2, 1), last=last_of([1, 1]))) for peer in (2, 3)
    ]
    assert SetTimer(ELECTION) in turn.commands


@pytest.mark.row("EL-04")
def test_a_candidate_that_times_out_begins_a_new_term_and_forgets_the_old_votes() -> None:
    again = step(after(candidate(1, term=2, voters=FIVE), grant(2, 2)), TIMEOUT)
    assert again.after.vote == Vote(3, 1)
    assert again.after.role == Candidate()
    assert len(sent(again, VoteRequest)) == 4
    late = after(again.after, all_stored(again.after), grant(2, 2), grant(3, 2), grant(4, 2))
    assert late.role == Candidate(granted=frozenset({1}))


@pytest.mark.row("EL-18")
@pytest.mark.parametrize("event", [TIMEOUT, Elect(), Elect(pre_vote=True)])
def test_a_learner_never_campaigns(event: Elect) -> None:
    learner = follower(4, [1], learners=[4])
    assert isinstance(learner.role, Learner)
    turn = step(learner, event)
    assert turn.after == learner
    assert turn.commands == ()


@pytest.mark.row("EL-20")
def test_a_leader_that_is_told_to_campaign_goes_on_leading() -> None:
    leading = streaming(leader(1, [1]))
    turn = step(leading, Elect())
    assert turn.after == leading
    assert commands(step(turn.after, propose("x")), Accepted)


# Timeouts


@pytest.mark.row("EL-15")
def test_election_timeouts_fill_their_range_and_nothing_else() -> None:
    chances = random.Random(1)
    config = Config(election_timeout=(0.1, 0.2))
    drawn = [delay(config, TimerKind.ELECTION, 0, chances.random()) for _ in range(10_000)]
    tenths = [int((one - 0.1) * 100) for one in drawn]
    assert min(drawn) >= 0.1
    assert max(drawn) < 0.2
    assert all(800 < tenths.count(tenth) < 1200 for tenth in range(10))


@pytest.mark.row("EL-15", "CK-05")
def test_every_campaign_draws_a_new_timeout() -> None:
    steps = run(follower(1), TIMEOUT, TIMEOUT, TIMEOUT)
    assert all(commands(turn, SetTimer) == [SetTimer(ELECTION)] for turn in steps)


@pytest.mark.row("EL-16")
def test_two_of_five_timers_seldom_fire_together() -> None:
    chances = random.Random(2)
    config, tick = Config(election_timeout=(0.1, 0.2)), 0.01
    collisions = 0
    for _ in range(1000):
        first, second, *_ = sorted(delay(config, TimerKind.ELECTION, 0, chances.random()) // tick for _ in FIVE)
        collisions += first == second
    assert collisions <= 300


# Voting


@pytest.mark.row("EL-05")
def test_a_follower_votes_once_a_term() -> None:
    first = step(follower(2, term=1), vote_request(src=1, term=1))
    second = step(first.after, vote_request(src=3, term=1))
    assert [one.granted for one in sent(first, VoteResponse, 1)] == [True]
    assert [one.granted for one in sent(second, VoteResponse, 3)] == [False]
    assert second.after.vote == Vote(1, 1)


@pytest.mark.row("EL-06")
def test_the_same_candidate_may_ask_twice() -> None:
    first, second = run(follower(2, term=1), vote_request(src=1), vote_request(src=1))
    assert answers(first) == answers(second)
    assert not commands(second, SaveVote)


@pytest.mark.row("EL-07")
@pytest.mark.parametrize(
    ("mine", "its", "granted"),
    [
        ([1], [1], True),
        ([1], [1, 1], True),
        ([1, 1], [1], False),
        ([1, 1], [2], True),
        ([2], [1, 1], False),
        ([], [], True),
        ([1], [], False),
        ([1, 2], [1, 1, 1], False),
    ],
)
def test_the_term_of_the_last_entry_counts_before_its_index(mine: Terms, its: Terms, *, granted: bool) -> None:
    turn = step(follower(2, mine, term=2), vote_request(1, 3, last_of(its)))
    assert [one.granted for one in sent(turn, VoteResponse)] == [granted]


@pytest.mark.row("EL-08")
@pytest.mark.parametrize("role", [follower, pre_candidate, candidate, leader])
def test_whoever_sees_a_fit_candidate_of_a_later_term_votes_for_it(role: type) -> None:
    state: RaftState = role(2, [1], term=2)
    turn = step(state, vote_request(1, 5, id_of(9, 4)))
    assert turn.after.vote == Vote(5, 1)
    assert isinstance(turn.after.role, Follower)
    kinds = [type(command) for command in turn.commands]
    assert kinds.index(SaveVote) < kinds.index(type(sends(turn)[0]))
    assert [send.durable for send in sends(turn)] == [True]


@pytest.mark.row("EL-09")
@pytest.mark.parametrize("role", [follower, pre_candidate, candidate, leader])
def test_a_candidate_with_an_old_log_teaches_its_term_and_wins_no_vote(role: type) -> None:
    state: RaftState = role(2, [1, 2], term=3)
    turn = step(state, vote_request(1, 7, id_of(9, 1)))
    assert turn.after.vote == Vote(7)
    assert isinstance(turn.after.role, Follower)
    assert [(one.granted, one.vote) for one in sent(turn, VoteResponse)] == [(False, Vote(7))]
    other = step(turn.after, vote_request(3, 7, id_of(9, 6)))
    assert [one.granted for one in sent(other, VoteResponse)] == [True]


@pytest.mark.row("EL-12")
@pytest.mark.parametrize("late", [append_request(1, 2), heartbeat(1, 2), vote_request(1, 2, id_of(9, 2))])
def test_whoever_speaks_for_an_old_term_is_told_the_present_one(late: Receive) -> None:
    state = follower(2, [1], term=3)
    turn = step(state, late)
    assert turn.after == state
    assert [one.vote for one in answers(turn)] == [Vote(3)]
    assert not commands(turn, SetTimer)


@pytest.mark.row("EL-27")
def test_in_the_advanced_order_a_greater_id_may_be_granted_in_the_same_term() -> None:
    first, second, back = run(follower(3, term=1), vote_request(1), vote_request(2), vote_request(1), rules=ADVANCED)
    assert [one.granted for one in sent([first, second, back], VoteResponse)] == [True, True, False]
    assert back.after.vote == Vote(1, 2)


@pytest.mark.row("EL-02")
def test_a_candidate_that_a_majority_grants_leads_and_says_so_with_a_noop() -> None:
    turn = step(candidate(1, [1], term=2), grant(2, 2))
    assert isinstance(turn.after.role, Leader)
    noop = entry(2, 2, Noop())
    expected = AppendRequest(vote=Vote(2, 1, committed=True), prev=id_of(1), entries=(noop,), round=1)
    assert [(send.dst, send.message, send.durable) for send in sends(turn)] == [
        (2, expected, False),
        (3, expected, False),
    ]
    assert commands(turn, Append) == [Append((noop,))]


@pytest.mark.row("EL-03")
def test_an_election_is_open_until_a_majority_has_granted_or_refused() -> None:
    open_still = after(candidate(1, term=2, voters=FIVE), refusal(2, 2), grant(3, 2), refusal(4, 2))
    assert isinstance(open_still.role, Candidate)
    lost = step(open_still, refusal(5, 2))
    assert lost.after.role == Follower()
    assert lost.after.vote == Vote(2, 1)


@pytest.mark.row("EL-21")
@pytest.mark.parametrize("late", [grant(3, 2), refusal(3, 2), grant(2, 2)])
def test_votes_that_arrive_after_the_victory_change_nothing(late: Receive) -> None:
    leading = leader(1, [1], term=2)
    turn = step(leading, late)
    assert (turn.after, turn.commands) == (leading, ())


@pytest.mark.row("EL-22")
def test_my_own_vote_does_not_count_once_the_election_is_lost() -> None:
    standing = after(follower(1, voters=(1, 2, 3)), Elect())
    lost = after(standing, refusal(2), refusal(3))
    assert isinstance(lost.role, Follower)
    assert after(lost, all_stored(lost), grant(2)).role == Follower()


@pytest.mark.row("EL-24")
def test_a_vote_that_arrives_twice_counts_once() -> None:
    twice = after(candidate(1, voters=FIVE), grant(2), grant(2), grant(2))
    assert isinstance(twice.role, Candidate)
    assert isinstance(after(twice, grant(3)).role, Leader)


# Stepping down


@pytest.mark.row("EL-10")
@pytest.mark.parametrize("word", [append_request(2, 3), heartbeat(2, 3), append_request(2, 4), heartbeat(2, 4)])
def test_a_candidate_follows_the_leader_of_its_term_or_of_a_later_one(word: Receive) -> None:
    turn = step(candidate(1, term=3), word)
    assert turn.after.role == Follower(leader=2)
    assert turn.after.vote == word.message.vote


@pytest.mark.row("EL-10")
@pytest.mark.parametrize("word", [append_request(2, 2), heartbeat(2, 2)])
def test_a_candidate_ignores_the_leader_of_an_earlier_term(word: Receive) -> None:
    standing = candidate(1, term=3)
    turn = step(standing, word)
    assert turn.after == standing
    assert answers(turn) == [Outdated(vote=Vote(3, 1))]


@pytest.mark.row("EL-11")
@pytest.mark.parametrize(
    "message",
    [
        append_request(2, 4).message,
        heartbeat(2, 4).message,
        VoteRequest(vote=Vote(4, 2), last=ORIGIN),
        VoteResponse(vote=Vote(4, 3), asked=Vote(3, 1), granted=False, last=ORIGIN),
        AppendAccepted(vote=Vote(4, 3), matched=ORIGIN),
        HeartbeatResponse(vote=Vote(4, 3)),
        Outdated(vote=Vote(4, 3, committed=True)),
    ],
)
def test_a_leader_steps_down_at_the_first_sign_of_a_later_term(message: Outdated) -> None:
    turn = step(leader(1, [1], term=3), Receive(2, message))
    assert isinstance(turn.after.role, Follower)
    assert turn.after.term == 4


# What is absurd or late


def test_a_message_from_oneself_says_nothing() -> None:
    state = follower(2, [1])
    turn = step(state, append_request(2, 5))
    assert (turn.after, turn.commands) == (state, ())


@pytest.mark.parametrize("vote", [Vote(5, 3), Vote(5, 1, committed=True)])
def test_a_vote_request_on_anothers_behalf_or_by_a_leader_is_absurd(vote: Vote) -> None:
    state = follower(2, [1])
    turn = step(state, Receive(1, VoteRequest(vote=vote, last=LogId(4, 1, 9))))
    assert (turn.after, turn.commands) == (state, ())


def test_a_candidate_that_met_a_longer_log_lets_others_go_first() -> None:
    turn = step(candidate(1, [1], term=2), refusal(2, 2, last=id_of(5)))
    assert commands(turn, SetTimer) == [SetTimer(ELECTION, backoff=1)]
    assert delay(Config(), TimerKind.ELECTION, 1, 0.0) > delay(Config(), TimerKind.ELECTION, 0, 0.99)


def test_a_refusal_from_a_later_term_may_tell_of_a_longer_log_too() -> None:
    def waits(state: RaftState, answer: VoteResponse | PreVoteResponse) -> list[SetTimer]:
        return commands(step(state, Receive(2, answer)), SetTimer)

    refused = VoteResponse(vote=Vote(7), asked=Vote(2, 1), granted=False, last=id_of(5))
    doubted = PreVoteResponse(vote=Vote(7), asked=Vote(2, 1), granted=False, last=id_of(5))
    assert waits(candidate(1, [1], term=2), refused)[-1] == SetTimer(ELECTION, backoff=1)
    assert waits(candidate(1, [1], term=2), replace(refused, last=id_of(1))) == [SetTimer(ELECTION)]
    assert waits(pre_candidate(1, [1], term=1), doubted)[-1] == SetTimer(ELECTION, backoff=1)
    assert waits(follower(1, [1]), refused) == []


@pytest.mark.row("EL-04", "NF-08")
def test_refusals_of_an_earlier_campaign_do_not_lose_this_one() -> None:
    standing = candidate(1, [1], term=5)
    assert after(standing, refusal(2, 3), refusal(3, 3)) == standing
    assert isinstance(after(standing, refusal(2, 5), refusal(3, 5)).role, Follower)


@pytest.mark.row("EL-27")
def test_in_the_advanced_order_a_higher_vote_is_learnt_but_not_that_its_node_leads() -> None:
    standing = candidate(1, [1], term=5, rules=ADVANCED)
    answer = VoteResponse(vote=Vote(7, 3, committed=True), asked=Vote(5, 1), granted=False, last=ORIGIN)
    assert step(standing, Receive(2, answer), ADVANCED).after.vote == Vote(7, 3)


def test_a_grant_counts_only_if_it_echoes_the_vote_that_was_asked_for() -> None:
    standing = candidate(1, term=2)
    other = VoteResponse(vote=Vote(2, 3), asked=Vote(2, 1), granted=True, last=ORIGIN)
    assert after(standing, Receive(2, other)) == standing
    stale = after(standing, grant(2, 1), accepted(2, leader(1, term=2)))
    assert stale == standing
