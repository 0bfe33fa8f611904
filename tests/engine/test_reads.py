"""Linearizable reads (§8, dissertation §6.4): by a round of contact, or by a lease."""

from typing import Any

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import NoQuorum, NotLeading, Readable, Reason, Refusal, Refuse, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Boot, ChangeMembership, Elect, Fire, Read, Receive, TransferLeader
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.membership import Membership, ReplaceVoters
from pyraft_lab.engine.messages import HeartbeatRequest, Outdated, VoteResponse
from pyraft_lab.engine.rules import has_valid_lease
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import Candidate, Follower, RaftState, Step
from pyraft_lab.engine.timers import QUORUM, TRANSFER, VOTE_LEASE, lease
from pyraft_lab.engine.types import Vote
from tests.engine.builders import (
    BEAT,
    EAGER,
    TIMEOUT,
    accepted,
    after,
    all_stored,
    commands,
    disk,
    follower,
    grant,
    heard,
    heartbeat,
    id_of,
    leader,
    leadership,
    propose,
    refusal,
    refused,
    sent,
    streaming,
    vote_request,
)
from tests.engine.cluster import Cluster

LEASED = Config(pre_vote=False)
ASK, ASK_LEASE = Read((7,)), Read((7,), "lease")


def readable(turn: Step) -> list[tuple[tuple[int, ...], int]]:
    """Which reads may be served, and from which index on."""
    return [(command.requests, command.at.index) for command in commands(turn, Readable)]


def refusals(turn: Step) -> list[Refusal]:
    """What was refused, and why."""
    return [refuse.refusal for refuse in commands(turn, Refuse)]


def serving(config: Config = LEASED, **members: Any) -> RaftState:
    """A leader whose log is committed and whose lease holds."""
    return streaming(leader(1, config=config, **members))


# By a round


@pytest.mark.row("RD-01")
def test_a_read_waits_for_one_round_and_names_what_was_committed_when_it_came() -> None:
    asked = step(serving(), ASK)
    assert readable(asked) == []
    assert len(sent(asked, HeartbeatRequest)) == 2
    more = after(asked.after, propose("x"))
    more = after(more, all_stored(more), accepted(2, more, round=1))
    assert more.committed == 2
    assert readable(step(more, heard(3, more))) == [((7,), 1)]


@pytest.mark.row("RD-01")
def test_answers_to_earlier_rounds_confirm_nothing() -> None:
    asked = after(serving(), ASK)
    assert readable(step(asked, heard(2, asked, round=1))) == []
    assert readable(step(asked, accepted(2, asked, round=1))) == []


@pytest.mark.row("RD-02")
@pytest.mark.parametrize("read", [ASK, ASK_LEASE])
def test_who_does_not_lead_names_who_does(read: Read) -> None:
    assert refusals(step(follower(2, [1], leader=1), read)) == [NotLeading(1, Reason.NOT_LEADER)]
    assert refusals(step(follower(2, [1]), read)) == [NotLeading(None, Reason.NOT_LEADER)]
    assert refusals(step(follower(9, membership=Membership()), read)) == [NotLeading(None, Reason.UNINITIALIZED)]


@pytest.mark.row("RD-03")
@pytest.mark.parametrize("read", [ASK, ASK_LEASE])
def test_a_new_leader_reads_after_its_own_first_entry(read: Read) -> None:
    new = leader(1, [1, 1], config=LEASED)
    fresh = after(new, heard(2, new))
    turn = step(fresh, read)
    served = turn if read is ASK_LEASE else step(turn.after, heard(2, turn.after))
    assert served.after.committed == 0
    assert readable(served) == [((7,), 3)]


@pytest.mark.row("RD-04", "CK-04")
@pytest.mark.parametrize("policy", ["index", "lease"])
def test_a_leader_that_was_cut_off_and_replaced_serves_no_read(policy: str) -> None:
    cluster = Cluster(1, 2, 3, config=LEASED)
    cluster.elect(1)
    cluster.isolate(1)
    cluster.fire(3, VOTE_LEASE)
    cluster.fire(2)
    cluster.run()
    cluster.write("new", to=2)
    cluster.run()
    cluster.fire(1, lease(1))
    cluster.feed(1, Read((7,), "lease" if policy == "lease" else "index"))
    cluster.run()
    assert not str(cluster.outcomes.get(7)).startswith("readable")
    cluster.heal()
    cluster.beat(1)
    assert isinstance(cluster.outcomes[7], NotLeading)


