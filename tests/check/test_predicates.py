"""Predicates in plain words agree with what the explorer judges by itself."""

import pytest
from msgspec.structs import replace

from pyraft_lab import RAFT, Bounds, Simulation, explore, invariants, raft
from pyraft_lab.check.explore.explorer_state import NO_SNAPSHOTS, ExplorerState, cluster
from pyraft_lab.engine.messages import VoteRequest
from pyraft_lab.engine.rules import VoteRefusal, supersedes
from pyraft_lab.engine.state import RaftState
from pyraft_lab.errors import ConfigError
from pyraft_lab.sim.world import World as SimulatedWorld


def blind_to_logs(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """A vote for whoever asks first, however little its log holds."""
    return None if supersedes(request.vote, state.vote) else VoteRefusal.VOTE


def test_raft_keeps_them_in_every_world() -> None:
    report = explore(3, bounds=Bounds(timeouts=1, writes=1), invariants=invariants)
    assert report.exhausted
    assert not report.broken


def test_a_leader_that_lacks_what_is_committed_is_named() -> None:
    report = explore(3, engine=raft(replace(RAFT, vote_refusal=blind_to_logs)), bounds=Bounds(timeouts=2, writes=1))
    assert report.broken == "leader completeness"
    assert report.end is not None
    assert [name for name, holds in invariants.items() if not holds(report.end)] == ["the newest leader knows all"]


def test_they_judge_the_world_of_a_simulation_as_well() -> None:
    sim = Simulation(3, seed=1)
    leader = sim.run_until(lambda now: now.leader)
    assert leader is not None
    sim.crash(leader)
    sim.run_until(lambda now: now.leader)
    assert all(holds(sim.world) for holds in invariants.values()), "who is down does not count"
    two = dict.fromkeys((1, 2), sim.world.nodes[sim.leader or 0])
    assert not invariants["one leader a term"](replace(sim.world, nodes=two))


def test_they_judge_a_simulation_its_world_and_a_state_of_the_explorer_and_refuse_anything_else() -> None:
    sim = Simulation(3, seed=1)
    for holds in invariants.values():
        assert holds(sim)
        assert holds(sim.world)
        assert holds(sim.fork().world)
        assert holds(cluster(3))
        with pytest.raises(ConfigError, match="must be a simulation, its world, or a state of the explorer"):
            holds(sim.trace)  # type: ignore[arg-type]


def test_a_simulation_can_watch_them_after_every_event() -> None:
    sim = Simulation(3, seed=1)
    for name, holds in invariants.items():
        sim.always(name, holds)
    sim.run(1)
    assert list(sim.properties["holds"]) == [True] * len(invariants)
    assert not sim.violations


def test_a_predicate_of_ones_own_may_be_asked_of_both_worlds() -> None:
    def has_one_leader(world: ExplorerState | SimulatedWorld) -> bool:
        return [node.state.id for node in world if node.state.leader == node.state.id] == list(world.leaders) == [1]

    sim = Simulation(3, seed=1, config=NO_SNAPSHOTS)
    sim.elect(1)
    sim.run_until(lambda now: now.leader == 1)
    assert has_one_leader(sim.world)
    assert sim.world[1].state.id == 1
    assert explore(3, goal=has_one_leader).reached is not None
