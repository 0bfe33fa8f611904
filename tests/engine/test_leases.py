"""Leases and check-quorum (dissertation §4.2.3, §6.2, §6.4.1): who may still act as a leader, and who may depose it."""

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import NotLeading, Readable, Reason, Refuse, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Boot, ChangeMembership, Elect, Event, Fire, Read, Receive, Stored, TransferLeader
from pyraft_lab.engine.membership import AddLearners, Membership
from pyraft_lab.engine.messages import AppendRequest, HeartbeatRequest, VoteResponse
from pyraft_lab.engine.rules import RAFT, Rules, fires_first, has_lost_lease, has_valid_lease
from pyraft_lab.engine.state import Follower, Leader, Learner, PreCandidate, RaftState
from pyraft_lab.engine.timers import ELECTION, HEARTBEAT, QUORUM, TRANSFER, VOTE_LEASE, TimerKind, delay, lease, retry
from pyraft_lab.engine.types import Vote
from tests.engine.builders import (
    BEAT,
    LEASE_OVER,
    TIMEOUT,
    accepted,
    after,
    all_stored,
    answers,
    append_request,
    commands,
    follower,
    heard,
    heartbeat,
    id_of,
    leader,
    leadership,
    propose,
    run,
    sends,
    sent,
    storage,
    streaming,
    vote_request,
)
from tests.engine.cluster import Cluster

LEASED = Config()
STRICT = Config(pre_vote=False)


def lapsed(state: RaftState) -> RaftState:
    """This leader after every lease it ever began ran out."""
    return after(state, *(Fire(lease(round)) for round in range(leadership(state).round + 1)))


# The leader's side


@pytest.mark.row("CQ-01")
def test_a_leader_that_a_quorum_answers_goes_on_leading() -> None:
    cluster = Cluster(1, 2, 3, config=LEASED)
    cluster.elect(1)
    for round in range(1, 20):
        cluster.beat()
        cluster.fire(1, lease(round))
    assert cluster.leader == 1
    assert QUORUM not in cluster.nodes[1].timers
    cluster.write("x")
    cluster.run()
    assert cluster.nodes[1].machine == [b"x"]


@pytest.mark.row("CQ-02", "CQ-03")
def test_a_leader_that_nobody_answers_first_refuses_and_then_steps_down_in_its_term() -> None:
    # Openraft only refuses, etcd only steps down: here the one comes before the other.
    alone = lapsed(streaming(leader(1, config=LEASED)))
    assert isinstance(alone.role, Leader)
    refused = step(alone, propose("x"))
    assert commands(refused, Refuse) == [Refuse((1,), NotLeading(None, Reason.LEASE))]
    down = step(refused.after, Fire(QUORUM))
    assert down.after.role == Follower()
    assert down.after.vote == alone.vote
    for request in (propose("x"), Read((1,)), Read((1,), "lease")):
        assert commands(step(down.after, request), Refuse) == [Refuse((1,), NotLeading(None, Reason.NOT_LEADER))]


@pytest.mark.row("CQ-03")
def test_what_was_accepted_before_the_lease_ran_out_commits_when_the_quorum_is_back() -> None:
    cluster = Cluster(1, 2, 3, config=LEASED)
    cluster.elect(1)
    cluster.isolate(1)
    cluster.write("waits")
    cluster.run()
    cluster.fire(1, lease(1))
    cluster.write("no", first=2)
    assert cluster.outcomes == {2: NotLeading(None, Reason.LEASE)}
    cluster.heal()
    cluster.beat()
    cluster.retry()
    assert cluster.outcomes[1] == cluster[1].log.entry(2)
    assert QUORUM not in cluster.nodes[1].timers
    cluster.write("again", first=3)
    cluster.run()
    assert cluster.nodes[2].machine == [b"waits", b"again"]


@pytest.mark.row("CQ-02")
def test_the_clock_of_a_leader_without_a_quorum_starts_once() -> None:
    turns = run(streaming(leader(1, config=LEASED)), BEAT, BEAT, *(Fire(lease(round)) for round in (1, 2, 3)))
    assert [SetTimer(QUORUM) in turn.commands for turn in turns] == [False, False, True, False, False]


