"""Log replication (paper §5.3): how a leader sends, how a follower takes, what both conclude."""

import pytest

from pyraft_lab.engine.commands import Accepted, Append, Apply, NotLeading, Reason, Refuse, SaveVote, Truncate
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import ChangeMembership, Propose, Read, Receive, TransferLeader
from pyraft_lab.engine.log import Entry, Noop
from pyraft_lab.engine.membership import AddLearners
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    Outdated,
)
from pyraft_lab.engine.state import UNINITIALIZED, Leader, Probe, RaftState, Replicate
from pyraft_lab.engine.types import ORIGIN, LogId, NodeId, Vote
from tests.engine.builders import (
    BEAT,
    EAGER,
    Terms,
    accepted,
    after,
    all_stored,
    answers,
    append_request,
    applied,
    candidate,
    commands,
    entries,
    entry,
    follower,
    heartbeat,
    id_of,
    leader,
    progress,
    propose,
    run,
    sends,
    sent,
    storage,
    streaming,
    terms,
)
from tests.engine.cluster import Cluster

# The leader sends


@pytest.mark.row("LR-01", "LR-21", "CP-04")
def test_a_write_is_appended_and_sent_in_parallel_with_the_leaders_own_disk() -> None:
    turn = step(streaming(leader(1, [1], term=2)), propose("x"))
    new = turn.after.log.entry(3)
    assert (new.id, storage(turn)) == (id_of(3, 2), [Append((new,))])
    assert commands(turn, Accepted) == [Accepted((1,), id_of(3, 2))]
    for peer in (2, 3):
        (request,) = sent(turn, AppendRequest, peer)
        assert (request.prev, request.entries) == (id_of(2, 2), (new,))
    assert not any(send.durable for send in sends(turn))


@pytest.mark.row("LR-02", "LR-23")
def test_an_acknowledged_write_is_committed_applied_and_announced_at_once() -> None:
    state = after(streaming(leader(1, [1], term=2)), propose("x"))
    state = after(state, all_stored(state))
    turn = step(state, accepted(3, state))
    assert turn.after.committed == 3
    assert commands(turn, Apply) == [Apply((state.log.entry(3),))]
    assert [(send.dst, send.message.commit) for send in sends(turn) if isinstance(send.message, AppendRequest)] == [
        (2, 3),
        (3, 3),
    ]
    assert applied(step(turn.after, accepted(2, state))) == []


@pytest.mark.row("LR-23")
def test_commits_may_wait_for_the_next_message() -> None:
    config = Config(prompt_commit=False, pre_vote=False)
    state = after(streaming(leader(1, config=config)), propose("x"))
    state = after(state, all_stored(state))
    turn = step(state, accepted(3, state))
    assert turn.after.committed == 2
    assert sends(turn) == []


@pytest.mark.row("LR-03", "CM-05", "SZ-01")
@pytest.mark.parametrize(
    ("voters", "acks", "commits"),
    [(1, 0, True), (3, 0, False), (3, 1, True), (3, 2, True), (5, 1, False), (5, 2, True), (5, 4, True)],
)
def test_an_entry_commits_when_a_majority_of_disks_holds_it(voters: int, acks: int, *, commits: bool) -> None:
    state = after(streaming(leader(1, voters=range(1, voters + 1))), propose("x"))
    state = after(state, all_stored(state), *(accepted(peer, state) for peer in range(2, 2 + acks)))
    assert (state.committed == 2) is commits


@pytest.mark.row("LR-04", "CM-04")
def test_the_entries_below_commit_with_it_in_order() -> None:
    state = leader(1, [1, 2, 2], term=3)
    turn = step(state, accepted(2, state))
    assert turn.after.committed == 4
    assert applied(turn) == [1, 2, 3, 4]


