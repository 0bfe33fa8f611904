"""The explorer: exact counts, shortest counterexamples, and agreement with the plainest explorer there is."""

from collections.abc import Callable, Mapping

import pytest
from msgspec.structs import replace

from pyraft_lab.check.bounds import Bounds
from pyraft_lab.check.explorer import Report, Search, explore
from pyraft_lab.check.space import Space
from pyraft_lab.check.symmetry import Symmetry
from pyraft_lab.check.worlds import BARE, World, cluster
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import VoteRequest
from pyraft_lab.engine.rules import RAFT, Rules, VoteRefusal, commit_index, covers
from pyraft_lab.engine.state import RaftState
from pyraft_lab.sim.simulation import Simulation
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


@pytest.mark.row("FZ-06")
@each_small
def test_every_state_of_the_servers_that_exists_is_found_and_no_other(nodes: int, bounds: Bounds) -> None:
    space, search = searched(nodes, bounds)
    found = {(world.servers, world.ghost) for world in map(space.world, search.found)}
    everything, broken = brute(raft(), bounds, cluster(nodes))
    assert not broken
    assert found == {(servers, ghost) for servers, ghost, _, _ in everything}


@each_small
def test_a_symmetric_search_finds_one_of_all_worlds_that_differ_by_names(nodes: int, bounds: Bounds) -> None:
    space, search = searched(nodes, bounds)
    name = Symmetry(space).representative
    assert explore(nodes, bounds=bounds, symmetric=True).worlds == len({name(world) for world in search.found})


def searched(nodes: int, bounds: Bounds) -> tuple[Space, Search]:
    start = cluster(nodes)
    space = Space(raft(), bounds, start)
    search = Search(space, start, invariants={})
    assert search.run(lambda *_: None).exhausted
    return space, search


# Golden counts: whatever changes how Raft behaves, or what the explorer looks at, changes them.

WHOLE = {
    "an election": (3, Bounds(timeouts=1), (184, 393, 10)),
    "an election and a write": (3, Bounds(timeouts=1, writes=1), (895, 2148, 15)),
    "a slow disk": (3, Bounds(timeouts=1, instant_disk=False), (895, 2460, 15)),
    "a crash": (3, Bounds(timeouts=1, crashes=1), (481, 1140, 11)),
}


@pytest.mark.row("FZ-04")
@pytest.mark.parametrize(("nodes", "bounds", "expected"), WHOLE.values(), ids=WHOLE.keys())
def test_a_whole_space_has_exactly_so_many_worlds(nodes: int, bounds: Bounds, expected: tuple[int, int, int]) -> None:
    report = explore(nodes, bounds=bounds)
    assert report.exhausted
    assert not report.broken
    assert (report.worlds, report.transitions, report.depth) == expected


# Shortest counterexamples


def grants_everybody(_state: RaftState, _request: VoteRequest) -> None:
    """No check at all."""


def grants_twice(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    return None if request.last >= state.log.last and request.vote.term >= state.term else VoteRefusal.VOTE


def grants_without_looking_at_the_log(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    return None if covers(request.vote, state.vote) else VoteRefusal.VOTE


def half_is_enough(membership: Membership, granted: frozenset[int]) -> bool:
    return all(2 * len(granted & config) >= len(config) for config in membership.configs)


def counts_itself_unflushed(state: RaftState) -> int:
    return commit_index(replace(state, stored=state.log.last))


def counts_old_entries(state: RaftState) -> int:
    return max(state.committed, state.membership.committed_index(state.matched))


def never_waits(_state: RaftState, _message: object) -> bool:
    return False


SLOW = Bounds(timeouts=2, crashes=1, instant_disk=False)
FALLS: Mapping[str, tuple[int, Rules, Bounds, str, int]] = {
    "votes for everybody": (3, replace(RAFT, vote_refusal=grants_everybody), Bounds(timeouts=2), "election safety", 6),
    "votes twice a term": (3, replace(RAFT, vote_refusal=grants_twice), Bounds(timeouts=2), "election safety", 6),
    "half is a quorum": (4, replace(RAFT, has_won=half_is_enough), Bounds(timeouts=2), "election safety", 6),
    "does not compare logs": (
        3,
        replace(RAFT, vote_refusal=grants_without_looking_at_the_log),
        Bounds(timeouts=2),
        "leader completeness",
        8,
    ),
    "counts itself unflushed": (
        3,
        replace(RAFT, commit_index=counts_itself_unflushed),
        SLOW,
        "leader completeness",
        14,
    ),
    "answers before it is on disk": (3, replace(RAFT, waits_for_disk=never_waits), SLOW, "election safety", 9),
}


@pytest.mark.parametrize(("nodes", "rules", "bounds", "broken", "length"), FALLS.values(), ids=FALLS.keys())
def test_a_broken_rule_has_a_shortest_story(nodes: int, rules: Rules, bounds: Bounds, broken: str, length: int) -> None:
    report = explore(nodes, engine=raft(rules), bounds=bounds)
    assert (report.broken, len(report.path)) == (broken, length), report.story()
    assert broken in {one.name for one in report.simulation().violations}


# Stages


def test_figure_8_is_reached_in_stages() -> None:
    report = figure_8(raft(replace(RAFT, commit_index=counts_old_entries)))
    simulation = report.simulation()
    assert report.broken == "leader completeness"
    assert "leader completeness" in {one.name for one in simulation.violations}
    assert simulation.leader == 2


def test_raft_survives_figure_8() -> None:
    assert not figure_8(raft()).broken


def figure_8(engine: Engine) -> Report:
    """1 leads and writes; 2 leads and writes elsewhere; 1 leads again and spreads its old entry; 2 returns."""
    world = cluster(3, config=replace(BARE, max_append_entries=1), engine=engine)
    for node, term, timeouts in ((1, 1, 1), (2, 2, 1), (1, 3, 2)):
        report = explore(world, engine=engine, bounds=Bounds(timeouts=timeouts), goal=leads(node, term))
        assert report.reached is not None
        world = report.reached.quiet()
    return explore(world, engine=engine, bounds=Bounds(timeouts=2, retries=1, worlds=20_000))


def leads(node: int, term: int) -> Callable[[World], bool]:
    return lambda world: node in world.leaders and world[node].state.term >= term


def test_a_search_starts_from_the_present_of_a_simulation() -> None:
    rules = replace(RAFT, vote_refusal=grants_without_looking_at_the_log)
    simulation = Simulation(nodes=3, seed=3, rules=rules, config=BARE)
    simulation.run_until(lambda sim: sim.leader)
    before = simulation.trace.digest()
    report = explore(simulation, bounds=Bounds(timeouts=1))
    assert report.broken == "leader completeness"
    assert "leader completeness" in {one.name for one in report.simulation().violations}
    assert simulation.trace.digest() == before
