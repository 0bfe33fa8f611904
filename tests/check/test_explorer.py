"""The explorer: exact counts, shortest counterexamples, and agreement with the plainest explorer there is."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace

from pyraft_lab.check.explore.bounds import Bounds, choices, full_budget
from pyraft_lab.check.explore.explorer import Search, explore
from pyraft_lab.check.explore.explorer_state import NO_SNAPSHOTS, Crash, Deliver, ExplorerState, cluster
from pyraft_lab.check.explore.report import Report
from pyraft_lab.check.explore.state_space import StateSpace
from pyraft_lab.check.explore.symmetry import Symmetry
from pyraft_lab.check.mutants.faulty_rules import without_sessions
from pyraft_lab.concurrency import Serial
from pyraft_lab.engine.commands import SaveVote
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.events import Boot, Event
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import SnapshotRequest, VoteResponse
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import Candidate, RaftState, Step
from pyraft_lab.errors import ConfigError, EmptyMembership, PyraftError
from pyraft_lab.sim.facts import Halted, facts_of
from pyraft_lab.sim.simulation import Simulation
from tests.absurd import DEEP, INF, NAN, NO_FLAG, NO_INDEX
from tests.check import broken
from tests.check.brute import brute

LEASES, CHUNKS = replace(NO_SNAPSHOTS, vote_lease=True), replace(NO_SNAPSHOTS, snapshot_chunk=512)
SMALL: Mapping[str, tuple[int | ExplorerState, Bounds]] = {
    "a read": (2, Bounds(timeouts=1, reads=1)),
    "a read by a lease": (cluster(2, config=LEASES), Bounds(timeouts=2, leases=2, lease_reads=1)),
    "a lease and a crash": (cluster(2, config=LEASES), Bounds(timeouts=2, leases=1, lease_reads=1, crashes=1)),
    "a transfer": (2, Bounds(timeouts=1, transfers=1, leases=1)),
    "a command sent again": (2, Bounds(timeouts=1, writes=1, resends=1)),
    "two servers, two timeouts": (2, Bounds(timeouts=2, writes=1)),
    "a crash": (2, Bounds(timeouts=1, crashes=1)),
    "a slow disk": (2, Bounds(timeouts=1, writes=1, instant_disk=False)),
    "a slow disk and a crash": (2, Bounds(timeouts=1, crashes=1, instant_disk=False)),
    "a duplicate": (2, Bounds(timeouts=1, writes=1, duplicates=1)),
    "heartbeats and retries": (2, Bounds(timeouts=1, heartbeats=1, retries=1)),
    "a snapshot": (2, Bounds(timeouts=1, writes=1, snapshots=1, retries=1)),
    "a snapshot in two chunks": (
        cluster(2, config=CHUNKS),
        Bounds(timeouts=1, writes=1, snapshots=1, retries=1, crashes=1),
    ),
    "three servers": (3, Bounds(timeouts=1)),
    "few terms": (2, Bounds(timeouts=3, terms=1)),
    "few entries": (2, Bounds(timeouts=1, writes=3, entries=3)),
}
each_small = pytest.mark.parametrize(("nodes", "bounds"), SMALL.values(), ids=SMALL.keys())


@pytest.mark.row("FZ-06")
@each_small
def test_every_state_of_the_servers_that_exists_is_found_and_no_other(
    nodes: int | ExplorerState, bounds: Bounds
) -> None:
    space, search = searched(nodes, bounds)
    found = {(world.servers, world.history) for world in map(space.world, search.found)}
    everything, broken = brute(raft(), bounds, start_of(nodes))
    assert not broken
    assert found == {(servers, history) for servers, history, _, _ in everything}


@each_small
def test_a_symmetric_search_finds_one_of_all_worlds_that_differ_by_names(
    nodes: int | ExplorerState, bounds: Bounds
) -> None:
    space, search = searched(nodes, bounds)
    name = Symmetry(space).representative
    assert explore(nodes, bounds=bounds, symmetric=True).worlds == len({name(world) for world in search.found})


def start_of(nodes: int | ExplorerState) -> ExplorerState:
    return cluster(nodes) if isinstance(nodes, int) else nodes


def searched(nodes: int | ExplorerState, bounds: Bounds) -> tuple[StateSpace, Search]:
    start = start_of(nodes)
    space = StateSpace(raft(), bounds, start)
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

SLOW = Bounds(timeouts=2, crashes=1, instant_disk=False)
TWO = Bounds(timeouts=2)
VIOLATIONS: Mapping[str, tuple[int, Engine, Bounds, str, int]] = {
    "votes for everybody": (3, raft(broken.VOTES_FOR_EVERYBODY), TWO, "election safety", 6),
    "votes twice a term": (3, raft(broken.VOTES_TWICE), TWO, "election safety", 6),
    "forgets its vote": (3, broken.ForgetsItsVote(), replace(TWO, crashes=1), "election safety", 7),
    "half is a quorum": (4, raft(broken.HALF_IS_ENOUGH), TWO, "election safety", 6),
    "does not compare logs": (3, raft(broken.IGNORES_THE_LOG), TWO, "leader completeness", 8),
    "counts itself unflushed": (3, raft(broken.COUNTS_ITSELF_UNFLUSHED), SLOW, "commit is backed", 8),
    "answers before it is on disk": (3, raft(broken.ANSWERS_BEFORE_THE_DISK), SLOW, "commit is backed", 7),
}
each_violation = pytest.mark.parametrize(
    ("nodes", "engine", "bounds", "name", "length"), VIOLATIONS.values(), ids=VIOLATIONS.keys()
)


@each_violation
def test_a_mistake_has_a_shortest_story(nodes: int, engine: Engine, bounds: Bounds, name: str, length: int) -> None:
    report = explore(nodes, engine=engine, bounds=bounds)
    assert (report.broken, len(report.path)) == (name, length), report.story()
    assert name in {violation.name for violation in report.simulation().violations}


def test_up_to_names_the_story_is_as_short_and_as_true() -> None:
    engine = raft(broken.IGNORES_THE_LOG)
    report = explore(3, engine=engine, bounds=TWO, symmetric=True)
    assert (report.broken, len(report.path)) == ("leader completeness", 8)
    assert "leader completeness" in {violation.name for violation in report.simulation().violations}


def test_a_story_tells_an_act_a_line() -> None:
    report = explore(3, engine=broken.ForgetsItsVote(), bounds=replace(TWO, crashes=1))
    lines = report.story().splitlines()
    assert lines[0] == "  1 n1: its election timer fires"
    assert lines[3] == "  4 n2 crashes and restarts"
    assert lines[6] == "  7 n3 receives VoteResponse from n2"


def test_a_disk_that_raft_did_not_write_stops_the_server() -> None:
    report = explore(3, engine=ForgetsEverything(), bounds=Bounds(timeouts=1, crashes=1))
    assert report.broken == "nothing impossible"
    assert isinstance(report.path[-1], Crash)


class ForgetsEverything(broken.ForgetsItsVote, frozen=True):
    """Writes no vote at all."""

    def step(self, state: RaftState, event: Event) -> Step:
        done = super().step(state, event)
        return replace(done, commands=tuple(one for one in done.commands if not isinstance(one, SaveVote)))


# Stages


def test_figure_8_is_reached_in_stages() -> None:
    report = figure_8(raft(broken.COMMITS_BY_COUNTING))
    simulation = report.simulation()
    assert report.broken == "leader completeness"
    assert "leader completeness" in {violation.name for violation in simulation.violations}
    assert simulation.leader == 2


def test_raft_survives_figure_8() -> None:
    assert not figure_8(raft()).broken


def figure_8(engine: Engine) -> Report:
    """1 leads and writes; 2 leads and writes elsewhere; 1 leads again and spreads its old entry; 2 returns."""
    world = cluster(3, config=replace(NO_SNAPSHOTS, max_append_entries=1), engine=engine)
    for node, term, timeouts in ((1, 1, 1), (2, 2, 1), (1, 3, 2)):
        report = explore(world, engine=engine, bounds=Bounds(timeouts=timeouts), goal=leads(node, term))
        world = reached(report).quiet()
    return explore(world, engine=engine, bounds=Bounds(timeouts=2, retries=1, worlds=20_000))


def leads(node: int, term: int) -> Callable[[ExplorerState], bool]:
    return lambda world: node in world.leaders and world[node].state.term >= term


def reached(report: Report) -> ExplorerState:
    assert report.reached is not None, report
    return report.reached


def test_a_change_that_a_majority_of_all_commits_is_not_backed_by_the_old_voters() -> None:
    report = change_alone(broken.JOINT_AS_UNION, {4, 5})
    assert (report.broken, len(report.path)) == ("commit is backed", 6)
    assert "commit is backed" in {violation.name for violation in report.simulation().violations}


def test_a_change_in_one_step_splits_the_cluster() -> None:
    rules = broken.CHANGES_IN_ONE_STEP
    changed = change_alone(rules, {3, 4, 5})
    report = explore(reached(changed).quiet(), engine=raft(rules), bounds=Bounds(timeouts=1))
    assert report.broken == "leader completeness"
    assert "leader completeness" in {violation.name for violation in report.simulation().violations}


@pytest.mark.parametrize("goal", [{4, 5}, {3, 4, 5}])
def test_under_raft_the_old_majority_has_to_agree(goal: set[int]) -> None:
    changed = change_alone(RAFT, goal)
    assert changed.reached is None
    assert changed.exhausted


def change_alone(rules: Rules, goal: set[int]) -> Report:
    """3 leads, and commits a change of membership that neither 1 nor 2 has heard of."""
    engine, start = raft(rules), Membership.of({1, 2, 3}, learners={4, 5})
    led = explore(start, engine=engine, bounds=Bounds(), goal=lambda world: world[3].state.committed == 2)
    return explore(
        reached(led).quiet(),
        engine=engine,
        bounds=Bounds(timeouts=0, retries=2, changes=(goal,)),
        goal=lambda world: world[3].state.committed > 2 and all(world[old].state.log.last.index < 3 for old in (1, 2)),
    )


def test_a_search_starts_from_the_present_of_a_simulation() -> None:
    simulation = Simulation(nodes=3, seed=3, rules=broken.IGNORES_THE_LOG, config=NO_SNAPSHOTS)
    simulation.run_until(lambda sim: sim.leader)
    before = simulation.trace.digest()
    report = explore(simulation, bounds=Bounds(timeouts=1))
    assert report.broken == "leader completeness"
    assert "leader completeness" in {violation.name for violation in report.simulation().violations}
    assert simulation.trace.digest() == before


def test_in_a_stage_every_server_is_up_and_every_link_whole() -> None:
    simulation = Simulation(nodes=3, seed=3, config=NO_SNAPSHOTS)
    leader = simulation.run_until(lambda sim: sim.leader)
    assert leader is not None
    simulation.run(0.2)
    simulation.crash(leader)
    simulation.partition({1}, {2}, {3})
    report = explore(simulation, bounds=Bounds(timeouts=1), goal=lambda world: leader in world.leaders)
    assert reached(report)[leader].state.term == 2
    assert report.simulation().leader == leader


# What else may happen


def test_a_replay_builds_and_installs_snapshots() -> None:
    world = reached(explore(3, bounds=Bounds(writes=1), goal=lambda world: world[1].state.applied == 3)).quiet()
    bounds = Bounds(timeouts=0, retries=2, snapshots=1)

    def has_installed(world: ExplorerState) -> bool:
        return all(world[node].state.snapshot_last.index == 3 for node in (1, 3))

    report = explore(world, bounds=bounds, goal=has_installed)
    assert {"Restored", "SnapshotRequest"} <= set(report.facts_seen)
    replayed = report.simulation().nodes[3]
    assert replayed.disk.snapshot is not None
    assert replayed.machine.query("x") == 1


def test_of_a_snapshot_that_was_replaced_before_anything_arrived_the_newest_is_sent() -> None:
    def is_sent(index: int) -> Callable[[ExplorerState], bool]:
        return lambda world: any(
            isinstance(one.message, SnapshotRequest) and one.message.meta.last.index == index for one in world.messages
        )

    world = reached(explore(3, bounds=Bounds(writes=1), goal=lambda world: world[1].state.applied == 3)).quiet()
    sending = reached(explore(world, bounds=Bounds(timeouts=0, retries=1, snapshots=1), goal=is_sent(3)))
    report = explore(sending, bounds=Bounds(timeouts=0, writes=1, retries=1, snapshots=1), goal=is_sent(4))
    assert report.reached is not None
    assert report.simulation().nodes[1].state.snapshot_last.index == 4


def test_a_replay_delivers_what_was_duplicated() -> None:
    def has_refused(world: ExplorerState) -> bool:
        return any(isinstance(one.message, VoteResponse) and not one.message.granted for one in world.messages)

    once = explore(2, bounds=Bounds(timeouts=1), goal=has_refused)
    twice = explore(2, bounds=Bounds(timeouts=1, duplicates=1), goal=has_refused)
    assert once.reached is None
    assert [isinstance(act, Deliver) and act.again for act in twice.path].count(True) == 1
    assert twice.simulation().nodes[2].term == 1


# Promises of the caller's


def test_an_invariant_of_ones_own_is_judged_in_every_world() -> None:
    report = explore(3, bounds=TWO, invariants={"one candidate at a time": one_candidate})
    assert (report.broken, len(report.path)) == ("one candidate at a time", 2)
    assert report.end is not None
    assert not one_candidate(report.end)
    assert not report.simulation().violations


def one_candidate(world: ExplorerState) -> bool:
    return sum(isinstance(server.state.role, Candidate) for server in world) < 2


def test_an_invariant_may_be_broken_from_the_start() -> None:
    report = explore(3, invariants={"somebody leads": lambda world: bool(world.leaders)})
    assert (report.broken, report.path) == ("somebody leads", ())


def test_a_search_says_what_it_never_came_to() -> None:
    sometimes = {"a leader": lambda world: bool(world.leaders), "two leaders": lambda world: len(world.leaders) == 2}
    assert explore(3, bounds=Bounds(timeouts=1), sometimes=sometimes).never == ("two leaders",)
    assert explore(3, bounds=Bounds(timeouts=2, depth=6), sometimes=sometimes).never == ()


def test_two_elections_up_to_names_show_what_one_does_not() -> None:
    one = explore(3, bounds=Bounds(timeouts=1))
    two = explore(3, bounds=Bounds(timeouts=2), symmetric=True)
    assert (two.worlds, two.transitions, two.depth) == (10_912, 40_617, 20)
    assert one.facts_seen == ("AppendAccepted", "AppendRequest", "Committed", "Elected", "VoteRequest", "VoteResponse")
    assert set(two.facts_seen) - set(one.facts_seen) == {"AppendRefused", "Outdated", "Truncated"}


# Bounds


def test_a_search_stops_at_its_bounds_and_says_that_there_is_more() -> None:
    shallow = explore(3, bounds=Bounds(timeouts=1, depth=3))
    few = explore(3, bounds=Bounds(timeouts=1, worlds=100))
    assert (shallow.exhausted, shallow.depth) == (False, 3)
    assert not few.exhausted
    assert 100 <= few.worlds < 184
    assert "not finished: the 3 levels asked for, and there are more" in str(shallow)
    assert "and there are more states than 100" in str(few)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("timeouts", value) for value in (*NO_INDEX, INF)),
        *(("worlds", value) for value in (*NO_INDEX, 0)),
        *(("instant_disk", value) for value in NO_FLAG),
        *(("changes", value) for value in ("12", 5, None, NAN, [5], [{0}], range(10**12))),
    ],
)
def test_bounds_refuse_what_makes_no_sense(name: str, value: Any) -> None:
    with pytest.raises((ConfigError, EmptyMembership)) as refused:
        Bounds(**{name: value})
    assert name in str(refused.value) or name == "changes"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("start", value) for value in (None, "3", 0, -1, 1.5, True, 2**53, {1, 2}, DEEP, object())],
        *[("engine", value) for value in (5, "raft", RAFT, Engine)],
        *[(name, value) for name in ("invariants", "sometimes") for value in (5, "x", ["a"], {1: len}, {"a": 5})],
        *[(name, value) for name in ("goal", "progress") for value in (5, "x", ["a"])],
        *[("symmetric", value) for value in NO_FLAG],
    ],
)
def test_a_search_refuses_what_cannot_be_before_it_begins(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        explore(**{"start": 2, name: value})


def test_where_nothing_was_found_there_is_nothing_to_replay() -> None:
    with pytest.raises(PyraftError, match="found no violation"):
        explore(2).simulation()


def test_progress_is_told_level_by_level() -> None:
    told: list[tuple[int, int, int]] = []
    report = explore(3, bounds=Bounds(timeouts=1), progress=lambda *now: told.append(now))
    assert [depth for _, _, depth in told] == list(range(1, report.depth + 1))
    assert told[-1][:2] == (report.worlds, 0)


# Reads, transfers, commands sent again

LED = Bounds(timeouts=1)


def led() -> ExplorerState:
    """Server 1 leads, and its first entry is committed."""
    return reached(explore(3, goal=lambda world: world[1].state.committed == 2)).quiet()


def test_a_read_that_asks_no_quorum_is_stale() -> None:
    engine = raft(replace(RAFT, is_read_safe=lambda _leader, _round: True))
    report = explore(led(), engine=engine, bounds=replace(LED, reads=1))
    assert report.broken == "reads are fresh"
    assert report.simulation().leader == 2
    assert report.story().splitlines()[-1].endswith("a client asks n1 to read by index")


def test_reads_that_ask_a_quorum_are_fresh_whoever_leads() -> None:
    report = explore(led(), bounds=replace(LED, reads=1, depth=9))
    assert not report.broken
    assert {"ReadAsked", "ReadServed", "ReadRefused"} <= set(report.facts_seen)


def test_a_transfer_is_explored_and_replayed() -> None:
    report = explore(led(), bounds=Bounds(timeouts=0, transfers=1, retries=1), goal=lambda world: 2 in world.leaders)
    assert "TimeoutNow" in report.facts_seen
    assert report.simulation().leader == 2


def test_a_command_sent_again_takes_effect_once() -> None:
    bounds = Bounds(timeouts=0, writes=1, resends=1, retries=1, depth=8)
    assert explore(led(), bounds=bounds).broken == ""
    report = explore(led(), bounds=bounds, machine=without_sessions)
    assert report.broken == "every command takes effect once"
    assert report.simulation().nodes[1].machine.query("x") == 2


def test_a_commit_that_no_quorum_has_on_disk_is_found_at_once() -> None:
    engine = raft(replace(RAFT, commit_index=lambda state: state.log.last.index))
    report = explore(3, engine=engine, bounds=Bounds(timeouts=1))
    assert (report.broken, len(report.path)) == ("commit is backed", 3)


# Several processes


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_search_on_an_executor_finds_the_same(*, symmetric: bool) -> None:
    bounds = Bounds(timeouts=1, writes=1, reads=1)
    alone = explore(3, bounds=bounds, symmetric=symmetric)
    other = explore(3, bounds=bounds, symmetric=symmetric, executor=Serial())
    assert alone.exhausted
    assert other.exhausted
    for field in ("worlds", "transitions", "depth", "facts_seen"):
        assert getattr(alone, field) == getattr(other, field)


def test_processes_find_a_shortest_story_whatever_their_number() -> None:
    engine = raft(broken.VOTES_TWICE)
    alone = explore(3, engine=engine, bounds=TWO)
    found = []
    for executor in (Serial(), ProcessPoolExecutor(2), ThreadPoolExecutor(3)):
        with executor:
            found.append(explore(3, engine=engine, bounds=TWO, executor=executor))
    assert {(one.broken, one.path, one.worlds, one.transitions, one.turns) for one in found} == {
        (alone.broken, found[0].path, found[0].worlds, found[0].transitions, found[0].turns)
    }
    assert len(found[0].path) == len(alone.path)
    assert "election safety" in {violation.name for violation in found[0].simulation().violations}


def test_a_goal_is_met_on_an_executor_too() -> None:
    report = explore(3, goal=lambda world: world[1].state.committed == 2, executor=Serial())
    assert reached(report)[1].state.committed == 2


def test_a_process_that_comes_late_is_told_everything() -> None:
    """Each task runs where nothing is known, as in a process that has just started."""
    report = explore(3, bounds=Bounds(timeouts=1), executor=Forgetful())
    assert (report.worlds, report.transitions) == (184, 393)


class Forgetful(Serial):
    """Runs every task in a new thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        with ThreadPoolExecutor(1) as fresh:
            return fresh.submit(fn, *args, **kwargs)


