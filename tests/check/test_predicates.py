"""Predicates in plain words agree with what the explorer judges by itself."""

from msgspec.structs import replace

from pyraft_lab import RAFT, Bounds, Simulation, explore, invariants, raft
from pyraft_lab.engine.messages import VoteRequest
from pyraft_lab.engine.rules import VoteRefusal, covers
from pyraft_lab.engine.state import RaftState


def blind_to_logs(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """A vote for whoever asks first, however little its log holds."""
    return None if covers(request.vote, state.vote) else VoteRefusal.VOTE


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