@pytest.mark.row("RD-06")
@pytest.mark.parametrize(("answering", "served"), [([4], False), ([2], False), ([2, 5, 6], True), ([5, 6], False)])
def test_only_both_halves_of_the_voters_confirm_a_read(answering: list[int], *, served: bool) -> None:
    joint = Membership(configs=(frozenset({1, 2, 3}), frozenset({1, 5, 6})), nodes={4: ""})
    asked = after(serving(replace(LEASED, auto_leave=False), membership=joint), ASK)
    answered = [step(asked, heard(answering[0], asked))]
    for peer in answering[1:]:
        answered.append(step(answered[-1].after, heard(peer, asked)))
    assert any(readable(turn) for turn in answered) is served


@pytest.mark.row("RD-06", "RL-02")
def test_a_leader_that_does_not_vote_needs_the_voters_word() -> None:
    joint = after(serving(), ChangeMembership(request=9, change=ReplaceVoters(frozenset({2, 3})), retain=True))
    left = after(joint, all_stored(joint), accepted(2, joint), accepted(3, joint))
    left = after(left, all_stored(left), accepted(2, left), accepted(3, left))
    assert left.membership == Membership.of({2, 3}, learners={1})
    asked = after(left, ASK)
    assert readable(step(asked, heard(2, asked))) == []
    assert readable(step(after(asked, heard(2, asked)), heard(3, asked))) != []


@pytest.mark.row("RD-07", "RD-08")
def test_a_later_round_confirms_every_earlier_read_once() -> None:
    one = after(serving(), Read((1, 2)))
    both = after(one, Read((1,)))
    done = step(both, heard(2, both))
    assert readable(done) == [((1, 2), 1), ((1,), 1)]
    assert leadership(done.after).reads == ()
    assert readable(step(done.after, heard(3, both))) == []


@pytest.mark.row("RD-09", "RD-18")
def test_reads_fail_when_leadership_is_lost() -> None:
    asked = after(serving(), ASK)
    lost = step(asked, Receive(2, Outdated(vote=Vote(7))))
    assert commands(lost, Refuse) == [Refuse((7,), NotLeading(None, Reason.NOT_LEADER))]
    assert lost.commands[0] == commands(lost, Refuse)[0], "before anything else happens"


@pytest.mark.row("RD-13")
def test_a_read_that_nobody_confirms_fails_within_a_lease_and_says_who_answered() -> None:
    asked = after(serving(voters=[1, 2, 3, 4, 5]), ASK)
    asked = after(asked, heard(2, asked))
    late = step(asked, Fire(lease(leadership(asked).round)))
    assert refusals(late) == [NoQuorum((2, 1), asked.membership)]
    assert commands(step(asked, Fire(lease(1))), Refuse) == []


@pytest.mark.row("RD-15")
def test_without_its_own_round_a_read_waits_for_the_next_heartbeat() -> None:
    asked = step(serving(replace(LEASED, read_sends_heartbeat=False)), ASK)
    assert sent(asked, HeartbeatRequest) == []
    assert readable(step(asked.after, heard(2, asked.after))) == []
    beating = after(asked.after, BEAT)
    assert readable(step(beating, heard(2, beating))) == [((7,), 1)]


@pytest.mark.row("RD-15")
def test_no_heartbeat_is_spared_while_a_read_waits_for_it() -> None:
    state = serving(replace(LEASED, read_sends_heartbeat=False, suppress_heartbeats=True))
    assert sent(step(state, BEAT), HeartbeatRequest) == []
    assert len(sent(step(after(state, ASK), BEAT), HeartbeatRequest)) == 2


@pytest.mark.row("RD-16")
def test_a_follower_that_has_applied_the_leaders_index_has_applied_all_that_was_written_before() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("x")
    cluster.run(lambda flight: flight.dst == 3)
    cluster.feed(1, ASK)
    cluster.run(lambda flight: flight.dst == 3)
    assert cluster.outcomes[7] == "readable at 2"
    assert cluster[3].applied < 2
    cluster.run()
    assert cluster[3].applied >= 2
    assert cluster.nodes[3].machine == [b"x"]


@pytest.mark.row("RD-17")
def test_a_single_voter_reads_at_once() -> None:
    state = leader(1, voters=[1], config=LEASED)
    assert readable(step(state, ASK)) == readable(step(state, ASK_LEASE)) == [((7,), 1)]


