"""A small world: a leader cut off with entries of its own comes back to a snapshot that replaces them."""

from functools import cache

from pyraft_lab.engine.commands import InstallSnapshot
from pyraft_lab.engine.config import Config
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import Record

LATE = 1
"""The node whose log is replaced."""


@cache
def replaced() -> Simulation:
    """Node 1 holds five entries that nobody else has, one of them at the last index that its snapshot covers."""
    sim = Simulation(nodes=3, seed=4, config=Config(keep_logs=0, pre_vote=False))
    sim.elect(LATE)
    sim.run_until(lambda sim: sim.leader == LATE)
    sim.write({"op": "put", "key": "x", "value": "early"})
    sim.run(0.5)
    sim.partition({LATE}, {2, 3})
    for value in range(5):
        sim.write({"op": "put", "key": "x", "value": f"stale{value}"}, to=LATE)
    sim.run(2)
    sim.write({"op": "put", "key": "x", "value": "new"})
    sim.run(0.3)
    for other in (2, 3):
        sim.snapshot(other)
    sim.run(0.3)
    sim.heal()
    sim.run(2)
    return sim


def install() -> Record:
    """The record of the step that replaced the log."""
    return next(record for record in replaced().trace.records if record.node == LATE and _installs(record))


def _installs(record: Record) -> bool:
    return record.step is not None and any(isinstance(one, InstallSnapshot) for one in record.step.commands)
