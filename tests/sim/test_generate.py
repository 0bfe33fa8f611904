"""The nemesis: the same seed makes the same plan, and a broken rule does not live long under it."""

import os
import subprocess
import sys
from typing import get_args

import pytest
from msgspec.structs import replace

from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.check.liveness import liveness
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules
from pyraft_lab.errors import ConfigError
from pyraft_lab.sim.faults.generate import GENERATORS, Random, generate_plan, run_with_faults
from pyraft_lab.sim.faults.plan import AnyFault, Disk, Late, Learners, Plan, Replace, Wipe, checked
from pyraft_lab.sim.faults.run import run_plan
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.workload import Load
from pyraft_lab.sim.world import Query

SCRIPT = """
from pyraft_lab.sim.faults.generate import run_with_faults
from pyraft_lab.sim.simulation import Simulation
sim = Simulation(nodes=5, seed=11)
run_with_faults(sim, "heavy", 4.0, quiet=1.0)
print(sim.trace.digest(), len(sim.trace))
"""


def generous() -> Rules:
    return replace(RAFT, vote_refusal=lambda _state, _request: None, pre_vote_refusal=lambda _state, _request: None)


def test_the_nemesis_does_the_same_in_any_process() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "77")
    }
    assert len(said) == 1


@pytest.mark.parametrize("name", GENERATORS)
def test_every_kind_of_fault_can_be_carried_out_and_violates_nothing(name: str) -> None:
    """Three of a kind overlap, while clients work."""
    random, sim = Random(3, 5), Simulation(5, seed=3)
    plan = checked([GENERATORS[name](random, at, 0.4) for at in (0.3, 0.5, 0.9)])
    calm = sim.fork()
    run_plan(sim, plan, seconds=1.5, load=Load(clients=2), quiet=None)
    run_plan(calm, (), seconds=1.5, load=Load(clients=2), quiet=None)
    assert not sim.violations
    made_a_difference = sim.trace.digest() != calm.trace.digest()
    assert made_a_difference == (name != "replace_server"), "members are never replaced, and here every server is one"


def test_each_seed_has_a_plan_of_its_own_that_is_a_valid_plan() -> None:
    plans = [generate_plan("heavy", seed=seed, nodes=5, seconds=20) for seed in range(20)]
    assert len(set(plans)) == 20
    for plan in plans:
        text = Plan(faults=plan).dump()
        assert Plan.parse(text).faults == plan


def test_a_single_server_meets_no_fault_that_takes_two() -> None:
    plans = [generate_plan("heavy", seed=seed, nodes=1, seconds=20) for seed in range(20)]
    kinds = {type(fault).__name__ for plan in plans for fault in plan}
    assert "Crash" in kinds
    assert kinds.isdisjoint({"Partition", "Cut"})


def test_every_kind_of_fault_turns_up_but_lies_and_lost_disks() -> None:
    plans = [fault for seed in range(20) for fault in generate_plan("heavy", seed=seed, nodes=5, seconds=20)]
    assert {type(fault) for fault in plans} == set(get_args(AnyFault)) - {Wipe, Replace, Late, Learners}
    assert not any(isinstance(fault, Disk) and (fault.lying or fault.corrupt) for fault in plans)


def test_heavy_runs_see_what_they_are_to_test() -> None:
    met: set[str] = set()
    for seed in range(4):
        sim = Simulation(seed=seed, config=Config(snapshot_logs_since_last=10, keep_logs=2, snapshot_chunk=60))
        run_with_faults(sim, "heavy", 10.0, quiet=1.0)
        met |= {rule.label for rule in sim.trace.coverage().met}
    assert met >= {
        *("elected", "election lost", "stepped down: higher term", "pre-vote lost", "conflict truncated"),
        *("commit of earlier terms", "append refused: prev missing", "entries held already", "stale leader refused"),
        *("snapshot installed", "snapshot part stored", "log purged", "machine restored", "late disk"),
        *("joint entered", "joint left", "learner becomes voter", "voter becomes learner"),
        *("transfer: TimeoutNow accepted", "read confirmed", "reads failed: no quorum", "lease over"),
    }


def test_levels_differ_in_how_much_happens() -> None:
    none, light, heavy = (
        len(generate_plan(level, seed=3, nodes=5, seconds=20)) for level in ("none", "light", "heavy")
    )
    assert none == 0 < light * 3 < heavy


@pytest.mark.parametrize("knobs", [{"level": "cruel"}, {"level": "light", "seconds": -1}])
def test_what_is_no_level_or_time_is_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        generate_plan(**({"seed": 1, "nodes": 3, "seconds": 1} | knobs))  # type: ignore[arg-type]


@pytest.mark.parametrize("rules", [RAFT, ADVANCED])
@pytest.mark.parametrize("seed", range(3))
def test_raft_stands_the_heavy_nemesis_and_recovers(rules: Rules, seed: int) -> None:
    sim = Simulation(seed=seed, rules=rules, config=Config(snapshot_logs_since_last=10, keep_logs=2), record=False)
    run_with_faults(sim, "heavy", 8.0)
    assert [*sim.violations, *liveness(sim)] == []
    assert sum(call.ok for call in sim.calls) > 40


def test_a_cluster_in_which_every_vote_is_granted_is_caught_soon() -> None:
    caught = 0
    for seed in range(10):
        sim = Simulation(seed=seed, rules=generous(), record=False)
        run_with_faults(sim, "heavy", 20.0)
        caught += bool(sim.violations)
    assert caught > 6


def test_lease_reads_are_linearizable_while_clocks_can_be_relied_on() -> None:
    sim = Simulation(seed=4, record=False)
    run_with_faults(sim, "steady", 10.0, load=Load(lease=0.7))
    asked = [call.call.request for call in sim.calls if call.ok]
    assert sum(isinstance(one, Query) and one.policy == "lease" for one in asked) > 10
    assert check_linearizable(sim.history, "kv").ok


def test_a_broken_invariant_ends_the_run() -> None:
    sim = Simulation(seed=2, rules=generous())
    run_with_faults(sim, "heavy", 20.0)
    assert sim.violations
    assert sim.now < sim.violations[0].time + 0.2


@pytest.mark.parametrize(
    "load",
    [
        Load(clients=-1),
        Load(keys=0),
        Load(think_time=(0.0, 1.0)),
        Load(think_time=(2.0, 1.0)),
        Load(reads=0.9, cas=0.2),
        Load(lease=1.5),
    ],
)
def test_a_load_that_makes_no_sense_is_refused(load: Load) -> None:
    with pytest.raises(ConfigError):
        load.validated()
