"""Leaders that leave (§6, dissertation §4.2.2): removed, made learners, the last one; and who follows them."""

from itertools import combinations

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Accepted
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Boot, ChangeMembership, Elect, Receive, TransferLeader
from pyraft_lab.engine.log import Configuration, Entry, SnapshotMeta
from pyraft_lab.engine.membership import (
    AddLearners,
    AddVoters,
    Batch,
    Change,
    Membership,
    RemoveVoters,
    ReplaceVoters,
)
from pyraft_lab.engine.messages import AppendRequest, Outdated, TimeoutNow
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import Disk, Follower, Leader, Learner
from pyraft_lab.engine.timers import ELECTION
from pyraft_lab.engine.types import NodeId, Vote
from tests.engine.builders import (
    EAGER,
    accepted,
    after,
    all_stored,
    commands,
    id_of,
    leader,
    leadership,
    log,
    propose,
    sends,
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


# Leaders that leave


@pytest.mark.row("RL-01", "RL-04", "JC-19", "CM-13")
def test_a_removed_leader_leads_until_it_is_committed_and_hands_over_without_a_timeout() -> None:
    cluster = cluster_of({1, 2}, 3, 4)
    cluster.feed(1, wanted(ReplaceVoters(frozenset({2, 3, 4}))))
    cluster.run(lambda flight: isinstance(flight.message, TimeoutNow))
    assert isinstance(cluster[1].role, Learner)
    assert cluster[1].committed_membership == Membership.of({2, 3, 4})
    cluster.run()
    assert cluster.leader in {2, 3, 4}
    assert cluster[cluster.leader].term == 2
    cluster.write("goes on")
    cluster.run()
    assert isinstance(cluster.outcomes[1], Entry)


@pytest.mark.row("RL-02")
def test_a_leader_that_becomes_a_learner_may_lead_on() -> None:
    cluster = cluster_of(OLD)
    cluster.feed(1, wanted(ReplaceVoters(frozenset({2, 3})), retain=True))
    cluster.run()
    assert cluster[1].membership == Membership.of({2, 3}, learners=[1])
    assert cluster.leader == 1
    cluster.write("x")
    cluster.run()
    assert cluster.nodes[3].machine == [b"x"]
    cluster.feed(1, TransferLeader(2, to=3))
    cluster.run()
    assert cluster.leader == 3
    assert isinstance(cluster[1].role, Learner)


@pytest.mark.row("RL-03", "CM-13")
def test_a_leader_outside_the_voters_does_not_count_itself() -> None:
    without = Membership.of({2, 3}, learners=[1])
    state = streaming(leader(1))
    joint = step(state, wanted(ReplaceVoters(frozenset({2, 3})), retain=True)).after
    uniform = after(joint, all_stored(joint), accepted(2, joint), accepted(3, joint))
    assert uniform.membership == without
    bar = step(uniform, propose("bar")).after
    bar = after(bar, all_stored(bar), accepted(2, bar))
    assert bar.committed == joint.log.last.index
    assert after(bar, accepted(3, bar)).committed == bar.log.last.index


@pytest.mark.row("RL-07", "LT-15")
def test_leadership_may_go_to_the_new_half_while_joint() -> None:
    cluster = cluster_of(OLD, 4)
    cluster.feed(1, wanted(ReplaceVoters(frozenset({2, 3, 4}))))
    cluster.feed(1, TransferLeader(2, to=4))
    cluster.run()
    assert cluster.leader == 4
    assert cluster[4].membership == Membership.of({2, 3, 4})
    assert isinstance(cluster[1].role, (Learner, Follower))
    assert not isinstance(cluster.feed(1, Elect()).after.role, Leader)


@pytest.mark.row("RL-10")
def test_a_transfer_to_who_may_not_vote_any_more_is_off() -> None:
    state = streaming(leader(1), 3)
    pending = step(state, TransferLeader(1, to=2)).after
    assert leadership(pending).transfer is not None
    demoted = Configuration(Membership.of({1, 3}, learners=[2]))
    joint = after(streaming(leader(1)), wanted(RemoveVoters(frozenset({2})), retain=True))
    going = after(joint, TransferLeader(1, to=2))
    left = after(going, all_stored(going), accepted(3, going))
    assert left.membership == demoted.membership
    assert leadership(left).transfer is None
    assert commands(step(left, propose("x")), Accepted)


@pytest.mark.row("RL-11")
def test_the_only_voter_left_leads() -> None:
    cluster = cluster_of(OLD)
    cluster.feed(1, wanted(ReplaceVoters(frozenset({3}))))
    cluster.run()
    assert cluster.leader == 3
    cluster.write("alone")
    cluster.run()
    assert cluster.nodes[3].machine == [b"alone"]


@pytest.mark.row("RL-12")
def test_a_node_that_led_and_is_no_member_any_more_starts_as_a_learner() -> None:
    gone = Membership.of({2, 3})
    disk = Disk(vote=Vote(1, 1, committed=True), log=log([1, 1]), snapshot=SnapshotMeta(id_of(1), gone, id_of(1)))
    booted = step(start(1, disk, replace(EAGER, leader_restore=True)), Boot())
    assert booted.after.role == Learner()
    assert sends(booted) == []


@pytest.mark.row("RL-09")
def test_who_was_removed_and_lost_its_disk_comes_back_from_nothing() -> None:
    cluster = cluster_of(OLD)
    cluster.write("a", "b", first=1)
    cluster.run()
    cluster.feed(1, wanted(RemoveVoters(frozenset({3}))))
    cluster.run()
    cluster.crash(3)
    cluster.nodes[3].disk = Disk()
    cluster.restart(3)
    cluster.feed(1, wanted(AddVoters({3: ""})))
    cluster.run()
    cluster.retry()
    assert cluster[1].membership == Membership.of(OLD)
    assert cluster.nodes[3].machine == [b"a", b"b"]


# Nobody is left without a leader


def lonely_final_entry() -> Cluster:
    """{1,2} + {2} is committed; the final {2} is only on the disk of 1, which does not vote in it."""
    cluster = cluster_of({1, 2})
    cluster.feed(1, wanted(RemoveVoters(frozenset({1}))))
    cluster.run(
        lambda flight: (
            flight.dst == 2 and isinstance(flight.message, AppendRequest) and cluster[1].log.configs[1:] != ()
        )
    )
    cluster.lose()
    assert str(cluster[1].membership) == "{2}"
    assert str(cluster[2].membership) == "{1,2} + {2}"
    return cluster


@pytest.mark.row("RL-06")
@pytest.mark.parametrize("restarted", [False, True])
def test_who_alone_holds_the_final_membership_may_stand_for_it(*, restarted: bool) -> None:
    cluster = lonely_final_entry()
    if restarted:
        cluster.crash(1)
        cluster.restart(1)
    else:
        cluster.feed(1, Receive(2, Outdated(vote=Vote(2))))
    assert ELECTION in cluster.nodes[1].timers
    cluster.fire(2)
    cluster.run()
    assert cluster.leader == 0, "the other one's log is behind"
    cluster.fire(1)
    cluster.run()
    assert cluster.leader == 2
    assert cluster[2].membership == Membership.of({2})
