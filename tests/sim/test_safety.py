"""Pure Raft breaks nothing under faults; a Raft that votes for anybody is caught."""

from random import Random

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import InstallSnapshot
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import Boot, Stored
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.messages import AnyMessage, AppendRequest, VoteRequest
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules
from pyraft_lab.engine.state import Follower, RaftState, Step
from pyraft_lab.engine.types import Index, LogId
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.safety import LEADER_APPEND_ONLY, Safety, commit_is_backed
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import Record, record_step


def anybody(_state: RaftState, _request: VoteRequest) -> None:
    """Refuses nobody a vote."""


def hasty(_state: RaftState, _message: AnyMessage) -> bool:
    return False


def sends_at_once(state: RaftState, message: AnyMessage) -> bool:
    return not isinstance(message, AppendRequest) and RAFT.waits_for_disk(state, message)


def eager(state: RaftState) -> Index:
    return state.log.last.index


def stormy(seed: int, rules: Rules = RAFT, rounds: int = 16) -> Simulation:
    """Crashes, restarts, partitions and writes at random; stops at the first violation."""
    luck, sim = Random(seed), Simulation(nodes=5, seed=seed, rules=rules, weather=Weather(loss=0.05, reorder=0.1))
    for _ in range(rounds):
        fault(sim, luck)
        for client in range(2):
            sim.write({"op": "incr", "key": "x"}, client=client)
        sim.run(0.4)
        if sim.violations:
            break
    return sim


def fault(sim: Simulation, luck: Random) -> None:
    up = [id for id, node in sim.nodes.items() if node.up]
    down = [id for id in sim.nodes if id not in up]
    match luck.randrange(6):
        case 0 if len(up) > 3:
            sim.crash(luck.choice(up))
        case 1 | 2 if down:
            sim.restart(luck.choice(down))
        case 3:
            some = set(luck.sample(sorted(sim.nodes), 2))
            sim.partition(some, set(sim.nodes) - some)
        case 4:
            sim.heal()
        case _:
            pass


@pytest.mark.parametrize("seed", range(8))
def test_raft_survives_storms(seed: int) -> None:
    sim = stormy(seed)
    assert sim.violations == []
    sim.heal()
    for id, node in sim.nodes.items():
        if not node.up:
            sim.restart(id)
    sim.run(4)
    assert {node.machine.query("x") for node in sim.nodes.values()} == {len(sim.calls)}
    assert len({node.sessions.digest() for node in sim.nodes.values()}) == 1


def test_voting_for_anybody_breaks_election_safety_or_the_single_vote() -> None:
    broken = {one.name for seed in range(12) for one in stormy(seed, replace(RAFT, vote_refusal=anybody)).violations}
    assert broken & {"election safety", "one vote a term"}


def test_committing_without_a_quorum_is_caught() -> None:
    broken = {one.name for seed in range(4) for one in stormy(seed, replace(RAFT, commit_index=eager)).violations}
    assert "commit is backed" in broken


def test_answering_before_the_disk_is_caught() -> None:
    broken = {one.name for one in stormy(1, replace(RAFT, waits_for_disk=hasty)).violations}
    assert "durable before answer" in broken


def test_a_violation_says_what_when_and_where() -> None:
    sim = stormy(1, replace(RAFT, commit_index=eager))
    first = sim.violations[0]
    assert f"event {first.event}" in str(first)
    assert sim.trace.record(first.event).time == first.time


def test_a_fork_before_a_violation_has_not_seen_it_and_finds_it_again() -> None:
    sim = stormy(1, replace(RAFT, commit_index=eager))
    first = sim.violations[0]
    fork = sim.fork(first.event - 1)
    assert fork.violations == []
    fork.run_until(lambda s: s.violations)
    assert fork.violations[0] == first


