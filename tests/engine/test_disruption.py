"""Servers that disturb (dissertation §4.2.3, §9.6): removed, cut off, back with a later term, or not members at all."""

import pytest

from pyraft_lab.engine.commands import Halt
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import ChangeMembership, Event, Receive
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.membership import AddVoters, Membership, RemoveVoters
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRequest,
    HeartbeatResponse,
    Outdated,
    PreVoteRequest,
    SnapshotResponse,
    VoteRequest,
)
from pyraft_lab.engine.state import Follower, Leader
from pyraft_lab.engine.timers import ELECTION, VOTE_LEASE, lease
from pyraft_lab.engine.types import ORIGIN, NodeId, Vote
from tests.engine.builders import (
    EAGER,
    after,
    answers,
    append_request,
    entries,
    follower,
    heartbeat,
    id_of,
    leader,
    refusal,
    sends,
    streaming,
    vote_request,
)
from tests.engine.cluster import Cluster

POLITE = Config()
NO_PRE_VOTE = Config(pre_vote=False)
UNCHECKED = Config(pre_vote=False, check_quorum=False)
RUDE = EAGER


def removed(config: Config, *, told: bool = False) -> Cluster:
    """Node 4 has been removed, and does not know."""
    cluster = Cluster(1, 2, 3, 4, config=config)
    cluster.elect(1)
    if not told:
        cluster.isolate(4)
    cluster.feed(1, ChangeMembership(request=9, change=RemoveVoters(frozenset({4}))))
    cluster.run()
    cluster.heal()
    return cluster


def pass_time(cluster: Cluster) -> None:
    """Loyalty ends, and election timers run out until somebody leads."""
    for id, node in cluster.nodes.items():
        if VOTE_LEASE in node.timers:
            cluster.fire(id, VOTE_LEASE)
    for id, node in cluster.nodes.items():
        if not cluster.leader and ELECTION in node.timers:
            cluster.fire(id)
            cluster.run()
    assert cluster.leader


@pytest.mark.row("DS-01", "RL-06")
@pytest.mark.parametrize(
    ("config", "deposed"), [(POLITE, False), (NO_PRE_VOTE, False), (UNCHECKED, False), (RUDE, True)]
)
def test_a_removed_server_that_was_not_told_disturbs_only_the_rude(config: Config, *, deposed: bool) -> None:
    cluster = removed(config)
    for _ in range(3):
        cluster.fire(4)
        cluster.run()
        assert (cluster[1].term > 1) is deposed
        assert cluster.leader != 4, "its log is behind, whatever its term"
        if not deposed:
            assert cluster.leader == 1


@pytest.mark.row("DS-02", "DS-03", "PV-06", "PV-07")
@pytest.mark.parametrize(("config", "term"), [(NO_PRE_VOTE, 6), (POLITE, 1)])
def test_a_server_that_comes_back_deposes_once_at_most(config: Config, term: int) -> None:
    cluster = Cluster(1, 2, 3, config=config)
    cluster.elect(1)
    cluster.isolate(3)
    for _ in range(5):
        cluster.fire(3)
        cluster.run()
    assert cluster[3].term == term
    cluster.heal()
    cluster.beat()
    pass_time(cluster)
    assert max(node.state.term for node in cluster.nodes.values()) <= term + 1
    assert {node.state.leader for node in cluster.nodes.values()} == {cluster.leader}
    cluster.write("x")
    cluster.run()
    assert isinstance(cluster.outcomes[1], Entry)


@pytest.mark.row("DS-04")
def test_a_strangers_huge_term_drags_nobody_up_while_a_leader_is_heard() -> None:
    cluster = Cluster(1, 2, 3, config=NO_PRE_VOTE)
    cluster.elect(1)
    for id in (1, 2, 3):
        cluster.feed(id, vote_request(77, 10**6, id_of(99)))
        cluster.feed(id, vote_request(77, 10**6, id_of(99), pre=True))
    cluster.run(lambda flight: flight.dst == 77)
    assert {node.state.term for node in cluster.nodes.values()} == {1}


@pytest.mark.row("DS-05", "DS-07")
@pytest.mark.parametrize("config", [NO_PRE_VOTE, POLITE, RUDE])
def test_a_removed_node_with_a_later_term_is_taken_back(config: Config) -> None:
    cluster = removed(config)
    cluster.isolate(4)
    for _ in range(3):
        cluster.fire(4)
        cluster.run()
    cluster.heal()
    cluster.write("kept", first=1)
    cluster.run()
    cluster.feed(1, ChangeMembership(request=10, change=AddVoters({4: ""})))
    cluster.run()
    for _ in range(3):
        pass_time(cluster)
        cluster.beat()
    pass_time(cluster)
    cluster.retry()
    assert cluster[cluster.leader].membership == Membership.of({1, 2, 3, 4})
    assert cluster.nodes[4].machine == [b"kept"]


@pytest.mark.row("DS-06")
def test_a_node_that_comes_and_goes_a_hundred_times_changes_no_leader() -> None:
    cluster = Cluster(1, 2, 3, config=POLITE)
    cluster.elect(1)
    for n in range(1, 101):
        cluster.isolate(3)
        cluster.fire(3)
        cluster.write(f"w{n}", first=n)
        cluster.run()
        cluster.heal()
        cluster.beat()
    assert (cluster.leader, cluster[1].term) == (1, 1)
    assert all(isinstance(cluster.outcomes[n], Entry) for n in range(1, 101))