def test_rules_that_no_process_can_import_are_refused_in_words() -> None:
    engine = raft(replace(RAFT, has_won=lambda _membership, _granted: True))
    with ProcessPoolExecutor(1) as executor, pytest.raises(ConfigError, match="another process cannot import"):
        explore(3, engine=engine, executor=executor)


# Interrupts


@pytest.mark.parametrize("calls", [1, 3])
def test_an_interrupt_ends_a_search_with_the_report_so_far(calls: int) -> None:
    told: list[int] = []

    def interrupt(worlds: int, _queued: int, _level: int) -> None:
        told.append(worlds)
        if len(told) == calls:
            raise KeyboardInterrupt

    report = explore(3, bounds=Bounds(timeouts=2), progress=interrupt)
    assert (report.interrupted, report.exhausted, report.depth) == (True, False, calls)
    assert report.worlds == told[-1]
    assert f"interrupted after {calls} level" in str(report)


SCRIPT = """
from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import explore
for symmetric in (False, True):
    report = explore(3, bounds=Bounds(timeouts=2, heartbeats=1, retries=1, depth=7), symmetric=symmetric)
    print(report.worlds, report.transitions, report.turns, report.depth)
goal = explore(3, bounds=Bounds(timeouts=2, crashes=1), goal=lambda world: len(world.leaders) == 2)
print(goal.story())
"""


