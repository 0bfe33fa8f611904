"""Starting: what a node may conclude from its disk, what it may not, and how a cluster begins."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import AlreadyInitializedLog, Done, NotMember, Refuse, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft, step
from pyraft_lab.engine.events import Boot, Elect, Initialize
from pyraft_lab.engine.log import Configuration, Entry, Log, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import UNINITIALIZED, Candidate, Disk, Follower, Leader, Learner
from pyraft_lab.engine.timers import ELECTION, VOTE_LEASE
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.errors import ConfigError, StorageFailed
from tests.engine.builders import (
    EAGER,
    TIMEOUT,
    after,
    append_request,
    commands,
    disk,
    entry,
    id_of,
    leadership,
    log,
    sends,
    storage,
)
from tests.engine.cluster import Cluster

US = Membership.of({1, 2, 3})


def fresh(*ids: int) -> Cluster:
    return Cluster(*ids, membership=UNINITIALIZED)


# The first membership


@pytest.mark.row("INI-01")
def test_fresh_nodes_wait_in_silence() -> None:
    cluster = fresh(1, 2, 3)
    for id in (1, 2, 3):
        assert cluster[id].role == Learner()
        assert cluster[id].disk == Disk()
        assert cluster.nodes[id].timers == {}
        assert after(cluster[id], TIMEOUT, Elect(), Elect(pre_vote=True)) == cluster[id]
    assert cluster.flying == []


@pytest.mark.row("INI-02")
def test_one_initialised_node_makes_a_cluster_of_all() -> None:
    cluster = fresh(1, 2, 3)
    cluster.feed(1, Initialize(7, US))
    cluster.retry()
    cluster.beat()
    assert cluster.outcomes[7] == "done"
    assert cluster.leader == 1
    assert cluster[1].log.entry(1) == Entry(LogId(0, 1, 1), Configuration(US))
    assert [list(cluster[id].log) for id in (2, 3)] == [list(cluster[1].log)] * 2
    assert [cluster[id].committed for id in (1, 2, 3)] == [2, 2, 2]


@pytest.mark.row("INI-03", "INI-11")
@pytest.mark.parametrize("members", [Membership.of({2}), Membership.of({2, 3}, learners=[1]), UNINITIALIZED])
def test_who_does_not_vote_in_it_cannot_found_a_cluster(members: Membership) -> None:
    state = fresh(1)[1]
    turn = step(state, Initialize(7, members))
    assert commands(turn, Refuse) == [Refuse((7,), NotMember(1, members))]
    assert turn.after == state


@pytest.mark.row("INI-04")
@pytest.mark.parametrize("members", [US, Membership.of({1})])
def test_a_cluster_is_founded_once(members: Membership) -> None:
    cluster = fresh(1, 2, 3)
    cluster.feed(1, Initialize(7, US))
    cluster.run()
    before = cluster[1]
    turn = cluster.feed(1, Initialize(8, members))
    assert cluster.outcomes[8] == AlreadyInitializedLog(before.log.last, before.vote)
    assert turn.after == before


@pytest.mark.row("INI-04")
def test_a_node_that_voted_once_is_not_pristine() -> None:
    turn = step(raft().start(1, Disk(vote=Vote(3, 2))), Initialize(7, US))
    assert commands(turn, Refuse) == [Refuse((7,), AlreadyInitializedLog(LogId(), Vote(3, 2)))]


@pytest.mark.row("INI-05")
@pytest.mark.parametrize("second", [Membership.of({1, 2}), Membership.of({2, 3})])
def test_two_founders_end_in_one_history(second: Membership) -> None:
    cluster = fresh(1, 2, 3)
    cluster.feed(1, Initialize(7, Membership.of({1, 2})))
    cluster.feed(2, Initialize(8, second))
    cluster.run()
    if not cluster.leader:
        cluster.elect(2)
    cluster.retry()
    cluster.beat()
    assert {cluster[id].log.id_at(1) for id in (1, 2, 3) if cluster[id].committed} == {LogId(0, 2, 1)}
    assert cluster[1].log.id_at(1) == LogId(0, 2 if 1 in second.voters else 1, 1)


@pytest.mark.row("INI-06", "SZ-01")
def test_a_single_node_leads_as_soon_as_its_vote_is_on_disk() -> None:
    cluster = fresh(1)
    turn = cluster.feed(1, Initialize(7, Membership.of({1})))
    assert Done(7) in turn.commands
    assert isinstance(turn.after.role, Candidate)
    cluster.run()
    assert isinstance(cluster[1].role, Leader)
    assert (cluster[1].committed, cluster[1].applied) == (2, 2)
    cluster.write("x")
    assert cluster[1].committed == 2, "only its own disk makes a majority of one"
    cluster.run()
    assert cluster.nodes[1].machine == [b"x"]
    assert not [turn for turn in cluster.steps if sends(turn)]


@pytest.mark.row("INI-08")
def test_an_uninitialised_node_takes_what_a_leader_sends() -> None:
    found = Entry(LogId(0, 1, 1), Configuration(US))
    learned = after(start(2, Disk(), EAGER), Boot(), append_request(1, 4, LogId(), [found]))
    assert learned.vote == Vote(4, 1, committed=True)
    assert learned.role == Follower(leader=1)
    elsewhere = after(start(9, Disk(), EAGER), Boot(), append_request(1, 4, LogId(), [found]))
    assert elsewhere.role == Learner(leader=1)


# Restarting


@pytest.mark.row("INI-09")
@pytest.mark.parametrize(("members", "role"), [(UNINITIALIZED, Learner), (US, Follower)])
def test_a_vote_without_a_log_keeps_its_term(members: Membership, role: type) -> None:
    state = after(start(1, disk(vote=Vote(3, 2), membership=members), EAGER), Boot())
    assert (state.vote, type(state.role)) == (Vote(3, 2), role)
    assert after(state, TIMEOUT).vote == (Vote(4, 1) if role is Follower else Vote(3, 2))


@pytest.mark.row("INI-10", "CP-09")
@pytest.mark.parametrize(
    "vote", [Vote(2), Vote(2, 3), Vote(2, 3, committed=True), Vote(2, 1), Vote(2, 1, committed=True)]
)
def test_a_voter_starts_as_a_follower_with_nothing_committed(vote: Vote) -> None:
    turn = step(start(1, disk([1, 2], vote=vote), Config()), Boot())
    assert isinstance(turn.after.role, Follower)
    assert turn.after.vote == vote
    assert (turn.after.committed, turn.after.applied) == (0, 0)
    assert SetTimer(ELECTION) in turn.commands
    assert (sends(turn), storage(turn)) == ([], [])


@pytest.mark.row("INI-10", "CP-14")
def test_a_leader_resumes_its_term_only_if_it_is_told_to() -> None:
    resuming = Config(leader_restore=True)
    stored = disk([1, 2], vote=Vote(2, 1, committed=True))
    turn = step(start(1, stored, resuming), Boot())
    assert isinstance(turn.after.role, Leader)
    assert leadership(turn.after).noop == 3, "a no-op of this leadership, after which reads are safe"
    assert [one.commit for send in sends(turn) for one in [send.message] if isinstance(one, AppendRequest)] == [0, 0]
    for vote in (Vote(2, 1), Vote(2, 3, committed=True)):
        assert isinstance(after(start(1, disk([1, 2], vote=vote), resuming), Boot()).role, Follower)


@pytest.mark.row("CP-15")
def test_a_leader_that_resumes_without_its_noop_writes_it() -> None:
    turn = step(start(1, disk([1, 1], vote=Vote(2, 1, committed=True)), Config(leader_restore=True)), Boot())
    assert turn.after.log.last == id_of(3, 2)
    assert [message for send in sends(turn) if (message := send.message).entries] == [], "only what is on disk is sent"  # type: ignore[union-attr]


@pytest.mark.row("RL-12")
@pytest.mark.parametrize("resume", [False, True])
def test_a_former_leader_that_is_no_member_starts_as_a_learner(*, resume: bool) -> None:
    stored = disk([1], vote=Vote(1, 9, committed=True))
    assert after(start(9, stored, Config(leader_restore=resume)), Boot()).role == Learner()


def test_a_restarted_follower_keeps_a_vote_lease_for_the_leader_it_knew() -> None:
    turn = step(start(2, disk([1], vote=Vote(1, 1, committed=True)), Config()), Boot())
    assert turn.after.role == Follower(leader=1, has_heard_leader=True)
    assert SetTimer(VOTE_LEASE) in turn.commands


def test_a_single_voter_that_may_not_campaign_waits() -> None:
    turn = step(start(1, disk(voters=[1]), Config(enable_elect=False)), Boot())
    assert turn.after.role == Follower()
    assert turn.commands[-1] == SetTimer(ELECTION)
    assert after(turn.after, TIMEOUT).role == Follower()


# Disks that Raft never writes


def torn(*entries: Entry) -> Log:
    """A log that only a damaged disk could hold."""
    good = Log().append(entries[:1])
    return replace(good, last=entries[-1].id, chunks=(replace(good.chunks[0], entries=entries),))


@pytest.mark.row("SN-26", "CP-22")
@pytest.mark.parametrize(
    ("damaged", "because"),
    [
        (Disk(vote=Vote(2), log=torn(entry(1, 2), entry(2, 1))), "an earlier leader follows"),
        (Disk(vote=Vote(2), log=torn(entry(1), entry(3))), "has a gap"),
        (Disk(vote=Vote(1), log=log([1, 2])), "later than the vote"),
        (Disk(vote=Vote(1), log=log([1, 1]).purge(id_of(1))), "covers only 0"),
        (Disk(vote=Vote(1), log=log([1, 1]), snapshot=SnapshotMeta(id_of(2, (1, 7)), US)), "disagree at 2"),
    ],
)
def test_a_disk_that_raft_never_wrote_is_refused(damaged: Disk, because: str) -> None:
    with pytest.raises(StorageFailed, match=because):
        raft().start(1, damaged)


@pytest.mark.row("SN-26")
def test_a_snapshot_beyond_the_log_replaces_it() -> None:
    state = raft().start(1, Disk(vote=Vote(2), log=log([1, 1]), snapshot=SnapshotMeta(id_of(5, 2), US)))
    state = after(state, Boot())
    assert (state.log.start, state.log.last, len(state.log)) == (id_of(5, 2), id_of(5, 2), 0)
    assert (state.committed, state.applied) == (5, 5)


# Settings


@pytest.mark.row("INI-12")
@pytest.mark.parametrize(
    "broken",
    [
        {"election_timeout": (0.3, 0.3)},
        {"election_timeout": (0.3, 0.2)},
        {"election_timeout": (0.1, 0.2, 0.3)},
        {"election_timeout": ("soon", "late")},
        {"election_timeout": (0.1, math.inf)},
        {"election_timeout": 0.3},
        {"heartbeat_interval": 0.15},
        {"heartbeat_interval": 0.5},
        {"heartbeat_interval": 0},
        {"retry_timeout": math.inf},
        {"heartbeat_interval": 0.14},
        {"heartbeat_interval": 0.08, "suppress_heartbeats": True},
        {"retry_timeout": -1.0},
        {"retry_limit": "soon"},
        {"clock_drift": -0.1},
        {"clock_drift": 1.0},
        {"max_append_entries": 0},
        {"max_append_entries": 1.5},
        {"max_uncommitted_bytes": 1e6},
        {"max_append_bytes": 0},
        {"max_inflight": 0},
        {"max_inflight_bytes": 0},
        {"max_apply_entries": 0},
        {"snapshot_chunk": 0},
        {"purge_batch": 0},
        {"keep_logs": -1},
        {"learner_lag": -1},
        {"snapshot_logs_since_last": 0},
        {"snapshot_bytes_since_last": 0},
        {"max_uncommitted_bytes": 0},
        {"pre_vote": 1},
    ],
    ids=str,
)
def test_a_setting_that_breaks_a_rule_is_named(broken: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        Config(**broken).validated()
    assert refused.value.field == next(iter(broken))
    assert refused.value.value == broken[refused.value.field]


@pytest.mark.row("INI-12")
def test_a_time_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="heartbeat_interval=nan: must be a finite number"):
        Config(heartbeat_interval=math.nan).validated()


def test_an_interval_that_a_lease_cannot_outlast_says_so() -> None:
    with pytest.raises(ConfigError, match=r"heartbeat_interval=0\.14: a lease of 0\.135 s"):
        Config(heartbeat_interval=0.14).validated()
    with pytest.raises(ConfigError, match="a suppressed heartbeat comes an interval later"):
        Config(heartbeat_interval=0.08, suppress_heartbeats=True).validated()
    with pytest.raises(ConfigError, match="interval later"):
        replace(EAGER, heartbeat_interval=0.08, suppress_heartbeats=True).validated()


@pytest.mark.row("INI-12")
def test_lawful_settings_come_back_unchanged() -> None:
    lawful = (
        Config(),
        EAGER,
        Config(snapshot_logs_since_last=None, max_uncommitted_bytes=1),
        Config(heartbeat_interval=0.14, clock_drift=0.0),
        Config(heartbeat_interval=0.14, vote_lease=False, check_quorum=False),
    )
    for config in lawful:
        assert config.validated() is config
