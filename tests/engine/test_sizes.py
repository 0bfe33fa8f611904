"""Clusters of every size: one, two, four, seven; and none."""

import pytest

from pyraft_lab.engine.commands import Send
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import ChangeMembership
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.membership import Membership, ReplaceVoters
from pyraft_lab.engine.state import Leader
from pyraft_lab.engine.timers import HEARTBEAT, QUORUM, lease
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import EmptyMembership
from tests.engine.builders import commands
from tests.engine.cluster import Cluster

FOUR = (1, 2, 3, 4)
SEVEN = (1, 2, 3, 4, 5, 6, 7)


@pytest.mark.row("SZ-01")
def test_one_node_commits_by_its_own_disk_and_talks_to_nobody() -> None:
    cluster = Cluster(1)
    cluster.run()
    cluster.write("x")
    assert cluster[1].committed == 1
    cluster.complete(1)
    assert cluster.nodes[1].machine == [b"x"]
    assert commands(cluster.steps, Send) == []


@pytest.mark.row("SZ-02")
def test_one_node_never_steps_down() -> None:
    cluster = Cluster(1, config=Config())
    cluster.run()
    for round in range(1, 30):
        cluster.fire(1, HEARTBEAT)
        cluster.fire(1, lease(round))
    assert isinstance(cluster[1].role, Leader)
    assert QUORUM not in cluster.nodes[1].timers


@pytest.mark.row("SZ-03", "MB-02")
def test_a_learner_that_cannot_be_reached_blocks_nobody() -> None:
    cluster = Cluster(1, 2, membership=Membership.of({1}, learners=[2]))
    cluster.isolate(2)
    cluster.run()
    for number in range(1, 20):
        cluster.write(f"x{number}", first=number)
        cluster.retry()
    assert len(cluster.nodes[1].machine) == 19


@pytest.mark.row("SZ-04")
def test_of_two_nodes_both_are_needed() -> None:
    cluster = Cluster(1, 2)
    cluster.elect(1)
    cluster.crash(2)
    cluster.write("x")
    cluster.retry()
    assert cluster[1].committed == 1
    cluster.restart(2)
    cluster.retry()
    assert cluster.outcomes[1] == cluster[1].log.entry(2)
    cluster.crash(1)
    for _ in range(3):
        cluster.fire(2)
        cluster.run()
    assert cluster.leader == 0


@pytest.mark.row("SZ-05", "JC-23")
@pytest.mark.parametrize(("ids", "dead", "left"), [((1, 2), {2}, {1}), (FOUR, {3, 4}, {1, 2, 3})])
def test_a_cluster_without_a_quorum_cannot_shrink_itself(
    ids: tuple[NodeId, ...], dead: set[int], left: set[int]
) -> None:
    cluster = Cluster(*ids)
    cluster.elect(1)
    for node in dead:
        cluster.crash(node)
    cluster.feed(1, ChangeMembership(request=9, change=ReplaceVoters(frozenset(left))))
    cluster.retry()
    assert cluster[1].committed_membership.voters == set(ids)
    assert 9 not in cluster.outcomes


@pytest.mark.row("SZ-06")
def test_two_of_four_elect_nobody() -> None:
    cluster = Cluster(*FOUR)
    cluster.isolate(1, 2)
    for node in (1, 3, 2, 4, 1, 3):
        cluster.fire(node)
        cluster.run()
    assert cluster.leaders == {}
    cluster.heal()
    cluster.elect(1)


@pytest.mark.row("SZ-07", "SZ-08")
@pytest.mark.parametrize(("ids", "dead"), [(FOUR, 1), (FOUR, 2), (SEVEN, 3), (SEVEN, 4)])
def test_a_minority_may_die_and_no_more(ids: tuple[NodeId, ...], dead: int) -> None:
    cluster = Cluster(*ids)
    cluster.elect(1)
    for node in ids[len(ids) - dead :]:
        cluster.crash(node)
    cluster.write("x")
    cluster.retry()
    assert isinstance(cluster.outcomes.get(1), Entry) is (2 * dead < len(ids))


@pytest.mark.row("SZ-09", "MB-09")
@pytest.mark.parametrize("configs", [(frozenset[int](),), (frozenset({1}), frozenset[int]())])
def test_somebody_must_vote(configs: tuple[frozenset[int], ...]) -> None:
    with pytest.raises(EmptyMembership):
        Membership(configs=configs, nodes={5: ""})
    with pytest.raises(EmptyMembership):
        Membership.of({1}, learners=[5]).change(set())
