"""Starting again (Figure 2, §5.1): what a node may conclude from its disk, and what it may not."""

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Apply, RestoreMachine, SendChunk, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Boot, Fire, Read, Receive
from pyraft_lab.engine.log import Entry, Log, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AppendRequest, VoteResponse
from pyraft_lab.engine.rules import has_valid_lease
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import Candidate, Disk, Follower, Leader, RaftState
from pyraft_lab.engine.timers import ELECTION, VOTE_LEASE
from pyraft_lab.engine.types import NodeId, Vote
from pyraft_lab.errors import StorageFailed
from tests.engine.builders import (
    EAGER,
    accepted,
    after,
    all_stored,
    append_request,
    applied,
    commands,
    disk,
    entry,
    heard,
    id_of,
    leader,
    leadership,
    log,
    propose,
    sends,
    sent,
    streaming,
    terms,
    vote_request,
)
from tests.engine.cluster import Cluster

LEASED = Config(pre_vote=False)
RESTORING = replace(LEASED, leader_restore=True)
TRIO = Membership.of({1, 2, 3})


def led_by(node: NodeId, term: int = 1) -> Vote:
    """The vote of a node that follows, or is, this leader."""
    return Vote(term, node, committed=True)


def votes(state: RaftState, request: Receive) -> list[bool]:
    """Whether the vote is given."""
    return [answer.granted for answer in sent(step(state, request), VoteResponse)]


# What is kept


@pytest.mark.row("CP-01")
def test_a_vote_given_before_a_crash_is_given_after_it() -> None:
    voted = disk([1], vote=Vote(2, 3))
    back = step(start(2, voted, EAGER), Boot()).after
    assert votes(back, vote_request(1, 2, id_of(9))) == [False]
    assert votes(back, vote_request(3, 2, id_of(9))) == [True]


@pytest.mark.row("CP-09", "INI-10")
def test_votes_matches_and_leaders_are_forgotten() -> None:
    for vote in (Vote(3, 1), Vote(3, 1, committed=True), Vote(3)):
        back = step(start(1, disk([1, 1], vote=vote), EAGER), Boot()).after
        assert back.role == Follower()
        assert (back.committed, back.applied, back.incoming) == (0, 0, None)


@pytest.mark.row("CP-10", "SN-28")
def test_nothing_beyond_the_snapshot_is_applied_before_a_leader_says_so() -> None:
    covered = replace(disk([1, 1, 1, 1]), snapshot=SnapshotMeta(id_of(2), TRIO))
    back = step(start(2, covered, EAGER), Boot())
    assert commands(back, RestoreMachine) == [RestoreMachine(SnapshotMeta(id_of(2), TRIO))]
    assert commands(back, Apply) == []
    assert applied(step(back.after, append_request(1, 2, id_of(4), commit=3))) == [3]


@pytest.mark.row("CP-10")
def test_a_single_voter_applies_everything_again() -> None:
    cluster = Cluster(1)
    cluster.run()
    cluster.write("a", "b")
    cluster.run()
    cluster.crash(1)
    cluster.restart(1)
    cluster.run()
    assert cluster.nodes[1].machine == [b"a", b"b"]


@pytest.mark.row("CP-12")
def test_a_follower_that_restarts_waits_for_the_leader() -> None:
    cluster = Cluster(1, 2, 3, config=LEASED)
    cluster.elect(1)
    cluster.crash(2)
    back = cluster.restart(2)
    assert sends(back) == []
    assert SetTimer(ELECTION) in back.commands
    cluster.beat()
    assert cluster[2].role == Follower(leader=1, has_heard_leader=True)
    assert cluster[1].term == 1


@pytest.mark.row("CP-16", "CP-13")
@pytest.mark.parametrize("next_leader", [1, 2, 3])
def test_power_fails_everywhere_and_nothing_acknowledged_is_lost(next_leader: NodeId) -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.isolate(3)
    cluster.write("kept")
    cluster.run()
    assert isinstance(cluster.outcomes[1], Entry)
    cluster.heal()
    for id in (1, 2, 3):
        cluster.crash(id)
    cluster.lose()
    for id in (1, 2, 3):
        cluster.restart(id)
    cluster.fire(next_leader)
    cluster.run()
    assert cluster.leader == (0 if next_leader == 3 else next_leader), "who lacks it cannot win"
    if cluster.leader:
        cluster.retry()
        assert all(node.machine == [b"kept"] for node in cluster.nodes.values())


@pytest.mark.row("CP-13")
def test_a_leader_whose_disk_was_wiped_does_not_lead_those_who_know_more() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("kept")
    cluster.run()
    cluster.crash(1)
    cluster.nodes[1].disk = disk()
    cluster.restart(1)
    cluster.fire(1)
    cluster.run()
    assert cluster.leader == 0
    cluster.elect(2)
    assert cluster.nodes[2].machine == [b"kept"]


# A disk that Raft did not write


@pytest.mark.row("SN-26", "CP-20", "CP-22")
@pytest.mark.parametrize(
    ("damaged", "complaint"),
    [
        (Disk(vote=Vote(1), log=log([1, 2])), "later than the vote"),
        (Disk(vote=Vote(2), log=Log().append((entry(1, 2), entry(2, 1)))), "an earlier leader follows"),
        (Disk(vote=Vote(1), log=log([1, 1, 1]).purge(id_of(2))), "covers only 0"),
        (Disk(vote=Vote(2), log=log([1, 2]), snapshot=SnapshotMeta(id_of(2), TRIO)), "disagree at 2"),
    ],
)
def test_a_disk_that_raft_cannot_have_written_is_refused(damaged: Disk, complaint: str) -> None:
    with pytest.raises(StorageFailed, match=complaint):
        start(1, damaged, EAGER)


