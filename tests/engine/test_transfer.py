"""Leadership transfer (dissertation §3.10): the target catches up, is told, and campaigns at once."""

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import (
    Accepted,
    CancelTimer,
    Done,
    NothingToDo,
    NotLeading,
    NotMember,
    Reason,
    Refusal,
    Refuse,
    SetTimer,
)
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import ChangeMembership, Fire, Receive, TransferLeader
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.membership import AddLearners
from pyraft_lab.engine.messages import TimeoutNow, VoteRequest
from pyraft_lab.engine.state import Candidate, Follower, RaftState, Step
from pyraft_lab.engine.timers import TRANSFER, VOTE_LEASE
from pyraft_lab.engine.types import Vote
from tests.engine.builders import (
    EAGER,
    accepted,
    after,
    all_stored,
    commands,
    follower,
    id_of,
    leader,
    leadership,
    propose,
    sent,
    streaming,
    vote_request,
)
from tests.engine.cluster import Cluster

LEASED = Config()
TO_TWO, TO_THREE = TransferLeader(5, to=2), TransferLeader(6, to=3)


def refusals(turn: Step) -> list[Refusal]:
    """What was refused, and why."""
    return [refuse.refusal for refuse in commands(turn, Refuse)]


def told(turn: Step) -> list[int]:
    """Who is told to campaign."""
    return [peer for peer in (2, 3, 4) if sent(turn, TimeoutNow, peer)]


def timeout_now(src: int, term: int) -> Receive:
    """The leader of ``term`` hands over."""
    return Receive(src, TimeoutNow(vote=Vote(term, src, committed=True)))


@pytest.mark.row("PV-16", "LT-01", "CQ-04")
def test_who_is_handed_leadership_says_so_and_voters_with_vote_leases_let_it_pass() -> None:
    heir = follower(2, [1], leader=1, term=1, has_heard_leader=True, config=LEASED)
    asked = sent(step(heir, timeout_now(1, 1)), VoteRequest)
    assert [request.transfer for request in asked] == [True, True]
    voter = follower(3, [1], leader=1, term=1, has_heard_leader=True, config=LEASED)
    assert after(voter, Receive(2, asked[0])).vote == Vote(2, 2)
    assert after(voter, Receive(2, replace(asked[0], transfer=False))) == voter


@pytest.mark.row("LT-01", "PV-16")
def test_a_target_that_is_up_to_date_is_told_at_once_and_asks_nobody_first() -> None:
    cluster = Cluster(1, 2, 3, config=LEASED)
    cluster.fire(1)
    cluster.run()
    assert told(cluster.feed(1, TO_TWO)) == [2]
    cluster.run()
    assert cluster.leader == 2
    assert cluster[2].term == 2
    assert cluster[1].role == Follower(leader=2, has_heard_leader=True)


@pytest.mark.row("LT-02")
def test_a_target_that_is_behind_catches_up_first() -> None:
    state = after(streaming(leader(1)), propose("x"))
    turn = step(state, TO_TWO)
    assert told(turn) == []
    assert commands(turn, Done) == [Done(5)]
    assert told(step(turn.after, accepted(3, turn.after))) == []
    assert told(step(turn.after, accepted(2, turn.after))) == [2]


@pytest.mark.row("LT-03")
def test_a_target_that_needs_a_snapshot_gets_it_first() -> None:
    cluster = Cluster(1, 2, 3, config=replace(EAGER, snapshot_logs_since_last=5, keep_logs=0, snapshot_chunk=5))
    cluster.elect(1)
    cluster.isolate(3)
    cluster.write(*"abcdefgh")
    cluster.run()
    cluster.heal()
    cluster.feed(1, TO_THREE)
    cluster.retry(1)
    assert cluster.leader == 3
    assert cluster.nodes[3].machine == cluster.nodes[2].machine


@pytest.mark.row("LT-04")
def test_a_transfer_that_makes_no_sense_is_refused_and_disturbs_nothing() -> None:
    state = streaming(leader(1, learners=[4]))
    assert refusals(step(state, TransferLeader(5, to=1))) == [NothingToDo("node 1 leads already")]
    assert refusals(step(state, TransferLeader(5, to=9))) == [NotMember(9, state.membership)]
    assert refusals(step(state, TransferLeader(5, to=4))) == [NotMember(4, state.membership)]
    alone = leader(1, voters=[1])
    assert refusals(step(alone, TO_TWO)) == [NotMember(2, alone.membership)]
    assert commands(step(after(state, TransferLeader(5, to=9)), propose("x")), Accepted)


@pytest.mark.row("LT-05")
def test_nothing_is_accepted_while_leadership_is_handed_over() -> None:
    state = after(streaming(leader(1), 3), propose("x"), TO_TWO)
    change = ChangeMembership(request=1, change=AddLearners(frozenset({4})))
    for event in (propose("y"), change):
        turn = step(state, event)
        assert refusals(turn) == [NotLeading(2, Reason.TRANSFER)]
        assert turn.after.log == state.log


@pytest.mark.row("LT-06")
def test_a_transfer_to_the_dead_ends_with_its_time() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.crash(2)
    cluster.feed(1, TO_TWO)
    cluster.write("no", first=1)
    cluster.run()
    assert isinstance(cluster.outcomes[1], NotLeading)
    cluster.fire(1, TRANSFER)
    cluster.write("yes", first=2)
    cluster.run()
    assert isinstance(cluster.outcomes[2], Entry)


