"""The commit rule (paper §5.3, §5.4.2, Figure 8): what a majority holds on disk, from this leadership."""

import random
from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import ChangeMembership
from pyraft_lab.engine.log import Configuration
from pyraft_lab.engine.membership import Membership, ReplaceVoters
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import RaftState
from pyraft_lab.engine.types import Index, LogId, Vote
from tests.engine.builders import (
    EAGER,
    Terms,
    accepted,
    after,
    all_stored,
    append_request,
    applied,
    entries,
    follower,
    id_of,
    leader,
    leadership,
    progress,
    propose,
    streaming,
    terms,
)
from tests.engine.cluster import Cluster

US = Membership.of({1, 2, 3})


def holding(state: RaftState, matched: Mapping[int, Index], stored: Index) -> RaftState:
    """This leader, knowing that its peers and its own disk hold so much."""
    for peer, index in matched.items():
        state = replace(state, role=leadership(state).with_progress(replace(progress(state, peer), matched=index)))
    return replace(state, stored=state.log.id_at(stored) or state.stored)


@pytest.mark.row("CM-05", "CM-06")
@pytest.mark.parametrize(
    ("log", "matched", "stored", "commits"),
    [
        # one's own disk, then the peers'; the leader's term is 3
        ([1, 2], {}, 3, 3),
        ([1, 2], {}, 2, 0),
        ([1, 2], {2: 0, 3: 0}, 3, 0),
        ([1, 2], {2: 3, 3: 0}, 3, 3),
        ([1, 2], {2: 2, 3: 2}, 3, 0),
        ([1, 2], {2: 2, 3: 3}, 3, 3),
        ([1, 2], {2: 3, 3: 3}, 0, 3),
        ([1, 2], {2: 3, 3: 0, 4: 0, 5: 0}, 3, 0),
        ([1, 2], {2: 3, 3: 3, 4: 0, 5: 0}, 3, 3),
        ([1, 2], {2: 3, 3: 2, 4: 2, 5: 2}, 3, 0),
        ([1, 2], {2: 3, 3: 3, 4: 0, 5: 0, 6: 0, 7: 0}, 3, 0),
        ([1, 2], {2: 3, 3: 3, 4: 3, 5: 0, 6: 0, 7: 0}, 3, 3),
    ],
)
def test_what_most_disks_hold_is_committed_if_it_is_of_this_term(
    log: Terms, matched: dict[int, Index], stored: Index, commits: Index
) -> None:
    state = leader(1, log, term=3, voters=[1, *matched], durable=False)
    assert RAFT.commit_index(holding(replace(state, committed=0), matched, stored)) == commits


@pytest.mark.row("CM-06")
def test_one_more_acknowledgement_never_lowers_the_commit_index() -> None:
    chances = random.Random(3)
    for _ in range(500):
        matched = {peer: chances.randint(0, 6) for peer in range(2, 6)}
        state = holding(leader(1, [1] * 5, term=2, voters=range(1, 6)), matched, 6)
        more = dict(matched) | {chances.randint(2, 5): 6}
        assert RAFT.commit_index(holding(state, more, 6)) >= RAFT.commit_index(state)


@pytest.mark.row("CM-07")
def test_who_does_not_vote_commits_nothing() -> None:
    state = leader(1, learners=[4])
    assert step(state, accepted(4, state)).after.committed == 0
    assert step(state, accepted(9, state)).after.committed == 0


@pytest.mark.row("CM-08", "CP-04")
def test_followers_may_commit_without_the_leaders_own_disk() -> None:
    state = after(streaming(leader(1)), propose("x"))
    state = after(state, accepted(2, state))
    assert state.committed == 1
    assert after(state, accepted(3, state)).committed == 2


@pytest.mark.row("CM-09")
def test_one_disk_of_three_commits_nothing_whatever_memory_says() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("x")
    cluster.run(lambda flight: 3 in (flight.src, flight.dst), slow=[1])
    assert cluster[1].committed == 1
    cluster.crash(1)
    cluster.restart(1)
    assert terms(cluster[1]) == [1]
    assert cluster.outcomes == {1: "unknown"}


@pytest.mark.row("CM-11")
def test_no_commit_index_ever_goes_back_or_beyond_the_log() -> None:
    cluster = Cluster(1, 2, 3, logs={1: [1, 1], 2: [1, (2, 2), (2, 2)], 3: [1]})
    cluster.elect(2)
    cluster.write("a", "b")
    cluster.retry()
    cluster.elect(3)
    cluster.write("c", first=3)
    cluster.retry()
    assert all(turn.before.committed <= turn.after.committed <= turn.after.log.last.index for turn in cluster.steps)
    assert {cluster[id].committed for id in (1, 2, 3)} == {cluster[3].log.last.index}


@pytest.mark.row("CM-11")
def test_an_old_announcement_takes_nothing_back() -> None:
    state = follower(2, [1, 1, 1], committed=3)
    turn = step(state, append_request(1, 1, id_of(1), entries([1], 2), commit=1))
    assert (turn.after.committed, applied(turn)) == (3, [])


