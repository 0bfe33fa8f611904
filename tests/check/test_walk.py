"""Walks: what a random walk may do, it does."""

from pyraft_lab.check.walk import Walk
from pyraft_lab.sim.simulation import Simulation


def test_a_careful_walk_changes_one_voter_at_a_time() -> None:
    sim = Simulation(nodes=3, learners=2, seed=1)
    Walk(steps=300, change=0.1, bold=0.0).run(sim)
    steps = [record.step for record in sim.trace.records if record.step is not None]
    wanted = {step.after.membership.configs[-1] for step in steps if step.after.membership.is_joint}
    assert wanted
    assert not sim.violations