@pytest.mark.row("CQ-12", "RD-06")
def test_learners_prolong_no_lease() -> None:
    state = leader(1, config=LEASED, learners=[4, 5])
    assert not has_valid_lease(after(state, heard(4, state), heard(5, state), accepted(4, state)))
    assert has_valid_lease(after(state, heard(4, state), heard(2, state)))


@pytest.mark.row("CQ-13", "RD-06")
@pytest.mark.parametrize(("answering", "holds"), [([2, 3], False), ([4, 5], False), ([2, 4], False), ([2, 4, 5], True)])
def test_while_joint_both_halves_must_answer(answering: list[int], *, holds: bool) -> None:
    joint = Membership(configs=(frozenset({1, 2, 3}), frozenset({4, 5, 6})))
    state = leader(1, config=LEASED, membership=joint)
    assert has_valid_lease(after(state, *(heard(peer, state) for peer in answering))) is holds


@pytest.mark.row("CQ-14")
def test_a_lease_runs_from_when_its_round_was_sent() -> None:
    state = streaming(leader(1, config=LEASED))
    beating = step(state, BEAT)
    assert [one.round for one in sent(beating, HeartbeatRequest)] == [2, 2]
    assert SetTimer(lease(2)) in beating.commands
    late = after(beating.after, heard(2, beating.after, round=1))
    assert leadership(late).acked_round == 1, "an answer proves the round it answers, whenever it arrives"
    assert not has_valid_lease(after(late, Fire(lease(1))))
    assert has_valid_lease(after(late, heard(3, late, round=2), Fire(lease(1))))


@pytest.mark.row("CQ-14")
@pytest.mark.parametrize(("rules", "restarts"), [(RAFT, False), (replace(RAFT, starts_lease=lambda *_: True), True)])
def test_an_answer_starts_no_lease_unless_a_rule_wrongly_says_so(rules: Rules, *, restarts: bool) -> None:
    state = leader(1, config=LEASED)
    turn = step(state, heard(2, state), rules)
    assert (SetTimer(lease(1)) in turn.commands) is restarts


@pytest.mark.row("CQ-14")
def test_an_answer_from_the_future_or_to_nobody_proves_nothing() -> None:
    state = leader(1, config=LEASED)
    for word in (heard(2, state, round=9), heard(2, state, round=0), heard(7, state)):
        assert after(state, word) == state


@pytest.mark.row("CQ-15", "RD-17")
def test_a_single_voter_holds_its_lease_for_ever() -> None:
    alone = lapsed(leader(1, voters=[1], config=LEASED))
    assert has_valid_lease(alone)
    assert not has_lost_lease(alone)
    assert commands(step(alone, Read((1,), "lease")), Readable)
    assert commands(step(alone, Read((1,), "index")), Readable)
    assert isinstance(after(alone, Fire(QUORUM)).role, Leader)


@pytest.mark.row("CQ-16", "LR-21")
def test_appends_alone_keep_a_leader_and_its_followers_vote_leases() -> None:
    cluster = Cluster(1, 2, 3, config=Config(enable_heartbeat=False))
    cluster.elect(1)
    for round in range(1, 6):
        cluster.fire(1, BEAT.timer)
        cluster.write(f"x{round}", first=round)
        cluster.run()
        assert not [flight for flight in cluster.flying if isinstance(flight.message, HeartbeatRequest)]
        cluster.fire(1, lease(round))
        assert has_valid_lease(cluster[1])
        assert VOTE_LEASE in cluster.nodes[2].timers
    assert cluster.nodes[3].machine == [b"x1", b"x2", b"x3", b"x4", b"x5"]


# The follower's side


@pytest.mark.row("CQ-04")
@pytest.mark.parametrize("pre", [False, True])
def test_who_heard_the_leader_lately_refuses_without_learning_the_term(*, pre: bool) -> None:
    leased = after(follower(2, [1], config=LEASED), heartbeat(1, 1, id_of(1)))
    turn = step(leased, vote_request(3, 9, id_of(5, 8), pre=pre))
    assert turn.after == leased
    assert [(one.granted, one.vote.term) for one in answers(turn)] == [(False, 1)]  # type: ignore[union-attr]


