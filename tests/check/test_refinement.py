"""The second judge explains every step of Raft, and no other."""

import re
from random import Random

import pytest
from msgspec.structs import replace

from pyraft_lab.check.campaign import RunSettings
from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import explore
from pyraft_lab.check.refinement import Refinement, compare, refine
from pyraft_lab.check.spec import Entry, NotAllowed, Raft
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation
from tests.check import broken

STORM = Weather(loss=0.05, duplicate=0.05, reorder=0.1, disk=(0.0005, 0.02))
SMALL = Config(snapshot_logs_since_last=10, keep_logs=3)


def stormy(seed: int, engine: Engine) -> Simulation:
    """A few virtual seconds in which everything goes wrong that may."""
    luck = Random(seed)
    sim = Simulation(nodes=5, learners=1, seed=seed, engine=engine, weather=STORM, config=SMALL)
    for _ in range(14):
        sim.run(luck.random() * 0.4)
        for value in range(3):
            sim.write({"op": "put", "key": "x", "value": value})
        disturb(sim, luck.randrange(6), luck.randint(1, 5))
    return sim


def disturb(sim: Simulation, trouble: int, node: int) -> None:
    match trouble:
        case 0:
            sim.crash(node)
            sim.restart(node)
        case 1:
            sim.partition({1, 2}, {3, 4, 5})
        case 2:
            sim.heal()
        case 3:
            sim.transfer(node)
        case 4:
            sim.change_membership({1, 2, 3, node})
        case _:
            sim.snapshot(node)


@pytest.mark.row("FZ-07")
@pytest.mark.parametrize("seed", range(6))
def test_whatever_goes_wrong_raft_does_what_the_specification_allows(seed: int) -> None:
    sim = stormy(seed, raft())
    assert refine(sim.trace.records) == ()


@pytest.mark.row("FZ-07")
def test_under_the_heavy_nemesis_raft_still_does() -> None:
    sim = RunSettings(seconds=5.0).run(seed=1, record=True)
    assert len(sim.trace.records) > 3_000
    assert refine(sim.trace.records) == ()


def test_the_storms_bring_what_is_hard() -> None:
    happened = {record.kind.value for seed in range(3) for record in stormy(seed, raft()).trace.records}
    assert {"restart", "partition", "transfer", "change", "snapshot", "undelivered"} <= happened


FOUND = {
    "votes for everybody": (raft(broken.VOTES_FOR_EVERYBODY), "its vote of this term is given|is more up-to-date than"),
    "half is a quorum": (raft(broken.HALF_IS_ENOUGH), "voted for it"),
    "joint as union": (raft(broken.JOINT_AS_UNION), "voted for it|not held by a majority|is not committed"),
    "commits by counting": (raft(broken.COMMITS_BY_COUNTING), "of an earlier term"),
    "counts itself unflushed": (raft(broken.COUNTS_ITSELF_UNFLUSHED), "not held by a majority"),
    "answers before it is on disk": (raft(broken.ANSWERS_BEFORE_THE_DISK), "not on its disk"),
    "changes in one step": (raft(broken.CHANGES_IN_ONE_STEP), "share no voter set"),
    "forgets its vote": (broken.ForgetsItsVote(), "its vote is"),
}


@pytest.mark.row("FZ-07")
@pytest.mark.parametrize(("engine", "why"), FOUND.values(), ids=FOUND.keys())
def test_a_mistake_is_found_within_twenty_storms(engine: Engine, why: str) -> None:
    storms = (refine(stormy(seed, engine).trace.records) for seed in range(20))
    found = next(violations for violations in storms if violations)
    assert len(found) == 1
    assert re.search(why, found[0].what)


def test_a_counterexample_is_no_run_of_the_specification() -> None:
    report = explore(3, engine=raft(broken.IGNORES_THE_LOG), bounds=Bounds(timeouts=2))
    (found,) = refine(report.simulation().trace.records)
    assert "more up-to-date than the candidate's" in found.what


def test_the_judge_watches_a_simulation_and_its_branches() -> None:
    sim = Simulation(nodes=3, seed=7, engine=raft(broken.ANSWERS_BEFORE_THE_DISK), checks=[Refinement()])
    early = sim.fork()
    sim.run(1)
    assert [violation.name for violation in sim.violations] == ["refines the specification"]
    first = sim.violations[0].event
    assert sim.fork(at=first - 1).violations == []
    assert sim.fork(at=first).violations == sim.violations
    early.run(1)
    assert early.violations == sim.violations


def test_a_cluster_that_is_founded_by_hand_can_be_followed() -> None:
    sim = Simulation(nodes=3, seed=7, initialize=False, checks=[Refinement()])
    sim.initialize({1, 2}, at=1)
    sim.run(1)
    sim.add_learner(3)
    sim.run(1)
    assert sim.leader in {1, 2}
    assert sim.nodes[3].log.last.index > 1
    assert sim.violations == []


def test_a_server_that_stopped_did_what_no_specification_allows() -> None:
    sim = Simulation(nodes=3, seed=1)
    step = sim.trace.record(0).step
    assert step is not None
    spec = Raft()
    spec.join(1, [Entry(0, "first", (frozenset({1, 2, 3}),))])
    with pytest.raises(NotAllowed, match="it stopped: it met the impossible"):
        compare(spec, replace(step, after=replace(step.after, halted="it met the impossible")))


def test_a_torn_crash_is_the_last_that_the_specification_follows() -> None:
    sim = Simulation(nodes=3, seed=7, checks=[Refinement()])
    leader = sim.run_until(lambda s: s.leader)
    assert leader is not None
    for value in range(6):
        sim.write({"op": "put", "key": "x", "value": value})
    sim.run_until(lambda s: len(s.world.nodes[leader].batches) > 0)
    sim.crash(leader, torn=0.5)
    sim.restart(leader)
    sim.run(2.0)
    assert sim.violations == []
