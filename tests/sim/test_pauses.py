"""A server whose time stood still."""

import pytest

from pyraft_lab import MUTANTS, RAFT, ConfigError, NotLeader, PyraftError, Rules, Simulation
from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.conditions import SECOND
from pyraft_lab.sim.faults.generate import generate_plan
from pyraft_lab.sim.faults.plan import Pause, Plan
from pyraft_lab.sim.faults.run import simulate_plan
from pyraft_lab.sim.world import Resume


def test_a_leader_that_slept_through_its_lease_serves_no_read_from_it() -> None:
    sim = Simulation(nodes=3, seed=2)
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    sim.run(0.2)
    sleeper = sim.leader
    assert sleeper is not None
    assert sim.read("x", policy="lease", to=sleeper).ok
    sim.pause(sleeper)
    sim.run(1.0)
    sim.resume(sleeper)
    call = sim.read("x", policy="lease", to=sleeper)
    assert isinstance(call.error, NotLeader)


def asleep(rules: Rules = RAFT, *, late: float) -> tuple[Simulation, NodeId]:
    """A leader that nobody can reach has slept until another one has answered a write, and has just been resumed."""
    sim = Simulation(nodes=3, seed=2, rules=rules)
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    sleeper = sim.leader
    assert sleeper is not None
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.2)
    sim.pause(sleeper)
    sim.run(1.0)
    assert sim.leader != sleeper
    sim.write({"op": "put", "key": "x", "value": 2})
    sim.run(0.5)
    sim.decide(Resume(sleeper, round(late * SECOND)))
    return sim, sleeper


@pytest.mark.parametrize("late", [0.0, 0.3])
def test_no_lease_is_served_that_ran_out_in_a_pause_however_late_its_timers_are_noticed(late: float) -> None:
    sim, sleeper = asleep(late=late)
    call = sim.read("x", policy="lease", to=sleeper)
    assert isinstance(call.error, NotLeader)
    assert not sim.violations


@pytest.mark.parametrize("late", [0.0, 0.3])
def test_a_driver_that_waits_for_its_timers_serves_a_stale_read_after_a_pause(late: float) -> None:
    sim, sleeper = asleep(MUTANTS["counts-ticks"].engine.rules, late=late)
    call = sim.read("x", policy="lease", to=sleeper)
    assert call.ok
    assert call.value == 1


def test_a_leader_that_slept_refuses_writes_until_a_majority_answers() -> None:
    sim, sleeper = asleep(late=0.3)
    sim.partition({sleeper})
    call = sim.write({"op": "put", "key": "x", "value": 3}, to=sleeper)
    assert isinstance(call.error, NotLeader)


def test_what_waited_comes_before_timers_that_are_noticed_late() -> None:
    sim = Simulation(nodes=3, seed=2)
    leader = sim.run_until(lambda s: s.leader, timeout=5)
    sim.run(0.2)
    follower = next(node for node in sim.nodes if node != leader)
    sim.pause(follower)
    sim.run(1.0)
    sim.resume(follower, late=0.2)
    assert sim.nodes[follower].role == "follower", "the leader's messages were read before the election timer"
    term = sim.nodes[follower].term
    sim.run(0.5)
    assert (sim.leader, sim.nodes[follower].term) == (leader, term)


def test_a_second_pause_and_a_crash_leave_no_timer_behind() -> None:
    sim, sleeper = asleep(late=0.3)
    overdue = sim.world.nodes[sleeper].overdue
    assert overdue
    sim.pause(sleeper)
    sim.write({"op": "put", "key": "x", "value": 3}, to=sleeper)
    sim.run(0.6)
    sim.resume(sleeper, late=0.3)
    assert set(sim.world.nodes[sleeper].overdue) <= set(overdue)
    sim.crash(sleeper)
    assert not sim.world.nodes[sleeper].overdue
    sim.restart(sleeper)
    sim.run(1.0)
    assert not sim.violations


def test_a_run_with_timers_noticed_late_fits_into_a_capsule() -> None:
    sim, sleeper = asleep(late=0.3)
    sim.read("x", policy="lease", to=sleeper)
    sim.elect(sleeper)
    sim.run(1.0)
    again = Simulation.from_capsule(sim.capsule())
    assert again.trace.digest() == sim.trace.digest()


def test_timers_cannot_be_noticed_before_they_run_out() -> None:
    sim = Simulation(nodes=3, seed=2)
    sim.pause(1)
    with pytest.raises(ConfigError, match="late"):
        sim.resume(1, late=-0.1)
    with pytest.raises(PyraftError, match="too early"):
        sim.decide(Resume(1, -5))


def test_the_nemesis_has_half_of_its_pauses_noticed_late() -> None:
    late = [fault.late for seed in range(200) for fault in generate_plan("light", seed=seed, nodes=3, seconds=10)
            if isinstance(fault, Pause)]  # fmt: skip
    assert 0.3 < sum(one > 0 for one in late) / len(late) < 0.7
    plan = Plan(nodes=3, seconds=1, faults=(Pause(at=0.1, lasts=0.2, node="leader", late=0.1),))
    assert not simulate_plan(plan, quiet=1).violations
    with pytest.raises(ConfigError, match="late"):
        Pause(at=0.1, node=1, late=-1).check("faults[0]")


@pytest.mark.parametrize("seed", range(8))
def test_a_silent_target_of_a_transfer_holds_writes_up_for_little_more_than_one_attempt(seed: int) -> None:
    sim = Simulation(nodes=3, seed=seed)
    leader = sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1 and s.leader, timeout=5)
    for value in range(2):
        sim.write({"op": "put", "key": "x", "value": value})
        sim.run_until(lambda s: s.calls[-1].done, timeout=5)
    target = next(node for node in sim.nodes if node != leader)
    sim.pause(target)
    sim.transfer(target)
    call = sim.write({"op": "put", "key": "x", "value": 1}, client=3)
    while not call.done and sim.now < call.invoked + 1.2:
        sim.read("x", to=sim.leader or leader)
        sim.run(0.02)
    assert call.ok