@pytest.mark.row("RD-18")
def test_a_quorum_is_enough_and_one_later_term_too_much() -> None:
    asked = after(serving(voters=[1, 2, 3, 4, 5]), ASK)
    two = after(asked, heard(2, asked))
    assert readable(step(two, heard(5, asked))) != []
    beaten = step(two, Receive(5, Outdated(vote=Vote(9, 5))))
    assert isinstance(beaten.after.role, Follower)
    assert refusals(beaten) == [NotLeading(None, Reason.NOT_LEADER)]


@pytest.mark.row("RD-20")
def test_an_answer_to_an_earlier_leadership_confirms_nothing_in_the_next() -> None:
    first = serving()
    old = heard(2, first)
    second = streaming(leader(1, [1], term=5, config=LEASED), 3)
    asked = after(second, ASK)
    assert after(asked, old) == asked


# By a lease


@pytest.mark.row("RD-10")
def test_a_lease_read_costs_no_message() -> None:
    turn = step(serving(), ASK_LEASE)
    assert turn.commands == (Readable((7,), id_of(1)),)


@pytest.mark.row("RD-11")
def test_without_a_lease_it_fails_at_once() -> None:
    state = after(serving(), Fire(lease(1)))
    assert step(state, ASK_LEASE).commands == (Refuse((7,), NotLeading(None, Reason.LEASE)),)
    new = leader(1, config=LEASED)
    assert refusals(step(new, ASK_LEASE)) == [NotLeading(None, Reason.NO_LEASE)]


@pytest.mark.row("RD-11")
def test_without_vote_leases_a_lease_read_takes_a_round_as_any_other() -> None:
    asked = step(serving(EAGER), ASK_LEASE)
    assert refusals(asked) == []
    assert readable(asked) == []
    assert len(sent(asked, HeartbeatRequest)) == 2
    assert readable(step(asked.after, heard(2, asked.after))) == [((7,), 1)]


@pytest.mark.row("RD-14", "LT-05")
@pytest.mark.parametrize("read", [ASK, ASK_LEASE])
def test_while_leadership_is_handed_over_reads_are_sent_on(read: Read) -> None:
    state = after(serving(), TransferLeader(1, to=3))
    turn = step(state, read)
    assert refusals(turn) == [NotLeading(3, Reason.TRANSFER)]
    assert sent(turn, HeartbeatRequest) == []


def called_back() -> RaftState:
    """A leader of three that told node 3 to campaign, and took leadership back when nothing came of it."""
    return after(serving(), TransferLeader(1, to=3), Fire(TRANSFER), BEAT)


@pytest.mark.row("LT-14")
def test_a_leader_that_gave_its_lease_away_does_not_get_it_back_from_those_who_may_be_talked_out_of_it() -> None:
    assert not has_valid_lease(after(serving(), TransferLeader(1, to=3)))
    back = called_back()
    back = after(back, heard(2, back), heard(3, back))
    assert refusals(step(back, ASK_LEASE)) == [NotLeading(None, Reason.NO_LEASE)]
    asked = after(back, ASK)
    assert readable(step(asked, heard(2, asked))) != []


@pytest.mark.row("LT-14")
def test_a_transfer_that_came_to_nothing_ends_leases_only_until_a_quorum_holds_more() -> None:
    back = called_back()
    assert back.log.last.index == serving().log.last.index + 1, "an entry that makes the call to campaign void"
    firm = after(back, accepted(2, back))
    assert has_valid_lease(firm)
    assert readable(step(firm, ASK_LEASE)) != []
    assert not has_valid_lease(after(firm, *(Fire(lease(round)) for round in range(1, leadership(firm).round + 1))))


def test_a_transfer_that_is_called_back_before_the_call_to_campaign_leaves_the_lease_alone() -> None:
    state = after(serving(), propose("x"), TransferLeader(1, to=3), TransferLeader(2, to=1))
    assert has_valid_lease(state)
    assert state.log.last.index == serving().log.last.index + 1


def test_a_quorum_of_five_that_can_be_outvoted_with_the_help_of_two_who_may_be_talked_over_gives_no_lease() -> None:
    # n2 and n3 hold the entry behind the transfer, and n4 answers heartbeats without it. If n5 were told to campaign
    # now, n4 would vote for it and end its vote lease; n3, n4 and n5 could then elect n3, although n1, n2 and n4
    # had answered.
    state = after(streaming(leader(1, voters=[1, 2, 3, 4, 5], config=LEASED)), TransferLeader(1, to=5), Fire(TRANSFER))
    caught_up = after(state, accepted(2, state, round=1), accepted(3, state, round=1))
    beaten = after(caught_up, BEAT)
    assert not has_valid_lease(after(beaten, heard(2, beaten), heard(4, beaten), Fire(lease(1))))
    assert has_valid_lease(after(beaten, heard(2, beaten), heard(3, beaten), Fire(lease(1))))


