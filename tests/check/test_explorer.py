"""The explorer: exact counts, shortest counterexamples, and agreement with the plainest explorer there is."""

import pytest
from msgspec.structs import replace

from pyraft_lab.check.bounds import Bounds
from pyraft_lab.check.explorer import Report, Search, explore
from pyraft_lab.check.space import Space
from pyraft_lab.check.worlds import cluster
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import VoteRequest
from pyraft_lab.engine.rules import RAFT, Rules, VoteRefusal, commit_index, covers
from pyraft_lab.engine.state import RaftState
from tests.check.brute import brute

SMALL = {
    "two servers, two timeouts": (2, Bounds(timeouts=2, writes=1)),
    "a crash": (2, Bounds(timeouts=1, crashes=1)),
    "a slow disk": (2, Bounds(timeouts=1, writes=1, instant_disk=False)),
    "a slow disk and a crash": (2, Bounds(timeouts=1, crashes=1, instant_disk=False)),
    "a duplicate": (2, Bounds(timeouts=1, writes=1, duplicates=1)),
    "heartbeats and retries": (2, Bounds(timeouts=1, heartbeats=1, retries=1)),
    "a snapshot": (2, Bounds(timeouts=1, writes=1, snapshots=1, retries=1)),
    "three servers": (3, Bounds(timeouts=1)),
    "few terms": (2, Bounds(timeouts=3, terms=1)),
    "few entries": (2, Bounds(timeouts=1, writes=3, entries=3)),
}
each_small = pytest.mark.parametrize(("nodes", "bounds"), SMALL.values(), ids=SMALL.keys())


@each_small
def test_every_state_of_the_servers_that_exists_is_found_and_no_other(nodes: int, bounds: Bounds) -> None:
    start = cluster(nodes)
    space = Space(raft(), bounds, start)
    search = Search(space, start, {}, None)
    report = search.run(lambda *_: None)
    found = {(world.servers, world.ghost) for world in map(space.world, search.found)}
    everything, broken = brute(raft(), bounds, start)
    assert report.exhausted
    assert not broken
    assert found == {(servers, ghost) for servers, ghost, _, _ in everything}


# Golden counts: whatever changes how Raft behaves, or what the explorer looks at, changes them.

WHOLE = {
    "an election": (3, Bounds(timeouts=1), (184, 393, 10)),
    "an election and a write": (3, Bounds(timeouts=1, writes=1), (895, 2148, 15)),
    "a slow disk": (3, Bounds(timeouts=1, instant_disk=False), (895, 2460, 15)),
    "a crash": (3, Bounds(timeouts=1, crashes=1), (481, 1140, 11)),
}


@pytest.mark.parametrize(("nodes", "bounds", "expected"), WHOLE.values(), ids=WHOLE.keys())
def test_a_whole_space_has_exactly_so_many_worlds(nodes: int, bounds: Bounds, expected: tuple[int, int, int]) -> None:
    report = explore(nodes, bounds=bounds)
    assert report.exhausted
    assert not report.broken
    assert (report.worlds, report.transitions, report.depth) == expected


# Shortest counterexamples


def grants_everybody(state: RaftState, request: VoteRequest) -> None:
    """No check at all."""


def grants_without_looking_at_the_log(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    return None if covers(request.vote, state.vote) else VoteRefusal.VOTE


def half_is_enough(membership: Membership, granted: frozenset[int]) -> bool:
    return all(2 * len(granted & config) >= len(config) for config in membership.configs)


def a_majority_of_everybody_is_enough(membership: Membership, granted: frozenset[int]) -> bool:
    return 2 * len(granted & membership.voters) > len(membership.voters)


def counts_itself_unflushed(state: RaftState) -> int:
    return commit_index(replace(state, stored=state.log.last))


def counts_old_entries(state: RaftState) -> int:
    return max(state.committed, state.membership.committed_index(state.matched))


def test_a_server_that_votes_for_everybody_elects_two_leaders() -> None:
    report = hunt(replace(RAFT, vote_refusal=grants_everybody), Bounds(timeouts=2))
    assert (report.broken, len(report.path)) == ("election safety", 6)


def test_a_leader_with_half_the_votes_is_not_alone() -> None:
    report = hunt(replace(RAFT, has_won=half_is_enough), Bounds(timeouts=2), nodes=4)
    assert (report.broken, len(report.path)) == ("election safety", 6)


def test_a_leader_with_an_old_log_lacks_what_was_committed() -> None:
    report = hunt(replace(RAFT, vote_refusal=grants_without_looking_at_the_log), Bounds(timeouts=2))
    assert (report.broken, len(report.path)) == ("leader completeness", 8)


def test_a_leader_that_counts_its_own_unflushed_entry_loses_it_in_a_crash() -> None:
    bounds = Bounds(timeouts=2, crashes=1, instant_disk=False)
    report = hunt(replace(RAFT, commit_index=counts_itself_unflushed), bounds)
    assert (report.broken, len(report.path)) == ("leader completeness", 14)


def hunt(rules: Rules, bounds: Bounds, nodes: int = 3) -> Report:
    return explore(nodes, engine=raft(rules), bounds=bounds)