@pytest.mark.row("CQ-04")
def test_a_handover_is_not_a_disturbance() -> None:
    leased = after(follower(2, [1], config=LEASED), heartbeat(1, 1, id_of(1)))
    turn = step(leased, vote_request(3, 2, id_of(1), transfer=True))
    assert [one.granted for one in sent(turn, VoteResponse)] == [True]


@pytest.mark.row("CQ-05")
def test_vote_lease_ends_with_its_timer() -> None:
    turn = step(follower(2, [1], config=LEASED), heartbeat(1, 1, id_of(1)))
    assert SetTimer(VOTE_LEASE) in turn.commands
    later = step(after(turn.after, LEASE_OVER), vote_request(3, 9, id_of(5, 8)))
    assert [one.granted for one in sent(later, VoteResponse)] == [True]
    assert later.after.vote == Vote(9, 3)


@pytest.mark.row("CQ-06")
def test_followers_whose_vote_lease_ended_replace_a_silent_leader() -> None:
    cluster = Cluster(1, 2, 3, config=STRICT)
    cluster.elect(1)
    cluster.isolate(1)
    cluster.fire(2, VOTE_LEASE)
    cluster.fire(3)
    cluster.run()
    assert cluster.leader == 3
    cluster.heal()
    cluster.beat(3)
    assert cluster[1].role == Follower(leader=3, has_heard_leader=True)
    assert cluster[1].term == 2


@pytest.mark.row("CQ-07")
def test_a_node_stuck_in_a_later_term_frees_itself_by_answering_the_leader() -> None:
    cluster = Cluster(1, 2, 3, config=STRICT)
    cluster.elect(1)
    cluster.isolate(3)
    cluster.fire(3)
    cluster.run()
    cluster.heal()
    cluster.beat()
    assert cluster.leader == 0
    assert cluster[1].term == 2
    cluster.fire(2, VOTE_LEASE)
    cluster.elect(1)
    assert cluster[1].term == 3
    assert cluster[3].leader == 1


@pytest.mark.row("CQ-08")
def test_a_quorum_that_doubts_the_leader_replaces_it() -> None:
    cluster = Cluster(1, 2, 3, config=LEASED)
    cluster.elect(1)
    cluster.feed(2, Elect(pre_vote=True))
    cluster.feed(3, Elect(pre_vote=True))
    assert isinstance(cluster[2].role, PreCandidate)
    for doubter in (2, 3):  # here vote lease outlasts an order to campaign: the leader's lease may rest on it
        cluster.fire(doubter, VOTE_LEASE)
    cluster.run(lambda flight: flight.src == 1)
    cluster.fire(2)
    cluster.run(lambda flight: flight.src == 1)
    assert cluster.leader == 2
    cluster.run()
    assert cluster[1].leader == 2


@pytest.mark.row("CQ-11", "DS-08")
def test_a_node_that_is_in_no_configuration_never_leads_and_follows_when_it_is_told_to() -> None:
    outsider = follower(9, config=LEASED)
    assert isinstance(outsider.role, Learner)
    assert after(outsider, TIMEOUT, Elect()) == outsider
    assert after(outsider, append_request(1, 1)).leader == 1


@pytest.mark.row("CK-09")
def test_a_promise_of_vote_lease_outlives_a_crash() -> None:
    cluster = Cluster(1, 2, 3, config=STRICT)
    cluster.elect(1)
    cluster.crash(2)
    cluster.restart(2)
    assert cluster[2].role == Follower(leader=1, has_heard_leader=True)
    cluster.fire(3)
    cluster.run(lambda flight: 1 in (flight.src, flight.dst))
    assert cluster.leader == 1
    cluster.fire(2, VOTE_LEASE)
    cluster.fire(3)
    cluster.run(lambda flight: 1 in (flight.src, flight.dst))
    assert cluster.leader == 3


