"""The model says no where the paper does."""

import pytest

from pyraft_lab.check.spec import Impossible, Line, Model, Role

THREE = (frozenset({1, 2, 3}),)
FIRST = Line(0, "first", THREE)


def model(*nodes: int) -> Model:
    made = Model()
    for node in nodes or (1, 2, 3):
        made.join(node, [FIRST])
    return made


def written(made: Model, *nodes: int) -> None:
    for node in nodes:
        made.write(node)
        made.sync(node)


def elect(made: Model, leader: int, *voters: int) -> int:
    """An election that is won; the term."""
    made.time_out(leader)
    term = made.servers[leader].term
    for voter in voters:
        made.grant(voter, leader, term)
    written(made, leader, *voters)
    for voter in voters:
        made.promise_vote(voter, leader, term)
    made.lead(leader)
    return term


def spread(made: Model, follower: int, term: int, index: int) -> None:
    made.follow(follower, term)
    made.accept(follower, index)
    written(made, follower)
    made.acknowledge(follower, term, index)


def test_a_majority_elects_and_commits() -> None:
    raft = model()
    term = elect(raft, 1, 2)
    raft.append(1, Line(term, "x"))
    spread(raft, 3, term, 2)
    written(raft, 1)
    raft.commit(1, 2)
    raft.hear_commit(3, 2)
    assert [raft.servers[node].commit for node in (1, 2, 3)] == [2, 0, 2]
    assert raft.servers[1].role is Role.LEADER


def test_a_vote_is_given_once_a_term() -> None:
    raft = model()
    raft.time_out(1)
    raft.time_out(2)
    raft.grant(3, 1, 1)
    with pytest.raises(Impossible, match="given to 1"):
        raft.grant(3, 2, 1)


def test_a_vote_counts_once_it_is_on_disk() -> None:
    raft = model()
    raft.time_out(1)
    raft.grant(2, 1, 1)
    with pytest.raises(Impossible, match="not on its disk"):
        raft.promise_vote(2, 1, 1)
    with pytest.raises(Impossible, match=r"only \[\] voted"):
        raft.lead(1)


def test_a_candidate_with_an_older_log_gets_no_vote() -> None:
    raft = model()
    raft.append(1, Line(elect(raft, 1, 2), "x"))
    raft.time_out(3)
    raft.time_out(3)
    with pytest.raises(Impossible, match="more up-to-date"):
        raft.grant(1, 3, 2)


def test_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    raft = model()
    raft.append(1, Line(elect(raft, 1, 2), "old"))
    written(raft, 1)
    raft.restart(1)
    raft.time_out(1)
    term = elect(raft, 1, 2)
    spread(raft, 3, term, 2)
    with pytest.raises(Impossible, match="earlier term"):
        raft.commit(1, 2)


def test_a_leader_counts_what_is_on_its_own_disk() -> None:
    raft = model()
    term = elect(raft, 1, 2)
    raft.append(1, Line(term, "x"))
    spread(raft, 3, term, 2)
    with pytest.raises(Impossible, match="not held by a majority"):
        raft.commit(1, 2)


def test_entries_are_accepted_behind_agreement_only() -> None:
    raft = model()
    term = elect(raft, 1, 2)
    raft.append(1, Line(term, "x"))
    raft.append(1, Line(term, "y"))
    raft.follow(3, term)
    with pytest.raises(Impossible, match="differ right before"):
        raft.accept(3, 3)


def test_a_crash_loses_what_was_not_synced() -> None:
    raft = model()
    raft.time_out(1)
    raft.write(1)
    raft.restart(1)
    assert raft.servers[1].term == 0
    with pytest.raises(Impossible, match="nothing is being written"):
        raft.sync(1)


def test_a_change_needs_a_committed_entry_of_the_term_and_a_common_voter_set() -> None:
    raft = model()
    joint, apart = (*THREE, frozenset({2, 3, 4})), (frozenset({2, 3, 4}),)
    term = elect(raft, 1, 2)
    with pytest.raises(Impossible, match="is not committed"):
        raft.append(1, Line(term, "joint", joint))
    raft.append(1, Line(term, "blank"))
    spread(raft, 3, term, 2)
    written(raft, 1)
    raft.commit(1, 2)
    with pytest.raises(Impossible, match="share no voter set"):
        raft.append(1, Line(term, "apart", apart))
    raft.append(1, Line(term, "joint", joint))
    with pytest.raises(Impossible, match="not committed"):
        raft.append(1, Line(term, "again", apart))


def test_a_snapshot_covers_what_is_committed() -> None:
    raft = model()
    with pytest.raises(Impossible, match="not committed"):
        raft.compact(1, 1)


def test_who_follows_nobody_is_sent_nothing() -> None:
    made = model()
    with pytest.raises(Impossible, match="it follows nobody"):
        made.hear_commit(1, 1)
    elect(made, 1, 2)
    with pytest.raises(Impossible, match="it follows nobody"):
        made.install(1, 1)