@pytest.mark.row("DS-08")
def test_a_follower_takes_entries_from_a_leader_it_does_not_know_as_a_member() -> None:
    stranger = append_request(9, 2, id_of(1), entries([(2, 9)], 2))
    turn = step(follower(2, [1]), stranger)
    assert turn.after.leader == 9
    assert isinstance(answers(turn)[0], AppendAccepted)


@pytest.mark.row("DS-10")
def test_who_hears_the_leader_refuses_who_does_not() -> None:
    cluster = Cluster(1, 2, 3, config=POLITE)
    cluster.elect(1)
    cluster.cut((1, 3), (3, 1))
    for n in range(1, 6):
        cluster.fire(3)
        cluster.write(f"w{n}", first=n)
        cluster.beat()
        cluster.fire(1, lease(n))
    assert (cluster.leader, cluster[1].term, cluster[3].term) == (1, 1, 1)
    assert cluster.nodes[2].machine == [b"w1", b"w2", b"w3", b"w4", b"w5"]


@pytest.mark.row("DS-10")
def test_without_courtesy_the_terms_grow_and_work_goes_on_between() -> None:
    cluster = Cluster(1, 2, 3, config=RUDE)
    cluster.elect(1)
    cluster.cut((1, 3), (3, 1))
    for n in range(1, 6):
        for id in (1, 3):
            if isinstance(cluster[id].role, Leader):
                cluster.beat(id)
        for id in (1, 3):
            if ELECTION in cluster.nodes[id].timers:
                cluster.fire(id)
                cluster.run()
        pass_time(cluster)
        cluster.write(f"w{n}", first=n)
        cluster.retry()
    assert cluster[2].term >= 5
    assert sum(isinstance(outcome, Entry) for outcome in cluster.outcomes.values()) >= 3


@pytest.mark.row("DS-11", "CM-14")
def test_a_thousand_messages_of_a_dead_leadership_change_nothing() -> None:
    state = after(follower(2, [1, 4], term=5), heartbeat(3, 5, id_of(2, 4)))
    old = [append_request(1, term % 5, id_of(1), entries([1, 1], 2), commit=3) for term in range(1000)]
    for word in old:
        turn = step(state, word)
        assert turn.after == state
        assert answers(turn) == [Outdated(vote=state.vote)]


@pytest.mark.row("DS-11")
def test_answers_to_a_dead_leadership_change_nothing() -> None:
    state = streaming(leader(1, [1], term=5))
    vote = Vote(2, 1, committed=True)
    late: list[Event] = [
        Receive(2, AppendAccepted(vote=vote, matched=id_of(9), round=1)),
        Receive(2, HeartbeatResponse(vote=vote, round=1)),
        Receive(2, SnapshotResponse(vote=vote, last=id_of(1), offset=7, round=1)),
        refusal(2, 3, vote=Vote(3, 2)),
    ]
    assert after(state, *late) == state


@pytest.mark.row("DS-12")
@pytest.mark.parametrize(
    "word",
    [
        Receive(1, AppendRequest(vote=Vote(9, 1), prev=ORIGIN)),
        Receive(1, AppendRequest(vote=Vote(9, 3, committed=True), prev=ORIGIN)),
        Receive(1, VoteRequest(vote=Vote(9, 3), last=id_of(9))),
        Receive(1, VoteRequest(vote=Vote(9, 1, committed=True), last=id_of(9))),
        Receive(1, PreVoteRequest(vote=Vote(9, 3), last=id_of(9))),
        Receive(2, VoteRequest(vote=Vote(9, 2), last=id_of(9))),
        append_request(1, 0, ORIGIN),
    ],
)
def test_who_speaks_for_another_is_not_heard(word: Receive) -> None:
    state = follower(2, [1], leader=1)
    turn = step(state, word)
    assert turn.after == state
    assert all(isinstance(send.message, Outdated) for send in sends(turn))


def test_an_impossible_history_stops_the_node_for_good() -> None:
    turn = step(follower(2, [1, 1], committed=2, leader=3), append_request(3, 1, id_of(1), entries([(1, 3)], 2)))
    assert turn.commands[-1] == Halt(
        "n3 sends entry 2 of term 1 as leader, but another entry is committed at that index"
    )
    for word in (vote_request(1, 9, id_of(9)), append_request(3, 2, ORIGIN)):
        assert step(turn.after, word).commands == ()
        assert step(turn.after, word).after == turn.after


@pytest.mark.row("DS-04")
def test_a_member_that_is_free_judges_a_stranger_by_its_log() -> None:
    free = follower(2, [1, 1])
    assert after(free, vote_request(77, 9, id_of(1))).vote == Vote(9)
    assert isinstance(after(free, vote_request(77, 9, id_of(1))).role, Follower)


def test_a_leader_in_contact_refuses_to_be_deposed() -> None:
    state = streaming(leader(1, config=NO_PRE_VOTE))
    assert isinstance(after(state, vote_request(3, 9, id_of(99))).role, Leader)
    lapsed = step(after(state, *[]), vote_request(3, 9, id_of(99), transfer=True))
    assert isinstance(lapsed.after.role, Follower)


def members(cluster: Cluster) -> set[NodeId]:
    """Who belongs, as the leader sees it."""
    return set(Membership(cluster[cluster.leader].membership.configs))


def test_a_removed_server_that_was_told_stays_quiet() -> None:
    cluster = removed(RUDE, told=True)
    cluster.retry()
    assert members(cluster) == {1, 2, 3}
    assert VOTE_LEASE not in cluster.nodes[4].timers