@pytest.mark.row("CK-09")
@pytest.mark.parametrize("word", [heartbeat(1, 2, id_of(1)), heartbeat(1, 2, id_of(9)), append_request(1, 2, id_of(9))])
def test_an_answer_that_prolongs_a_lease_waits_until_the_vote_lease_is_on_disk(word: Receive) -> None:
    first = step(follower(2, [1], config=STRICT), word)
    assert [send.durable for send in sends(first)] == [True]
    stored = after(first.after, all_stored(first.after))
    assert [send.durable for send in sends(step(stored, word))] == [False]


@pytest.mark.row("CK-09")
def test_a_follower_that_forgot_its_leader_had_prolonged_no_lease() -> None:
    cluster = Cluster(1, 2, 3, logs={1: [1, 1], 3: [1, 1]}, config=STRICT)
    cluster.isolate(2)
    cluster.fire(1)
    cluster.run(lambda flight: isinstance(flight.message, AppendRequest))
    cluster.isolate(3)
    cluster.cuts -= {(1, 2), (2, 1)}
    cluster.run(slow=[2])
    cluster.crash(2)
    cluster.restart(2)
    cluster.run()
    cluster.cuts -= {(2, 3), (3, 2)}
    cluster.fire(3)
    cluster.run()
    assert cluster.leader == 3
    assert not has_valid_lease(cluster[1])


def test_without_vote_lease_no_leader_is_protected() -> None:
    turn = step(follower(2, [1]), heartbeat(1, 1, id_of(1)))
    assert turn.after.role == Follower(leader=1)
    assert SetTimer(VOTE_LEASE) not in turn.commands
    assert SetTimer(ELECTION) in turn.commands


@pytest.mark.parametrize("drift", [0.0, 0.1, 0.2])
def test_a_lease_is_over_before_the_fastest_follower_may_turn_away(drift: float) -> None:
    config = Config(clock_drift=drift)
    held = delay(config, TimerKind.LEASE, 0, 0.0) / (1 - drift / 2)  # on the slowest clock it runs longest
    promised = delay(config, TimerKind.VOTE_LEASE, 0, 0.0) / (1 + drift / 2)  # on the fastest it ends first
    assert held <= promised


def test_a_lease_read_needs_a_lease() -> None:
    state = streaming(leader(1, config=LEASED))
    assert commands(step(state, Read((1,), "lease")), Readable)
    assert commands(step(lapsed(state), Read((1,), "lease")), Refuse) == [Refuse((1,), NotLeading(None, Reason.LEASE))]


def test_timers_of_a_leadership_that_is_over_do_nothing() -> None:
    state = follower(2, [1], config=LEASED)
    for kind in TimerKind:
        if kind is not TimerKind.ELECTION:
            assert storage(step(state, Fire(lease(1).__class__(kind, 1)))) == []
            assert after(state, Fire(lease(1).__class__(kind, 1))) == state


def test_a_new_round_of_appends_renews_the_lease() -> None:
    state = after(streaming(leader(1, config=LEASED)), BEAT)
    turn = step(state, propose("x"))
    assert [one.round for one in sent(turn, AppendRequest)] == [2, 2]
    assert has_valid_lease(after(turn.after, Fire(lease(1)), accepted(3, turn.after)))


# Time that passed unnoticed

OVERDUE = (HEARTBEAT, lease(3), retry(2), VOTE_LEASE, ELECTION, QUORUM, TRANSFER)
ENDED = (lease(3), VOTE_LEASE, QUORUM, TRANSFER)


@pytest.mark.parametrize(
    "event",
    [
        Read((1,), "lease"),
        propose("x"),
        ChangeMembership(request=1, change=AddLearners(frozenset({4}))),
        TransferLeader(1, 2),
        Elect(),
        vote_request(2, 3),
        heartbeat(2, 3),
        append_request(2, 3),
    ],
)
def test_what_was_granted_for_a_time_ends_before_anybody_asks_about_it(event: Event) -> None:
    assert tuple(fires_first(event, OVERDUE)) == ENDED
    assert not fires_first(event, (HEARTBEAT, ELECTION))


def test_answers_and_what_asks_about_no_lease_come_before_timers() -> None:
    state = streaming(leader(1, config=LEASED))
    for event in (heard(2, state), accepted(2, state), Stored(state.vote, state.log.last), Boot(), Fire(lease(3))):
        assert not fires_first(event, OVERDUE)
