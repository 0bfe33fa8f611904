"""Joint consensus (§6, dissertation §4.3): two quorums, then one."""

from itertools import combinations, product

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import ChangeMembership
from pyraft_lab.engine.log import Configuration
from pyraft_lab.engine.membership import (
    AddLearners,
    AddVoters,
    Batch,
    Change,
    Membership,
    RemoveVoters,
    ReplaceVoters,
)
from pyraft_lab.engine.state import Follower, Leader
from pyraft_lab.engine.types import NodeId, Vote
from tests.engine.builders import (
    EAGER,
    accepted,
    after,
    all_stored,
    candidate,
    grant,
    leader,
    leadership,
    refusal,
    streaming,
)
from tests.engine.cluster import Cluster

OLD, NEW = frozenset({1, 2, 3}), frozenset({3, 4, 5})
JOINT = Membership(configs=(OLD, NEW))
SETS = [frozenset(some) for size in range(1, 5) for some in combinations(range(1, 5), size)]


def wanted(change: Change, *, retain: bool = False) -> ChangeMembership:
    """An operator's order."""
    return ChangeMembership(request=99, change=change, retain=retain)


def become(goal: frozenset[NodeId] | set[NodeId], *, retain: bool = False) -> ChangeMembership:
    """Make these the voters, whoever they are."""
    return wanted(Batch((AddLearners(frozenset(goal)), ReplaceVoters(frozenset(goal)))), retain=retain)


def cluster_of(voters: frozenset[NodeId] | set[NodeId], *others: NodeId, first: NodeId = 0) -> Cluster:
    """Voters of which one leads, and nodes that wait to be members."""
    cluster = Cluster(*sorted(voters | set(others)), membership=Membership.of(voters, learners=others))
    cluster.elect(first or min(voters))
    return cluster


def configurations(cluster: Cluster, id: NodeId) -> list[str]:
    """The memberships in a node's log, one after the other."""
    log = cluster[id].log
    return [str(entry.payload.membership) for entry in log if isinstance(entry.payload, Configuration)]


# The way there


@pytest.mark.row("JC-05", "JC-06")
def test_two_quorums_first_and_one_after_and_each_once() -> None:
    cluster = cluster_of(OLD, 4, 5)
    cluster.feed(1, wanted(ReplaceVoters(frozenset({1, 4, 5}))))
    cluster.write("meanwhile", "and more")
    cluster.run()
    assert configurations(cluster, 1) == ["{1,2,3} + {1,4,5}", "{1,4,5}"]
    assert cluster[1].log.configs == (2, 5)
    assert cluster[4].membership == cluster[1].membership


@pytest.mark.row("JC-05")
def test_the_second_entry_waits_until_the_first_is_committed() -> None:
    cluster = cluster_of(OLD, 4, 5)
    cluster.feed(1, wanted(ReplaceVoters(NEW)))
    cluster.run(lambda flight: flight.src in (4, 5))
    assert configurations(cluster, 1) == ["{1,2,3} + {3,4,5}"]
    cluster.run()
    assert configurations(cluster, 1) == ["{1,2,3} + {3,4,5}", "{3,4,5}"]


@pytest.mark.row("JC-12", "RL-06")
@pytest.mark.parametrize("old", SETS, ids=lambda voters: "-".join(map(str, sorted(voters))))
def test_any_voters_may_follow_any_others(old: frozenset[NodeId]) -> None:
    for new in SETS:
        cluster = cluster_of(old, *(frozenset(range(1, 5)) - old))
        cluster.write(*"abcdefghij", first=1)
        cluster.run()
        cluster.feed(cluster.leader, become(new))
        cluster.run()
        assert cluster.leader in new
        assert cluster[cluster.leader].membership.configs == (new,)
        cluster.write(*"klmnopqrst", first=11)
        cluster.run()
        assert all(b"".join(cluster.nodes[id].machine) == b"abcdefghijklmnopqrst" for id in new)
        assert all(cluster.nodes[id].machine[10:] == [] for id in old - new)


