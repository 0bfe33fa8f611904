"""Interrupted snapshots: every interruption meets a transfer under way, and the follower gets there in the end."""

import pytest

from pyraft_lab.check.liveness import liveness, liveness_bound
from pyraft_lab.check.mutants.code_mutants import CODE_MUTANTS
from pyraft_lab.check.scenarios import interrupted_snapshot
from pyraft_lab.check.scenarios.interrupted_snapshot import InterruptedSnapshotScenario
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.messages import SnapshotRequest
from pyraft_lab.sim.conditions import Purpose, chance
from pyraft_lab.sim.simulation import Simulation

ACTS = ("replaced", "other leader", "late chunks", "restarted", "silent", "overtaken")
CONFIG = Config(keep_logs=0, snapshot_chunk=64, snapshot_logs_since_last=1000)


def drawing(name: str) -> int:
    """A seed of this interruption."""
    place = ACTS.index(name)
    return next(seed for seed in range(100) if int(chance(seed, Purpose.FAULT, 4, 0) * len(ACTS)) == place)


@pytest.mark.parametrize("name", ACTS)
def test_a_follower_gets_the_snapshot_whatever_interrupts_it(name: str) -> None:
    sim = Simulation(3, drawing(name), config=CONFIG)
    InterruptedSnapshotScenario().run(sim)
    sim.run(liveness_bound(CONFIG))
    parts = [one.message for record in sim.trace.records for one in record.sent]
    assert len({one.offset for one in parts if isinstance(one, SnapshotRequest)}) > 2
    assert (sim.violations, liveness(sim)) == ([], ())


def test_each_interruption_has_its_seed() -> None:
    assert tuple(interrupted_snapshot._ACTS) == ACTS  # noqa: SLF001 (the seeds above stand for them)


def test_a_leader_that_sends_nothing_again_is_named() -> None:
    with CODE_MUTANTS["gives-up-at-once"].edit.applied():
        sim = Simulation(3, drawing("silent"), config=CONFIG)
        InterruptedSnapshotScenario().run(sim)
        sim.run(liveness_bound(CONFIG))
        assert "agreement in the end" in {one.name for one in liveness(sim)}
