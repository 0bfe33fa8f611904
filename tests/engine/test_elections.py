"""Elections of whole clusters: dueling, split, disturbed, in turn."""

from itertools import pairwise

import pytest

from pyraft_lab.engine.commands import SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import Elect
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.rules import ADVANCED
from pyraft_lab.engine.state import Follower, Leader
from pyraft_lab.engine.timers import ELECTION
from pyraft_lab.engine.types import LogId, NodeId, Vote
from tests.engine.builders import terms
from tests.engine.cluster import Cluster

FIVE = (1, 2, 3, 4, 5)


@pytest.mark.row("EL-13")
def test_of_two_candidates_the_one_with_a_majority_leads_and_the_other_follows() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.fire(1)
    cluster.fire(2)
    cluster.run(lambda flight: (flight.src, flight.dst) == (2, 3))
    assert cluster.leader == 1
    assert isinstance(cluster[2].role, Follower)
    cluster.run()
    assert [cluster[id].leader for id in (1, 2, 3)] == [1, 1, 1]


@pytest.mark.row("EL-14")
def test_a_split_vote_elects_nobody_and_the_next_campaign_somebody() -> None:
    cluster = Cluster(1, 2, 3, 4)
    cluster.fire(1)
    cluster.fire(2)
    cluster.run(lambda flight: (flight.src, flight.dst) in {(1, 4), (2, 3)})
    cluster.run()
    assert cluster.leader == 0
    assert [cluster[id].vote for id in (1, 2, 3, 4)] == [Vote(1, 1), Vote(1, 2), Vote(1, 1), Vote(1, 2)]
    cluster.elect(1)
    assert cluster[1].term == 2


@pytest.mark.row("EL-17", "CR-05")
def test_an_entry_of_a_later_term_that_never_committed_is_overwritten() -> None:
    voted = dict.fromkeys((3, 4, 5), Vote(2, 3))
    cluster = Cluster(*FIVE, logs={1: [1], 2: [1], 3: [(2, 3)]}, votes=voted)
    cluster.fire(1)
    cluster.run()
    assert (cluster.leader, cluster[1].term) == (0, 2)
    cluster.elect(1)
    assert [terms(cluster[id]) for id in FIVE] == [[1, 3]] * 5


@pytest.mark.row("EL-25")
@pytest.mark.parametrize("held", [{(1, 4), (1, 5)}, {(3, 1), (4, 1), (5, 1)}])
def test_slow_votes_delay_an_election_and_elect_nobody_twice(held: set[tuple[NodeId, NodeId]]) -> None:
    cluster = Cluster(*FIVE)
    cluster.fire(1)
    cluster.run(lambda flight: (flight.src, flight.dst) in held)
    if not cluster.leader:
        cluster.fire(2)
    cluster.run()
    assert cluster.leader
    assert all(len(nodes) == 1 for nodes in cluster.leaders.values())
    assert {cluster[id].leader for id in FIVE} == {cluster.leader}


@pytest.mark.row("EL-26")
def test_every_node_can_lead_in_turn_in_ever_later_terms() -> None:
    cluster = Cluster(*FIVE)
    led: list[int] = []
    for id in FIVE:
        cluster.elect(id)
        led.append(cluster[id].term)
    assert all(earlier < later for earlier, later in pairwise(led))


@pytest.mark.row("EL-28")
def test_an_order_to_campaign_costs_a_term_and_wins_nobody_who_hears_the_leader() -> None:
    cluster = Cluster(1, 2, 3, config=Config(pre_vote=False))
    cluster.elect(1)
    cluster.beat()
    cluster.feed(3, Elect())
    cluster.run(lambda flight: (flight.src, flight.dst) == (1, 3))
    assert cluster[3].vote == Vote(2, 3)
    assert not isinstance(cluster[3].role, Leader)
    assert (cluster[2].term, cluster[2].leader) == (1, 1)
    assert cluster.leader == 1


@pytest.mark.row("EL-29")
def test_a_follower_that_hears_nothing_stands_whatever_others_hear() -> None:
    cluster = Cluster(*FIVE)
    cluster.elect(1)
    cluster.isolate(3)
    cluster.beat()
    cluster.fire(3)
    assert cluster[3].vote == Vote(2, 3)
    assert cluster.leader == 1


@pytest.mark.row("EL-30")
def test_every_word_of_the_leader_puts_the_next_campaign_off() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.cut((3, 1), (3, 2))
    before = len(cluster.steps)
    for _ in range(4):
        cluster.beat()
    heard = [turn for turn in cluster.steps[before:] if turn.after.id == 3]
    assert len(heard) == 4
    assert all(SetTimer(ELECTION) in turn.commands for turn in heard)


@pytest.mark.row("EL-27")
def test_in_the_advanced_order_two_nodes_may_lead_one_term_one_after_the_other() -> None:
    cluster = Cluster(1, 2, 3, rules=ADVANCED)
    cluster.fire(1)
    cluster.fire(2)
    cluster.run(lambda flight: isinstance(flight.message, AppendRequest) or 2 in (flight.src, flight.dst))
    assert cluster.leader == 1
    cluster.run(lambda flight: isinstance(flight.message, AppendRequest))
    cluster.run()
    cluster.write("x", to=2)
    cluster.run()
    assert cluster.leaders == {1: {1, 2}}
    assert {cluster[id].log.last for id in (1, 2, 3)} == {LogId(1, 2, cluster[2].committed)}


# Counting


@pytest.mark.row("EL-11", "LR-13", "CL-03")
def test_a_deposed_leaders_write_is_never_called_done_unless_it_committed() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.isolate(1)
    cluster.write("lost", to=1)
    cluster.run()
    assert 1 not in cluster.outcomes
    cluster.fire(2)
    cluster.run()
    cluster.heal()
    cluster.write("kept", to=2, first=2)
    cluster.retry()
    assert cluster.outcomes == {1: "unknown", 2: cluster[2].log.entry(3)}
    assert cluster.nodes[1].machine == [b"kept"]