def test_a_leader_that_resumes_its_term_may_name_again_what_it_lost_and_never_sent() -> None:
    def restarted(rules: Rules) -> Simulation:
        sim = Simulation(3, seed=7, rules=rules, config=Config(leader_restore=True))
        sim.run(1)
        leader = sim.leader
        assert leader
        sim.break_disk(leader, slow=100)
        sim.write({"op": "incr", "key": "x"}, to=leader)
        sim.run(0.015)
        sim.crash(leader)
        sim.restart(leader)
        sim.run(1)
        return sim

    assert restarted(RAFT).violations == []
    unwritten = restarted(replace(RAFT, sendable=eager, waits_for_disk=sends_at_once))
    assert "log matching" in {violation.name for violation in unwritten.violations}


def test_nor_does_it_matter_that_the_lost_entry_was_truncated_before_the_crash() -> None:
    sim = Simulation(3, seed=7, config=Config(leader_restore=True))
    sim.run(1)
    leader = sim.leader
    assert leader
    sim.break_disk(leader, slow=10_000)
    sim.write({"op": "incr", "key": "x"}, to=leader)
    first = sim.nodes[leader].log.last
    sim.partition({leader}, set(sim.nodes) - {leader})
    sim.run(1)
    sim.heal()
    sim.run(1)
    assert sim.nodes[leader].log.id_at(first.index) != first
    sim.crash(leader)
    sim.mend_disk(leader)
    sim.restart(leader)
    assert sim.nodes[leader].log.id_at(first.index) == first
    assert sim.violations == []


def test_a_vote_that_the_network_doubles_later_is_given_once() -> None:
    sim = Simulation(3, seed=7, rules=ADVANCED, config=Config(pre_vote=False))
    sim.cut(1, 2)
    sim.elect(1)
    first = sim.run_until(lambda s: [one for one in s.flying if (one.src, one.dst) == (3, 1)])[0]
    sim.delay(first.id, 1.0)
    sim.elect(2)
    sim.run_until(lambda s: [one for one in s.flying if (one.src, one.dst) == (3, 2)])
    assert (sim.nodes[3].vote.term, sim.nodes[3].vote.node) == (first.message.vote.term, 2)
    sim.duplicate(first.id)
    assert sim.violations == []


def test_a_leader_that_removes_an_entry_of_its_own_is_named() -> None:
    sim = Simulation(nodes=3, seed=1)
    leader = sim.nodes[sim.run_until(lambda s: s.leader) or 0].state
    shorter = replace(leader, disk=replace(leader.disk, log=leader.log.truncate(leader.log.last.index - 1)))
    found = Safety().check(record_of(Step(leader, Stored(leader.vote, leader.log.last), shorter, ())), sim.world)
    what = f"n{leader.id} truncates its log while it leads"
    assert next((one.name, one.what) for one in found) == (LEADER_APPEND_ONLY, what)
    follower = Step(leader, Stored(leader.vote, leader.log.last), replace(shorter, role=Follower()), ())
    assert LEADER_APPEND_ONLY not in {one.name for one in Safety().check(record_of(follower), sim.world)}


def test_a_commit_of_what_the_log_has_forgotten_is_judged_by_nobody() -> None:
    sim = Simulation(nodes=3, seed=1)
    leader = sim.nodes[sim.run_until(lambda s: s.leader) or 0].state
    assert not list(commit_is_backed(replace(leader, committed=99), sim.world))
    assert list(commit_is_backed(replace(leader, committed=leader.log.last.index), sim.world))


def test_a_snapshot_of_what_was_never_committed_is_named() -> None:
    sim = Simulation(nodes=3, seed=1)
    state = sim.nodes[1].state
    meta = SnapshotMeta(LogId(7, 2, 50), state.membership)
    install = InstallSnapshot(meta)
    step = Step(state, Boot(), replace(state, disk=state.disk.after(install)), (install,))
    found = Safety().check(record_of(step), sim.world)
    assert [one.what for one in found] == ["n1 has a snapshot up to entry 50 of term 7, which was never committed"]


def record_of(step: Step) -> Record:
    return record_step(step, id=99, time=0.0)