def test_a_leader_that_is_restored_reads_by_a_lease_once_a_quorum_holds_its_new_entry() -> None:
    kept = disk([1, 2], vote=Vote(2, 1, committed=True))
    restored = after(start(1, kept, replace(LEASED, leader_restore=True)), Boot())
    restored = after(restored, all_stored(restored), BEAT)
    assert not has_valid_lease(after(restored, heard(2, restored), heard(3, restored)))
    assert has_valid_lease(after(restored, accepted(2, restored)))


# What a lease rests on


@pytest.mark.row("CQ-04", "DS-11")
def test_a_late_answer_to_a_campaign_given_up_ends_no_vote_lease() -> None:
    leased = after(follower(2, [1], config=LEASED), heartbeat(1, 1, id_of(1)))
    for late in (refusal(3, 1, to=2, vote=Vote(5, 3)), Receive(3, Outdated(vote=Vote(5, 3)))):
        assert after(leased, late) == leased
    free = after(leased, Fire(VOTE_LEASE), refusal(3, 1, to=2, vote=Vote(5, 3)))
    assert free.vote == Vote(5)


@pytest.mark.row("EL-28", "CQ-04")
def test_who_campaigns_on_an_order_helps_nobody_depose_a_leader_it_heard_not_even_itself() -> None:
    leased = after(follower(2, [1], config=LEASED), heartbeat(1, 1, id_of(1)))
    standing = after(leased, Elect())
    standing = after(standing, all_stored(standing))
    assert standing.role == Candidate(has_heard_leader=True)
    assert [one.granted for one in sent(step(standing, vote_request(3, 9, id_of(9))), VoteResponse)] == [False]
    granted = step(standing, grant(3, 2, to=2))
    assert isinstance(granted.after.role, Candidate)
    assert step(granted.after, Fire(VOTE_LEASE)).after.vote == Vote(2, 2, committed=True)
    assert step(granted.after, TIMEOUT).after.vote == Vote(2, 2, committed=True)


def test_a_candidate_that_loses_keeps_its_vote_lease() -> None:
    leased = after(follower(2, [1], config=LEASED), heartbeat(1, 1, id_of(1)))
    standing = after(leased, Elect())
    lost = after(standing, *(refusal(peer, 2, to=2, vote=Vote(1, 1, committed=True)) for peer in (1, 3)))
    assert lost.role == Follower(has_heard_leader=True)


@pytest.mark.row("RD-12", "CK-08")
def test_a_lease_rests_on_clocks_alone() -> None:
    # The leader's clock stands still: its lease timer does not fire, while everybody else's time goes by.
    cluster = Cluster(1, 2, 3, config=LEASED)
    cluster.elect(1)
    cluster.isolate(1)
    cluster.fire(3, VOTE_LEASE)
    cluster.fire(2)
    cluster.run()
    cluster.write("new", to=2)
    cluster.run()
    cluster.feed(1, ASK_LEASE)
    assert cluster.outcomes[7] == "readable at 1", "a stale read: index reads need no clock, lease reads do"
    cluster.feed(1, Read((8,)))
    cluster.run()
    assert 8 not in cluster.outcomes


@pytest.mark.row("CK-04")
def test_a_leader_that_slept_finds_its_leases_over_before_it_reads() -> None:
    asleep = serving()
    awake = after(asleep, Fire(lease(1)))
    assert refusals(step(awake, ASK_LEASE)) == [NotLeading(None, Reason.LEASE)]
    assert SetTimer(QUORUM) in step(asleep, Fire(lease(1))).commands


@pytest.mark.row("CL-05")
def test_what_was_acknowledged_is_seen_by_the_next_read() -> None:
    cluster = Cluster(1, 2, 3, config=LEASED)
    cluster.elect(1)
    cluster.write("x")
    cluster.run()
    done = cluster.outcomes[1]
    assert isinstance(done, Entry)
    for request, policy in ((7, "index"), (8, "lease")):
        cluster.feed(1, Read((request,), "lease" if policy == "lease" else "index"))
        cluster.run()
        assert cluster.outcomes[request] == f"readable at {done.index}"


def test_a_refused_append_confirms_a_read_too() -> None:
    asked = after(serving(), ASK)
    assert readable(step(asked, refused(2, asked, id_of(1)))) == [((7,), 1)]