@pytest.mark.row("CM-12")
@pytest.mark.parametrize(("before", "left"), [({1, 2, 3, 4}, {1, 2, 3}), ({1, 2}, {1})])
def test_what_the_smaller_quorum_holds_commits_as_soon_as_it_governs(before: set[int], left: set[int]) -> None:
    # Voters leave through a joint membership: the smaller set governs alone once that is committed.
    cluster = Cluster(*sorted(before))
    cluster.elect(1)
    gone = max(before - left)
    cluster.feed(1, ChangeMembership(request=9, change=ReplaceVoters(frozenset(left))))
    cluster.run()
    cluster.crash(gone)
    cluster.write("x")
    cluster.run()
    assert cluster[1].membership.voters == left
    assert cluster.nodes[1].machine == [b"x"]


@pytest.mark.row("CM-12")
def test_a_pending_entry_commits_when_the_membership_that_needs_less_is_effective() -> None:
    state = streaming(leader(1, voters=[1, 2, 3, 4], learners=[]))
    state = after(state, propose("x"))
    state = after(state, all_stored(state), accepted(2, state))
    assert state.committed == 1
    at = state.log.last.index + 1
    smaller = replace(entries([1], at)[0], payload=Configuration(US))
    shrunk = replace(state, disk=replace(state.disk, log=state.log.append([smaller])))
    assert RAFT.commit_index(shrunk) == 2


@pytest.mark.row("CM-13", "RL-03")
def test_a_leader_outside_the_membership_does_not_count_itself() -> None:
    state = streaming(leader(1))
    gone = replace(entries([1], 2)[0], payload=Configuration(Membership.of({2, 3})))
    state = replace(state, disk=replace(state.disk, log=state.log.append([gone])), stored=gone.id)
    assert RAFT.commit_index(holding(state, {2: 2}, 2)) == 1
    assert RAFT.commit_index(holding(state, {2: 2, 3: 2}, 2)) == 2


@pytest.mark.row("CM-04")
def test_old_entries_wait_for_one_of_this_term_and_the_noop_is_that_one() -> None:
    state = leader(1, [1, 1, 1], term=2)
    assert after(state, accepted(2, state, 3), accepted(3, state, 3)).committed == 0
    assert after(state, accepted(2, state, 4)).committed == 4


@pytest.mark.row("CM-16", "JC-04", "SZ-10")
def test_the_index_of_two_quorums_is_the_lesser_of_what_each_holds() -> None:
    chances = random.Random(4)
    for _ in range(2000):
        configs = [frozenset(chances.sample(range(1, 10), chances.randint(1, 9))) for _ in range(chances.randint(1, 2))]
        matched = {node: chances.randint(0, 5) for node in range(1, 10) if chances.random() < 0.8}
        held = [
            index
            for index in range(6)
            if all(2 * sum(matched.get(node, 0) >= index for node in config) > len(config) for config in configs)
        ]
        assert Membership(configs=tuple(configs)).committed_index(matched) == max(held)


# Figure 8, and a mutant that shows why


def counting_replicas(state: RaftState) -> Index:
    """What Figure 8 warns of: whatever a majority holds."""
    return max(state.committed, state.membership.committed_index(state.matched))


def lose_an_old_entry(rules: Rules) -> Cluster:
    """Three nodes, one entry a message: node 1 spreads its entry of term 2 in term 4, and node 3 overwrites it."""
    config = replace(EAGER, max_append_entries=1)
    cluster = Cluster(1, 2, 3, logs={1: [1, 2], 2: [1], 3: [1]}, votes={3: Vote(2)}, rules=rules, config=config)
    cluster.isolate(1)
    cluster.fire(3)
    cluster.run(lambda flight: isinstance(flight.message, AppendRequest))
    assert cluster.leader == 3
    cluster.lose()
    cluster.crash(3)
    cluster.heal()
    for _ in (3, 4):
        cluster.fire(1)
        cluster.run(until=lambda: cluster.leader == 1)
    cluster.run(until=lambda: progress(cluster[1], 2).matched == 2)
    cluster.crash(1)
    cluster.lose()
    cluster.restart(3)
    for _ in (4, 5):
        cluster.fire(3)
        cluster.run()
    return cluster


@pytest.mark.row("CM-03")
def test_an_entry_of_an_old_term_on_a_majority_may_still_be_overwritten() -> None:
    cluster = lose_an_old_entry(RAFT)
    assert [turn.after.committed for turn in cluster.steps if terms(turn.after) == [1, 2, 4]][-1] == 0
    assert terms(cluster[2]) == terms(cluster[3]) == [1, 3, 5]
    assert cluster[2].log.id_at(2) == LogId(3, 3, 2)


@pytest.mark.row("CM-03")
def test_counting_replicas_of_old_terms_would_apply_two_entries_in_one_place() -> None:
    with pytest.raises(AssertionError, match="two entries are applied at 2"):
        lose_an_old_entry(replace(RAFT, commit_index=counting_replicas))
