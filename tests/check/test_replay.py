"""From a simulation to a search and back: nothing gets lost on the way, and what cannot be replayed says so."""

import pytest
from msgspec.structs import replace

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import explore
from pyraft_lab.check.explore.explorer_state import (
    NO_SNAPSHOTS,
    Ask,
    Compact,
    Crash,
    Deliver,
    PathStep,
    Reconfigure,
    Silence,
    Submit,
    Sync,
    Transfer,
    cluster,
    counted,
    written,
)
from pyraft_lab.check.explore.leases import Round
from pyraft_lab.check.explore.replay import replay, start_from
from pyraft_lab.check.explore.server_state import SNAPSHOT, Message
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.membership import Membership, RemoveLearners
from pyraft_lab.engine.messages import SnapshotRequest, TimeoutNow
from pyraft_lab.engine.state import Leader
from pyraft_lab.engine.types import Vote
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.simulation import Simulation


def led() -> Simulation:
    sim = Simulation(nodes=3, seed=3, config=NO_SNAPSHOTS)
    sim.run_until(lambda sim: sim.leader)
    return sim


def test_a_stage_has_what_the_simulation_has() -> None:
    sim = led()
    sim.write({"op": "put", "key": "x", "value": 1})
    world = start_from(sim)
    for server in world:
        node = sim.nodes[server.state.id]
        assert (server.state, server.disk, len(server.queue)) == (node.state, node.disk, len(node.node.batches))
        assert server.timers == set(node.node.timers)
    assert [one.message for one in world.messages] == [flight.message for flight in sim.flying]
    assert world.leaders == (sim.leader,)
    assert world.history.leaderships == {(sim.nodes[world.leaders[0]].term, sim.leader)}


def test_what_was_purged_before_the_stage_is_known_to_be_committed() -> None:
    sim = led()
    leader = sim.leader
    assert leader is not None
    for value in range(5):
        sim.write({"op": "put", "key": "x", "value": value})
    sim.run(0.5)
    for node in sim.nodes:
        sim.snapshot(node)
    sim.run(0.5)
    assert sim.nodes[leader].log.start.index > 1
    report = explore(sim, bounds=Bounds(timeouts=1, writes=1, snapshots=1, crashes=1, worlds=5_000))
    assert not report.broken


def test_a_paused_server_goes_on_in_a_stage() -> None:
    sim = led()
    sim.pause(1)
    world = start_from(sim)
    assert world.origin is not None
    assert not world.origin.nodes[1].paused
    assert sim.nodes[1].paused


def test_a_stage_goes_on_as_the_simulation_would() -> None:
    sim = led()
    goal = explore(
        sim, bounds=Bounds(timeouts=0, writes=1), goal=lambda world: min(s.state.applied for s in world) >= 2
    )
    replayed = goal.simulation()
    assert min(node.applied for node in replayed.nodes.values()) >= 2
    assert replayed.trace.records[: len(sim.trace)] == sim.trace.records


def test_a_replay_that_goes_another_way_says_so() -> None:
    never_sent = Deliver(Message(1, 2, TimeoutNow(vote=Vote(1, 1, committed=True))))
    world = replace(cluster(2), path=(PathStep(never_sent),))
    with pytest.raises(PyraftError, match="went another way"):
        replay(world, raft())


def test_a_joint_start_has_no_simulation() -> None:
    joint = Membership(configs=(frozenset({1}), frozenset({2})))
    report = explore(joint, goal=lambda world: bool(world.leaders))
    assert report.reached is not None
    with pytest.raises(PyraftError, match="one voter set"):
        report.simulation()


def test_a_leader_that_has_compacted_its_log_sends_its_newest_snapshot() -> None:
    start = explore(cluster(3), bounds=Bounds(writes=1), goal=lambda world: world[1].state.applied == 3)
    assert start.reached is not None
    bounds = Bounds(timeouts=0, retries=3, writes=1, snapshots=2, worlds=50_000)
    report = explore(start.reached.quiet(), bounds=bounds)
    assert not report.broken
    assert {"SnapshotRequest", "Restored"} <= set(report.facts_seen)


def test_a_snapshot_in_chunks_travels_so_in_its_replay() -> None:
    chunks = replace(NO_SNAPSHOTS, snapshot_chunk=len(SNAPSHOT) // 2)
    state = cluster(3, config=chunks)
    for bounds, goal in (
        (Bounds(writes=1), lambda world: world[1].state.applied == 3 and world[3].state.log.last.index == 1),
        (Bounds(timeouts=0, snapshots=1), lambda world: world[1].state.log.start.index == 3),
    ):
        reached = explore(state, bounds=bounds, goal=goal).reached
        assert reached is not None
        state = reached.quiet()
    report = explore(
        state, bounds=Bounds(timeouts=0, retries=2), goal=lambda world: world[3].state.snapshot_last.index == 3
    )
    replayed = report.simulation()
    assert replayed.nodes[3].sessions == replayed.nodes[1].sessions
    assert replayed.nodes[3].applied > 0
    delivered = [act.message.message for act in report.path if isinstance(act, Deliver)]
    assert [one.offset for one in delivered if isinstance(one, SnapshotRequest)] == [0, len(SNAPSHOT) // 2]


def test_a_start_knows_which_rounds_servers_may_have_heard() -> None:
    """What a simulation does not say is taken at its worst: no vote lease then runs out too early."""
    sim = Simulation(nodes=3, seed=3, config=replace(NO_SNAPSHOTS, vote_lease=True))
    leader = sim.run_until(lambda sim: sim.leader)
    sim.run(0.3)
    world = start_from(sim)
    assert leader is not None
    role = sim.nodes[leader].state.role
    assert isinstance(role, Leader)
    newest = Round(sim.nodes[leader].term, leader, role.round)
    assert {server.heard for server in world if server.state.id != leader} == {newest}
    assert world.history.over == {replace(newest, number=role.expired_round)}
    report = explore(world, bounds=Bounds(timeouts=1, leases=4, lease_reads=1, worlds=20_000))
    assert not report.broken


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (Submit(1, written(2)), "a client asks n1 to write {'op': 'put', 'key': 'x', 'value': 2}"),
        (
            Reconfigure(1, RemoveLearners(frozenset({2}))),
            "an operator asks n1 for RemoveLearners(learners=frozenset({2}))",
        ),
        (Submit(1, counted(2), again=True), "a client asks n1 to write {'op': 'incr', 'key': 'x'} once more"),
        (Ask(1, 1), "a client asks n1 to read by index"),
        (Ask(1, 1, "lease"), "a client asks n1 to read by lease"),
        (Transfer(1, 2), "an operator asks n1 to transfer leadership to n2"),
        (Compact(3), "n3 builds a snapshot"),
        (Sync(3), "n3: its oldest write is durable"),
        (Crash(3), "n3 crashes and restarts"),
        (Silence(), "every message on its way is lost"),
        (
            Deliver(Message(1, 2, TimeoutNow(vote=Vote())), again=True),
            "n2 receives TimeoutNow from n1, and a copy stays on its way",
        ),
    ],
)
def test_an_act_is_told_in_a_line(act: object, told: str) -> None:
    assert str(act) == told
