"""A server whose time stood still."""

from pyraft_lab import NotLeader, Simulation


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
