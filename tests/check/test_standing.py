"""Liveness under standing faults: a right Raft gets on, and one that does not is named."""

import pytest
from msgspec.structs import replace

from pyraft_lab.check.standing import SETUPS, standing
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.sim.conditions import Purpose, chance
from pyraft_lab.sim.simulation import Simulation


def healed(seed: int = 7, **knobs: object) -> Simulation:
    sim = Simulation(3, seed=seed, **knobs)  # type: ignore[arg-type]
    sim.run_until(lambda s: s.leader)
    sim.run(0.5)
    return sim


def drawing(name: str) -> int:
    """A seed whose fault is the one of this name."""
    place = list(SETUPS).index(name)
    return next(s for s in range(200) if int(chance(s, Purpose.FAULT, 3, 0) * len(SETUPS)) == place)


@pytest.mark.parametrize("name", SETUPS)
def test_a_majority_gets_on_under_every_standing_fault(name: str) -> None:
    sim = healed(drawing(name))
    events = sim.world.events
    assert standing(sim) == ()
    assert sim.world.events == events


def test_a_majority_that_elects_nobody_while_the_leader_is_isolated_is_named() -> None:
    sim = healed(drawing("the leader alone")).fork(rules=replace(RAFT, has_won=lambda _members, _granted: False))
    assert "gets on under standing faults" in {one.name for one in standing(sim)}


def test_a_leader_whom_the_others_cannot_do_without_is_not_cut_off_and_not_accused() -> None:
    sim = healed(drawing("the leader alone"), config=Config(auto_leave=False))
    leader = sim.leader
    assert leader is not None
    sim.change_membership({leader, min(set(sim.nodes) - {leader})})
    sim.run(0.5)
    assert sim.nodes[leader].membership.is_joint
    assert standing(sim) == ()


def test_a_cluster_without_a_vote_lease_may_be_disturbed_and_is_not_accused() -> None:
    for seed in range(4):
        assert standing(healed(seed, config=Config(vote_lease=False))) == ()


def test_where_nobody_leads_or_nobody_can_be_spared_there_is_nothing_to_judge() -> None:
    assert standing(Simulation(3, seed=7)) == ()
    alone = Simulation(1, seed=7)
    alone.run(1)
    assert standing(alone) == ()
