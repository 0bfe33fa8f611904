"""Interrupted snapshots: every interruption meets a transfer under way, and the follower gets there in the end."""

import pytest

from pyraft_lab.check.liveness import liveness, liveness_bound
from pyraft_lab.check.mutants.code_mutants import CODE_MUTANTS
from pyraft_lab.check.obligations import ARRIVES_WHOLE, Obligations
from pyraft_lab.check.scenarios import interrupted_snapshot
from pyraft_lab.check.scenarios.interrupted_snapshot import InterruptedSnapshotScenario
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.messages import SnapshotRequest
from pyraft_lab.sim.conditions import Purpose, chance
from pyraft_lab.sim.safety import NOTHING_IMPOSSIBLE
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


@pytest.mark.parametrize(("mutant", "name"), [("takes-any-chunk", "late chunks"), ("mixes-snapshots", "other leader")])
def test_a_follower_that_takes_other_bytes_is_named(mutant: str, name: str) -> None:
    with CODE_MUTANTS[mutant].edit.applied():
        sim = Simulation(3, drawing(name), config=CONFIG, checks=(Obligations(),))
        InterruptedSnapshotScenario().run(sim)
    assert {one.name for one in sim.violations} & {ARRIVES_WHOLE, NOTHING_IMPOSSIBLE}
