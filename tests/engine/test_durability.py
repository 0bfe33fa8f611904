"""Nothing leaves before it is on disk where Raft needs it, and only there (§5.1, dissertation §10.2.1)."""

from itertools import product

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Append, SaveVote, Send, Truncate
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Event, Propose, Receive, Stored
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    Outdated,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.rules import RAFT, waits_for_disk
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import Disk, Leader, RaftState
from pyraft_lab.engine.types import ORIGIN, LogId, Vote
from tests.engine.builders import (
    EAGER,
    TIMEOUT,
    accepted,
    after,
    all_stored,
    append_request,
    candidate,
    commands,
    entries,
    entry,
    follower,
    grant,
    id_of,
    leader,
    propose,
    sends,
    storage,
    terms,
    vote_request,
)
from tests.engine.cluster import Cluster


@pytest.mark.row("CP-02", "EL-08")
def test_a_vote_is_on_disk_before_the_answer() -> None:
    turn = step(follower(2, [1]), vote_request(1, 2, id_of(1)))
    assert storage(turn) == [SaveVote(Vote(2, 1))]
    assert [send.durable for send in sends(turn)] == [True]


@pytest.mark.row("CP-02")
def test_a_vote_lost_in_a_crash_was_never_told() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.fire(1)
    cluster.run(slow=[2, 3])
    assert cluster.leader == 0
    assert cluster[2].vote == Vote(1, 1)
    cluster.crash(2)
    cluster.restart(2)
    assert cluster[2].vote == Vote()
    cluster.run(slow=[2, 3])
    assert cluster.leader == 0


@pytest.mark.row("CP-03")
def test_an_append_is_acknowledged_when_it_is_on_disk_and_several_may_be_at_once() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("a", first=1)
    cluster.write("b", first=2)
    cluster.run(slow=[2, 3])
    assert cluster[2].log.last.index == 3
    assert cluster[1].committed == 1
    cluster.complete(2)
    cluster.run(slow=[2, 3])
    assert cluster[1].committed == 2
    cluster.complete(2)
    cluster.run(slow=[2, 3])
    assert cluster[1].committed == 3


@pytest.mark.row("CP-04", "LR-01", "CM-08", "CM-09")
def test_a_leader_sends_before_it_has_written_and_counts_itself_after() -> None:
    turn = step(leader(1), propose("x"))
    assert next(type(command) for command in turn.commands if isinstance(command, (Append, Send))) is Append
    state = after(turn.after, accepted(2, turn.after, 1))
    assert [send.durable for send in sends(step(state, propose("y")))] == [False]
    one = after(turn.after, accepted(2, turn.after))
    assert one.committed == 1, "one copy on disk, and that is not the leader's"
    assert after(one, all_stored(turn.after)).committed == 2
    assert after(one, accepted(3, turn.after)).committed == 2


@pytest.mark.row("CP-05", "EL-22")
def test_a_candidates_own_vote_counts_when_it_is_on_disk() -> None:
    standing = step(follower(1, [1]), TIMEOUT)
    assert all(send.durable for send in sends(standing)), "it asks nobody before"
    granted = after(standing.after, grant(2, 2))
    assert not isinstance(granted.role, Leader)
    assert isinstance(after(granted, all_stored(standing.after)).role, Leader)


@pytest.mark.row("CP-05", "EL-22")
def test_a_vote_for_itself_that_reaches_the_disk_too_late_counts_for_nothing() -> None:
    standing = after(follower(1, [1]), TIMEOUT)
    late = all_stored(standing)
    lost = after(standing, append_request(3, 2, id_of(1)))
    assert after(lost, grant(2, 2), late) == lost


@pytest.mark.row("CP-06")
def test_a_completion_vouches_for_nothing_that_was_written_again_since() -> None:
    # Entry 2 is written under leader 1, replaced under leader 3, and completions come late and in order.
    first = after(follower(2, [1]), append_request(1, 1, id_of(1), entries([1], 2)))
    early = all_stored(first)
    second = after(first, append_request(3, 2, id_of(1), [entry(2, (2, 3))]))
    assert after(second, early).stored == id_of(1)
    third = after(second, append_request(1, 3, id_of(1), entries([1], 2)))
    assert third.log.last == first.log.last, "the very same entry is back"
    assert after(third, early).stored == id_of(1), "but it was told under another vote, and may be gone from the disk"
    assert after(third, all_stored(third)).stored == id_of(2)


@pytest.mark.row("CP-06")
def test_a_completion_of_an_entry_that_was_truncated_counts_for_nothing() -> None:
    state = after(follower(2, [1, 1, 1]), append_request(3, 2, id_of(1), [entry(2, (2, 3))]))
    assert after(state, Stored(state.vote, id_of(3))).stored.index <= 1


