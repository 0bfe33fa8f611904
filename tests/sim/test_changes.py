"""Membership changes as a client of the simulation sees them."""

from pyraft_lab import Config, Simulation


def test_a_change_of_voters_is_answered_when_the_joint_membership_has_ended() -> None:
    sim = Simulation(nodes=3, seed=4, learners={4, 5})
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    call = sim.change_membership({3, 4, 5})
    sim.run_until(lambda s: any(node.membership.is_joint for node in s.nodes.values()), timeout=5)
    assert not call.done
    sim.run_until(lambda _: call.done, timeout=5)
    assert call.ok
    assert call.value.configs == (frozenset({3, 4, 5}),)


def test_a_change_is_answered_half_way_where_the_operator_ends_joint_memberships() -> None:
    sim = Simulation(nodes=3, seed=4, learners={4, 5}, config=Config(auto_leave=False))
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    call = sim.change_membership({3, 4, 5})
    sim.run_until(lambda _: call.done, timeout=5)
    assert call.ok
    assert call.value.is_joint