def test_progress_is_told_within_a_level_too() -> None:
    told = list[tuple[int, int, int]]()
    report = explore(3, bounds=Bounds(timeouts=2, worlds=30_000), progress=lambda *now: told.append(now))
    assert len(told) > report.depth
    assert [found for found, _, _ in told] == sorted(found for found, _, _ in told)
    assert all(waiting <= found for found, waiting, _ in told)


def test_a_search_is_the_same_in_every_process() -> None:
    def output(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert output("0") == output("1")


def test_a_server_that_has_stopped_does_nothing_but_crash() -> None:
    (local, *_) = cluster(3)
    stopped = replace(local, state=replace(local.state, halted="it met the impossible"))
    acts = [act for act, _ in choices(stopped, full_budget(Bounds(crashes=1, snapshots=1)), frozenset())]
    assert acts == [Crash(1)]


def test_a_halt_is_a_fact() -> None:
    (local, *_) = cluster(3)
    step = Step(local.state, Boot(), replace(local.state, halted="it met the impossible"), ())
    assert facts_of(step) == (Halted(1, "it met the impossible"),)


def test_a_report_says_what_it_found_and_is_true_where_nothing_fell() -> None:
    bounds = Bounds(timeouts=1)
    safe = explore(3, bounds=bounds)
    assert str(safe) == (
        "1 timeout: every state seen, up to 10 steps from the start; nothing is violated "
        "(184 states, 393 steps between them)"
    )
    assert "; nothing is violated" in str(explore(3, bounds=Bounds(timeouts=1, depth=2)))
    assert str(explore(3, bounds=bounds, goal=lambda world: bool(world.leaders))).startswith(
        "1 timeout: the goal is reached after 3 steps"
    )
    mine = explore(3, bounds=bounds, invariants={"nobody leads": lambda world: not world.leaders})
    assert str(mine).startswith("1 timeout: nobody leads is violated after 3 steps; no run is shorter (")
    assert safe
    assert not mine
