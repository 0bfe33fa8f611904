"""A server that loses its disk: what the cluster notices, what an operator must say, and what may be lost."""

import pytest

from pyraft_lab.check.liveness import liveness
from pyraft_lab.check.refinement import refine
from pyraft_lab.engine.state import Disk
from pyraft_lab.errors import PyraftError, UnknownNode
from pyraft_lab.sim.disk import NO_DISK_FAULTS
from pyraft_lab.sim.faults.plan import Crash, Plan, Wipe
from pyraft_lab.sim.faults.run import simulate_plan
from pyraft_lab.sim.simulation import Simulation

PUT = {"op": "put", "key": "x", "value": 1}


def written(nodes: int = 3) -> tuple[Simulation, int, list[int]]:
    """A cluster with one committed write, its leader and its followers."""
    sim = Simulation(nodes, seed=7)
    leader = sim.run_until(lambda s: s.leader)
    assert leader is not None
    sim.write(PUT)
    sim.run(0.5)
    return sim, leader, [node for node in sim.nodes if node != leader]


def lose_disk(sim: Simulation, node: int) -> None:
    sim.crash(node)
    sim.wipe(node)
    sim.restart(node)


def test_a_wiped_disk_holds_nothing_and_is_sound() -> None:
    sim, _, (victim, _) = written()
    sim.snapshot(victim)
    sim.run(0.1)
    sim.break_disk(victim, slow=5.0, corrupt=2)
    sim.crash(victim)
    record = sim.wipe(victim)
    node = sim.nodes[victim]
    assert (node.disk, node.log.last.index, node.commit, node.up) == (Disk(), 0, 0, False)
    assert (node.node.snapshots, node.node.disk_faults) == ((), NO_DISK_FAULTS)
    assert node.sessions.query("x") is None
    assert str(record).endswith("gets an empty disk: everything it had promised or stored is lost")


def test_only_a_server_that_is_down_can_be_wiped() -> None:
    sim, leader, _ = written()
    with pytest.raises(PyraftError, match=f"node {leader} is up; crash it before its disk can be replaced"):
        sim.wipe(leader)
    with pytest.raises(UnknownNode):
        sim.wipe(9)


def test_a_wiped_voter_gets_nothing_until_the_operator_allows_it() -> None:
    sim, leader, (victim, _) = written()
    lose_disk(sim, victim)
    sim.write(PUT | {"value": 2})
    sim.run(1)
    assert sim.nodes[victim].log.last.index == 0
    assert [one.name for one in liveness(sim)][:1] == ["taken back in the end"]
    assert f"allow_revert({victim})" in liveness(sim)[0].what
    sim.allow_revert(victim)
    sim.run(1)
    assert (sim.leader, sim.nodes[victim].machine.query("x")) == (leader, 2)
    assert sim.violations == []
    assert liveness(sim) == ()
    assert refine(sim.trace.records) == ()


def test_a_wiped_learner_is_sent_the_log_again() -> None:
    sim, _, _ = written()
    sim.add_learner(4)
    sim.run(0.5)
    lose_disk(sim, 4)
    sim.allow_revert(4)
    sim.run(1)
    assert sim.nodes[4].machine.query("x") == 1
    assert sim.violations == []


def test_an_acknowledgement_that_left_before_the_disk_was_lost_is_believed() -> None:
    sim, leader, (victim, other) = written()
    sim.pause(other)
    sim.hold()
    sim.release()
    sim.write(PUT | {"value": 2})
    sim.run_until(lambda s: any(one.src == victim and one.dst == leader for one in s.flying), timeout=1)
    lose_disk(sim, victim)
    sim.run(0.3)
    assert sim.violations == []


def test_a_wiped_voter_may_elect_a_leader_that_lacks_what_was_committed_and_that_is_a_violation() -> None:
    sim, leader, (victim, lagging) = written()
    sim.partition({lagging})
    call = sim.write(PUT | {"value": 2})
    sim.run(0.1)
    assert call.ok
    sim.crash(leader)
    lose_disk(sim, victim)
    sim.heal()
    sim.run_until(lambda s: s.leader == lagging, timeout=10)
    assert "leader completeness" in {one.name for one in sim.violations}
    assert refine(sim.trace.records) == ()


def test_a_run_with_a_lost_disk_is_the_same_in_its_capsule_and_in_a_fork() -> None:
    sim, _, (victim, _) = written()
    lose_disk(sim, victim)
    sim.allow_revert(victim)
    sim.run(1)
    assert Simulation.from_capsule(sim.capsule()).trace.digest() == sim.trace.digest()
    wiped = next(record for record in sim.trace.records if record.kind == "wipe")
    before, after = sim.fork(at=wiped.id - 1), sim.fork(at=wiped.id)
    assert (before.nodes[victim].disk == Disk(), after.nodes[victim].disk == Disk()) == (False, True)
    after.restart(victim)
    after.allow_revert(victim)
    after.run(1)
    assert after.violations == []


def test_the_entries_of_a_wiped_disk_are_gone_when_it_is_wiped() -> None:
    sim, _, (victim, _) = written()
    sim.crash(victim)
    wiped = sim.wipe(victim)
    entries = sim.trace.entries
    mine = entries[entries["node"] == victim]
    assert set(mine["truncated"]) == {wiped.time}


def test_a_plan_may_cost_a_server_its_disk() -> None:
    plan = Plan(nodes=3, seed=4, seconds=6, faults=(Wipe(at=2, lasts=1, node=1),))
    assert Plan.parse(plan.dump()) == plan
    sim = simulate_plan(plan)
    assert [record.kind for record in sim.trace.records if record.kind in ("crash", "wipe")] == ["crash", "wipe"]
    assert sim.nodes[1].up
    assert len({node.log.last for node in sim.nodes.values()}) == 1
    assert sim.violations == []


def test_a_plan_may_leave_it_to_the_leader_whether_a_lost_disk_comes_back() -> None:
    sim = simulate_plan(Plan(nodes=3, seed=4, seconds=6, faults=(Wipe(at=2, lasts=1, node=1, allowed=False),)))
    assert not [record for record in sim.trace.records if record.kind == "revert"]


def test_a_server_that_is_down_already_is_not_wiped_by_a_plan() -> None:
    sim = simulate_plan(
        Plan(nodes=3, seed=4, seconds=6, faults=(Crash(at=1, lasts=2, node=1), Wipe(at=2, lasts=1, node=1)))
    )
    assert not [record for record in sim.trace.records if record.kind == "wipe"]
