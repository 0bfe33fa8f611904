"""Walks: what a random walk may do, it does."""

from pyraft_lab.check.scenarios.random_walk import RandomWalk
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import GiveUp


def test_a_careful_walk_changes_one_voter_at_a_time() -> None:
    sim = Simulation(nodes=3, learners=2, seed=1)
    RandomWalk(steps=300, change=0.1, multi_voter_changes=0.0).run(sim)
    steps = [record.step for record in sim.trace.records if record.step is not None]
    wanted = {step.after.membership.configs[-1] for step in steps if step.after.membership.is_joint}
    assert wanted
    assert not sim.violations


def test_a_walk_gives_nothing_up_for_that_is_a_matter_of_time() -> None:
    sim = Simulation(nodes=3, seed=4)
    old = sim.run_until(lambda now: now.leader if now.leader and now.nodes[now.leader].commit > 1 else 0)
    sim.partition({old}, {1, 2, 3} - {old})
    sim.write({"op": "put", "key": "x", "value": 1}, to=old)
    sim.run_until(lambda now: now.nodes[old].role == "follower")
    assert GiveUp(old) in sim.pending
    RandomWalk(steps=30, crash=0.0).run(sim)
    assert not any("gives up" in record.detail for record in sim.trace.records)