@pytest.mark.row("JC-12")
@pytest.mark.parametrize(
    ("old", "change", "new"),
    [
        ({1}, AddVoters({2: ""}), {1, 2}),
        ({1}, AddVoters({2: "", 3: ""}), {1, 2, 3}),
        ({1, 2}, AddVoters({3: "", 4: ""}), {1, 2, 3, 4}),
        ({1, 2, 3}, AddVoters({4: "", 5: "", 6: ""}), {1, 2, 3, 4, 5, 6}),
        ({1, 2}, RemoveVoters(frozenset({1})), {2}),
        ({1, 2}, RemoveVoters(frozenset({2})), {1}),
        ({1, 2, 3}, RemoveVoters(frozenset({3})), {1, 2}),
        ({1, 2, 3}, RemoveVoters(frozenset({1, 2})), {3}),
        ({1, 2, 3, 4, 5}, RemoveVoters(frozenset({1, 3, 5})), {2, 4}),
        ({1}, Batch((AddVoters({2: ""}), RemoveVoters(frozenset({1})))), {2}),
        ({1, 2}, Batch((AddVoters({3: ""}), RemoveVoters(frozenset({1})))), {2, 3}),
        ({1, 2, 3}, Batch((AddVoters({4: "", 5: ""}), RemoveVoters(frozenset({1, 2})))), {3, 4, 5}),
        ({1, 2, 3}, Batch((AddLearners(frozenset({4, 5, 6})), ReplaceVoters(frozenset({4, 5, 6})))), {4, 5, 6}),
        ({1, 2, 3}, ReplaceVoters(frozenset({1, 2, 3})), {1, 2, 3}),
    ],
    ids=lambda given: str(given)[:40],
)
def test_every_kind_of_change_ends_where_it_says(old: set[NodeId], change: Change, new: set[NodeId]) -> None:
    cluster = Cluster(*range(1, 7), membership=Membership.of(old))
    cluster.elect(1)
    cluster.write(*"abcdefghij", first=1)
    cluster.feed(1, wanted(change))
    cluster.run()
    cluster.write(*"klmnopqrst", first=11)
    cluster.run()
    assert cluster[cluster.leader].membership == Membership.of(new)
    assert all(b"".join(cluster.nodes[id].machine) == b"abcdefghijklmnopqrst" for id in new)


@pytest.mark.row("JC-17")
def test_one_voter_more_or_less_is_a_joint_change_too() -> None:
    state = streaming(leader(1, learners=[4]))
    assert step(state, wanted(AddVoters(frozenset({4})))).after.membership.is_joint
    assert step(state, wanted(RemoveVoters(frozenset({3})))).after.membership.is_joint


@pytest.mark.row("JC-18")
def test_the_same_voters_again_need_no_joint_step() -> None:
    cluster = cluster_of(OLD)
    cluster.feed(1, wanted(ReplaceVoters(OLD)))
    cluster.run()
    assert configurations(cluster, 1) == ["{1,2,3}"]
    twice = Membership(configs=(OLD, OLD))
    assert all(twice.is_quorum(some) == Membership.of(OLD).is_quorum(some) for some in SETS)
    assert twice.leave() == Membership.of(OLD)


@pytest.mark.row("JC-16")
@pytest.mark.parametrize(
    ("changes", "goal"),
    [
        ((RemoveVoters(frozenset({3})), AddVoters(frozenset({3}))), {1, 2, 3}),
        ((AddVoters({4: ""}), RemoveVoters(frozenset({4}))), {1, 2, 3}),
        ((AddVoters({4: ""}), AddVoters({4: ""})), {1, 2, 3, 4}),
        ((RemoveVoters(frozenset({9})), RemoveVoters(frozenset({3})), RemoveVoters(frozenset({3}))), {1, 2}),
        ((ReplaceVoters(frozenset({1})), AddVoters(frozenset({2}))), {1, 2}),
    ],
)
def test_of_several_changes_of_one_node_the_last_one_counts(changes: tuple[Change, ...], goal: set[NodeId]) -> None:
    assert step(streaming(leader(1)), wanted(Batch(changes))).after.membership.configs[-1] == frozenset(goal)