@pytest.mark.row("LR-10")
@pytest.mark.parametrize(
    "asked",
    [propose("x"), Read((1,)), TransferLeader(1, 2), ChangeMembership(request=1, change=AddLearners(frozenset({4})))],
)
@pytest.mark.parametrize(("knows", "hint"), [(1, 1), (0, None)])
def test_a_follower_refuses_and_says_whom_to_ask(asked: Propose, knows: NodeId, hint: NodeId | None) -> None:
    state = follower(2, [1], leader=knows)
    turn = step(state, asked)
    assert turn.commands == (Refuse((1,), NotLeading(hint, Reason.NOT_LEADER)),)
    assert turn.after == state


@pytest.mark.row("LR-10")
def test_a_candidate_refuses_too_and_an_uninitialised_node_says_why() -> None:
    assert step(candidate(1), propose("x")).commands == (Refuse((1,), NotLeading(None, Reason.NOT_LEADER)),)
    empty = step(Cluster(1, membership=UNINITIALIZED)[1], propose("x"))
    assert empty.commands == (Refuse((1,), NotLeading(None, Reason.UNINITIALIZED)),)


@pytest.mark.row("LR-11", "CL-06")
def test_a_batch_takes_consecutive_places_and_is_answered_in_order() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("a", "b", "c")
    cluster.run()
    assert list(cluster.outcomes) == [1, 2, 3]
    assert [cluster.outcomes[request] for request in (1, 2, 3)] == list(cluster[1].log)[-3:]
    assert [node.machine for node in cluster.nodes.values()] == [[b"a", b"b", b"c"]] * 3


@pytest.mark.row("LR-12")
def test_many_writers_see_one_order_everywhere() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    for number in range(1, 101):
        cluster.write(f"w{number}", first=number)
        if number % 7 == 0:
            cluster.run()
    cluster.run()
    assert all(node.machine == [f"w{number}".encode() for number in range(1, 101)] for node in cluster.nodes.values())
    assert [cluster.outcomes[number] for number in range(1, 101)] == list(cluster[1].log)[1:]


@pytest.mark.row("LR-15")
def test_a_fenced_write_is_taken_by_the_leadership_it_names_only() -> None:
    state = streaming(leader(1, [1], term=2))
    write = propose("x")
    for named, taken in (((2, 1), True), ((1, 1), False), ((2, 3), False)):
        under_leader = Propose(requests=write.requests, payloads=write.payloads, leader=named)
        turn = step(state, under_leader)
        assert bool(commands(turn, Accepted)) is taken
        assert taken or turn.commands == (Refuse((1,), NotLeading(1, Reason.FENCED)),)


@pytest.mark.row("LR-16")
def test_a_noop_is_a_barrier_that_no_machine_notices() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("a")
    cluster.feed(1, Propose(requests=(2,), payloads=(Noop(),)))
    cluster.run()
    assert cluster.outcomes[2] == Entry(LogId(1, 1, 3), Noop())
    assert cluster[1].applied == 3
    assert cluster.nodes[1].machine == [b"a"]


@pytest.mark.row("LR-17", "MB-20", "CM-07", "HL-10")
def test_a_learner_gets_everything_and_counts_for_nothing() -> None:
    state = after(streaming(leader(1, learners=[4, 5])), propose("x"))
    assert all(sent(step(state, propose("y")), AppendRequest, peer) for peer in (4, 5))
    state = after(state, all_stored(state), accepted(4, state), accepted(5, state))
    assert state.committed == 1
    assert after(state, accepted(2, state)).committed == 2


@pytest.mark.row("LR-19")
def test_after_a_partial_success_sending_goes_on_after_it() -> None:
    state = after(streaming(leader(1)), propose("a", "b", "c", "d"))
    turn = step(state, accepted(2, state, 3))
    (request,) = sent(turn, AppendRequest, 2)
    assert request.prev == id_of(3)
    assert [one.index for one in request.entries] == [4, 5]
    assert progress(turn.after, 2).matched == 3


@pytest.mark.row("LR-20")
def test_everybody_who_accepts_a_leader_knows_it_until_it_steps_down() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(2)
    assert [cluster[id].leader for id in (1, 2, 3)] == [2, 2, 2]
    cluster.fire(3)
    assert cluster[3].leader == 0
    assert after(cluster[2], Receive(3, Outdated(vote=Vote(9, 3)))).leader == 0


