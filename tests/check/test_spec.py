"""The specification says no where the paper does."""

import pytest

from pyraft_lab.check.spec import Entry, NotAllowed, Raft, Role, elect, replicate, save

THREE = (frozenset({1, 2, 3}),)
FIRST = Entry(0, "first", THREE)


def three() -> Raft:
    made = Raft()
    for node in (1, 2, 3):
        made.join(node, [FIRST])
    return made


def spread(made: Raft, follower: int, term: int, index: int) -> None:
    made.follow(follower, term)
    made.accept(follower, index)
    save(made, follower)
    made.acknowledge(follower, term, index)


def test_a_majority_elects_and_commits() -> None:
    raft = three()
    term = elect(raft, 1, votes_of=[2])
    raft.append(1, Entry(term, "x"))
    spread(raft, 3, term, 2)
    save(raft, 1)
    raft.commit(1, 2)
    raft.learn_commit(3, 2)
    assert [raft.servers[node].committed for node in (1, 2, 3)] == [2, 0, 2]
    assert raft.servers[1].role is Role.LEADER


def test_a_vote_is_given_once_a_term() -> None:
    raft = three()
    raft.start_election(1)
    raft.start_election(2)
    raft.grant_vote(3, 1, 1)
    with pytest.raises(NotAllowed, match="given to 1"):
        raft.grant_vote(3, 2, 1)


def test_a_vote_counts_once_it_is_on_disk() -> None:
    raft = three()
    raft.start_election(1)
    raft.grant_vote(2, 1, 1)
    with pytest.raises(NotAllowed, match="not on its disk"):
        raft.send_vote(2, 1, 1)
    with pytest.raises(NotAllowed, match=r"only \[\] voted"):
        raft.become_leader(1)


def test_a_candidate_with_an_older_log_gets_no_vote() -> None:
    raft = three()
    raft.append(1, Entry(elect(raft, 1, votes_of=[2]), "x"))
    raft.start_election(3)
    raft.start_election(3)
    with pytest.raises(NotAllowed, match="more up-to-date"):
        raft.grant_vote(1, 3, 2)


def test_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    raft = three()
    raft.append(1, Entry(elect(raft, 1, votes_of=[2]), "old"))
    save(raft, 1)
    raft.restart(1)
    raft.start_election(1)
    term = elect(raft, 1, votes_of=[2])
    spread(raft, 3, term, 2)
    with pytest.raises(NotAllowed, match="earlier term"):
        raft.commit(1, 2)


def test_a_leader_counts_what_is_on_its_own_disk() -> None:
    raft = three()
    term = elect(raft, 1, votes_of=[2])
    raft.append(1, Entry(term, "x"))
    spread(raft, 3, term, 2)
    with pytest.raises(NotAllowed, match="not held by a majority"):
        raft.commit(1, 2)


def test_entries_are_accepted_after_agreement_only() -> None:
    raft = three()
    term = elect(raft, 1, votes_of=[2])
    raft.append(1, Entry(term, "x"))
    raft.append(1, Entry(term, "y"))
    raft.follow(3, term)
    with pytest.raises(NotAllowed, match="differ right before"):
        raft.accept(3, 3)


def test_a_crash_loses_what_was_not_synced() -> None:
    raft = three()
    raft.start_election(1)
    raft.write(1)
    raft.restart(1)
    assert raft.servers[1].term == 0
    with pytest.raises(NotAllowed, match="nothing is being written"):
        raft.sync(1)


def test_a_change_needs_a_committed_entry_of_the_term_and_a_common_voter_set() -> None:
    raft = three()
    joint, apart = (*THREE, frozenset({2, 3, 4})), (frozenset({2, 3, 4}),)
    term = elect(raft, 1, votes_of=[2])
    with pytest.raises(NotAllowed, match="is not committed"):
        raft.append(1, Entry(term, "joint", joint))
    raft.append(1, Entry(term, "noop"))
    spread(raft, 3, term, 2)
    save(raft, 1)
    raft.commit(1, 2)
    with pytest.raises(NotAllowed, match="share no voter set"):
        raft.append(1, Entry(term, "apart", apart))
    raft.append(1, Entry(term, "joint", joint))
    with pytest.raises(NotAllowed, match="not committed"):
        raft.append(1, Entry(term, "again", apart))


def test_a_snapshot_covers_what_is_applied_and_that_is_committed() -> None:
    raft = three()
    elect(raft, 1, votes_of=[2])
    index = replicate(raft, 1, "x", to=[2])
    with pytest.raises(NotAllowed, match="not committed"):
        raft.apply(1, index)
    raft.commit(1, index)
    with pytest.raises(NotAllowed, match="not applied"):
        raft.take_snapshot(1, index)
    raft.apply(1, index)
    raft.take_snapshot(1, index)
    with pytest.raises(NotAllowed, match="is applied already"):
        raft.apply(1, index - 1)
    save(raft, 1)
    raft.restart(1)
    assert raft.servers[1].machine == ["first", "x"]


def test_an_installed_snapshot_keeps_what_agrees_and_drops_the_rest() -> None:
    raft = three()
    elect(raft, 1, votes_of=[2])
    replicate(raft, 1, "x", to=[2, 3])
    raft.commit(1, 2)
    replicate(raft, 1, "y", to=[3])
    raft.install_snapshot(3, 2)
    assert raft.servers[3].machine == ["first", "x"]
    assert len(raft.servers[3].log) == 3
    raft.servers[3].log[1:] = [Entry(0, "other"), Entry(0, "rest")]
    raft.install_snapshot(3, 2)
    assert [entry.command for entry in raft.servers[3].log] == ["first", "x"]


def test_who_follows_nobody_is_sent_nothing() -> None:
    made = three()
    with pytest.raises(NotAllowed, match="it follows nobody"):
        made.learn_commit(1, 1)
    elect(made, 1, votes_of=[2])
    with pytest.raises(NotAllowed, match="it follows nobody"):
        made.install_snapshot(1, 1)