@pytest.mark.row("LT-07")
def test_another_target_takes_the_place_of_the_first_and_the_same_one_gets_no_more_time() -> None:
    state = after(streaming(leader(1)), propose("x"))
    first = step(state, TO_TWO)
    assert SetTimer(TRANSFER) in first.commands
    again = step(first.after, TO_TWO)
    assert SetTimer(TRANSFER) not in again.commands
    other = step(again.after, TO_THREE)
    assert SetTimer(TRANSFER) in other.commands
    caught_up = after(other.after, accepted(2, state))
    assert told(step(other.after, accepted(2, state))) == []
    assert told(step(caught_up, accepted(3, state))) == [3]


@pytest.mark.row("LT-08")
def test_a_transfer_may_be_called_back() -> None:
    state = after(streaming(leader(1)), propose("x"), TO_TWO)
    back = step(state, TransferLeader(6, to=1))
    assert commands(back, Done) == [Done(6)]
    assert CancelTimer(TRANSFER) in back.commands
    assert commands(step(back.after, propose("y")), Accepted)
    assert told(step(back.after, accepted(2, back.after))) == []


@pytest.mark.row("LT-10", "LT-17")
def test_a_call_to_campaign_from_a_leadership_that_is_over_is_not_heard() -> None:
    state = follower(2, [1], term=5)
    assert isinstance(after(state, timeout_now(1, 4)).role, Follower)
    assert after(state, timeout_now(1, 4)) == state
    assert isinstance(after(state, timeout_now(1, 5)).role, Candidate)


@pytest.mark.row("LT-17")
def test_a_call_that_arrives_twice_elects_once() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.feed(1, TO_TWO)
    call = timeout_now(1, 1)
    cluster.run()
    cluster.feed(2, call)
    cluster.run()
    assert cluster.leader == 2
    assert cluster[2].term == 2


@pytest.mark.row("LT-11", "RL-06")
def test_who_may_not_vote_does_not_campaign_when_told() -> None:
    outsider = follower(9, [1])
    assert not sent(step(outsider, timeout_now(1, 1)), VoteRequest)
    assert after(outsider, timeout_now(1, 1)).term == 1


@pytest.mark.row("LT-12")
def test_a_leader_that_sees_a_later_term_forgets_the_transfer() -> None:
    state = after(streaming(leader(1)), TO_TWO)
    deposed = step(state, vote_request(3, 9, id_of(9, 8)))
    assert deposed.after.role == Follower()
    assert CancelTimer(TRANSFER) in deposed.commands
    assert leadership(streaming(leader(1, [1], term=10))).transfer is None


@pytest.mark.row("LT-16")
def test_a_follower_says_whom_to_ask_for_a_transfer() -> None:
    assert refusals(step(follower(2, [1], leader=1), TO_THREE)) == [NotLeading(1, Reason.NOT_LEADER)]


@pytest.mark.row("LT-13", "EL-26")
def test_fifty_transfers_under_writes_lose_nothing_that_was_acknowledged() -> None:
    cluster = Cluster(1, 2, 3, 4, 5)
    cluster.elect(1)
    acknowledged: list[bytes] = []
    for turn in range(50):
        target = turn * 2 % 5 + 1
        cluster.write(f"w{turn}", first=turn + 1)
        cluster.feed(cluster.leader, TransferLeader(1000 + turn, to=target))
        cluster.run()
        assert cluster.leader == target
        if isinstance(cluster.outcomes[turn + 1], Entry):
            acknowledged.append(f"w{turn}".encode())
    cluster.beat()
    assert len(acknowledged) == 50
    assert all(node.machine == acknowledged for node in cluster.nodes.values())


def test_a_target_campaigns_although_it_heard_the_leader_just_now_and_is_voted_for() -> None:
    cluster = Cluster(1, 2, 3, config=LEASED)
    cluster.fire(1)
    cluster.run()
    cluster.feed(1, TO_TWO)
    assert VOTE_LEASE in cluster.nodes[3].timers
    cluster.run()
    assert cluster.leader == 2


def test_a_leader_whose_own_disk_is_slow_hands_over_what_the_others_hold() -> None:
    state = streaming(leader(1, durable=False))
    assert told(step(state, TO_TWO)) == [2]
    assert told(step(after(state, all_stored(state)), TO_TWO)) == [2]


def pending(state: RaftState) -> bool:
    """Whether a transfer is under way."""
    return leadership(state).transfer is not None


def test_a_timer_of_a_transfer_that_is_over_ends_nothing() -> None:
    state = streaming(leader(1))
    assert not pending(after(state, Fire(TRANSFER)))
    assert after(follower(2, [1]), Fire(TRANSFER)) == follower(2, [1])


def test_a_call_to_campaign_is_void_for_a_log_that_has_gone_on_or_is_not_there_yet() -> None:
    call = Receive(1, TimeoutNow(vote=Vote(1, 1, committed=True), last=id_of(2)))
    for terms in ([1], [1, 1, 1]):
        other = follower(2, terms, leader=1, term=1)
        assert isinstance(after(other, call).role, Follower)
    assert isinstance(after(follower(2, [1, 1], leader=1, term=1), call).role, Candidate)