# The follower takes


@pytest.mark.row("LR-05", "CM-15", "CM-11")
@pytest.mark.parametrize(("commit", "committed"), [(0, 1), (1, 1), (2, 2), (3, 3), (4, 4), (9, 4)])
def test_a_follower_commits_no_further_than_the_message_reaches(commit: int, committed: int) -> None:
    state = follower(2, [1, 1, 1, 1, 1, 1], committed=1)
    turn = step(state, append_request(1, 1, id_of(2), entries([1, 1], 3), commit=commit))
    assert turn.after.committed == committed
    assert applied(turn) == list(range(2, committed + 1))


@pytest.mark.row("LR-06")
def test_a_heartbeat_commits_what_the_follower_acknowledged_and_no_more() -> None:
    state = streaming(leader(1, [1, 1], term=2), 2)
    assert state.committed == 3
    beats = sent(step(state, BEAT), HeartbeatRequest)
    assert [(beat.matched, beat.commit) for beat in beats] == [(id_of(3, 2), 3), (ORIGIN, 0)]
    state = follower(3, [1, 1, 7], term=8)
    turn = step(state, heartbeat(1, 8, id_of(1), commit=3))
    assert turn.after.committed == 1
    assert answers(turn) == [HeartbeatResponse(vote=Vote(8, 1, committed=True), round=1)]


@pytest.mark.row("LR-07")
def test_what_the_follower_holds_already_is_left_alone() -> None:
    state = follower(2, [1, 1, 1])
    turn = step(state, append_request(1, 1, id_of(1), entries([1], 2)))
    assert terms(turn.after) == [1, 1, 1]
    assert [type(command) for command in storage(turn)] == [SaveVote]
    assert answers(turn) == [AppendAccepted(vote=turn.after.vote, matched=id_of(2), round=1)]


@pytest.mark.row("LR-08", "CM-15")
def test_an_append_without_entries_proves_and_commits_up_to_its_prev() -> None:
    turn = step(follower(2, [1, 1, 1]), append_request(1, 1, id_of(2), commit=3))
    assert turn.after.committed == 2
    assert answers(turn) == [AppendAccepted(vote=turn.after.vote, matched=id_of(2), round=1)]


@pytest.mark.row("LR-09")
@pytest.mark.parametrize("word", [append_request(1, 2, id_of(5)), heartbeat(1, 2, id_of(5))])
def test_even_an_empty_message_is_answered_when_its_place_is_missing(word: Receive) -> None:
    turn = step(follower(2, [1, 1]), word)
    assert answers(turn) == [AppendRefused(vote=turn.after.vote, prev=id_of(5), hint=id_of(2), round=1)]


@pytest.mark.row("LR-22")
def test_after_a_message_that_does_not_fit_nothing_is_taken() -> None:
    turns = run(
        follower(2, [1]),
        append_request(1, 1, id_of(1), entries([1], 2)),
        append_request(1, 1, id_of(4), entries([1], 5)),
        append_request(1, 1, id_of(5), entries([1], 6)),
    )
    assert terms(turns[-1].after) == [1, 1]
    assert [type(answer) for turn in turns for answer in answers(turn)] == [
        AppendAccepted,
        AppendRefused,
        AppendRefused,
    ]


@pytest.mark.row("LR-22", "CM-14", "NF-09", "DS-11")
def test_a_message_of_an_old_leadership_changes_nothing() -> None:
    state = follower(2, [1, 2], term=3, leader=3)
    for word in (append_request(1, 2, id_of(1), entries([(2, 1)], 2), commit=2), heartbeat(1, 2, id_of(1), commit=2)):
        turn = step(state, word)
        assert turn.after == state
        assert turn.commands == tuple(sends(turn))
        assert answers(turn) == [Outdated(vote=Vote(3, 3, committed=True))]