@pytest.mark.row("CP-07", "CP-08")
def test_wherever_a_crash_cuts_the_writes_the_disk_is_a_log() -> None:
    state = follower(2, [1, 1, 1, 1])
    turn = step(state, append_request(3, 2, id_of(2), [entry(3, (2, 3)), entry(4, (2, 3))]))
    assert [type(command) for command in storage(turn)] == [SaveVote, Truncate, Append]
    seen = [state.disk]
    for command in storage(turn):
        seen.append(seen[-1].after(command))
    assert [terms(one.log) for one in seen] == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1], [1, 1, 2, 2]]
    assert [start(2, one, EAGER).vote.term for one in seen] == [1, 2, 2, 2]
    assert seen[-1] == turn.after.disk


@pytest.mark.row("CP-08")
def test_a_vote_reaches_the_disk_before_the_first_entry_of_its_leader() -> None:
    words: list[Event] = [append_request(3, 5, id_of(1), [entry(2, (5, 3))]), TIMEOUT]
    for word in words:
        kinds = [type(command) for command in storage(step(follower(2, [1]), word))]
        assert kinds[0] is SaveVote
    won = step(candidate(1, [1]), grant(2, 2))
    assert [type(command) for command in storage(won)] == [SaveVote, Append]


@pytest.mark.row("CP-03", "CP-02")
def test_promises_wait_for_the_disk_and_nothing_else_does() -> None:
    state, vote = follower(2, [1]), Vote(1)
    promises = (
        VoteRequest(vote=vote, last=ORIGIN),
        VoteResponse(vote=vote, asked=vote, granted=True, last=ORIGIN),
        AppendAccepted(vote=vote, matched=ORIGIN),
        SnapshotResponse(vote=vote, last=ORIGIN, offset=0),
    )
    others = (
        VoteResponse(vote=vote, asked=vote, granted=False, last=ORIGIN),
        PreVoteRequest(vote=vote, last=ORIGIN),
        PreVoteResponse(vote=vote, asked=vote, granted=True, last=ORIGIN),
        AppendRequest(vote=vote, prev=ORIGIN),
        HeartbeatRequest(vote=vote, matched=ORIGIN),
        Outdated(vote=vote),
        TimeoutNow(vote=vote),
    )
    assert all(waits_for_disk(state, message) for message in promises)
    assert not any(waits_for_disk(state, message) for message in others)
    contact = (HeartbeatResponse(vote=vote), AppendRefused(vote=vote, prev=ORIGIN, hint=ORIGIN))
    assert not any(waits_for_disk(state, message) for message in contact)
    assert all(waits_for_disk(replace(state, stored_vote=Vote()), message) for message in contact)


@pytest.mark.row("CP-09", "CP-17")
@pytest.mark.parametrize("victims", list(product((1, 2, 3), repeat=2)))
def test_crashes_in_the_middle_of_writes_lose_nothing_acknowledged(victims: tuple[int, int]) -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    for place, victim in enumerate(victims):
        cluster.write(f"w{place}", first=place + 1, to=cluster.leader)
        cluster.run(slow=[victim])
        cluster.crash(victim)
        cluster.lose()
        cluster.restart(victim)
        if not cluster.leader:
            for id in (1, 2, 3):
                cluster.fire(id)
                cluster.run()
                if cluster.leader:
                    break
        cluster.retry()
        cluster.beat()
    written = [outcome.payload for outcome in cluster.outcomes.values() if isinstance(outcome, Entry)]
    done = [payload.data for payload in written if isinstance(payload, Normal)]
    assert done
    assert all(set(done) <= set(node.machine) for node in cluster.nodes.values())
    assert cluster.nodes[1].machine == cluster.nodes[2].machine == cluster.nodes[3].machine


def test_the_disk_is_what_its_commands_made_it() -> None:
    disk = Disk()
    state: RaftState = start(1, disk, EAGER)
    for event in (TIMEOUT, append_request(2, 1, ORIGIN, entries([1, 1])), vote_request(3, 4, LogId(3, 3, 9))):
        turn = step(state, event)
        for command in storage(turn):
            disk = disk.after(command)
        state = turn.after
        assert disk == state.disk


def test_a_batch_of_nothing_is_nothing() -> None:
    state = leader(1)
    assert step(state, Propose(requests=(), payloads=())).commands == ()


def test_the_table_of_raft_names_what_waits() -> None:
    assert RAFT.waits_for_disk is waits_for_disk
    assert commands(step(leader(1), Receive(1, TimeoutNow(vote=Vote()))), Send) == []