@pytest.mark.row("SN-27")
def test_a_log_without_its_beginning_and_without_a_snapshot_is_refused() -> None:
    with pytest.raises(StorageFailed, match="purged up to"):
        start(1, Disk(vote=Vote(1), log=log([1, 1]).purge(id_of(2))), EAGER)


# Loyalty outlives a crash


@pytest.mark.row("CK-09")
@pytest.mark.parametrize(
    ("vote", "leased"),
    [(Vote(), False), (Vote(3), False), (Vote(3, 1), False), (led_by(1), True), (Vote(3, 2), True), (led_by(2), False)],
)
def test_who_may_have_prolonged_a_lease_waits_one_out(vote: Vote, *, leased: bool) -> None:
    back = step(start(2, disk(vote=vote), LEASED), Boot())
    assert getattr(back.after.role, "has_heard_leader", None) is leased
    assert (SetTimer(VOTE_LEASE) in back.commands) is leased
    assert votes(back.after, vote_request(3, 9, id_of(9))) == [not leased]


def test_a_voter_that_is_alone_now_has_a_vote_lease_all_the_same() -> None:
    shrunk = replace(disk([1], vote=led_by(3), voters=[2]), vote=led_by(3))
    back = step(start(2, shrunk, LEASED), Boot())
    assert isinstance(back.after.role, Candidate)
    standing = after(back.after, all_stored(back.after))
    assert isinstance(standing.role, Candidate), "the lease of 3 may still run"
    assert isinstance(after(standing, Fire(VOTE_LEASE)).role, Leader)


# A leader that resumes its term


@pytest.mark.row("CP-14")
def test_a_leader_resumes_its_term_only_where_that_was_asked_for() -> None:
    was = disk([1], vote=led_by(1))
    assert step(start(1, was, LEASED), Boot()).after.role == Follower()
    resumed = step(start(1, was, RESTORING), Boot()).after
    assert isinstance(resumed.role, Leader)
    assert (resumed.term, resumed.committed) == (1, 0)
    assert isinstance(step(start(2, was, RESTORING), Boot()).after.role, Follower)
    assert isinstance(step(start(1, disk([1], vote=Vote(1, 1)), RESTORING), Boot()).after.role, Follower)


@pytest.mark.row("CP-14", "CP-15")
@pytest.mark.parametrize("given", [[1, 1], [(1, 2), (1, 2)]])
def test_a_resumed_leader_reads_after_a_new_entry_of_its_own(given: list[int]) -> None:
    resumed = step(start(1, disk(given, vote=led_by(1, 2)), RESTORING), Boot()).after
    assert terms(resumed) == [1, 1, 2]
    asked = after(resumed, all_stored(resumed), Read((7,)))
    told = step(asked, heard(2, asked))
    assert [one.at.index for one in told.commands if hasattr(one, "at")] == [3]


@pytest.mark.row("CP-14", "RD-20")
def test_answers_to_the_earlier_life_of_a_resumed_leader_prove_nothing() -> None:
    before = step(start(1, disk([1], vote=led_by(1)), RESTORING), Boot()).after
    before = after(before, all_stored(before))
    old = (heard(2, before), accepted(3, before))
    back = step(start(1, before.disk, RESTORING), Boot()).after
    assert after(back, *old) == back
    assert leadership(back).round != leadership(before).round
    assert not has_valid_lease(after(back, heard(2, back), heard(3, back))), "a TimeoutNow may be out"


@pytest.mark.row("CP-28", "CP-29", "CP-15")
def test_a_resumed_leader_had_sent_nothing_that_its_own_disk_did_not_hold() -> None:
    cluster = Cluster(1, 2, 3, config=RESTORING)
    cluster.elect(1)
    cluster.write("lost with the power")
    cluster.run(slow=[1])
    cluster.crash(1)
    assert all(node.machine == [] for node in cluster.nodes.values())
    assert [one.disk.log.last.index for one in cluster.nodes.values()] == [1, 1, 1]
    cluster.restart(1)
    cluster.write("another", first=2)
    cluster.run()
    cluster.retry()
    assert cluster.leader == 1
    assert cluster[1].term == 1
    assert all(node.machine == [b"another"] for node in cluster.nodes.values())


@pytest.mark.row("CP-28")
def test_a_leader_that_may_resume_sends_nothing_before_its_disk_has_it() -> None:
    resumed = step(start(1, disk([1], vote=led_by(1)), RESTORING), Boot())
    assert all(send.durable for send in sends(resumed))
    assert commands(resumed, SendChunk) == []
    state = after(resumed.after, all_stored(resumed.after))
    assert all(send.durable for send in sends(step(state, propose("x"))))


@pytest.mark.row("CP-28")
@pytest.mark.parametrize(("config", "at_once"), [(RESTORING, 0), (LEASED, 1)])
def test_a_leader_that_may_resume_offers_an_entry_when_its_own_disk_has_it(config: Config, at_once: int) -> None:
    written = step(streaming(leader(1, config=config)), propose("x"))
    assert len(sent(written, AppendRequest, 2)) == at_once
    stored = step(written.after, all_stored(written.after))
    assert len(sent(stored, AppendRequest, 2)) == 1 - at_once


@pytest.mark.row("CP-29")
def test_what_the_followers_committed_without_the_leader_survives_its_crash() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("committed by two and three")
    cluster.run(slow=[1])
    assert cluster.nodes[1].machine == [b"committed by two and three"], "without its own copy on disk"
    cluster.crash(1)
    cluster.restart(1)
    assert cluster[1].log.last.index == 1
    cluster.elect(2)
    cluster.retry()
    assert all(node.machine == [b"committed by two and three"] for node in cluster.nodes.values())
    assert cluster[1].log == cluster[2].log