@pytest.mark.row("CR-02")
def test_a_conflicting_entry_goes_with_everything_after_it() -> None:
    state = follower(2, [1, 1, 2, 2, 2], term=3)
    turn = step(state, append_request(1, 3, id_of(2), entries([3], 3)))
    assert terms(turn.after) == [1, 1, 3]
    assert storage(turn) == [SaveVote(Vote(3, 1, committed=True)), Truncate(2), Append(entries([3], 3))]


@pytest.mark.row("CR-05")
def test_a_longer_tail_stays_where_it_does_not_conflict() -> None:
    turn = step(follower(2, [1, 1, 1, 1], term=1), append_request(1, 1, id_of(1), entries([1], 2), commit=2))
    assert terms(turn.after) == [1, 1, 1, 1]
    assert turn.after.committed == 2


@pytest.mark.row("CR-08", "SN-12")
def test_a_leader_that_contradicts_what_is_committed_stops_the_node() -> None:
    state = follower(2, [1, 1], committed=2)
    turn = step(state, append_request(1, 3, id_of(1), entries([3], 2)))
    assert turn.after.halted
    assert turn.after.log == state.log
    dead = step(turn.after, heartbeat(1, 3, id_of(1)))
    assert (dead.after, dead.commands) == (turn.after, ())


@pytest.mark.row("CR-09")
@pytest.mark.parametrize("mine", [[], [1], [2, 2], [1, 2, 2], [1, 1, 1]])
def test_a_message_from_the_beginning_repairs_any_log(mine: Terms) -> None:
    turn = step(follower(2, mine, term=3), append_request(1, 3, ORIGIN, entries([1, 1, 3])))
    assert terms(turn.after) == [1, 1, 3]


@pytest.mark.row("CR-13", "NF-08", "NF-10")
@pytest.mark.parametrize("old", [Vote(1, 1, committed=True), Vote(2, 1, committed=True), Vote(3, 1)])
def test_answers_to_an_earlier_leadership_of_mine_count_for_nothing(old: Vote) -> None:
    state = leader(1, [1, 1], term=3)
    for message in (
        AppendAccepted(vote=old, matched=id_of(2), round=1),
        AppendRefused(vote=old, prev=id_of(2), hint=ORIGIN, round=1),
        HeartbeatResponse(vote=old, round=1),
    ):
        turn = step(state, Receive(2, message))
        assert (turn.after, turn.commands) == (state, ())


# Pace


@pytest.mark.row("FC-18")
def test_next_comes_after_matched_and_at_most_one_beyond_the_log() -> None:
    cluster = Cluster(1, 2, 3, logs={1: [1, 1, 2], 2: [1], 3: [1, (1, 3), (1, 3), (1, 3)]})
    cluster.elect(1)
    cluster.write("a", "b")
    cluster.run()
    for turn in cluster.steps:
        state = turn.after
        for one in state.role.progress if isinstance(state.role, Leader) else ():
            assert one.matched < one.next <= state.log.last.index + 1
            if isinstance(one.state, Replicate):
                assert all(one.matched < batch.last <= state.log.last.index for batch in one.state.inflight)


def test_a_new_leader_probes_everybody_from_the_end_of_its_log() -> None:
    state: RaftState = leader(1, [1, 1], term=2)
    assert [(one.next, one.state) for one in (progress(state, 2), progress(state, 3))] == [(3, Probe(asked=True))] * 2
    assert state.config == EAGER
    assert entry(3, 2).index == progress(state, 2).next


@pytest.mark.row("DS-12")
@pytest.mark.parametrize(
    "absurd",
    [
        append_request(1, 3, id_of(2), [entry(4, 3)]),
        append_request(1, 3, id_of(2), [entry(3, 3), entry(5, 3)]),
        append_request(1, 3, id_of(2), [entry(3, 3), entry(4, 2)]),
        append_request(1, 3, id_of(2), [entry(3, 4)]),
        append_request(1, 3, id_of(2), [entry(2, 1)]),
    ],
)
def test_entries_that_follow_nothing_lawful_are_passed_over(absurd: Receive) -> None:
    state = follower(2, [1, 1], term=3, leader=1)
    turn = step(state, absurd)
    assert turn.after == state
    assert sends(turn) == []