# Two quorums


@pytest.mark.row("JC-01", "JC-02")
@pytest.mark.parametrize(("old", "new", "cut"), [({1}, {1, 2, 3}, (2, 3)), ({1, 2, 3}, {3, 4, 5}, (4, 5))])
def test_without_a_majority_of_the_new_half_nothing_is_committed(
    old: set[NodeId], new: set[NodeId], cut: tuple[NodeId, ...]
) -> None:
    cluster = cluster_of(old, *(new - old))
    committed = cluster[1].committed
    cluster.isolate(*cut)
    cluster.feed(1, wanted(ReplaceVoters(frozenset(new))))
    cluster.write("x")
    cluster.retry()
    assert cluster[1].committed == committed
    assert 1 not in cluster.outcomes
    cluster.heal()
    cluster.retry()
    assert cluster[1].membership == Membership.of(new)


@pytest.mark.row("JC-23", "SZ-05")
@pytest.mark.parametrize(("voters", "cut", "gone"), [({1, 2, 3, 4}, (3, 4), 2), ({1, 2}, (2,), 2)])
def test_without_a_majority_of_the_old_half_nobody_is_removed(
    voters: set[NodeId], cut: tuple[NodeId, ...], gone: NodeId
) -> None:
    cluster = cluster_of(voters)
    committed = cluster[1].committed
    cluster.isolate(*cut)
    cluster.feed(1, wanted(RemoveVoters(frozenset({gone}))))
    cluster.retry()
    assert cluster[1].committed == committed
    assert cluster[1].committed_membership == Membership.of(voters)


@pytest.mark.row("JC-22")
def test_a_silent_voter_is_removed_without_its_consent() -> None:
    cluster = cluster_of(OLD)
    cluster.isolate(3)
    cluster.feed(1, wanted(RemoveVoters(frozenset({3}))))
    cluster.run()
    assert cluster[1].membership == Membership.of({1, 2})
    assert cluster[1].committed == cluster[1].log.last.index


@pytest.mark.row("JC-03")
@pytest.mark.parametrize("granting", [frozenset(some) for size in range(6) for some in combinations(range(1, 6), size)])
def test_a_joint_election_is_won_by_both_halves_and_lost_by_either(granting: frozenset[NodeId]) -> None:
    votes = {peer: peer in granting for peer in range(1, 6)}
    won = len(granting & OLD) > 1 and len(granting & NEW) > 1
    assert JOINT.vote_result(votes) == ("won" if won else "lost")
    assert JOINT.vote_result(dict.fromkeys(granting, True)) == ("won" if won else "pending")
    standing = candidate(3, [1], membership=JOINT)
    answers = [grant(p, 2, to=3) if p in granting else refusal(p, 2, to=3, vote=Vote(1)) for p in (1, 2, 4, 5)]
    ended = after(standing, *answers)
    assert isinstance(ended.role, Leader) == JOINT.is_quorum(granting | {3})


@pytest.mark.row("JC-04")
def test_a_joint_commit_is_what_both_halves_hold() -> None:
    for acks in product((1, 2, 3), repeat=4):
        matched = dict(zip((1, 2, 4, 5), acks, strict=True)) | {3: 3}
        halves = [sorted(matched[id] for id in half)[1] for half in (OLD, NEW)]
        assert JOINT.committed_index(matched) == min(halves)
    assert Membership().committed_index({1: 5}) == 0


@pytest.mark.row("JC-13")
def test_two_leaders_cannot_be_elected_by_disjoint_sets_while_both_must_agree() -> None:
    joint = Membership(configs=(frozenset({1, 2, 3}), frozenset({4, 5, 6})))
    everybody = [frozenset(some) for size in range(7) for some in combinations(range(1, 7), size)]
    quorums = [some for some in everybody if joint.is_quorum(some)]
    old = [some for some in everybody if Membership.of({1, 2, 3}).is_quorum(some)]
    new = [some for some in everybody if Membership.of({4, 5, 6}).is_quorum(some)]
    assert quorums
    assert all(one & other for one in quorums for other in [*quorums, *old, *new])


# Stuck, redirected, undone


@pytest.mark.row("JC-08")
def test_a_joint_entry_that_only_the_old_leader_had_is_lost_cleanly() -> None:
    cluster = cluster_of(OLD, 4, 5)
    cluster.isolate(1)
    cluster.feed(1, become(NEW))
    cluster.run()
    cluster.fire(2)
    cluster.run()
    cluster.heal()
    cluster.beat(2)
    cluster.retry(2)
    assert cluster.outcomes[99] == "unknown", "its caller is told that it may not have happened"
    assert cluster[1].membership == Membership.of(OLD, learners=[4, 5])
    assert cluster[1].role == Follower(leader=2)


def stuck() -> Cluster:
    """A joint membership that is committed and that no leader ends by itself."""
    cluster = Cluster(
        1, 2, 3, 4, 5, config=replace(EAGER, auto_leave=False), membership=Membership.of(OLD, learners=[4, 5])
    )
    cluster.elect(3)
    cluster.feed(3, become(NEW))
    cluster.run()
    assert cluster[3].committed_membership == Membership(configs=(OLD, NEW))
    return cluster


@pytest.mark.row("JC-09")
@pytest.mark.parametrize("retain", [False, True])
def test_a_joint_membership_may_be_redirected(*, retain: bool) -> None:
    cluster = stuck()
    cluster.feed(3, become({3, 4, 1}, retain=retain))
    cluster.run()
    assert str(cluster[3].membership).startswith("{3,4,5} + {1,3,4}")
    cluster.feed(3, wanted(Batch(()), retain=retain))
    cluster.run()
    assert cluster[3].membership.configs == (frozenset({1, 3, 4}),)
    assert cluster[3].membership.learners == ({2, 5} if retain else set())


@pytest.mark.row("JC-10", "MB-05")
@pytest.mark.parametrize("retain", [False, True])
def test_a_joint_membership_may_be_undone(*, retain: bool) -> None:
    cluster = stuck()
    cluster.feed(3, wanted(ReplaceVoters(OLD), retain=retain))
    cluster.run()
    assert cluster[3].membership.configs == (OLD,)
    assert cluster[3].membership.learners == ({4, 5} if retain else set())


@pytest.mark.row("JC-11")
def test_a_voter_that_becomes_a_learner_votes_until_the_end() -> None:
    state = streaming(leader(1))
    joint = step(state, wanted(RemoveVoters(frozenset({3})), retain=True)).after
    assert 3 in joint.membership.voters
    before = leadership(joint).of(3)
    done = after(joint, all_stored(joint), accepted(2, joint))
    assert done.membership == Membership.of({1, 2}, learners=[3])
    kept = leadership(done).of(3)
    assert before is not None
    assert kept is not None
    assert kept.matched == before.matched


@pytest.mark.row("CP-23", "JC-05")
def test_the_next_leader_ends_what_the_last_one_began() -> None:
    cluster = cluster_of(OLD, 4, 5)
    cluster.feed(1, wanted(ReplaceVoters(NEW)))
    cluster.run(lambda flight: flight.src in (4, 5))
    cluster.crash(1)
    cluster.lose()
    cluster.crash(3)
    cluster.restart(3)
    cluster.elect(3)
    assert cluster[3].membership == Membership.of(NEW)
    assert configurations(cluster, 3) == ["{1,2,3} + {3,4,5}", "{3,4,5}"]
